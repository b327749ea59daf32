# SPDX-License-Identifier: MIT
# What: completions of hakmem-config, hakmem-preload and hakmem-run: what bash, zsh and fish offer, and that nothing is left out.
# Why: a completion that offers what the tool does not take is worse than none. tests/tool/config.sh holds their
#   tables to what the tool has.
. "${HK_SRC:?}/tests/api/tap.sh"
tool=${HK_BUILD:?}/hakmem-config
cd "$dir" || exit 99
touch settings.conf 'with blank' && mkdir folder
export HOME=$dir
knobs=$(sed -nE 's/^HK_KNOB\([a-z0-9_]+, *"([A-Z0-9_]+)".*/\1/p' "$HK_SRC/lib/core/knobs.def" | sort | tr '\n' ' ')
commands=$(sed -nE 's/^    \{"([a-z]+)", tool_.*/\1/p' "$HK_SRC/tools/config.c" | sort | tr '\n' ' ')
options=$("$tool" --help | sed -n '1,2s/ /\n/gp' | grep -o -e '--[a-z]*' | sort -u | tr '\n' ' ')--help' '

# What hakmem-preload says of itself: its commands, options of one, programs.
preload=$HK_BUILD/hakmem-preload
preloads=$("$preload" --help | sed -nE 's/^.{7}hakmem-preload ([a-z]+).*/\1/p' | sort | tr '\n' ' ')
taken() { "$preload" --help | grep -E "^.{7}hakmem-preload $1 " | grep -o -e '--[a-z-]*' | LC_ALL=C sort | tr '\n' ' '; }
programs=$("$preload" test --list | cut -d ' ' -f 1 | LC_ALL=C sort | tr '\n' ' ')
all=$("$preload" --help | grep -o -e '\[--[a-z-]*' | tr -d '[' | sort -u)
for c in $preloads; do
    for o in $all; do
        # Never done: no row has that name, and the other commands take none.
        said=$("$preload" "$c" --root "$dir/none" "$o" "$dir/none" no-such-row no-such-row 2>&1)
        [[ $said == *"does not take $o"* && " $(taken "$c")" != *" $o "* || $said != *"does not take"* && " $(taken "$c")" == *" $o "* ]] || echo "# $c $o: $said"
    done
done > odd
cat odd
[ ! -s odd ] && [ "$preloads" = "disable enable status test " ] && [ "$(wc -w <<< "$all")" -gt 5 ] && [ "$(wc -w <<< "$programs")" -gt 20 ]
result $? "the options that hakmem-preload says it takes are those it takes"

# --- bash

# offers WORD...: what bash offers for the last word, sorted
offers() {
    bash --norc -c '
        source "$0/completions/bash/$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
        '"${breaks-}"'
        _${COMP_WORDS[0]//-/_}
        [ ${#COMPREPLY[@]} = 0 ] || printf "%s\n" "${COMPREPLY[@]}"' "$HK_SRC" "$1" "$@" 2>> err | LC_ALL=C sort | tr '\n' ' '
}
same "bash: commands" "$(offers hakmem-config '')" "$commands"
same "bash: a command's begin" "$(offers hakmem-config po)" "policy "
same "bash: options without a command" "$(offers hakmem-config -)" "$(tr ' ' '\n' <<< "$options" | LC_ALL=C sort -u | grep . | tr '\n' ' ')"
for c in $commands; do
    for o in $(offers hakmem-config "$c" --); do
        [[ $("$tool" "$c" "$o" x 2>&1) != *"does not take"* ]] || echo "# $c does not take $o"
    done
done > odd
cat odd
[ ! -s odd ]
result $? "bash: a command takes the options that are offered"
same "bash: options of a command" "$(offers hakmem-config policy --)" "--json --process --svg "
same "bash: also behind another" "$(offers hakmem-config policy --json --pr)" "--process "
same "bash: settings" "$(offers hakmem-config knobs '')" "$(tr ' ' '\n' <<< "$knobs" | grep . | LC_ALL=C sort | tr '\n' ' ')"
same "bash: a setting's begin, with HAKMEM_" "$(offers hakmem-config knobs HAKMEM_THP_)" "HAKMEM_THP_LEARN HAKMEM_THP_THRESHOLD "
same "bash: NAME=" "$(offers hakmem-config explain STATS)" "STATS= STATS_FILE= "
same "bash: values, split at =" "$(offers hakmem-config explain MODE =)" "balanced fast learning minimal research "
same "bash: a value's begin" "$(offers hakmem-config explain MODE = f)" "fast "
same "bash: with HAKMEM_" "$(offers hakmem-config explain --json HAKMEM_THP = o)" "off on "
same "bash: of a switch" "$(offers hakmem-config explain STATS =)" "0 1 "
same "bash: of a number nothing" "$(offers hakmem-config explain LIMIT =)" ""
same "bash: not split" "$(breaks="COMP_WORDBREAKS=' '" offers hakmem-config explain THP=o)" "THP=off THP=on "
same "bash: files for an option" "$(offers hakmem-config explain --conf se)" "settings.conf "
same "bash: after =" "$(offers hakmem-config explain --conf = se)" "settings.conf "
same "bash: and then on" "$(offers hakmem-config explain --conf settings.conf THP_L)" "THP_LEARN= "
same "bash: the value of an option is no command" "$(offers hakmem-config --conf settings.conf che)" "check "
same "bash: nor after =" "$(offers hakmem-config --conf = settings.conf che)" "check "
same "bash: files for a command" "$(offers hakmem-config check with)" "with blank "
same "bash: nothing" "$(offers hakmem-config topology '')" ""
run_options=$("$HK_SRC/hakmem-run" --help | grep -o -e '^  --[a-z]*' | tr -d ' ' | sort | tr '\n' ' ')
same "bash: options of hakmem-run" "$(offers hakmem-run -)" "$run_options"
same "bash: programs" "$(offers hakmem-run hakmem-conf; PATH=$HK_BUILD:$PATH offers hakmem-run hakmem-conf)" "hakmem-config "
same "bash: files behind them" "$(offers hakmem-run sort settings)" "settings.conf "
# what_follows SHELL OFFERS COMMAND...: what is offered behind hakmem-preload, or hakmem-config preload
what_follows() {
    local shell=$1 as="${*:3}" offer=$2 c
    same "$shell, $as: commands" "$($offer "${@:3}" '')" "$preloads"
    for c in $preloads; do same "$shell, $as: options of $c" "$($offer "${@:3}" "$c" --)" "$(taken "$c")"; done
    same "$shell, $as: programs" "$($offer "${@:3}" test '')" "$programs"
    same "$shell, $as: a program's begin" "$($offer "${@:3}" test --quick ph)" "$(tr ' ' '\n' <<< "$programs" | grep '^ph' | tr '\n' ' ')"
    same "$shell, $as: a command that takes none" "$($offer "${@:3}" status ph)" ""
}
PATH=$HK_BUILD:$PATH what_follows bash offers hakmem-preload
PATH=$HK_BUILD:$PATH what_follows bash offers hakmem-config preload
same "bash: files and folders for its options" "$(offers hakmem-preload enable --library se; offers hakmem-preload test --root = f; offers hakmem-config preload status --root f)" \
    "settings.conf folder folder "
same "bash: the value of an option of hakmem-preload is no command" "$(offers hakmem-preload --root folder st; offers hakmem-config preload --library = x st; offers hakmem-config --conf x preload st)" "status status status "
same "bash: not split" "$(breaks="COMP_WORDBREAKS=' '" offers hakmem-preload enable --root=f)" "--root=folder "
same "bash: options of hakmem-preload alone" "$(offers hakmem-preload --)" "--help --version "
same "bash says nothing on standard error" "$(cat err)" ""
if [ -r /usr/share/bash-completion/bash_completion ]; then
    same "bash: with bash-completion, a program's own completion" \
        "$(breaks='source /usr/share/bash-completion/bash_completion; complete -W "one two" known' offers hakmem-run known t)" "two "
else
    skip "bash: with bash-completion, a program's own completion" "no bash-completion"
fi

# --- zsh

# What the completion asks zsh's own functions for, a line each.
zoffers() {
    zsh -f -c '
        _arguments() { print -rl -- "$@" }
        _describe() { print -rl -- "${(@P)argv[$#-${2:+0}]}" }
        _message() { }
        _files() { print files }
        compadd() { shift; print -rl -- "$@" }
        file=$1; shift
        fpath=(${file:h} $fpath)
        autoload -U _hakmem-preload
        words=("$@") CURRENT=$#
        source $file' zsh "$HK_SRC/completions/zsh/_$1" "$@" 2>&1
}
if command -v zsh > /dev/null; then
    for f in "$HK_SRC"/completions/zsh/_*; do zsh -f -n "$f" 2>&1; done > odd
    same "zsh: all can be read" "$(cat odd)" ""
    has() { grep -qF -e "$2" <<< "$1" || echo "# no $2"; }
    { got=$(zoffers hakmem-config '') && for w in $options; do has "$got" "${w}["; done; has "$got" "1:command:"
      got=$(zoffers hakmem-config explain '') && for w in '--json[' '--conf=[' ':FILE:_files' '*:setting:_hakmem_config_setting'; do has "$got" "$w"; done
      has "$(zoffers hakmem-config --conf x check '')" "*:file:_files"
      grep -F -e --static <<< "$(zoffers hakmem-config check '')"; } > odd
    cat odd
    [ ! -s odd ]
    result $? "zsh: options, and what follows a command"
    for as in hakmem-preload 'hakmem-config preload'; do
        {
            # shellcheck disable=SC2086 # words
            for c in $preloads; do
                got=$(zoffers $as $c '')
                for o in $all; do
                    [[ " $(taken "$c")" == *" $o "* ]] && want=yes || want=no
                    grep -qF -e "$o" <<< "$got" && is=yes || is=no
                    [ $is = $want ] || echo "# $as $c: $o: $is"
                done
            done
            has "$(zoffers $as '')" _hakmem_preload_commands
            has "$(zoffers $as test '')" "*:program:_hakmem_preload_programs"
            has "$(zoffers $as --root folder enable '')" --no-test
        } > odd
        cat odd
        [ ! -s odd ]
        result $? "zsh, $as: commands and their options"
    done
    got=$(PATH=$HK_BUILD:$PATH zsh -f -c '_arguments() { }; compadd() { print -rl -- "${(@P)2}" }; words=(hakmem-preload test ""); CURRENT=3
        source $1; _hakmem_preload_programs; print -rl -- ${_hakmem_preload_commands%%:*}' zsh "$HK_SRC/completions/zsh/_hakmem-preload" 2>&1 | LC_ALL=C sort | tr '\n' ' ')
    same "zsh: programs and commands" "$got" "$(tr ' ' '\n' <<< "$programs$preloads" | grep . | LC_ALL=C sort | tr '\n' ' ')"
    tables=$(zsh -f -c '_arguments() { }; words=(hakmem-config ""); CURRENT=2; source $1
        print -r -- ${(o)_hakmem_config_commands%%:*}; print -r -- ${(o)_hakmem_config_knobs%%:*}
        _hakmem_config_value HAKMEM_MODE; print -r -- $rest' zsh "$HK_SRC/completions/zsh/_hakmem-config")
    same "zsh: commands, settings and their values" "$tables" "${commands% }
$(tr ' ' '\n' <<< "$knobs" | grep . | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')
minimal fast balanced learning research"
else
    skip "zsh" "it is not installed"
fi

# --- fish

foffers() {
    fish --no-config -c "source $HK_SRC/completions/fish/hakmem-config.fish; source $HK_SRC/completions/fish/hakmem-preload.fish; source $HK_SRC/completions/fish/hakmem-run.fish; complete -C'$1'" 2>&1 |
        cut -f 1 | LC_ALL=C sort | tr '\n' ' '
}
if command -v fish > /dev/null; then
    for f in "$HK_SRC"/completions/fish/*; do fish --no-config --no-execute "$f" 2>&1; done > odd
    same "fish: all can be read" "$(cat odd)" ""
    same "fish: commands" "$(foffers 'hakmem-config ')" "$commands"
    same "fish: options" "$(foffers 'hakmem-config --')" "$(tr ' ' '\n' <<< "$options" | LC_ALL=C sort -u | grep . | tr '\n' ' ')"
    same "fish: options of a command" "$(foffers 'hakmem-config policy --')" "--json --process --svg "
    same "fish: settings" "$(foffers 'hakmem-config knobs THP')" "THP THP_LEARN THP_THRESHOLD "
    same "fish: values" "$(foffers 'hakmem-config explain MODE=f')" "MODE=fast "
    same "fish: files" "$(foffers 'hakmem-config check set'; foffers 'hakmem-config explain --conf set')" "settings.conf settings.conf "
    same "fish: no files where there are none" "$(foffers 'hakmem-config topology set')" ""
        fish_offers() { foffers "$*"; }
    PATH=$HK_BUILD:$PATH what_follows fish fish_offers hakmem-preload
    PATH=$HK_BUILD:$PATH what_follows fish fish_offers hakmem-config preload
    same "fish: files and folders for its options" "$(foffers 'hakmem-preload enable --library se'; foffers 'hakmem-config preload test --root f')" "settings.conf folder/ "
    same "fish: options of hakmem-run" "$(foffers 'hakmem-run --')" "$run_options"
else
    skip "fish" "it is not installed"
fi
finish
