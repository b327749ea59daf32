# SPDX-License-Identifier: MIT
# What: the part of preload.sh that needs mount namespaces: the battery, and a machine that nothing dynamic starts on.
# Why: skipped where they are not allowed.

# --- the battery
# battery NAME STATUS TEXT ARGUMENT...: of this machine's programs
battery() {
    out=$("$tool" test "${@:4}" 2>&1)
    status=$?
    [ "$status" = "$2" ] && [[ $out == *"$3"* ]] || printf '# status %s, want %s; said: %s; want: %s\n' "$status" "$2" "$out" "$3"
    [ "$status" = "$2" ] && [[ $out == *"$3"* ]]
    result $? "$1"
}
# Readable for all, so that nothing is said of it.
mkdir "$dir/mine" && cp "$lib" "$dir/mine/libhakmem.so.1" && chmod 755 "$dir/mine"
mine=$dir/mine/libhakmem.so.1
same "the battery's rows" "$("$tool" test --list mapped | tr -s ' ')" "mapped quick needs grep"
out=$("$tool" test --library "$mine" mapped 2>&1)
if [ $? = 4 ]; then
    [[ $out == *"cannot be tried apart"* ]]
    result $? "it says that it cannot be done here"
    says "enable does not do without" 4 "not enabled, as it could not be tried" enable
    [ ! -e "$file" ]
    result $? "and writes nothing"
    skip "the battery, and the way back" "no mount namespaces here"
    return
fi
battery "programs are run without and with it" 0 "mapped           same" --library "$mine" mapped
battery "rows by name" 0 "2 the same without and with it, 0 failed" --library "$mine" mapped sh
[ -z "$python" ] || {
    "$tool" test --library "$mine" --json mapped sh 2> /dev/null | "$python" -c "import json, sys; j = json.load(sys.stdin)
sys.exit(not (j['same'] == 2 and [r['name'] for r in j['rows']] == ['mapped', 'sh'] and j['rows'][0]['verdict'] == 'same'))"
    result $? "test --json"
}
same "no folder is left of it" "$(find "${TMPDIR:-/tmp}" /tmp -maxdepth 1 -name 'hakmem-preload.*' -newer "$mine" 2> /dev/null)" ""

# broken CODE: a library that has all but ends every program, or does what CODE says in each
broken() {
    # shellcheck disable=SC2086
    $cc -shared -fPIC -w -x c -o "$mine" - <<< "#include <stdlib.h>
#include <unistd.h>
const char *hakmem_version(void) { return 0; }
extern void *__libc_malloc(size_t), __libc_free(void *);
void *malloc(size_t n) { return __libc_malloc(n); }
void free(void *p) { __libc_free(p); }
__attribute__((constructor)) static void start(void) { $1 }" 2> /dev/null
}
if broken 'abort();'; then
    battery "a library that ends programs" 1 "FAILED: ended by signal 6" --library "$mine" sh
    broken '_exit(0);'
    battery "one that makes them say nothing" 1 "sh               FAILED: says: " --library "$mine" sh
    broken 'write(2, "hakmem: hello\n", 14);'
    battery "one that says something in them" 1 "FAILED: hakmem: hello" --library "$mine" mapped
else
    skip "a library that ends programs" "no compiler"
fi

# In a tree of its own, with a shell that is static: what programs do there is up to this test.
busybox=$(command -v busybox)
if [ -n "$busybox" ] && ! readelf -lW "$busybox" 2> /dev/null | grep -q INTERP; then
    mkdir -p "$tree/bin" "$tree/usr/bin" "$tree/dev" && cp "$busybox" "$tree/bin/sh" && : > "$tree/dev/null" && chmod 755 "$tree/tmp"
    # stands NAME WHAT: a program of that name
    stands() { printf '#!/bin/sh\n%s\n' "$2" > "$tree/usr/bin/$1" && chmod 755 "$tree/usr/bin/$1"; }
    stands grep 'cat /etc/ld.so.preload 2> /dev/null | wc -l'
    stands cat 'while read -r x; do echo "$x"; done < "$1"'
    stands wc 'n=0; while read -r x; do n=$((n + 1)); done; echo $n'
    says "each run has an ld.so.preload of its own" 0 "mapped           same" test mapped
    echo a.so > "$file"
    says "others' lines are in both" 1 "mapped           FAILED: the library does not get into programs, or does without the file" test mapped
    rm "$file"
    stands rpm 'echo $1; exit 3'
    says "what fails without it is not judged" 0 "rpm              not judged: status 3 without" test rpm
    stands rpm '[ -e /etc/ld.so.preload ] && exit 4; echo $1'
    says "what fails with it fails" 1 "rpm              FAILED" test rpm
    stands rpm '[ -e /etc/ld.so.preload ] && echo other; echo $1'
    says "what differs fails" 1 "rpm              FAILED: says: other" test rpm
    stands rpm 'echo $$; exit 0'
    says "what always differs does not" 0 "rpm              same: what it says differs anyway" test rpm
    rm "$tree/usr/bin/rpm"
    says "what is not there is said" 0 "rpm              not here: no rpm" test rpm
    long=9871.$$ # no other run's
    stands grep "sleep $long & (sleep $long &) ; wait"
    stands sleep 'exec /bin/sleep "$@"'
    cp "$busybox" "$tree/bin/sleep"
    says "what does not end is ended" 0 "mapped           not judged: not done in time" test mapped
    same "with all that it has started" "$(find /proc -maxdepth 2 -name cmdline -exec grep -lz "^$long\$" {} + 2> /dev/null)" ""
    stands grep 'echo 0'
    says "enable tries first" 1 "not enabled" enable
    [ ! -e "$file" ]
    result $? "and writes nothing then"
    stands grep '[ -e /etc/ld.so.preload ] && echo 1 || echo 0'
    for t in ls sort cksum; do stands $t ':'; done
    says "enable writes if all is well" 0 "is in it now" enable
    rm -f "$file"
else
    skip "the battery in a tree of its own" "no static busybox"
fi

# --- a machine on which nothing dynamic starts
if readelf -lW "$tool" | grep -q INTERP; then
    skip "the way back from a truncated library" "the tool is not static here"
    return
fi
apart=(unshare -m)
[ "$(id -u)" = 0 ] && unshare -m true 2> /dev/null || apart=(unshare -Urm)
echo a.so > "$file"
# shellcheck disable=SC2016
out=$("${apart[@]}" sh -c 'mount --bind "$1" "$1" && "$2" enable --no-test --root "$3"' sh "$file" "$tool" "$tree" 2>&1)
same "where something is mounted over the file it says so" "$out" "hakmem-preload: cannot change $file: Device or resource busy (something is mounted there)"
same "and leaves nothing" "$(ls -A "$tree/etc") $(cat "$file")" "ld.so.preload a.so"
rm "$file"
head -c 65536 "$lib" > "$dir/mine/libhakmem.so.1"
# shellcheck disable=SC2016 # for the inner shell; echo is its own
out=$("${apart[@]}" sh -c 'mkdir "$1/etc" && mount -t tmpfs none "$1/etc" && cp /etc/ld.so.cache "$1/etc" && mount --bind "$1/etc" /etc &&
    echo "a.so
$2" > /etc/ld.so.preload || exit
    exec 2> /dev/null
    /bin/true; echo "true $?"
    "$3" status; echo "status $?"
    "$3" disable; echo "disable $?"
    read -r x < /etc/ld.so.preload; echo "left $x"
    /bin/true; echo "true $?"' sh "$dir" "$mine" "$tool" 2>&1 | sed 's/^processes.*/processes/')
same "where the library is truncated programs are ended, but not the tool, which takes it out" "$out" "true 135
/etc/ld.so.preload: enabled
  $mine: $mine is truncated: it has 65536 bytes of $bytes
processes
status 1
/etc/ld.so.preload: it is not in it any more
disable 0
left a.so
true 0"
