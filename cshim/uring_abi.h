/* The kernel's interface of io_uring, as far as it is used here (include/uapi/linux/io_uring.h).
 *
 * liburing is on no bare machine, and a distribution's <linux/io_uring.h> is as old as its C
 * library, while the kernel may be newer or in a container's case older. What the kernel has once
 * published it never changes, so the little that is needed stands here. */

#ifndef FASTPATH_URING_ABI_H
#define FASTPATH_URING_ABI_H

#include <stdint.h>

/* The same on every architecture but Alpha. */
enum { CALL_SETUP = 425, CALL_ENTER = 426, CALL_REGISTER = 427 };

enum { OP_OPENAT = 18, OP_CLOSE = 19, OP_STATX = 21 };
enum { REGISTER_PROBE = 8, REGISTER_IOWQ_MAX_WORKERS = 19 };

enum { SETUP_CLAMP = 1 << 4, SETUP_SINGLE_ISSUER = 1 << 12, SETUP_DEFER_TASKRUN = 1 << 13 };
enum { FEAT_SINGLE_MMAP = 1 << 0, FEAT_NODROP = 1 << 1 };
enum { ENTER_GETEVENTS = 1 << 0 };
enum { OP_SUPPORTED = 1 << 0 };

enum { OFFSET_RINGS = 0, OFFSET_REQUESTS = 0x10000000 };

struct uring_sqe {
    uint8_t opcode, flags;
    uint16_t ioprio;
    int32_t fd;
    uint64_t off;  /* statx: where the answer goes */
    uint64_t addr; /* the path */
    uint32_t len;  /* statx: the mask; openat: the mode */
    uint32_t call_flags;
    uint64_t user_data;
    uint64_t unused[3];
};

struct uring_cqe {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
};

struct uring_params {
    uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
    uint32_t unused[3];
    struct {
        uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, unused1;
        uint64_t unused2;
    } sq_off;
    struct {
        uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, unused1;
        uint64_t unused2;
    } cq_off;
};

struct uring_probe {
    uint8_t last_op, ops_len;
    uint16_t unused1;
    uint32_t unused2[3];
    struct {
        uint8_t op, unused1;
        uint16_t flags;
        uint32_t unused2;
    } ops[64];
};

_Static_assert(sizeof(struct uring_sqe) == 64, "a request");
_Static_assert(sizeof(struct uring_cqe) == 16, "an answer");
_Static_assert(sizeof(struct uring_params) == 120, "the parameters");

#endif
