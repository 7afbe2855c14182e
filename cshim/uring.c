/* Stats and opens as requests to io_uring, by the raw system calls (why: uring_abi.h).
 *
 * A ring is filled as far as it goes, and filled again when half of what is under way is answered, so
 * that the kernel's workers never run dry. What it opens it also closes: where files lie far away, closing
 * is a wait of its own. What the ring cannot do is done plainly meanwhile, and what it does not know
 * at the end. Neither SQPOLL nor registered buffers or files. */

#define _GNU_SOURCE
#include "replay.h"

#include "uring_abi.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Requests at once, at the most: the kernel has room for eight times as many, to no use. */
enum { DEEPEST = 4096 };

/* How often in a row the kernel may be too busy before the ring is given up. */
enum { PATIENCE = 100 };

/* No errno: there is no answer yet. */
enum { UNANSWERED = -1 };

/* A request under way: for which call, whether it closes what the call has opened, and where a statx
 * puts its answer. */
struct slot {
    size_t call;
    bool closes;
    struct statx statx;
};

struct fp_ring {
    int fd;
    unsigned depth;
    /* The kernel may still write to the slots: they are never freed. */
    bool broken;
    /* Requests in the queue that the kernel has not been shown. */
    unsigned queued;
    void *rings;
    size_t rings_size;
    struct uring_sqe *requests;
    size_t requests_size;
    _Atomic uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
    uint32_t sq_mask, cq_mask;
    uint32_t *order;
    struct uring_cqe *answers;
    struct slot *slots;
    unsigned *free_slots;
    unsigned free_count;
};

bool fp_ring_can(enum fp_kind kind) { return kind <= FP_OPENAT; }

/* io_uring_setup(2). Flags that a kernel does not know are EINVAL: before 6.1 it knows neither. */
static int set_up(unsigned depth, struct uring_params *params) {
    *params = (struct uring_params){
        .flags = SETUP_CLAMP | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN};
    long fd = syscall(CALL_SETUP, depth, params);
    if (fd < 0 && errno == EINVAL) {
        *params = (struct uring_params){.flags = SETUP_CLAMP};
        fd = syscall(CALL_SETUP, depth, params);
    }
    return (int)fd;
}

/* Whether the kernel has every request and feature that is used: 5.6 is the first. Asked until it has. */
static int ask_for_all(int fd, uint32_t features) {
    static atomic_bool has_all;
    struct uring_probe probe = {0};
    if (atomic_load_explicit(&has_all, memory_order_relaxed))
        return 0;
    if (!(features & FEAT_NODROP) || !(features & FEAT_SINGLE_MMAP))
        return EOPNOTSUPP;
    if (syscall(CALL_REGISTER, fd, REGISTER_PROBE, &probe, 64) < 0)
        return errno == EINVAL ? EOPNOTSUPP : errno;
    unsigned all = probe.ops[OP_STATX].flags & probe.ops[OP_OPENAT].flags;
    if (!(all & probe.ops[OP_CLOSE].flags & OP_SUPPORTED))
        return EOPNOTSUPP;
    atomic_store_explicit(&has_all, true, memory_order_relaxed);
    return 0;
}

static int map(struct fp_ring *ring, const struct uring_params *params) {
    size_t sq = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
    size_t cq = params->cq_off.cqes + params->cq_entries * sizeof(struct uring_cqe);
    int access = PROT_READ | PROT_WRITE, how = MAP_SHARED | MAP_POPULATE;
    ring->rings_size = sq > cq ? sq : cq;
    ring->requests_size = params->sq_entries * sizeof(struct uring_sqe);
    ring->rings = mmap(NULL, ring->rings_size, access, how, ring->fd, OFFSET_RINGS);
    if (ring->rings == MAP_FAILED)
        return errno;
    void *requests = mmap(NULL, ring->requests_size, access, how, ring->fd, OFFSET_REQUESTS);
    if (requests == MAP_FAILED)
        return errno;
    ring->requests = requests;
    char *at = ring->rings;
    ring->sq_head = (void *)(at + params->sq_off.head);
    ring->sq_tail = (void *)(at + params->sq_off.tail);
    ring->sq_mask = *(uint32_t *)(void *)(at + params->sq_off.ring_mask);
    ring->order = (void *)(at + params->sq_off.array);
    ring->cq_head = (void *)(at + params->cq_off.head);
    ring->cq_tail = (void *)(at + params->cq_off.tail);
    ring->cq_mask = *(uint32_t *)(void *)(at + params->cq_off.ring_mask);
    ring->answers = (void *)(at + params->cq_off.cqes);
    return 0;
}

/* The slots are left as malloc gives them: a page of them that is never used costs nothing. */
static int furnish(struct fp_ring *ring, unsigned depth) {
    ring->depth = depth;
    ring->slots = malloc(depth * sizeof *ring->slots);
    ring->free_slots = malloc(depth * sizeof *ring->free_slots);
    if (!ring->slots || !ring->free_slots)
        return ENOMEM;
    for (unsigned i = 0; i < depth; i++)
        ring->free_slots[i] = depth - 1 - i;
    ring->free_count = depth;
    return 0;
}

int fp_ring_open(struct fp_ring **out, unsigned depth, unsigned workers) {
    if (depth < 1)
        depth = 1;
    if (depth > DEEPEST)
        depth = DEEPEST;
    struct fp_ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return ENOMEM;
    ring->rings = MAP_FAILED;
    struct uring_params params;
    ring->fd = set_up(depth, &params);
    int error = ring->fd < 0 ? errno : ask_for_all(ring->fd, params.features);
    if (!error)
        error = map(ring, &params);
    if (!error)
        error = furnish(ring, depth);
    if (error) {
        fp_ring_close(ring);
        return error;
    }
    uint32_t limits[2] = {workers, 0};
    /* Refused before 5.15: then the kernel's own limit holds. */
    if (workers)
        (void)!syscall(CALL_REGISTER, ring->fd, REGISTER_IOWQ_MAX_WORKERS, limits, 2);
    *out = ring;
    return 0;
}

void fp_ring_close(struct fp_ring *ring) {
    if (ring->requests)
        munmap(ring->requests, ring->requests_size);
    if (ring->rings != MAP_FAILED)
        munmap(ring->rings, ring->rings_size);
    if (ring->fd >= 0)
        close(ring->fd);
    if (ring->broken)
        return;
    free(ring->slots);
    free(ring->free_slots);
    free(ring);
}

static unsigned busy(const struct fp_ring *ring) { return ring->depth - ring->free_count; }

/* Writes the request of a slot into the queue, which has an entry for every slot. */
static void push(struct fp_ring *ring, unsigned place, struct uring_sqe request) {
    uint32_t tail = atomic_load_explicit(ring->sq_tail, memory_order_relaxed);
    request.user_data = place;
    ring->requests[tail & ring->sq_mask] = request;
    ring->order[tail & ring->sq_mask] = tail & ring->sq_mask;
    atomic_store_explicit(ring->sq_tail, tail + 1, memory_order_release);
    ring->queued++;
}

static bool opens(enum fp_kind kind) { return kind == FP_OPEN || kind == FP_OPENAT; }

/* What makes a statx of it: neither stat(2) nor lstat(2) mounts anything. */
static uint32_t statx_flags(enum fp_kind kind) {
    if (kind == FP_STATX)
        return 0;
    return AT_NO_AUTOMOUNT | (kind == FP_LSTAT ? AT_SYMLINK_NOFOLLOW : 0);
}

/* Queues a call. */
static void ask(struct fp_ring *ring, enum fp_kind kind, const char *path, size_t call) {
    unsigned place = ring->free_slots[--ring->free_count];
    struct slot *slot = &ring->slots[place];
    slot->call = call;
    slot->closes = false;
    struct uring_sqe request = {.fd = AT_FDCWD, .addr = (uintptr_t)path};
    if (opens(kind)) {
        request.opcode = OP_OPENAT;
        request.call_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    } else {
        request.opcode = OP_STATX;
        request.off = (uintptr_t)&slot->statx;
        request.len = STATX_BASIC_STATS;
        request.call_flags = AT_STATX_SYNC_AS_STAT | statx_flags(kind);
    }
    push(ring, place, request);
}

/* Whether only the path can be the reason. Everything else (cancelled, out of memory, no such
 * request, ...) may be the ring's own trouble. */
static bool is_the_filesystems(int error) {
    return error == ENOENT || error == ENOTDIR || error == EACCES || error == ELOOP ||
           error == ENAMETOOLONG;
}

/* Takes the answer to a call; what it leaves as it is has to be asked plainly. */
static void take(const struct slot *slot, enum fp_kind kind, int result, struct fp_fact *out) {
    if (result >= 0 && !opens(kind))
        fp_fact_of_statx(&slot->statx, out);
    else if (result >= 0)
        *out = (struct fp_fact){0};
    else if (is_the_filesystems(-result))
        *out = (struct fp_fact){.error = -result};
}

/* Takes every answer that is there, and has closed what was opened. */
static void reap(struct fp_ring *ring, const struct fp_calls *calls, struct fp_fact *out) {
    uint32_t head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(ring->cq_tail, memory_order_acquire);
    for (; head != tail; head++) {
        const struct uring_cqe *answer = &ring->answers[head & ring->cq_mask];
        unsigned place = (unsigned)answer->user_data;
        struct slot *slot = &ring->slots[place];
        enum fp_kind kind = fp_kind_of(calls, slot->call);
        if (!slot->closes)
            take(slot, kind, answer->res, &out[slot->call]);
        if (!slot->closes && opens(kind) && answer->res >= 0) {
            slot->closes = true;
            push(ring, place, (struct uring_sqe){.opcode = OP_CLOSE, .fd = answer->res});
        } else {
            ring->free_slots[ring->free_count++] = place;
        }
    }
    atomic_store_explicit(ring->cq_head, head, memory_order_release);
}

/* io_uring_enter(2): shows the kernel what is queued, and waits for so many answers. Returns 0, or
 * the errno of what will not pass. */
static int enter(struct fp_ring *ring, unsigned wanted, int *refused) {
    unsigned how = wanted ? ENTER_GETEVENTS : 0;
    long taken = syscall(CALL_ENTER, ring->fd, ring->queued, wanted, how, NULL, 0);
    if (taken >= 0) {
        ring->queued -= (unsigned)taken;
        *refused = 0;
        return 0;
    }
    if (errno == EINTR)
        return 0;
    if ((errno != EAGAIN && errno != EBUSY) || ++*refused > PATIENCE)
        return errno;
    /* Too much at once: an answer makes room. */
    unsigned under_way = busy(ring) - ring->queued;
    long waited = syscall(CALL_ENTER, ring->fd, 0, under_way > 0, ENTER_GETEVENTS, NULL, 0);
    return waited < 0 && errno != EINTR ? errno : 0;
}

/* Queues calls that the ring can make, while there is room. Returns the next call, sets how many of
 * those before it are left to be made plainly. */
static size_t fill(struct fp_ring *ring, const struct fp_calls *calls, size_t next,
                   struct fp_fact *out, size_t *plain) {
    *plain = 0;
    for (; next < calls->count && ring->free_count; next++) {
        enum fp_kind kind = fp_kind_of(calls, next);
        if (fp_ring_can(kind)) {
            out[next].error = UNANSWERED;
            ask(ring, kind, calls->paths[next], next);
        } else {
            ++*plain;
        }
    }
    return next;
}

static void make_plain_ones(const struct fp_calls *calls, size_t from, size_t to,
                            struct fp_fact *out) {
    for (size_t i = from; i < to; i++)
        if (!fp_ring_can(fp_kind_of(calls, i)))
            fp_call_plainly(fp_kind_of(calls, i), calls->paths[i], &out[i]);
}

/* What has no answer gets a plain one; calls from `sent` on have not been looked at yet. */
static void finish(const struct fp_calls *calls, size_t sent, struct fp_fact *out,
                   struct fp_tally *tally) {
    for (size_t i = 0; i < calls->count; i++) {
        if (i < sent && out[i].error != UNANSWERED)
            continue;
        fp_call_plainly(fp_kind_of(calls, i), calls->paths[i], &out[i]);
        tally->plain++;
        tally->redone += i < sent;
        tally->ring -= i < sent;
    }
}

void fp_ring_run(struct fp_ring *ring, const struct fp_calls *calls, struct fp_fact *out,
                 struct fp_tally *tally, struct fp_watch *watch) {
    size_t next = 0, plain;
    int error = 0, refused = 0;
    while (!ring->broken && !error) {
        size_t from = next;
        next = fill(ring, calls, from, out, &plain);
        tally->ring += next - from - plain;
        tally->plain += plain;
        /* One system call sends and waits, unless there is something to be done in between. */
        if (ring->queued && (plain || watch))
            error = enter(ring, 0, &refused);
        make_plain_ones(calls, from, next, out);
        fp_lap(watch, FP_SUBMIT);
        if (error || (!busy(ring) && next == calls->count))
            break;
        unsigned wanted = next < calls->count ? (busy(ring) + 1) / 2 : busy(ring);
        error = enter(ring, wanted, &refused);
        reap(ring, calls, out);
        fp_lap(watch, FP_WAIT);
    }
    ring->broken = ring->broken || error;
    finish(calls, next, out, tally);
    fp_lap(watch, FP_SUBMIT);
}

/* A batch with a ring and a thread of its own, with a stack as in src/probe/linux/uring/mod.rs, and its
 * depth and workers. */
struct errand {
    struct fp_calls calls;
    struct fp_fact *out;
    int error;
};

static void *run_errand(void *argument) {
    enum { DEPTH = 256, WORKERS = 128 };
    prctl(PR_SET_NAME, "replay");
    struct errand *errand = argument;
    struct fp_tally tally = {0};
    struct fp_ring *ring;
    size_t n = errand->calls.count;
    errand->error = fp_ring_open(&ring, n < DEPTH ? (unsigned)n : DEPTH,
                                 n < WORKERS ? (unsigned)n : WORKERS);
    if (!errand->error) {
        fp_ring_run(ring, &errand->calls, errand->out, &tally, NULL);
        fp_ring_close(ring);
    }
    return NULL;
}

int fastpath_c_stat_uring(const char *const *paths, size_t n, struct fp_fact *out) {
    struct errand errand = {.calls = {.paths = paths, .count = n}, .out = out};
    pthread_t thread;
    pthread_attr_t how;
    pthread_attr_init(&how);
    pthread_attr_setstacksize(&how, 256 << 10);
    int error = pthread_create(&thread, &how, run_errand, &errand);
    pthread_attr_destroy(&how);
    if (error)
        return error;
    pthread_join(thread, NULL);
    return errand.error;
}
