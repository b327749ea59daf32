# SPDX-License-Identifier: MIT
# What: all sources are formatted by the pinned clang-format.
# Why: a diff should show what changed, not who has which editor.
. "${HK_SRC:?}/tests/house/tap.sh"
out=$(build-aux/format --check . 2>&1)
[ $? -ne 77 ] || skip_all "$out"
printf '%s' "$out" | check "clang-format"
finish
