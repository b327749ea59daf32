# SPDX-License-Identifier: MIT
# What: what make install makes, in a folder of its own below $dir.
# Why: tests see it as users do, at another place than it was configured for.
for v in $(compgen -e HAKMEM_) MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR; do unset "$v"; done
make_=${MAKE:-make}
# shellcheck disable=SC2034 # for who reads this
prefix=$("${HK_BUILD:?}/hakmem-config" --prefix)
# shellcheck disable=SC2034
libdir=$("$HK_BUILD/hakmem-config" --libdir)
# staged NAME TARGET [VARIABLE=VALUE...]: make TARGET, into or out of $dir/NAME
staged() {
    local where=$dir/$1 target=$2
    shift 2
    "$make_" -s -C "$HK_BUILD" "$target" DESTDIR="$where" "$@" > "$dir/log" 2>&1 || { tail -n 5 "$dir/log" | sed 's/^/# /'; return 1; }
}
# make_value VARIABLE: what make makes of it
make_value() { printf 'show:\n\t@echo "%s"\n' "\$($1)" | "$make_" -s -C "$HK_BUILD" -f Makefile -f - show 2> /dev/null; }
