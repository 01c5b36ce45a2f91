/*
 * Which of a record's waiting entries go into one request: Heroku Connect's two algorithms.
 *
 * Ordered: each entry is a request of its own, in log order (order.h). Merged: what waits of a
 * record is one request with the newest values; the first entry carries it, the others share its
 * fate. A record that was made and deleted before any of it was sent is not sent at all, and the
 * next change of a record whose INSERT failed sends the INSERT again.
 *
 * Nothing is folded into or across an entry that may have been executed: it must be repeated as it
 * was, or read back. It knows nothing of values or rows.
 */
#ifndef PGFORCE_SYNC_FOLD_H
#define PGFORCE_SYNC_FOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "sync/order.h"

enum fold_fate {
    FOLD_ALONE, /* sent by itself, or carries others */
    FOLD_INTO,  /* its values go with its carrier's, and it ends as that does: MERGED for SUCCESS */
    FOLD_OVER,  /* superseded by a later DELETE, or never sent: MERGED now; a DELETE: IGNORED */
};

struct fold {
    enum fold_fate fate;
    size_t carrier;  /* of FOLD_INTO */
    size_t next;     /* the next entry that goes with this carrier, plus one; 0: none */
    bool is_revived; /* a FAILED INSERT that goes again with what follows it */
};

/* One per entry; entries are by ascending log_id. For the merged algorithm. */
struct fold *fold_merged(const struct order_entry *entries, size_t count, struct arena *arena);

#endif
