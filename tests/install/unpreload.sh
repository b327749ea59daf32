# SPDX-License-Identifier: MIT
# What: what the packages' scripts do to ld.so.preload: our line goes, each way it can be written; nothing else does.
# Why: the file is read by every program that starts, and other people's lines are in it.
. "${HK_SRC:?}/tests/house/tap.sh"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
list=$dir/ld.so.preload
# As /bin/sh has it.
unpreload() { sh -ec '. "$0/packages/unpreload"; unpreload "$@"' "$HK_SRC" "$@"; }
# becomes NAME BEFORE AFTER [LIBRARY]: all as printf takes them; AFTER is "gone" for no file.
becomes() {
    printf "$2" > "$list"
    {
        unpreload "$list" "${5-lib/x86_64-linux-gnu}" "${4-libhakmem.so.1}" || echo "status $?"
        if [ "$3" = gone ]; then [ ! -e "$list" ] || echo "there is still: $(cat "$list")"; else printf "$3" | diff - "$list"; fi
        [ ! -e "$list.hakmem" ] || echo "$list.hakmem is left"
    } 2>&1 | check "$1"
}
ours=/usr/lib/x86_64-linux-gnu/libhakmem.so.1
becomes "our line alone" "$ours\n" gone
becomes "without an end of line" "$ours" gone
becomes "with \$LIB" '/usr/$LIB/libhakmem.so.1\n' gone
becomes "with \${LIB}" '/usr/${LIB}/libhakmem.so.1\n' gone
becomes "below /lib" '/lib/x86_64-linux-gnu/libhakmem.so.1\n' gone
becomes "by its name alone" 'libhakmem.so.1\n' gone
becomes "another's line stays" "/opt/liba.so\n$ours\n/opt/libb.so\n" '/opt/liba.so\n/opt/libb.so\n'
becomes "what is on the same line stays" "/opt/liba.so $ours:/opt/libb.so\n" '/opt/liba.so :/opt/libb.so\n'
becomes "twice and by two names" "$ours $ours\t/a.so\nlibhakmem.so.1\n" ' \t/a.so\n'
becomes "comments stay" "# $ours is ours\n$ours # hakmem\n$ours# it\n" "# $ours is ours\n # hakmem\n# it\n"
becomes "empty lines stay" "\n/a.so\n\n$ours\n" '\n/a.so\n\n'
becomes "other libraries of such names stay" '/usr/local/lib/libhakmem.so.1\n/usr/lib/x86_64-linux-gnu/libhakmem.so.10\n/opt/xlibhakmem.so.1\n/usr/lib/x86_64-linux-gnu/libhakmem_so.1\n' \
    '/usr/local/lib/libhakmem.so.1\n/usr/lib/x86_64-linux-gnu/libhakmem.so.10\n/opt/xlibhakmem.so.1\n/usr/lib/x86_64-linux-gnu/libhakmem_so.1\n'
becomes "the debug library stays with the other's going" '/usr/$LIB/hakmem-debug/libhakmem.so.1\n' '/usr/$LIB/hakmem-debug/libhakmem.so.1\n'
becomes "and goes with its own, alone" "/usr/\$LIB/hakmem-debug/libhakmem.so.1\n$ours\n" "$ours\n" hakmem-debug/libhakmem.so.1
becomes "RPM's folder" '/usr/lib64/libhakmem.so.1\n/a.so\n' '/a.so\n' libhakmem.so.1 lib64
becomes "bytes that are no text" '\377\200\n/a\377.so\n'"$ours\n" '\377\200\n/a\377.so\n'
rm -f "$list"
unpreload "$list" lib libhakmem.so.1 2>&1 | check "no such file"
unpreload "$dir/none/none" lib libhakmem.so.1 2>&1 | check "nor its folder"

printf '/a.so\n%s\n' $ours > "$list" && chmod 660 "$list" && ln "$list" "$dir/old"
unpreload "$list" lib/x86_64-linux-gnu libhakmem.so.1 2>&1 | check "a file with a mode"
{
    [ "$(stat -c %a "$list")" = 660 ] || echo "mode $(stat -c %a "$list")"
    [ "$(wc -l < "$dir/old")" = 2 ] || echo "the old file was written to"
} | check "keeps it, and is replaced whole"
mkdir "$dir/elsewhere" && printf '%s\n' $ours > "$dir/elsewhere/list" && ln -sf "$dir/elsewhere/list" "$list"
unpreload "$list" lib/x86_64-linux-gnu libhakmem.so.1 2>&1 | check "a link"
{ [ -L "$list" ] && [ -f "$dir/elsewhere/list" ] && [ ! -s "$dir/elsewhere/list" ] || echo "no longer a link, or the line is there"; } | check "stays one"
grep -n '%' packages/unpreload | check "RPM would find no macro in it"
finish
