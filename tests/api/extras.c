/* SPDX-License-Identifier: MIT */
/*
 * What: the rest of glibc's malloc family: malloc_usable_size, cfree, free_sized,
 *   free_aligned_sized, malloc_trim, mallinfo, mallinfo2, mallopt, malloc_info, malloc_stats.
 * Why: left out of a replacement, glibc's own would answer for a heap that nobody uses.
 */
#include "support.h"

#include <malloc.h>

static void usable_size(void)
{
    T_EXPECT(malloc_usable_size(NULL) == 0, "malloc_usable_size(NULL) is %zu",
             malloc_usable_size(NULL));
    for (size_t i = 0; i < T_COUNT(t_edges); i++) {
        void *p = malloc(t_edges[i]);
        size_t usable = malloc_usable_size(p);
        T_EXPECT(usable >= t_edges[i], "malloc(%zu) has %zu usable", t_edges[i], usable);
        T_EXPECT(usable == malloc_usable_size(p), "usable size of %zu bytes changes", t_edges[i]);
        /* growing to what is already there must not lose or shrink anything */
        if (p) t_fill(p, usable, i);
        p = realloc(p, usable);
        T_EXPECT(p && malloc_usable_size(p) >= usable, "realloc to the usable %zu bytes", usable);
        T_EXPECT(p && t_holds(p, usable, i), "content of the usable %zu bytes", usable);
        free(p);
    }
}

static void cfree_frees(void)
{
    void (*cfree_)(void *) = (void (*)(void *))t_symbol("cfree");
    T_SKIP_IF(!cfree_, "no cfree here");
    size_t before = t_resident();
    for (int i = 0; i < 2000; i++) {
        void *p = malloc(T_MIB / 4);
        if (p) memset(p, 1, T_MIB / 4);
        cfree_(p);
    }
    cfree_(NULL);
    T_EXPECT(t_resident() < before + 64 * T_MIB, "500 MiB given to cfree stay resident");
}

static void free_sized_frees(void)
{
    void (*sized)(void *, size_t) = (void (*)(void *, size_t))t_symbol("free_sized");
    T_SKIP_IF(!sized, "no free_sized here");
    size_t before = t_resident();
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < T_COUNT(t_edges); i++) {
            unsigned char *p = round & 1 ? malloc(t_edges[i]) : calloc(1, t_edges[i]);
            T_EXPECT(p != NULL, "malloc(%zu)", t_edges[i]);
            if (p) p[t_edges[i] - 1] = 1;
            errno = 4242;
            sized(p, t_edges[i]);
            T_EXPECT(errno == 4242, "free_sized set errno %d", errno);
        }
    }
    sized(NULL, 0);
    sized(NULL, 100);
    sized(malloc(t_opaque(0)), 0);
    T_EXPECT(t_resident() < before + 64 * T_MIB, "free_sized does not give back");
}

static void free_aligned_sized_frees(void)
{
    void (*sized)(void *, size_t, size_t) =
        (void (*)(void *, size_t, size_t))t_symbol("free_aligned_sized");
    T_SKIP_IF(!sized, "no free_aligned_sized here");
    size_t before = t_resident();
    for (int round = 0; round < 20; round++) {
        for (size_t align = 8; align <= 4 * T_MIB; align *= 2) {
            for (size_t i = 0; i < T_COUNT(t_edges); i += 4) {
                unsigned char *p = aligned_alloc(align, t_edges[i]);
                T_EXPECT(p != NULL, "aligned_alloc(%zu, %zu)", align, t_edges[i]);
                if (p) p[0] = 1;
                sized(p, align, t_edges[i]);
            }
        }
    }
    sized(NULL, 64, 64);
    T_EXPECT(t_resident() < before + 64 * T_MIB, "free_aligned_sized does not give back");
}

static void trim(void)
{
    enum { BLOCKS = 4000 };
    static void *p[BLOCKS];
    size_t before = t_resident();
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t n = 10000 + i * 10;
        p[i] = malloc(n);
        if (p[i]) memset(p[i], 1, n);
    }
    size_t full = t_resident();
    for (size_t i = 0; i < BLOCKS; i++) free(p[i]);
    errno = 4242;
    int released = malloc_trim(0);
    T_EXPECT(released == 0 || released == 1, "malloc_trim(0) returned %d", released);
    size_t after = t_resident();
    T_EXPECT(full > before + 80 * T_MIB, "resident %zu -> %zu KiB", before / T_KIB, full / T_KIB);
    T_EXPECT(after < before + 16 * T_MIB, "after malloc_trim(0): %zu -> %zu -> %zu KiB",
             before / T_KIB, full / T_KIB, after / T_KIB);
    malloc_trim(t_opaque(SIZE_MAX)); /* any pad will do */
    malloc_trim(T_MIB);
    for (int i = 0; i < 5; i++) released = malloc_trim(0);
    T_EXPECT(released == 0 || released == 1, "malloc_trim(0) returned %d", released);
}

/* In use by the program, wherever the allocator counts it. */
static size_t in_use(struct mallinfo2 m)
{
    return m.uordblks + m.hblkhd;
}

static void mallinfo2_follows(void)
{
    struct mallinfo2 (*info2)(void) = (struct mallinfo2(*)(void))t_symbol("mallinfo2");
    T_SKIP_IF(!info2, "no mallinfo2 here");
    for (size_t n = 100; n <= 16 * T_MIB; n *= 20) {
        static void *p[400000];
        size_t count = 32 * T_MIB / n;
        struct mallinfo2 before = info2();
        for (size_t i = 0; i < count; i++) p[i] = malloc(n);
        struct mallinfo2 full = info2();
        for (size_t i = 0; i < count; i++) free(p[i]);
        struct mallinfo2 after = info2();
        size_t want = count * n, got = in_use(full) - in_use(before);
        T_EXPECT(got >= want, "%zu × %zu bytes: in use grew by %zu", count, n, got);
        T_EXPECT(got <= want + want / 2 + 4 * T_MIB, "%zu × %zu bytes: in use grew by %zu", count,
                 n, got);
        T_EXPECT(in_use(after) <= in_use(before) + 4 * T_MIB, "%zu × %zu bytes: %zu stay in use",
                 count, n, in_use(after) - in_use(before));
        T_EXPECT(full.arena + full.hblkhd >= full.uordblks, "arena %zu, hblkhd %zu, uordblks %zu",
                 full.arena, full.hblkhd, full.uordblks);
        T_EXPECT(full.arena + full.hblkhd < 100 * T_GIB, "arena %zu", full.arena);
    }
}

static void mallinfo_follows(void)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo before = mallinfo();
    void *p = malloc(50 * T_MIB), *q = malloc(1000);
    struct mallinfo full = mallinfo();
    free(p);
    free(q);
#pragma GCC diagnostic pop
    int grew = full.uordblks + full.hblkhd - before.uordblks - before.hblkhd;
    T_EXPECT(p && grew >= 50 * (int)T_MIB, "50 MiB: in use grew by %d", grew);
    T_EXPECT(before.arena >= 0 && before.uordblks >= 0 && before.fordblks >= 0,
             "arena %d uordblks %d fordblks %d", before.arena, before.uordblks, before.fordblks);
}

static void mallopt_agrees(void)
{
    T_EXPECT(mallopt(M_MMAP_THRESHOLD, 256 * 1024) == 1, "M_MMAP_THRESHOLD");
    T_EXPECT(mallopt(M_TRIM_THRESHOLD, 256 * 1024) == 1, "M_TRIM_THRESHOLD");
    T_EXPECT(mallopt(M_MMAP_MAX, 1000) == 1, "M_MMAP_MAX");
    T_EXPECT(mallopt(M_TOP_PAD, 65536) == 1, "M_TOP_PAD");
    T_EXPECT(mallopt(M_ARENA_MAX, 4) == 1, "M_ARENA_MAX");
    void *p = malloc(T_MIB);
    T_EXPECT(p != NULL, "malloc after mallopt");
    free(p);
}

/* Tags nest and match, one root: enough of XML to be read by a parser. */
static bool well_formed(const char *s, const char *root)
{
    char stack[32][32];
    int depth = 0, roots = 0;
    while ((s = strchr(s, '<')) != NULL) {
        const char *end = strchr(s, '>');
        if (!end) return false;
        char tag[32] = "";
        if (sscanf(s + 1, "%31[^ />\n]", tag) != 1 && s[1] != '/') return false;
        if (s[1] == '?' || s[1] == '!') {
            s = end;
            continue;
        }
        if (s[1] == '/') {
            if (sscanf(s + 2, "%31[^ />\n]", tag) != 1) return false;
            if (depth == 0 || strcmp(stack[--depth], tag) != 0) return false;
        } else {
            if (depth == 0 && (roots++ > 0 || strcmp(tag, root) != 0)) return false;
            if (end[-1] != '/') {
                if (depth == 32) return false;
                strcpy(stack[depth++], tag);
            }
        }
        s = end;
    }
    return depth == 0 && roots == 1;
}

static void info_is_xml(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    T_EXPECT(f != NULL, "open_memstream");
    if (!f) return;
    int rc = malloc_info(0, f);
    fclose(f);
    T_EXPECT(rc == 0, "malloc_info(0, f) returned %d", rc);
    T_EXPECT(length > 20, "malloc_info(0, f) wrote %zu bytes", length);
    T_EXPECT(text && well_formed(text, "malloc"), "malloc_info(0, f) wrote:\n%.200s", text);
    T_EXPECT(text && strstr(text, "version=") != NULL, "<malloc> has a version");
    free(text);
}

static void info_refuses_options(void)
{
    char text[64] = "";
    for (int options = -2; options < 70; options += options == -1 ? 2 : 1) {
        FILE *f = fmemopen(text, sizeof text, "w");
        if (!f) return;
        int rc = malloc_info(options, f);
        T_EXPECT(rc == EINVAL, "malloc_info(%d, f) returned %d", options, rc);
        T_EXPECT(ftell(f) == 0, "malloc_info(%d, f) wrote %ld bytes", options, ftell(f));
        fclose(f);
    }
}

/* Send a standard descriptor into a file, and back. */
static int divert(int fd, FILE *to)
{
    fflush(stdout);
    fflush(stderr);
    int saved = dup(fd);
    dup2(fileno(to), fd);
    return saved;
}

static void restore(int fd, int saved)
{
    fflush(stdout);
    fflush(stderr);
    dup2(saved, fd);
    close(saved);
}

static void stats_go_to_stderr(void)
{
    FILE *out = tmpfile(), *err = tmpfile();
    T_EXPECT(out && err, "tmpfile");
    if (!out || !err) return;
    int saved_out = divert(1, out), saved_err = divert(2, err);
    malloc_stats();
    restore(2, saved_err);
    restore(1, saved_out);
    long out_bytes = lseek(fileno(out), 0, SEEK_END), err_bytes = lseek(fileno(err), 0, SEEK_END);
    T_EXPECT(err_bytes > 20, "malloc_stats() wrote %ld bytes to stderr", err_bytes);
    T_EXPECT(out_bytes == 0, "malloc_stats() wrote %ld bytes to stdout", out_bytes);
    fclose(out);
    fclose(err);
}

int main(void)
{
    t_isolated("malloc_usable_size", usable_size);
    t_isolated("cfree frees", cfree_frees);
    t_isolated("free_sized frees", free_sized_frees);
    t_isolated("free_aligned_sized frees", free_aligned_sized_frees);
    t_isolated("malloc_trim gives memory back", trim);
    t_isolated("mallinfo2 follows the heap", mallinfo2_follows);
    t_isolated("mallinfo follows the heap", mallinfo_follows);
    t_isolated("mallopt returns 1", mallopt_agrees);
    t_isolated("malloc_info(0) is well-formed XML", info_is_xml);
    t_isolated("malloc_info refuses options", info_refuses_options);
    t_isolated("malloc_stats writes to stderr", stats_go_to_stderr);
    return hktest_done();
}
