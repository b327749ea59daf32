# SPDX-License-Identifier: MIT
# What: what the scripts within the systems share: try NAME COMMAND..., and a look at all files there are.
log=/pkg/log
# try NAME COMMAND...: ok if it ends well; else what it said last is shown.
try() {
    local name=$1
    shift
    if "$@" > $log 2>&1 < /dev/null; then
        echo "ok - $name"
    else
        tail -n 20 $log
        echo "not ok - $name"
    fi
}
# files FOLDER: all of it that is not for a time, nor a record of what was ever installed.
files() {
    (cd "$1" && find . \( -path ./proc -o -path ./dev -o -path ./run -o -path ./tmp -o -path ./pkg -o -path ./other -o -path ./var/cache \
        -o -path ./var/log -o -path ./var/lib/dpkg -o -path ./var/lib/apt -o -path ./root/.rpmdb -o -path ./var/lib/rpm \
        -o -path ./var/lib/systemd/deb-systemd-helper-enabled \) -prune -o ! -type f -printf '%p %y %m %U:%G %l\n' -o -printf '%p %y %m %U:%G %s\n'
        find ./etc -type f -exec md5sum {} +) | LC_ALL=C sort
}
# quiet COMMAND...: it ends well, and neither the loader nor the library has a word to say.
quiet() {
    "$@" > $log.quiet 2>&1
    local status=$?
    cat $log.quiet
    [ $status = 0 ] && ! grep -E 'ld\.so:|^hakmem:|cannot be preloaded' $log.quiet
}
