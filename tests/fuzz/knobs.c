/* SPDX-License-Identifier: MIT */
/*
 * What: the input as an environment, a 0 between two variables.
 * Why: it is the one input that every process of a system has, and others write it.
 */
#include "expect.h"

#define VARIABLES 64u

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, data + size};
    char *env[VARIABLES + 1];
    unsigned n = 0, wrong = 0;
    expect_nothing();
    while (n < VARIABLES && (env[n] = fuzz_part(&in, 0)) != NULL)
        wrong += expect_variable(env[n++]);
    env[n] = NULL;
    unsigned told = hk_knobs_read(env);
    FUZZ_CHECK(told == wrong && stub_lines == wrong, "%u are wrong, not %u; %u lines", told, wrong,
               stub_lines);
    for (unsigned i = 0; i < n; i++) free(env[i]); /* copies were kept */
    expect_all();
    expect_nothing(); /* at the end of the process settings are obeyed */
    return 0;
}
