# SPDX-License-Identifier: MIT
# What: what the library exports and imports, name by name.
# Why: a versioned malloc silently fails to interpose; a new import may be a call that mallocs.
. "${HK_SRC:?}/tests/house/tap.sh"
lib=${HK_LIB:?}
[ -f "$lib" ] || skip_all "no shared library was built"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
readelf --dyn-syms -W "$lib" > "$dir/all"
awk '$7 != "UND" && $5 != "LOCAL" && $8 != "" && $4 != "OBJECT" { print $8 }' "$dir/all" | grep -v '^Name' | LC_ALL=C sort > "$dir/exported"
awk '$7 == "UND" && $8 != "" { sub(/@.*/, "", $8); print $8 }' "$dir/all" | LC_ALL=C sort > "$dir/imports"
# Lines: NAME for the unversioned, NAME@@VERSION for the others.
diff "$dir/exported" tests/house/exported.txt | check "exported symbols are those of exported.txt"
grep '@' "$dir/exported" | grep -v '^hakmem_.*@@HAKMEM_1\.0$' | check "only hakmem_* has a version"
grep '^hakmem_' "$dir/exported" | grep -v '@@HAKMEM_1\.0$' | check "all of hakmem_* has it"
grep -hoE '\bhakmem_[a-z_]+\(' include/hakmem.h | tr -d '(' | LC_ALL=C sort -u > "$dir/declared"
sed -n 's/@@.*//p' "$dir/exported" | LC_ALL=C sort -u | diff "$dir/declared" - | check "the header declares what is exported"
LC_ALL=C comm -23 "$dir/imports" tests/house/imports.txt | check "imports are within imports.txt"
nm "$lib" 2> /dev/null | grep -E '__(wrap|real)_|hk_fault|hk_check_all' | check "nothing of the fault injection is in it"
finish
