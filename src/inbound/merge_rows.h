/*
 * Staged records whose rows here have local changes on their way: field by field, by src/sync.
 *
 * The log tells what is on its way: the values are ours, the `old` of the first entry that carries
 * a field is the base both sides agreed on, and values of PENDING entries are in flight. What wins
 * is the mapping's conflict policy; what loses goes to the ledger (archive/conflicts.h), and where
 * it is PostgreSQL's it is not sent any more.
 */
#ifndef PGFORCE_INBOUND_MERGE_ROWS_H
#define PGFORCE_INBOUND_MERGE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* How many staged records have a row here. */
bool merge_rows_count_known(struct pg *pg, const struct mapping *mapping, int64_t *count,
                            struct error *err);

struct merge_rows_report {
    bool is_announced; /* given: each row is announced before it is written (announce.h) */
    int64_t merged;
    int64_t held; /* in conflict with a write that is under way, or being settled just now: to be
                   * read again after it */
};

/* Writes the merged rows, takes their records out of the staging table, adds to the report. The
 * rows are locked, so that what is under way stays so meanwhile. */
bool merge_rows_pending(struct pg *pg, const struct mapping *mapping, struct arena *arena,
                        struct merge_rows_report *report, struct error *err);

#endif
