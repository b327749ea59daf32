# SPDX-License-Identifier: MIT
# What: the library opened by a program that runs on another malloc; early callers preloaded with it.
# Why: plugins bring allocators; constructors and destructors of others run before and after ours.
. "${HK_SRC:?}/tests/api/tap.sh"
build open -ldl <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *(*alloc)(size_t);
static void (*release)(void *);
static void *work(void *arg)
{
    for (size_t i = 1; i < 30000; i++) {
        size_t n = i * 7919 % (i % 100 ? 3000 : 200000);
        char *p = alloc(n), *own = malloc(n);
        if (!p || !own) abort();
        memset(p, 1, n), memset(own, 2, n);
        release(p), free(own);
    }
    return arg;
}
int main(int argc, char **argv)
{
    void *h = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    if (!h) return puts(dlerror()), 1;
    alloc = (void *(*)(size_t))dlsym(h, "hakmem_malloc");
    release = (void (*)(void *))dlsym(h, "hakmem_free");
    pthread_t t[4];
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, work, NULL);
    void *kept = alloc(100);
    dlclose(h);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    pid_t pid = fork();
    if (pid == 0) work(NULL), _exit(0);
    int status;
    waitpid(pid, &status, 0);
    release(kept);
    return status != 0;
}
C
timeout 120 "$dir/open" "$lib"
same "dlopen, threads, dlclose, fork" $? 0

build early.so -shared -fPIC <<'C'
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
static char *kept[50];
__attribute__((constructor)) static void first(void)
{
    for (int i = 0; i < 50; i++) {
        kept[i] = i % 3 ? malloc((size_t)i * 1500) : calloc(1, (size_t)i * 900 + 1);
        kept[i] = realloc(kept[i], (size_t)i * 4000 + 8);
        memset(kept[i], i, 8);
        free(memalign(256, (size_t)i));
    }
}
__attribute__((destructor)) static void last(void)
{
    for (int i = 0; i < 50; i++) {
        if (kept[i][7] != i) abort();
        free(kept[i]);
    }
    free(malloc(100));
}
C
for order in "$dir/early.so $lib" "$lib $dir/early.so"; do
    for now in "" 1; do
        got=$(LD_BIND_NOW=$now LD_PRELOAD=$order /bin/echo fine 2>&1)
        same "early and late callers, LD_BIND_NOW='$now'" "$got" fine
    done
done
finish
