/*
 * Moving a schema to another organisation: after a sandbox was refreshed every record may have
 * another id, and every id that is stored here is worthless.
 *
 * Rows keep their own id. Where the mapping has a unique identifier, the rows' sfid is cleared and
 * found anew by it while the table is reloaded in place; where it has none, nothing tells which row
 * is which record, and the table is emptied and loaded anew. Changes that wait are settled: those
 * of records that the old organisation knew are given up (IGNORED, and say so), new rows are sent
 * to the new one. The plan says all of it first.
 *
 * The roles must not run: the origins under which push and pull write are held while it is done.
 */
#ifndef PGFORCE_MAPPING_RELINK_H
#define PGFORCE_MAPPING_RELINK_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "pg/pg.h"

/* An array of {object_name, table_name, way ("match" or "reload"), upsert_field, rows, waiting,
 * given_up}. The caller owns it. */
bool relink_plan(struct pg *pg, const char *schema_name, json_t **plan, struct error *err);

struct relink_target {
    const char *database_url;
    const char *schema_name;
    const char *organization_id; /* the new one */
    const char *instance_url;
};

/* Does it, as one transaction. ERROR_CONFIG when a role runs. */
bool relink_run(const struct relink_target *target, struct error *err);

#endif
