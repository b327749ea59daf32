# SPDX-License-Identifier: MIT
# What: hakmem-config policy and profile: what they tell of a file of HAKMEM_POLICY_FILE, of one that is garbage, and that a
#   profile puts in force what the run had in force.
# Why: policy.json beside this is made up, so that each number in it is another one; nothing here depends on how long things take.
. "${HK_SRC:?}/tests/api/tap.sh"
tool=${HK_BUILD:?}/hakmem-config
have_python=$(command -v python3)
cd "$dir" || exit 99
for v in $(compgen -e HAKMEM_); do unset "$v"; done
cp "$HK_SRC/tests/tool/policy.json" . && chmod u+w policy.json || exit 99
head -n 2 policy.json > first.json
tail -n +3 policy.json > second.json

# run ARGUMENT...: status, out and err of the tool
run() {
    out=$("$tool" "$@" 2> err)
    status=$?
    err=$(cat err)
}
# has NAME LINE: out has it, blanks squeezed
has() {
    tr -s ' ' <<< "$out" | grep -qxF -- "$2" || { echo "# no $2" && false; }
    result $? "$1"
}
# says NAME STATUS TEXT ARGUMENT...: that status, nothing on standard output, TEXT on standard error
says() {
    local name=$1 want=$2 text=$3
    shift 3
    run "$@"
    [ "$status" = "$want" ] && [ -z "$out" ] && [[ $err == *"$text"* ]] ||
        { printf '# status %s, want %s; said: %s; want: %s\n' "$status" "$want" "$err" "$text" && false; }
    result $? "$name"
}
# python NAME PROGRAM FILE...: it ends well
python() {
    [ -n "$have_python" ] || { skip "$1" "no python3"; return; }
    python3 -c "$2" "${@:3}"
    result $? "$1"
}

# --- policy: tables

run policy policy.json
same "policy: all is well" "$status $err" "0 "
has "the last process" "process number 2 of the file"
has "the state" "state frozen: learned"
has "windows and requests" "seen 39 windows, 2496 requests for large and big blocks"
has "trials" "trials 2: 1 kept, 1 reverted; learned anew: 1"
has "cost per request" "cost 2742 ns a request in the median window, 123.5 us in the 99th of 100"
has "in force and before: actions" "freed large blocks lazy batch"
has "in force and before: rounding" "times as long as asked for, large 1.3 1"
has "in force and before: huge pages" "threshold of huge pages 16M 4M"
has "thresholds" "16M 4 0.950 2.000 yes"
has "thresholds: none" "none 0 0.000 16.000 -"
has "in force and before: sizes" "sizes with a class of their own 68K and 80K 40K"
has "in force and before: caps" "caps, in 64 KiB 10 12 8 56 0 31 -"
has "ratings" "large lazy 1510.0 85 2.4 s yes"
has "ratings: one that is not in force, and is best" "big now 1666.9 73 3.4 ms -"
has "ratings: the greatest cost" "large batch 1495.0 84 18446744073.7 s -"
same "ratings: one in force a band, rounding too" "$(grep -cE '^(mid|large|big) .* yes$' <<< "$out")" 5
has "rounding" "mid 1.6 4 0.200 2.900 yes"
has "rounding: one that is not in force" "large 4 1 0.450 16.000 -"
has "sites" "libfoo+.so.1+0x1234 17 71303168 now"
has "sites: one without a rule" "prog+0xa 1 40000 -"
has "caps" "256 KiB 2 15 22"
while read -r line; do
    has "told: ${line:0:40}" "$line"
done << 'EOF'
window 13: 1 cap changed, as hits were not on target; all of them allow 5.8 MiB a thread
window 19: large blocks: up to 1.3 times as long as asked for instead of 1; mean rewards so far: 0.91 and 0.022
window 20: threshold of huge pages: none instead of 4M; mean rewards so far: 0 and 0.9
window 20: sizes with a class of their own: 68K and 80K instead of 40K, by what most requests between 32 and 256 KiB are for
window 27: big blocks: batch -> now, as now would have cost 3.4 ms and batch 6.9 ms
window 30: learning ended, what was learned is on trial: 1715 ns a request in this window, 930 in the mean before learning
window 34: the trial ended, what was learned is taken back, as it cost more: 5000 ns a request on trial, 930 in the mean before learning
window 35: the load is another one, learning begins again: 9000 ns a request in this window, 930 in the mean before learning
window 39: the trial ended, what was learned is kept: 2742 ns a request on trial, 4958 in the mean before learning
EOF
same "no line ends with a blank" "$(grep -c ' $' <<< "$out")" 0
run policy --process 1 policy.json
same "--process: a run that learned nothing" "$status $(tr -s ' ' <<< "$out")" "0 process number 1 of the file
state off: nothing is learned

 in force
freed mid blocks lazy
freed large blocks batch
freed big blocks keep
times as long as asked for, mid 1
times as long as asked for, large 2.5
threshold of huge pages 4M
sizes with a class of their own none
caps, in 64 KiB -"

# --- policy: JSON and the chart

"$tool" policy --json policy.json > shown.json
python "policy --json: what the file has, and sentences" "
import json, sys
j, f = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
for k in ('generation',):
    del f['in_force'][k], f['before'][k]
for i, r in enumerate(f['ratings'] + f['rounding']):
    r['in_force'] = i in (3, 5, 8, 14, 20)
for i, r in enumerate(f['thp']):
    r['in_force'] = i == 2
del f['rounding_trials'], f['thp_trials']
told = j.pop('decisions')
assert [d['window'] for d in told] == [d['window'] for d in f.pop('decisions')]
assert told[4]['told'] == 'window 27: big blocks: batch -> now, as now would have cost 3.4 ms and batch 6.9 ms'
assert j.pop('process') == 2
assert j == f, (j, f)" shown.json second.json
"$tool" policy --json --process 1 policy.json > shown.json
python "policy --json: a run that learned nothing" "
import json, sys
j = json.load(open(sys.argv[1]))
assert j == {'process': 1, 'state': 'off', 'in_force': {'action_mid': 'lazy', 'action_large': 'batch', 'action_big': 'keep',
    'wmax_mid': 1, 'wmax_large': 2.5, 'thp_threshold': 4194304, 'sizes': []}}, j" shown.json
sed 's/"off"/"busy"/' policy.json > busy.json
run policy --process 1 busy.json
same "a dump that could not wait for learning" "$status $(sed -n 2p <<< "$out" | tr -s ' ')" "0 state busy: it was learning at that moment: no more could be read"
run profile --process 1 busy.json
same "profile: nor is it frozen" "$status $(sed -n 1p <<< "$out")" "0 # what was in force; state busy"
run policy --svg chart.svg policy.json
same "--svg: all is well" "$status $err" "0 "
python "--svg: a picture with a line for each rating and cap, inside of it" "
import sys, xml.etree.ElementTree as tree
svg = tree.parse(sys.argv[1]).getroot()
w, h = float(svg.get('width')), float(svg.get('height'))
lines = [[tuple(map(float, p.split(','))) for p in l.get('points').split()] for l in svg.iter('{http://www.w3.org/2000/svg}polyline')]
assert len(lines) == 18 and all(len(l) == 4 for l in lines), lines
assert all(0 <= x <= w and 0 <= y <= h for l in lines for x, y in l)
rise = [l[3][1] < l[0][1] for l in lines[:12]]
assert rise == [False, False, True, True, True, True, False, False, False, False, True, True], rise
assert lines[15][3][1] < lines[15][0][1] and lines[14][0][1] == lines[14][3][1], 'caps'
assert all(l[0][0] < l[1][0] < l[2][0] < l[3][0] for l in lines)
assert sum('in force' in t.text for t in svg.iter('{http://www.w3.org/2000/svg}text')) == 3" chart.svg
says "--svg: nothing to draw" 1 "no chart: the process has no history" policy --svg no.svg --json --process 1 policy.json
[ ! -e no.svg ]
result $? "and nothing is drawn"
says "--svg: a folder that is not there" 1 "cannot write gone/a.svg: No such file" policy --svg gone/a.svg policy.json
if [ -w /dev/full ]; then
    says "--svg: a full disk" 1 "cannot write /dev/full" policy --svg /dev/full policy.json
fi

# --- profile

run profile policy.json
same "profile" "$status $err$out" "0 # learned in 39 windows, 2496 requests; state frozen
ACTION_MID = now
ACTION_LARGE = lazy
ACTION_BIG = keep
THP_THRESHOLD = 16M
MID_DYN1 = 68K
MID_DYN2 = 80K
WMAX_MID = 2
WMAX_CANDIDATES_LARGE = 1.1,1.2,1.3,4
WMAX_LARGE = 3
CAPS = 10,12,8,56,0,31
LEARN = frozen"
run profile --env policy.json
same "profile --env" "$status $err$out" "0 HAKMEM_ACTION_MID=now HAKMEM_ACTION_LARGE=lazy HAKMEM_ACTION_BIG=keep HAKMEM_THP_THRESHOLD=16M HAKMEM_MID_DYN1=68K HAKMEM_MID_DYN2=80K HAKMEM_WMAX_MID=2 \
HAKMEM_WMAX_CANDIDATES_LARGE=1.1,1.2,1.3,4 HAKMEM_WMAX_LARGE=3 HAKMEM_CAPS=10,12,8,56,0,31 HAKMEM_LEARN=frozen"
run profile --process 1 policy.json
same "profile: not frozen, and it says so" "$status $err" "0 hakmem-config: state off, not frozen: these are the settings in force then"
same "profile: a rounding whose candidates are not told" "$(grep -v ACTION <<< "$out")" "# nothing was learned: what was set; state off
WMAX_MID = 0
WMAX_CANDIDATES_LARGE = 2.5,2.5,2.5,2.5
WMAX_LARGE = 1
LEARN = frozen"

build load -I "$HK_SRC/include" << 'C'
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
/* So many requests for big blocks; with a second argument: what is in force is dumped. */
int main(int argc, char **argv)
{
    for (int i = atoi(argv[1]); i > 0; i--) {
        char *volatile p = malloc(4 << 20);
        p[0] = 1;
        free(p);
    }
    void (*dump)(int, int) = NULL;
    *(void **)&dump = dlsym(RTLD_DEFAULT, "hakmem_policy_dump");
    if (argc > 2) dump(1, 1);
    return !dump;
}
C
# in_force < JSON: its actions, rounding, sizes and caps
in_force() {
    tr -d '\n ' | grep -oE '"in_force":\{[^}]*\}' | grep -oE '"(action|wmax|thp)_[a-z]+":("[a-z]+"|[0-9.]+)|"(sizes|cap_units)":\[[^]]*\]' |
        sed -E 's/(\.[0-9]*[1-9])0+$/\1/; s/\.0+$//'
}
# round_trip NAME FILE N: under its profile, from a file and from the environment, the same is in force
round_trip() {
    "$tool" profile --process "$3" "$2" > profile.conf 2> /dev/null && "$tool" check profile.conf
    result $? "$1: check finds the profile valid"
    "$tool" policy --process "$3" --json "$2" > then.json
    HAKMEM_CONF=profile.conf LD_PRELOAD=$lib ./load 1 dump > now.json
    same "$1: what is in force with it" "$(in_force < now.json)" "$(in_force < then.json)"
    # shellcheck disable=SC2046 # words
    env $("$tool" profile --env --process "$3" "$2" 2> /dev/null) HAKMEM_MODE=learning LD_PRELOAD="$lib" ./load 1 dump > again.json 2> /dev/null
    same "$1: and by the environment, whatever the mode" "$(in_force < again.json)" "$(in_force < now.json)"
}
round_trip "round trip" policy.json 2
round_trip "round trip of what was set" policy.json 1
set_all=(HAKMEM_MODE=learning HAKMEM_CAP_LEARN=0 "HAKMEM_CAPS=1,2,4,63,0,31" HAKMEM_ACTION_BIG=lazy HAKMEM_ACTION_MID=keep HAKMEM_WMAX_MID=3 "HAKMEM_WMAX_CANDIDATES_MID=1.1,1.2,1.3,1.4")
env "${set_all[@]}" HAKMEM_POLICY_FILE=learned.json LD_PRELOAD="$lib" ./load 100 2> /dev/null
round_trip "round trip of a run" learned.json 1
same "which had begun with" "$(in_force < learned.json | tr '\n' ' ')" \
    '"action_mid":"keep" "action_large":"batch" "action_big":"lazy" "wmax_mid":1.3 "wmax_large":1 "thp_threshold":4194304 "sizes":[] "cap_units":[1,2,4,63,0,31] '
# patience [SETTING...]: how long free memory may lie idle when more is free than used
patience() { env "$@" HAKMEM_STATS=1 LD_PRELOAD="$lib" ./load 10 2>&1 | sed -n 's/^goes back after *//p'; }
same "patience: shorter by itself, not where it was set or is learned" \
    "$(patience), $(patience HAKMEM_ACTION_MID=batch), $(patience HAKMEM_FREE_POLICY=batch), $(patience HAKMEM_MODE=learning)" "250 ms, 500 ms, 500 ms, 500 ms"
run profile learned.json
[[ $err == *"state learn, not frozen"* ]] && [[ $out == *"state learn"* ]]
result $? "and was not over"
HAKMEM_MODE=learning HAKMEM_POLICY_FILE=learned.json LD_PRELOAD=$lib ./load 4096 2> /dev/null
round_trip "round trip of a longer run" learned.json 2
run policy --svg chart.svg learned.json
same "the library's own file is understood" "$status $err" "0 "
has "all of its processes" "process number 2 of the file"
python "and drawn" "
import sys, xml.etree.ElementTree as tree
assert len(list(tree.parse(sys.argv[1]).getroot().iter('{http://www.w3.org/2000/svg}polyline'))) == 18" chart.svg

# --- garbage

# garbage NAME TEXT: of the file garbage.json
garbage() { says "garbage: $1" 1 "$2" policy garbage.json; }
# changed NAME FROM TO LINE TEXT: policy.json with a change by sed in it
changed() {
    sed -E "s/$2/$3/" policy.json > garbage.json
    cmp -s policy.json garbage.json && echo "# nothing was changed"
    garbage "$1" "garbage.json:$4: $5"
}
: > garbage.json
garbage "an empty file" "garbage.json is empty: no process has written to it"
printf ' \n\n' > garbage.json
garbage "a file of blanks" "garbage.json is empty"
says "garbage: no file" 1 "cannot read gone: No such file" policy gone
says "garbage: a folder" 1 "cannot read .: Is a directory" profile .
printf '{}' > garbage.json
garbage "an empty group" "garbage.json:1: there is no state in what begins here"
printf '\n\n[]' > garbage.json
garbage "a list" "garbage.json:3: [ where a { should be"
printf '{"state": "off"\0}' > garbage.json
garbage "a byte 0" "garbage.json:1: byte 0x00 where , or } should be"
printf '{"\377": 1}' > garbage.json
garbage "a byte that is no ASCII" "garbage.json:1: a text with byte 0xff in it"
{ printf '{"state":\n'; head -c 200000 /dev/zero | tr '\0' '['; } > garbage.json
garbage "very deep nesting" "garbage.json:2: this is more, or deeper, than what a process learns"
{ printf '{"state":\n'; printf '[%.0s' {1..40}; printf ']%.0s' {1..40}; echo '}'; } > garbage.json
garbage "deep nesting" "garbage.json:2: this is more, or deeper, than what a process learns"
{ printf '{"state":[\n'; yes 1, | head -n 100000; } > garbage.json
garbage "many values" "this is more, or deeper"
truncate -s 65M garbage.json
garbage "a file that is too long" "cannot read garbage.json: File too large"
changed "a huge number" '"windows": 39' '"windows": 18446744073709551616' 4 "a number that is too large"
changed "a huge number with a point" 'p99(.*)123456' 'p99\1123456.' 5 ", where a digit should be"
changed "a huge rating" '1400.500' '18446744073709551615' 11 "rating is too large"
changed "a negative number" '2742,' '-2742,' 5 "- where a value should be"
changed "a number that begins with 0" '2742,' '02742,' 5 "a number that begins with 0"
changed "an exponent" '2742,' '1e9,' 5 "e where , or } should be"
changed "a missing name" '"kept": 1, ' '' 3 "there is no kept in what begins here"
changed "a name twice" '"kept": 1' '"kept": 1, "kept": 2' 4 "kept is there twice"
changed "another kind" '"kept": 1' '"kept": "1"' 4 "kept is no number"
changed "an unknown state" 'frozen", "win' 'thawed", "win' 4 "state is thawed, which is not known"
changed "an unknown action" 'large": "lazy"' 'large": "eager"' 6 "action_large is eager, which is not known"
changed "rounding out of bounds" 'wmax_mid": 1.600' 'wmax_mid": 0.999' 6 "wmax_mid is not from 1 to 4"
changed "rounding of the first process too" '2.500' '4.001' 2 "wmax_large is not from 1 to 4"
changed "a threshold out of bounds" '16777216, "sizes' '1099511627777, "sizes' 6 "thp_threshold is more than 1 TiB"
changed "sizes that do not rise" '69632, 81920\]' '69632, 69632]' 6 "sizes has a size that it cannot have"
changed "sizes that are too large" '\[40960\]' '[262145]' 8 "sizes has a size that it cannot have"
changed "three sizes" '\[40960\]' '[40960, 40961, 40962]' 8 "sizes has 3 values, and should have 2"
changed "actions in another order" 'keep", "rating": 1502' 'now", "rating": 1502' 15 "actions are not in their order"
changed "bands in another order" '"large", "action": "keep"' '"big", "action": "keep"' 15 "a value of band large should be here"
changed "a list that is too short" '\[10, 12, 8, 56' '[10, 12, 56' 7 "cap_units has 5 values, and should have 6"
changed "a list that is too long" '10, 5, 2, 1, 0, 0' '10, 5, 2, 1, 0, 0, 0' 55 "caps has 7 values, and should have 6"
changed "a number among groups" '"caps": \[$' '"caps": [1,' 37 "caps has 7 values"
changed "a number in place of a group" '^ *\{"units": 1,[^}]*\}' '1' 38 "caps has something in it that should not be there"
changed "time that runs backwards" '"window": 16' '"window": 24' 57 "windows of the history are not in their order"
changed "no window 0" '"window": 8' '"window": 0' 55 "windows of the history are not in their order"
changed "a text that does not end" '"relearnt": 1' '"relearnt": "1' 4 "a text with byte 0x0a in it"
cat first.json second.json first.json > three.json
echo '{' >> three.json
same "what follows the process asked for is not read" "$("$tool" policy --process 3 three.json | head -n 1 | tr -s ' ')" "process number 3 of the file"
says "but for the last one all is" 1 "three.json:64: it ends where a \" should be" policy three.json
says "a process that is not there" 1 "policy.json has 2 processes, no number 3" profile --process 3 policy.json

# No byte that is missing or another one makes it crash, or say nothing.
bytes=$(wc -c < second.json)
for ((i = 0; i < bytes - 1; i += 61)); do
    head -c "$i" second.json > garbage.json
    "$tool" policy --svg cut.svg garbage.json > /dev/null 2> err
    [ $? = 1 ] && grep -q '^\(garbage.json:[0-9]*:\|hakmem-config: garbage.json is empty\)' err || echo "# cut at $i: $(cat err)"
done > odd
cat odd
[ ! -s odd ]
result $? "cut anywhere: status 1, and the line"
for ((i = 0, seed = 1; i < 200; i++)); do
    seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
    at=$((seed / 7 % bytes)) byte=$(printf '\\%03o' $((seed >> 16 & 255)))
    { head -c "$at" second.json && printf '%b' "\\0${byte#\\}" && tail -c +$((at + 2)) second.json; } > garbage.json
    "$tool" policy --svg odd.svg garbage.json > /dev/null 2> err
    status=$?
    [ $status = 0 ] || { [ $status = 1 ] && grep -q '^garbage.json:[0-9]*: ' err; } || echo "# byte $byte at $at: status $status $(cat err)"
    "$tool" profile garbage.json > garbage.conf 2> /dev/null && { "$tool" check garbage.conf || echo "# byte $byte at $at: a bad profile"; }
done > odd
cat odd
[ ! -s odd ]
result $? "a byte changed: status 0 or 1, and the line; a profile that is printed is valid"

# --- usage

while IFS='|' read -r text arguments; do
    # shellcheck disable=SC2086 # a list
    says "bad usage: $arguments" 2 "$text" $arguments
done << 'EOF'
policy: which file? One, please|policy
profile: which file? One, please|profile policy.json policy.json
policy does not take --env|policy --env policy.json
profile does not take --json|profile --json policy.json
profile does not take --svg|profile --svg x policy.json
--process: bad value "0", it must be a number from 1 on|policy --process 0 policy.json
--process: bad value "1x"|profile --process=1x policy.json
--process: bad value "-1"|profile --process=-1 policy.json
--process: bad value ""|profile --process= policy.json
--process: bad value "99999999999999999999"|profile --process=99999999999999999999 policy.json
check does not take --process|check --process 1 policy.json
--svg needs a command|--svg x
EOF
finish
