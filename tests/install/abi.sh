# SPDX-License-Identifier: MIT
# What: programs linked with a recorded release work with this library; what would break them is noticed.
# Why: a field that moves or a function that goes breaks programs that are not built here.
. "${HK_SRC:?}/tests/api/tap.sh"
out=$("$HK_SRC/build-aux/abi" compare "$HK_SRC" "$lib" 2>&1)
status=$?
[ $status != 77 ] || { echo "1..0 # SKIP $out" && exit 0; }
readelf -p .comment "$lib" | grep -q 'GCC:' && ! readelf -p .comment "$lib" | grep -q clang || { echo "1..0 # SKIP the records are of gcc's" && exit 0; }
[ $status = 0 ] || printf '%s\n' "$out" | sed 's/^/# /'
result $status "this library is what the records say"

code=$(sed -n 's/^HK_CODE = //p' "${HK_BUILD:?}/Makefile") defines=$(sed -n 's/^HK_DEFINES = //p' "$HK_BUILD/Makefile")
# variant NAME [SED-COMMAND]: the library with its interface as the command changes it: its upper layer built anew.
variant() {
    rm -rf "${dir:?}/v" && mkdir "$dir/v" && cp -r "$HK_SRC/include" "$dir/v" && cp -r "$HK_SRC/lib/api" "$dir/v/api" &&
        chmod -R u+w "$dir/v" || return 1
    [ -z "${2-}" ] || sed -i -E "$2" "$dir"/v/include/hakmem.h "$dir"/v/api/*.c
    [ -z "${2-}" ] || ! diff -r "$HK_SRC/include" "$dir/v/include" > "$dir/changed" || return 1
    # shellcheck disable=SC2086 # words
    $cc -std=gnu11 -D_GNU_SOURCE -g -O1 -w -fPIC -DPIC -shared $code $defines -I"$dir/v" -I"$dir/v/include" -I"$HK_SRC/lib" "$dir"/v/api/*.c \
        "$HK_BUILD/lib/.libs/libhkcore.a" "$HK_BUILD/lib/.libs/libhkcxx.a" -Wl,-soname,libhakmem.so.1 \
        -Wl,--version-script="$HK_SRC/lib/libhakmem.map" -o "$dir/variant.so" > "$dir/log" 2>&1 || { sed 's/^/# /' "$dir/log" && return 1; }
}
compare() { "$HK_SRC/build-aux/abi" compare "$HK_SRC" "$dir/variant.so" > "$dir/said" 2>&1; }
kept() {
    variant "$@" && compare
    result $? "accepted: $1"
}
broken() {
    variant "$@" || { result 1 "it can be built: $1" && return; }
    compare
    [ $? = 1 ]
    result $? "noticed: $1"
}
kept "built anew"
kept "a field at the end of hakmem_stats" 's/^( *)(uint64_t guarded_allocs;.*)/\1\2\n\1uint64_t more;/'
kept "one more function" 's/^void hakmem_set_limit.*;/&\nvoid hakmem_more(void);/; s/^HK_EXPORT void hakmem_set_limit\(/HK_EXPORT void hakmem_more(void) {}\n&/'
broken "a field in the midst of hakmem_stats" 's/^( *)uint64_t mid_allocs;.*/\1uint64_t more;\n&/'
broken "a field that is narrower" 's/uint64_t decay_ms;/uint32_t decay_ms;/'
broken "a function that takes something else" 's/hakmem_trim\(size_t pad\)/hakmem_trim(int pad)/'
broken "a function that returns something else" 's/^(HK_EXPORT )?void hakmem_set_limit\(/\1long hakmem_set_limit(/'
broken "a function that is gone" 's/hakmem_set_limit/hk_set_limit/'

# ---- the other processor's, in one go: what it is made of is no matter here ----
cross=aarch64-linux-gnu
if command -v $cross-gcc > /dev/null && command -v $cross-g++ > /dev/null && [ "$(uname -m)" != aarch64 ]; then
    # crossed [SED-COMMAND]
    crossed() {
        rm -rf "${dir:?}/v" && mkdir "$dir/v" && cp -r "$HK_SRC/include" "$HK_SRC/lib" "$dir/v" && chmod -R u+w "$dir/v" || return 1
        rm "$dir/v/lib/os/fault.c" "$dir/v/lib/front/check.c"
        sed -i -E "${1-}" "$dir"/v/include/hakmem.h
        # shellcheck disable=SC2086 # words
        $cross-gcc -std=gnu11 -D_GNU_SOURCE -g -O0 -w -fPIC -DPIC -shared $code $defines -I"$HK_BUILD" -I"$dir/v/lib" -I"$dir/v/include" "$dir"/v/lib/*/*.c \
            -x c++ -std=gnu++17 -fno-rtti "$dir/v/lib/api/nothrow.cc" -Wl,-soname,libhakmem.so.1 -Wl,--version-script="$HK_SRC/lib/libhakmem.map" -o "$dir/variant.so" > "$dir/log" 2>&1 ||
            { sed 's/^/# /' "$dir/log" && return 1; }
    }
    crossed && compare && ! grep -q "no record" "$dir/said" || { sed 's/^/# /' "$dir/said" && false; }
    result $? "accepted: the library for 64-bit Arm"
    crossed 's/^( *)uint64_t mid_allocs;.*/\1uint64_t more;\n&/' && { compare; [ $? = 1 ]; }
    result $? "noticed: a field in the midst of its hakmem_stats"
else
    skip "the library for 64-bit Arm" "no compiler for it"
fi
finish
