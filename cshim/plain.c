/* Each call as the system call it is, one after the other: the oracle of the other ways.
 *
 * A recording does not have the flags of a call. So whatever was opened is opened for reading, without
 * waiting and without creating anything, access(2) asks whether the path exists, and a directory is
 * listed to its end. */

#define _GNU_SOURCE
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int64_t nanoseconds(struct statx_timestamp at) {
    return at.tv_sec * 1000000000 + at.tv_nsec;
}

/* Field by field, the device as stat(2) shows it. */
void fp_fact_of_statx(const struct statx *from, struct fp_fact *out) {
    *out = (struct fp_fact){
        .mode = from->stx_mode,
        .ino = from->stx_ino,
        .dev = makedev(from->stx_dev_major, from->stx_dev_minor),
        .nlink = from->stx_nlink,
        .uid = from->stx_uid,
        .gid = from->stx_gid,
        .size = from->stx_size,
        .atime_ns = nanoseconds(from->stx_atime),
        .mtime_ns = nanoseconds(from->stx_mtime),
        .ctime_ns = nanoseconds(from->stx_ctime),
    };
}

static int64_t nanoseconds_of(struct timespec at) {
    return at.tv_sec * (int64_t)1000000000 + at.tv_nsec;
}

static void fact_of_stat(const struct stat *from, struct fp_fact *out) {
    *out = (struct fp_fact){
        .mode = from->st_mode,
        .ino = from->st_ino,
        .dev = from->st_dev,
        .nlink = from->st_nlink,
        .uid = from->st_uid,
        .gid = from->st_gid,
        .size = (uint64_t)from->st_size,
        .atime_ns = nanoseconds_of(from->st_atim),
        .mtime_ns = nanoseconds_of(from->st_mtim),
        .ctime_ns = nanoseconds_of(from->st_ctim),
    };
}

/* The other kinds answer with no more than success or an errno. */
static void answer(bool succeeded, struct fp_fact *out) {
    *out = (struct fp_fact){.error = succeeded ? 0 : errno};
}

static void call_stat(const char *path, int flags, struct fp_fact *out) {
    struct stat buffer;
    if (fstatat(AT_FDCWD, path, &buffer, flags) == 0)
        fact_of_stat(&buffer, out);
    else
        answer(false, out);
}

static void call_statx(const char *path, struct fp_fact *out) {
    struct statx buffer;
    if (statx(AT_FDCWD, path, AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS, &buffer) == 0)
        fp_fact_of_statx(&buffer, out);
    else
        answer(false, out);
}

static void call_open(const char *path, struct fp_fact *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    answer(fd >= 0, out);
    if (fd >= 0)
        close(fd);
}

static void list(const char *path, struct fp_fact *out) {
    _Alignas(8) char entries[32768];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (fd < 0) {
        answer(false, out);
        return;
    }
    long got;
    do
        got = syscall(SYS_getdents64, fd, entries, sizeof entries);
    while (got > 0);
    answer(got == 0, out);
    close(fd);
}

void fp_call_plainly(enum fp_kind kind, const char *path, struct fp_fact *out) {
    char target[4096];
    switch (kind) {
    case FP_STAT:
        call_stat(path, 0, out);
        break;
    case FP_STATX:
        call_statx(path, out);
        break;
    case FP_LSTAT:
        call_stat(path, AT_SYMLINK_NOFOLLOW, out);
        break;
    case FP_OPEN:
    case FP_OPENAT:
        call_open(path, out);
        break;
    case FP_ACCESS:
        answer(access(path, F_OK) == 0, out);
        break;
    case FP_READLINK:
        answer(readlink(path, target, sizeof target) >= 0, out);
        break;
    default:
        list(path, out);
    }
}

void fp_serial(const struct fp_calls *calls, struct fp_fact *out) {
    for (size_t i = 0; i < calls->count; i++)
        fp_call_plainly(fp_kind_of(calls, i), calls->paths[i], &out[i]);
}

void fastpath_c_stat_serial(const char *const *paths, size_t n, struct fp_fact *out) {
    fp_serial(&(struct fp_calls){.paths = paths, .count = n}, out);
}
