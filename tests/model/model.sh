# SPDX-License-Identifier: MIT
# What: the hand-over of heaps and slabs, the slots of classes chosen at run time, and shards of the pool: every interleaving
#   of them, and that each mutant is found out.
# Why: a model that lets a broken ordering pass proves nothing.
. "${HK_SRC:?}/tests/house/tap.sh"
command -v spin > /dev/null || skip_all "no spin here"
models=$PWD/tests/model
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 99

# explore MODEL [-DMUTANT_…]: the verifier's report; its state space is stored exactly, compressed
explore() {
    local model=$models/$1.pml
    shift
    rm -f pan* ./*.trail
    spin -a "$@" "$model" > spin.log 2>&1 && ${CC:-cc} -O2 -DSAFETY -DCOLLAPSE -w -o pan pan.c && ./pan -m200000 -w24
}
# whole: what was explored is all there is, without an error
whole() {
    grep -q 'errors: 0' report || { echo "not explored"; tail -n 20 report; }
    grep -E 'max search depth|Search not completed|out of memory' report
}
mutants() { grep -oE 'MUTANT_[A-Z_]+' "$models/$1.pml" | sort -u; }
found() { grep -qE 'errors: [1-9]' report; }
explore dynclass > report 2>&1
whole | check "dynclass: every block is as long as its slot says"
for mutant in $(mutants dynclass); do
    explore dynclass "-D$mutant" > report 2>&1
    { found || { echo "not found"; tail -n 5 report; }; } | check "found out: $mutant"
done
for model in shard heaps; do
    case $model in
        shard) scenes='SCENE_FREES SCENE_CHUNK' right='nothing waits at a free lock, no chunk is taken from another shard' ;;
        heaps) scenes='SCENE_LOOSE SCENE_STEAL' right='no interleaving loses a block or shares a slab' ;; # the smaller first
    esac
    for scene in $scenes; do
        explore $model -D$scene > report 2>&1
        whole | check "$scene: $right"
    done
    for mutant in $(mutants $model); do
        for scene in $scenes; do
            explore $model -D$scene "-D$mutant" > report 2>&1
            found && break
        done
        { found || { echo "not found"; tail -n 5 report; }; } | check "found out: $mutant"
    done
done
finish
