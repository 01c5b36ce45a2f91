/*
 * Up to where each direction has come: stored in the same transaction as what it speaks of.
 *
 * For changes out of PostgreSQL that is the row pgforce.progress: the slot, the server it belongs
 * to, and the commit end LSN of the last source transaction whose entries are in the log. It is the
 * only thing from which a position is ever confirmed.
 */
#ifndef PGFORCE_ARCHIVE_PROGRESS_H
#define PGFORCE_ARCHIVE_PROGRESS_H

#include "base/error.h"
#include "base/lsn.h"
#include "pg/pg.h"

struct progress {
    char slot_name[64];
    char system_identifier[32];
    int timeline;
    lsn_t commit_end_lsn;
};

/* No row, or no table, is ERROR_CONFIG: `pgforce setup` has not been run. */
bool progress_load(struct pg *pg, const char *schema_name, struct progress *progress,
                   struct error *err);

/* The first row of a new slot; an existing one is replaced. */
bool progress_start(struct pg *pg, const char *schema_name, const struct progress *progress,
                    struct error *err);

/* The server goes on in a new history. The position is left to whoever stores it. */
bool progress_follow_timeline(struct pg *pg, const char *schema_name, int timeline,
                              struct error *err);

/*
 * Inside the transaction that stores the entries: locks the row and answers the stored position,
 * which the caller compares with its own before it writes a thing. Another writer makes the two
 * differ.
 */
bool progress_lock(struct pg *pg, const char *schema_name, lsn_t *commit_end_lsn,
                   struct error *err);
bool progress_store(struct pg *pg, const char *schema_name, lsn_t commit_end_lsn,
                    struct error *err);

/* Makes durable what was stored last, also by another process whose COMMIT did not wait for the
 * disk. By itself, outside a transaction. */
bool progress_flush(struct pg *pg, const char *schema_name, struct error *err);

/* The prefix of the logical messages that mark a barrier in the stream. */
#define PROGRESS_BARRIER_PREFIX "pgforce.barrier"

/*
 * Waits until every change committed before this call is in the log, so that the caller may compare
 * rows with it. ERROR_RETRY when the archive role does not get there within timeout_ms, or when the
 * process is told to stop. pg must be outside a transaction and carry no replication origin.
 */
bool progress_barrier(struct pg *pg, const char *schema_name, int timeout_ms, struct error *err);

#endif
