/*
 * A statement's columns and the shape of its rows, while both grow: which column holds what, and
 * where in the answer it goes. For soql_plan.c and soql_group.c.
 */
#ifndef PGFORCE_SANDBOX_SOQL_SHAPE_H
#define PGFORCE_SANDBOX_SOQL_SHAPE_H

#include "sandbox/soql_terms.h"

struct soql_builder {
    struct soql_compiler compiler;
    struct buf columns;
    int column_count;
    struct soql_plan *plan;
};

/* Answers the number of the new column. */
int soql_shape_add_column(struct soql_builder *builder, const char *sql);

void soql_shape_append(struct soql_builder *builder, struct soql_shape *shape,
                       const struct soql_shape_item *item);

/* The shape a join's members go into: made, with those above it, when first asked for. */
struct soql_shape *soql_shape_of(struct soql_builder *builder, struct soql_join *join);

/* A field of SELECT. name: as it is shown, NULL for its own. False when that is there already. */
bool soql_shape_append_field(struct soql_builder *builder, struct soql_join *join,
                             const struct field *field, const char *name);

/* The same for what is computed from a field. */
bool soql_shape_append_term(struct soql_builder *builder, const struct soql_term *term,
                            const char *name);

/* "duplicate field selected: Id"; always answers false. */
bool soql_shape_refuse_twice(struct soql_builder *builder, const char *name);

/* FIELDS(ALL | STANDARD | CUSTOM) */
bool soql_shape_append_fields(struct soql_builder *builder, const struct soql_item *item);

/* TYPEOF What WHEN ... END */
bool soql_shape_append_type_of(struct soql_builder *builder, const struct soql_item *item);

#endif
