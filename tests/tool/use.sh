# SPDX-License-Identifier: MIT
# What: programs built with what make install made, after that was moved: the examples by pkg-config and by CMake,
#   shared and static, those of the manual, and the C++ header with both compilers.
# Why: the build tree is not what users have.
. "${HK_SRC:?}/tests/api/tap.sh"
. "$HK_SRC/tests/tool/installed.sh"
cd "$dir" || exit 99
unset LD_PRELOAD
cxx=${CXX:-c++}
staged stage install || { echo "Bail out! make install"; exit 99; }
case $libdir in
"$prefix"/*) ;;
*) echo "1..0 # SKIP the libraries are not below the prefix" && exit 0 ;;
esac
mv "stage$prefix" "$dir/moved"
lib_moved=$dir/moved${libdir#"$prefix"} include=$("$HK_BUILD/hakmem-config" --includedir)
include=$dir/moved${include#"$prefix"}
examples=$(make_value examplesdir)
examples=$dir/moved${examples#"$prefix"}
export LD_LIBRARY_PATH=$lib_moved PKG_CONFIG_PATH=$lib_moved/pkgconfig
# works NAME COMMAND...
works() {
    local name=$1
    shift
    "$@" > log 2>&1 || { tail -n 20 log | sed 's/^/# /'; false; }
    result $? "$name"
}

# --- pkg-config

at="pkg-config --define-variable=prefix=$dir/moved"
if command -v pkg-config > /dev/null; then
    words() { tr ' ' '\n' | grep . | tr '\n' ' '; }
    same "pkg-config: where it was moved to" "$($at --cflags --libs hakmem | words)" "-I$include -L$lib_moved -lhakmem "
    same "pkg-config --static" "$($at --static --libs hakmem | words)" "-L$lib_moved -lhakmem -pthread "
    if [ "$libdir" = "$prefix/lib" ]; then
        same "pkg-config finds out by itself" "$(pkg-config --define-prefix --libs hakmem | words)" "-L$lib_moved -lhakmem "
    fi
    same "pkg-config: below a system root" "$(PKG_CONFIG_SYSROOT_DIR=/root-of pkg-config --variable=libdir hakmem | sed 's|^/root-of||')" "$libdir"
    same "pkg-config: the version" "$(pkg-config --modversion hakmem)" "$("$HK_BUILD/hakmem-config" --version)"
    cp -r "$examples" examples && chmod -R u+w examples
    works "the examples build and run" "$make_" -C examples check "PKG_CONFIG=$at" CC="$cc" CXX="$cxx"
    same "all of them" "$(grep -c '^== ' log)" "$(find examples -name '*.c' -o -name '*.cc' | wc -l)"
    same "with the shared library" "$(ldd examples/stats | grep -o 'libhakmem.so.1 => .*/libhakmem.so.1')" "libhakmem.so.1 => $lib_moved/libhakmem.so.1"
    if [ -f "$lib_moved/libhakmem.a" ] && echo 'int main(void) { return 0; }' | $cc -x c -static -o any - 2> /dev/null; then
        works "the examples build and run with the static one" "$make_" -C examples clean check STATIC=yes "PKG_CONFIG=$at" CC="$cc" CXX="$cxx"
        same "they need none then" "$(readelf -d examples/stats examples/pmr | grep NEEDED)" ""
    else
        skip "the examples with the static library" "no static libraries"
    fi
else
    skip "pkg-config" "it is not installed"
fi
works "the example of settings is right" "$HK_BUILD/hakmem-config" check "$examples/hakmem.conf"
[ ! -x /usr/bin/python3 ] || works "the example in Python" env LD_PRELOAD="$lib" /usr/bin/python3 "$examples/wordcount.py"

# --- CMake

# finds ARGUMENT...: what find_package(hakmem ARGUMENT...) comes to
finds() {
    mkdir -p find && printf 'cmake_minimum_required(VERSION 3.13)\nproject(x C)\nfind_package(hakmem %s)\nmessage(STATUS "is ${hakmem_FOUND} ${hakmem_VERSION}")\n' "$*" > find/CMakeLists.txt
    rm -rf find/b
    cmake -S find -B find/b -D hakmem_DIR="${from:-$lib_moved/cmake/hakmem}" 2>&1 | sed -n 's/^-- is \([A-Za-z0-9]*\).*/\1/p'
}
if command -v cmake > /dev/null; then
    export CC=$cc CXX=$cxx
    major=$("$HK_BUILD/hakmem-config" --version | cut -d . -f 1) minor=$("$HK_BUILD/hakmem-config" --version | cut -d . -f 2)
    works "CMake: the examples are configured" cmake -S examples -B shared -D CMAKE_PREFIX_PATH="$dir/moved" -D CMAKE_BUILD_TYPE=Release
    works "CMake: they build" cmake --build shared
    works "CMake: they run" "$make_" -C shared test
    same "CMake: with the library that was moved" "$(ldd shared/stats | grep -c "=> $lib_moved/libhakmem.so.1")" 1
    if [ -x any ]; then
        cmake -S examples -B static -D hakmem_DIR="$lib_moved/cmake/hakmem" -D STATIC=ON > log 2>&1 && cmake --build static >> log 2>&1
        works "CMake: with the static one" "$make_" -C static test
        same "CMake: they need none then" "$(readelf -d static/stats | grep NEEDED)" ""
        same "CMake: a component" "$(finds "COMPONENTS static")" 1
    fi
    same "CMake: this version" "$(finds "$major.$minor")" 1
    same "CMake: exactly this one" "$(finds "$("$HK_BUILD/hakmem-config" --version) EXACT")" 1
    same "CMake: of no later one" "$(finds "$major.$((minor + 1))")" 0
    same "CMake: of no other major one" "$(finds "$((major + 1))")" 0
    same "CMake: a range" "$(finds "$major.$minor...$major.$((minor + 1))") $(finds "$major.$((minor + 1))...$((major + 1))")" "1 0"
    same "CMake: no such component" "$(finds "COMPONENTS gold")" 0
    cp -r moved broken && rm "broken${libdir#"$prefix"}"/libhakmem.*
    same "CMake: no library" "$(from=$dir/broken${libdir#"$prefix"}/cmake/hakmem finds)" 0
else
    skip "CMake" "it is not installed"
fi

# --- the C++ header

for compiler in "$cxx" clang++; do
    command -v "${compiler%% *}" > /dev/null || continue
    for standard in c++17 c++20; do
        # shellcheck disable=SC2086 # CXX may carry options
        works "$compiler -std=$standard takes the header" $compiler -std=$standard -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -O1 -pthread \
            -I"$include" -I"$HK_SRC/tests" -o header "$HK_SRC/tests/unit/allocator.cc" -L"$lib_moved" -lhakmem
        for level in 0 2; do
            works "what it makes works, HAKMEM_HARDENED=$level" env HAKMEM_HARDENED=$level ./header
        done
    done
    echo '#include <hakmem/allocator.hpp>
        int main() { hakmem::allocator<long> a; a.deallocate(a.allocate(3), 3);
            hakmem::resource()->deallocate(hakmem::resource()->allocate(9), 9); return a != hakmem::allocator<int>(); }' > few.cc
    # shellcheck disable=SC2086
    works "without exceptions and types at run time" $compiler -std=c++17 -Wall -Wextra -Werror -fno-exceptions -fno-rtti -I"$include" -o few few.cc -L"$lib_moved" -lhakmem
    works "it runs" ./few
done

# --- the examples of the manual

count_=0
for page in "$HK_SRC"/man/hakmem_*.3; do
    name=$(basename "$page" .3) kind=c
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh ERRORS/p' "$page" | sed -n '/^\.Bd -literal/,/^\.Ed/p' | grep -v '^\.' | sed 's/\\e/\\/g' > "$name.text"
    [ -s "$name.text" ] || { result 1 "$name(3) has an example"; continue; }
    grep -q '<vector>' "$name.text" && kind=c++
    compiler=$cc options=-std=gnu11
    [ $kind = c ] || compiler=$cxx options=-std=c++17
    # shellcheck disable=SC2086
    works "the example of $name(3) builds" $compiler -x $kind $options -Wall -Wextra -Werror -O1 -I"$include" -o "$name" "$name.text" -L"$lib_moved" -lhakmem
    works "and runs" sh -c "./$name < /dev/null"
    count_=$((count_ + 1))
done
[ $count_ -ge 8 ]
result $? "there are examples in $count_ pages"
finish
