/*
 * Staged records whose rows here have local changes on their way: field by field, by src/sync.
 *
 * The log tells what is on its way: the values are ours, the first entry's `old` is the base both
 * sides agreed on, and values of PENDING entries are in flight. Conflicts are logged, without
 * values.
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

/* Writes the merged rows, takes their records out of the staging table, adds to *merged. */
bool merge_rows_pending(struct pg *pg, const struct mapping *mapping, struct arena *arena,
                        int64_t *merged, struct error *err);

#endif
