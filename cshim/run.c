/* Replays a recording once, in one way, batch after batch, and compares every answer. */

#define _GNU_SOURCE
#include "run.h"

#include <stdlib.h>
#include <string.h>

static const char *const NAMES[MODES] = {"serial", "uring", "threads"};

const char *mode_name(enum mode mode) { return NAMES[mode]; }

bool make_run(struct run *run, enum mode mode, const struct recording *recording, size_t repeat) {
    size_t count = recording->calls.count;
    *run = (struct run){.mode = mode};
    run->watches = calloc(repeat, sizeof *run->watches);
    run->wrong = calloc(count, sizeof *run->wrong);
    run->facts = calloc(count, sizeof *run->facts);
    if (!run->watches || !run->wrong || !run->facts)
        return false;
    /* Touched now: the first run would pay for its pages, the others not. */
    memset(run->facts, 1, count * sizeof *run->facts);
    return true;
}

void free_run(struct run *run) {
    free(run->watches);
    free(run->wrong);
    free(run->facts);
}

static void make_calls(struct run *run, const struct fp_calls *calls, size_t first,
                       struct fp_ring *ring, const struct options *options,
                       struct fp_watch *watch) {
    struct fp_fact *out = run->facts + first;
    if (ring) {
        fp_ring_run(ring, calls, out, &run->tally, watch);
        return;
    }
    run->tally.plain += calls->count;
    if (run->mode == THREADS) {
        unsigned width = options->width ? options->width : 16;
        unsigned threads = fp_threads(calls, width, true, out, watch);
        if (threads > run->threads)
            run->threads = threads;
        return;
    }
    fp_serial(calls, out);
    fp_lap(watch, FP_SUBMIT);
}

static void check(struct run *run, const struct recording *recording) {
    for (size_t i = 0; i < recording->calls.count; i++) {
        enum fp_kind kind = (enum fp_kind)recording->kinds[i];
        if (!is_as_recorded(kind, &recording->results[i], &run->facts[i]))
            run->wrong[i] = true;
    }
}

void replay_once(struct run *run, const struct recording *recording, const struct options *options,
                 size_t number) {
    struct fp_watch *watch = &run->watches[number];
    struct fp_ring *ring = NULL;
    size_t count = recording->calls.count;
    size_t batch = options->batch && options->batch < count ? options->batch : count;
    run->tally = (struct fp_tally){0};
    fp_start(watch);
    if (run->mode == URING)
        run->refused = fp_ring_open(&ring, batch < 4096 ? (unsigned)batch : 4096, options->width);
    fp_lap(watch, FP_SETUP);
    for (size_t first = 0; first < count; first += batch) {
        struct fp_calls calls = recording->calls;
        calls.paths += first;
        calls.kinds += first;
        calls.count = count - first < batch ? count - first : batch;
        make_calls(run, &calls, first, ring, options, watch);
    }
    if (ring)
        fp_ring_close(ring);
    fp_lap(watch, FP_SETUP);
    check(run, recording);
    fp_lap(watch, FP_CHECK);
}

size_t mismatches(const struct run *run, const struct recording *recording) {
    size_t count = 0;
    for (size_t i = 0; i < recording->calls.count; i++)
        count += run->wrong[i];
    return count;
}
