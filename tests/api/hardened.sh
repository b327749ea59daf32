# SPDX-License-Identifier: MIT
# What: hardened mode: what it promises (hardened_work.c), and programs that do nothing wrong.
# Why: who asks for it relies on it; and a false alarm ends a program.
. "${HK_SRC:?}/tests/house/tap.sh"
tests=${HK_BUILD:?}/tests/api
[ -x "$tests/hardened_work.api" ] || skip_all "no $tests/hardened_work.api"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# under LEVEL COMMAND...: what went wrong; LEVEL -: as a file says
under() {
    local level=$1
    shift
    export HAKMEM_HARDENED=$level
    [ "$level" != - ] || unset HAKMEM_HARDENED
    LD_PRELOAD=${HK_LIB:?} timeout -s KILL 300 "$@" > "$tmp/out" 2>&1 < /dev/null
    local rc=$?
    [ $rc -eq 0 ] || { echo "exit code $rc"; grep -v '^ok' "$tmp/out" | head -n 8; }
}

for level in 1 2; do
    under $level "$tests/hardened_work.api" > "$tmp/findings"
    check "level $level: $(grep -c '^ok' "$tmp/out") promises kept" < "$tmp/findings"
    for program in deaths guarded malloc owners fork_threads fork_signal tsd; do
        [ -x "$tests/$program.api" ] || continue
        under $level "$tests/$program.api" > "$tmp/findings"
        check "level $level: $program" < "$tmp/findings"
    done
done

# Threads without heaps take their blocks from one that all share.
for death in beyond link_overwritten link_trimmed twice inside; do
    HAKMEM_THREAD_CACHE=0 under 1 "$tests/hardened_work.api" $death > "$tmp/findings"
    check "no thread has a heap: $death" < "$tmp/findings"
done

# The first malloc reads the file that says so, and is bound by it.
printf 'HARDENED=1\n' > "$tmp/conf"
printf 'HARDENED=1\nTHREAD_CACHE=0\n' > "$tmp/conf-shared"
for conf in "$tmp/conf" "$tmp/conf-shared"; do
    for bytes in 40 5000 100000 5000000; do
        {
            HAKMEM_CONF=$conf under - "$tests/hardened_work.api" first $bytes
            HAKMEM_CONF=$conf under - "$tests/hardened_work.api" first $bytes wrong > "$tmp/wrong"
            grep -q '^hakmem: write beyond the end of a block: 0x' "$tmp/wrong" ||
                { echo "not found out: the byte behind $bytes"; cat "$tmp/wrong"; }
        } > "$tmp/findings"
        check "by a file, the first block, of $bytes: ${conf##*/}" < "$tmp/findings"
    done
done

if command -v /usr/bin/python3 > /dev/null; then
    under 1 env PYTHONMALLOC=malloc /usr/bin/python3 -S -E -c '
import json, threading
d = {str(i): [i, {"a": i / 3}] for i in range(20000)}
assert json.loads(json.dumps(d)) == d
t = [threading.Thread(target=lambda: sorted(str(i) for i in range(30000))) for _ in range(4)]
[x.start() for x in t]; [x.join() for x in t]' > "$tmp/findings"
    check "python3" < "$tmp/findings"
fi
if command -v "${CC%% *}" > /dev/null && echo 'int main(void) { return 0; }' > "$tmp/a.c"; then
    under 1 ${CC:-cc} -O2 -o "$tmp/a" "$tmp/a.c" > "$tmp/findings"
    check "the compiler" < "$tmp/findings"
fi
# What came before the settings were read stays what it was.
under 1 sh -c 'ls -l / | sort | tail -n 1' > "$tmp/findings"
check "a shell and what it starts" < "$tmp/findings"
finish
