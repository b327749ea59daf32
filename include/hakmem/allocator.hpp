// SPDX-License-Identifier: MIT
/*
 * hakmem for C++17: an allocator for containers, a memory resource for std::pmr, a deleter.
 *
 * Header only, over the functions of hakmem.h; the library itself needs no C++ library. A program
 * that has hakmem as its malloc gets it by operator new anyway: this is for parts of a program
 * that are to use hakmem whatever the rest does, and for std::pmr.
 *
 * Alignment is honoured, sizes are told when memory is freed, and what cannot be had throws
 * std::bad_alloc, after the new-handler was called as operator new does. Without exceptions
 * the program ends then. All of it is thread-safe.
 */
#ifndef HAKMEM_ALLOCATOR_HPP
#define HAKMEM_ALLOCATOR_HPP

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>
#include <type_traits>

#if __has_include(<memory_resource>)
#include <memory_resource>
#endif

#include <hakmem.h>

namespace hakmem
{

namespace detail
{

/* What any block of hakmem is aligned to. */
inline constexpr std::size_t alignment = 16;

template <class Error> [[noreturn]] inline void fail()
{
#if defined(__cpp_exceptions)
    throw Error();
#else
    std::abort();
#endif
}

/* Until it is there, or the new-handler throws, or there is none. */
inline void *allocate(std::size_t bytes, std::size_t align)
{
    for (;;) {
        void *p = align <= alignment ? hakmem_malloc(bytes) : hakmem_aligned_alloc(align, bytes);
        if (p) return p;
        std::new_handler handler = std::get_new_handler();
        if (!handler) fail<std::bad_alloc>();
        handler();
    }
}

inline void deallocate(void *p, std::size_t bytes, std::size_t align) noexcept
{
    if (align <= alignment)
        hakmem_free_sized(p, bytes);
    else
        hakmem_free_aligned_sized(p, align, bytes);
}

} // namespace detail

/* For the standard containers. All of them are equal: what one allocated any other may free. */
template <class T> class allocator
{
  public:
    using value_type = T;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using propagate_on_container_move_assignment = std::true_type;
    using is_always_equal = std::true_type;

    constexpr allocator() noexcept = default;
    template <class U> constexpr allocator(const allocator<U> &) noexcept
    {
    }

    /* Throws std::bad_array_new_length if that many are more than there can be. */
    [[nodiscard]] T *allocate(std::size_t count)
    {
        if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
            detail::fail<std::bad_array_new_length>();
        return static_cast<T *>(detail::allocate(count * sizeof(T), alignof(T)));
    }

    /* count as it was given to allocate. */
    void deallocate(T *p, std::size_t count) noexcept
    {
        detail::deallocate(p, count * sizeof(T), alignof(T));
    }
};

template <class T, class U>
constexpr bool operator==(const allocator<T> &, const allocator<U> &) noexcept
{
    return true;
}
template <class T, class U>
constexpr bool operator!=(const allocator<T> &, const allocator<U> &) noexcept
{
    return false;
}

/* For std::unique_ptr, of memory of hakmem_malloc and its kin; it runs no destructor. */
struct deleter {
    void operator()(void *p) const noexcept
    {
        hakmem_free(p);
    }
};

#if defined(__cpp_lib_memory_resource)

/* For std::pmr. Without run-time type information only the same object is equal to itself. */
class memory_resource final : public std::pmr::memory_resource
{
    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        return detail::allocate(bytes, align);
    }
    void do_deallocate(void *p, std::size_t bytes, std::size_t align) override
    {
        detail::deallocate(p, bytes, align);
    }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
#if defined(__cpp_rtti)
        return dynamic_cast<const memory_resource *>(&other) != nullptr;
#else
        return this == &other;
#endif
    }
};

/* One that is there from its first use until the process is gone, never destroyed: destructors of
 * static objects may still free by it. */
inline memory_resource *resource() noexcept
{
    alignas(memory_resource) static unsigned char place[sizeof(memory_resource)];
    static memory_resource *const it = ::new (static_cast<void *>(place)) memory_resource;
    return it;
}

#endif

} // namespace hakmem

#endif
