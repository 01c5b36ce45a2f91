/*
 * The definition of a mapped table: Heroku Connect's, name by name.
 *
 * Fields' columns come first, sorted by name, then sfid, id, _hc_lastop, _hc_err, as in live
 * schemas; columns added later come last. Everything runs in the caller's transaction. Secondary
 * indexes are a step of their own, so that an initial load can run before they exist.
 *
 * Sources: Heroku Dev Center, "Heroku Connect Database Tables"; dumps of live schemas (column
 * order, index names, sfid's collation, _hc_err text).
 */
#ifndef PGFORCE_MAPPING_SCHEMA_H
#define PGFORCE_MAPPING_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* The table with its primary key, and REPLICA IDENTITY FULL; no other index. */
/*
 * What is done about a TRUNCATE of the table, config.truncate_policy: "ignore", "fail" or "delete"
 * (ERROR_RECORD for another). Only for the last the table gets a trigger, which fires before a
 * TRUNCATE and notes what it holds.
 */
bool schema_follow_truncate(struct pg *pg, const struct mapping *mapping, struct error *err);

bool schema_create_table(struct pg *pg, const struct mapping *mapping, struct error *err);

/* All indexes that do not exist yet: sfid, the stamp, the upsert field, and the chosen ones. */
bool schema_create_indexes(struct pg *pg, const struct mapping *mapping, struct error *err);

bool schema_add_column(struct pg *pg, const struct mapping *mapping,
                       const struct mapping_field *field, struct error *err);

/* Only for changes that lose nothing (schema_is_wider). */
bool schema_widen_column(struct pg *pg, const struct mapping *mapping,
                         const struct mapping_field *field, struct error *err);

/* What depends on the column, a view say, makes it ERROR_CONFIG. */
bool schema_drop_column(struct pg *pg, const struct mapping *mapping,
                        const struct mapping_field *field, struct error *err);

/* By the name we would give it; one that is not there is no error. */
bool schema_drop_index(struct pg *pg, const struct mapping *mapping,
                       const struct mapping_index *index, struct error *err);

/* Whether every such table has the index, chosen or not: sfid, the stamp, the upsert field. */
bool schema_needs_index(const struct mapping *mapping, const struct mapping_index *index);

/* Whether its first load is over. */
bool schema_is_loaded(struct pg *pg, const struct mapping *mapping, bool *is_loaded,
                      struct error *err);

/* Whether a relation of any kind has this name. */
bool schema_has_relation(struct pg *pg, const char *schema_name, const char *name, bool *is_there,
                         struct error *err);

/* varchar(n) to a longer varchar or to text. */
bool schema_is_wider(const char *old_type, const char *new_type);

/* Whether it is text or varchar(n). */
bool schema_is_text(const char *column_type);

/* The statements themselves, for tests and for showing before doing. */
void schema_table_sql(const struct mapping *mapping, struct buf *sql);
void schema_index_sql(const struct mapping *mapping, struct buf *sql);

#endif
