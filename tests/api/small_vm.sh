# SPDX-License-Identifier: MIT
# What: 64 MiB of address space are enough for python3; valgrind runs a preloaded program.
# Why: what reserves address space by the gigabyte dies there.
. "${HK_SRC:?}/tests/api/tap.sh"
py=/usr/bin/python3
if [ -x $py ]; then
    got=$( (ulimit -v 65536 && LD_PRELOAD=$lib $py -c 'import json; print(json.dumps({"n": sum(range(100000))}))') 2>&1)
    same "python3 under ulimit -v 65536" "$got" '{"n": 4999950000}'
else
    skip "python3 under ulimit -v 65536" "no $py"
fi
if command -v valgrind > /dev/null; then
    got=$(valgrind -q --tool=none env LD_PRELOAD="$lib" /bin/echo fine 2>&1)
    same "valgrind" "$got" fine
    got=$(valgrind -q --tool=none --trace-children=yes env LD_PRELOAD="$lib" /bin/ls -d / 2>&1)
    same "valgrind follows into the preloaded program" "$got" /
else
    skip valgrind "not installed"
fi
finish
