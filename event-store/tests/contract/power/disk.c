/* A disk that can lose power and fill up, to be preloaded. Whenever a file of one folder is synced, a copy of it is kept as it is
 * then, and whenever a folder in it is synced, the names in that are. What the copies do not have was never promised to be on the
 * disk. While there is a file FULL among the copies, files whose path begins as it says cannot grow.
 *
 * While there is a file REFUSE with a number, so many syncs fail. What could not be written then counts as written, as in Linux:
 * no later sync writes it, unless it is put into the file again. A map NAME.dropped beside the copy has a byte for each sector,
 * which is 1 where that happened. */
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

enum { SECTOR = 512, SECTORS = 128 };

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

/* Opens a kept file; in folders that are made if need be, if it may be made itself. */
static int open_kept(const char *name, const char *suffix, int flags) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s%s", getenv("DAYBOOK_DISK_KEPT"), name, suffix);
    for (char *slash = path; flags & O_CREAT && (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        if (mkdir(path, 0777) == 0) chmod(path, 0777);
        *slash = '/';
    }
    return open(path, flags, 0666);
}

static int touch(const char *name, const char *suffix) { return open_kept(name, suffix, O_CREAT | O_WRONLY | O_TRUNC); }

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

/* Reads a kept file, and zeros where it has nothing. */
static void read_kept(int file, void *bytes, size_t length, off_t at) {
    ssize_t there = file < 0 ? 0 : pread(file, bytes, length, at);
    if (there < 0) there = 0;
    memset((char *)bytes + there, 0, length - there);
}

/* Goes through a file and the copy of it that was kept before. A sync that works writes all to a new copy, with dropped sectors
 * as they were in the old one; a sync that is refused (no `copy`) adds those that differ from the old one to the map. */
static int pass(int from, int before, int map, int copy) {
    char now[SECTORS * SECTOR], old[SECTORS * SECTOR], dropped[SECTORS];
    ssize_t length;
    for (off_t at = 0; (length = pread(from, now, sizeof now, at)) > 0; at += length) {
        size_t sectors = (length + SECTOR - 1) / SECTOR;
        read_kept(before, old, length, at);
        read_kept(map, dropped, sectors, at / SECTOR);
        for (size_t sector = 0; sector < sectors; sector++) {
            size_t start = sector * SECTOR, size = sector + 1 < sectors ? SECTOR : length - start;
            if (copy < 0) dropped[sector] |= memcmp(now + start, old + start, size) != 0;
            else if (dropped[sector]) memcpy(now + start, old + start, size);
        }
        if (copy < 0 && syscall(SYS_pwrite64, map, dropped, sectors, at / SECTOR) != (ssize_t)sectors) return -1;
        if (copy >= 0 && syscall(SYS_write, copy, now, length) != length) return -1;
    }
    return (int)length;
}

/* Copies through the descriptor itself, unless that is only for writing: closing another one of the same file would drop the locks
 * that its owner holds. */
static int keep_contents(int fd, const char *name, const char *path, int refused) {
    char part[PATH_MAX], whole[PATH_MAX];
    int copy = refused ? -1 : touch(name, ".part");
    int map = open_kept(name, ".dropped", refused ? O_CREAT | O_RDWR : O_RDONLY);
    int before = open_kept(name, "", O_RDONLY);
    int from = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? open(path, O_RDONLY) : fd;
    if ((refused ? map : copy) < 0 || from < 0 || pass(from, before, map, copy) < 0) return -1;
    if (copy >= 0) close(copy);
    if (map >= 0) close(map);
    if (before >= 0) close(before);
    if (from != fd) close(from);
    if (refused) return 0;
    snprintf(part, sizeof part, "%s%s.part", getenv("DAYBOOK_DISK_KEPT"), name);
    snprintf(whole, sizeof whole, "%s%s", getenv("DAYBOOK_DISK_KEPT"), name);
    return rename(part, whole);
}

/* The map of what was dropped of an open file, if there is one. */
static int map_of(int fd) {
    char path[PATH_MAX];
    const char *name = getenv("DAYBOOK_DISK_KEPT") ? place(fd, path) : NULL;
    return name ? open_kept(name, ".dropped", O_RDWR) : -1;
}

/* What was written again is for the next sync, even if it is the same as before. Gives how much it was, or why it was not. */
static ssize_t rewritten(int fd, off_t at, ssize_t length) {
    static const char none[SECTORS];
    int map = length > 0 && at >= 0 ? map_of(fd) : -1;
    if (map < 0) return length;
    struct stat size;
    off_t sector = at / SECTOR, end = (at + length + SECTOR - 1) / SECTOR;
    if (fstat(map, &size) == 0 && size.st_size < end) end = size.st_size;
    while (sector < end) {
        ssize_t some = end - sector < SECTORS ? end - sector : SECTORS;
        if (syscall(SYS_pwrite64, map, none, some, sector) != some) abort();
        sector += some;
    }
    close(map);
    return length;
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
    struct stat file;
    /* One copy at a time, so that a later sync never gives way to an earlier one. */
    int lock = touch("/LOCK", ""), failed = lock < 0 || flock(lock, LOCK_EX) || fstat(fd, &file), refused = is_refused();
    if (!failed && !S_ISDIR(file.st_mode)) failed = keep_contents(fd, name, path, refused);
    else if (!failed && !refused) failed = keep_names(name, path);
    if (failed) {
        perror("the test's disk");
        abort();
    }
    close(lock);
    errno = EIO;
    return refused ? -1 : 0;
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
    return at >= 0 && is_full(fd, at + count) ? no_space() : rewritten(fd, at, syscall(SYS_write, fd, bytes, count));
}

/* PostgreSQL calls it by this name, SQLite by the other. */
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return is_full(fd, at + count) ? no_space() : rewritten(fd, at, syscall(SYS_pwrite64, fd, bytes, count, at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) { return pwrite(fd, bytes, count, at); }

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    off_t end = at;
    for (int part = 0; part < count; part++) end += parts[part].iov_len;
    if (is_full(fd, end)) return no_space();
    return rewritten(fd, at, syscall(SYS_pwritev, fd, parts, (long)count, (long)at, 0L));
}

/* What is cut off can no longer be missed. */
int ftruncate(int fd, off_t length) {
    if (syscall(SYS_ftruncate, fd, length)) return -1;
    struct stat size;
    int map = map_of(fd);
    if (map < 0) return 0;
    if (fstat(map, &size) || (size.st_size > length / SECTOR && syscall(SYS_ftruncate, map, length / SECTOR))) abort();
    return close(map);
}

int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

int posix_fallocate(int fd, off_t at, off_t length) {
    if (is_full(fd, at + length)) return ENOSPC;
    return syscall(SYS_fallocate, fd, 0, at, length) == 0 ? 0 : errno;
}
