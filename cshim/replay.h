/* Filesystem calls in a list, made in three ways: what the other files of this folder share.
 *
 * The yardstick of fastpath's own engines, without Rust and without Python. It reads, never writes,
 * and keeps no thread, ring or descriptor once a call of ours has returned. Linux only. */

#ifndef FASTPATH_REPLAY_H
#define FASTPATH_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is asked of a path. */
enum fp_kind {
    FP_STAT,
    FP_LSTAT,
    FP_STATX,
    FP_OPEN,
    FP_OPENAT,
    FP_ACCESS,
    FP_READLINK,
    FP_GETDENTS,
    FP_KINDS
};

/* The calls. `kinds` may be NULL: each is a stat then. */
struct fp_calls {
    const char *const *paths;
    const unsigned char *kinds;
    size_t count;
};

/* The answer to one call: an errno or 0; and after a successful stat of any kind what it said,
 * times in nanoseconds since the epoch. Other calls leave the rest as zeroes. */
struct fp_fact {
    int32_t error;
    uint32_t mode;
    uint64_t ino, dev, nlink;
    uint32_t uid, gid;
    uint64_t size;
    int64_t atime_ns, mtime_ns, ctime_ns;
};

/* How many calls were made in which way. `redone` of the plain ones were first sent to a ring,
 * which had no word of the filesystem for them. */
struct fp_tally {
    size_t ring, plain, redone;
};

/* Where time goes. */
enum fp_phase { FP_SETUP, FP_SUBMIT, FP_WAIT, FP_CHECK, FP_PHASES };

/* Adds up nanoseconds by phase, wall time and CPU of the whole process, kernel workers included. */
struct fp_watch {
    int64_t wall[FP_PHASES], cpu[FP_PHASES];
    int64_t last_wall, last_cpu;
};

/* watch.c. A watch that is NULL is not looked at: two readings cost a system call. */
void fp_start(struct fp_watch *watch);
void fp_lap(struct fp_watch *watch, enum fp_phase phase);

/* plain.c */
void fp_call_plainly(enum fp_kind kind, const char *path, struct fp_fact *out);
void fp_serial(const struct fp_calls *calls, struct fp_fact *out);

struct statx;
void fp_fact_of_statx(const struct statx *from, struct fp_fact *out);

static inline enum fp_kind fp_kind_of(const struct fp_calls *calls, size_t at) {
    return calls->kinds ? (enum fp_kind)calls->kinds[at] : FP_STAT;
}

/* uring.c. */
struct fp_ring;

/* Whether io_uring can make this call: stats and opens. There is no request for the others. */
bool fp_ring_can(enum fp_kind kind);

/* A ring for `depth` requests at once (at most 4096), with at most `workers` kernel workers; 0
 * leaves the kernel's own limit. Returns 0, or the errno of the kernel's refusal. */
int fp_ring_open(struct fp_ring **ring, unsigned depth, unsigned workers);

/* Makes all the calls, those that the ring cannot make plainly. Every call gets its answer: where
 * the ring fails, a plain call is made. */
void fp_ring_run(struct fp_ring *ring, const struct fp_calls *calls, struct fp_fact *out,
                 struct fp_tally *tally, struct fp_watch *watch);

void fp_ring_close(struct fp_ring *ring);

/* threads.c. Makes all the calls, plainly, on `width` threads of which the caller is one, or as many
 * as can be had; unless `all` of them are wanted, none is started for whom nothing is left to do. Returns how
 * many there were; they have ended. */
unsigned fp_threads(const struct fp_calls *calls, unsigned width, bool all, struct fp_fact *out,
                    struct fp_watch *watch);

/* For benches/cshim.rs: stat(2) of `n` paths, an answer each, in order.
 *
 * Threads are `width` at the most, of which the caller is one.
 *
 * The ring lives for the call, on a thread of its own, with whose end its kernel workers end, as in
 * fastpath's own engine. It returns 0, or the errno of a refusal, and has then answered nothing. */
void fastpath_c_stat_serial(const char *const *paths, size_t n, struct fp_fact *out);
int fastpath_c_stat_uring(const char *const *paths, size_t n, struct fp_fact *out);
void fastpath_c_stat_threads(const char *const *paths, size_t n, unsigned width,
                             struct fp_fact *out);

#endif
