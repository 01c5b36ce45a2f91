/*
 * One record's part in a request: which values of which entries it carries.
 *
 * The entry's own values and those of the entries that go with it, the newest of each column; the
 * row as it is now where a refused INSERT is tried again; and without references to records that
 * are not in Salesforce yet. Reads rows, writes none, sends nothing.
 */
#ifndef PGFORCE_OUTBOUND_PARCEL_H
#define PGFORCE_OUTBOUND_PARCEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "outbound/batch.h"
#include "outbound/plan.h"
#include "pg/pg.h"

struct parcel {
    size_t index; /* of the entry, in the queue */
    const struct queue_entry *entry;
    const struct mapping *mapping;
    enum delivery_action action; /* as sent: an INSERT whose record is there goes as an UPDATE */
    const char *sfid;
    const char *const *row;          /* the row as it is now, by field; NULL: as captured */
    const struct hstore_pair *pairs; /* what the record was made of */
    size_t pair_count;
    struct batch_record record;
    /* Of a create without a unique identifier, where the mapping wants it: what it is found by if
     * the answer is lost, by its receipt or in this field of the record; else NULL. */
    const char *trace;
    const char *marker_field;
    bool has_rest; /* references are left for another request */
    /* False: settled as it stands, with this state and message. */
    bool is_to_be_sent;
    enum delivery_state state;
    const char *message;
};

struct parcel_world {
    struct pg *pg;
    struct arena *arena;
    const struct plan *plan;
    bool has_no_receipts; /* where it is to go to */
};

/* Sets row, and sfid where the row has one by now, of those parcels that need it. */
bool parcel_read_rows(const struct parcel_world *world, struct parcel *parcels, size_t count,
                      struct error *err);

/* Fills what is sent, for a request that does `action`; index, entry and mapping are given. */
void parcel_fill(const struct parcel_world *world, struct parcel *parcel,
                 enum delivery_action action);

#endif
