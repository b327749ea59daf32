# SPDX-License-Identifier: MIT
# What: TAP for the house tests: check NAME < findings: passes if there are none.
# Why: each house rule is a command that prints what breaks it.
cd "${HK_SRC:?}" || exit 99
shopt -s lastpipe # check ends pipelines and must count in this shell
count=0 failed=0
check() {
    count=$((count + 1))
    found=$(cat)
    if [ -z "$found" ]; then
        echo "ok $count - $1"
    else
        printf '%s\n' "$found" | head -n 20 | sed 's/^/# /'
        echo "not ok $count - $1"
        failed=1
    fi
}
finish() {
    echo "1..$count"
    exit $failed
}
skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}
