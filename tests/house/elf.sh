# SPDX-License-Identifier: MIT
# What: the shape of the shared object: needs libc alone, hardened, small TLS, cheap to map.
# Why: a preload's missing dependency stops every program; each extra mapping is paid at each exec.
. "${HK_SRC:?}/tests/house/tap.sh"
lib=${HK_LIB:?}
[ -f "$lib" ] || skip_all "no shared library was built"
command -v readelf objdump > /dev/null || skip_all "no binutils here"
dyn=$(readelf -dW "$lib") seg=$(readelf -lW "$lib") code=$(objdump -d --no-show-raw-insn "$lib")
# segments TYPE: a line each: address, bytes in the file, in memory (hexadecimal, which not every awk reads), flags.
segments() { printf '%s\n' "$seg" | awk -v type="$1" '$1 == type { print $3, $5, $6, $7 (NF > 8 ? $8 : "") }'; }
{ printf '%s\n' "$dyn" | grep NEEDED || echo "nothing"; } | grep -v '\[libc\.so\.6\]' | check "needs libc.so.6 alone"
{ printf '%s\n' "$dyn" | grep -q 'SONAME.*\[libhakmem\.so\.1\]' || echo missing; } | check "soname is libhakmem.so.1"
printf '%s\n' "$dyn" | grep TEXTREL | check "no text relocations"
for flag in NOW NODELETE; do
    printf '%s\n' "$dyn" | grep -q "FLAGS_1.*$flag" || echo "no $flag"
done | check "bound at load, never unloaded"
{ printf '%s\n' "$dyn" | grep -qE 'STATIC_TLS' || echo "no STATIC_TLS"; } | check "initial-exec TLS"
{ printf '%s\n' "$seg" | grep -q GNU_RELRO || echo "no RELRO"; } | check "relocations are read-only after load"
segments GNU_STACK | {
    read -r _ _ _ flags || flags=missing
    case $flags in *E* | missing) echo "GNU_STACK: $flags" ;; esac
} | check "no executable stack"
segments TLS | {
    read -r _ _ bytes _ || bytes=0
    [ $((bytes)) -gt 0 ] && [ $((bytes)) -le 1024 ] || echo "TLS is $((bytes)) bytes"
} | check "at most 1 KiB of TLS"
segments LOAD | awk 'END { if (NR < 1 || NR > 2) print NR " segments" }' | check "two segments to map"
# Zeroed data must end within the last page of file data, or ld.so maps it with a call of its own.
segments LOAD | grep RW | {
    read -r at file memory _ || echo "no data"
    up=$(((at + file + 4095) / 4096))
    [ $((at + memory)) -le $((up * 4096)) ] || echo "bss ends beyond page $up"
} | check "zeroed data fits the last page of the file's"
# Names that the library has itself, and has the loader find: those that it asks the program for.
readelf -rW "$lib" | awk '{ print $5 }' | sed 's/@.*//' | grep -xF "$(sed 's/@.*//' "$HK_SRC/tests/house/exported.txt")" | LC_ALL=C sort -u > "$tmp/found"
sed 's/[{};]//g' "$HK_SRC/lib/libhakmem.bound" | tr ' ' '\n' | grep . | LC_ALL=C sort | diff - "$tmp/found" | check "of its own names it asks for those of libhakmem.bound"
# The head of every request, as valgrind.h has it on this processor.
requests=$(printf '%s\n' "$code" | grep -cE 'rol +\$0x33,%rdi|ror +x12, x12, #61')
if [ -z "$code" ]; then
    echo "no code is seen"
elif grep -q -e '-DHK_VALGRIND' "${HK_BUILD:?}/Makefile"; then
    [ "$requests" -gt 5 ] || echo "$requests requests to valgrind in a build with --enable-valgrind"
else
    [ "$requests" = 0 ] || echo "$requests requests to valgrind"
fi | check "requests to valgrind in builds that are to have them, and in no others"
finish
