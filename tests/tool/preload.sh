# SPDX-License-Identifier: MIT
# What: hakmem-preload: the file and what is made of it, libraries that are refused, status, the battery, and the way
#   back from a truncated library, where nothing dynamic starts.
# Why: a mistake in /etc/ld.so.preload stops a machine. All this is done in a tree of its own or in a mount namespace;
#   the real file is only looked at.
. "${HK_SRC:?}/tests/api/tap.sh"
tool=${HK_BUILD:?}/hakmem-preload tree=$dir/tree real=/etc/ld.so.preload
[ -x "$tool" ] || { echo "1..0 # SKIP no hakmem-preload was built"; exit 0; }
chmod 755 "$dir"
triplet=$(sed -n 's/^HK_MULTIARCH = //p' "$HK_BUILD/Makefile")
place=/usr/lib/$triplet/libhakmem.so.1 ours=$tree$place file=$tree/etc/ld.so.preload
mkdir -p "$tree/etc" "$tree/tmp" "${ours%/*}" "$tree/lib/$triplet" && : > "$tree/lib/$triplet/libc.so.6" && cp "$lib" "$ours" || exit 99
before=$(cat $real 2>&1)

# run ARGUMENT...: status, out (both streams) of the tool on the tree
run() {
    out=$("$tool" "$@" --root "$tree" 2>&1)
    status=$?
}
# says NAME STATUS TEXT ARGUMENT...: that status, and TEXT in what it says
says() {
    run "${@:4}"
    [ "$status" = "$2" ] && [[ $out == *"$3"* ]] || printf '# status %s, want %s; said: %s; want: %s\n' "$status" "$2" "$out" "$3"
    [ "$status" = "$2" ] && [[ $out == *"$3"* ]]
    result $? "$1"
}
# edits NAME BEFORE AFTER COMMAND...: of the file, with printf's escapes
edits() {
    printf "$2" > "$file"
    run "${@:4}"
    same "$1" "$status:$(cat "$file" 2>&1; echo .)" "0:$(printf "$3"; echo .)"
}

# --- arguments
says "no command" 2 "enable, disable, status or test?"
says "an unknown command" 2 "unknown command on (there are enable, disable, status and test)" on
says "an option of another command" 2 "disable does not take --library" disable --library /a
says "an argument too many" 2 "status takes no arguments, and got x" status x
says "a library by a relative name" 2 "--library: lib.so does not begin with /" enable --library lib.so
says "a row that there is not" 2 "test has no nothing" test nothing
same "the version" "$("$tool" --version)" "$("$HK_BUILD/hakmem-config" --version)"
out=$("$HK_BUILD/hakmem-config" preload status --root "$tree") status=$?
same "hakmem-config runs it" "$status ${out%%$'\n'*}" "3 $tree/etc/ld.so.preload: not enabled"

# --- the file
says "status: not enabled" 3 "not enabled" status
says "enable" 0 "/usr/\$LIB/libhakmem.so.1 is in it now" enable --no-test
same "the line, for all kinds of programs" "$(cat "$file")" '/usr/$LIB/libhakmem.so.1'
same "readable for all" "$(stat -c %a "$file")" 644
says "status: enabled" 0 "$ours is good" status
says "enable once more" 0 "already" enable --no-test
same "no double entry" "$(cat "$file")" '/usr/$LIB/libhakmem.so.1'
says "disable" 0 "not in it any more" disable
[ ! -e "$file" ]
result $? "the file is gone when nothing is left in it"
says "disable once more" 0 "does not have it" disable
[ ! -e "$file" ]
result $? "nor does that make one"

line='/usr/$LIB/libhakmem.so.1\n'
edits "enable: others stay" '# note\n/lib/a.so  b.so:c.so # and\n' '# note\n/lib/a.so  b.so:c.so # and\n'"$line" enable --no-test
edits "enable: a line without an end gets one" '/lib/a.so' '/lib/a.so\n'"$line" enable --no-test
edits "enable: another name of ours is replaced" 'a.so\n/opt/libhakmem.so.1\nb.so\n' 'a.so\nb.so\n'"$line" enable --no-test
edits "enable: one too many goes" "$line$line" "$line" enable --no-test
edits "enable: what is in a comment is not in it" '# /usr/$LIB/libhakmem.so.1\n' '# /usr/$LIB/libhakmem.so.1\n'"$line" enable --no-test
edits "disable: the first of a line" '/x/libhakmem.so.1 a.so\tb.so\n' ' a.so\tb.so\n' disable
edits "disable: the last" 'a.so:/x/libhakmem.so.1 \nb.so\n' 'a.so\nb.so\n' disable
edits "disable: in the midst, several times" 'a.so /x/libhakmem.so:libhakmem.so.1.0.0 b.so # libhakmem.so.1\n\n#\n' \
    'a.so b.so # libhakmem.so.1\n\n#\n' disable
edits "disable: the only one of a line with a comment" 'libhakmem.so.1# why\n' '# why\n' disable
edits "disable: names that are not ours" '/x/libhakmem.sox /libhakmem.so.1/y.so xlibhakmem.so.1\n' \
    '/x/libhakmem.sox /libhakmem.so.1/y.so xlibhakmem.so.1\n' disable
edits "disable: the last line without an end" 'a.so\nlibhakmem.so.1' 'a.so\n' disable
printf '\n \nlibhakmem.so.1\n' > "$file"
run disable
[ "$status" = 0 ] && [ ! -e "$file" ]
result $? "disable: blanks alone are nothing"

echo a.so > "$file" && chmod 640 "$file"
[ "$(id -u)" != 0 ] || chown 7:9 "$file"
owner=$(stat -c %u:%g:%a "$file")
run enable --no-test
same "mode and owner stay" "$(stat -c %u:%g:%a "$file")" "$owner"
run disable
same "also when it goes" "$(stat -c %u:%g:%a "$file") $(cat "$file")" "$owner a.so"
inode=$(stat -c %i "$file")
says "enable: a dry run tells" 0 $'would be:\na.so\n/usr/$LIB/libhakmem.so.1' enable --no-test --dry-run
same "and changes nothing" "$(stat -c %i "$file") $(cat "$file")" "$inode a.so"
exec 8< "$file"
run enable --no-test
same "a new file takes the old one's place" "$(cat <&8)" "a.so"
exec 8<&-
says "disable: a dry run tells" 0 $'would be:\na.so' disable --dry-run
same "nothing else is left there" "$(ls -A "$tree/etc")" ld.so.preload
rm "$file"
mkdir "$tree/other" && echo a.so > "$tree/other/real" && ln -s ../other/real "$file"
run enable --no-test
same "a link stays one" "$(readlink "$file") $(tr '\n' ' ' < "$tree/other/real")" '../other/real a.so /usr/$LIB/libhakmem.so.1 '
ln -sf "$dir/outside" "$file" && echo a.so > "$dir/outside"
says "but out of the tree none is followed" 1 "leads out of the tree" enable --no-test
same "and that file stays" "$(cat "$dir/outside")" a.so
rm "$file"
if [ "$(id -u)" != 0 ]; then
    chmod 555 "$tree/etc"
    says "who may not is told" 1 "cannot change" enable --no-test
    chmod 755 "$tree/etc"
elif command -v setpriv > /dev/null; then
    out=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$tool" enable --no-test --root "$tree" 2>&1)
    [ $? = 1 ] && [[ $out == *"cannot change"*denied* ]]
    result $? "who may not is told"
    out=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$tool" enable --no-test 2>&1)
    same "the machine's is root's" "$out" "hakmem-preload: enable: only root can change /etc/ld.so.preload"
    out=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$tool" disable 2>&1)
    same "its disabling too" "$out" "hakmem-preload: disable: only root can change /etc/ld.so.preload"
fi

# --- libraries
# refused NAME TEXT: what lies at the place is refused by enable, told by status, and can be taken out
refused() {
    rm -f "$file"
    run enable --no-test
    local said="$status $out" told
    [ ! -e "$file" ] || said="written: $said"
    echo '/usr/$LIB/libhakmem.so.1' > "$file"
    run status
    told="$status $out"
    run disable
    [[ $said == "1 "*"$2"* && $told == "1 "*"$2"* && $status == 0 && ! -e $file ]] ||
        printf '# want: %s; enable: %s; status: %s; disable: %s %s\n' "$2" "$said" "$told" "$status" "$out"
    [[ $said == "1 "*"$2"* && $told == "1 "*"$2"* && $status == 0 && ! -e $file ]]
    result $? "refused, told, taken out: $1"
}
bytes=$(stat -Lc %s "$lib")
rm "$ours"
refused "missing" "is missing"
: > "$ours"
refused "empty" "is truncated: it is empty"
for n in 3 50 64 1000 $((bytes / 2)) $((bytes - 1)); do
    head -c "$n" "$lib" > "$ours"
    refused "cut after $n bytes" "is truncated"
done
head -c 100000 /dev/zero > "$ours"
refused "zeroes" "is bad: it is no ELF file"
# patched OFFSET BYTES: the library with these bytes there
patched() {
    cp "$lib" "$ours" && printf "$2" | dd of="$ours" bs=1 seek="$1" conv=notrunc status=none
}
patched 18 '\050\000'
refused "of another machine" "is bad: it is for another machine"
patched 4 '\001'
refused "of 32 bits" "is bad: it is for another machine"
patched 16 '\002\000'
refused "a program" "is bad: it is no shared library"
patched 40 '\377\377\377\377\377\377\377\177'
refused "a table beyond all files" "is bad: it is no shared library"
patched 40 '\370\377\377\377\377\377\377\177'
refused "a table beyond the end" "is truncated"
patched 96 '\377\377\377\377\377\377\377\177'
refused "a segment beyond the end" "is truncated"
rm "$ours" && mkdir "$ours"
refused "a folder" "is bad: it is no file"
rmdir "$ours"
# shellcheck disable=SC2086 # CC may carry options
compile() { $cc -shared -fPIC -fno-builtin -w -x c -o "$ours" - "$@" 2> "$dir/log"; }
if compile <<< 'int a;'; then
    refused "without malloc" "is bad: it has no malloc"
    family='void *malloc(unsigned long n) { return 0; } void free(void *p) {}'
    compile <<< "$family"
    refused "of another malloc" "is bad: it has a malloc, but is not hakmem"
    compile <<< "$family const char *hakmem_version(void) { return 0; }"
    says "one that has all" 0 "is in it now" enable --no-test
    echo 'V1 { global: malloc; };' > "$dir/map"
    compile -Wl,--version-script="$dir/map" <<< "$family const char *hakmem_version(void) { return 0; }"
    refused "with a version on malloc" "is bad: its malloc has a version"
    compile -Wl,--no-as-needed -lm <<< "$family const char *hakmem_version(void) { return 0; }"
    refused "that needs another" "is bad: it needs libm.so.6"
else
    skip "libraries without malloc, or that need others" "no compiler"
fi
cp "$lib" "$ours"
mkdir -p "$tree/opt/a b" && cp "$lib" "$tree/opt/libhakmem.so.1" && cp "$lib" "$tree/opt/a b/libhakmem.so.1" && cp "$lib" "$tree/opt/mine.so"
edits "enable: a library elsewhere is named by its path" '' '/opt/libhakmem.so.1\n' enable --no-test --library /opt/libhakmem.so.1
says "its status" 0 "/opt/libhakmem.so.1 is good" status
edits "disable: it" '/opt/libhakmem.so.1\na.so\n' 'a.so\n' disable
says "a name that the file cannot hold" 1 "cannot have blanks" enable --no-test --library "/opt/a b/libhakmem.so.1"
says "a name that would not be found again" 1 "is to be named libhakmem.so.1" enable --no-test --library /opt/mine.so
# The machine's own file, without changing it.
cp "$lib" "$dir/libhakmem.so.1" && chmod 777 "$dir/libhakmem.so.1"
out=$("$tool" enable --no-test --dry-run --library "$dir/libhakmem.so.1" 2>&1)
[ $? = 1 ] && [[ $out == *"is not for everybody's programs"* ]]
result $? "a library that others can write to"
cp "$lib" "$tree/opt/other.so"
echo /opt/other.so > "$file"
says "another malloc that would come first is told of" 0 "/opt/other.so is in it too, before hakmem" enable --no-test
rm -f "$file"

# --- status: processes
[[ $("$tool" status --root "$tree" --json) == *'"processes": 0,'* ]] && {
    LD_PRELOAD=$ours sleep 1000 &
    user=$!
    until grep -q libhakmem "/proc/$user/maps"; do sleep 0.01; done
    says "status: a process has it" 3 "processes that have it: 1, of them with a file that was replaced or removed: 0" status
    cp "$lib" "$ours.new" && mv "$ours.new" "$ours"
    says "status: it was replaced since" 3 "processes that have it: 1, of them with a file that was replaced or removed: 1" status
    kill $user
    wait $user 2> /dev/null
}
echo '/usr/$LIB/libhakmem.so.1 "q".so' > "$file"
python=$(command -v python3)
if [ -n "$python" ]; then
    "$tool" status --root "$tree" --json | "$python" -c "import json, sys; j = json.load(sys.stdin)
sys.exit(not (j['enabled'] is True and j['entries'][0]['state'] == 'good' and j['entries'][0]['path'] == '$ours' and len(j['entries']) == 1 and j['processes'] == 0))"
    result $? "status --json"
else
    skip "status --json" "no python3"
fi
rm "$file"
. "$HK_SRC/tests/tool/preload_apart.sh"
same "the machine's file is as it was" "$(cat $real 2>&1)" "$before"
finish
