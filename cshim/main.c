/* The command line of `replay`. */

#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "Replay recorded filesystem calls one after the other, through io_uring and on threads, check\n"
    "every result, and show what each way costs. Linux.\n"
    "\n"
    "usage: replay RECORDING [--mode MODE] [--batch N] [--width N] [--repeat N] [--json]\n"
    "\n"
    "      --mode MODE   serial, uring or threads       [all three, taking turns]\n"
    "      --batch N     calls under way together       [0: the whole recording]\n"
    "      --width N     threads, or at most so many workers of io_uring\n"
    "                    [0: 16 threads, and as many workers as the kernel likes]\n"
    "      --repeat N    runs of each mode; the figures are medians  [1]\n"
    "      --json        for programs\n"
    "  -h, --help        this text\n"
    "\n"
    "Phases: setup (the ring or the threads, with their end), submit (handing calls over, and making\n"
    "plain ones), wait, check. io_uring has requests for stat, lstat, statx, open and openat; the rest\n"
    "is done plainly and counted apart. Reading the clock is in the figures: one to three system calls\n"
    "a batch, which shows where batches are small. Files are opened for reading, whatever they were\n"
    "opened for.\n"
    "A mode finds hot what another has asked before: to measure cold, give one, and --repeat 1.\n"
    "\n"
    "Recordings are written by `python -m fastpath trace --save RECORDING -- COMMAND`.\n"
    "\n"
    "exit status: 0 every result is the recorded one; 1 some are not, the first are named; 2 wrong\n"
    "usage, or no recording\n"
    "\n"
    "example: replay start.rec --batch 300 --repeat 21\n";

static int usage(const char *what, const char *which) {
    fprintf(stderr, "replay: %s%s; see replay --help\n", what, which);
    return 2;
}

/* A count, at most a million: more is a slip. */
static bool number(const char *text, unsigned long least, unsigned long *to) {
    char *end;
    errno = 0;
    *to = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno && *to >= least && *to <= 1000000;
}

static bool choose_mode(const char *name, bool *modes) {
    for (int mode = 0; mode < MODES; mode++)
        if (strcmp(name, mode_name((enum mode)mode)) == 0)
            return modes[mode] = true;
    return false;
}

/* Returns 0, or the exit status with which to end; -1 where it is to end well. */
static int parse(int argc, char **argv, struct options *options) {
    static const struct option LONG[] = {
        {"mode", required_argument, NULL, 'm'},   {"batch", required_argument, NULL, 'b'},
        {"width", required_argument, NULL, 'w'},  {"repeat", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},         {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    unsigned long value;
    *options = (struct options){.repeat = 1};
    for (int c; (c = getopt_long(argc, argv, "h", LONG, NULL)) != -1;) {
        switch (c) {
        case 'm':
            if (!choose_mode(optarg, options->modes))
                return usage("--mode is serial, uring or threads, not ", optarg);
            break;
        case 'b':
        case 'w':
        case 'r':
            if (!number(optarg, c == 'r', &value))
                return usage("not a number that will do: ", optarg);
            if (c == 'b')
                options->batch = value;
            else if (c == 'w')
                options->width = (unsigned)value;
            else
                options->repeat = value;
            break;
        case 'j':
            options->json = true;
            break;
        case 'h':
            fputs(HELP, stdout);
            return -1;
        default: /* getopt has said what is wrong */
            return usage("wrong usage", "");
        }
    }
    if (optind + 1 != argc)
        return usage("one RECORDING is needed", "");
    options->file = argv[optind];
    return 0;
}

/* Every mode in turn, as often as asked, so that what disturbs the machine disturbs all alike. */
static void replay(struct run *runs, size_t count, const struct recording *recording,
                   const struct options *options) {
    for (size_t number = 0; number < options->repeat; number++)
        for (size_t turn = 0; turn < count; turn++)
            replay_once(&runs[(number + turn) % count], recording, options, number);
}

static int report(const struct run *runs, size_t count, const struct recording *recording,
                  const struct options *options) {
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        report_refusal(&runs[i]);
        report_mismatches(&runs[i], recording);
        wrong += mismatches(&runs[i], recording);
    }
    (options->json ? report_json : report_text)(runs, count, recording, options);
    return wrong ? 1 : 0;
}

int main(int argc, char **argv) {
    struct options options;
    struct recording recording;
    struct run runs[MODES];
    size_t count = 0;
    int status = parse(argc, argv, &options);
    if (status)
        return status < 0 ? 0 : status;
    if (!read_recording(options.file, &recording))
        return 2;
    bool all = !options.modes[SERIAL] && !options.modes[URING] && !options.modes[THREADS];
    for (int mode = 0; mode < MODES; mode++)
        if (all || options.modes[mode])
            if (!make_run(&runs[count++], (enum mode)mode, &recording, options.repeat))
                return usage("no memory", "");
    replay(runs, count, &recording, &options);
    status = report(runs, count, &recording, &options);
    for (size_t i = 0; i < count; i++)
        free_run(&runs[i]);
    free_recording(&recording);
    return status;
}
