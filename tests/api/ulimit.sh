# SPDX-License-Identifier: MIT
# What: real programs under limits, as they run on glibc: python3, perl, cc; above all a small address space.
# Why: batch systems and build farms set ulimit -v; an allocator that reserves address space for
#   itself takes it from the program.
. "${HK_SRC:?}/tests/house/tap.sh"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
# so many different bytes that a big part of the limit is really used
script='import json, re; d = {str(i): [i] * 10 for i in range(20000)}; s = json.dumps(d); print(len(s), json.loads(s) == d)'
printf '#include <stdio.h>\nint main(void)\n{\n    return printf("hello\\n") != 6;\n}\n' > "$tmp/hello.c"

# limited LIMIT PRELOAD COMMAND...: run under ulimit -LIMIT, or -v LIMIT; only the command is preloaded
limited() {
    local limit=$1 preload=$2
    shift 2
    case $limit in [0-9]*) limit="v $limit" ;; esac
    # shellcheck disable=SC2086 # an option and its value
    (ulimit -$limit && exec timeout -s KILL 120 env LD_PRELOAD="$preload" PYTHONMALLOC=malloc "$@")
}

# compare LIMIT NAME COMMAND...: prints what differs, or a skip line: same output and exit code with and without the library
compare() {
    local limit=$1 name=$2 want got
    shift 2
    command -v "$1" > /dev/null || { echo "ok $((count += 1)) - $name # SKIP no $1"; return; }
    want=$(limited "$limit" "" "$@" 2>&1; echo "exit code $?")
    case $want in
    *"exit code 0") ;;
    *) echo "ok $((count += 1)) - $name # SKIP fails without the library too"; return ;;
    esac
    got=$(limited "$limit" "${HK_LIB:?}" "$@" 2>&1; echo "exit code $?")
    [ "$got" = "$want" ] || printf 'without: %s\nwith:    %s\n' "$want" "$got"
}

try() {
    compare "$@" > "$tmp/findings"
    if grep -q '^ok ' "$tmp/findings"; then
        cat "$tmp/findings"
    else
        check "$2" < "$tmp/findings"
    fi
}

python=/usr/bin/python3
[ -x $python ] || python=python3
try 65536 "python3 in 64 MiB" "$python" -S -c 'print(sum(range(1000)))'
try 65536 "python3 works in 64 MiB" "$python" -S -c "$script"
try 32768 "python3 in 32 MiB" "$python" -S -c 'print(sum(range(1000)))'
try 65536 "cc -O2 in 64 MiB" "${CC:-cc}" -O2 -c -o "$tmp/hello.o" "$tmp/hello.c"
try 65536 "perl in 64 MiB" perl -e 'my %h = map { $_ => "x" x 50 } 1 .. 20000; print scalar(keys %h), "\n"'
try 131072 "cc in 128 MiB" "${CC:-cc}" -c -o "$tmp/hello.o" "$tmp/hello.c"
try 65536 "sort in 64 MiB" sh -c 'seq 100000 | sort -R --random-source=/bin/sh | sort -n | cksum'
try 32768 "bash in 32 MiB" bash -c 'for i in {1..2000}; do a[$i]=$(printf "%0100d" "$i" | tr 0 x) || exit 1; [ "$i" -lt 40 ] || break; done; echo "${#a[@]}"'
# Mappings that can be written count as data; a stack without limit turns the layout of the address space around.
try "d 65536" "python3 with 64 MiB of data" "$python" -S -c "$script"
try "s unlimited" "python3 with a stack without limit" "$python" -S -c "$script"
try "s unlimited" "cc with a stack without limit" "${CC:-cc}" -O2 -c -o "$tmp/hello.o" "$tmp/hello.c"
try "c 0" "python3 at addresses that are not random" setarch -R "$python" -S -c "$script"
export MALLOC_ARENA_MAX=1 MALLOC_CHECK_=3 MALLOC_PERTURB_=85 MALLOC_TRIM_THRESHOLD_=0 MALLOC_MMAP_THRESHOLD_=1 MALLOC_TOP_PAD_=1 \
    GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.perturb=3:glibc.malloc.hugetlb=2
try "c 0" "python3 with settings of the C library's malloc" "$python" -S -c "$script"
try "c 0" "cc with them" "${CC:-cc}" -O2 -c -o "$tmp/hello.o" "$tmp/hello.c"
finish
