/* SPDX-License-Identifier: MIT */
/*
 * What: a command run in a mount namespace of its own, with an /etc/ld.so.preload of its own, and
 *   all that it started ended after it.
 * Why: the machine's file must not change for a trial, and need not be there. So that nothing can
 * be mounted over it then, the whole of /etc is another folder, into which what is in the real one
 *   is bound, name by name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "preload.h"

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return done;
}

/* As root or, with a user namespace, as who we are; false: not allowed here, errno says why. */
static bool apart(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (uid == 0 && unshare(CLONE_NEWNS) == 0) return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return false;
    char *users = text_of("%u %u 1", uid, uid), *groups = text_of("%u %u 1", gid, gid);
    put("/proc/self/setgroups", "deny");
    bool done = put("/proc/self/uid_map", users) && put("/proc/self/gid_map", groups);
    free(users), free(groups);
    return done;
}

static bool bind_one(const char *name)
{
    struct stat st;
    char link[4096], *from = text_of("/etc/%s", name), *to = text_of("etc/%s", name);
    bool done = lstat(from, &st) == 0;
    if (!done) {
        done = true; /* it went */
    } else if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlink(from, link, sizeof link - 1);
        if (n >= 0) link[n] = 0;
        done = n >= 0 && symlink(link, to) == 0;
    } else if (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)) {
        done = S_ISDIR(st.st_mode) ? mkdir(to, 0755) == 0 : put(to, "");
        done = done && mount(from, to, NULL, MS_BIND | MS_REC, NULL) == 0;
    }
    free(from), free(to);
    return done;
}

/* In the room. */
static bool etc_with(const char *preload)
{
    if (mkdir("etc", 0755) < 0) return false;
    DIR *d = opendir("/etc");
    bool done = d != NULL;
    for (struct dirent *e; done && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strcmp(e->d_name, "ld.so.preload") != 0)
            done = bind_one(e->d_name);
    }
    if (d) closedir(d);
    if (*preload) done = done && put("etc/ld.so.preload", preload);
    return done && mount("etc", "/etc", NULL, MS_BIND | MS_REC, NULL) == 0;
}

static bool enter(const char *root, const char *room, const char *preload)
{
    umask(022);
    if (!apart()) return false;
    /* Or what is mounted here would be so for all. Refused in a chroot that is no mount. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return false;
    if (*root && (chroot(root) < 0 || chdir("/") < 0)) return false;
    if (mount("room", room, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0 || chdir(room) < 0)
        return false;
    if (!etc_with(preload) || mkdir("work", 0700) < 0) return false;
    if (chmod("work", 01777) < 0 || chdir("work") < 0) return false;
    return true;
}

static void be(const char *room, const char *command, int fd)
{
    char *home = text_of("HOME=%s/work", room), *tmp = text_of("TMPDIR=%s/work", room);
    char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   "LC_ALL=C.UTF-8",
                   "TZ=UTC",
                   "TERM=dumb",
                   home,
                   tmp,
                   NULL};
    char *args[] = {"sh", "-c", (char *)command, NULL};
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) _exit(126);
    close_range(3, ~0u, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    execve("/bin/sh", args, env);
    _exit(126);
}

static void short_sleep(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All that the kernel lists there, as far as a buffer goes: the next round gets more. */
static void end_children(const char *path)
{
    char pids[4096], *s = pids, *end;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, pids, sizeof pids - 1) : 0;
    if (fd >= 0) close(fd);
    if (n <= 0) return;
    pids[n] = 0;
    if (n == sizeof pids - 1) *strrchr(pids, ' ') = 0; /* not half a number */
    for (long pid; (pid = strtol(s, &end, 10)) > 1; s = end) kill((pid_t)pid, SIGKILL);
}

/* Whatever it left running has become ours, as we are the reaper; each may leave more. */
static void end_all(pid_t group)
{
    char *path = text_of("/proc/self/task/%d/children", (int)getpid());
    int status;
    kill(-group, SIGKILL);
    for (int i = 0; i < 400; i++) {
        int left;
        end_children(path);
        while ((left = waitpid(-1, &status, WNOHANG)) > 0) continue;
        if (left < 0) break; /* there are none */
        short_sleep();
    }
    free(path);
}

static void attend(const char *room, const char *command, unsigned seconds, int fd,
                   struct outcome *out)
{
    double end = now() + seconds;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid == 0) be(room, command, fd);
    for (pid_t got = 0; pid > 0 && got != pid;) {
        int status;
        got = waitpid(-1, &status, WNOHANG);
        if (got == pid) out->status = status;
        if (got == 0 && now() > end) {
            out->late = true;
            break;
        }
        if (got == 0) short_sleep();
        if (got < 0) break;
    }
    if (pid > 0) end_all(pid);
}

void apart_run(const char *root, const char *room, const char *preload, const char *command,
               unsigned seconds, int fd, struct outcome *out)
{
    *out = (struct outcome){.why = "out of memory"};
    struct outcome *told =
        mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED) return;
    *told = *out;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        told->apart = enter(root, room, preload);
        if (!told->apart)
            snprintf(told->why, sizeof told->why, "%s%s", strerror(errno),
                     errno == EINVAL ? " (in a chroot? then from outside, with --root)" : "");
        if (told->apart) attend(room, command, seconds, fd, told);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    *out = *told;
    munmap(told, sizeof *told);
}
