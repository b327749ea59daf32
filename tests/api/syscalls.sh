# SPDX-License-Identifier: MIT
# What: the system calls that preloading adds to /bin/true, and those of a small busy program.
# Why: every process pays for start-up. ld.so itself needs seven calls to map any library with RELRO
#   (openat, read, fstat, three or four mmap, close, mprotect); an allocator may hardly add to that.
. "${HK_SRC:?}/tests/house/tap.sh"
more_max=7
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
finish
