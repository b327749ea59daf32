# SPDX-License-Identifier: MIT
# What: make install puts everything where it belongs, below a prefix told to it too; make uninstall leaves nothing.
# Why: what is missing or left behind is seen by packagers first, and by nobody here.
. "${HK_SRC:?}/tests/api/tap.sh"
. "$HK_SRC/tests/tool/installed.sh"
cd "$dir" || exit 99

staged a install
result $? "make install"
man=$(make_value mandir) doc=$(make_value examplesdir)
want="$("$HK_BUILD/hakmem-config" --includedir)/hakmem.h $("$HK_BUILD/hakmem-config" --includedir)/hakmem/allocator.hpp
    $("$HK_BUILD/hakmem-config" --cmakedir)/hakmem-config.cmake $("$HK_BUILD/hakmem-config" --cmakedir)/hakmem-config-version.cmake
    $libdir/libhakmem.so $libdir/libhakmem.so.1 $libdir/pkgconfig/hakmem.pc $(make_value bindir)/hakmem-run $(make_value bindir)/hakmem-config
    $man/man1/hakmem-config.1 $man/man1/hakmem-run.1 $man/man5/hakmem.conf.5 $man/man7/hakmem.7
    $doc/Makefile $doc/CMakeLists.txt $doc/hakmem.conf $doc/stats.c $doc/pmr.cc"
for shell in bash zsh fish; do
    at=$(make_value ${shell}completiondir)
    for f in "$HK_SRC/completions/$shell"/*; do want+=${at:+" $at/${f##*/}"}; done
done
for f in $want; do [ -s "a$f" ] || echo "# there is no $f"; done > odd
cat odd
[ ! -s odd ]
result $? "header, library, pkg-config and CMake files, programs, manual, examples and completions"

# A page of its own name leads to the one that has it.
for name in $(sed -n 's/@@.*//p' "$HK_SRC/tests/house/exported.txt"); do
    page=a$man/man3/$name.3
    [ -f "$page" ] || { echo "# no page $name(3)"; continue; }
    to=$(sed -n '1s/^\.so //p' "$page")
    grep -q "^\.Fn $name " "${to:+a$man/}${to:-$page}" || echo "# $name(3) does not tell of it"
done > odd
cat odd
[ ! -s odd ]
result $? "a manual page by the name of each exported function"
if command -v man > /dev/null && command -v mandoc > /dev/null; then
    same "man finds it" "$(cd "a$man" && mandoc -Tascii man3/hakmem_free.3 2>&1 | head -n 1 | tr -s ' ')" "HAKMEM_MALLOC(3) Library Functions Manual HAKMEM_MALLOC(3)"
fi
find a -name '*.tmp' -o -size 0 -type f > odd
same "no file is empty or left over" "$(cat odd)" ""
grep -rIlF "$HK_BUILD" a --include='*.pc' --include='*.cmake' --include='*.1' --include='hakmem-run' --include='*.3' > odd
same "nothing that is installed names the folder of the build" "$(cat odd)" ""

staged a install && staged a uninstall
result $? "make uninstall, after two installs"
same "leaves no file" "$(find a ! -type d)" ""
same "nor a folder of its own" "$(find "a$prefix" -mindepth 1 -name '*hakmem*')" ""

# As stow and others do: only the files go elsewhere.
case $libdir in
"$prefix"/*)
    # With a libdir told to configure in full, prefix= does not move it.
    moved=()
    grep -qE '^libdir = \$\{(exec_)?prefix\}' "$HK_BUILD/Makefile" && moved=(prefix=/opt/other)
    if [ ${#moved[@]} = 1 ]; then
        staged b install "${moved[@]}"
        result $? "make install prefix=/opt/other"
        same "all of it is below" "$(find b ! -type d ! -path 'b/opt/other/*')$(find b -name libhakmem.so.1 ! -type d | wc -l)" "1"
        staged b uninstall "${moved[@]}"
        same "and goes" "$(find b ! -type d)" ""
    else
        skip "make install prefix=/opt/other" "configured with a libdir in full"
    fi
    ;;
*) skip "make install prefix=/opt/other" "the libraries are not below the prefix" ;;
esac
finish
