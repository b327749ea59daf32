# SPDX-License-Identifier: MIT
# What: places_work.c's threads on one CPU, moved between CPUs, in a cpuset, without /proc and /sys, under filters
#   of system calls, without rseq and vDSO, and with each HAKMEM_NUMA.
# Why: what the library knows of CPUs and nodes is a hint that containers and sandboxes may withhold or
#   change at any time.
. "${HK_SRC:?}/tests/house/tap.sh"
program=${HK_BUILD:?}/tests/api/places_work.api
[ -x "$program" ] || skip_all "no $program"
run=(env LD_PRELOAD="${HK_LIB:?}" "$program")
tmp=$(mktemp -d) || exit 99
group=
cleanup() {
    [ -z "$group" ] || rmdir "$group"
    rm -rf "$tmp"
}
trap cleanup EXIT
no_rseq=glibc.pthread.rseq=0
denied=getcpu,mbind,get_mempolicy,set_mempolicy,sched_getaffinity,rseq
unset HAKMEM_NUMA GLIBC_TUNABLES

skip() {
    echo "ok $((count += 1)) - $1 # SKIP $2"
}

# judge NAME CODE: of what wrote $tmp/out
judge() {
    if [ "$2" -eq 77 ]; then
        skip "$1" "$(sed -n '$s/^# //p' "$tmp/out")"
        return
    fi
    {
        [ "$2" -eq 0 ] || { echo "exit code $2"; cat "$tmp/out"; }
        grep -qxF '# on hakmem' "$tmp/out" || echo "it did not run on hakmem"
    } | check "$1"
}

# place NAME COMMAND...
place() {
    local name=$1
    shift
    timeout -s KILL 60 "$@" > "$tmp/out" 2>&1
    judge "$name" $?
}

# stopped NAME CALL COMMAND...: the filter stops it at this call
stopped() {
    local name=$1 call=$2
    shift 2
    timeout -s KILL 60 "$@" > "$tmp/out" 2>&1
    {
        grep -q "^# stopped at call [0-9]*: $call\$" "$tmp/out" || { echo "not stopped at $call"; cat "$tmp/out"; }
    } | check "$name"
}

# ---- CPUs ----
cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
first=${cpus%%[-,]*} last=${cpus##*[-,]}
if command -v taskset > /dev/null && [ -n "$cpus" ]; then
    place "on the first CPU" taskset -c "$first" "${run[@]}" cpus=1
    if [ "$first" != "$last" ]; then place "on the last CPU" taskset -c "$last" "${run[@]}" cpus=1; fi
else
    skip "on one CPU" "no taskset or no /proc"
fi
# It knows the first one only when the others come.
moving=()
if [ "$first" != "$last" ]; then
    moving=("pin=$first" again "move=$first,$last")
    place "moved from CPU to CPU" "${run[@]}" "${moving[@]}"
    GLIBC_TUNABLES=$no_rseq place "moved from CPU to CPU, without rseq" "${run[@]}" "${moving[@]}" norseq
else
    skip "moved from CPU to CPU" "there is only one"
fi

# A group of this shell's with a cpuset of its own; nothing if none may be made.
make_group() {
    local at path
    at=$(awk '$3 == "cgroup" && $4 ~ /(^|,)cpuset(,|$)/ { print $2; exit }' /proc/mounts)
    path=$(sed -nE 's/^[0-9]+:([^:]*,)?cpuset(,[^:]*)?://p' /proc/self/cgroup)
    if [ -z "$at" ] || [ -z "$path" ]; then
        at=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
        path=$(sed -n 's/^0:://p' /proc/self/cgroup)
        grep -qw cpuset "$at$path/cgroup.subtree_control" || return
    fi
    mkdir "$at$path/hakmem-places-$$" || return
    group=$at$path/hakmem-places-$$
    [ -n "$(cat "$group/cpuset.mems")" ] || cat "$at$path/cpuset.mems" > "$group/cpuset.mems"
    echo "$last" > "$group/cpuset.cpus" && (echo "$BASHPID" > "$group/cgroup.procs")
}
# shellcheck disable=SC2016 # for the inner shell
join='echo $$ > "$0/cgroup.procs" && exec "$@"'

# While it works, the set is changed: the first CPU, all, the last one.
in_changing_set() {
    local changes=0
    timeout -s KILL 60 bash -c "$join" "$group" "${run[@]}" steps=10000 > "$tmp/out" 2>&1 &
    until [ -s "$tmp/out" ] || ! kill -0 $! 2> /dev/null; do sleep 0.01; done
    while kill -0 $! 2> /dev/null; do
        for set in "$first" "$cpus" "$last"; do
            echo "$set" > "$group/cpuset.cpus" && changes=$((changes + 1))
            sleep 0.005
        done
    done
    wait $!
    judge "in a cpuset that changes" $?
    echo "# changed $changes times"
}
if make_group 2> /dev/null; then
    place "in a cpuset of the last CPU" bash -c "$join" "$group" "${run[@]}" cpus=1
    if [ "$first" != "$last" ]; then in_changing_set; fi
else
    skip "in a cpuset" "none can be made here"
fi

# ---- no /proc, no /sys ----
apart=(unshare -Urm)
"${apart[@]}" true 2> /dev/null || apart=(unshare -m)
apart+=(sh -c 'mount -t tmpfs none /sys && mount -t tmpfs none /proc && exec "$@"' sh)
if "${apart[@]}" true 2> /dev/null; then
    place "without /proc and /sys" "${apart[@]}" "${run[@]}" bare
    HAKMEM_CGROUP=1 place "without them, for HAKMEM_CGROUP" "${apart[@]}" "${run[@]}" bare
    GLIBC_TUNABLES=$no_rseq place "without them and rseq" "${apart[@]}" "${run[@]}" bare norseq
else
    skip "without /proc and /sys" "they cannot be covered here"
fi

# ---- calls that are forbidden ----
place "$denied are forbidden" "${run[@]}" "${moving[@]:0:1}" "deny=$denied" again norseq "${moving[@]:2}"
place "they are but rseq, from the midst of the program on" "${run[@]}" "${moving[@]}" "deny=${denied%,rseq}"
for mode in off bind interleave; do
    HAKMEM_NUMA=$mode place "they are, with HAKMEM_NUMA=$mode" "${run[@]}" "${moving[@]:0:1}" "deny=$denied" again "${moving[@]:2}"
done
place "they are, and there is no vDSO" "${run[@]}" "${moving[@]:0:1}" "deny=$denied" again-without-vdso \
    norseq novdso "${moving[@]:2}"

# ---- calls that are not on the list ----
list=$(awk '/^After start-up the library makes/ { on = 1 } on && /^\.Xr/ { printf "%s%s", sep, $2; sep = "," }
    on && /;$/ { exit }' man/hakmem.7)
[ "$list" ] || echo "no list found" | check "hakmem(7) has the list of calls"
"$program" "allow=$list" steps=0 > "$tmp/out" 2>&1
case $? in
77) skip "no calls but $list" "$(sed -n '$s/^# //p' "$tmp/out")" ;;
0)
    listed=("${moving[@]}" "allow=$list")
    stopped "a call that is not on the list stops a program" getcpu "${run[@]}" "${listed[@]}" steps=0 more
    place "no calls but $list" "${run[@]}" "${listed[@]}"
    for mode in off local; do
        HAKMEM_NUMA=$mode place "none more with HAKMEM_NUMA=$mode" "${run[@]}" "${listed[@]}"
    done
    GLIBC_TUNABLES=$no_rseq place "none more without rseq" "${run[@]}" norseq "${listed[@]}"
    place "none more where threads gave up theirs" "${run[@]}" "${listed[@]}" unregister
    GLIBC_TUNABLES=$no_rseq place "none more without rseq and vDSO" "${run[@]}" "${moving[@]:0:1}" \
        again-without-vdso novdso norseq "allow=$list" "${moving[@]:2}"
    HAKMEM_NUMA=bind stopped "HAKMEM_NUMA=bind calls mbind" mbind "${run[@]}" "${listed[@]}"
    HAKMEM_NUMA=interleave stopped "HAKMEM_NUMA=interleave calls get_mempolicy" get_mempolicy "${run[@]}" "${listed[@]}"
    for mode in bind interleave; do
        HAKMEM_NUMA=$mode place "forbidden in HAKMEM_NUMA=$mode" "${run[@]}" "${listed[@]}" refuse=mbind,get_mempolicy
    done
    HAKMEM_NUMA=interleave place "mbind alone forbidden in HAKMEM_NUMA=interleave" "${run[@]}" \
        "${moving[@]}" "allow=$list,get_mempolicy" refuse=mbind
    ;;
*) check "threads that do nothing need no calls but $list" < "$tmp/out" ;;
esac

# ---- nodes: 0, 1 and 3 are MPOL_DEFAULT, MPOL_PREFERRED and MPOL_INTERLEAVE ----
place "memory has no policy" "${run[@]}" policy=0
HAKMEM_NUMA=off place "nor with HAKMEM_NUMA=off" "${run[@]}" policy=0
HAKMEM_NUMA=local place "nor with HAKMEM_NUMA=local" "${run[@]}" policy=0
HAKMEM_NUMA=bind place "a node is preferred with HAKMEM_NUMA=bind" "${run[@]}" policy=1
HAKMEM_NUMA=interleave place "nodes take turns with HAKMEM_NUMA=interleave" "${run[@]}" policy=3
finish
