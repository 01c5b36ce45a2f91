/*
 * A row with changes of ours on their way, and the staged record of Salesforce's that it meets:
 * which side's value each field keeps, by src/sync.
 *
 * The log tells what is on its way: the values are ours, the `old` of the first entry that carries
 * a field is the base both sides agreed on, and values of PENDING entries are in flight. What loses
 * goes to the ledger (archive/conflicts.h). It writes neither the row nor the staged record.
 */
#ifndef PGFORCE_INBOUND_CONTENDER_H
#define PGFORCE_INBOUND_CONTENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/hstore.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"
#include "sync/merge.h"

/* An unsettled or refused entry of the record, read from the log. */
struct contender_change {
    const char *log_id;
    int64_t time_us; /* of its commit */
    struct hstore_pair *values;
    size_t value_count;
    struct hstore_pair *old;
    size_t old_count;
    const char *overruled; /* as CONFLICTS_OVERRULED answers */
    bool is_in_flight;
    bool may_be_in_flight; /* it waits behind one that is: with merged writes they may go as one */
    bool has_lost_since;   /* to a value younger than what was read may be */
    bool is_refused;
};

struct contender {
    struct pg *pg;
    const struct mapping *mapping;
    struct arena *arena;
    const PGresult *rows;
    int row;
    const char *record_id;
    const char *sfid;
    struct contender_change *changes; /* in log order */
    size_t change_count;
    struct merge_rules rules; /* from here on its own */
    bool must_wait;
};

enum contender_fate {
    CONTENDER_IS_FREE, /* nothing of ours is on its way: the record is written like any other */
    CONTENDER_WAITS,   /* in conflict with what is under way, whose answer comes first */
    CONTENDER_IS_MERGED
};

/*
 * The contender's row of `rows` has in columns 0 and 1 the record's id and sfid, in 2 the staged
 * stamp in microseconds; then ours and theirs, field by field. Appends to kept the assignments
 * ("column" = t."column", ...) that put our values into the staged record. Stores conflicts in the
 * transaction that is open.
 */
bool contender_judge(struct contender *contender, enum contender_fate *fate, struct buf *kept,
                     struct error *err);

#endif
