/*
 * From the queue to what src/sync plans with: each entry's mapping, values, key and references, and
 * by the merged algorithm which entries share a request.
 *
 * Reads the entries' values; decides nothing and sends nothing.
 */
#ifndef PGFORCE_OUTBOUND_PLAN_H
#define PGFORCE_OUTBOUND_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/hstore.h"
#include "archive/queue.h"
#include "base/arena.h"
#include "mapping/mapping.h"
#include "sync/fold.h"
#include "sync/order.h"

/* How deep each mapping stands below those it refers to by external id, in the list's order. */
uint32_t *plan_ranks(const struct mapping_list *mappings, struct arena *arena);

struct plan_entry {
    const struct mapping *mapping; /* NULL when the table is not mapped */
    const struct hstore_pair *pairs;
    size_t pair_count;
    const char *problem; /* why the values cannot be read; NULL when they can */
    const char *refusal; /* why no request can be made of it; NULL when one can */
    /* Columns that are left to a later entry of the record, which carries them: not in pairs. */
    const char **left_columns;
    size_t left_count;
    const struct mapping_field **reference_fields; /* in step with the order_entry's references */
    const char *overruled; /* the columns that had lost when check.h looked; NULL: it did not */
    /* Set by check.h and recheck.h, of the first entry of a request: */
    bool is_put_off; /* not in this round */
    bool is_over;    /* nothing is left to be sent: it ends like this */
    enum delivery_state over_as;
    const char *over_why;
    int64_t unmodified_since_s; /* sent on this condition; 0: on none */
};

struct plan {
    const struct queue *queue;
    struct plan_entry *entries; /* in step with the queue */
    struct order_entry *orders; /* likewise; what is folded is as if absent */
    struct fold *folds;         /* likewise; NULL: the ordered algorithm */
    struct order_plan round;    /* filled by the caller */
    bool has_unmapped;          /* entries of tables that are not mapped */
    /* Likewise in step, plus one: the next UPDATE of the record in the same unit, sent by itself
     * after this one; NULL: there are no units. */
    size_t *next_in_unit;
    size_t left_count; /* of all entries */
};

/* What has a refusal gets a state that is neither sent nor waited for. */
struct plan *plan_make(const struct mapping_list *mappings, const uint32_t *ranks,
                       const struct queue *queue, bool is_merged, struct arena *arena);

/* The entry that goes with the same request after this one, plus one; 0 when there is none. */
size_t plan_next(const struct plan *plan, size_t index);

#endif
