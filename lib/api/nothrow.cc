/* SPDX-License-Identifier: MIT */
/*
 * What: the one thing that C cannot do: operator new(nothrow) when a new-handler throws.
 * Why: nothrow forms must swallow the exception and return null. The C++ runtime is used through
 *   weak references only: in a program that has none, no handler can be installed and none of this
 *   runs, and the library needs no libstdc++.
 */
#include <stddef.h>

extern "C" void *hk_new_retry(size_t n, size_t align, int nothrow);
extern "C" __attribute__((visibility("hidden"))) void *hk_new_retry_nothrow(size_t n,
                                                                            size_t align) noexcept;

__asm__(".weak __cxa_begin_catch\n"
        ".weak __cxa_end_catch\n"
        ".weak __gxx_personality_v0\n"
        ".weak _Unwind_Resume\n"
        ".weak _ZSt9terminatev\n");

void *hk_new_retry_nothrow(size_t n, size_t align) noexcept
{
    try {
        return hk_new_retry(n, align, 1);
    } catch (...) {
        return nullptr;
    }
}
