# SPDX-License-Identifier: MIT
# What: man pages know every knob, function, member and prototype, and no others; mandoc finds no fault.
# Why: documentation that is not compared drifts.
. "${HK_SRC:?}/tests/house/tap.sh"
knobs=$(sed -nE 's/^HK_KNOB\([a-z0-9_]+, *"([A-Z0-9_]+)".*/HAKMEM_\1/p' lib/core/knobs.def | sort)
told=$(sed -nE 's/^\.It Ev (HAKMEM_[A-Z0-9_]+)$/\1/p' man/hakmem.7 | sort)
diff <(echo "$knobs") <(echo "$told") | check "hakmem(7) has every variable of knobs.def"
grep -nohE '\bHAKMEM_[A-Z0-9_]*[A-Z0-9]\b' man/*.[1-8] examples/* README.md NEWS | sed 's/^[0-9]*://' | sort -u |
    grep -vxE 'HAKMEM_(LIB|1|H|ALLOCATOR|ALIGNED_ALLOC|MALLOC|POLICY_DUMP|TRIM|USABLE_SIZE|VERSION)' |
    LC_ALL=C comm -23 - <(LC_ALL=C sort <<< "$knobs") | check "no variable is spoken of that there is not"

# --- functions: a page a group, named after its first

functions=$(sed -n 's/@@.*//p' tests/house/exported.txt)
# names PAGE: the names in its NAME
names() { sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([a-z_]*\).*/\1/p' "$@"; }
for page in man/hakmem_*.3; do names "$page"; done | grep -vx hakmem_allocator | LC_ALL=C sort |
    diff <(echo "$functions") - | check "each exported function has its place in one page, and no other has"
for page in man/hakmem_*.3; do
    [ "$(names "$page" | head -n 1)" = "$(basename "$page" .3)" ] || echo "$page is not named after its first function"
    for section in LIBRARY SYNOPSIS DESCRIPTION 'RETURN VALUES' EXAMPLES ERRORS ATTRIBUTES 'SEE ALSO' HISTORY; do
        grep -qx "\.Sh $section" "$page" || echo "$page has no $section"
    done
    sed -n '/^\.Sh ATTRIBUTES/,/^\.Sh SEE/p' "$page" | grep -q 'MT-.*AS-' || echo "$page does not tell which threads and handlers may call"
    sed -n '/^\.Sh HISTORY/,$p' "$page" | grep -qE 'hakmem [1-9][0-9]*\.[0-9]+' || echo "$page does not tell since when"
done | check "pages of functions have all their sections"
tmp=$(mktemp) || exit 99
prototypes() { tr -s '\n ' '  ' | tr ';' '\n' | sed -nE 's/ *([(),*]) */\1/g; s/^.*extern *"C" *\{//; s/^ *(.*hakmem_[a-z_]+\(.*\)).*/\1/p' | LC_ALL=C sort; }
printf '#define HAKMEM_ATTR(x)\n#include "include/hakmem.h"\n' | ${CC:-cc} -E -P -x c -I. - | sed -n '/hakmem_malloc/,$p' |
    sed '/^struct hakmem_stats {/,/^}/d' | prototypes > "$tmp"
for page in man/hakmem_*.3; do
    awk '$1 == ".Ft" { sub(/^\.Ft /, ""); type = $0 } /^\.Sh DESC/ { exit }
        $1 == ".Fn" { name = $2; sub(/^\.Fn [a-z_]* /, ""); gsub(/" "/, ", "); gsub(/"/, ""); print type " " name "(" $0 ");" }' "$page"
done | prototypes | diff "$tmp" - | check "their prototypes are the header's"
rm -f "$tmp"
sed -n '/^struct hakmem_stats {/,/^};/s/^ *\(size_t\|uint64_t\) \([a-z_]*\);.*/\2/p' include/hakmem.h | LC_ALL=C sort |
    diff - <(sed -n 's/^\.It Va //p' man/hakmem_stats.3 | LC_ALL=C sort) | check "hakmem_stats(3) has every member of the structure"

# --- hakmem(3): where what is

told() { sed -n "/^\.Ss $1/,/^\.S[hs] /p" man/hakmem.3; }
told Functions | sed -n 's/^\.Fn \([a-z_0-9]*\).*/\1/p' | LC_ALL=C sort | diff <(echo "$functions") - | check "hakmem(3) has every function"
told Functions | sed -n 's/^\.It Xr \([a-z_]*\) 3$/\1/p' | LC_ALL=C sort |
    diff <(for page in man/hakmem_*.3; do basename "$page" .3; done | LC_ALL=C sort) - | check "hakmem(3) has every page"
told "Standard names" | grep '^\.It ' | grep -oE 'Fn [a-z_0-9]+' | sed 's/Fn //' | LC_ALL=C sort |
    diff <(grep -vE '^_Z|@@' tests/house/exported.txt) - | check "hakmem(3) has every standard name"

# --- pages as such

for page in man/*.[1-8]; do
    grep -qw "$page" man/man.am || echo "$page is not in man/man.am"
    grep -oE '\.Xr hakmem[a-z_.-]* [1-8]' "$page" | sort -u | while read -r _ name section; do
        [ -f "man/$name.$section" ] || names man/hakmem_*.3 | grep -qx "$name" || echo "$page: there is no $name($section)"
    done
done | check "pages that are spoken of are there, and installed"
for file in examples/*.* completions/*/*; do
    [ "${file##*.}" = am ] || grep -qw -e "$file" examples/examples.am completions/completions.am || echo "$file is in no .am"
done | check "examples and completions are installed"

diff <(sed 's/@@.*//' tests/house/exported.txt | LC_ALL=C sort) \
    <(sed -nE 's/^ ([A-Za-z_0-9]+)@.*/\1/p' debian/libhakmem1.symbols | grep -v '^HAKMEM_' | LC_ALL=C sort) |
    check "the Debian symbols are those of exported.txt"
if command -v mandoc > /dev/null; then
    for page in man/*.[1-8]; do mandoc -Tlint -W warning "$page"; done | check "mandoc -Tlint"
fi
if command -v shellcheck > /dev/null; then
    shellcheck -S warning bootstrap hakmem-run tests/preload build-aux/format build-aux/man-tables build-aux/changelog build-aux/analyze tests/numa/run tests/fuzz/run .ci/run build-aux/abi packages/build \
        tests/install/run debian/tests/[!c]* debian/*.prerm | check shellcheck
    shellcheck -s sh -S warning packages/unpreload | check "shellcheck of the packages' text"
    shellcheck -s bash -S warning completions/bash/* | check "shellcheck of completions"
    shellcheck -s bash -S warning -e SC1090,SC1091,SC2154 tests/*/*.sh | check "shellcheck of the tests"
fi
finish
