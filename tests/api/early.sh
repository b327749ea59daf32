# SPDX-License-Identifier: MIT
# What: malloc before the library's constructor and after other libraries' destructors.
# Why: loaders, IFUNC resolvers and other preloads allocate at any time; see early_lib.c.
. "${HK_SRC:?}/tests/house/tap.sh"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
# shellcheck disable=SC2086 # CC may carry flags
build() {
    ${CC:-cc} -D_GNU_SOURCE -O1 -fno-builtin -pthread "$@" tests/api/early_lib.c -ldl >> "$tmp/log" 2>&1
}
if ! build -fPIC -shared -o "$tmp/plain.so" || ! build -fPIC -shared -DEARLY_RESOLVER -o "$tmp/ifunc.so" ||
    ! build -DEARLY_RESOLVER -DEARLY_PROGRAM -o "$tmp/early"; then
    sed 's/^/# /' "$tmp/log"
    skip_all "the compiler has no IFUNC or no shared libraries"
fi

# run NAME PRELOAD PROGRAM...: silent if it prints the one line expected and exits with 0
run() {
    local name=$1 preload=$2 rc
    shift 2
    timeout -s KILL 120 env LD_PRELOAD="$preload" "$@" > "$tmp/out" 2>&1
    rc=$?
    {
        [ $rc -eq 0 ] || echo "exit code $rc"
        [ "$(cat "$tmp/out")" = "early and late: done" ] || head -n 5 "$tmp/out"
    } | check "$name"
}
plain=$tmp/plain.so ifunc=$tmp/ifunc.so
run "without the library" "$ifunc" /bin/true
run "a resolver in front" "$ifunc:${HK_LIB:?}" /bin/true
LD_BIND_NOW=1 run "a resolver in front, bound at once" "$ifunc:$HK_LIB" /bin/true
# A resolver behind would call malloc before the loader has relocated it: out of anybody's reach.
run "a constructor in front" "$plain:$HK_LIB" /bin/true
run "a constructor behind" "$HK_LIB:$plain" /bin/true
# What came before the settings were read has neither seal nor guard.
for level in 1 2; do
    HAKMEM_HARDENED=$level run "a constructor in front, hardened: $level" "$plain:$HK_LIB" /bin/true
    HAKMEM_HARDENED=$level run "a constructor behind, hardened: $level" "$HK_LIB:$plain" /bin/true
done
HK_EARLY=keys run "all thread keys taken in front" "$plain:$HK_LIB" /bin/true
HK_EARLY=keys run "all thread keys taken behind" "$HK_LIB:$plain" /bin/true
run "a program with a resolver" "$HK_LIB" "$tmp/early"
LD_BIND_NOW=1 run "a program with a resolver, bound at once" "$HK_LIB" "$tmp/early"
finish
