# SPDX-License-Identifier: MIT
# What: the system calls that preloading adds to /bin/true, to a program with one malloc, to one with
#   millions, and the names of those of a busy program.
# Why: every process pays for start-up. ld.so itself needs seven calls to map any library with RELRO
#   (openat, read, fstat, three or four mmap, close, mprotect); an allocator may hardly add to that.
#   Sandboxes kill for a call they do not expect.
. "${HK_SRC:?}/tests/house/tap.sh"
[ "${HAKMEM_MODE-}" != research ] || export HAKMEM_THP=auto # it advises its first memory
more_max=7 first_max=3 steady_max=100
# all that the library may call while the program runs, and, with HAKMEM_STATS, at its end
allowed='mmap munmap madvise mremap getrusage futex sched_yield'
allowed_stats="$allowed write openat read close getrusage"
command -v strace > /dev/null || skip_all "no strace"
strace -o /dev/null /bin/true 2> /dev/null || skip_all "strace may not trace here"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# total NAME PRELOAD COMMAND...: number of system calls; strace itself must not be preloaded
total() {
    local name=$1 preload=$2
    shift 2
    strace -f -o "$tmp/$name" -E LD_PRELOAD="$preload" "$@" > /dev/null 2>&1 || return 1
    grep -cE '^[0-9]+ +[a-z_0-9]+\(' "$tmp/$name"
}

without=$(total without "" /bin/true)
with=$(total with "${HK_LIB:?}" /bin/true)
echo "# /bin/true: $without system calls without the library, $with with it"
{
    [ -n "$without" ] && [ -n "$with" ] || echo "strace failed"
    [ "${with:-999}" -le $((${without:-0} + more_max)) ] || {
        echo "$((with - without)) system calls more, at most $more_max expected; all of them:"
        sed 's/^[0-9]* *//; s/(.*//' "$tmp/with" | sort | uniq -c | sort -rn
    }
} | check "/bin/true makes at most $more_max system calls more"
grep -E '"/(proc|sys)/' "$tmp/with" | check "nothing is read from /proc or /sys at start-up"

work=$tmp/work
# shellcheck disable=SC2086 # CC may carry flags
if ! ${CC:-cc} -D_GNU_SOURCE -O1 -fno-builtin -pthread -o "$work" tests/api/syscalls_work.c 2> "$tmp/log"; then
    sed 's/^/# /' "$tmp/log"
    echo "Bail out! no compiler"
    exit 99
fi

nothing=$(total nothing "$HK_LIB" "$work" nothing)
one=$(total one "$HK_LIB" "$work" one)
echo "# one malloc: $((one - nothing)) system calls"
{
    [ -n "$nothing" ] && [ -n "$one" ] || echo "strace failed"
    [ "${one:-999}" -le $((${nothing:-0} + first_max)) ] || {
        echo "$((one - nothing)) system calls for one malloc, at most $first_max expected:"
        diff <(sed 's/^[0-9]* *//; s/(.*//' "$tmp/nothing") <(sed 's/^[0-9]* *//; s/(.*//' "$tmp/one")
    }
} | check "the first malloc makes at most $first_max system calls"
diff <(grep -oE 'openat\(.*"' "$tmp/nothing" | sort) <(grep -oE 'openat\(.*"' "$tmp/one" | sort) | grep '^[<>]' |
    grep -vxF '> openat(AT_FDCWD, "/etc/hakmem.conf"' | check "and opens /etc/hakmem.conf alone"

total steady "$HK_LIB" "$work" steady > /dev/null
{
    [ "$(grep -c getppid "$tmp/steady")" -eq 2 ] || echo "the program did not run"
    sed '1,/getppid/d' "$tmp/steady" | sed '/getppid/,$d' > "$tmp/calls"
    [ "$(wc -l < "$tmp/calls")" -le $steady_max ] || { echo "$(wc -l < "$tmp/calls") of them"; head -n 5 "$tmp/calls"; }
} | check "a million mallocs in a small working set hardly call the kernel"

# names NAME PRELOAD MODE: system calls from the mark on, each once
names() {
    total "$1" "$2" "$work" "$3" > /dev/null
    grep -q 'exited with 0' "$tmp/$1" || echo "the_program_failed"
    sed -n '/getppid/,$p' "$tmp/$1" | grep -oE '^[0-9]+ +[a-z_0-9]+\(' | grep -oE '[a-z_0-9]+\(' | tr -d '(' | sort -u
}

# beyond ALLOWED: names on standard input that neither the idle program makes nor ALLOWED has
beyond() {
    # shellcheck disable=SC2086 # a list
    grep -vxF -f <(printf '%s\n' $1 getppid) | grep -vxF -f "$tmp/own"
}
names idle "" idle | grep -vxF -e brk -e getrandom > "$tmp/own"
names heavy "$HK_LIB" heavy > "$tmp/used"
grep -xF madvise "$tmp/used" > /dev/null || echo "no madvise: was hakmem there?" > "$tmp/odd"
{ cat "$tmp/odd" 2> /dev/null; beyond "$allowed" < "$tmp/used"; } | check "a busy program makes no system calls but its own and: $allowed"
export HAKMEM_STATS=1 HAKMEM_STATS_FILE="$tmp/statistics"
names counted "$HK_LIB" heavy | beyond "$allowed_stats" | check "with statistics, none but these and: ${allowed_stats#"$allowed "}"
unset HAKMEM_STATS HAKMEM_STATS_FILE
export HAKMEM_CGROUP=1
{
    names grouped "$HK_LIB" heavy | beyond "$allowed openat read close"
    grep -q '"/proc/self/cgroup"' "$tmp/grouped" || echo "the control group was not asked for"
    grep -q '"/proc/self/cgroup"' "$tmp/heavy" && echo "the control group was asked for without HAKMEM_CGROUP"
} | check "with HAKMEM_CGROUP, none but those and: openat read close, for the control group's files"
unset HAKMEM_CGROUP
export HAKMEM_GUARD_SAMPLE=100
{
    names guarded "$HK_LIB" heavy > "$tmp/used"
    beyond "$allowed mprotect" < "$tmp/used"
    grep -qxF mprotect "$tmp/used" || echo "no block was guarded"
    grep -q 'rt_sigaction(SIGSEGV' "$tmp/guarded" || echo "nobody looks at faults"
    sed -n '/getppid/,$p' "$tmp/guarded" | grep 'rt_sigaction(SIGSEGV'
    grep 'rt_sigaction(SIGSEGV' "$tmp/heavy"
} | check "with HAKMEM_GUARD_SAMPLE, none but those and mprotect, and rt_sigaction at the start"
finish
