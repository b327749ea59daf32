# SPDX-License-Identifier: MIT
# What: the packages, each twice, with nothing but what they say they need; what lintian and rpmlint say of them.
# Why: what was built elsewhere, at another time, by somebody with other habits, must be the same bytes.
. /pkg/in.sh
cd /pkg || exit 1
tarball=$(echo hakmem-*.tar.xz)
next=$(echo next/hakmem-*.tar.xz)
apt-get update -qq
try "apt-get install of what builds Debian packages" apt-get install -qq -y --no-install-recommends build-essential fakeroot dpkg-dev xz-utils
mkdir -p /out /src
tar -C /src -xf "$tarball"
try "apt-get build-dep: all that the packages say they need" apt-get build-dep -qq -y --no-install-recommends "/src/${tarball%.tar.xz}"
try "Debian packages are built" ./build deb "$tarball" /out/deb
# As somebody else would.
other=(env LC_ALL=C TZ=Pacific/Kiritimati HOME=/nowhere USER=other LOGNAME=other bash -c 'umask 007; "$@"' other)
try "and once more" "${other[@]}" ./build deb "$tarball" /other/place/deb
same() {
    local a found=0
    for a in "$1"/*"$3"; do
        cmp "$a" "$2/$(basename "$a")" || return 1
        found=$((found + 1))
    done
    echo "$found compared"
    [ "$found" -ge "$4" ]
}
try "two builds of the Debian packages are the same bytes" same /out/deb /other/place/deb .deb 6
try "two builds of the source package too" same /out/deb /other/place/deb .dsc 1
try "Debian packages of a higher version are built" ./build deb "$next" /out/next

try "apt-get install of what builds and checks packages" apt-get install -qq -y --no-install-recommends rpm rpmlint file cpio lintian man-db
# Who uploads to Debian closes a bug by it; these are not uploaded.
lint() { lintian --allow-root --pedantic -I --suppress-tags initial-upload-closes-no-bugs "$@" && [ ! -s $log ]; }
try "lintian has nothing to say" lint /out/deb/*.changes
try "RPM packages are built" ./build rpm "$tarball" /out/rpm
try "and once more" "${other[@]}" ./build rpm "$tarball" /other/place/rpm
try "two builds of the RPM packages are the same bytes" same /out/rpm /other/place/rpm .rpm 5
lint() { rpmlint -c /pkg/rpmlint.toml "$@" && grep -q ' 0 errors, 0 warnings' $log; }
try "rpmlint has nothing to say" lint /out/rpm/*.rpm
rm -rf /other/place
echo 'done'
