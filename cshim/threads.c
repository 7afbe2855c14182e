/* The plain calls, on threads that end with the list.
 *
 * Whoever is free takes the next few calls. Where no thread can be had, those that are there, if
 * only the caller, do the work. */

#define _GNU_SOURCE
#include "replay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>

/* As wide as it may get. */
enum { MOST = 1024 };

/* A thread's stack, as in src/probe/crew.rs: of larger ones the C library keeps fewer for the next thread. */
enum { STACK = 256 << 10 };

/* A list under way. */
struct crew {
    const struct fp_calls *calls;
    struct fp_fact *out;
    size_t stride;
    atomic_size_t next;
};

static void *work(void *argument) {
    struct crew *crew = argument;
    const struct fp_calls *calls = crew->calls;
    for (;;) {
        size_t from = atomic_fetch_add_explicit(&crew->next, crew->stride, memory_order_relaxed);
        if (from >= calls->count)
            return NULL;
        size_t to = calls->count - from < crew->stride ? calls->count : from + crew->stride;
        for (size_t i = from; i < to; i++)
            fp_call_plainly(fp_kind_of(calls, i), calls->paths[i], &crew->out[i]);
    }
}

/* What a helper does. Ours have a name, too. */
static void *help(void *argument) {
    prctl(PR_SET_NAME, "replay");
    return work(argument);
}

/* Short enough that all end at about the same time, long enough that the counter costs little. */
static size_t stride(size_t count, unsigned width) {
    size_t share = count / ((size_t)width * 8);
    return share < 1 ? 1 : share > 16 ? 16 : share;
}

static bool is_work_left(const struct crew *crew) {
    return atomic_load_explicit(&crew->next, memory_order_relaxed) < crew->calls->count;
}

unsigned fp_threads(const struct fp_calls *calls, unsigned width, bool all, struct fp_fact *out,
                    struct fp_watch *watch) {
    if (width > calls->count)
        width = (unsigned)calls->count;
    if (width > MOST)
        width = MOST;
    if (width < 1)
        width = 1;
    pthread_t helpers[MOST];
    struct crew crew = {.calls = calls, .out = out, .stride = stride(calls->count, width)};
    unsigned hired = 0;
    pthread_attr_t how;
    pthread_attr_init(&how);
    pthread_attr_setstacksize(&how, STACK);
    while (hired + 1 < width && (all || is_work_left(&crew)) &&
           pthread_create(&helpers[hired], &how, help, &crew) == 0)
        hired++;
    pthread_attr_destroy(&how);
    fp_lap(watch, FP_SETUP);
    work(&crew);
    fp_lap(watch, FP_SUBMIT);
    for (unsigned i = 0; i < hired; i++)
        pthread_join(helpers[i], NULL);
    fp_lap(watch, FP_WAIT);
    return hired + 1;
}

void fastpath_c_stat_threads(const char *const *paths, size_t n, unsigned width,
                             struct fp_fact *out) {
    fp_threads(&(struct fp_calls){.paths = paths, .count = n}, width, false, out, NULL);
}
