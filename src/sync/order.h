/*
 * What to send next: from the unsettled entries of the log, in log order, to batches.
 *
 * Promises:
 *  1. A batch is one action on one mapping, at most max_batch entries.
 *  2. A round has at most one change per record, and a record's changes go out in log order: an
 *     entry behind an earlier unsettled one of its record waits. Records of one mapping with the
 *     same external id count as one record (a deleted or changed key used again).
 *  3. Inserts before updates before deletes; parents before children, deletes the other way round.
 *     An entry that refers to a record whose INSERT is unsettled waits for a later round, where
 * that is not a circle. A delete waits while an earlier entry that could be moving a child away
 * from it waits (deleting the parent first would delete the child with it).
 *  4. Something is sent whenever nothing is held: references never block for ever. Records that
 *     point to each other go in two steps (early_references).
 *  5. Entries behind a failed INSERT are settled with a reason, not left waiting.
 *
 * It takes n log n time and memory of the arena only. It knows nothing of requests or rows.
 */
#ifndef PGFORCE_SYNC_ORDER_H
#define PGFORCE_SYNC_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "sync/delivery.h"

/* sObject collections take 200 records a request. */
enum { ORDER_BATCH_MAX = 200 };

/* Another record that an entry's values point to: by row or, where the column holds a
 * relationship's external id, by the hash of that id. */
struct order_reference {
    uint32_t mapping;
    int32_t record_id; /* 0: by key_hash */
    uint64_t key_hash; /* 0: by record_id */
};

struct order_entry {
    int64_t log_id;
    uint32_t mapping;           /* the caller's index; one mapping, one object */
    uint32_t rank;              /* of the object: greater than that of every object it refers to */
    int32_t record_id;          /* the mapped row's id */
    uint64_t key_hash;          /* of this record's own external id; 0 if it has none */
    const uint64_t *freed_keys; /* hashes of others of its own that the entry sets free */
    size_t freed_key_count;
    enum delivery_action action;
    enum delivery_state state; /* NEW is sent; PENDING blocks its record; a FAILED INSERT condemns
                                  what follows it; other states are as if absent */
    bool is_held;              /* NEW, but its back-off is not over: blocks its record */
    bool was_sent;             /* an earlier attempt may have been executed (fold.h asks) */
    bool is_bound; /* the record's Salesforce id is known, so a failed INSERT condemns nothing */
    const struct order_reference *references;
    size_t reference_count;
};

struct order_batch {
    uint32_t mapping;
    enum delivery_action action;
    const size_t *entries; /* indexes into the input */
    size_t count;
};

/* An entry that will never be sent: its record's INSERT failed. */
struct order_refusal {
    size_t entry;
    size_t failed_insert;      /* index of the entry to name in the message */
    enum delivery_state state; /* FAILED; IGNORED for a DELETE: there is nothing to delete */
};

struct order_plan {
    const struct order_batch *batches; /* to be sent in this order */
    size_t batch_count;
    const struct order_refusal *refusals;
    size_t refusal_count;
    size_t waiting_count; /* entries NEW and not in this round */
    /*
     * By entry, a bit for each of an INSERT's first 64 references that is to be left out, because
     * what it points to is not in Salesforce yet: a circle, or the record itself. Once that is
     * there, the reference is sent as an update.
     */
    const uint64_t *early_references;
};

/* entries by ascending log_id. max_batch 0 means ORDER_BATCH_MAX. */
struct order_plan order_next_round(const struct order_entry *entries, size_t count,
                                   size_t max_batch, struct arena *arena);

/* Whether both have, or set free, the same external id. */
bool order_shares_key(const struct order_entry *left, const struct order_entry *right);

/* For key_hash: never 0. */
uint64_t order_hash(const void *key, size_t size_bytes);

#endif
