# SPDX-License-Identifier: MIT
# What: completion of hakmem-run for fish: a program, then what that program's own completion says.
complete -c hakmem-run -n __fish_is_first_token -l help -d 'a summary'
complete -c hakmem-run -n __fish_is_first_token -l version -d 'which library would be used'
complete -c hakmem-run -x -a '(__fish_complete_subcommand)'
