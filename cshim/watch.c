/* A stopwatch that adds up by phase, in wall time and in CPU time. */

#define _GNU_SOURCE
#include "replay.h"

#include <time.h>

static int64_t now(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

void fp_start(struct fp_watch *watch) {
    *watch = (struct fp_watch){0};
    watch->last_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    watch->last_wall = now(CLOCK_MONOTONIC);
}

/* What has passed since the last lap belongs to this phase. */
void fp_lap(struct fp_watch *watch, enum fp_phase phase) {
    if (!watch)
        return;
    int64_t wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    watch->wall[phase] += wall - watch->last_wall;
    watch->cpu[phase] += cpu - watch->last_cpu;
    watch->last_wall = wall;
    watch->last_cpu = cpu;
}
