/*
 * Records that Salesforce no longer has: whether their rows may go, and then they go.
 *
 * A deletion is reported by Salesforce, or inferred from a record's absence; permissions lost there
 * look like the latter. So many at once that it may be a mistake (more than 100 rows and 5 % of the
 * table) in one cycle wait in pgforce.held_deletion until an operator confirms them, and the rest
 * of the sync goes on. Before a row goes Salesforce is asked once more whether the record is alive:
 * it may have been undeleted, or come back into sight.
 */
#ifndef PGFORCE_INBOUND_DELETIONS_H
#define PGFORCE_INBOUND_DELETIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "inbound/poll.h"

struct deletions {
    const char *const *ids;
    size_t count;
    bool is_inferred; /* from absence */
    bool is_all;      /* that are absent: one that waits and is not among them has come back */
    int64_t earlier;  /* how many were inferred before in the same cycle */
};

/* Those that no row knows are passed over. */
bool deletions_apply(const struct poll *poll, const struct deletions *deletions,
                     struct apply_report *report, struct error *err);

/* Those that have been confirmed since. */
bool deletions_release(const struct poll *poll, struct apply_report *report, struct error *err);

/* How many wait for a confirmation. */
bool deletions_count_held(struct pg *pg, const struct mapping *mapping, int64_t *count,
                          struct error *err);

#endif
