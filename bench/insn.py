#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Instructions of an allocation and its free, exact, by callgrind.

usage: insn.py [--check CEILINGS] INSN NAME=LIBRARY[,VARIABLE=VALUE]...

A figure is the difference of two runs of bench/insn, a pair, less what its loop costs without an
allocator. --check compares the first column with a file of lines KIND BYTES CEILING, and the others
with the first, and ends with 1 if one is exceeded or differs. Refills and the other slow paths are in it, spread over their pairs.
"""
import argparse, os, re, subprocess, sys

PAIRS = 20000
CASES = [("malloc", n) for n in (16, 64, 256, 1024, 2048, 8192, 12000, 32768)] + [
    ("calloc", 32), ("calloc", 256), ("new", 32), ("new", 2048), ("aligned", 64)]
# The two functions that stand for the allocator in the loop without one: five instructions.
OWN = 5


def instructions(program, library, kind, size, pairs):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LD_", "HAKMEM_"))}
    library, *settings = library.split(",")
    env.update(word.split("=", 1) for word in settings)
    if library:
        env["LD_PRELOAD"] = library
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, kind,
                           str(size), str(pairs)], env=env, capture_output=True, text=True, timeout=300)
    count = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not count:
        return None
    return int(count.group(1))


def pair(program, library, kind, size):
    few = instructions(program, library, kind, size, PAIRS)
    many = instructions(program, library, kind, size, 2 * PAIRS)
    return (many - few) / PAIRS if few and many else None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", metavar="CEILINGS")
    p.add_argument("program", metavar="INSN")
    p.add_argument("libraries", nargs="+", metavar="NAME=LIBRARY")
    options = p.parse_args()
    program = os.path.abspath(options.program)
    libraries = [word.split("=", 1) for word in options.libraries]
    loop = pair(program, "", "none", 16) - OWN
    ceilings, over = {}, 0
    if options.check:
        for line in open(options.check):
            if line.strip() and not line.startswith("#"):
                kind, size, most = line.split()
                ceilings[kind, int(size)] = float(most)
    print("%-8s %7s" % ("", "bytes") + "".join("%12s" % name for name, _ in libraries) + ("     ceiling" if ceilings else ""))
    for kind, size in ceilings or CASES:
        cells = [pair(program, library, kind, size) for _, library in libraries]
        cells = [c and c - loop for c in cells]
        row = "%-8s %7d" % (kind, size) + "".join("%12s" % ("-" if c is None else "%.1f" % c) for c in cells)
        if ceilings:
            bad = cells[0] is None or cells[0] > ceilings[kind, size]
            # what learning and the start of each mode cost besides is not a pair's
            differ = any(c is None or abs(c - cells[0]) > 0.05 for c in cells[1:])
            row += "%12.1f%s%s" % (ceilings[kind, size], "  exceeded" if bad else "", "  not the same" if differ else "")
            over += bad or differ
        print(row, flush=True)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
