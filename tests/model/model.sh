# SPDX-License-Identifier: MIT
# What: the hand-over of heaps and slabs, every interleaving of it, and that each mutant is found out.
# Why: a model that lets a broken ordering pass proves nothing.
. "${HK_SRC:?}/tests/house/tap.sh"
command -v spin > /dev/null || skip_all "no spin here"
model=$PWD/tests/model/heaps.pml
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 99

# explore [-DMUTANT_…]: the verifier's report; its state space is stored exactly, compressed
explore() {
    rm -f pan* ./*.trail
    spin -a "$@" "$model" > spin.log 2>&1 && ${CC:-cc} -O2 -DSAFETY -DCOLLAPSE -w -o pan pan.c && ./pan -m200000 -w24
}
for scene in SCENE_STEAL SCENE_LOOSE; do
    explore -D$scene > report 2>&1
    {
        grep -q 'errors: 0' report || { echo "not explored"; tail -n 20 report; }
        grep -E 'max search depth|Search not completed|out of memory' report
    } | check "$scene: no interleaving loses a block or shares a slab"
done
for mutant in $(grep -oE 'MUTANT_[A-Z_]+' "$model" | sort -u); do
    for scene in SCENE_LOOSE SCENE_STEAL; do # the smaller first
        explore -D$scene "-D$mutant" > report 2>&1
        grep -qE 'errors: [1-9]' report && break
    done
    { grep -qE 'errors: [1-9]' report || { echo "not found"; tail -n 5 report; }; } | check "found out: $mutant"
done
finish
