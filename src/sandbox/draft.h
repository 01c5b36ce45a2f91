/*
 * A record on its way to a row: the fields a client sent, read and completed.
 */
#ifndef PGFORCE_SANDBOX_DRAFT_H
#define PGFORCE_SANDBOX_DRAFT_H

#include "sandbox/save.h"

struct draft {
    struct save *save;
    struct value *values; /* by field index: what the row will hold */
    bool *is_given;       /* by field index: what the client set */
    bool is_insert;
    const struct value *before; /* by field index: what the row held; NULL for an insert */
};

/* Reads the client's fields over the values; resolves parents given by external id. */
bool draft_read(struct draft *draft, const json_t *fields, struct error *err);

/* Sets what an insert gets by itself: defaults, owner. False when storage failed. */
bool draft_complete(struct draft *draft, struct error *err);

/* Sets what follows from another field's change (follows.h). */
void draft_follow(struct draft *draft);

/* The audit fields, by the organisation's clock, and names made of parts. */
void draft_stamp(struct draft *draft);

#endif
