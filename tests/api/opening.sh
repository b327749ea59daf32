# SPDX-License-Identifier: MIT
# What: the first library that a program opens: by dlmopen, under a dlsym of somebody's, while another thread forks, in a
#   set-user-ID program. See opening.c.
# Why: it is then that entries of the C library come to lead to this malloc, and whoever frees a block of ours by them needs that.
. "${HK_SRC:?}/tests/api/tap.sh"
unset LD_PRELOAD
source=$HK_SRC/tests/api
chmod 755 "$dir" && mkdir "$dir/sub" || exit 99
# compile NAME FILE [ARGUMENT...]
compile() {
    local out=$dir/$1 file=$source/$2
    shift 2
    # shellcheck disable=SC2086 # CC may carry options
    $cc -O1 -fno-builtin -pthread -D_GNU_SOURCE -w -o "$out" "$file" "$@" -ldl > "$dir/log" 2>&1
}
# shellcheck disable=SC2016 # for the loader
compile lib.so binding_lib.c -fPIC -shared '-Wl,--enable-new-dtags,-rpath,$ORIGIN/sub' && cp "$dir/lib.so" "$dir/sub/binding_found.so" &&
    compile opening opening.c -rdynamic || {
    sed 's/^/# /' "$dir/log"
    echo "1..0 # SKIP no shared libraries, or another C library than glibc"
    exit 0
}
opening=$dir/opening plugin=$dir/lib.so
# run NAME COMMAND...: it says "done" alone, and exits with 0
run() {
    local name=$1 out
    shift
    out=$(timeout -s KILL 120 "$@" 2>&1)
    same "$name" "status $?: $out" "status 0: done"
}
ours=(env "LD_PRELOAD=$lib")
run "dlopen" "${ours[@]}" "$opening" deep "$plugin"
run "dlmopen, in the program's own space" "${ours[@]}" "$opening" base "$plugin"
run "without the library it is found where its opener looks" "$opening" found "$plugin"
run "and with it" "${ours[@]}" "$opening" found "$plugin"
run "dlmopen in another space changes nothing, the next one does" "${ours[@]}" "$opening" apart "$plugin"
run "another thread forks when the table may just be written" "${ours[@]}" "$opening" forks-first "$plugin"
run "and when it has been" "${ours[@]}" "$opening" forks-second "$plugin"
run "a program whose valloc and pvalloc ask the C library's" "${ours[@]}" "$opening" own-pages

# ---- a dlsym that allocates and opens ----
# The version under which the C library has it; before 2.34 that was libdl.
if compile wrap.so opening.c -fPIC -shared '-DOPENING_WRAP="GLIBC_2.34"' && [ "$(LD_PRELOAD=$dir/wrap.so "$opening" found "$plugin" 2>&1)" = "done" ]; then
    for how in deep base; do
        run "somebody's dlsym before the library: $how" env LD_PRELOAD="$dir/wrap.so $lib" "$opening" $how "$plugin"
        run "and behind it: $how" env LD_PRELOAD="$lib $dir/wrap.so" "$opening" $how "$plugin"
    done
else
    skip "somebody's dlsym" "it cannot be built or used here"
fi

# ---- set-user-ID ----
somebody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
mkdir "$dir/lib" && cp "$lib" "$dir/lib/libhakmem.so.1"
if [ "$(id -u)" != 0 ] || ! command -v setpriv > /dev/null; then
    skip "a set-user-ID program" "only root can make one and run it as somebody else"
elif ! compile suid opening.c -rdynamic -L"$dir/lib" -l:libhakmem.so.1 -Wl,--disable-new-dtags,-rpath,"$dir/lib" -Wl,--no-as-needed; then
    skip "a set-user-ID program" "it cannot be linked here"
else
    "${somebody[@]}" env HAKMEM_DEEPBIND=0 "$dir/suid" deep "$plugin" > "$dir/log" 2>&1
    [ $? = 134 ] # aborted by the C library
    result $? "an ordinary program obeys HAKMEM_DEEPBIND=0"
    chmod 4755 "$dir/suid"
    run "a set-user-ID program does not" "${somebody[@]}" env HAKMEM_DEEPBIND=0 "$dir/suid" deep "$plugin"
fi
finish
