/*
 * The comparison of all of an object's records with their rows, range of ids by range, and the
 * repair of what differs: missing, extra and stale rows, and values that change without a stamp
 * (formulas, roll-ups, a parent's key). What differs is compare.h's to say.
 *
 * What the polls have not covered yet is theirs, not drift. A pass goes on where it was after a
 * restart. Repairing is reading the records again and applying them like any others; extra rows go
 * as inferred deletions (deletions.h), so many at once wait for a confirmation.
 */
#ifndef PGFORCE_INBOUND_DRIFT_H
#define PGFORCE_INBOUND_DRIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "inbound/mark.h"
#include "inbound/poll.h"
#include "sf/outcome.h"

struct drift_pass {
    char after_id[SF_ID_BYTES]; /* the last id compared; "" at the beginning */
    bool is_over;
    int64_t checked;
    int64_t missing;    /* records without a row */
    int64_t extra;      /* rows without a record */
    int64_t stale;      /* with another stamp, or other values under the same */
    int64_t calculated; /* with other values of those that change without a stamp */
    int64_t held;       /* not repaired: a row is locked, or an answer to a write is due */
};

/* One range further. Zeroed at first. Not is_repaired: nothing is changed. */
bool drift_compare(const struct poll *poll, const struct mark *mark, bool is_repaired,
                   struct drift_pass *pass, struct error *err);

struct drift_schedule {
    int64_t interval_s; /* between two passes; 0: only what is asked for */
    int64_t next_ms;    /* answered: when to come again, from now */
};

/* How often a mapping's records are compared, when all are compared so often. */
int64_t drift_interval_s(const struct mapping *mapping, int64_t all_s);

/* Of the pull role: begins or goes on with a pass if it is due, by one range. */
bool drift_turn(const struct poll *poll, const struct mark *mark, struct drift_schedule *schedule,
                struct error *err);

/* A load could not write so many records now: they are compared soon. */
bool drift_note_held(struct pg *pg, const struct mapping *mapping, int64_t held, struct error *err);

/* An operator wants a pass now. Wakes the pull role. */
bool drift_ask(struct pg *pg, const struct mapping *mapping, struct error *err);

/* Whether the pass that was asked for is still to be done or under way, and its counts so far. */
bool drift_watch(struct pg *pg, const struct mapping *mapping, struct drift_pass *pass,
                 bool *has_begun, struct error *err);

#endif
