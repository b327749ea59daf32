# SPDX-License-Identifier: MIT
# What: completion of hakmem-preload for fish: commands, their options, programs of the test. hakmem-config's uses it.
function __hakmem_preload_programs
    begin
        hakmem-preload test --list; or hakmem-config preload test --list
    end 2>/dev/null | string replace -r ' .*' ''
end
complete -c hakmem-preload -f
complete -c hakmem-preload -n __fish_use_subcommand -l help -d 'a summary'
complete -c hakmem-preload -n __fish_use_subcommand -l version -d 'version of the library'
complete -c hakmem-preload -n __fish_use_subcommand -a enable -d 'try the quick half of the test, then put the library into ld.so.preload'
complete -c hakmem-preload -n __fish_use_subcommand -a disable -d 'take it out'
complete -c hakmem-preload -n __fish_use_subcommand -a status -d 'whether it is in, and whether it is good'
complete -c hakmem-preload -n __fish_use_subcommand -a test -d 'run programs without and with it, and compare'
complete -c hakmem-preload -n '__fish_seen_subcommand_from enable disable status test' -x -l root -a '(__fish_complete_directories)' -d 'a system that is mounted there'
complete -c hakmem-preload -n '__fish_seen_subcommand_from enable test' -r -F -l library -d 'this one in place of the one installed'
complete -c hakmem-preload -n '__fish_seen_subcommand_from enable' -l no-test -d 'do not try it out first'
complete -c hakmem-preload -n '__fish_seen_subcommand_from enable disable' -l dry-run -d 'tell what would be done, do nothing'
complete -c hakmem-preload -n '__fish_seen_subcommand_from status test' -l json -d 'as JSON'
complete -c hakmem-preload -n '__fish_seen_subcommand_from test' -l quick -d 'half of the programs'
complete -c hakmem-preload -n '__fish_seen_subcommand_from test' -l list -d 'what programs there are'
complete -c hakmem-preload -n '__fish_seen_subcommand_from test' -a '(__hakmem_preload_programs)'
