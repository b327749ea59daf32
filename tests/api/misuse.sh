# SPDX-License-Identifier: MIT
# What: each misuse that is caught ends the program with its message; each wrong variable costs a line.
# Why: a message is only worth something if it comes, on fd 2, before anything else happens.
. "${HK_SRC:?}/tests/api/tap.sh"
build die <<'C'
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
static char data[64];
/* It cannot grow where it stands. */
static void *grown(void)
{
    void *p = malloc(3 << 20), *volatile fence = malloc(3 << 20);
    p = realloc(p, 20 << 20);
    free(fence);
    return p;
}
int main(int argc, char **argv)
{
    char local[64], *big = malloc(300000), *tiny = malloc(10), **volatile p = &big;
    void (*volatile give)(void *) = free;
    if (argc < 2) return 7;
    free(tiny);
    if (!strcmp(argv[1], "stack")) give(local + 16);
    if (!strcmp(argv[1], "static")) give(data);
    if (!strcmp(argv[1], "wild")) give((void *)0x123456789ab0);
    if (!strcmp(argv[1], "kernel")) give((void *)0xffff800000001000);
    if (!strcmp(argv[1], "interior")) give(*p + 16);
    if (!strcmp(argv[1], "interior-far")) give(*p + 200000);
    if (!strcmp(argv[1], "double-large")) give(*p), give(*p);
    if (!strcmp(argv[1], "interior-mapped")) give((char *)grown() + 4096);
    if (!strcmp(argv[1], "double-mapped")) give(big = grown()), give(*p);
    if (!strcmp(argv[1], "realloc-stack")) return realloc(local, 100) != 0;
    if (!strcmp(argv[1], "usable")) return malloc_usable_size(local) != 0;
    return 0;
}
C
for what in stack static wild kernel interior interior-far double-large interior-mapped double-mapped; do
    err=$(LD_PRELOAD=$lib "$dir/die" $what 2>&1 >/dev/null)
    status=$?
    [ $status = 134 ] && [[ $err == "hakmem: free of an invalid pointer: 0x"* ]]
    result $? "free, $what: status $status, ${err:-nothing said}"
done
err=$(LD_PRELOAD=$lib "$dir/die" realloc-stack 2>&1)
[ $? = 134 ] && [[ $err == "hakmem: realloc of an invalid pointer: 0x"* ]]
result $? "realloc: $err"
LD_PRELOAD=$lib "$dir/die" usable
same "malloc_usable_size of what is not ours is 0" $? 0

build foreign <<'C'
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
extern void *__libc_malloc(size_t);
int main(void)
{
    char *p = __libc_malloc(100), *q = __libc_malloc(1000);
    strcpy(p, "from the C library");
    p = realloc(p, 5000);
    errno = 77;
    free(q);
    if (errno != 77 || strcmp(p, "from the C library")) return 1;
    p = realloc(p, 500000); /* glibc's own realloc would map this elsewhere */
    if (strcmp(p, "from the C library")) return 2;
    free(p);
    q = __libc_malloc(100);
    if (malloc_usable_size(q) < 100) return 3;
    memset(q, 'q', 100);
    q = realloc(q, 10);
    if (!q || memcmp(q, "qqqqqqqqqq", 10)) return 4;
    free(q);
    return 0;
}
C
LD_PRELOAD=$lib "$dir/foreign"
same "blocks of the C library's own malloc go back to it" $? 0

said() { env -u HAKMEM_MODE -u HAKMEM_LOG "$@" LD_PRELOAD="$lib" "$dir/die" 2>&1; }
same "a clean start says nothing" "$(said A=1)" ""
same "unknown variable" "$(said HAKMEM_FOO=1)" "hakmem: unknown variable, ignored: HAKMEM_FOO=1"
same "bad value" "$(said HAKMEM_STATS=2)" "hakmem: bad value, ignored: HAKMEM_STATS=2 (0 or 1)"
same "a mode that is none" "$(said HAKMEM_MODE=fats)" \
    "hakmem: bad value, ignored: HAKMEM_MODE=fats (minimal fast balanced learning research)"
same "a word that is none" "$(said HAKMEM_THP=maybe)" "hakmem: bad value, ignored: HAKMEM_THP=maybe (off auto on)"
printf '# ours\nLOG = minimal\nFOO = 1\nTHP = never\n' > "$dir/conf"
same "a file's wrong lines are told, its right ones count" "$(said HAKMEM_CONF="$dir/conf" | sed "s, [0-9.]*\, mode, VERSION\, mode,")" \
    "hakmem: $dir/conf:3: unknown setting, ignored: HAKMEM_FOO=1
hakmem: $dir/conf:4: bad value, ignored: HAKMEM_THP=never (off auto on)
hakmem: VERSION, mode balanced"
same "the environment goes before a file" "$(said HAKMEM_LOG=off HAKMEM_CONF="$dir/conf" | tail -n 1)" \
    "hakmem: $dir/conf:4: bad value, ignored: HAKMEM_THP=never (off auto on)"
same "a file that is not there" "$(said HAKMEM_CONF="$dir/none")" "hakmem: cannot read HAKMEM_CONF=$dir/none"
said HAKMEM_CONF="$dir/conf" HAKMEM_STRICT=1 > /dev/null
same "HAKMEM_STRICT stops for a file too" $? 1
said HAKMEM_FOO=1 > /dev/null
same "the program's status is its own" $? 7
said HAKMEM_FOO=1 HAKMEM_STRICT=1 | grep -q "HAKMEM_STRICT is set: stopping"
result $? "HAKMEM_STRICT says why it stops"
said HAKMEM_FOO=1 HAKMEM_STRICT=1 > /dev/null
same "and stops" $? 1
said HAKMEM_STATS=1 | grep -q '^system calls by hakmem'
result $? "HAKMEM_STATS writes to fd 2"
same "HAKMEM_STATS_FILE keeps fd 2 clean" "$(said HAKMEM_STATS=1 HAKMEM_STATS_FILE="$dir/stats")" ""
grep -q '^allocations, tiny' "$dir/stats"
result $? "and has the statistics"
build setproctitle <<'C'
#include <string.h>
extern char **environ;
int main(void)
{
    for (char **e = environ; *e; e++) memset(*e, 'Z', strlen(*e));
    return 0;
}
C
env -C "$dir" HAKMEM_STATS=1 HAKMEM_STATS_FILE="$dir/title" LD_PRELOAD="$lib" "$dir/setproctitle"
grep -q '^allocations, tiny' "$dir/title"
result $? "the file's name outlives the environment"

# A C program opens a plugin in C++: the C++ runtime comes after the library.
cat > "$dir/plugin.cc" <<'C'
#include <new>
static int handled;
static void handler()
{
    handled++;
    std::set_new_handler(nullptr);
}
extern "C" int plugin()
{
    volatile unsigned long absurd = 1ul << 62;
    std::set_new_handler(handler);
    if (::operator new(absurd, std::nothrow) || handled != 1) return 1;
    try {
        ::operator delete(::operator new(absurd));
    } catch (std::bad_alloc &) {
        return 0;
    }
    return 2;
}
C
build host <<'C'
#include <dlfcn.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
    void *lib = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int (*plugin)(void) = lib ? (int (*)(void))dlsym(lib, "plugin") : NULL;
    return plugin ? plugin() : 99;
}
C
${CXX:-c++} -O1 -fPIC -shared -o "$dir/plugin.so" "$dir/plugin.cc"
LD_PRELOAD=$lib "$dir/host" "$dir/plugin.so"
same "operator new fails as it should in a C++ plugin of a C program" $? 0
finish
