/* A recording replayed in one way, and what that cost. */

#ifndef FASTPATH_RUN_H
#define FASTPATH_RUN_H

#include "recording.h"

enum mode { SERIAL, URING, THREADS, MODES };

struct options {
    const char *file;
    bool modes[MODES];
    /* Calls that are under way together; 0: all of the recording. */
    size_t batch;
    /* Threads, or kernel workers at the most; 0: 16 threads, and as many workers as the kernel likes. */
    unsigned width;
    size_t repeat;
    bool json;
};

/* What one mode did, in all its runs. */
struct run {
    enum mode mode;
    /* The errno with which the kernel refused a ring. */
    int refused;
    struct fp_tally tally; /* of one run */
    unsigned threads;      /* at work at once, at the most */
    struct fp_watch *watches;
    bool *wrong; /* by call: whether it ever gave another result */
    struct fp_fact *facts;
};

const char *mode_name(enum mode mode);
bool make_run(struct run *run, enum mode mode, const struct recording *recording, size_t repeat);
void free_run(struct run *run);

/* Replays once, into the watch of this number. */
void replay_once(struct run *run, const struct recording *recording, const struct options *options,
                 size_t number);

size_t mismatches(const struct run *run, const struct recording *recording);

/* report.c */
void report_text(const struct run *runs, size_t count, const struct recording *recording,
                 const struct options *options);
void report_json(const struct run *runs, size_t count, const struct recording *recording,
                 const struct options *options);
void report_mismatches(const struct run *run, const struct recording *recording);
void report_refusal(const struct run *run);

#endif
