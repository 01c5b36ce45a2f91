/*
 * Gaps in the log: what is known to be missing, from where to where, and why.
 *
 * A gap is open from the moment when the slot has been given up until an operator goes on with a
 * new slot. It is never passed in silence: the archive stops at an open one, and a closed one stays
 * as a record.
 */
#ifndef PGFORCE_ARCHIVE_GAP_H
#define PGFORCE_ARCHIVE_GAP_H

#include "base/buf.h"
#include "base/error.h"
#include "base/lsn.h"
#include "pg/pg.h"

/* The log ends at the stored progress. One that is open already stays as it is. */
bool gap_open(struct pg *pg, const char *schema_name, const char *reason, struct error *err);

struct gap_record {
    lsn_t from_lsn;
    lsn_t to_lsn;
    const char *reason;
};

/* The operator goes on from to_lsn: closes what is open, or records the whole. */
bool gap_accept(struct pg *pg, const char *schema_name, const struct gap_record *gap,
                struct error *err);

/* Appends the reason of the open one; nothing when there is none. */
bool gap_find_open(struct pg *pg, const char *schema_name, struct buf *reason, struct error *err);

#endif
