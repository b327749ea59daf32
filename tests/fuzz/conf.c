/* SPDX-License-Identifier: MIT */
/*
 * What: files of settings: /etc/hakmem.conf, the file of HAKMEM_CONF and the environment, form
 * feeds between them; which one wins. Why: lines come from editors and scripts, and whoever may
 * write a line must not get further.
 */
#include "core/conf.h"
#include "expect.h"

#define USERS "/users.conf"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

/* What expects the file's text to end like the library's reader. */
static unsigned file(unsigned i, const char *path, const char *text, size_t n)
{
    stub_files[i] = (struct stub_file){path, text, n};
    if (!text) return 0;
    char *seen = strndup(text, n < HK_CONF_MOST ? n : HK_CONF_MOST);
    if (!seen) abort();
    unsigned wrong = expect_lines(seen, i ? HK_FROM_FILE : HK_FROM_SYSTEM);
    free(seen);
    return wrong + (n >= HK_CONF_MOST);
}

static const char *part(struct fuzz_in *in, size_t *n)
{
    const uint8_t *from = in->at, *to;
    if (from >= in->end) return NULL;
    to = memchr(from, '\f', (size_t)(in->end - from));
    *n = (size_t)((to ? to : in->end) - from);
    in->at = to ? to + 1 : in->end;
    return (const char *)from;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, data + size};
    size_t n[2] = {0};
    const char *text[2];
    char *env[] = {NULL, NULL, NULL}, with[] = "HAKMEM_CONF=" USERS;
    for (unsigned i = 0; i < 2; i++) text[i] = part(&in, &n[i]);
    expect_nothing();
    unsigned wrong = expect_variable(with), told;
    env[0] = with;
    if ((env[1] = fuzz_part(&in, 0)) != NULL) wrong += expect_variable(env[1]);
    bool ours = !env[1] || strncmp(env[1], "HAKMEM_CONF=", 12) != 0;
    told = hk_knobs_read(env);
    wrong += file(0, HK_CONF_SYSTEM, text[0], n[0]);
    if (ours && text[1])
        wrong += file(1, USERS, text[1], n[1]);
    else
        wrong += !file(1, USERS, NULL, 0); /* it cannot be read */
    told += hk_conf_read();
    FUZZ_CHECK(told == wrong && stub_lines == wrong, "%u are wrong, not %u; %u lines", told, wrong,
               stub_lines);
    expect_all();
    expect_nothing(); /* at the end of the process settings are obeyed */
    free(env[1]);
    return 0;
}
