# SPDX-License-Identifier: MIT
# What: the RPM packages installed with rpm, used, removed, in a system seen at /other.
# Why: there is no mirror of an RPM system here; the libraries and their versions that packages ask for are real ones.
. /pkg/in.sh
cd /pkg || exit 1
there() { chroot /other /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
try "what they need is there" there sh -c 'apt-get update -qq && apt-get install -qq -y --no-install-recommends libnuma1'
# A package that stands for that system: what its libraries provide, read from them.
{
    printf 'Name: system\nVersion: 1\nRelease: 1\nSummary: s\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n'
    printf 'Provides: /bin/sh\nProvides: /sbin/ldconfig\nProvides: /usr/bin/pkg-config\nProvides: rtld(GNU_HASH)\n'
    find /other/lib/*-linux-gnu/libc.so.6 /other/usr/lib/*-linux-gnu/libnuma.so.1 | while read -r lib; do
        readlink -f "$lib" | /usr/lib/rpm/elfdeps --provides
    done | sed 's/^/Provides: /'
    printf '%%description\ns\n%%files\n'
} > system.spec
try "a package that stands for the system" rpmbuild -bb --define '_rpmdir /pkg' --define '_rpmfilename system.rpm' system.spec
try "rpm -i: it" rpm -i --root /other system.rpm
files /other > before
packages=$(find out/rpm -name '*.rpm' ! -name '*.src.rpm')
# shellcheck disable=SC2086 # words
try "rpm -i: the packages, whose needs are met" rpm -i --root /other $packages
try "no preload by installing" test ! -e /other/etc/ld.so.preload
lib=/usr/lib64/libhakmem.so.1
try "the library is one regular file" test -f /other$lib -a ! -L /other$lib
uses() { "$@" | grep "$lib"; }
try "hakmem-run runs a program on it" uses there hakmem-run cat /proc/self/maps
try "hakmem-config runs" there hakmem-config modes
printf '# kept\n%s\n' $lib > /other/etc/ld.so.preload
try "all programs run on it" uses there cat /proc/self/maps
try "and are quiet" quiet there sh -c 'for i in 1 2 3; do ls / > /dev/null; perl -e 1; done'
# shellcheck disable=SC2086
try "rpm -U: the same release again leaves the preload" rpm -U --force --root /other $packages
try "it is there yet" uses there cat /proc/self/maps
# shellcheck disable=SC2046
try "rpm -e" quiet rpm -e --root /other $(rpm -qa --root /other | grep ^hakmem)
try "the line is gone, the others are not" test "$(cat /other/etc/ld.so.preload)" = '# kept'
rm -f /other/etc/ld.so.preload
files /other > after
# Folders that an RPM system's own packages own do not count.
left() { diff before after | grep '^[<>]' | (! grep -vE '^> [^ ]*/[^ ]* d ') && ! diff before after | grep hakmem; }
try "nothing is left behind" left
echo 'done'
