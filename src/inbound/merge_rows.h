/*
 * Staged records whose rows here have local changes on their way: read and written by the thousand,
 * judged one by one (inbound/contender.h).
 */
#ifndef PGFORCE_INBOUND_MERGE_ROWS_H
#define PGFORCE_INBOUND_MERGE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "inbound/held.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* How many staged records have a row here. */
bool merge_rows_count_known(struct pg *pg, const struct mapping *mapping, int64_t *count,
                            struct error *err);

struct merge_rows_report {
    int64_t began_us;  /* given: when the reading of the records began */
    bool is_announced; /* given: each row is announced before it is written (announce.h) */
    int64_t merged;
    struct held held; /* in conflict with a write that is under way, or being settled just now */
};

/* Writes the merged rows, takes their records out of the staging table, adds to the report. The
 * rows are locked, so that what is under way stays so meanwhile. */
bool merge_rows_pending(struct pg *pg, const struct mapping *mapping,
                        struct merge_rows_report *report, struct error *err);

#endif
