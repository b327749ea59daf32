// SPDX-License-Identifier: MIT
/*
 * What: C++ new and delete in every form, failure and new-handlers, containers, thread_local.
 * Why: a C library that replaces them must keep C++'s rules (throw, loop on the handler) without
 *   linking libstdc++; cxx.sh builds this with the system's C++ compiler and runs it preloaded.
 */
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace
{

const unsigned hang_seconds = 300;
const int told_max = 10; // misses of one case that are printed; the rest is counted
const std::size_t mib = 1 << 20;
std::atomic<int> fails;
int cases, bad_cases;

void missed(const char *what, int line)
{
    if (fails++ < told_max) std::printf("# cxx.cc:%d: expected %s\n", line, what);
}

#define EXPECT(cond) ((cond) ? (void)0 : missed(#cond, __LINE__))

// Each case in a child of its own: a crash or an uncaught exception fails that case alone.
void run(const char *name, void (*fn)())
{
    std::fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(hang_seconds);
        fn();
        std::fflush(stdout);
        _exit(fails ? 1 : 0);
    }
    int status = -1;
    if (pid > 0) waitpid(pid, &status, 0);
    if (status != 0) std::printf("# wait status %#x\n", (unsigned)status);
    bad_cases += status != 0;
    std::printf("%sok %d - %s\n", status ? "not " : "", ++cases, name);
}

void *volatile sink;

std::size_t opaque(std::size_t n)
{
    volatile std::size_t v = n;
    return v;
}

const std::size_t sizes[] = {0,    1,    7,     16,    24,    100,     1023,    1024,    1025,
                             5000, 8192, 32768, 32769, 70000, 1000000, 2097152, 2097153, 5000000};

bool aligned(const void *p, std::size_t a)
{
    return reinterpret_cast<std::uintptr_t>(p) % a == 0;
}

struct form {
    const char *name;
    std::function<void *(std::size_t)> get;
    std::function<void(void *, std::size_t)> put;
    std::size_t align;
};

std::vector<form> forms()
{
    std::vector<form> f;
    f.push_back({"new", [](std::size_t n) { return ::operator new(n); },
                 [](void *p, std::size_t) { ::operator delete(p); }, 16});
    f.push_back({"new, sized delete", [](std::size_t n) { return ::operator new(n); },
                 [](void *p, std::size_t n) { ::operator delete(p, n); }, 16});
    f.push_back({"new[]", [](std::size_t n) { return ::operator new[](n); },
                 [](void *p, std::size_t) { ::operator delete[](p); }, 16});
    f.push_back({"new[], sized delete[]", [](std::size_t n) { return ::operator new[](n); },
                 [](void *p, std::size_t n) { ::operator delete[](p, n); }, 16});
    f.push_back({"nothrow new", [](std::size_t n) { return ::operator new(n, std::nothrow); },
                 [](void *p, std::size_t) { ::operator delete(p, std::nothrow); }, 16});
    f.push_back({"nothrow new[]", [](std::size_t n) { return ::operator new[](n, std::nothrow); },
                 [](void *p, std::size_t) { ::operator delete[](p, std::nothrow); }, 16});
    for (std::size_t a = 8; a <= mib; a *= 2) {
        std::align_val_t v{a};
        f.push_back({"aligned new", [v](std::size_t n) { return ::operator new(n, v); },
                     [v](void *p, std::size_t) { ::operator delete(p, v); }, a});
        f.push_back({"aligned new, sized", [v](std::size_t n) { return ::operator new(n, v); },
                     [v](void *p, std::size_t n) { ::operator delete(p, n, v); }, a});
        f.push_back({"aligned new[]", [v](std::size_t n) { return ::operator new[](n, v); },
                     [v](void *p, std::size_t) { ::operator delete[](p, v); }, a});
        f.push_back({"aligned new[], sized", [v](std::size_t n) { return ::operator new[](n, v); },
                     [v](void *p, std::size_t n) { ::operator delete[](p, n, v); }, a});
        f.push_back({"aligned nothrow new",
                     [v](std::size_t n) { return ::operator new(n, v, std::nothrow); },
                     [v](void *p, std::size_t) { ::operator delete(p, v, std::nothrow); }, a});
        f.push_back({"aligned nothrow new[]",
                     [v](std::size_t n) { return ::operator new[](n, v, std::nothrow); },
                     [v](void *p, std::size_t) { ::operator delete[](p, v, std::nothrow); }, a});
    }
    return f;
}

void every_form()
{
    for (const form &f : forms()) {
        std::vector<std::pair<unsigned char *, std::size_t>> live;
        for (int round = 0; round < 3; round++) {
            for (std::size_t n : sizes) {
                auto *p = static_cast<unsigned char *>(f.get(n));
                EXPECT(p != nullptr);
                EXPECT(aligned(p, f.align));
                if ((!p || !aligned(p, f.align)) && fails < told_max)
                    std::printf("# that was %s of %zu bytes, alignment %zu\n", f.name, n, f.align);
                if (p) std::memset(p, static_cast<int>(live.size()), n);
                live.emplace_back(p, n);
            }
        }
        for (std::size_t i = 0; i < live.size(); i++) {
            auto [p, n] = live[i];
            EXPECT(n == 0 || (p[0] == (i & 255) && p[n - 1] == (i & 255)));
            f.put(p, n);
        }
        f.put(nullptr, 0);
    }
}

void nothing_is_unique()
{
    std::set<void *> seen;
    for (int i = 0; i < 1000; i++) EXPECT(seen.insert(::operator new(opaque(0))).second);
    for (void *p : seen) ::operator delete(p, opaque(0));
}

// The size a delete is told may be wrong: libstdc++'s own ignores it, and programs get it wrong.
void sized_delete_is_lenient()
{
    for (int i = 0; i < 1000; i++) {
        ::operator delete(::operator new(100), opaque(96));
        ::operator delete(::operator new(40000), opaque(8));
        ::operator delete[](::operator new[](16), opaque(3000000));
    }
    char *p = static_cast<char *>(::operator new(100));
    std::memset(p, 1, 100);
    ::operator delete(p);
}

const std::size_t too_much[] = {SIZE_MAX,          SIZE_MAX - 15,     SIZE_MAX - 4096,
                                SIZE_MAX / 2 + 1,  SIZE_MAX / 2 + 16, SIZE_MAX / 2,
                                SIZE_MAX / 2 - 64, SIZE_MAX / 4,      std::size_t{1} << 56};

// Older libstdc++ rounds the size up to the alignment and wraps around; hakmem must not.
bool wraps_in_libstdcxx(std::size_t n, std::size_t align)
{
    return n > SIZE_MAX - align && !dlsym(RTLD_DEFAULT, "hakmem_version");
}

template <class F> bool throws_bad_alloc(F f)
{
    try {
        sink = f();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

void failure_throws()
{
    for (std::size_t n : too_much) {
        EXPECT(throws_bad_alloc([n] { return ::operator new(opaque(n)); }));
        EXPECT(throws_bad_alloc([n] { return ::operator new[](opaque(n)); }));
        if (wraps_in_libstdcxx(n, 4096)) continue;
        EXPECT(throws_bad_alloc([n] { return ::operator new (opaque(n), std::align_val_t{64}); }));
        EXPECT(throws_bad_alloc([n] { return ::operator new[](n, std::align_val_t{4096}); }));
    }
    EXPECT(throws_bad_alloc([] { return (*new std::string(opaque(SIZE_MAX / 4), 'x')).data(); }));
    std::unique_ptr<int> p(new int(5));
    EXPECT(*p == 5);
}

void nothrow_gives_null()
{
    std::align_val_t wide{4096};
    for (std::size_t n : too_much) {
        EXPECT(::operator new(opaque(n), std::nothrow) == nullptr);
        EXPECT(::operator new[](opaque(n), std::nothrow) == nullptr);
        if (wraps_in_libstdcxx(n, 4096)) continue;
        EXPECT(::operator new(opaque(n), wide, std::nothrow) == nullptr);
        EXPECT(::operator new[](opaque(n), wide, std::nothrow) == nullptr);
    }
}

int handler_calls;

void count_to_five()
{
    if (++handler_calls == 5) std::set_new_handler(nullptr);
}

struct told_to_stop : std::bad_alloc {
};

void stop()
{
    handler_calls++;
    throw told_to_stop();
}

// The handler is called again and again until it gives up; then bad_alloc or null.
void handler_loops()
{
    std::size_t n = opaque(SIZE_MAX / 2);
    std::align_val_t wide{256};
    std::function<void()> failing[] = {
        [n] { EXPECT(throws_bad_alloc([n] { return ::operator new(n); })); },
        [n] { EXPECT(throws_bad_alloc([n] { return ::operator new[](n); })); },
        [n, wide] { EXPECT(throws_bad_alloc([=] { return ::operator new(n, wide); })); },
        [n, wide] { EXPECT(throws_bad_alloc([=] { return ::operator new[](n, wide); })); },
        [n] { EXPECT(::operator new(n, std::nothrow) == nullptr); },
        [n] { EXPECT(::operator new[](n, std::nothrow) == nullptr); },
        [n, wide] { EXPECT(::operator new(n, wide, std::nothrow) == nullptr); },
        [n, wide] { EXPECT(::operator new[](n, wide, std::nothrow) == nullptr); },
    };
    for (const auto &fail : failing) {
        handler_calls = 0;
        std::set_new_handler(count_to_five);
        fail();
        EXPECT(handler_calls == 5);
        EXPECT(std::get_new_handler() == nullptr);
    }
}

void handler_throws()
{
    std::set_new_handler(stop);
    for (std::size_t n : too_much) {
        bool stopped = false;
        try {
            sink = ::operator new(opaque(n));
        } catch (const told_to_stop &) {
            stopped = true;
        }
        EXPECT(stopped);
    }
    EXPECT(handler_calls == static_cast<int>(std::size(too_much)));
}

// [new.delete.single]: nothrow new turns the handler's bad_alloc into null.
void handler_throws_in_nothrow()
{
    std::set_new_handler(stop);
    EXPECT(::operator new(opaque(SIZE_MAX / 2), std::nothrow) == nullptr);
    EXPECT(::operator new[](opaque(SIZE_MAX / 2), std::nothrow) == nullptr);
    EXPECT(handler_calls == 2);
}

char *reserve;

void give_reserve()
{
    handler_calls++;
    delete[] reserve;
    reserve = nullptr;
    if (handler_calls > 3) std::set_new_handler(nullptr);
}

// Under an address-space limit a handler that frees a reserve saves the allocation.
void handler_frees()
{
    reserve = new char[200 * mib];
    unsigned long pages = 0;
    FILE *f = std::fopen("/proc/self/statm", "r");
    if (!f || std::fscanf(f, "%lu", &pages) != 1) pages = 1 << 20;
    if (f) std::fclose(f);
    rlim_t limit =
        static_cast<rlim_t>(pages) * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + 50 * mib;
    struct rlimit r = {limit, limit};
    EXPECT(setrlimit(RLIMIT_AS, &r) == 0);
    std::set_new_handler(give_reserve);
    char *p = new char[opaque(120 * mib)];
    EXPECT(handler_calls == 1);
    p[0] = p[120 * mib - 1] = 1;
    delete[] p;
}

void containers()
{
    std::map<std::string, std::vector<int>> tree;
    std::unordered_map<int, std::string> table;
    std::deque<std::string> queue;
    std::list<std::shared_ptr<std::string>> shared;
    for (int i = 0; i < 50000; i++) {
        std::string s = std::to_string(i) + std::string(static_cast<std::size_t>(i % 97), 'x');
        tree[s].assign(static_cast<std::size_t>(i % 50), i);
        table[i] = s;
        queue.push_back(s);
        shared.push_back(std::make_shared<std::string>(s));
        if (i % 3 == 0) queue.pop_front();
        if (i % 5 == 0) table.erase(i / 2);
    }
    for (auto &[key, value] : tree)
        for (int v : value) EXPECT(std::to_string(v) == key.substr(0, std::to_string(v).size()));
    for (auto &[key, value] : table) EXPECT(value.compare(0, 1, std::to_string(key), 0, 1) == 0);
    std::vector<std::string> sorted(queue.begin(), queue.end());
    std::stable_sort(sorted.begin(), sorted.end());
    EXPECT(std::is_sorted(sorted.begin(), sorted.end()));
    std::multiset<std::string> bag(sorted.rbegin(), sorted.rend());
    EXPECT(std::equal(bag.begin(), bag.end(), sorted.begin()));
    std::ostringstream out;
    for (auto &p : shared) out << *p;
    EXPECT(out.str().size() > 50000);
}

struct noisy {
    std::vector<std::string> kept;
    ~noisy()
    {
        std::vector<std::string> last(100, std::string(300, 'd'));
        kept.insert(kept.end(), last.begin(), last.end());
    }
};
thread_local noisy per_thread;

void threads_and_thread_locals()
{
    for (int round = 0; round < 20; round++) {
        std::vector<std::future<std::vector<std::string>>> work;
        for (int i = 0; i < 8; i++)
            work.push_back(std::async(std::launch::async, [i] {
                std::vector<std::string> v;
                for (int j = 0; j < 2000; j++) {
                    v.push_back(std::string(static_cast<std::size_t>(j % 200), 'a'));
                    if (j % 10 == i % 10) per_thread.kept.push_back(v.back());
                }
                return v;
            }));
        for (auto &w : work) {
            std::vector<std::string> v = w.get(); // freed here, after the thread has ended
            EXPECT(v.size() == 2000);
            for (std::size_t j = 0; j < v.size(); j++) EXPECT(v[j].size() == j % 200);
        }
    }
}

void exceptions_allocate()
{
    struct wide {
        char text[5000];
    };
    int caught = 0;
    for (int i = 0; i < 2000; i++) {
        try {
            std::vector<std::string> doomed(static_cast<std::size_t>(i % 50), std::string(90, 'z'));
            throw wide{};
        } catch (const wide &) {
            caught++;
        }
    }
    EXPECT(caught == 2000);
}

} // namespace

int main()
{
    run("new and delete in every form", every_form);
    run("new of nothing gives unique blocks", nothing_is_unique);
    run("sized delete tolerates a wrong size", sized_delete_is_lenient);
    run("new throws bad_alloc for too much", failure_throws);
    run("nothrow new gives null for too much", nothrow_gives_null);
    run("the new-handler is called until it gives up", handler_loops);
    run("the new-handler may throw", handler_throws);
    run("nothrow new turns the handler's exception into null", handler_throws_in_nothrow);
    run("the new-handler may free memory", handler_frees);
    run("containers keep their content", containers);
    run("threads and thread_local destructors", threads_and_thread_locals);
    run("exceptions", exceptions_allocate);
    std::printf("1..%d\n", cases);
    return bad_cases != 0;
}
