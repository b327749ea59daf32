#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What: how long a program takes that does nothing, without the library and with it.
Why: every process of a machine pays for a preload at its start. Runs are interleaved, the order within a round changes;
an empty library beside it shows what the loader takes for any.
usage: startup.py [--rounds N] LIBRARY [NAME=LIBRARY...]"""
import argparse
import os
import random
import statistics
import subprocess
import tempfile
import time


def empty_library(folder):
    path = os.path.join(folder, "empty.so")
    cc = os.environ.get("CC", "cc").split()
    done = subprocess.run(cc + ["-shared", "-fPIC", "-Wl,-z,relro,-z,now", "-x", "c", "-o", path, "-"],
                          input=b"int nothing;\n", check=False, stderr=subprocess.DEVNULL)
    return path if done.returncode == 0 else None


def run(library):
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    if library:
        env["LD_PRELOAD"] = library
    begin = time.perf_counter_ns()
    pid = os.posix_spawn("/bin/true", ["/bin/true"], env)
    _, status, used = os.wait4(pid, 0)
    took = time.perf_counter_ns() - begin
    if status != 0:
        raise SystemExit(f"/bin/true ended with {status} under {library}")
    return took / 1000, (used.ru_utime + used.ru_stime) * 1e6, used.ru_minflt


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("library")
    parser.add_argument("others", nargs="*", metavar="NAME=LIBRARY")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arms = {"none": None, "empty": empty_library(folder), "hakmem": os.path.abspath(args.library)}
        arms.update(other.split("=", 1) for other in args.others)
        if arms["empty"] is None:
            del arms["empty"]
        times = {name: [] for name in arms}
        for round_number in range(args.rounds + 10):
            for name in random.sample(list(arms), len(arms)):
                took = run(arms[name])
                if round_number >= 10:
                    times[name].append(took)
        print(f"/bin/true, {args.rounds} rounds: microseconds from spawn to wait, of processor time, and page faults")
        print(f"{'':22} {'least':>8} {'median':>8} {'median of the differences':>26} {'ratio of medians':>17}")
        for i, what in enumerate(("time", "processor", "faults")):
            base = [t[i] for t in times["none"]]
            for name, runs in times.items():
                t = [r[i] for r in runs]
                more = statistics.median(a - b for a, b in zip(t, base))
                ratio = statistics.median(t) / statistics.median(base)
                print(f"{what:10} {name:11} {min(t):8.0f} {statistics.median(t):8.0f} {more:26.1f} {ratio:17.3f}")


if __name__ == "__main__":
    main()
