/*
 * Whether this database is an older copy of the one that its log was written in: restored from a
 * backup, or a standby that had not received everything before it took over.
 *
 * Then entries that wait may have been sent already, by the database that is gone, and nothing may
 * be sent until somebody has compared. It is known by the server (another system identifier; a new
 * timeline without our slot; a log that is ahead of the server's own) and stays noted, whatever is
 * set up again, until it is cleared.
 */
#ifndef PGFORCE_ARCHIVE_RESTORED_H
#define PGFORCE_ARCHIVE_RESTORED_H

#include "base/buf.h"
#include "base/error.h"
#include "pg/pg.h"

/* Appends how it is known; nothing when the database goes on where it was. */
bool restored_find(struct pg *pg, const char *schema_name, struct buf *reason, struct error *err);

/* Keeps what is found: a new slot and progress would hide it. */
bool restored_note(struct pg *pg, const char *schema_name, struct error *err);

/* Somebody has compared. */
bool restored_clear(struct pg *pg, const char *schema_name, struct error *err);

#endif
