/*
 * The staging table of one mapping, temporary and of our session: changes by COPY, in the mapped
 * table's own types, emptied by itself at COMMIT. A deletion is a row with its sfid alone and
 * _pgforce_deleted.
 *
 * Also the pieces of SQL that name both tables' columns, so that they are spelt in one place.
 */
#ifndef PGFORCE_INBOUND_STAGE_H
#define PGFORCE_INBOUND_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "inbound/changes.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* Inside a transaction: makes the table if the session has none yet, and copies the changes in. */
bool stage_changes(struct pg *pg, const struct mapping *mapping, const struct changes *changes,
                   struct error *err);

/* "schema"."table" and pg_temp."pgforce_stage_7". */
void stage_append_target(struct buf *sql, const struct mapping *mapping);
void stage_append_stage(struct buf *sql, const struct mapping *mapping);

/* The columns, each after prefix and separated by ", ": s."name", s."sfid". */
void stage_append_columns(struct buf *sql, const struct mapping *mapping, const char *prefix);

#endif
