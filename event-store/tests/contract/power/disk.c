/* A disk that can lose power and fill up, to be preloaded. Whenever a file of one folder is synced, a copy of it is kept as it is
 * then, and whenever a folder in it is synced, the names in that are. What the copies do not have was never promised to be on the
 * disk. While there is a file FULL among the copies, files whose path begins as it says cannot grow; while there is a file REFUSE
 * with a number, so many syncs fail. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The path of an open file below the disk, with its slash; none for files elsewhere. The disk itself is "". */
static const char *place(int fd, char path[PATH_MAX]) {
    const char *folder = getenv("DAYBOOK_DISK");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = folder ? readlink(link, path, PATH_MAX - 1) : -1;
    if (length < 0 || strncmp(path, folder, strlen(folder))) return NULL;
    path[length] = 0;
    const char *name = path + strlen(folder);
    return *name == '/' || *name == 0 ? name : NULL;
}

/* Opens a kept file, in folders that are made if need be. */
static int touch(const char *name, const char *suffix) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s%s", getenv("DAYBOOK_DISK_KEPT"), name, suffix);
    for (char *slash = path; (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        if (mkdir(path, 0777) == 0) chmod(path, 0777);
        *slash = '/';
    }
    return open(path, O_CREAT | O_WRONLY | O_TRUNC, 0666);
}

static int keep_names(const char *folder, const char *path) {
    DIR *names = opendir(path);
    if (!names) return -1;
    for (struct dirent *entry; (entry = readdir(names));) {
        char name[PATH_MAX];
        if (entry->d_type == DT_DIR) continue;
        snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        int file = touch(name, ".name");
        if (file >= 0) close(file);
    }
    closedir(names);
    return 0;
}

/* Copies through the descriptor itself, unless that is only for writing: closing another one of the same file would drop the locks
 * that its owner holds. */
static int keep_contents(int fd, const char *name, const char *path) {
    char buffer[1 << 16], part[PATH_MAX], whole[PATH_MAX];
    int copy = touch(name, ".part");
    int from = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? open(path, O_RDONLY) : fd;
    if (copy < 0 || from < 0) return -1;
    ssize_t length;
    for (off_t at = 0; (length = pread(from, buffer, sizeof buffer, at)) > 0; at += length) {
        if (syscall(SYS_write, copy, buffer, length) != length) return -1;
    }
    close(copy);
    if (from != fd) close(from);
    snprintf(part, sizeof part, "%s%s.part", getenv("DAYBOOK_DISK_KEPT"), name);
    snprintf(whole, sizeof whole, "%s%s", getenv("DAYBOOK_DISK_KEPT"), name);
    return length < 0 ? -1 : rename(part, whole);
}

static int is_refused(void) {
    char refuse[PATH_MAX];
    int count = 0;
    snprintf(refuse, sizeof refuse, "%s/REFUSE", getenv("DAYBOOK_DISK_KEPT"));
    FILE *left = fopen(refuse, "r");
    if (!left) return 0;
    if (fscanf(left, "%d", &count) != 1) count = 0;
    fclose(left);
    if (count <= 0 || !(left = fopen(refuse, "w"))) return 0;
    fprintf(left, "%d", count - 1);
    fclose(left);
    return 1;
}

static int keep(int fd, long really) {
    char path[PATH_MAX];
    const char *name = place(fd, path), *kept = getenv("DAYBOOK_DISK_KEPT");
    if (!name || !kept) return (int)syscall(really, fd);
    if (is_refused()) {
        errno = EIO;
        return -1;
    }
    struct stat file;
    /* One copy at a time, so that a later sync never gives way to an earlier one. */
    int lock = touch("/LOCK", ""), failed = lock < 0 || flock(lock, LOCK_EX) || fstat(fd, &file);
    failed = failed || (S_ISDIR(file.st_mode) ? keep_names(name, path) : keep_contents(fd, name, path));
    if (failed) {
        perror("the test's disk");
        abort();
    }
    close(lock);
    return 0;
}

int fsync(int fd) { return keep(fd, SYS_fsync); }
int fdatasync(int fd) { return keep(fd, SYS_fdatasync); }

/* After a crash PostgreSQL syncs the whole disk before it begins: what the power cut has left there is on the disk already. */
int syncfs(int fd) {
    char path[PATH_MAX];
    return place(fd, path) ? 0 : (int)syscall(SYS_syncfs, fd);
}

/* Whether writing up to `end` needs space that is not there. */
static int is_full(int fd, off_t end) {
    char full[PATH_MAX], path[PATH_MAX], begins[64] = {0};
    const char *kept = getenv("DAYBOOK_DISK_KEPT");
    if (!kept) return 0;
    snprintf(full, sizeof full, "%s/FULL", kept);
    int file = open(full, O_RDONLY);
    if (file < 0) return 0;
    ssize_t length = read(file, begins, sizeof begins - 1);
    close(file);
    struct stat now;
    const char *name = place(fd, path);
    return name && length > 0 && !strncmp(name, begins, length) && fstat(fd, &now) == 0 && S_ISREG(now.st_mode) && end > now.st_size;
}

static ssize_t no_space(void) {
    errno = ENOSPC;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at >= 0 && is_full(fd, at + count) ? no_space() : syscall(SYS_write, fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return is_full(fd, at + count) ? no_space() : syscall(SYS_pwrite64, fd, bytes, count, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    off_t end = at;
    for (int part = 0; part < count; part++) end += parts[part].iov_len;
    return is_full(fd, end) ? no_space() : syscall(SYS_pwritev, fd, parts, (long)count, (long)at, 0L);
}

int posix_fallocate(int fd, off_t at, off_t length) {
    if (is_full(fd, at + length)) return ENOSPC;
    return syscall(SYS_fallocate, fd, 0, at, length) == 0 ? 0 : errno;
}
