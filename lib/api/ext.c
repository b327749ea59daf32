/* SPDX-License-Identifier: MIT */
/*
 * What: glibc's reporting and tuning calls: malloc_trim, mallinfo, mallinfo2, mallopt, malloc_info,
 *   malloc_stats.
 * Why: left to glibc they would describe a heap that nobody uses; systemd's memory-pressure
 *   handler and others rely on them.
 */
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "core/pool.h"
#include "front/front.h"
#include "large/large.h"
#include "large/mapped.h"
#include "os/probe.h"
#include "os/report.h"

HK_EXPORT int hakmem_trim(size_t pad)
{
    hk_probe_quiet();
    size_t gone = hk_front_trim(pad < HK_MAX_REQUEST ? pad : HK_MAX_REQUEST);
    hk_probe_loud();
    return gone > 0;
}

HK_EXPORT void hakmem_set_limit(size_t bytes)
{
    struct hk_pool_stats p;
    hk_probe_quiet();
    hk_settings_late(); /* what the program says comes after what files say */
    hk_pool_set_limit(bytes);
    hk_pool_read_stats(&p);
    if (bytes && p.used_bytes + p.dirty_free_bytes + p.outside_bytes > bytes) hk_front_trim(0);
    hk_probe_loud();
}

#if HK_OVERRIDE

HK_ALIAS(hakmem_trim)
int malloc_trim(size_t pad);

/* What glibc's fields mean, as far as we have it: bytes mapped, in use, free, releasable. */
HK_EXPORT struct mallinfo2 mallinfo2(void)
{
    struct hk_pool_stats p;
    struct hk_large_stats l;
    hk_probe_quiet();
    hk_pool_read_stats(&p);
    struct hk_mapped_stats m;
    hk_heap_large_stats(&l);
    hk_mapped_read_stats(&m);
    hk_probe_loud();
    size_t used = p.used_bytes > l.tail_bytes ? p.used_bytes - l.tail_bytes : 0;
    return (struct mallinfo2){
        .arena = p.mapped_bytes,
        .ordblks = 1,
        .hblks = m.blocks,
        .hblkhd = p.outside_bytes,
        .uordblks = used,
        .fordblks = p.mapped_bytes > used ? p.mapped_bytes - used : 0,
        .keepcost = p.dirty_free_bytes,
    };
}

static int as_int(size_t v)
{
    return v > INT_MAX ? INT_MAX : (int)v;
}

HK_EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 m = mallinfo2();
    return (struct mallinfo){
        .arena = as_int(m.arena),
        .ordblks = as_int(m.ordblks),
        .hblks = as_int(m.hblks),
        .hblkhd = as_int(m.hblkhd),
        .uordblks = as_int(m.uordblks),
        .fordblks = as_int(m.fordblks),
        .keepcost = as_int(m.keepcost),
    };
}

/* Every parameter is accepted and none has a meaning here: 1, as glibc says for what it takes. */
HK_EXPORT int mallopt(int param HK_UNUSED, int value HK_UNUSED)
{
    return 1;
}

HK_EXPORT void malloc_stats(void)
{
    hakmem_stats_write(STDERR_FILENO);
}

static void xml(struct hk_text *t, const char *tag, const char *type, uint64_t v)
{
    hk_text_str(t, "<");
    hk_text_str(t, tag);
    hk_text_str(t, " type=\"");
    hk_text_str(t, type);
    hk_text_str(t, "\" size=\"");
    hk_text_dec(t, v);
    hk_text_str(t, "\"/>\n");
}

HK_EXPORT int malloc_info(int options, FILE *out)
{
    char buf[2048];
    struct hk_text t = {buf, sizeof buf, 0};
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    if (options != 0) return EINVAL; /* returned, not put into errno: so does glibc */
    hakmem_stats(&s);
    hk_text_str(&t, "<malloc version=\"1\">\n");
    xml(&t, "system", "current", s.mapped_bytes);
    xml(&t, "system", "used", s.used_bytes);
    xml(&t, "total", "rest", s.mapped_bytes - s.used_bytes);
    xml(&t, "total", "dirty", s.free_dirty_bytes);
    xml(&t, "total", "metadata", s.metadata_bytes);
    hk_text_str(&t, "</malloc>\n");
    /* The caller gave a stream: this is the one place where stdio is asked for. */
    return fwrite(buf, 1, t.len, out) == t.len ? 0 : -1;
}

#endif
