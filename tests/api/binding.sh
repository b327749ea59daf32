# SPDX-License-Identifier: MIT
# What: several mallocs in one process: libraries that bind the C library's (RTLD_DEEPBIND), that live in spaces of
#   their own (dlmopen, LD_AUDIT), that are closed, and programs with a malloc of their own. See binding.c.
# Why: the loader decides who gets which malloc, and blocks cross over all the same.
. "${HK_SRC:?}/tests/api/tap.sh"
unset LD_PRELOAD LD_AUDIT GLIBC_TUNABLES
source=$HK_SRC/tests/api
# compile NAME FILE [ARGUMENT...]
compile() {
    local out=$dir/$1 file=$source/$2
    shift 2
    # shellcheck disable=SC2086 # CC may carry options
    $cc -O1 -fno-builtin -pthread -D_GNU_SOURCE -w -o "$out" "$file" "$@" -ldl > "$dir/log" 2>&1
}
mkdir "$dir/sub"
# shellcheck disable=SC2016 # for the loader
compile lib.so binding_lib.c -fPIC -shared '-Wl,--enable-new-dtags,-rpath,$ORIGIN/sub' && cp "$dir/lib.so" "$dir/sub/binding_found.so" &&
    compile binding binding.c -rdynamic && compile own binding.c -DBINDING_OWN && compile asks binding.c -DBINDING_ASKS || {
    sed 's/^/# /' "$dir/log"
    echo "1..0 # SKIP no shared libraries, or another C library than glibc"
    exit 0
}
binding=$dir/binding plugin=$dir/lib.so

# run NAME COMMAND...: it says "done" alone, and exits with 0
run() {
    local name=$1 out
    shift
    out=$(timeout -s KILL 120 "$@" 2>&1)
    same "$name" "status $?: $out" "status 0: done"
}
# dies NAME LINE COMMAND...: it says this, addresses aside, and is aborted
dies() {
    local name=$1 line=$2 out
    shift 2
    out=$({ timeout -s KILL 120 "$@"; echo "status $?"; } 2>&1 | sed -E 's/0x[0-9a-f]+/ADDRESS/; /Aborted/d')
    same "$name" "$out" "$line"$'\n'"status 134"
}
ours=(env "LD_PRELOAD=$lib")
invalid="hakmem: free of an invalid pointer: ADDRESS"

# ---- RTLD_DEEPBIND, __libc_malloc ----
same "without the library a plugin is found where its opener looks" "$("$binding" found "$plugin" 2>&1)" "done"
run "a plugin that is bound deep gets this malloc; what else it binds is its own" "${ours[@]}" "$binding" deep-text "$plugin"
run "it is found where its opener looks" "${ours[@]}" "$binding" found "$plugin"
run "who opens the C library by name gets this malloc" "${ours[@]}" "$binding" by-name
run "who looks for malloc in another library gets this one" "${ours[@]}" "$binding" through "$plugin"
run "a constructor opens a library while another thread waits to open the first" "${ours[@]}" "$binding" nested "$plugin"
run "eight threads open the first ones at once, and one forks" "${ours[@]}" "$binding" at-once "$plugin"
run "it frees blocks of ours" "${ours[@]}" "$binding" back "$plugin"
run "and resizes them" "${ours[@]}" "$binding" back-resized "$plugin"
run "blocks of a plugin are resized and freed" "${ours[@]}" "$binding" deep "$plugin"
theirs=("${ours[@]}" HAKMEM_DEEPBIND=0)
run "also those of one that binds the C library's malloc, with HAKMEM_DEEPBIND=0" "${theirs[@]}" "$binding" deep "$plugin"
run "also those that have a mapping each" env GLIBC_TUNABLES=glibc.malloc.mmap_threshold=1 "${theirs[@]}" "$binding" deep "$plugin"
run "also of all the C library's arenas, aligned ones too" "${ours[@]}" "$binding" arenas
dies "its free of ours is found out by the C library then" "free(): invalid pointer" "${theirs[@]}" "$binding" back "$plugin"
dies "its realloc of ours likewise" "realloc(): invalid pointer" "${theirs[@]}" "$binding" back-resized "$plugin"
for how in end start flags arena guard; do
    dies "what cannot be the C library's is not given to it: $how" "$invalid" "${ours[@]}" "$binding" forged-$how
done

folder=$(dirname "$lib")

# ---- libraries that are closed, other spaces ----
run "a library is closed, its blocks and destructors" "${ours[@]}" "$binding" closed "$plugin"
run "libraries with a C library of their own" "${ours[@]}" "$binding" spaces "$plugin"
run "the library in such a space, in a program that has it" "${ours[@]}" "$binding" second "$lib"
run "and in one that has not" "$binding" second "$lib"

if compile on_ours.so binding_lib.c -fPIC -shared -L"$folder" -Wl,--no-as-needed -lhakmem -Wl,-rpath,"$folder"; then
    run "a plugin on the library, bound deep, leaves a program without as it is" "$binding" bystander "$dir/on_ours.so"
else
    skip "a plugin on the library" "it cannot be built here"
fi

# ---- audit libraries: a space of their own; LD_PRELOAD is for the program's ----
if compile audit.so binding_lib.c -fPIC -shared -DBINDING_AUDIT &&
    compile audit_on_ours.so binding_lib.c -fPIC -shared -DBINDING_AUDIT -L"$folder" -Wl,--no-as-needed -lhakmem -Wl,-rpath,"$folder"; then
    # audited NAME AUDIT-LIBRARY WHOSE COMMAND...
    audited() {
        local name=$1 out
        out=$(LD_AUDIT=$dir/$2 timeout -s KILL 120 "${@:4}" 2>&1 | uniq; exit "${PIPESTATUS[0]}") # each program tells
        same "$name" "status $?: $out" "status 0: audited on $3"$'\n'"done"
    }
    audited "an audit library that allocates, in a program without" audit.so another "$binding" closed "$plugin"
    export LD_PRELOAD=$lib
    audited "an audit library that allocates, in a program on hakmem" audit.so another "$binding" closed "$plugin"
    audited "an audit library on hakmem, in a program on hakmem" audit_on_ours.so hakmem "$binding" closed "$plugin"
    unset LD_PRELOAD
    audited "an audit library on hakmem, in a program without" audit_on_ours.so hakmem "$binding" closed "$plugin"
else
    skip "audit libraries" "they cannot be built here"
fi

# ---- mallocs of the program's own ----
run "an allocator of other names, at the program break" "${ours[@]}" "$binding" beside
run "a program that has malloc and free of its own, and nothing else" "${ours[@]}" "$dir/own" incomplete
run "a program whose malloc asks the C library's, looked for by name" "${ours[@]}" "$dir/asks" asks
finish
