# SPDX-License-Identifier: MIT
# What: includes point downwards, to headers only, and each source file is in hakmem.am.
# Why: layers that only prose protects rot.
. "${HK_SRC:?}/tests/house/tap.sh"

# A file may include its own folder and folders on earlier lines of LAYERS.
awk 'FILENAME == "lib/LAYERS" { for (i = 1; i <= NF; i++) rank[$i] = FNR; next }
     FNR == 1 { split(FILENAME, part, "/"); mine = part[2] }
     /^#include "/ {
         split($2, q, "\""); n = split(q[2], inc, "/")
         if (n == 1) { if (!(mine == "api" && q[2] == "hakmem.h")) print FILENAME ": " $0 " names no layer"; next }
         if (!(inc[1] in rank)) print FILENAME ": " inc[1] " is no layer"
         else if (inc[1] != mine && rank[inc[1]] >= rank[mine]) print FILENAME ": " mine " includes " inc[1]
     }' lib/LAYERS lib/*/*.[ch] lib/*/*.cc | check "includes go to the own or a lower layer"

grep -nE '#include.*\.(c|cc|inc\.h)"' lib/*/*.[ch] | check "no source file is included"

for dir in lib/*/; do
    grep -qw "$(basename "$dir")" lib/LAYERS || echo "$dir is not in lib/LAYERS"
done | check "every folder has a layer"

for file in lib/*/*.c lib/*/*.cc lib/*/*.h lib/*/*.def; do
    grep -qF "$file" lib/hakmem.am || echo "$file is not in lib/hakmem.am"
done | check "every file is built"

# One home for each conversion and each dangerous call.
{
    grep -nE '\b(mmap|munmap|madvise|mremap|syscall)\(' lib/*/*.[ch] | grep -v '^lib/os/'
    grep -nE '\babort\(' lib/*/*.[ch] | grep -v '^lib/os/report\.c'
    grep -nE '\berrno = ' lib/*/*.[ch] | grep -vE '^lib/(os|api)/'
    grep -nE '\b(getenv|secure_getenv)\(' lib/*/*.[ch]
    grep -nE '\b(printf|fprintf|snprintf|opendir|pthread_once)\(' lib/*/*.[ch]
    grep -nE '\b(dlopen|dlsym)\(' lib/*/*.[ch] | grep -v '^lib/os/sys\.c'
} | check "system calls, abort, errno and the environment stay in their files"
finish
