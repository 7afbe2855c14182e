/* What a replay did, for people and for programs. Medians over the runs, phase by phase. */

#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Mismatches that are named, of each mode. */
enum { NAMED = 5 };

/* A phase; the last one is all of them together. */
enum { ALL = FP_PHASES };
static const char *const PHASES[ALL + 1] = {"setup", "submit", "wait", "check", "all"};

static int compare(const void *left, const void *right) {
    const int64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static int64_t spent(const struct fp_watch *watch, bool cpu, int phase) {
    const int64_t *of = cpu ? watch->cpu : watch->wall;
    int64_t sum = 0;
    for (int i = 0; i < FP_PHASES; i++)
        sum += phase == ALL || phase == i ? of[i] : 0;
    return sum;
}

/* Microseconds. */
static double median(const struct run *run, size_t repeat, bool cpu, int phase) {
    int64_t *all = malloc(repeat * sizeof *all);
    if (!all)
        return -1;
    for (size_t i = 0; i < repeat; i++)
        all[i] = spent(&run->watches[i], cpu, phase);
    qsort(all, repeat, sizeof *all, compare);
    double middle = (double)(all[(repeat - 1) / 2] + all[repeat / 2]) / 2e3;
    free(all);
    return middle;
}

static const char *refusal(int error) {
    switch (error) {
    case EPERM:
        return "a sandbox or kernel.io_uring_disabled refuses it";
    case ENOSYS:
        return "this kernel has none, or a sandbox hides it";
    case EOPNOTSUPP:
        return "this kernel's has no statx or openat, Linux 5.6 is the first";
    default:
        return strerror(error);
    }
}

void report_refusal(const struct run *run) {
    if (run->refused)
        fprintf(stderr, "replay: no io_uring: %s; plain calls instead\n", refusal(run->refused));
}

/* A path as a recording writes it, and what a terminal might obey as octal numbers. */
static void print_path(const char *path) {
    for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
        if (*c == '\t' || *c == '\n' || *c == '\\')
            fprintf(stderr, "\\%c", *c == '\t' ? 't' : *c == '\n' ? 'n' : '\\');
        else if (*c < ' ' || *c >= 127)
            fprintf(stderr, "\\%03o", *c);
        else
            fputc(*c, stderr);
    }
}

void report_mismatches(const struct run *run, const struct recording *recording) {
    size_t count = mismatches(run, recording), named = 0;
    char then[16], now[16];
    for (size_t i = 0; named < NAMED && named < count; i++) {
        if (!run->wrong[i])
            continue;
        named++;
        enum fp_kind kind = (enum fp_kind)recording->kinds[i];
        fprintf(stderr, "replay: %s: line %zu: %s ", mode_name(run->mode), i + 2, kind_name(kind));
        print_path(recording->paths[i]);
        fprintf(stderr, ": recorded %s, now %s\n", recorded_name(&recording->results[i], then),
                fact_name(kind, &run->facts[i], now));
    }
    if (count > named)
        fprintf(stderr, "replay: %s: and %zu more\n", mode_name(run->mode), count - named);
}

static size_t failures(const struct recording *recording) {
    size_t count = 0;
    for (size_t i = 0; i < recording->calls.count; i++)
        count += recording->results[i].error != 0;
    return count;
}

void report_text(const struct run *runs, size_t count, const struct recording *recording,
                 const struct options *options) {
    size_t calls = recording->calls.count;
    printf("%zu calls, %zu of them recorded as failing; medians of %zu, microseconds\n", calls,
           failures(recording), options->repeat);
    printf("\n%-10s", "");
    for (size_t i = 0; i < count; i++)
        printf("%12s%12s", mode_name(runs[i].mode), "CPU");
    for (int phase = 0; phase <= ALL; phase++) {
        printf("\n%-10s", PHASES[phase]);
        for (size_t i = 0; i < count; i++)
            printf("%12.1f%12.1f", median(&runs[i], options->repeat, false, phase),
                   median(&runs[i], options->repeat, true, phase));
    }
    printf("\n%-10s", "per call");
    for (size_t i = 0; i < count; i++)
        printf("%12.3f%12.3f", median(&runs[i], options->repeat, false, ALL) / (double)calls,
               median(&runs[i], options->repeat, true, ALL) / (double)calls);
    printf("\n\n");
    for (size_t i = 0; i < count; i++) {
        const struct run *run = &runs[i];
        printf("%-8s %zu by the ring, %zu plainly", mode_name(run->mode), run->tally.ring,
               run->tally.plain);
        if (run->tally.redone)
            printf(" (%zu of them the ring's)", run->tally.redone);
        if (run->threads)
            printf(" on %u threads", run->threads);
        printf(", %zu mismatches\n", mismatches(run, recording));
    }
}

static void print_times(const struct run *run, size_t repeat, bool cpu) {
    printf(",\"%s_us\":{", cpu ? "cpu" : "wall");
    for (int phase = 0; phase <= ALL; phase++)
        printf("%s\"%s\":%.3f", phase ? "," : "", PHASES[phase], median(run, repeat, cpu, phase));
    printf("}");
}

void report_json(const struct run *runs, size_t count, const struct recording *recording,
                 const struct options *options) {
    printf("{\"calls\":%zu,\"failing\":%zu,\"batch\":%zu,\"width\":%u,\"repeat\":%zu,\"modes\":[",
           recording->calls.count, failures(recording), options->batch, options->width,
           options->repeat);
    for (size_t i = 0; i < count; i++) {
        const struct run *run = &runs[i];
        printf("%s{\"mode\":\"%s\",\"refused\":%s%s%s", i ? ",\n " : "\n ", mode_name(run->mode),
               run->refused ? "\"" : "", run->refused ? refusal(run->refused) : "null",
               run->refused ? "\"" : "");
        printf(",\"ring\":%zu,\"plain\":%zu,\"redone\":%zu,\"threads\":%u,\"mismatches\":%zu",
               run->tally.ring, run->tally.plain, run->tally.redone, run->threads,
               mismatches(run, recording));
        print_times(run, options->repeat, false);
        print_times(run, options->repeat, true);
        printf("}");
    }
    printf("\n]}\n");
}
