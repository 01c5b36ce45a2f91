/*
 * Makes rows say PENDING in _hc_lastop while the log has something of them to be sent.
 *
 * A row is only written while its lock is ours, which is never waited for: a row that somebody else
 * holds is tried again later, for its holder may itself be waiting for the archive. With the lock
 * held, the log is asked by a new snapshot whether the record still has an unsettled entry, unless
 * that entry is of our own open transaction; who settles an entry locks the row in the same
 * transaction. So neither an answer that came meanwhile
 * nor a newer change is ever overwritten. What a crash forgets is found again in the log. It never
 * fails because of a row: one that cannot be written (a user's constraint or trigger refuses) stays
 * as it is, with a warning.
 */
#ifndef PGFORCE_ARCHIVE_PENDING_H
#define PGFORCE_ARCHIVE_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/pg.h"

struct pending;

/* pg outlives it. It begins with all that the log has unsettled, or has FAILED for its size. */
struct pending *pending_new(struct pg *pg, const char *schema_name);
void pending_free(struct pending *pending);

/* Takes note of a row, in the transaction that writes its entry and then calls pending_mark; of too
 * many at once only that there are many. */
void pending_add(struct pending *pending, const char *table_name, const char *record_id);

/* Likewise of a row whose change was logged as FAILED because it is too large: unless something of
 * it is to be sent, the row says FAILED and why. */
void pending_add_failed(struct pending *pending, const char *table_name, const char *record_id);

/* When pending_mark has something to do, by the monotonic clock; -1: never. */
int64_t pending_due_ms(const struct pending *pending);

/* Marks a piece of what is due. Inside a transaction that is committed at once afterwards. */
bool pending_mark(struct pending *pending, struct error *err);

#endif
