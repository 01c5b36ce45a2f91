/*
 * A range of an object's records, in the order of their ids, beside their rows: which rows are
 * missing, which have no record, and which differ in stamp or value.
 *
 * Promises: what the polls have not covered yet, what is known to be refused or waits for an
 * operator, and what a local change has made differ is no difference. It reads and changes nothing.
 */
#ifndef PGFORCE_INBOUND_COMPARE_H
#define PGFORCE_INBOUND_COMPARE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "inbound/poll.h"
#include "sf/outcome.h"

enum compare_kind {
    COMPARE_MISSING,    /* a record without a row */
    COMPARE_EXTRA,      /* a row without a record */
    COMPARE_STALE,      /* another stamp, or another value under the same */
    COMPARE_CALCULATED, /* another value of those that change without a stamp */
};

struct compare_difference {
    const char *sfid;
    enum compare_kind kind;
};

struct compare_range {
    const struct poll *poll;
    struct arena *arena; /* of the answers */
    int64_t mark_us;     /* up to where the polls have come */
    const char *first;   /* the range is behind this id */

    char last[SF_ID_BYTES]; /* answered: and up to this; "" to the end */
    int64_t count;          /* of its records */
    struct compare_difference *differences;
    size_t difference_count;
};

/* The first four of range's fields are the caller's to set. */
bool compare_read(struct compare_range *range, struct error *err);

#endif
