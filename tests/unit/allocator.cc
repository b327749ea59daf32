// SPDX-License-Identifier: MIT
/*
 * What: the C++ header: allocator, memory resource and deleter, their alignment, failures, sizes.
 * Why: the program's malloc is another one here, so what does not come from hakmem shows; under
 *   hardened mode (tests/tool/use.sh) so does a block that is freed with a wrong size.
 */
#include <cstdint>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <hakmem/allocator.hpp>

#include "hktest.h"

namespace
{

/* Given out by the library, all of bytes of it. */
bool ours(const void *p, std::size_t bytes)
{
    return hakmem_usable_size(p) >= bytes;
}

struct hakmem_stats stats()
{
    struct hakmem_stats s = {};
    s.struct_bytes = sizeof s;
    hktest_ok(hakmem_stats(&s) == 0, "statistics");
    return s;
}

template <std::size_t Align> struct alignas(Align) wide {
    unsigned char bytes[Align];
};

template <std::size_t Align> bool aligned()
{
    hakmem::allocator<wide<Align>> a;
    bool good = true;
    for (std::size_t n = 1; n < 20; n++) {
        wide<Align> *p = a.allocate(n);
        good &= reinterpret_cast<std::uintptr_t>(p) % Align == 0 && ours(p, n * Align);
        std::memset(static_cast<void *>(p), 1, n * Align);
        a.deallocate(p, n);
    }
    return good;
}

void containers()
{
    std::vector<int, hakmem::allocator<int>> v;
    for (int i = 0; i < 100000; i++) v.push_back(i);
    HKTEST(v[77777] == 77777 && ours(v.data(), 100000 * sizeof(int)));
    struct hakmem_stats before = stats();
    using pair = std::pair<const int, long>;
    std::map<int, long, std::less<int>, hakmem::allocator<pair>> m;
    for (int i = 0; i < 1000; i++) m[i] = i;
    HKTEST(m.size() == 1000 && m[500] == 500);
    std::unordered_map<int, long, std::hash<int>, std::equal_to<int>, hakmem::allocator<pair>> h;
    for (int i = 0; i < 1000; i++) h[i] = i;
    HKTEST(h.size() == 1000 && stats().tiny_allocs >= before.tiny_allocs + 2000);
    using text = std::basic_string<char, std::char_traits<char>, hakmem::allocator<char>>;
    text s(1000, 'x');
    HKTEST(s.size() == 1000 && ours(s.data(), 1001));
    std::list<int, hakmem::allocator<int>> a = {1, 2, 3}, b = {4};
    b.splice(b.end(), a);
    HKTEST(b.size() == 4 && a.empty() && b.back() == 3);
    auto w = std::move(v);
    HKTEST(w.size() == 100000 && v.empty());
    auto shared = std::allocate_shared<text>(hakmem::allocator<text>(), "y");
    HKTEST(*shared == "y");
}

void traits()
{
    using ints = hakmem::allocator<int>;
    using t = std::allocator_traits<ints>;
    HKTEST(t::is_always_equal::value && t::propagate_on_container_move_assignment::value);
    HKTEST((std::is_same_v<t::rebind_alloc<long>, hakmem::allocator<long>>));
    HKTEST(ints() == hakmem::allocator<long>() && !(ints() != ints()));
    HKTEST(std::is_nothrow_default_constructible_v<ints> && std::is_empty_v<ints>);
}

int handled;
void handler()
{
    if (++handled == 3) std::set_new_handler(nullptr);
}

template <class Error, class Function> bool throws(Function f)
{
    try {
        f();
    } catch (const Error &) {
        return true;
    } catch (...) {
    }
    return false;
}

void failures()
{
    hakmem::allocator<long> a;
    const std::size_t most = std::size_t(-1);
    HKTEST(throws<std::bad_array_new_length>([&] { (void)a.allocate(most / 4); }));
    HKTEST(throws<std::bad_alloc>([&] { (void)a.allocate(most / 16); }));
    HKTEST(
        throws<std::bad_alloc>([] { (void)hakmem::allocator<wide<4096>>().allocate(most >> 13); }));
    std::set_new_handler(handler);
    HKTEST(throws<std::bad_alloc>([&] { (void)a.allocate(most / 16); }) && handled == 3);
    long *p = a.allocate(0);
    HKTEST(p != nullptr);
    a.deallocate(p, 0);
}

void deleters()
{
    std::unique_ptr<char, hakmem::deleter> p(static_cast<char *>(hakmem_malloc(100)));
    HKTEST(ours(p.get(), 100) && sizeof p == sizeof(char *));
    p.reset();
    HKTEST(!p);
}

/* What is freed serves again: without, this would take 2.5 GiB. */
void frees()
{
    std::size_t before = stats().used_bytes;
    hakmem::allocator<wide<64>> a;
    hakmem::allocator<char> b;
    for (int i = 0; i < 20000; i++) {
        a.deallocate(a.allocate(1000), 1000);
        b.deallocate(b.allocate(60000), 60000);
    }
    std::size_t after = stats().used_bytes;
    hktest_ok(after < before + (64 << 20), "memory is freed: %zu bytes used before, %zu after",
              before, after);
}

void threads()
{
    const std::size_t rounds = 1000;
    std::vector<std::vector<std::size_t, hakmem::allocator<std::size_t>>> rows(4);
    std::vector<std::thread> crew;
    for (std::size_t i = 0; i < 4; i++)
        crew.emplace_back([&, i] {
            for (std::size_t n = 0; n < rounds; n++) rows[i].assign(n, i);
        });
    for (auto &t : crew) t.join();
    bool good = true;
    for (std::size_t i = 0; i < 4; i++) good &= rows[i].size() == rounds - 1 && rows[i].back() == i;
    rows.clear();
    hktest_ok(good, "what threads allocated is freed by another");
}

#if defined(__cpp_lib_memory_resource)

void resources()
{
    hakmem::memory_resource *r = hakmem::resource();
    HKTEST(r == hakmem::resource());
    bool good = true;
    for (std::size_t align = 1; align <= 1 << 20; align *= 2) {
        void *p = r->allocate(100, align);
        good &= reinterpret_cast<std::uintptr_t>(p) % align == 0 && ours(p, 100);
        r->deallocate(p, 100, align);
    }
    hktest_ok(good, "every alignment up to 1 MiB");
    hakmem::memory_resource other;
    HKTEST(r->is_equal(other) && *r == other && !r->is_equal(*std::pmr::new_delete_resource()));
    std::pmr::vector<std::pmr::string> v(r);
    for (int i = 0; i < 1000; i++) v.emplace_back(100, 'a');
    HKTEST(ours(v.data(), 1000 * sizeof v[0]) && ours(v[999].data(), 101));
    std::pmr::unsynchronized_pool_resource pool(r);
    std::pmr::monotonic_buffer_resource heap(&pool);
    std::pmr::map<int, std::pmr::string> m(&heap);
    for (int i = 0; i < 1000; i++) m.try_emplace(i, 50, 'b');
    HKTEST(m.size() == 1000 && m[999].size() == 50);
    HKTEST(throws<std::bad_alloc>([&] { (void)r->allocate(std::size_t(-1) / 4); }));
}

/* Freed after main, when objects that were made later are gone. */
struct {
    std::pmr::string text;
} late;

#endif

} // namespace

int main()
{
    containers();
    traits();
    hktest_ok(aligned<1>() && aligned<16>() && aligned<32>() && aligned<64>() && aligned<4096>(),
              "types of every alignment");
    failures();
    deleters();
    frees();
    threads();
#if defined(__cpp_lib_memory_resource)
    resources();
    ::new (&late.text) std::pmr::string(1000, 'c', hakmem::resource());
#else
    hktest_skip("std::pmr", "this C++ library has none");
#endif
    return hktest_done();
}
