/* A recording: calls with the results they once had. */

#ifndef FASTPATH_RECORDING_H
#define FASTPATH_RECORDING_H

#include "replay.h"

/* What was recorded of a result: an errno or 0, and the type letter of what a stat found, or 0 where
 * the recording does not say. */
struct recorded {
    int32_t error;
    char type;
};

struct recording {
    struct fp_calls calls;
    struct recorded *results;
    /* Owns what the others point to. */
    char *text;
    const char **paths;
    unsigned char *kinds;
};

/* Reads a recording; the line of call `i` is line `i + 2`. Returns false where there is none in that
 * file, having said why and what to do about it in one line on stderr. */
bool read_recording(const char *file, struct recording *recording);
void free_recording(struct recording *recording);

/* The kind of a call as a recording writes it. */
const char *kind_name(enum fp_kind kind);

/* A result as a recording writes it: of the fact found now, and of the recorded one. The text is
 * good until the next call for the same `room`, which has 16 bytes. */
const char *fact_name(enum fp_kind kind, const struct fp_fact *fact, char *room);
const char *recorded_name(const struct recorded *recorded, char *room);

/* Whether the call gives what it once gave. */
bool is_as_recorded(enum fp_kind kind, const struct recorded *recorded, const struct fp_fact *fact);

#endif
