# SPDX-License-Identifier: MIT
# What: set-user-ID programs: what the user's environment says of HAKMEM_* counts for nothing, no file is read or written.
# Why: they run with more rights than who sets that environment has.
. "${HK_SRC:?}/tests/api/tap.sh"
skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}
[ "$(id -u)" = 0 ] || skip_all "only root can make such a program and run it as somebody else"
command -v setpriv > /dev/null || skip_all "no setpriv"
unset LD_PRELOAD
folder=$(dirname "$lib") source=$HK_SRC/tests/api
chmod 755 "$dir" && mkdir "$dir/lib" "$dir/out" && cp "$lib" "$dir/lib/libhakmem.so.1" && chmod 777 "$dir/out" || exit 99
somebody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
# compile NAME [ARGUMENT...]
compile() {
    # shellcheck disable=SC2086 # CC may carry options
    $cc -O1 -fno-builtin -pthread -D_GNU_SOURCE -w -o "$dir/$1" "$source/static_work.c" "${@:2}" > "$dir/log" 2>&1 &&
        cp "$dir/$1" "$dir/$1-suid" && chmod 4755 "$dir/$1-suid"
}
programs=()
compile plain || skip_all "no compiler"
"${somebody[@]}" "$dir/plain-suid" little | grep -qx 'secure, another' || skip_all "set-user-ID programs are ordinary ones here"
[ -f "$folder/libhakmem.a" ] && compile static -static -L"$folder" -lhakmem && programs+=(static)
compile linked -L"$dir/lib" -l:libhakmem.so.1 -Wl,--disable-new-dtags,-rpath,"$dir/lib" -Wl,--no-as-needed && programs+=(linked)
[ ${#programs[@]} -gt 0 ] || skip_all "neither library was built"

printf 'STATS = 1\nLOG = settings\n' > "$dir/out/conf"
loud=(env HAKMEM_STATS=1 HAKMEM_STATS_FILE="$dir/out/stats" HAKMEM_POLICY_FILE="$dir/out/policy" HAKMEM_MODE=learning
    HAKMEM_LOG=settings HAKMEM_CONF="$dir/out/conf" HAKMEM_LIMIT=1 HAKMEM_NONSENSE=yes)
for p in "${programs[@]}"; do
    # First that all this is heard of otherwise.
    out=$("${somebody[@]}" "${loud[@]}" HAKMEM_LIMIT=0 "$dir/$p" little 2>&1)
    [[ $out == *"mode learning"* && $out == *hakmem && -s $dir/out/stats && -s $dir/out/policy ]]
    result $? "$p: an ordinary program obeys"
    rm -f "$dir/out/stats" "$dir/out/policy"
    out=$("${somebody[@]}" "${loud[@]}" "$dir/$p-suid" little 2>&1)
    same "$p: a set-user-ID program does not" "$out" "secure, hakmem"
    same "$p: nothing is written" "$(ls "$dir/out")" conf
    out=$("${somebody[@]}" "${loud[@]}" "$dir/$p-suid" 2>&1)
    same "$p: it works" "$out" "secure, hakmem"
    if command -v strace > /dev/null && strace -qq -o /dev/null true 2> /dev/null; then
        strace -f -qq -u nobody -o "$dir/trace" -e trace=open,openat "${loud[@]}" "$dir/$p-suid" little > "$dir/say" 2>&1
        same "$p: no file of settings is looked for" "$(grep -E 'conf|hakmem\.conf|stats|policy' "$dir/trace"; tail -n 1 "$dir/say")" "secure, hakmem"
    else
        skip "$p: no file of settings is looked for" "no strace, or it may not trace"
    fi
done
# The loader takes no library of the user's into such a program; nor does ours come in by that way.
out=$("${somebody[@]}" env LD_PRELOAD="$dir/lib/libhakmem.so.1" "$dir/plain-suid" little 2>&1)
same "LD_PRELOAD does not reach it" "$out" "secure, another"
finish
