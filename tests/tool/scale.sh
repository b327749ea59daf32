# SPDX-License-Identifier: MIT
# What: lines moved and locks waited for on 2 to 64 virtual CPUs stay below bench/sim/ceilings.
# Why: a variable that all threads write costs nothing that a test on two CPUs would see.
. "${HK_SRC:?}/tests/house/tap.sh"
sim=${HK_BUILD:?}/bench/sim/sim
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
"$sim" -s hakmem -c 2,8,64 > "$dir/table" 2>&1 || cat "$dir/table" | check "the simulator runs"
while read -r load cpus figure ceiling; do
    awk -v load="$load" -v cpus="$cpus" -v figure="$figure" -v ceiling="$ceiling" '
        $1 == "load" { for (i = 1; i <= NF; i++) column[$i] = i }
        $1 == load && $3 == cpus { is = $column[figure] }
        END { if (is == "" || is + 0 > ceiling + 0) print "is " is }' "$dir/table" |
        check "$load on $cpus CPUs: $figure at most $ceiling"
done < <(grep -v '^#' bench/sim/ceilings)
"$sim" -s hakmem -l lives -c 8 > "$dir/again"
{ grep '^lives .* 8 ' "$dir/table" | diff - <(tail -n 1 "$dir/again"); } | check "the same again"
finish
