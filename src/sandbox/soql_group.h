/*
 * Statements that answer AggregateResults: their columns, GROUP BY with its ROLLUP and CUBE,
 * HAVING.
 *
 * SQLite has no ROLLUP; such a statement becomes one SELECT for each set of grouped fields.
 */
#ifndef PGFORCE_SANDBOX_SOQL_GROUP_H
#define PGFORCE_SANDBOX_SOQL_GROUP_H

#include "sandbox/soql_shape.h"

/* GROUP BY, or an aggregate in SELECT. */
bool soql_group_is_grouped(const struct soql_query *query);

/* The columns of SELECT; false after refusing. */
bool soql_group_append_items(struct soql_builder *builder);

/* How many SELECTs the statement becomes; 0 after refusing. */
unsigned int soql_group_count_sets(struct soql_builder *builder);

/* The columns of one of them: those it does not group by are null. */
bool soql_group_write_columns(struct soql_builder *builder, unsigned int set, struct buf *sql);

/* " group by ... having ..." of one of them. */
bool soql_group_write_clauses(struct soql_builder *builder, unsigned int set, struct buf *sql);

/* What ORDER BY sorts by: an expression, or over several SELECTs a column's number. */
bool soql_group_write_order(struct soql_builder *builder, const struct soql_order *order,
                            struct buf *sql);

#endif
