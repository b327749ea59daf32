/* SPDX-License-Identifier: MIT */
/*
 * What: C++ for the static library: operator new in its forms, failing ones, threads, exceptions.
 * Why: static.sh links it; libstdc++ has its own operator new, which must not come in too.
 */
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

extern "C" const char *hakmem_version() __attribute__((weak));

static int asked;

static void handler()
{
    asked++;
    std::set_new_handler(nullptr);
}

struct alignas(128) Wide {
    char body[300];
};

static void work()
{
    std::map<int, std::string> m;
    for (int i = 0; i < 20000; i++) m[i % 777] += "some text";
}

static bool fails()
{
    volatile std::size_t much = std::size_t(1) << 60;
    std::set_new_handler(handler);
    try {
        delete[] new char[much];
        return false;
    } catch (const std::bad_alloc &) {
    }
    return asked == 1 && new (std::nothrow) char[much] == nullptr;
}

int main()
{
    std::vector<std::thread> t;
    for (int i = 0; i < 4; i++) t.emplace_back(work);
    for (auto &each : t) each.join();
    auto *wide = new Wide;
    bool aligned = reinterpret_cast<std::size_t>(wide) % 128 == 0;
    delete wide;
    if (!aligned || !fails()) return 3;
    std::puts(hakmem_version ? "hakmem" : "another");
    return 0;
}
