/* A disk that can lose power, to be preloaded: whenever a file of one folder is synced, a copy of it is kept as it is then, and
 * whenever the folder is synced, the names in it are. What the copies do not have was never promised to be on the disk. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int touch(const char *kept, const char *name, const char *suffix) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s%s", kept, name, suffix);
    int file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    return file;
}

static int keep_names(const char *folder, const char *kept) {
    DIR *names = opendir(folder);
    if (!names) return -1;
    for (struct dirent *entry; (entry = readdir(names));) {
        int file = touch(kept, entry->d_name, ".name");
        if (file >= 0) close(file);
    }
    closedir(names);
    return 0;
}

/* Copies through the descriptor itself: closing another one of the same file would drop the locks that its owner holds. */
static int keep_contents(int fd, const char *name, const char *kept) {
    char buffer[1 << 16], part[PATH_MAX], whole[PATH_MAX];
    int copy = touch(kept, name, ".part");
    if (copy < 0) return -1;
    ssize_t length;
    for (off_t at = 0; (length = pread(fd, buffer, sizeof buffer, at)) > 0; at += length) {
        if (write(copy, buffer, length) != length) return -1;
    }
    close(copy);
    snprintf(part, sizeof part, "%s/%s.part", kept, name);
    snprintf(whole, sizeof whole, "%s/%s", kept, name);
    return length < 0 ? -1 : rename(part, whole);
}

static int keep(int fd, long really) {
    const char *folder = getenv("DAYBOOK_DISK"), *kept = getenv("DAYBOOK_DISK_KEPT");
    char link[64], path[PATH_MAX] = {0}, refuse[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (!folder || !kept || readlink(link, path, sizeof path - 1) < 0 || strncmp(path, folder, strlen(folder))) {
        return (int)syscall(really, fd);
    }
    snprintf(refuse, sizeof refuse, "%s/REFUSE", kept);
    if (access(refuse, F_OK) == 0) {
        int count = 0;
        FILE *left = fopen(refuse, "r");
        if (left) { if (fscanf(left, "%d", &count) != 1) count = 0; fclose(left); }
        if (count > 0) {
            left = fopen(refuse, "w");
            if (left) { fprintf(left, "%d", count - 1); fclose(left); }
            errno = EIO;
            return -1;
        }
    }
    const char *name = path + strlen(folder);
    int failed = *name == '/' ? keep_contents(fd, name + 1, kept) : keep_names(folder, kept);
    if (failed) {
        perror("the test's disk");
        abort();
    }
    return 0;
}

int fsync(int fd) { return keep(fd, SYS_fsync); }
int fdatasync(int fd) { return keep(fd, SYS_fdatasync); }
