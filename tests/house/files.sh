# SPDX-License-Identifier: MIT
# What: sizes of files and functions, the card at the top of each file, SPDX everywhere.
# Why: small files with a card can be read one at a time.
. "${HK_SRC:?}/tests/house/tap.sh"

for f in lib/*/*.c lib/*/*.cc tools/*.c tools/*/*.c tests/*/*.c tests/*/*.cc examples/*.c examples/*.cc; do
    [ -f "$f" ] || continue
    n=$(wc -l < "$f")
    [ "$n" -le 500 ] || echo "$f has $n lines"
done | check "source files have at most 500 lines"

for f in lib/*/*.h tools/*.h tools/*/*.h include/*.h include/*/*.hpp tests/*.h tests/*/*.h; do
    [ -f "$f" ] || continue
    n=$(wc -l < "$f")
    [ "$n" -le 250 ] || echo "$f has $n lines"
done | check "headers have at most 250 lines"

# A function starts at a brace in column 1 and ends at the next closing one.
awk '/^\{/ { start = FNR } /^\}/ { if (start && FNR - start > 61) print FILENAME ":" start ": " FNR - start - 1 " lines"; start = 0 }' \
    lib/*/*.c lib/*/*.cc tools/*.c tools/*/*.c tests/*/*.c tests/*/*.cc | check "functions have at most 60 lines"

for f in lib/*/*.[ch] lib/*/*.cc lib/*/*.def tools/*.[ch] tools/*/*.[ch] tools/*/*.def; do
    head -n 1 "$f" | grep -q 'SPDX-License-Identifier: MIT' || echo "$f: no SPDX line first"
    card=$(awk 'FNR > 1 { print } /\*\// && FNR > 1 { exit }' "$f")
    printf '%s\n' "$card" | grep -q 'What: ' || echo "$f: the card has no What"
    printf '%s\n' "$card" | grep -q 'Why: ' || echo "$f: the card has no Why"
    [ "$(printf '%s\n' "$card" | wc -l)" -le 40 ] || echo "$f: the card is longer than 40 lines"
done | check "every file of the library and of the tool opens with a card"

for f in tests/*/*.c tests/*/*.sh tests/*.h include/*.h include/*/*.hpp examples/*.c examples/*.cc configure.ac Makefile.am lib/*.am tools/*.am tests/*.am bootstrap hakmem-run; do
    head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' || echo "$f: no SPDX line"
done | check "SPDX lines"

tracked=$(git -c safe.directory='*' ls-files 2> /dev/null)
if [ -e .git ] && [ -z "$tracked" ]; then
    echo "git does not tell what it tracks"
fi | check "git tells what it tracks, if this is a clone"
printf '%s\n' "$tracked" | while read -r f; do
    [ "$(head -c 4 "$f" 2> /dev/null | tr -d '\0')" != "$(printf '\177ELF')" ] || echo "$f is a binary"
done | check "no binary is kept under version control"

grep -nE '\b(TODO|FIXME|XXX)\b' lib/*/*.[ch] tools/*.[ch] tools/*/*.[ch] include/*.h include/*/*.hpp | check "no promises in the code"
grep -nE '^[[:space:]]*#[[:space:]]*if 0' lib/*/*.[ch] tools/*.[ch] tools/*/*.[ch] tests/*/*.c | check "no dead code"
finish
