# SPDX-License-Identifier: MIT
# What: hakmem-config: every option and command, what they say, and their exit codes.
# Why: it must tell what the library does, so it is compared with the library, with hakmem.pc, with
#   the tables it comes from and with the manual that it makes tables for.
. "${HK_SRC:?}/tests/api/tap.sh"
tool=${HK_BUILD:?}/hakmem-config
cd "$dir" || exit 99
for v in $(compgen -e HAKMEM_); do unset "$v"; done

# run ARGUMENT...: status, out and err of the tool
run() {
    out=$("$tool" "$@" 2> err)
    status=$?
    err=$(cat err)
}
# says STATUS TEXT ARGUMENT...: that status, and TEXT on standard error
says() {
    local want=$1 text=$2
    shift 2
    run "$@"
    [ "$status" = "$want" ] && [[ $err == *"$text"* ]] && return 0
    printf '# status %s, want %s; said: %s; want: %s\n' "$status" "$want" "$err" "$text"
    return 1
}
# json PROGRAM ARGUMENT...: its output makes the python expression PROGRAM, of j, true
json() {
    local expr=$1
    shift
    "$tool" "$@" 2> err | python3 -c "import json, sys; j = json.load(sys.stdin.buffer); sys.exit(not ($expr))"
}
have_python=$(command -v python3)
# check_json NAME PROGRAM ARGUMENT...
check_json() {
    local name=$1
    shift
    [ -n "$have_python" ] || { skip "$name" "no python3"; return; }
    json "$@"
    result $? "$name"
}

# --- how to build

pc=$HK_BUILD/pkgconfig
value() { sed -n "s/^$1 *[=:] *//p" "$pc/hakmem.pc"; }
run --version
same "--version" "$status $out" "0 $(value Version)"
run --prefix
same "--prefix" "$status $out" "0 $(value prefix)"
if command -v pkg-config > /dev/null; then
    pkg() { PKG_CONFIG_PATH=$1 pkg-config "${@:2}" hakmem | sed 's/ *$//'; }
    for v in includedir libdir; do
        run --$v
        same "--$v" "$status $out" "0 $(pkg "$pc" --variable=$v)"
    done
    for flags in --cflags --libs "--cflags --libs" "--libs --cflags" "--static --libs" "--libs --cflags --static"; do
        # shellcheck disable=SC2086 # several
        run $flags
        # shellcheck disable=SC2086
        same "$flags is what pkg-config says" "$status $out" "0 $(pkg "$pc" $flags)"
    done
else
    skip "folders and flags are what pkg-config says" "no pkg-config"
fi
run --cmakedir
same "--cmakedir" "$status $out" "0 $("$tool" --libdir)/cmake/hakmem"
run --libs --version --libdir --prefix
same "values in the order asked for, then the flags" "$status $out" \
    "0 $(value Version)
$("$tool" --libdir)
$("$tool" --prefix)
$("$tool" --libs)"

# usr LIBDIR: the flags of a tool that is configured for /usr
usr() {
    # shellcheck disable=SC2086 # CC may carry flags
    $cc -std=gnu11 -D_GNU_SOURCE -I"$HK_SRC/tools" -I"$HK_SRC/lib" -DPACKAGE_VERSION='"1"' -DHK_PREFIX='"/usr"' \
        -DHK_INCLUDEDIR='"/usr/include"' -DHK_LIBDIR="\"$1\"" -DHK_SBINDIR='"/usr/sbin"' -DHK_MULTIARCH='"any-linux-gnu"' -DHK_LIBS_PRIVATE='"-pthread"' -DHK_LIBNUMA=0 \
        -o usr "$HK_SRC"/tools/*.c "$HK_SRC"/lib/core/{knobs,map}.c "$HK_SRC"/lib/os/{lock,report,sys}.c || exit 99
    ./usr --cflags --libs
}
same "no option for folders that are looked through anyway" "$(usr /usr/lib/any-linux-gnu)" "-lhakmem"
same "but for others" "$(usr /usr/lib/hakmem)" "-L/usr/lib/hakmem -lhakmem"

# --- modes and knobs

run modes
mapfile -t modes < <(sed -nE 's/^HK_MODE\(([a-z]+), .*/\1/p' "$HK_SRC/lib/core/modes.def")
for m in "${modes[@]}"; do
    grep -qF "$(sed -nE "s/^HK_MODE\($m, \"(.*)\"\)/\1/p" "$HK_SRC/lib/core/modes.def")" <<< "$(grep "^$m " <<< "$out")" || echo "# no $m"
done > odd
[ "$status" = 0 ] && [ ! -s odd ] && [ ${#modes[@]} = 5 ]
result $? "modes: the purpose of each"
same "modes: a column each" "$(grep ^setting <<< "$out" | tr -s ' ')" "setting ${modes[*]}"
same "modes: the settings that modes set" "$(sed -nE 's/^HAKMEM_([A-Z_]+) .*/\1/p' <<< "$out" | sort)" \
    "$(sed -nE 's/^HK_PRESET\(([a-z_]+),.*/\U\1/p' "$HK_SRC/lib/core/modes.def" | sort)"
same "modes: their values" "$(grep ^HAKMEM_THP <<< "$out" | tr -s ' ')" "HAKMEM_THP off auto auto auto on"
check_json "modes --json" "j['default'] == 'balanced' and list(j['modes']) == '${modes[*]}'.split() and
    j['settings']['HAKMEM_THP'] == dict(zip(j['modes'], 'off auto auto auto on'.split())) and
    j['settings']['HAKMEM_BATCH']['minimal'] == 0" modes --json

help() { sed -nE "s/^HK_KNOB\\([a-z0-9_]+, \"$1\",.*\"(.*)\"\\)/\\1/p" "$HK_SRC/lib/core/knobs.def"; }
names=$(sed -nE 's/^HK_KNOB\([a-z0-9_]+, *"([A-Z0-9_]+)".*/HAKMEM_\1/p' "$HK_SRC/lib/core/knobs.def")
run knobs
same "knobs: every setting" "$status $(grep -oE '^HAKMEM_[A-Z0-9_]+' <<< "$out")" "0 $names"
same "knobs: default, when, how settled, where from, values" "$(grep ^HAKMEM_THP' ' <<< "$out" | tr -s ' ')" \
    "HAKMEM_THP auto start stable mode system file env off, auto or on"
same "knobs: what changes later, and no mode sets" "$(grep ^HAKMEM_LIMIT <<< "$out" | tr -s ' ')" \
    "HAKMEM_LIMIT 0 later stable system file env bytes, or with K, M, G or T"
same "knobs: numbers" "$(grep -E '^HAKMEM_(BUDGET_MID|LEARN_WINDOW_MS|TARGET_HIT_MID|WMAX_CANDIDATES_MID)' <<< "$out" | tr -s ' ')" \
    "HAKMEM_BUDGET_MID 2M start new system file env bytes, or with K, M, G or T, from 0 to 1G
HAKMEM_LEARN_WINDOW_MS 1000 start new system file env a number from 10 to 60000
HAKMEM_TARGET_HIT_MID 0.95 start new system file env a number from 0 to 1, with a point if need be
HAKMEM_WMAX_CANDIDATES_MID 1.4,1.6,1.8,2 start new system file env 4 numbers from 1 to 4, with commas between"
same "knobs: a line of help" "$(grep -A 1 ^HAKMEM_STATS_FILE <<< "$out" | tail -n 1)" "    $(help STATS_FILE)"
run knobs LIMIT HAKMEM_THP
same "knobs NAME: with or without HAKMEM_, in full" "$status $out" "0 $(cat << EOF
HAKMEM_LIMIT: $(help LIMIT)
  values   bytes, or with K, M, G or T
  default  0
  changes  read once; later by hakmem_set_limit(3)
  settled  stable
  from     /etc/hakmem.conf, the file of HAKMEM_CONF, the environment
HAKMEM_THP: $(help THP)
  values   off, auto or on
  default  auto
  modes    minimal off, fast auto, balanced auto, learning auto, research on
  changes  read once
  settled  stable
  from     the mode, /etc/hakmem.conf, the file of HAKMEM_CONF, the environment
EOF
)"
says 2 "there is no setting THPP, did you mean HAKMEM_THP?" knobs LIMIT THPP
result $? "knobs: a name that is near one"
says 2 "there is no setting COLOUR (\`hakmem-config knobs' lists them)" knobs COLOUR
result $? "knobs: a name that is near none"
check_json "knobs --json" "[k['name'] for k in j] == '''$names'''.split() and all(k['help'] for k in j) and
    [k for k in j if k['name'] == 'HAKMEM_THP'][0]['words'] == ['off', 'auto', 'on'] and
    [k['default'] for k in j if k['name'] == 'HAKMEM_LIMIT'] == [0]" knobs --json
check_json "knobs --json NAME" "len(j) == 1 and j[0]['from'] == ['system', 'environment'] and j[0]['default'] is None and
    j[0]['settled'] == 'stable' and j[0]['changes'] == 'start'" knobs --json CONF

check_json "knobs --json: numbers" "[(k['type'], k['default'], k['least'], k['most']) for k in j] == [('int', 1, 1, 64),
    ('ratio', 0.95, 0, 1), ('ratios', [1.25, 1.5, 1.75, 2], 1, 4), ('ints', [0, 0, 0, 0, 0, 0], 0, 63)]" knobs --json CAP_STEP_MID TARGET_HIT_MID WMAX_CANDIDATES_LARGE CAPS

# --- topology

run topology
[ "$status" = 0 ] && grep -q "^page size *$(getconf PAGESIZE) bytes$" <<< "$out" && grep -q "^address space *no limit$" <<< "$out"
result $? "topology: pages and limits"
check_json "topology --json" "j['cpus'] >= j['cpus_online'] >= 1 and j['cpus_allowed'] == $(nproc) and
    j['page_bytes'] == $(getconf PAGESIZE) and j['address_space_bytes'] is None" topology --json
same "topology: with a limit" "$(ulimit -v 1048576; "$tool" topology --json | grep address)" '  "address_space_bytes": 1073741824,'
if "$tool" topology --json | grep -q '"libnuma": true'; then
    mapfile -t there < <(printf '%s\n' /sys/devices/system/node/node[0-9]* | sed 's/.*node//' | sort -n)
    check_json "topology: the nodes that the kernel tells" "[n['node'] for n in j['nodes']] == [$(IFS=,; echo "${there[*]}")] and
        [n['cpus'] for n in j['nodes']] == '$(for n in "${there[@]}"; do cat "/sys/devices/system/node/node$n/cpulist"; done | tr '\n' ' ')'.split() and
        all(n['distances'][i] == 10 and len(n['distances']) == len(j['nodes']) and n['bytes'] >= n['free_bytes'] for i, n in enumerate(j['nodes']))" topology --json
    grep -qx "0 *$(cat /sys/devices/system/node/node0/cpulist) .*" <<< "$out"
    result $? "topology: a line each"
else
    skip "topology: nodes" "no libnuma, or the kernel does not tell"
fi
says 2 "topology takes no arguments, and got x" topology x

# --- explain

# explained NAME [ARGUMENT...]: the row of NAME and what it overrules, on one line
explained() {
    local name=$1
    shift
    "$tool" explain "$@" 2> err | awk -v n="HAKMEM_$name" '$1 == n { on = 1; $1 = ""; printf "%s", $0; next } /^HAKMEM_/ { on = 0 } on { $1 = $1; printf "; %s", $0 }'
}
printf 'LIMIT = 1M\n# a comment\nMODE = research\nSTATS = 1\n' > system
printf 'LIMIT = 2M\nLIMIT = 3M\n' > own
none=--conf=/dev/null
same "explain: a default" "$(explained THP $none)" " auto default"
same "explain: a mode" "$(explained THP $none MODE=minimal)" " off mode minimal; instead of auto (default)"
same "explain: what a mode leaves is a default" "$(explained THP $none MODE=fast)" " auto default"
same "explain: the environment" "$(HAKMEM_THP=off explained THP $none)" " off environment; instead of auto (default)"
same "explain: before a mode" "$(HAKMEM_THP=off explained THP $none MODE=research)" \
    " off environment; instead of on (mode research), auto (default)"
same "explain: an argument takes a variable's place" "$(HAKMEM_THP=off explained THP $none HAKMEM_THP=on)" \
    " on environment; instead of auto (default)"
same "explain: a bad one too" "$(HAKMEM_THP=off explained THP $none THP=maybe)" " auto default"
same "explain: the system's file" "$(explained LIMIT --conf system)" " 1M system:1; instead of 0 (default)"
same "explain: a file's mode" "$(explained LOG --conf system)" " verbose mode research; instead of off (default)"
same "explain: HAKMEM_CONF before it, the last line first" "$(HAKMEM_CONF=own explained LIMIT --conf system)" \
    " 3M own:2; instead of 2M (own:1), 1M (system:1), 0 (default)"
same "explain: the environment before all" "$(HAKMEM_CONF=own HAKMEM_LIMIT=4097 explained LIMIT --conf system)" \
    " 4097 environment; instead of 3M (own:2), 2M (own:1), 1M (system:1), 0 (default)"
echo 'CONF = own' > names
same "explain: HAKMEM_CONF of the system's file" "$(explained LIMIT --conf names)" " 3M own:2; instead of 2M (own:1), 0 (default)"
run explain $none
same "explain: all is well" "$status $err" "0 "
same "explain: every setting" "$(grep -oE '^HAKMEM_[A-Z0-9_]+' <<< "$out")" "$names"
says 1 "environment: unknown setting HAKMEM_FOO" explain $none FOO=1
result $? "explain: what is wrong in the environment"
printf '\nSTATS=2\n' > system2
says 1 "system2:2: HAKMEM_STATS: bad value \"2\"" explain --conf system2
result $? "explain: what is wrong in a file"
says 1 "cannot read gone: No such file" explain $none CONF=gone
result $? "explain: no file of HAKMEM_CONF"
says 1 "cannot read gone: No such file" explain --conf gone
result $? "explain: no file of --conf"
stops='HAKMEM_STRICT is set: the program would be stopped'
says 1 "$stops" explain $none STRICT=1 FOO=1
result $? "explain: HAKMEM_STRICT stops for the environment"
says 1 "$stops" explain --conf system2 STRICT=1
result $? "explain: and for a file"
echo STRICT=1 > strict
run explain --conf strict FOO=1
[ "$status" = 1 ] && [[ $err != *"$stops"* ]]
result $? "explain: a file's HAKMEM_STRICT does not stop for the environment, which comes first"
check_json "explain --json" "j['files'] == [{'path': 'system', 'read': True}, {'path': 'own', 'read': True}] and
    j['settings']['HAKMEM_LIMIT'] == {'value': 3 << 20, 'from': 'file', 'path': 'own', 'line': 2, 'overruled': [
        {'value': 2 << 20, 'from': 'file', 'path': 'own', 'line': 1},
        {'value': 1 << 20, 'from': 'system', 'path': 'system', 'line': 1}, {'value': 0, 'from': 'default'}]} and
    j['settings']['HAKMEM_THP'] == {'value': 'on', 'from': 'mode', 'mode': 'research', 'overruled': [
        {'value': 'auto', 'from': 'default'}]} and
    j['settings']['HAKMEM_STATS_FILE']['value'] is None" explain --json --conf system CONF=own
check_json "explain --json: whatever bytes there are" "j['settings']['HAKMEM_STATS_FILE']['value'] == '\"\\\\\\x01\\u00f6\\ufffd'" \
    explain --json $none $'STATS_FILE="\\\x01\xc3\xb6\xff'

# The library tells with HAKMEM_LOG=verbose what it uses.
build one <<'C'
#include <stdlib.h>
int main(void)
{
    void *volatile p = malloc(1);
    return !p;
}
C
printf 'MODE = minimal\nLIMIT = 12345\nTHP = auto\nBATCH = 1\nCGROUP=1\nTARGET_HIT_MID=.5\nWMAX_CANDIDATES_MID=1,1.05,1.125,3\nCAP_STEP_MID=3\n' > lib
set_all=(HAKMEM_CONF="$dir/lib" HAKMEM_LOG=verbose HAKMEM_BATCH=0 HAKMEM_FREE_POLICY=adaptive)
env "${set_all[@]}" LD_PRELOAD="$lib" ./one 2> told
grep , told | sed -n 's/^hakmem: \([A-Z0-9_]*=.*\), by the environment$/\1 environment/p
    s/^hakmem: \([A-Z0-9_]*=.*\), by the mode$/\1 mode/p; s/^hakmem: \([A-Z0-9_]*=.*\), by HAKMEM_CONF$/\1 file/p
    s,^hakmem: \([A-Z0-9_]*=.*\)\, by /etc/hakmem.conf$,\1 system,p' > library
env "${set_all[@]}" "$tool" explain |
    awk -v own="$dir/lib:" '/^HAKMEM_/ && $3 != "default" { sub(/^HAKMEM_/, ""); from = index($3, own) == 1 ? "file" : $3 ~ /^\// ? "system" : $3
        print $1 "=" $2 " " from }' > explained
[ "$(wc -l < library)" -ge 11 ] && diff library explained
result $? "explain tells what the library uses, and from where"

# --- check

printf '# fine\nMODE = fast\n\tHAKMEM_LIMIT=4G # too\n\nTHP=on' > good
run check good /dev/null own
same "check: nothing wrong, nothing said" "$status $out$err" "0 "
printf '# wrong\nSTATSS = 1\nMODE = fats\nCOLOUR=red\n\nTHP = never\nLIMIT\nLIMIT = 4GB\nSTATS=yes\nthp=on\nTARGET_HIT_MID=2\n' > bad
run check good bad
same "check: each wrong line, and what was meant" "$status $out$err" "1 bad:2: unknown setting HAKMEM_STATSS, did you mean HAKMEM_STATS?
bad:3: HAKMEM_MODE: bad value \"fats\", did you mean fast? (minimal, fast, balanced, learning or research)
bad:4: unknown setting HAKMEM_COLOUR (\`hakmem-config knobs' lists all settings)
bad:6: HAKMEM_THP: bad value \"never\", it must be off, auto or on
bad:7: not NAME=VALUE: LIMIT, did you mean HAKMEM_LIMIT=...?
bad:8: HAKMEM_LIMIT: bad value \"4GB\", it must be bytes, or with K, M, G or T
bad:9: HAKMEM_STATS: bad value \"yes\", it must be 0 or 1
bad:10: unknown setting HAKMEM_thp, did you mean HAKMEM_THP?
bad:11: HAKMEM_TARGET_HIT_MID: bad value \"2\", it must be a number from 0 to 1, with a point if need be"
lines=$(env HAKMEM_CONF="$dir/bad" LD_PRELOAD="$lib" ./one 2>&1 | sed -n 's/.*bad:\([0-9]*\):.*/\1/p' | tr '\n' ' ')
same "check: the lines that the library finds" "$(sed 's/^bad:\([0-9]*\):.*/\1/' err | tr '\n' ' ')" "$lines"
says 1 "cannot read gone: No such file" check gone good
result $? "check: a file that is not there"
says 1 "cannot read .: Is a directory" check .
result $? "check: a folder"
printf 'STATS=1\n\0\nFOO=1\n' > zero
says 1 "zero:2: a byte 0: what follows is not read" check zero
result $? "check: a byte 0"
{ yes '# long' | head -c 65535; printf '\nFOO=1\n'; } > long
says 1 "longer than 64 KiB: the rest is not read" check long
result $? "check: a file that is too long"
printf 'STATS_FILE=%05000d\n' 0 > wide
says 1 "wide:1: HAKMEM_STATS_FILE: bad value" check wide && [[ $err == *"it must be a text of at most 4095 bytes" ]]
result $? "check: a text that is too long"

# --- usage

run --help
same "--help: status" $? 0
for word in modes knobs explain check policy profile --svg --process --env --json --conf --cflags --libs --static --version --prefix --includedir --libdir --cmakedir; do
    [[ $out == *" "*"$word"* ]] || echo "# --help without $word"
    grep -qE "^\.(It|Nm|Op).*(Fl -|Cm )${word#--}\b|^\.Cm $word$" "$HK_SRC/man/hakmem-config.1" || echo "# the manual without $word"
done > odd
cat odd
[ ! -s odd ]
result $? "--help and the manual have every option and command"
run
same "no arguments: usage" "$status $out ${err%% \[*}" "2  usage: hakmem-config"
while IFS='|' read -r text arguments; do
    # shellcheck disable=SC2086 # a list
    says 2 "$text" $arguments
    result $? "bad usage: $arguments"
done << 'EOF'
unknown command explian, did you mean explain?|explian
unknown command frobnicate (there are modes, knobs, explain, check, policy, profile, topology and preload)|frobnicate
modes takes no arguments, and got fast|modes fast
modes does not take --conf|modes --conf=x
knobs does not take --libdir|knobs --json --libdir
check does not take --json|check --json x
which files|check
explain does not take --mdoc|explain --mdoc
explain: THP is not NAME=VALUE|explain THP
--json needs a command|--json
--conf needs a command|--version --conf x
--static needs --libs|--static --cflags
unrecognized option|--lbs
requires an argument|explain --conf
--shell is bash, zsh or fish|--shell=csh
EOF
if [ -w /dev/full ]; then
    "$tool" knobs > /dev/full 2> err
    same "output that cannot be written" "$? $(cat err)" "1 hakmem-config: cannot write the output"
fi

# --- the manual

same "the tables in the manual and the completions are current" "$("$HK_SRC/build-aux/man-tables" --check "$HK_SRC" "$tool" 2>&1)" ""
mkdir page page/man && cp "$HK_SRC"/man/hakmem.7 "$HK_SRC"/man/hakmem.conf.5 page/man && chmod u+w page/man/*
sed -i 's/^\.It Ev HAKMEM_THP Ta off/.It Ev HAKMEM_THP Ta on/' page/man/hakmem.7
[[ $("$HK_SRC/build-aux/man-tables" --check page "$tool") == *"page/man/hakmem.7"* ]] &&
    "$HK_SRC/build-aux/man-tables" --write page "$tool" && cmp page/man/hakmem.7 "$HK_SRC/man/hakmem.7"
result $? "make man-tables finds a stale one and writes it anew"
cp good hakmem.conf
mkdir bin && printf '#!/bin/sh\nHAKMEM_LIB=%s exec %s "$@"\n' "$lib" "$HK_SRC/hakmem-run" > bin/hakmem-run && chmod +x bin/hakmem-run
build program <<'C'
#include <stdlib.h>
int main(void)
{
    for (int i = 0; i < 1024; i++) {
        char *volatile p = malloc(4 << 20);
        p[0] = 1;
        free(p);
    }
    return 0;
}
C
echo 'int main(void) { return 0; }' > prog.c
# tests/tool/use.sh runs the true one, on what was installed.
printf '#!/bin/sh\ncase "$*" in "-B build -D hakmem_DIR=/"*/cmake/hakmem) ;; *) exit 1 ;; esac\n' > bin/cmake && chmod +x bin/cmake
sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/s/^\.Dl //p' "$HK_SRC/man/hakmem-config.1" > examples
while read -r line; do
    # As if it were installed.
    PATH=$dir/bin:$HK_BUILD:$PATH CPATH=$HK_SRC/include LIBRARY_PATH=$HK_BUILD/lib/.libs bash -c "$line" > /dev/null 2> err < /dev/null
    result $? "the manual's example: $line"
done < examples
same "of which there are some" "$([ "$(wc -l < examples)" -ge 12 ] && echo yes)" yes
finish
