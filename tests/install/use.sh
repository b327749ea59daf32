# SPDX-License-Identifier: MIT
# What: the Debian packages installed, used, preloaded into everything, upgraded under running programs, removed, purged.
# Why: what an administrator does; and what is left behind by it is found only by looking at all files.
. /pkg/in.sh
cd /pkg || exit 1
install() { apt-get install -qq -y --no-install-recommends "$@"; }
triplet=$(dpkg --print-architecture | sed 's/amd64/x86_64/; s/arm64/aarch64/')-linux-gnu
lib=/usr/lib/$triplet/libhakmem.so.1
list=/etc/ld.so.preload
packages=$(find /pkg/out/deb -name '*.deb' ! -name '*dbgsym*')
all='libhakmem1 libhakmem-dev hakmem-tools libhakmem1-debug'
sed -i 's/^deb \(.*\)/deb \1\ndeb-src \1/' /etc/apt/sources.list
try "apt-get update" apt-get update -qq
try "what the packages are used with" install gcc libc6-dev make pkg-config man-db libnuma1 perl
files / > before
# shellcheck disable=SC2086 # words
try "apt-get install ./*.deb" install $packages
try "no preload by installing" test ! -e $list
try "the library is one regular file" test -f "$lib" -a ! -L "$lib"
for t in link preload; do
    try "debian/tests/$t" env AUTOPKGTEST_TMP="$(mktemp -d)" sh -c "cd \$AUTOPKGTEST_TMP && /pkg/tests/$t"
done
pages() {
    local page
    # shellcheck disable=SC2086
    for page in $(dpkg -L $all | sed -nE 's,.*/man/man([0-9])/(.*)\.[0-9]\.gz$,\1:\2,p'); do
        man -P cat "${page%:*}" "${page#*:}" | grep -q NAME || { echo "no $page" && return 1; }
    done
    man -P cat hakmem | grep -q hakmem && [ -n "$page" ]
}
try "man shows each page" pages
try "hakmem-config modes" sh -c 'hakmem-config modes | grep balanced'
# shellcheck disable=SC2086
try "apt-get remove" apt-get remove -qq -y $all
# shellcheck disable=SC2086
try "dpkg --purge" dpkg --purge $all
files / > after
try "nothing is left behind" diff before after

# shellcheck disable=SC2086
try "apt-get install again" install $packages
# shellcheck disable=SC2016 # the loader's
enable() { printf '# who reads this\n/usr/$LIB/libhakmem.so.1\n' > $list && chmod 640 $list && chgrp adm $list; }
enable
chmod 644 $list
on_it() { "$@" | grep -q "$lib"; }
try "all programs run on it" on_it cat /proc/self/maps
if hakmem-config --help 2>&1 | grep -q preload; then
    try "hakmem-config preload test" hakmem-config preload test
fi
try "apt-get update, on it" quiet apt-get update -qq
# Their scripts call much that is compiled: Java, Perl and Python, makers of caches, locales, users, keys, indexes.
try "20 packages installed, on it" quiet install bash ca-certificates-java cron dbus default-jre-headless emacs-nox fontconfig git gtk-update-icon-cache \
    libglib2.0-bin locales-all mariadb-common nginx-light openssh-server php-cli python3 redis-server ruby shared-mime-info sudo systemd tzdata
while read -r name code; do
    try "$name runs" quiet sh -c "$code"
done << 'EOF'
java java -version
python3 python3 -c 'import json, ssl, sqlite3'
git git --version
ruby ruby -e 'x = (1..100000).map { |i| i.to_s }'
php php -r 'for ($i = 0; $i < 100000; $i++) $a[] = "x$i";'
perl perl -MPOSIX -e 1
nginx nginx -t
redis redis-server --version
emacs emacs --batch --eval '(princ (make-string 100000 ?x))' > /dev/null
sshd mkdir -p /run/sshd && sshd -t
systemd systemd-analyze --version
sudo sudo id
EOF
reinstall() { quiet install --reinstall bash coreutils dpkg apt libc6; }
try "what runs all this installed again, on it" reinstall

real() {
    cd /root && apt-get source -qq zlib && cd zlib-*/ && ./configure && make -j2 && make test | tee test.out && grep -q 'zlib test OK' test.out
}
try "apt-get install dpkg-dev, on it" quiet install dpkg-dev
try "a project's configure, make -j2 and make test, on it" real
useradd -m -s /bin/bash somebody
try "a login by su" on_it su - somebody -c 'cat /proc/self/maps'
try "and one with a terminal" on_it script -qec 'su - somebody -c "tty > /dev/null && cat /proc/self/maps"' /dev/null
mkdir /pkg/says && chmod 777 /pkg/says
loud() { su somebody -c "HAKMEM_STATS=1 HAKMEM_STATS_FILE=/pkg/says/stats HAKMEM_NONSENSE=1 HAKMEM_STRICT=$1 $2"; }
try "HAKMEM_* is heard by an ordinary program" sh -c "$(declare -f loud); loud 0 id > /dev/null && test -s /pkg/says/stats && ! loud 1 id"
rm -f /pkg/says/*
try "and not by a set-user-ID program" sh -c "$(declare -f loud); loud 1 'passwd -S' | grep somebody && ! ls /pkg/says | grep ."

# Programs that live through it, and one after another that begin in it.
running=()
perl -e 'while (1) { my @a = map { "x" x ($_ * 37 % 9000) } 1 .. 2000; }' 2> /pkg/says/perl & running+=($!)
python3 -c 'while True: a = [bytes(i * 37 % 9000) for i in range(2000)]' 2> /pkg/says/python & running+=($!)
begin='while :; do /bin/true || echo "true: $?"; /bin/sh -c "ls /usr > /dev/null" || echo "sh: $?"; echo >> /pkg/says/rounds; done'
bash -c "$begin" > /pkg/says/begun 2>&1 & running+=($!)
next=$(find /pkg/out/next -name '*.deb' ! -name '*dbgsym*')
old=$(stat -c %i "$lib")
# shellcheck disable=SC2086
try "upgrade under running programs" quiet install $next
still() {
    local from to tries=0
    from=$(wc -l < /pkg/says/rounds)
    to=$from
    until [ "$to" -gt "$((from + 20))" ] || [ $tries -gt 600 ]; do
        sleep 0.1
        tries=$((tries + 1)) to=$(wc -l < /pkg/says/rounds)
    done
    [ "$to" -gt "$((from + 20))" ] && kill -0 "${running[@]}" && ! grep . /pkg/says/perl /pkg/says/python /pkg/says/begun
}
try "they run on; hundreds that began meanwhile have nothing to say" still
try "on the old file, which is no longer there" grep -q "libhakmem.so.1 (deleted)" "/proc/${running[0]}/maps"
try "new programs on the new one" sh -c "grep -q ' $(stat -c %i "$lib") .*libhakmem' /proc/self/maps && test $(stat -c %i "$lib") != $old"
try "the line is there yet" grep -q libhakmem $list
enable
# shellcheck disable=SC2086
try "apt-get remove under running programs" quiet apt-get remove -qq -y $all
try "nor have they now" still
kill "${running[@]}"
try "the line is gone, the others, owner and mode are not" test "$(cat $list) $(stat -c '%a %G' $list)" = '# who reads this 640 adm'
rm -f $list
# shellcheck disable=SC2086
try "dpkg --purge once more" dpkg --purge $all
left() { find / \( -path /proc -o -path /dev -o -path /pkg -o -path /var/log -o -path /var/cache -o -path /other \) -prune -o -name '*hakmem*' -print | (! grep .) &&
    ! grep -r hakmem /etc && ! dpkg-query -l '*hakmem*' | grep '^[a-z]i'; }
try "nothing is left behind, once more" left

# A library that is none: the loader complains at each program, and the package can be removed.
try "apt-get install once more" install /pkg/out/deb/libhakmem1_*.deb
enable
chmod 644 $list
echo nothing > $lib.new && mv -f $lib.new $lib
try "the loader leaves it out" sh -c "! grep libhakmem /proc/self/maps"
try "apt-get purge of a broken library" apt-get purge -qq -y libhakmem1
try "all programs are quiet again" quiet ls /
try "install and debian/tests/system-wide" sh -c "rm -f $list; apt-get install -qq -y /pkg/out/deb/libhakmem1_*.deb && sh -e /pkg/tests/system-wide"
echo 'done'
