#!/bin/sh
# SPDX-License-Identifier: MIT
# What: builds cxx.cc with the system's C++ compiler and runs it under the library.
# Why: only this test needs C++, so configure does not ask for it; without a compiler it skips.
# Usage: cxx.sh [LIBRARY]; LIBRARY or $HK_LIB is preloaded into the program, and only there.
set -u
here=${srcdir:+$srcdir/tests/api}
[ -f "${here:=$(dirname "$0")}/cxx.cc" ] || here=$(dirname "$0")
lib=${1:-${HK_LIB:-}}
unset LD_PRELOAD
cxx=${CXX:-c++}
if ! command -v "${cxx%% *}" >/dev/null 2>&1; then
    echo "1..0 # SKIP no C++ compiler ($cxx)"
    exit 0
fi
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
# shellcheck disable=SC2086 # CXX may carry flags
if ! $cxx -std=c++17 -O1 -fno-builtin -pthread -o "$tmp/cxx" "$here/cxx.cc" -ldl >"$tmp/log" 2>&1; then
    sed 's/^/# /' "$tmp/log"
    echo "1..1"
    echo "not ok 1 - cxx.cc compiles"
    exit 1
fi
LD_PRELOAD=$lib "$tmp/cxx"
