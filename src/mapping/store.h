/*
 * The rows of pgforce.mapping and pgforce.mapping_field, written. Reading them is mapping.h's.
 *
 * In the caller's transaction. It decides nothing: what should be there is lifecycle.h's.
 */
#ifndef PGFORCE_MAPPING_STORE_H
#define PGFORCE_MAPPING_STORE_H

#include <stdbool.h>

#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* Stores the mapping without its fields, and sets its id. */
bool store_insert(struct pg *pg, struct mapping *mapping, struct error *err);

/* Its settings, config and whether it is an orphan; by its id. */
bool store_update(struct pg *pg, const struct mapping *mapping, struct error *err);

/* Behind those that are there. is_filled false: its values are not in the table yet. */
bool store_insert_field(struct pg *pg, int64_t mapping_id, const struct mapping_field *field,
                        bool is_filled, struct error *err);

/* By its column. */
bool store_update_field(struct pg *pg, int64_t mapping_id, const struct mapping_field *field,
                        struct error *err);

/* For the role that read all records: the columns it knows have their values. */
bool store_note_filled(struct pg *pg, const struct mapping *mapping, struct error *err);
bool store_delete_field(struct pg *pg, int64_t mapping_id, const char *column_name,
                        struct error *err);

#endif
