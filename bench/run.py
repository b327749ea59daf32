#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare allocators on the scenarios of bench/load, interleaved in one run.

usage: run.py [options] LOAD NAME=LIBRARY...

Each round runs every scenario once under every allocator, in an order that rotates. A cell of
the table is time / best of the row, by the median of all rounds, with half the distance of the
quartiles behind it, and the peak resident MiB. "libc" is the C library without a preload; peers
that Debian ships are found by themselves. --calls adds system calls a thousand operations (one
run each under strace), --latency the p99.9 of malloc and free. CSV, JSON and an SVG go to --out.
"""
import argparse
import collections, csv, html, json, math, os, re, shutil, statistics, subprocess, sys

DEBIAN = {
    "jemalloc": "libjemalloc.so.2",
    "mimalloc": "libmimalloc.so.2.0",
    "tcmalloc": "libtcmalloc_minimal.so.4",
}
CALLS = "mmap,munmap,madvise,mremap"
COLOURS = ["#1f6f8b", "#99a8b2", "#c97b63", "#8a9a5b", "#d4a24c", "#7d6b91", "#5b8a8a", "#b0566b", "#6b6b6b", "#a3c1ad"]


def peers():
    found = {"libc": ""}
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"):
        for name, file in DEBIAN.items():
            path = os.path.join(folder, file)
            if name not in found and os.path.exists(path):
                found[name] = path
    return found


def environment(library, more=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HAKMEM_", "MALLOC_", "MIMALLOC_", "LD_"))}
    if library:
        env["LD_PRELOAD"] = library
    env.update(more or {})
    return env


crashes = collections.Counter()  # by library: some peers do, now and then


def run(command, library, more=None):
    for _ in range(5):
        done = subprocess.run(command, env=environment(library, more), capture_output=True, text=True, timeout=300)
        if done.returncode >= 0:
            break
        crashes[library] += 1
        if "hakmem" in (library or ""):
            break
    if done.returncode:
        raise RuntimeError("%s with %s: status %d, %s" % (command, library, done.returncode, done.stderr[-200:]))
    return {k: v for k, v in (word.split("=", 1) for word in done.stdout.split())}


def count_calls(command, library):
    """Memory system calls of the whole run, by strace; None without it."""
    if not shutil.which("strace"):
        return None
    preload = ["-E", "LD_PRELOAD=" + library] if library else []
    done = subprocess.run(["strace", "-f", "-c", "-e", "trace=" + CALLS] + preload + command,
                          env=environment(""), capture_output=True, text=True, timeout=600)
    return sum(int(m.group(1)) for m in re.finditer(
        r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s.*(?:%s)$" % CALLS.replace(",", "|"), done.stderr, re.M))


def command_of(scenario, options):
    """Its own options come last: they win."""
    words = scenario.split(":")
    return words[:1] + options.extra + words[1:]


def measure(options, scenarios, allocators):
    rows, names = [], list(allocators)
    for turn in range(options.rounds):
        for at, scenario in enumerate(scenarios):
            shift = (turn + at) % len(names)
            for name in names[shift:] + names[:shift]:
                row = run([options.load] + command_of(scenario, options), allocators[name])
                row.update(allocator=name, round=turn, scenario=scenario)
                rows.append(row)
        print("round %d of %d" % (turn + 1, options.rounds), file=sys.stderr)
    return rows


def summarise(rows, scenarios, names):
    """{scenario: {allocator: {seconds, spread, ratio, peak_mib}}}"""
    table = {}
    for scenario in scenarios:
        cells = {}
        for name in names:
            mine = [r for r in rows if r["scenario"] == scenario and r["allocator"] == name]
            seconds = sorted(float(r["seconds"]) for r in mine)
            q = statistics.quantiles(seconds, n=4) if len(seconds) > 2 else [seconds[0], seconds[0], seconds[-1]]
            cells[name] = {
                "seconds": statistics.median(seconds),
                "mops": statistics.median(float(r["mops"]) for r in mine),
                "spread": (q[2] - q[0]) / 2 / statistics.median(seconds),
                "peak_mib": statistics.median(int(r["peak_kib"]) for r in mine) / 1024,
                "final_mib": statistics.median(int(r["final_kib"]) for r in mine) / 1024,
                "faults": statistics.median(int(r["minflt"]) for r in mine),
            }
        best = min(c["seconds"] for c in cells.values())
        small = min(c["peak_mib"] for c in cells.values())
        for c in cells.values():
            c["ratio"], c["peak_ratio"] = c["seconds"] / best, c["peak_mib"] / small
        table[scenario] = cells
    return table


def geomean(values):
    values = [v for v in values if v]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else 0


def print_table(table, names, title, cell, mean=None):
    print("\n" + title)
    print("%-16s" % "" + "".join("%18s" % n for n in names))
    for scenario, cells in table.items():
        print("%-16s" % scenario + "".join("%18s" % cell(cells[n]) for n in names))
    if mean:
        print("%-16s" % "geomean" + "".join("%18.3f" % geomean([c[n][mean] for c in table.values()]) for n in names))


def chart(table, names, path):
    """Bars of time / best of the row, a group a scenario; shorter is better."""
    bar, gap, left, width, most = 9, 12, 120, 560, 3.0
    out, y = [], 44
    for i, name in enumerate(names):
        out.append('<rect x="%d" y="10" width="10" height="10" fill="%s"/><text x="%d" y="19">%s</text>'
                   % (left + i * 90, COLOURS[i % len(COLOURS)], left + i * 90 + 14, html.escape(name)))
    for scenario, cells in table.items():
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (left - 8, y + bar * len(names) / 2 + 4, scenario))
        for i, name in enumerate(names):
            ratio = cells[name]["ratio"]
            long = min(ratio, most) / most * width
            out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (left, y, long, bar - 1, COLOURS[i % len(COLOURS)]))
            out.append('<text x="%.1f" y="%d" font-size="8">%.2f</text>' % (left + long + 3, y + bar - 2, ratio))
            y += bar
        y += gap
    style = "font-family:sans-serif;font-size:11px"
    with open(path, "w") as f:
        f.write('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" style="%s">\n' % (max(left + width + 60, left + 90 * len(names)), y + 20, style))
        f.write('<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(out))
        f.write('\n<text x="%d" y="%d">time / best of the row; shorter is better</text>\n</svg>\n' % (left, y + 8))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("load", metavar="LOAD")
    p.add_argument("allocators", nargs="*", metavar="NAME=LIBRARY")
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--scenarios", help="comma-separated; SCENARIO:-t:8 gives options to one; default: all")
    p.add_argument("--no-peers", action="store_true", help="only the allocators named")
    p.add_argument("--extra", default="", help="options for every run, as -n 1000000")
    p.add_argument("--calls", action="store_true")
    p.add_argument("--latency", action="store_true")
    p.add_argument("--out", help="folder for results.csv, results.json, chart.svg")
    options = p.parse_args()
    options.extra = options.extra.split()
    options.load = os.path.abspath(options.load)
    allocators = {} if options.no_peers else peers()
    named = dict(a.split("=", 1) for a in options.allocators)
    for name, path in named.items():
        if path and not os.path.exists(path):
            sys.exit("run.py: %s: no such library: %s" % (name, path))
    allocators = {**named, **{n: l for n, l in allocators.items() if n not in named}}
    names = list(allocators)
    listed = subprocess.run([options.load], capture_output=True, text=True).stderr
    known = re.findall(r"^  (\w+) ", listed, re.M)
    # The saws mostly sleep: they are for modes.py.
    scenarios = options.scenarios.split(",") if options.scenarios else [k for k in known if not k.startswith("saw")]
    for s in scenarios:
        if s.split(":")[0] not in known:
            sys.exit("run.py: unknown scenario %s; there are: %s" % (s, " ".join(known)))
    rows = measure(options, scenarios, allocators)
    table = summarise(rows, scenarios, names)
    print_table(table, names, "time / best (spread), peak MiB",
                lambda c: "%.2f (%.0f%%) %.0f" % (c["ratio"], 100 * c["spread"], c["peak_mib"]), "ratio")
    print("%-16s" % "geomean peak" + "".join("%18.3f" % geomean([c[n]["peak_ratio"] for c in table.values()]) for n in names))
    if options.calls or options.latency:
        for scenario in scenarios:
            for name in names:
                command, cell = [options.load] + command_of(scenario, options), table[scenario][name]
                if options.calls:
                    ops = int(run(command, allocators[name])["ops"])
                    calls = count_calls(command, allocators[name])
                    cell["calls"] = calls and calls * 1000 / ops
                if options.latency:
                    runs = [run(command + ["-l"], allocators[name]) for _ in range(min(options.rounds, 5))]
                    for key in ("p50_ns", "p99_ns", "p999_ns"):
                        cell[key] = statistics.median(float(r[key]) for r in runs)
    if options.calls:
        print_table(table, names, "memory system calls a thousand operations", lambda c: "%.3f" % (c["calls"] or 0))
    if options.latency:
        print_table(table, names, "latency p50 / p99 / p99.9, ns", lambda c: "%.0f/%.0f/%.0f" % (c["p50_ns"], c["p99_ns"], c["p999_ns"]))
    print_table(table, names, "page faults", lambda c: "%.0f" % c["faults"])
    for name in names:
        if crashes[allocators[name]]:
            print("%s crashed %d times; those runs were repeated" % (name, crashes[allocators[name]]))
    if options.out:
        os.makedirs(options.out, exist_ok=True)
        with open(os.path.join(options.out, "results.csv"), "w", newline="") as f:
            w = csv.DictWriter(f, sorted({k for r in rows for k in r}))
            w.writeheader()
            w.writerows(rows)
        with open(os.path.join(options.out, "results.json"), "w") as f:
            json.dump({"allocators": allocators, "rounds": options.rounds, "table": table}, f, indent=1)
        chart(table, names, os.path.join(options.out, "chart.svg"))


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
        sys.exit("run.py: %s" % e)
