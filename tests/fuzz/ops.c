/* SPDX-License-Identifier: MIT */
/*
 * What: sequences of calls and of what happens to a process: threads that end, time, limits,
 *   decisions of learning, forks; each input ends with nothing left.
 * Why: single calls are tested one by one; what breaks is a state that a sequence has led to.
 * Time is what the input says, so the same input does the same.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "core/numa.h"
#include "core/pool.h"
#include "crew.h"
#include "front/fast.h"
#include "hakmem.h"
#include "large/dense.h"
#include "ops.h"
#include "os/lock.h"
#include "os/sys.h"
#include "policy/snapshot.h"
#include "shadow.h"

#define OPERATIONS 400u
#define CHECKED    40u /* operations between two looks at everything */

__attribute__((weak)) bool fuzz_replays; /* a replay has its own */
uint64_t __wrap_hk_sys_now_ms(void);
uint64_t __wrap_hk_sys_now_ns(void);
static uint64_t now_ms = 1000000, now_ns;

uint64_t __wrap_hk_sys_now_ms(void)
{
    return now_ms;
}

/* Whoever times something sees time go by. */
uint64_t __wrap_hk_sys_now_ns(void)
{
    return now_ms * 1000000 + (now_ns += 100);
}

static void op_time(struct run *r)
{
    static const unsigned ms[] = {4, 20, 60, 250, 500, 2000, 4000, 61000};
    now_ms += ms[fuzz_byte(&r->in) % 8];
    hk_front_tick();
}

static void op_trim(struct run *r)
{
    hakmem_trim(fuzz_byte(&r->in) * HK_UNIT_BYTES / 4);
}

static void op_limit(struct run *r)
{
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    size_t more = fuzz_byte(&r->in) * HK_UNIT_BYTES;
    FUZZ_CHECK(hakmem_stats(&s) == 0, "no statistics");
    r->limited = more != 0;
    hakmem_set_limit(more ? s.used_bytes + more : 0);
}

/* N1: every word is a valid decision. */
static void op_decide(struct run *r)
{
    unsigned arm = fuzz_byte(&r->in);
    struct hk_snapshot s = hk_snapshot_of(fuzz_number(&r->in, 8));
    s.dyn = hk_dyn_now() != 0; /* what is told of it elsewhere */
    s.sites = 0;
    hk_policy_set_wmax(arm & 1, 1 + arm / 2 % (HK_WMAX_ARMS - 1),
                       (uint16_t)(1000 + arm / 16 * 200u));
    hk_policy_publish(s);
}

/* Up to two sizes, the shorter one first, of those between mid and the most. */
static void op_sizes(struct run *r)
{
    size_t span = (HK_DYN_MOST - HK_MID_MAX) / HK_DYN_ROUND, n[2], sizes[HK_DYN_CHOSEN] = {0};
    unsigned k = 0;
    for (unsigned i = 0; i < 2; i++) n[i] = fuzz_number(&r->in, 2) % (2 * span);
    for (unsigned i = 0; i < 2; i++) {
        size_t v = n[0] < n[1] ? n[i] : n[1 - i];
        if (v && v <= span && (!k || n[0] != n[1])) sizes[k++] = HK_MID_MAX + v * HK_DYN_ROUND;
    }
    if (!hk_dyn_set(sizes)) return;
    struct hk_snapshot s = hk_policy_now();
    s.dyn = hk_dyn_now() != 0;
    hk_policy_publish(s);
}

static void op_settings(struct run *r)
{
    unsigned v = fuzz_byte(&r->in);
    hk_dense_set_mode((enum hk_thp)(v % 3));
    hk_purge_set_batch(v & 4);
    hk_heap_set_own((v & 24) != 0);
}

static void op_check(struct run *r)
{
    struct hakmem_stats s = {.struct_bytes = fuzz_byte(&r->in) * 2u}, whole = s;
    whole.struct_bytes = sizeof whole;
    hk_front_check();
    shadow_verify_all();
    hakmem_stats(&s);
    FUZZ_CHECK(hakmem_stats(&whole) == 0, "no statistics");
    FUZZ_CHECK(whole.used_bytes <= whole.mapped_bytes + whole.mapped_block_bytes,
               "%zu bytes are used, %zu mapped", whole.used_bytes, whole.mapped_bytes);
    FUZZ_CHECK(hakmem_usable_size(NULL) == 0 && hakmem_usable_size(&s) == 0 &&
                   hakmem_usable_size(&now_ms) == 0,
               "a stranger has usable bytes");
    hakmem_free(NULL);
}

/* From now on a thread whose end has run. */
static void op_retire(struct run *r)
{
    if (r->who) hk_heap_park(&hk_thread);
}

static void child(void)
{
    hk_front_fork_child();
    shadow_verify_all();
    free_all();
    for (size_t n = 1; n < HK_CHUNK_BYTES * 4; n = n * 3 + 1)
        shadow_add(hakmem_malloc(n), n, 16, "");
    hk_front_check();
    free_all();
    hakmem_trim(0);
    _exit(0);
}

/* By the first thread only: the others are not in the child. */
static void op_fork(struct run *r)
{
    int status = -1;
    if (r->who || !fuzz_replays || r->limited) return;
    hk_front_fork_prepare();
    pid_t pid = fork();
    if (pid == 0) child();
    hk_fork_end();
    FUZZ_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "the child: %d", status);
}

static operation *const around[] = {op_time,  op_time,     op_trim,  op_limit,  op_decide,
                                    op_sizes, op_settings, op_check, op_retire, op_fork};
#define AROUND (sizeof around / sizeof *around)

/* Operations until another thread has the next one. */
static void segment(void *arg)
{
    struct run *r = arg;
    while (r->in.at < r->in.end && r->left) {
        unsigned op = fuzz_byte(&r->in);
        r->left--;
        if (op % 32 == 31) return; /* number op / 32 */
        if (op % 32 < 2 * CALLS)
            calls[op % 32 / 2](r);
        else
            around[(op % 32 - 2 * CALLS + op / 32 * 9) % AROUND](r);
        if (r->left % CHECKED == 0) hk_front_check();
    }
}

static void as_in_the_beginning(void)
{
    const size_t none[HK_DYN_CHOSEN] = {0};
    for (unsigned i = 1; i < CREW; i++) crew_end(i);
    hakmem_set_limit(0);
    hk_dyn_set(none);
    hk_policy_publish(hk_policy_balanced());
    hk_dense_set_mode(HK_THP_AUTO);
    hk_purge_set_batch(true);
    hk_heap_set_own(true);
    free_all();
    hk_front_check();
    hakmem_trim(0);
    hk_front_check();
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    hakmem_stats(&s);
    FUZZ_CHECK(hk_pool_used_units() == 0 && s.mapped_blocks == 0,
               "all is freed, and %zu units and %zu mappings are used", hk_pool_used_units(),
               s.mapped_blocks);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    hakmem_free(hakmem_malloc(1)); /* settings are read */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run r = {.in = {data, data + size}, .left = OPERATIONS};
    while (r.in.at < r.in.end && r.left) {
        crew_do(r.who, segment, &r);
        unsigned next = r.in.at > data ? r.in.at[-1] / 32u : 0; /* what ended the segment */
        if (next >= CREW) crew_end(r.who);                      /* and another one goes on */
        r.who = next % CREW;
    }
    as_in_the_beginning();
    return 0;
}
