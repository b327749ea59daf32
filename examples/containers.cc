// SPDX-License-Identifier: MIT
/*
 * What: standard containers and a smart pointer whose memory comes from hakmem.
 * Why: so a part of a C++ program uses it whatever the program's operator new is.
 */
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <hakmem/allocator.hpp>

using text = std::basic_string<char, std::char_traits<char>, hakmem::allocator<char>>;
template <class T> using row = std::vector<T, hakmem::allocator<T>>;
template <class K, class V>
using table = std::map<K, V, std::less<K>, hakmem::allocator<std::pair<const K, V>>>;

/* Wider than malloc's alignment: the allocator sees to it. */
struct alignas(64) line {
    float of[16];
};

int main()
{
    table<text, int> counts;
    for (const char *word : {"one", "two", "one", "three", "one"}) counts[word]++;
    for (const auto &[word, count] : counts) std::printf("%s %d\n", word.c_str(), count);

    row<line> lines(1000);
    bool aligned = reinterpret_cast<std::size_t>(lines.data()) % 64 == 0;
    std::printf("%zu lines at a multiple of 64: %s\n", lines.size(), aligned ? "yes" : "no");

    /* C memory that is freed when the pointer goes. */
    std::unique_ptr<char, hakmem::deleter> copy(static_cast<char *>(hakmem_malloc(6)));
    if (!copy) return 1;
    std::strcpy(copy.get(), "hello");

    bool thrown = false;
    try {
        row<char> endless(row<char>().max_size());
    } catch (const std::exception &e) {
        std::printf("a vector of all memory: %s\n", e.what());
        thrown = true;
    }
    return !(counts["one"] == 3 && aligned && thrown);
}
