/* SPDX-License-Identifier: MIT */
/*
 * What: the settings put to work: read from their sources, handed to the layers.
 * Why: the environment is read by the constructor, the files at the first malloc: a program that
 *   makes none must not pay for them, and what ld.so and the C library allocate may come before
 *   either.
 * Invariants: S1 whoever turns `files_begun` on reads; the others go on with the defaults
 * meanwhile. S2 a thread is only started while no lock is held: by the constructor, or by a first
 * malloc before it has a heap, which the C library's own allocations for that thread may then
 * attach. Threads: any.
 */
#include <unistd.h>

#include "api/api.h"
#include "api/checked.h"
#include "core/conf.h"
#include "core/harden.h"
#include "core/knobs.h"
#include "core/numa.h"
#include "core/pool.h"
#include "front/front.h"
#include "front/learn.h"
#include "front/site.h"
#include "large/dense.h"
#include "large/guard.h"
#include "os/report.h"
#include "os/sys.h"
#include "policy/snapshot.h"

static _Atomic bool environment_read, files_begun;
static bool background; /* started */

static struct hk_snapshot first_snapshot(void)
{
    bool big = hk_knob_value(HK_KNOB_bigcache);
    for (unsigned i = 0; i < HK_RATIOS_MOST; i++) {
        int64_t mid = hk_ratio_of(hk_knob_value(HK_KNOB_wmax_candidates_mid), i);
        int64_t large = hk_ratio_of(hk_knob_value(HK_KNOB_wmax_candidates_large), i);
        hk_policy_set_wmax(false, i + 1, (uint16_t)mid);
        hk_policy_set_wmax(true, i + 1, (uint16_t)large);
    }
    bool set = false; /* by hand */
    for (unsigned k = HK_KNOB_action_big; k <= HK_KNOB_action_mid; k++)
        set |= hk_knob_source((enum hk_knob)k) != HK_FROM_DEFAULT;
    uint64_t caps = 0;
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++)
        caps |= hk_policy_cap_bits(c, (unsigned)hk_int_of(hk_knob_value(HK_KNOB_caps), c));
    return (struct hk_snapshot){
        .exact = set,
        .caps_on = caps != 0,
        .cap = caps & HK_CAP_MASK,
        .dyn = hk_dyn_now() != 0,
        .adapt = hk_knob_value(HK_KNOB_free_policy) != 0,
        .wmax_mid = hk_knob_value(HK_KNOB_wmax_mid) & 7,
        .wmax_large = hk_knob_value(HK_KNOB_wmax_large) & 7,
        .action_mid = hk_knob_value(HK_KNOB_action_mid) & 3,
        .action_large = hk_knob_value(HK_KNOB_action_large) & 3,
        .action_big = (big ? hk_knob_value(HK_KNOB_action_big) : HK_ACTION_NOW) & 3,
    };
}

/* The sizes set by hand that need a class, ascending, and 0; how many are left to be learned. */
static unsigned sizes_set(size_t out[HK_DYN_CHOSEN])
{
    static const enum hk_knob size[] = {HK_KNOB_mid_dyn1, HK_KNOB_mid_dyn2},
                              learn[] = {HK_KNOB_dyn1_auto, HK_KNOB_dyn2_auto};
    unsigned left = 0;
    out[0] = out[1] = 0;
    for (unsigned i = 0; i < HK_DYN_CHOSEN; i++) {
        size_t n = hk_align_up((size_t)hk_knob_value(size[i]), HK_DYN_ROUND);
        if (!n) left += hk_knob_value(learn[i]) != 0;
        if (n <= HK_MID_MAX || n == out[0]) continue;
        out[1] = out[0] && out[0] < n ? n : out[0];
        if (out[1] != n) out[0] = n;
    }
    return left;
}

static hk_q16 ratio(enum hk_knob k)
{
    return hk_q16_of((uint64_t)hk_knob_value(k), 1000);
}

static void stop_if_strict(unsigned wrong)
{
    if (!wrong || !hk_knob_value(HK_KNOB_strict)) return;
    hk_warn("HAKMEM_STRICT is set: stopping", NULL, NULL);
    _exit(1);
}

/* Whether there are rules. */
static bool begin_sites(void)
{
    const char *rules = hk_knob_text(HK_KNOB_site_rules), *wrong;
    if (!hk_sites_start(rules, &wrong)) return false;
    if (wrong) {
        hk_warn("HAKMEM_SITE_RULES: OBJECT+0xOFFSET=keep, lazy, batch or now, 16 at most; not ",
                wrong, NULL);
        stop_if_strict(1);
    }
    return rules && wrong != rules;
}

/* Learning needs memory, so it begins at the first malloc. */
static void begin_to_learn(void)
{
    enum hk_life_mode life = (enum hk_life_mode)hk_knob_value(HK_KNOB_learn);
    if (life != HK_LIFE_MODE_ONCE && life != HK_LIFE_MODE_ALWAYS) return;
    struct hk_learn_config c = {
        .life = life,
        .elo = (enum hk_elo_mode)hk_knob_value(HK_KNOB_evo_policy),
        .wmax = hk_knob_value(HK_KNOB_wmax_learn),
        .caps = hk_knob_value(HK_KNOB_cap_learn),
        .huge = hk_knob_value(HK_KNOB_thp_learn) && hk_knob_value(HK_KNOB_thp) == HK_THP_AUTO,
        .seed = (uint64_t)hk_knob_value(HK_KNOB_seed),
        .start = first_snapshot(),
        .target = {ratio(HK_KNOB_target_hit_mid), ratio(HK_KNOB_target_hit_large)},
        .budget = {(uint64_t)hk_knob_value(HK_KNOB_budget_mid),
                   (uint64_t)hk_knob_value(HK_KNOB_budget_large)},
        .step = {(uint32_t)hk_knob_value(HK_KNOB_cap_step_mid),
                 (uint32_t)hk_knob_value(HK_KNOB_cap_step_large)},
    };
    c.sizes = sizes_set(c.sizes_set);
    c.start.sites = begin_sites();
    c.start.exact |= c.elo == HK_ELO_LEARN;
    hk_learn_start(&c, (uint32_t)hk_knob_value(HK_KNOB_learn_window_ms));
}

static void harden(void)
{
    int64_t level = hk_knob_value(HK_KNOB_hardened);
    if (!level || hk_hardened() || hk_checked_on()) return;
    hk_heap_leave(); /* its bins are those of who is not hardened */
    if (hk_harden_start((unsigned)level)) return;
    hk_warn("HAKMEM_HARDENED: no memory for it", NULL, NULL);
    stop_if_strict(1);
}

/* What the layers have from the start on are the defaults. */
static void hand_out(void)
{
    harden();
    if (hk_knob_value(HK_KNOB_limit)) hk_pool_set_limit((size_t)hk_knob_value(HK_KNOB_limit));
    atomic_store_explicit(&hk_policy_huge_set, (uint64_t)hk_knob_value(HK_KNOB_thp_threshold),
                          memory_order_relaxed);
    hk_dense_set_mode((enum hk_thp)hk_knob_value(HK_KNOB_thp));
    hk_numa_set((enum hk_numa)hk_knob_value(HK_KNOB_numa));
    hk_purge_set_batch(hk_knob_value(HK_KNOB_batch));
    size_t sizes[HK_DYN_CHOSEN];
    sizes_set(sizes);
    hk_dyn_set(sizes);
    hk_policy_publish(first_snapshot());
    if (hk_knob_value(HK_KNOB_cgroup)) hk_front_watch_group();
    hk_heap_set_own(hk_knob_value(HK_KNOB_thread_cache));
    if (hk_knob_value(HK_KNOB_guard_sample) && !hk_checked_on())
        hk_guard_start((uint32_t)hk_knob_value(HK_KNOB_guard_sample),
                       (uint32_t)hk_knob_value(HK_KNOB_guard_slots));
    if (hk_knob_value(HK_KNOB_background_thread) && !background) {
        background = true;
        hk_background_start();
    }
}

static void tell(void)
{
    static const char *const from[] = {"", "the mode", HK_CONF_SYSTEM, "HAKMEM_CONF",
                                       "the environment"};
    char value[256], line[400];
    int64_t log = hk_knob_value(HK_KNOB_log);
    if (log == 0) return;
    hk_knob_print(HK_KNOB_mode, hk_knob_value(HK_KNOB_mode), value, sizeof value);
    hk_warn(hakmem_version(), ", mode ", value);
    for (unsigned k = 0; log > 1 && k < HK_KNOBS; k++) {
        enum hk_source source = hk_knob_source(k);
        if (source == HK_FROM_DEFAULT) continue;
        struct hk_text t = {line, sizeof line - 1, 0};
        hk_text_str(&t, hk_knob_rows[k].name);
        hk_text_str(&t, "=");
        hk_text_str(&t, hk_knob_print(k, hk_knob_value(k), value, sizeof value));
        line[t.len] = 0;
        hk_warn(line, ", by ", from[source]);
    }
}

void hk_settings_start(void)
{
    if (!hk_sys_secure()) stop_if_strict(hk_knobs_read(environ));
    atomic_store_explicit(&environment_read, true, memory_order_release);
    hand_out();
    if (hk_heap_first()) hk_settings_late(); /* others' constructors came first */
}

void hk_settings_late(void)
{
    if (HK_LIKELY(atomic_load_explicit(&files_begun, memory_order_relaxed))) return;
    if (!atomic_load_explicit(&environment_read, memory_order_acquire) || hk_sys_secure()) return;
    if (atomic_exchange_explicit(&files_begun, true, memory_order_relaxed)) return; /* S1 */
    int saved = errno; /* of pthread_create: a malloc that succeeds keeps it */
    stop_if_strict(hk_conf_read());
    hand_out();
    begin_to_learn();
    tell();
    errno = saved;
}
