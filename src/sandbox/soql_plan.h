/*
 * From a SOQL tree to SQL over the store's tables, and to the shape in which a row is answered.
 *
 * Every value goes in as a parameter. Parents become left joins, children a statement of their own
 * whose first parameter is the parent's id. Names are looked up here, so this is where
 * INVALID_FIELD and INVALID_TYPE come from.
 */
#ifndef PGFORCE_SANDBOX_SOQL_PLAN_H
#define PGFORCE_SANDBOX_SOQL_PLAN_H

#include "base/buf.h"
#include "sandbox/schema.h"
#include "sandbox/soql.h"
#include "sandbox/store.h"

/* How a row, or the part of it that is one record, becomes a JSON object. */
struct soql_shape {
    const struct object *object; /* NULL: AggregateResult, or polymorphic */
    int id_column;
    bool is_polymorphic; /* the object is the one the id's prefix names */
    struct soql_shape_item *items;
    struct soql_shape *other; /* taken when this one has no id: the next WHEN of a TYPEOF */
};

/* One member: a column, a compound, a parent, children, or an aggregate (field may be NULL). */
struct soql_shape_item {
    const char *name;
    const struct field *field;
    int column;
    struct soql_shape *parent;
    struct soql_plan *children;
    struct soql_shape *parts; /* of a compound */
    bool is_aggregate;
    struct soql_shape_item *next;
};

/* The same rows as a flat list: a column for each field, in the statement's order. */
struct soql_column {
    const char *name; /* Owner.Name */
    const struct field *field;
    int column;
    struct soql_column *next;
};

struct soql_plan {
    const struct object *object;
    const char *sql;
    struct value *values;
    size_t value_count;
    struct soql_shape *shape;
    struct soql_column *columns; /* without compounds and children */
    size_t piece_index;          /* of the first of two values that bound "_row"; 0 for none */
    bool is_count;
    bool is_aggregate;
    bool has_children;
    bool has_compound;
    bool has_offset;
    bool has_type_of;
    struct soql_plan *children; /* the plans of its child queries, in a list */
    struct soql_plan *next;
};

struct soql_context {
    const struct schema *schema;
    struct record_errors *errors; /* and the arena everything lives in */
    const char *version; /* of the API, for the addresses of blobs; NULL where none are shown */
    int64_t now_s;
    bool includes_deleted;
    bool is_in_pieces;   /* where order and limit allow, only rows between two numbers */
    bool is_shuffled;    /* and those in no good order */
    bool masks_secrets;  /* encrypted fields show stars */
    const char *user_id; /* who sees an object's own rows only, where the schema says so */
};

/* NULL after adding to the context's errors. */
struct soql_plan *soql_plan(const struct soql_context *context, const struct soql_query *query);

#endif
