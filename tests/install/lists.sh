# SPDX-License-Identifier: MIT
# What: make install puts the library there whole; the packages' lists have each file once; uninstall leaves none.
# Why: whether a package can be built is else known only after minutes, and a file in none of them much later.
. "${HK_SRC:?}/tests/house/tap.sh"
[ -f "${HK_LIB:?}" ] || skip_all "no shared library was built"
cd "${HK_BUILD:?}" || exit 99
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
libs=/usr/lib/x86_64-linux-gnu
# do_make TARGET [ARGUMENT...]
do_make() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES make -s "$1" DESTDIR="$dir/root" prefix=/usr libdir=$libs "${@:2}" > "$dir/log" 2>&1 ||
        { echo "make $1:" && tail -n 5 "$dir/log"; }
}
do_make install | check "make install"
do_make install-libhakmem-so libdir=$libs/hakmem-debug | check "the library alone, into another folder"
{
    [ ! -L "$dir/root$libs/libhakmem.so.1" ] || echo "it is a link"
    [ "$(readlink "$dir/root$libs/libhakmem.so")" = libhakmem.so.1 ] || echo "libhakmem.so is no link to it"
    cmp "$HK_LIB" "$dir/root$libs/libhakmem.so.1"
    find "$dir/root" -name '*.la' -o -name '*.new'
} 2>&1 | check "the library is one regular file with its soname for a name"

# Again, onto the old one: as a running system sees it.
if command -v strace > /dev/null && strace -qq -o /dev/null true 2> /dev/null; then
    ln "$dir/root$libs/libhakmem.so.1" "$dir/old" && cp "$dir/old" "$dir/copy"
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES strace -f -qq -o "$dir/trace" \
        -e trace=open,openat,creat,unlink,unlinkat,rename,renameat,renameat2,truncate,symlink,symlinkat,link,linkat \
        make -s install-libhakmem DESTDIR="$dir/root" prefix=/usr libdir=$libs > "$dir/log" 2>&1 || echo "make failed" > "$dir/trace"
    {
        grep -E '(unlink|truncate|creat|O_WRONLY|O_RDWR|symlink).*libhakmem\.so\.1"' "$dir/trace" | grep -vE 'symlink(at)?\("libhakmem\.so\.1"|/\.libs/'
        grep -qE 'rename.*libhakmem\.so\.1\.new".*libhakmem\.so\.1"' "$dir/trace" || echo "it came by no rename"
        cmp "$dir/old" "$dir/copy"
    } 2>&1 | check "the old library gives way to the new one in one step"
fi

cd "$HK_SRC" || exit 99
# in_list FILE: the files of its list.
in_list() (
    cd "$dir/root" || exit 1
    while read -r pattern; do
        found=$(compgen -G "$pattern") || echo "NOTHING: $pattern"
        # shellcheck disable=SC2086 # words
        [ -z "$found" ] || find $found ! -type d
    done < "$HK_SRC/$1" | sort
)
for list in debian/*.install; do
    grep -q "^Package: $(basename "$list" .install)$" debian/control || echo "debian/control has no package for $list"
    in_list "$list" > "$dir/$(basename "$list")"
    grep NOTHING "$dir/$(basename "$list")"
done | check "each entry of debian/*.install is for something"
(cd "$dir/root" && find . ! -type d | sed 's,^\./,,' | sort) > "$dir/all"
sort "$dir"/*.install | diff "$dir/all" - | check "each file is in one package, and in one only"
# belong PACKAGE FILE...
belong() {
    local f
    for f in "${@:2}"; do
        grep -qxE "$f" "$dir/$1.install" || echo "$f is not in $1"
    done
}
{
    belong libhakmem1 "${libs#/}/libhakmem.so.1"
    belong libhakmem1-debug "${libs#/}/hakmem-debug/libhakmem.so.1"
    belong libhakmem-dev usr/include/hakmem.h "${libs#/}/libhakmem.so" "${libs#/}/pkgconfig/hakmem.pc" usr/share/man/man3/hakmem.3
    belong hakmem-tools usr/bin/hakmem-run usr/bin/hakmem-config usr/share/man/man1/hakmem-config.1 usr/share/man/man7/hakmem.7
    [ "$(wc -l < "$dir/libhakmem1.install")" = 1 ] || echo "libhakmem1 has more than the library"
} | check "and in the one that it belongs to"

version=$(sed -n 's/^AC_INIT(\[hakmem\], \[\([^]]*\)\].*/\1/p' configure.ac)
{
    head -n 1 debian/changelog | grep -qF "($version-" || echo "debian/changelog is not at $version"
    grep -A 1 '^%changelog' hakmem.spec.in | tail -n 1 | grep -qF " $version-" || echo "the changelog of hakmem.spec.in is not at $version"
} | check "the packages' versions are configure's"
if command -v dpkg-gensymbols > /dev/null; then
    mkdir -p "$dir/pkg/DEBIAN" "$dir/pkg/usr/lib" && cp "$HK_LIB" "$dir/pkg/usr/lib/libhakmem.so.1"
    dpkg-gensymbols -plibhakmem1 -v"$version" -P"$dir/pkg" -Idebian/libhakmem1.symbols -c4 -O/dev/null > "$dir/log" 2>&1 || echo fails >> "$dir/log"
    check "debian/libhakmem1.symbols has the library's symbols, and no others" < "$dir/log"
fi

cd "$HK_BUILD" || exit 99
rm -r "$dir/root$libs/hakmem-debug"
do_make uninstall | check "make uninstall"
find "$dir/root" ! -type d | check "nothing is left by it"
finish
