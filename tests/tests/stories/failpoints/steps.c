/* A process that dies right before the n-th system call that changes a file of one folder, to be preloaded. What it died before is
 * written down beside the count: `pwrite events.db-wal`. A process that lives until its end writes down how many calls it made. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long calls;

static void note(const char *text) {
    int file = open(getenv("DAYBOOK_STEPS_NOTE"), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    if (file >= 0) {
        syscall(SYS_write, file, text, strlen(text));
        close(file);
    }
}

static void step(const char *call, const char *path) {
    const char *folder = getenv("DAYBOOK_STEPS"), *at = getenv("DAYBOOK_STEPS_DIE_AT");
    if (!folder || strncmp(path, folder, strlen(folder))) return;
    if (atomic_fetch_add(&calls, 1) + 1 == (at ? atol(at) : -1)) {
        char text[PATH_MAX];
        snprintf(text, sizeof text, "%s %s", call, path + strlen(folder) + 1);
        note(text);
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
}

static void step_on(const char *call, int fd) {
    char link[64], path[PATH_MAX] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0) step(call, path);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (fd > 2) step_on("write", fd);
    return syscall(SYS_write, fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
    step_on("pwrite", fd);
    return syscall(SYS_pwrite64, fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }

int fsync(int fd) {
    step_on("fsync", fd);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    step_on("fdatasync", fd);
    return (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off_t length) {
    step_on("ftruncate", fd);
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *path) {
    step("unlink", path);
    return (int)syscall(SYS_unlink, path);
}

__attribute__((destructor)) static void end(void) {
    char text[32];
    if (!getenv("DAYBOOK_STEPS")) return;
    snprintf(text, sizeof text, "%ld", atomic_load(&calls));
    note(text);
}
