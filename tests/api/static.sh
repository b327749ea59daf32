# SPDX-License-Identifier: MIT
# What: libhakmem.a in static programs and in dynamic ones, in C and C++, and preloaded into those too.
# Why: a static link takes symbols one object at a time: what is missing, or there twice, shows only here.
. "${HK_SRC:?}/tests/api/tap.sh"
folder=$(dirname "$lib") source=$HK_SRC/tests/api cxx=${CXX:-c++}
[ -f "$folder/libhakmem.a" ] || { echo "1..0 # SKIP no static library was built"; exit 0; }
unset LD_PRELOAD
# shellcheck disable=SC2086 # CC and CXX may carry options
c() { $cc -O1 -fno-builtin -pthread -D_GNU_SOURCE -w -o "$dir/$1" "$source/static_work.c" "${@:2}" > "$dir/log" 2>&1; }
# shellcheck disable=SC2086
cpp() { $cxx -std=c++17 -O1 -pthread -o "$dir/$1" "${@:2}" > "$dir/log" 2>&1; }

# says NAME WANT COMMAND...
says() {
    local name=$1 want=$2 out
    shift 2
    out=$(timeout -s KILL 120 "$@" 2>&1)
    same "$name" "status $?: $out" "status 0: $want"
}
# linked NAME: the linker had nothing to say but that operator new may call dlopen
linked() {
    same "$1 links without a word" "$(grep -vE "dlopen|in function .hk_sys_loaded_function" "$dir/log")" ""
}
# without NAME PROGRAM PATTERN: no symbol of the other malloc's
without() {
    same "$1" "$(nm "$dir/$2" | grep -E "$3")" ""
}
glibc=' (_int_malloc|__libc_malloc|ptmalloc_init)$'

if c plain -static; then
    says "a static program without the library" another "$dir/plain"
    c static -static -L"$folder" -lhakmem
    linked "a static program"
    says "a static program" hakmem "$dir/static"
    without "the C library's malloc is not in it" static "$glibc"
    # Without RELRO the decision for hardened mode lies among variables, and stays writable.
    c norelro -static -L"$folder" -lhakmem -Wl,-z,norelro
    linked "a static program without RELRO"
    for level in 1 2; do
        says "a static program, hardened: $level" hakmem env HAKMEM_HARDENED=$level "$dir/static"
        says "a static program without RELRO, hardened: $level" hakmem env HAKMEM_HARDENED=$level "$dir/norelro"
    done
    says "each object of the archive in it" hakmem \
        sh -c "$cc"' -static -w -O1 -pthread -D_GNU_SOURCE -o "$0" "$1" -Wl,--whole-archive -L"$2" -lhakmem -Wl,--no-whole-archive 2> "$0.log" && "$0"' \
        "$dir/whole" "$source/static_work.c" "$folder"
    if c pie -static-pie; then
        c pie -static-pie -L"$folder" -lhakmem
        says "a static program that can lie anywhere" hakmem "$dir/pie"
    else
        skip "a static program that can lie anywhere" "not here"
    fi
    cpp static-cxx "$source/static_cxx.cc" -static -L"$folder" -lhakmem
    linked "a static program in C++"
    says "a static program in C++" hakmem "$dir/static-cxx"
    without "the C++ library's operator new is not in it" static-cxx 'new_op|_ZN9__gnu_cxx.*malloc_alloc| _int_malloc$'
    printf '%s\n' '#include <cstdio>' '#include <new>' 'int main() {' 'volatile std::size_t n = std::size_t(1) << 60;' \
        'try { char *volatile p = new char[n]; delete[] p; } catch (...) { return std::puts("thrown") < 0; } return 3; }' > "$dir/small.cc"
    cpp small "$dir/small.cc" -static -L"$folder" -lhakmem
    same "operator new that cannot throw says so" "$(timeout 60 "$dir/small" 2>&1)" "hakmem: out of memory in operator new: 0x0"
    cpp small "$dir/small.cc" -static -L"$folder" -lhakmem -Wl,-u,_ZSt17__throw_bad_allocv
    says "it throws where it can" thrown "$dir/small"
else
    skip "static programs" "the C library is not there as an archive"
fi

c dynamic -L"$folder" -l:libhakmem.a -ldl
linked "a dynamic program with the archive"
same "it does not need the shared library" "$(ldd "$dir/dynamic" | grep hakmem)" ""
says "a dynamic program with the archive" hakmem "$dir/dynamic"
says "and preloaded too" hakmem env LD_PRELOAD="$lib" "$dir/dynamic"
cpp dynamic-cxx "$source/static_cxx.cc" -L"$folder" -l:libhakmem.a -ldl
says "the same in C++" hakmem "$dir/dynamic-cxx"
says "in C++, and preloaded too" hakmem env LD_PRELOAD="$lib" "$dir/dynamic-cxx"
# Whose is it? Both tell at the end what they served; the program's own copy comes first in every search.
told=$(HAKMEM_STATS=1 timeout -s KILL 120 env -u HAKMEM_STATS_FILE LD_PRELOAD="$lib" "$dir/dynamic" little 2>&1 | sed -n 's/^allocations, tiny.* //p' | sort -n | tr '\n' ' ')
echo "# small blocks of the two copies: $told"
[[ $told =~ ^0\ [1-9][0-9]*\ $ ]]
result $? "the program's copy serves all, the preloaded one nobody"
finish
