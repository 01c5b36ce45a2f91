/*
 * The rows of a Bulk query's page as rows for the stage, one at a time as they arrive.
 *
 * Columns are found by the names in the page's header. A row with a value that its column cannot
 * hold is refused and the others go on. It keeps no row.
 */
#ifndef PGFORCE_INBOUND_BULK_ROWS_H
#define PGFORCE_INBOUND_BULK_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "inbound/stage.h"
#include "mapping/mapping.h"
#include "sf/bulk_query.h"

struct bulk_rows {
    const struct mapping *mapping;
    struct sf_bulk_result *result;
    struct arena *arena; /* of one row */
    struct value *values;
    size_t *cells;       /* for each field, the column that holds it */
    size_t deleted_cell; /* the column of IsDeleted; SIZE_MAX: none */
    size_t column_count; /* that every row must have */
    int64_t given;       /* rows of the page */
};

void bulk_rows_init(struct bulk_rows *rows, const struct mapping *mapping,
                    struct sf_bulk_result *result);
void bulk_rows_done(struct bulk_rows *rows);

/* A page begins. ERROR_RETRY when it lacks a column. */
bool bulk_rows_begin(struct bulk_rows *rows, const struct sf_csv_row *header, struct error *err);

/* The give of an apply_source whose context is a struct bulk_rows: the rest of the page. */
bool bulk_rows_give(void *context, struct stage *stage, struct error *err);

#endif
