# SPDX-License-Identifier: MIT
# What: call sites of large blocks: they are told, and rules for them are obeyed while learning, and only then.
# Why: a rule names a place that depends on how the program was built; so the places come from a first run's dump.
. "${HK_SRC:?}/tests/api/tap.sh"
cd "$dir" || exit 99
for v in $(compgen -e HAKMEM_); do unset "$v"; done
build prog << 'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
__attribute__((noinline)) static char *one(size_t n)
{
    char *volatile p = malloc(n);
    return p;
}
__attribute__((noinline)) static char *other(size_t n)
{
    char *volatile p = calloc(1, n);
    return p;
}
/* Pages of a block of 1 MiB that stay resident when it is freed. */
static int left(char *p)
{
    unsigned char in[256];
    int n = 0;
    memset(p, 1, 1 << 20);
    free(p);
    if (mincore(p, 1 << 20, in)) return -1;
    for (int i = 0; i < 256; i++) n += in[i] & 1;
    return n;
}
int main(int argc, char **argv)
{
    for (int i = 0; i < 7; i++) left(one(1 << 20));
    for (int i = 0; i < 9; i++) left(other(1 << 20));
    int a = left(one(1 << 20)), b = left(other(1 << 20));
    void (*dump)(int, int) = NULL;
    *(void **)&dump = dlsym(RTLD_DEFAULT, "hakmem_policy_dump");
    if (argc > 1) dump(1, 1);
    else printf("%d %d\n", a, b);
    return argc > 2 ? argv[1][0] : 0;
}
C
run() { env HAKMEM_LOG=off "$@" 2> err; }
run HAKMEM_MODE=learning LD_PRELOAD="$lib" ./prog dump > dump.json
# site N: the object and offset of the place with N requests
site() {
    tr -d '\n ' < dump.json | grep -oE '"sites":\[[^]]*\]' | grep -oE '"object":"[^"]*","offset":[0-9]+,"requests":'"$1"',"bytes":'"$(($1 << 20))" |
        sed -E 's/"object":"(.*)","offset":([0-9]+),.*/\1 \2/' | { read -r o n && printf '%s+0x%x\n' "$o" "$n"; }
}
one=$(site 8) other=$(site 10)
[[ $one == prog+0x* && $other == prog+0x* && $one != "$other" ]]
result $? "the places are told: $one and $other"
same "without a rule blocks stay" "$(run HAKMEM_MODE=learning LD_PRELOAD="$lib" ./prog)" "256 256"
same "a rule for one" "$(run HAKMEM_MODE=learning HAKMEM_SITE_RULES="$one=now" LD_PRELOAD="$lib" ./prog)" "0 256"
same "a rule for the other" "$(run HAKMEM_MODE=learning HAKMEM_SITE_RULES="x+0x1=now,$other=now" LD_PRELOAD="$lib" ./prog)" "256 0"
same "rules for both" "$(run HAKMEM_MODE=research HAKMEM_THP=off HAKMEM_EVO_POLICY=off HAKMEM_SITE_RULES="$other=now,$one=now" LD_PRELOAD="$lib" ./prog)" "0 0"
same "which ask to keep" "$(run HAKMEM_MODE=learning HAKMEM_ACTION_LARGE=now HAKMEM_SITE_RULES="$other=keep" LD_PRELOAD="$lib" ./prog | cut -d ' ' -f 2)" 256
same "not where nothing is learned" "$(run HAKMEM_SITE_RULES="$one=now" LD_PRELOAD="$lib" ./prog)" "256 256"
# Where files are mapped cannot be read at the first request.
build blind << 'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <dlfcn.h>
__attribute__((noinline)) static char *one(size_t n)
{
    char *volatile p = malloc(n);
    return p;
}
int main(int argc, char **argv)
{
    unsigned char in[256] = {0};
    struct rlimit was, none;
    getrlimit(RLIMIT_NOFILE, &was);
    none = was;
    none.rlim_cur = 0;
    free(malloc(1)); /* files of settings are read */
    for (int i = 0; i < 200; i++) {
        setrlimit(RLIMIT_NOFILE, i ? &was : &none);
        char *p = one(1 << 20);
        memset(p, 1, 1 << 20);
        free(p);
        if (mincore(p, 1 << 20, in)) return 1;
    }
    void (*dump)(int, int) = NULL;
    *(void **)&dump = dlsym(RTLD_DEFAULT, "hakmem_policy_dump");
    if (argc > 1) dump(1, 1);
    else printf("%d\n", in[7] & 1);
    return argc > 2 ? argv[1][0] : 0;
}
C
run HAKMEM_MODE=learning LD_PRELOAD="$lib" ./blind dump > dump.json
at=$(tr -d '\n ' < dump.json | sed -nE 's/.*"sites":\[.*"object":"blind","offset":([0-9]+),"requests":200,.*/\1/p')
same "rules are found later" "$(run HAKMEM_MODE=learning HAKMEM_SITE_RULES="$(printf 'blind+0x%x=now' "$at")" LD_PRELOAD="$lib" ./blind)" 0
# Other places, more than the table holds, before the one that has the rule.
{
    printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/mman.h>\n'
    for i in {1..200}; do
        printf '__attribute__((noinline)) static char *f%d(size_t n) { char *volatile p = malloc(n); return p; }\n' "$i"
    done
    printf 'int main(void) {\nunsigned char in[256] = {0};\nchar *p;\n'
    for i in {1..199}; do printf 'free(f%d(1 << 20));\n' "$i"; done
    printf 'for (int i = 0; i < 1024; i++) free(f200(1 << 20));\np = f200(1 << 20);\nmemset(p, 1, 1 << 20);\nfree(p);\n'
    printf 'mincore(p, 1 << 20, in);\nprintf("%%d\\n", in[7] & 1);\nreturn 0; }\n'
} | build many
at=$(objdump -d --no-show-raw-insn "$dir/many" | awk '/<f200>:$/ { on = 1 } on && called { sub(":", "", $1); print $1; exit } on && /call.*malloc/ { called = 1 }')
if [ -n "$at" ]; then
    same "a place that finds no entry has its rule" "$(run HAKMEM_MODE=learning HAKMEM_SITE_RULES="many+0x$at=now" LD_PRELOAD="$lib" ./many)" 0
    same "and stays without" "$(run HAKMEM_MODE=learning LD_PRELOAD="$lib" ./many)" 1
else
    skip "a place that finds no entry" "no objdump, or no PIE"
fi
# The library of a rule goes, and another one, the same but for its name, comes to its place.
build liba.so -shared -fPIC << 'C'
#include <stdlib.h>
char *take(size_t n)
{
    char *volatile p = malloc(n);
    return p;
}
C
cp liba.so libb.so
build unloads -ldl << 'C'
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
int main(int argc, char **argv)
{
    unsigned char in[256] = {0};
    char *p, *(*take)(size_t), *(*was)(size_t) = NULL;
    for (int lib = 0; lib < 2; lib++, was = take) {
        void *l = dlopen(lib ? "./libb.so" : "./liba.so", RTLD_NOW);
        *(void **)&take = dlsym(l, "take");
        for (int i = 0; i < 4096; i++) free(take(1 << 20));
        p = take(1 << 20);
        memset(p, 1, 1 << 20);
        free(p);
        mincore(p, 1 << 20, in);
        void (*dump)(int, int) = NULL;
        *(void **)&dump = dlsym(RTLD_DEFAULT, "hakmem_policy_dump");
        if (argc > 1) return dump(1, 1), 0;
        printf("%s%d", lib && take != was ? "elsewhere " : "", in[7] & 1);
        dlclose(l);
    }
    return argv[0][0] == 0;
}
C
run HAKMEM_MODE=learning LD_PRELOAD="$lib" ./unloads dump > dump.json
at=$(tr -d '\n ' < dump.json | sed -nE 's/.*"sites":\[.*"object":"liba.so","offset":([0-9]+),"requests":4097,.*/\1/p')
out=$(run HAKMEM_MODE=learning HAKMEM_SITE_RULES="$(printf 'liba.so+0x%x=now' "$at")" LD_PRELOAD="$lib" ./unloads)
if [[ $out == *elsewhere* ]]; then
    skip "a rule goes with its library" "the other one lies elsewhere"
else
    same "a rule goes with its library" "$out" 01
fi
for bad in now "prog=now" "prog+12=now" "prog+0x=now" "prog+0x12" "prog+0x12=never" "+0x12=now" "prog+0x1g=now" "prog+0x11111111111111111=now"; do
    out=$(run HAKMEM_MODE=learning HAKMEM_SITE_RULES="$one=now,$bad" LD_PRELOAD="$lib" ./prog)
    same "no rule: $bad" "$out $(cat err)" "0 256 hakmem: HAKMEM_SITE_RULES: OBJECT+0xOFFSET=keep, lazy, batch or now, 16 at most; not $bad"
done
run HAKMEM_MODE=learning HAKMEM_STRICT=1 HAKMEM_SITE_RULES=now LD_PRELOAD="$lib" ./prog > /dev/null
same "it stops a strict program" $? 1
finish
