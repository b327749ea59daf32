# SPDX-License-Identifier: MIT
# What: completions of hakmem-config and hakmem-run: what bash, zsh and fish offer, and that nothing is left out.
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
        words=("$@") CURRENT=$#
        source $file' zsh "$HK_SRC/completions/zsh/_$1" "$@" 2>&1
}
if command -v zsh > /dev/null; then
    for f in "$HK_SRC"/completions/zsh/_*; do zsh -f -n "$f" 2>&1; done > odd
    same "zsh: both can be read" "$(cat odd)" ""
    has() { grep -qF -e "$2" <<< "$1" || echo "# no $2"; }
    { got=$(zoffers hakmem-config '') && for w in $options; do has "$got" "${w}["; done; has "$got" "1:command:"
      got=$(zoffers hakmem-config explain '') && for w in '--json[' '--conf=[' ':FILE:_files' '*:setting:_hakmem_config_setting'; do has "$got" "$w"; done
      has "$(zoffers hakmem-config --conf x check '')" "*:file:_files"
      grep -F -e --static <<< "$(zoffers hakmem-config check '')"; } > odd
    cat odd
    [ ! -s odd ]
    result $? "zsh: options, and what follows a command"
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
    fish --no-config -c "source $HK_SRC/completions/fish/hakmem-config.fish; source $HK_SRC/completions/fish/hakmem-run.fish; complete -C'$1'" 2>&1 |
        cut -f 1 | LC_ALL=C sort | tr '\n' ' '
}
if command -v fish > /dev/null; then
    for f in "$HK_SRC"/completions/fish/*; do fish --no-config --no-execute "$f" 2>&1; done > odd
    same "fish: both can be read" "$(cat odd)" ""
    same "fish: commands" "$(foffers 'hakmem-config ')" "$commands"
    same "fish: options" "$(foffers 'hakmem-config --')" "$(tr ' ' '\n' <<< "$options" | LC_ALL=C sort -u | grep . | tr '\n' ' ')"
    same "fish: options of a command" "$(foffers 'hakmem-config policy --')" "--json --process --svg "
    same "fish: settings" "$(foffers 'hakmem-config knobs THP')" "THP THP_LEARN THP_THRESHOLD "
    same "fish: values" "$(foffers 'hakmem-config explain MODE=f')" "MODE=fast "
    same "fish: files" "$(foffers 'hakmem-config check set'; foffers 'hakmem-config explain --conf set')" "settings.conf settings.conf "
    same "fish: no files where there are none" "$(foffers 'hakmem-config topology set')" ""
    same "fish: options of hakmem-run" "$(foffers 'hakmem-run --')" "$run_options"
else
    skip "fish" "it is not installed"
fi
finish
