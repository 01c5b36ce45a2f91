/*
 * From a row of an uploaded CSV to the fields of a record, as a client would send them in JSON.
 *
 * An empty cell says nothing, #N/A says null, and a column like Account.External_Id__c (or
 * User:Owner.Username, where the field may refer to several objects) names a parent. Source: Bulk
 * API 2.0 Developer Guide, "Prepare CSV Files".
 */
#ifndef PGFORCE_SANDBOX_BULK_ROW_H
#define PGFORCE_SANDBOX_BULK_ROW_H

#include <jansson.h>

#include "base/arena.h"
#include "sandbox/csv.h"
#include "sandbox/schema.h"

struct bulk_column {
    const struct field *field;
    const char *relationship; /* of a parent named by a key of its own; else NULL */
    const char *type;         /* the parent's object */
    const char *key;
};

/* What a header's cell means in rows of the object; false when there is no such field. */
bool bulk_row_find_column(const struct schema *schema, const struct object *object,
                          const char *name, struct bulk_column *column);

/* The record of a row, or NULL when a cell is not UTF-8. Cells that are missing are empty. */
json_t *bulk_row_read(const struct bulk_column *columns, size_t count, const struct csv_row *row);

/* The row's cell under that field; NULL when there is none, or it is empty. */
const char *bulk_row_cell(const struct bulk_column *columns, size_t count,
                          const struct csv_row *row, const struct field *field);

#endif
