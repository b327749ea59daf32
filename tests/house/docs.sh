# SPDX-License-Identifier: MIT
# What: man pages know every knob and every function, and no others; mandoc finds no fault.
# Why: documentation that is not compared drifts.
. "${HK_SRC:?}/tests/house/tap.sh"
knobs=$(sed -nE 's/^HK_KNOB\([a-z0-9_]+, *"([A-Z0-9_]+)".*/HAKMEM_\1/p' lib/core/knobs.def | sort)
told=$(sed -nE 's/^\.It Ev (HAKMEM_[A-Z0-9_]+)$/\1/p' man/hakmem.7 | sort)
diff <(echo "$knobs") <(echo "$told") | check "hakmem(7) has every variable of knobs.def"
declared=$(grep -hoE '\bhakmem_[a-z_]+\(' include/hakmem.h | tr -d '(' | sort -u)
described=$(sed -nE 's/^\.Fn (hakmem_[a-z_]+) ?.*/\1/p' man/hakmem.3 | sort -u)
diff <(echo "$declared") <(echo "$described") | check "hakmem(3) has every function of hakmem.h"
diff <(sed 's/@@.*//' tests/house/exported.txt | LC_ALL=C sort) \
    <(sed -nE 's/^ ([A-Za-z_0-9]+)@.*/\1/p' debian/libhakmem1.symbols | grep -v '^HAKMEM_' | LC_ALL=C sort) |
    check "the Debian symbols are those of exported.txt"
if command -v mandoc > /dev/null; then
    for page in man/*.[1-8]; do mandoc -Tlint -W warning "$page"; done | check "mandoc -Tlint"
fi
if command -v shellcheck > /dev/null; then
    shellcheck -S warning bootstrap hakmem-run tests/preload build-aux/format build-aux/man-tables build-aux/analyze tests/numa/run tests/fuzz/run .ci/run | check shellcheck
    shellcheck -s bash -S warning -e SC1090,SC1091,SC2154 tests/*/*.sh | check "shellcheck of the tests"
fi
finish
