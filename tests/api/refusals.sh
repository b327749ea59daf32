# SPDX-License-Identifier: MIT
# What: the kernel refuses memory calls, once or from the n-th on; refused.c must not notice more
#   than a NULL here and there.
# Why: ENOMEM comes from limits on memory, on mappings and from cgroups, in any call.
. "${HK_SRC:?}/tests/house/tap.sh"
program=${HK_BUILD:?}/tests/api/refused.api
command -v strace > /dev/null || skip_all "no strace"
strace --seccomp-bpf -f -o /dev/null -e trace=madvise -e inject=madvise:error=ENOMEM /bin/true 2> /dev/null ||
    skip_all "strace may not trace here, or is too old"
[ -x "$program" ] || skip_all "no $program"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# refuse CALL ERROR WHEN: prints what went wrong. A loader that is refused its own calls says so
# and starts nothing; that is not the library's doing.
refuse() {
    timeout -s KILL 120 strace --seccomp-bpf -f -qq -o /dev/null -e trace="$1" \
        -e inject="$1:error=$2:when=$3" -E LD_PRELOAD="${HK_LIB:?}" "$program" > "$tmp/out" 2>&1
    local rc=$?
    [ $rc -eq 127 ] && grep -qE 'error while loading|cannot allocate TLS' "$tmp/out" && return
    started=$((started + 1))
    [ $rc -eq 0 ] || { echo "$1 fails with $2, when=$3: exit code $rc"; head -n 4 "$tmp/out"; }
}

# each NAME CALL ERROR WHEN...
each() {
    local name=$1 call=$2 error=$3 when
    shift 3
    started=0
    for when; do refuse "$call" "$error" "$when"; done > "$tmp/findings"
    [ "$started" -gt 0 ] || echo "the program never started" >> "$tmp/findings"
    check "$name" < "$tmp/findings"
}

each "mmap refused once" mmap ENOMEM 12 13 14 15 16 17 18 19 20 22 24 28
each "mmap refused from then on" mmap ENOMEM 12+ 13+ 14+ 15+ 16+ 17+ 18+ 19+ 20+ 22+ 24+ 28+
each "mmap refused now and then" mmap ENOMEM 14+2 15+2 16+3 17+5
each "madvise refused" madvise ENOMEM 1 2 5 1+ 3+ 10+2 11+3
each "madvise forbidden" madvise EPERM 1+
each "madvise unknown" madvise EINVAL 1+ 2+2
each "madvise busy" madvise EAGAIN 1+ 3+2
each "munmap refused" munmap ENOMEM 1+ 2+ 3+
each "mremap refused" mremap ENOMEM 1 1+ 3+2
each "mremap over a border" mremap EFAULT 1 1+ 2+2 2+3
each "mprotect refused" mprotect ENOMEM 6+ 8+
finish
