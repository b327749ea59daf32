# SPDX-License-Identifier: MIT
# What: the lock-free functions of lib/, as they are, under Relacy: memory as weak as C11 allows. Then each memory order that
#   they name is made weaker, one at a time, and each MUTANT of a scene is applied: an error must be found.
# Why: spin's models are sequentially consistent, so orders can be wrong in the code and right there.
# Format: a scene is tests/model/NAME.cc and NAME.lines; tests/model/cut tells of CUT lines. `MUTANT name: sed-script` over what was cut, or
#   `MUTANT name: -DNAME`. `ENOUGH function order weaker: why` an order that may be weaker: if it is found out all the same, the
#   line is wrong.
# Environment: HK_MODEL_RUNS (8000) of each scene; four times as many for a mutant at most.
. "${HK_SRC:?}/tests/house/tap.sh"
[ -f /usr/include/relacy/relacy.hpp ] || skip_all "no relacy here"
models=$PWD/tests/model src=$PWD runs=${HK_MODEL_RUNS:-8000}
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT

# build NAME OUT FLAG: from $dir/OUT/cut.h; compiling is what takes long
build() { "${CXX:-c++}" -std=gnu++17 -fpermissive -w "$3" -I "$dir/$2" -I "$models" -o "$dir/$2/scene" "$models/$1.cc"; }
# try OUT FACTOR [NUMBER WEAKER]: prints "no error", "error: what", or how it died
try() {
    local out=$1 factor=$2
    shift 2
    RUNS=$((runs * factor)) timeout 120 "$dir/$out/scene" "$@" > "$dir/$out/log" 2>&1 || true
    grep -aE '^(no error|error: )' "$dir/$out/log" || { echo "died:"; tail -n 5 "$dir/$out/log"; }
}
# orders NAME: one result for each weakened order
orders() {
    local n f o weaker found enough
    while read -r n f o; do
        for weaker in relaxed acq_rel; do
            [ "$weaker" = relaxed ] || [ "$o" = seq_cst ] || continue
            enough=$(sed -n "s/^ENOUGH $f $o $weaker: //p" "$models/$1.lines")
            if [ "$enough" ]; then
                found=$(try "$1" 1 "$n" "$weaker")
                { [ "$found" = 'no error' ] || echo "$found"; } | check "$1: $f: $o → $weaker will do: $enough"
            else
                found=$(try "$1" 4 "$n" "$weaker")
                { [[ $found == error:* ]] || echo "$found"; } | check "$1: $f: $o → $weaker found out"
            fi
        done
    done < "$dir/$1/orders"
}
mutants() {
    local name how flag found out=$1.mutant
    mkdir "$dir/$out"
    sed -n 's|^MUTANT \([^:]*\): |\1 |p' "$models/$1.lines" | while read -r name how; do
        flag=-O0
        case $how in
            -D*) flag=$how && cp "$dir/$1/cut.h" "$dir/$out/cut.h" ;;
            *) sed "$how" "$dir/$1/cut.h" > "$dir/$out/cut.h" ;;
        esac
        if [ "$flag" = -O0 ] && cmp -s "$dir/$1/cut.h" "$dir/$out/cut.h"; then
            found='changes nothing'
        elif build "$1" "$out" "$flag" > "$dir/$out/log" 2>&1; then
            found=$(try "$out" 4)
        else
            found=$(tail -n 5 "$dir/$out/log")
        fi
        { [[ $found == error:* ]] || echo "$found"; } | check "$1: $name found out"
    done
}
# scene NAME: its results, with numbers of their own
scene() {
    local found
    mkdir "$dir/$1"
    sh "$models/cut" "$models/$1.lines" "$src" > "$dir/$1/cut.h" 3> "$dir/$1/orders"
    build "$1" "$1" -O1 > "$dir/$1/log" 2>&1 || { tail -n 20 "$dir/$1/log" | check "$1 builds"; return; }
    { found=$(try "$1" 1); [ "$found" = 'no error' ] || echo "$found"; } | check "$1: no error in $runs runs"
    mutants "$1"
    orders "$1"
}

scenes=$(cd "$models" && ls ./*.cc | sed 's|^\./||; s|\.cc$||')
for name in $scenes; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    scene "$name" > "$dir/$name.tap" &
done
wait
for name in $scenes; do
    grep -a '^# ' "$dir/$name.tap"
    while read -r line; do
        { [[ $line == ok* ]] || echo "see above"; } | check "${line#* - }"
    done < <(grep -a '^\(not \)\?ok ' "$dir/$name.tap")
done
# An order that a scene leaves to another one must be some scene's.
for f in $(sed -n 's|^WITH [^:]*: ||p' "$models"/*.lines); do
    grep -q "^CUT .*\b$f\b" "$models"/*.lines || echo "$f"
done | sort -u | check "every function's orders are some scene's"
finish
