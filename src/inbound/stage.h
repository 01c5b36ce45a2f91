/*
 * The staging table of one mapping, temporary and of our session: a page of records by COPY, in the
 * mapped table's own types, emptied by itself at COMMIT.
 *
 * Also the pieces of SQL that name both tables' columns, so that they are spelt in one place.
 */
#ifndef PGFORCE_INBOUND_STAGE_H
#define PGFORCE_INBOUND_STAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* Inside a transaction: makes the table if the session has none yet, and copies the records in. */
bool stage_records(struct pg *pg, const struct mapping *mapping, const json_t *records,
                   struct arena *arena, int64_t *refused, struct error *err);

/* Forgets the table after the mapping's columns changed. */
bool stage_drop(struct pg *pg, const struct mapping *mapping, struct error *err);

/* "schema"."table" and pg_temp."pgforce_stage_7". */
void stage_append_target(struct buf *sql, const struct mapping *mapping);
void stage_append_stage(struct buf *sql, const struct mapping *mapping);

/* The columns, each after prefix and separated by ", ": s."name", s."sfid". */
void stage_append_columns(struct buf *sql, const struct mapping *mapping, const char *prefix);

#endif
