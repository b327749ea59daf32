# SPDX-License-Identifier: MIT
# What: valgrind runs a preloaded program.
# Why: what reserves address space by the gigabyte dies there.
. "${HK_SRC:?}/tests/api/tap.sh"
command -v valgrind > /dev/null || { echo "1..0 # SKIP no valgrind"; exit 0; }
got=$(valgrind -q --tool=none --trace-children=yes env LD_PRELOAD="$lib" /bin/ls -d / 2>&1)
same "valgrind follows into the preloaded program" "$got" /
finish
