/*
 * Creates that leave a receipt: in one call that takes effect as a whole or not at all, the records
 * and, for each, a record of LOST_CREATE_RECEIPT with a key of its own and the new record's id.
 *
 * Promises: the key is unique in Salesforce, so a create that is repeated, early or late, is undone
 * by it, with all of its call; a record that is refused keeps no other back, for those that were
 * undone with it go again without it, in this same writing. Decides nothing about an outcome.
 */
#ifndef PGFORCE_OUTBOUND_RECEIPT_H
#define PGFORCE_OUTBOUND_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "outbound/parcel.h"
#include "sf/composite.h"
#include "sf/session.h"

struct receipt_item {
    struct parcel parcel; /* with a trace; its record is read only */

    /* Answered: of the last call that it was in, fate to message as in a struct sf_batch. */
    struct sf_batch batch;
    struct sf_row_result row;
    bool has_row;
    bool is_taken; /* its receipt is there already: it was made by an earlier attempt */
};

struct receipt_writing;

/* Begun, gone on with (sf_request_go_on) until it is answered, then taken: is_over is false when
 * some of it went again. False only for what concerns them all (told to stop, signing in failed):
 * then it is over, and each item's fate holds. Lives in the arena. */
struct receipt_writing *receipt_begin(struct sf_session *session, struct receipt_item *items,
                                      size_t count, struct arena *arena);
bool receipt_is_answered(const struct receipt_writing *writing);
bool receipt_take(struct receipt_writing *writing, bool *is_over, struct error *err);

/* What the answer to a call says of the item that was its index-th; true when that is to go again,
 * undone for another's sake. The call's steps are the records and their receipts. Pure. */
bool receipt_read(const struct sf_composite *answer, size_t index, struct receipt_item *item);

#endif
