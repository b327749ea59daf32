# SPDX-License-Identifier: MIT
# What: programs of all kinds where an /etc/ld.so.preload names the library: set-user-ID, static, 32-bit, in a chroot,
#   with a sanitizer, with an allocator of their own; and what starting one costs.
# Why: the file spares nobody. It is one of a mount namespace; the machine's own is only looked at.
. "${HK_SRC:?}/tests/api/tap.sh"
unset LD_PRELOAD
source=$HK_SRC/tests/api real=$(cat /etc/ld.so.preload 2>&1)
chmod 755 "$dir" && mkdir "$dir/lib" "$dir/etc" "$dir/out" && cp "$lib" "$dir/lib/libhakmem.so.1" && chmod 777 "$dir/out" || exit 99
mine=$dir/lib/libhakmem.so.1
apart=(unshare -Urm)
[ "$(id -u)" = 0 ] && apart=(unshare -m)
# everywhere NAMES COMMAND...: where the file has NAMES
everywhere() {
    # shellcheck disable=SC2016 # for the inner shell
    "${apart[@]}" sh -c 'mount -t tmpfs none "$1/etc" && { cp /etc/ld.so.cache /etc/passwd /etc/group "$1/etc" || :; } && printf "%s\n" $2 > "$1/etc/ld.so.preload" &&
        mount --bind "$1/etc" /etc && shift 2 && exec "$@"' sh "$dir" "$@" 2>&1
}
[ "$(everywhere "" echo in)" = in ] || { echo "1..0 # SKIP no mount namespaces here"; exit 0; }
# shellcheck disable=SC2086 # CC may carry options
c() { $cc -O1 -fno-builtin -pthread -D_GNU_SOURCE -w "$@" > "$dir/log" 2>&1; }
c -o "$dir/plain" "$source/static_work.c" || { echo "1..0 # SKIP no compiler"; exit 0; }

# says NAME WANT NAMES COMMAND...: the status and what is said
says() {
    local name=$1 want=$2 out
    shift 2
    out=$(everywhere "$@" | sed -E 's/==[0-9]+==/==/; s/0x[0-9a-f]+/ADDRESS/g'; exit "${PIPESTATUS[0]}")
    same "$name" "status $?: $out" "$want"
}
# tells NAME STATUS TEXT NAMES COMMAND...: the status, and TEXT in what is said
tells() {
    local name=$1 want=$2 text=$3 out status
    shift 3
    out=$(everywhere "$@")
    status=$?
    [ $status = "$want" ] && [[ $out == *"$text"* ]] || printf '# status %s, want %s; said: %s; want: %s\n' $status "$want" "$out" "$text"
    [ $status = "$want" ] && [[ $out == *"$text"* ]]
    result $? "$name"
}
says "a program" "status 0: hakmem" "$mine" "$dir/plain" little
says "without the file" "status 0: another" "" "$dir/plain" little
says "a program that works" "status 0: hakmem" "$mine" "$dir/plain"
if c -static -o "$dir/static" "$source/static_work.c"; then
    says "a static program" "status 0: another" "$mine" "$dir/static" little
else
    skip "a static program" "the C library is not there as an archive"
fi
complains() { printf "ERROR: ld.so: object '%s' from /etc/ld.so.preload cannot be preloaded (%s): ignored." "$1" "$2"; }
gone=$dir/gone/libhakmem.so.1
tells "without the library programs complain and work" 0 "$(complains "$gone" "cannot open shared object file")
another" "$gone" "$dir/plain" little

# ---- set-user-ID ----
cp "$dir/plain" "$dir/suid" && chmod 4755 "$dir/suid"
somebody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if [ "$(id -u)" != 0 ]; then
    skip "a set-user-ID program" "only root can make one and run it as somebody else"
elif [ "$("${somebody[@]}" "$dir/suid" little 2>&1)" != "secure, another" ]; then
    skip "a set-user-ID program" "they are ordinary ones here"
else
    loud=(env HAKMEM_STATS=1 HAKMEM_STATS_FILE="$dir/out/stats" HAKMEM_LOG=settings HAKMEM_MODE=learning HAKMEM_NONSENSE=1)
    says "a set-user-ID program has it, and obeys no variable" "status 0: secure, hakmem" "$mine" "${somebody[@]}" "${loud[@]}" "$dir/suid" little
    # setpriv, an ordinary program that ends by exec, writes nothing either.
    same "nothing is written" "$(ls "$dir/out")" ""
    everywhere "$mine" "${somebody[@]}" env HAKMEM_STATS=1 HAKMEM_STATS_FILE="$dir/out/stats" "$dir/plain" little > "$dir/log"
    same "an ordinary one does" "$(ls "$dir/out")" stats
    tells "by a bare name it has not" 0 "secure, another" libhakmem.so.1 "${somebody[@]}" "$dir/suid" little
fi

# ---- chroot ----
tree=$dir/tree
mkdir -p "$tree/etc" && cp "$dir/plain" "$tree/" && for f in $(ldd "$dir/plain" | grep -oE '/[^ ]+'); do
    mkdir -p "$tree${f%/*}" && cp -L "$f" "$tree$f"
done
says "in a chroot without the file" "status 0: another" "$mine" chroot "$tree" /plain little
echo "$mine" > "$tree/etc/ld.so.preload"
says "in one with the file, but not the library" "status 0: $(complains "$mine" "cannot open shared object file")
another" "$mine" chroot "$tree" /plain little

# ---- 32 bits ----
if printf 'int main(void) { return 5; }' | c -m32 -x c -o "$dir/short" - && { "$dir/short"; [ $? = 5 ]; }; then
    says "a 32-bit program complains and works" "status 5: $(complains "$mine" "wrong ELF class: ELFCLASS64")" "$mine" "$dir/short"
else
    skip "a 32-bit program" "none can be built or run here"
fi

# ---- sanitizers ----
cat > "$dir/a.c" << 'EOC'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <malloc.h>
int main(int argc, char **argv)
{
    char *volatile p = malloc(10), *line = NULL, text[] = "line\n";
    void *aligned = NULL;
    size_t n = 0;
    p = realloc(p, 20);
    p = realloc(p, 10);
    if (argc > 1) {
        char *volatile q = *argv[1] == 'c' ? calloc(2, 5) : *argv[1] == 'a' ? aligned_alloc(64, 10) : p;
        q[10] = 1;
    }
    if (malloc_usable_size(p) < 10 || posix_memalign(&aligned, 4096, 100) || (size_t)aligned % 4096) return 9;
    free(p), free(aligned), free(strdup("text")), free(calloc(3, 5)), free(aligned_alloc(64, 64));
    FILE *f = fmemopen(text, sizeof text, "r");
    if (getline((char **)&line, &n, f) != 5) return 9;
    free(line);
    fclose(f);
    puts("done");
    return 0;
}
EOC
# sanitized NAME COMPILER...: it works, and what it is for too
sanitized() {
    local name=$1
    shift
    if "$@" -w -pthread -o "$dir/$name" "$dir/a.c" > "$dir/log" 2>&1 && "$dir/$name" > "$dir/log" 2>&1; then return 0; fi
    skip "$name" "it cannot be built here"
    return 1
}
no_order=(env ASAN_OPTIONS=verify_asan_link_order=0)
if sanitized asan "$cc" -fsanitize=address; then
    if ldd "$dir/asan" | grep -q libasan; then
        tells "a program with AddressSanitizer ends: it must come first" 1 "ASan runtime does not come first" "$mine" "$dir/asan"
    fi
    says "it works with verify_asan_link_order=0" "status 0: done" "$mine" "${no_order[@]}" "$dir/asan"
    for how in malloc calloc aligned_alloc; do
        tells "and finds what it is for, in a block of $how" 1 "heap-buffer-overflow" "$mine" "${no_order[@]}" "$dir/asan" $how
    done
    says "in hardened mode too" "status 0: done" "$mine" "${no_order[@]}" HAKMEM_HARDENED=1 "$dir/asan"
    says "and where the file is not" "status 0: done" "" "$dir/asan"
fi
if sanitized static-asan "$cc" -fsanitize=address -static-libasan; then
    says "a program with a static AddressSanitizer" "status 0: done" "$mine" "$dir/static-asan"
    tells "and finds what it is for" 1 "heap-buffer-overflow" "$mine" "$dir/static-asan" malloc
fi
if sanitized tsan "$cc" -fsanitize=thread; then says "a program with ThreadSanitizer" "status 0: done" "$mine" "$dir/tsan"; fi
if sanitized lsan "$cc" -fsanitize=leak; then says "a program with LeakSanitizer" "status 0: done" "$mine" "$dir/lsan"; fi
if sanitized ubsan "$cc" -fsanitize=undefined; then says "a program with UndefinedBehaviorSanitizer" "status 0: done" "$mine" "$dir/ubsan"; fi

# ---- an allocator of its own, whole ----
cat > "$dir/own.c" << 'EOC'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
static _Alignas(4096) char store[1 << 24];
static size_t used;
static void *take(size_t align, size_t n)
{
    size_t at = (used + 16 + align - 1) & ~(align - 1);
    used = at + n;
    if (used > sizeof store) return NULL;
    ((size_t *)(store + at))[-1] = n;
    return store + at;
}
void *malloc(size_t n) { return take(16, n); }
void *calloc(size_t c, size_t n) { return take(16, c * n); }
void free(void *p) { if (p && ((char *)p < store || (char *)p >= store + sizeof store)) abort(); }
void *realloc(void *p, size_t n) { void *q = take(16, n); if (p) free(p), memcpy(q, p, ((size_t *)p)[-1] < n ? ((size_t *)p)[-1] : n); return q; }
void *memalign(size_t a, size_t n) { return take(a < 16 ? 16 : a, n); }
void *aligned_alloc(size_t a, size_t n) { return memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { return (*p = memalign(a, n)) ? 0 : ENOMEM; }
size_t malloc_usable_size(void *p) { return ((size_t *)p)[-1]; }
int main(void)
{
    char *line = NULL, text[] = "line\n", *p = strdup("text");
    size_t n = 0;
    void *far;
    if (p < store || p >= store + sizeof store || posix_memalign(&far, 64, 9)) return 9;
    free(p), free(far), free(reallocarray(malloc(3), 3, 5));
    FILE *f = fmemopen(text, sizeof text, "r");
    if (getline(&line, &n, f) != 5) return 9;
    free(line);
    fclose(f);
    puts("done");
    return 0;
}
EOC
c -o "$dir/own" "$dir/own.c"
says "a program with an allocator of its own" "status 0: done" "$mine" "$dir/own"
for other in /usr/lib/*/libjemalloc.so.2 /usr/lib/*/libmimalloc.so.2* /usr/lib/*/libtcmalloc_minimal.so.4; do
    [ -f "$other" ] || continue
    says "with ${other##*/} before it in the file" "status 0: done" "$other $mine" "$dir/ubsan"
    says "with ${other##*/} after it" "status 0: done" "$mine $other" "$dir/ubsan"
done

# ---- the start of a program ----
if command -v strace > /dev/null && strace -o /dev/null true 2> /dev/null && echo 'int nothing;' | c -shared -fPIC -x c -o "$dir/nothing.so" -; then
    calls() {
        everywhere "$1" strace -o "$dir/out/calls" /bin/true > "$dir/log"
        grep -c '(' "$dir/out/calls"
    }
    with=$(calls "$mine") empty=$(calls "$dir/nothing.so") none=$(calls "")
    echo "# /bin/true: $none system calls with an empty file, $empty with an empty library in it, $with with hakmem"
    [ "$none" -gt 5 ] && [ "$with" -le $((empty + 3)) ]
    result $? "a program that starts makes at most 3 system calls more than with an empty library"
else
    skip "the start of a program" "no strace, or it may not trace"
fi
same "the machine's file is as it was" "$(cat /etc/ld.so.preload 2>&1)" "$real"
finish
