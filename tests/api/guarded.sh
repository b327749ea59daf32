# SPDX-License-Identifier: MIT
# What: python3, perl and cc with guarded blocks do what they do without, and some of their blocks were guarded.
# Why: programs that are right must not see that they are watched.
. "${HK_SRC:?}/tests/house/tap.sh"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
export HAKMEM_STATS_FILE=$tmp/stats
script='import json, re, threading
out = []
def work(k):
    d = {str(i): [i] * (i % 40) for i in range(k)}
    s = json.dumps(d)
    out.append((len(s), json.loads(s) == d, len(re.findall("[13]+", s))))
work(20000)
t = [threading.Thread(target=work, args=(5000,)) for i in range(3)]
for x in t: x.start()
for x in t: x.join()
print(out)'
printf '#include <stdio.h>\nint main(void)\n{\n    return printf("hello\\n") != 6;\n}\n' > "$tmp/hello.c"

# try NAME SAMPLE PROGRAM ARGUMENTS...
try() {
    local name=$1 sample=$2 want got
    shift 2
    if ! command -v "$1" > /dev/null; then
        echo "ok $((count += 1)) - $name # SKIP no $1"
        return
    fi
    rm -f "$HAKMEM_STATS_FILE"
    want=$(PYTHONMALLOC=malloc "$@" 2>&1; echo "exit code $?")
    got=$(HAKMEM_GUARD_SAMPLE=$sample HAKMEM_STATS=1 PYTHONMALLOC=malloc LD_PRELOAD="${HK_LIB:?}" "$@" 2>&1; echo "exit code $?")
    {
        [ "$got" = "$want" ] || printf 'without: %s\nwith:    %s\n' "$want" "$got"
        awk '/^guarded/ { now = $1 == "guarded" } now && /^  since the start/ { n += $4; now = 0 }
             END { if (n < 5) print n + 0 " blocks were guarded" }' "$HAKMEM_STATS_FILE"
    } | check "$name"
}
python=/usr/bin/python3
try "python3, one of 100" 100 $python -c "$script"
try "python3, each that comes by" 1 $python -c "$script"
try "perl, one of 100" 100 perl -e 'my %h; $h{$_} .= "x" x ($_ % 300) for 1 .. 20000; print length(join ",", map { $h{$_} } sort keys %h), "\n"'
# shellcheck disable=SC2086 # CC may carry flags
try "the compiler, one of 100" 100 ${CC:-cc} -O1 -o "$tmp/hello" "$tmp/hello.c"
finish
