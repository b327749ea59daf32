/* SPDX-License-Identifier: MIT */
/*
 * What: rules for call sites, and, behind a form feed, the text of /proc/self/maps that they are
 *   looked up in.
 * Why: the one is typed by people, the other has whatever names files have.
 */
#include "core/knobs.h"
#include "expect.h"
#include "front/site.h"
#include "os/object.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

/* OBJECT+0xOFFSET=ACTION, told apart from behind. */
static bool is_rule(const char *s, size_t n)
{
    size_t name = 0, at = 0, eq = 0, action;
    while (eq < n && s[eq] != '=') eq++;
    if (eq == n) return false;
    for (size_t i = 0; i + 3 < eq; i++) {
        if (strncmp(s + i, "+0x", 3) == 0) name = i, at = i + 3;
    }
    if (name == 0 || eq - at > 16) return false;
    if (strspn(s + at, "0123456789abcdefABCDEF") < eq - at) return false;
    static const char *const actions[] = {"keep", "lazy", "batch", "now"};
    for (action = 0; action < 4; action++) {
        size_t len = strlen(actions[action]);
        if (len == n - eq - 1 && strncmp(s + eq + 1, actions[action], len) == 0) return true;
    }
    return false;
}

/* The first one that is none; NULL: all are good. */
static const char *first_wrong(const char *rules)
{
    unsigned n = 0;
    for (const char *s = rules; *s;) {
        size_t len = strcspn(s, ",");
        if (n++ == HK_SITE_RULES || !is_rule(s, len)) return s;
        s += len + (s[len] == ',');
    }
    return NULL;
}

/* Whose address is told lies in the text; its base is found again by its name. */
static void look_up(const char *maps, uintptr_t addr)
{
    struct hk_object o;
    uintptr_t base;
    size_t bytes = strlen(maps);
    if (!hk_object_of(maps, addr, &o)) return;
    FUZZ_CHECK(o.name >= maps && o.name + o.len <= maps + bytes, "a name that is not in the text");
    FUZZ_CHECK(!memchr(o.name, '/', o.len) && !memchr(o.name, '\n', o.len), "not one file's name");
    FUZZ_CHECK(hk_object_base(maps, o.name, o.len, &base), "a file that has no start");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, data + size};
    const char *wrong;
    expect_nothing();
    char *rules = fuzz_part(&in, '\f'), *maps = fuzz_part(&in, '\f');
    if (!rules) return 0;
    stub_files[0] = (struct stub_file){"/proc/self/maps", maps, maps ? strlen(maps) : 0};
    FUZZ_CHECK(hk_sites_start(rules, &wrong), "it did not begin");
    FUZZ_CHECK(wrong == first_wrong(rules), "%s is told to be wrong", wrong ? wrong : "none");
    static const uintptr_t addr[] = {0x1000, 0x400000, 0x400abc, 0x7f0000001000, UINTPTR_MAX};
    for (unsigned i = 0; i < sizeof addr / sizeof *addr; i++) {
        unsigned action = hk_site_request((const void *)addr[i], 100000 + i);
        FUZZ_CHECK(action <= 4 && action == hk_site_rule(addr[i]), "action %u", action);
        if (maps) look_up(maps, addr[i]);
    }
    free(rules);
    free(maps);
    return 0;
}
