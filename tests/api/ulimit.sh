# SPDX-License-Identifier: MIT
# What: real programs under a small address space, as they run on glibc: python3, perl, cc.
# Why: batch systems and build farms set ulimit -v; an allocator that reserves address space for
#   itself takes it from the program.
. "${HK_SRC:?}/tests/house/tap.sh"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
# so many different bytes that a big part of the limit is really used
script='import json, re; d = {str(i): [i] * 10 for i in range(20000)}; s = json.dumps(d); print(len(s), json.loads(s) == d)'
printf '#include <stdio.h>\nint main(void)\n{\n    return printf("hello\\n") != 6;\n}\n' > "$tmp/hello.c"

# limited KIB PRELOAD COMMAND...: run under the limit; only the command is preloaded
limited() {
    local kib=$1 preload=$2
    shift 2
    (ulimit -v "$kib" && exec timeout -s KILL 120 env LD_PRELOAD="$preload" PYTHONMALLOC=malloc "$@")
}

# compare KIB NAME COMMAND...: prints what differs, or a skip line: same output and exit code with and without the library
compare() {
    local kib=$1 name=$2 want got
    shift 2
    command -v "$1" > /dev/null || { echo "ok $((count += 1)) - $name # SKIP no $1"; return; }
    want=$(limited "$kib" "" "$@" 2>&1; echo "exit code $?")
    case $want in
    *"exit code 0") ;;
    *) echo "ok $((count += 1)) - $name # SKIP fails without the library too"; return ;;
    esac
    got=$(limited "$kib" "${HK_LIB:?}" "$@" 2>&1; echo "exit code $?")
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
try 65536 "perl in 64 MiB" perl -e 'my %h = map { $_ => "x" x 50 } 1 .. 20000; print scalar(keys %h), "\n"'
try 131072 "cc in 128 MiB" "${CC:-cc}" -c -o "$tmp/hello.o" "$tmp/hello.c"
try 65536 "sort in 64 MiB" sh -c 'seq 100000 | sort -R --random-source=/bin/sh | sort -n | cksum'
try 32768 "bash in 32 MiB" bash -c 'for i in {1..2000}; do a[$i]=$(printf "%0100d" "$i" | tr 0 x) || exit 1; [ "$i" -lt 40 ] || break; done; echo "${#a[@]}"'
finish
