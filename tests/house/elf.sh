# SPDX-License-Identifier: MIT
# What: the shape of the shared object: needs libc alone, hardened, small TLS, cheap to map.
# Why: a preload's missing dependency stops every program; each extra mapping is paid at each exec.
. "${HK_SRC:?}/tests/house/tap.sh"
lib=${HK_LIB:?}
[ -f "$lib" ] || skip_all "no shared library was built"
dyn=$(readelf -dW "$lib") seg=$(readelf -lW "$lib")
printf '%s\n' "$dyn" | grep NEEDED | grep -v '\[libc\.so\.6\]' | check "needs libc.so.6 alone"
{ printf '%s\n' "$dyn" | grep -q 'SONAME.*\[libhakmem\.so\.1\]' || echo missing; } | check "soname is libhakmem.so.1"
printf '%s\n' "$dyn" | grep TEXTREL | check "no text relocations"
for flag in NOW NODELETE; do
    printf '%s\n' "$dyn" | grep -q "FLAGS_1.*$flag" || echo "no $flag"
done | check "bound at load, never unloaded"
{ printf '%s\n' "$dyn" | grep -qE 'STATIC_TLS' || echo "no STATIC_TLS"; } | check "initial-exec TLS"
{ printf '%s\n' "$seg" | grep -q GNU_RELRO || echo "no RELRO"; } | check "relocations are read-only after load"
printf '%s\n' "$seg" | grep 'GNU_STACK' | grep 'RWE' | check "no executable stack"
printf '%s\n' "$seg" | awk '$1 == "TLS" && strtonum($6) > 1024 { print "TLS is " $6 " bytes" }' | check "at most 1 KiB of TLS"
printf '%s\n' "$seg" | awk '$1 == "LOAD"' | awk 'END { if (NR > 2) print NR " segments" }' | check "two segments to map"
# Zeroed data must end within the last page of file data, or ld.so maps it with a call of its own.
printf '%s\n' "$seg" | awk '$1 == "LOAD" && $7 ~ /W/ {
    up = int((strtonum($3) + strtonum($5) + 4095) / 4096); if (strtonum($3) + strtonum($6) > up * 4096) print "bss ends beyond page " up }' |
    check "zeroed data fits the last page of the file's"
# The head of every request, as valgrind.h has it on this processor.
requests=$(objdump -d --no-show-raw-insn "$lib" | grep -cE 'rol +\$0x33,%rdi|ror +x12, x12, #61')
if grep -q -e '-DHK_VALGRIND' "${HK_BUILD:?}/Makefile"; then
    [ "$requests" -gt 5 ] || echo "$requests requests to valgrind in a build with --enable-valgrind"
else
    [ "$requests" = 0 ] || echo "$requests requests to valgrind"
fi | check "requests to valgrind in builds that are to have them, and in no others"
finish
