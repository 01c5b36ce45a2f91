/*
 * All or none: which transactions of the log go to Salesforce as one unit, in what steps, and how
 * what came of their parts is made to agree.
 *
 * Promises:
 *  1. A unit holds every entry of its transaction that is unsettled, or does not go: while a record
 *     of it waits, or something it refers to is not there yet, the whole unit waits.
 *  2. No entry overtakes an earlier one of its record, in the unit or out of it.
 *  3. What does not fit one call (limits below; records of one transaction that point to each
 *     other) is named, to go as if it were no unit.
 *
 * Pure. It knows nothing of requests or rows.
 * Source of the limits: REST API Developer Guide, "Composite", "sObject Collections".
 */
#ifndef PGFORCE_SYNC_UNIT_H
#define PGFORCE_SYNC_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "sync/delivery.h"
#include "sync/order.h"

/* Steps of one call, those of them that may have more than one record, and records in such one. */
enum { UNIT_STEPS_MAX = 25, UNIT_COLLECTIONS_MAX = 5, UNIT_STEP_RECORDS = 200 };

struct unit {
    const size_t *entries; /* indexes into the input, ascending */
    size_t count;
    /* Indexes plus one: the entry whose record's INSERT failed, and that INSERT; 0: none. Nothing
     * of the unit will ever be sent then. */
    size_t refused_entry;
    size_t failed_insert;
};

struct unit_plan {
    const struct unit *units; /* that can go now, none of which waits for another */
    size_t count;
    const struct unit *misfits; /* too large or circular: to go one by one */
    size_t misfit_count;
    const bool *are_held; /* by entry: not to go by itself, being part of a unit */
};

struct unit_log {
    const struct order_entry *entries; /* by ascending log_id */
    const uint64_t *commits;           /* in step: which transaction; 0: by itself */
    size_t count;
    bool is_cut; /* more may follow of the last transaction */
};

struct unit_plan unit_choose(const struct unit_log *log, struct arena *arena);

/* Records of one action on one object, or one record. */
struct unit_step {
    const size_t *entries; /* indexes into the input */
    size_t count;
};

struct unit_steps {
    struct unit_step *items;
    size_t count;
};

/* False when it does not fit. */
bool unit_pack(const struct order_entry *entries, const struct unit *unit, struct arena *arena,
               struct unit_steps *out);

/* Whether insert makes what entry refers to. */
bool unit_refers_to(const struct order_entry *entry, const struct order_entry *insert);

/* One entry's part in what came of a unit. */
struct unit_part {
    enum delivery_action action;
    struct delivery_verdict verdict; /* by itself; made to agree */
    bool is_rolled_back;             /* refused only because another was */
    bool is_follower;                /* of a record that the unit makes: nothing can be read back */
};

/* After an answer that was not a success of all. Answers the part that decided. */
size_t unit_agree(struct unit_part *parts, size_t count);

/* After reading back: all was done, or none. Answers likewise. */
size_t unit_agree_doubts(struct unit_part *parts, size_t count);

#endif
