#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare hakmem's modes and settings on the scenarios of bench/load, interleaved in one run.

usage: modes.py [options] ladder|regret LOAD LIBRARY

ladder: minimal, then one feature after the other on, to balanced, fast and learning; each column's
        time against the one before it: GO from 1 % less on, NO-GO from 1 % more on, else even.
regret: every fixed action for freed memory, of all bands and of one, against balanced and learning:
        processor time, mean resident memory, and their product, each relative to the best of the row.
A cell is a median of all rounds. CSV and JSON go to --out, and for ladder an SVG.
"""
import argparse, concurrent.futures, csv, json, os, statistics, sys

import run

ACTIONS = ["keep", "lazy", "batch", "now"]
BANDS = ["MID", "LARGE", "BIG"]
LADDER = {
    "minimal": {"MODE": "minimal"},
    "+BigCache": {"MODE": "minimal", "BIGCACHE": "1"},
    "+batch": {"MODE": "minimal", "BIGCACHE": "1", "BATCH": "1"},
    "+adaptive": {"MODE": "minimal", "BIGCACHE": "1", "BATCH": "1", "FREE_POLICY": "adaptive"},
    "+THP": {"MODE": "minimal", "BIGCACHE": "1", "BATCH": "1", "FREE_POLICY": "adaptive", "THP": "auto"},
    "balanced": {"MODE": "balanced"},
    "fast": {"MODE": "fast"},
    "learning": {"MODE": "learning"},
}
LADDER_SCENARIOS = ["vm:-n:20000", "cold_churn", "json_parse", "phases", "tiny_hot", "mid_large_mt"]
# -m has its price; what takes no time has no mean worth the name, so runs are long enough.
REGRET_SCENARIOS = ["vm", "cold_churn:-n:60000", "json_parse:-n:100000000", "phases:-n:48000000",
                    "prodcons", "saw_fast:-n:400000", "saw_slow:-n:1450000", "saw_big:-n:1450000"]
# Those that rest most of the time, forty peaks long: several of them at once do not disturb each other.
RESTING, AT_ONCE = ("saw_slow", "saw_big"), 5


def fixed(bands, action):
    return {"ACTION_" + b: action for b in bands}


def strategies():
    table = {"all " + a: fixed(BANDS, a) for a in ACTIONS}
    # batch in one band and batch in the others is balanced without patience: it has its column already
    table.update({"%s %s" % (b.lower(), a): fixed([b], a) for b in BANDS for a in ACTIONS if a != "batch"})
    for settings in table.values():
        settings["FREE_POLICY"] = "batch"
    table["balanced"] = {}
    table["learning"] = {"MODE": "learning"}
    return table


def measure(options, scenarios, table):
    rows = []

    def one(r, scenario, column):
        name, *extra = scenario.split(":")
        env = {"HAKMEM_" + k: v for k, v in table[column].items()}
        env["HAKMEM_LOG"] = "off"
        row = run.run([options.load, name] + extra + ["-m"], options.library, env)
        return {"round": r, "scenario": name, "column": column, **row}

    for r in range(options.rounds):
        columns = [list(table)[(i + r) % len(table)] for i in range(len(table))]
        for scenario in scenarios:
            at_once = AT_ONCE if scenario.split(":")[0] in RESTING else 1
            with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
                rows += pool.map(lambda c: one(r, scenario, c), columns)
        sys.stderr.write("round %d of %d\n" % (r + 1, options.rounds))
    return rows


def median(rows, scenario, column, key):
    return statistics.median(float(r[key]) for r in rows if r["scenario"] == scenario and r["column"] == column)


def show(names, title, table, mean=None):
    print("\n" + title)
    width = max(map(len, names)) + 2
    print("%-14s" % "" + "".join(("%%%ds" % width) % n for n in names))
    for scenario, cells in table.items():
        print("%-14s" % scenario + "".join(("%%%ds" % width) % c for c in cells))
    if mean:
        print("%-14s" % mean[0] + "".join(("%%%ds" % width) % ("%.2f" % v) for v in mean[1]))


def verdict(now, before):
    change = (now / before - 1) * 100
    return "%+.0f%% %s" % (change, "GO" if change <= -1 else "NO-GO" if change >= 1 else "even")


def ladder(rows, scenarios, names, out):
    seconds = {s: [median(rows, s, n, "seconds") for n in names] for s in scenarios}
    show(names, "time, against the column before", {
        s: ["%.3f s" % v[0]] + [verdict(v[i], v[i - 1]) for i in range(1, len(v))] for s, v in seconds.items()})
    show(names, "peak resident, MiB", {
        s: ["%.1f" % (median(rows, s, n, "peak_kib") / 1024) for n in names] for s in scenarios})
    chart = {s: {n: {"ratio": v / min(seconds[s])} for n, v in zip(names, seconds[s])} for s in scenarios}
    if out:
        run.chart(chart, names, os.path.join(out, "modes.svg"))
    return seconds


def relative(rows, scenarios, names, value):
    table = {}
    for s in scenarios:
        cells = [value(s, n) for n in names]
        table[s] = [c / min(cells) for c in cells]
    return table


def regret(rows, scenarios, names, out):
    time = relative(rows, scenarios, names, lambda s, n: median(rows, s, n, "cpu"))
    held = relative(rows, scenarios, names, lambda s, n: median(rows, s, n, "mean_kib"))
    both = relative(rows, scenarios, names,
                    lambda s, n: median(rows, s, n, "cpu") * median(rows, s, n, "mean_kib"))
    for title, table in (("processor time / best", time), ("mean resident / smallest", held), ("product / best", both)):
        sums = [sum(v[i] for v in table.values()) for i in range(len(names))]
        show(names, title, {s: ["%.2f" % c for c in v] for s, v in table.items()}, ("sum", sums))
    fixed_ones = [i for i, n in enumerate(names) if n not in ("balanced", "learning")]
    sums = [sum(v[i] for v in both.values()) for i in range(len(names))]
    best, mine = min(fixed_ones, key=lambda i: sums[i]), names.index("learning")
    print("\nlearning / the best fixed one of each row, product:")
    for s, v in both.items():
        print("  %-14s %.2f (%s)" % (s, v[mine] / min(v[i] for i in fixed_ones), names[min(fixed_ones, key=lambda i: v[i])]))
    print("sum of products: learning %.2f, the best single fixed one (%s) %.2f: %.0f %% less"
          % (sums[mine], names[best], sums[best], 100 * (1 - sums[mine] / sums[best])))
    return both


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["ladder", "regret"])
    p.add_argument("load", metavar="LOAD")
    p.add_argument("library", metavar="LIBRARY")
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--scenarios", help="comma-separated; SCENARIO:-n:1000 gives options to one")
    p.add_argument("--columns", help="comma-separated; default: all")
    p.add_argument("--out", help="folder for CSV, JSON and SVG")
    options = p.parse_args()
    options.load, options.library = os.path.abspath(options.load), os.path.abspath(options.library)
    if not os.path.exists(options.library):
        sys.exit("modes.py: no such library: %s" % options.library)
    table = LADDER if options.what == "ladder" else strategies()
    if options.columns:
        wanted = options.columns.split(",")
        unknown = [c for c in wanted if c not in table]
        if unknown:
            sys.exit("modes.py: no such column: %s; there are: %s" % (", ".join(unknown), ", ".join(table)))
        table = {c: table[c] for c in wanted}
    scenarios = options.scenarios.split(",") if options.scenarios else (
        LADDER_SCENARIOS if options.what == "ladder" else REGRET_SCENARIOS)
    rows = measure(options, scenarios, table)
    if options.out:
        os.makedirs(options.out, exist_ok=True)
    result = (ladder if options.what == "ladder" else regret)(rows, [s.split(":")[0] for s in scenarios], list(table), options.out)
    if options.out:
        with open(os.path.join(options.out, options.what + ".csv"), "w", newline="") as f:
            w = csv.DictWriter(f, sorted({k for r in rows for k in r}))
            w.writeheader()
            w.writerows(rows)
        with open(os.path.join(options.out, options.what + ".json"), "w") as f:
            json.dump({"columns": table, "rounds": options.rounds, "table": result}, f, indent=1)


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError) as e:
        sys.exit("modes.py: %s" % e)
