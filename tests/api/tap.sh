# SPDX-License-Identifier: MIT
# What: TAP and a work folder for the scripted black-box tests.
# Why: what needs several processes, or none preloaded, is easier told in shell.
lib=${HK_LIB:?} cc=${CC:-cc} count=0 failed=0
[ -f "$lib" ] || { echo "1..0 # SKIP no shared library was built"; exit 0; }
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
# result STATUS NAME: ok if STATUS is 0.
result() {
    count=$((count + 1))
    if [ "$1" = 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2" && failed=1; fi
}
# same NAME GOT WANT
same() {
    [ "$2" = "$3" ] || printf '# got:  %s\n# want: %s\n' "$2" "$3"
    [ "$2" = "$3" ]
    result $? "$1"
}
skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}
finish() {
    echo "1..$count"
    exit $failed
}
# build NAME [ARGUMENT...]: compile the program on standard input to $dir/NAME.
build() {
    local out=$dir/$1
    shift
    # shellcheck disable=SC2086 # CC may carry options
    $cc -x c -O1 -fno-builtin -pthread -D_GNU_SOURCE -o "$out" - "$@" || { echo "Bail out! no compiler"; exit 99; }
}
