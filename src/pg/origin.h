/*
 * A replication origin as a session's mark and as a lock.
 *
 * All that the session writes afterwards carries the origin's name, and the server gives an origin
 * to one session at a time: who has it is the only writer of its kind. A second process of the same
 * role stands by until the first has gone (turn.h).
 */
#ifndef PGFORCE_PG_ORIGIN_H
#define PGFORCE_PG_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "pg/pg.h"

/* "pgforce_<role>_<schema>". */
struct origin_name {
    char text[64];
};

/* The roles that write, each under an origin of its own; NULL past the last. */
const char *origin_role(size_t index);

struct origin_name origin_name(const char *role, const char *schema_name);

/* For the rest of the session, when it is this process's turn. ERROR_RETRY when the process is told
 * to stop meanwhile, or somebody else keeps the origin; ERROR_CONFIG when it does not exist. */
bool origin_take(struct pg *pg, const char *role, const char *schema_name, struct error *err);

/*
 * Begins a transaction of a session that has an origin. Readers of the stream see, as its commit
 * time, what the session last set for its origin, which is nothing (2000-01-01) or an earlier
 * commit's time unless each transaction sets it (PostgreSQL's RecordTransactionCommit and
 * DecodeCommit).
 */
bool origin_begin(struct pg *pg, struct error *err);

#endif
