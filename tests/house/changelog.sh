# SPDX-License-Identifier: MIT
# What: the ChangeLog of a release is the history of this tree, and nothing else is ever put in its place.
# Why: who makes a release from a release must not lose it.
. "${HK_SRC:?}/tests/house/tap.sh"
command -v git > /dev/null || skip_all "no git"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_AUTHOR_NAME=A GIT_COMMITTER_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_EMAIL=a@b
unset GIT_DIR GIT_WORK_TREE
tree=$dir/tree
# commit DATE SUBJECT
commit() { GIT_AUTHOR_DATE="$1T12:00:00Z" GIT_COMMITTER_DATE="$1T12:00:00Z" git -C "$tree" commit -q --allow-empty -m "$2" -m "A body."; }
git init -q "$tree" && commit 2001-02-03 "first: thing" && commit 2001-02-03 "second: thing" && commit 2001-02-04 "third: 100 % of it"
echo stub > "$dir/log"
build-aux/changelog "$tree" "$dir/log" 2>&1 | check "it is written"
printf '2001-02-04  A\n\n\t* third: 100 %% of it\n\n2001-02-03  A\n\n\t* second: thing\n\t* first: thing\n' | diff - "$dir/log" |
    check "each commit, by day and author, the last first"
mkdir "$tree/release" "$dir/release"
for place in "$tree/release" "$dir/release"; do
    echo shipped > "$dir/log"
    build-aux/changelog "$place" "$dir/log"
    echo shipped | diff - "$dir/log"
done 2>&1 | check "outside a git tree, and within another's, the shipped one is kept"
find "$dir" -maxdepth 1 -name 'log.*' | check "nothing is left over"
finish
