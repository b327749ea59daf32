// SPDX-License-Identifier: MIT
/*
 * What: std::pmr on hakmem: as what everything uses by default, and below an arena of a request.
 * Why: an arena frees all of a request at once; what it is made of comes from hakmem and goes back.
 */
#include <cstdio>
#include <memory_resource>
#include <string>
#include <vector>

#include <hakmem/allocator.hpp>

/* All that a request allocates lies in its arena, whose memory is freed when it ends. */
static std::size_t serve(int request)
{
    std::pmr::monotonic_buffer_resource arena(4096, hakmem::resource());
    std::pmr::vector<std::pmr::string> parts(&arena);
    for (int i = 0; i < 100; i++)
        parts.emplace_back("part " + std::to_string(i) + " of the request " +
                           std::to_string(request));
    std::size_t bytes = 0;
    for (const auto &part : parts) bytes += part.size();
    return bytes;
}

int main()
{
    /* What names no resource uses hakmem from here on. */
    std::pmr::set_default_resource(hakmem::resource());
    std::pmr::vector<std::size_t> sizes;
    for (int request = 0; request < 1000; request++) sizes.push_back(serve(request));
    std::printf("%zu requests, the last of %zu bytes\n", sizes.size(), sizes.back());
    return !(sizes.size() == 1000 && hakmem_usable_size(sizes.data()) >= 1000 * sizeof sizes[0]);
}
