/*
 * Names in a statement that is being translated: which field a path means, which tables must be
 * joined to reach it, and which values the SQL has been given so far.
 */
#ifndef PGFORCE_SANDBOX_SOQL_NAMES_H
#define PGFORCE_SANDBOX_SOQL_NAMES_H

#include "base/buf.h"
#include "sandbox/soql_plan.h"

/* Where a reference may lead to several objects there is a join for each; a path like What.Name
 * goes through one that stands for all of them, its choices, and is itself in no SQL. */
struct soql_join {
    const char *alias;
    const struct object *object;
    const struct soql_join *from;  /* NULL for the object of FROM */
    const struct field *reference; /* the field of `from` that points here */
    int id_column;                 /* in the answer; -1 until asked for */
    struct soql_shape *shape;      /* where its members go; NULL until asked for */
    struct soql_join **choices;    /* NULL for an ordinary join */
    size_t choice_count;
    struct soql_join *next;
};

struct soql_compiler {
    const struct soql_context *context;
    struct arena *arena;
    const struct soql_query *query;
    struct soql_join *joins; /* the first is FROM */
    struct value *values;
    size_t value_count;
    size_t value_room;
    int or_depth;      /* how many ORs are around the condition */
    bool is_in_having; /* aggregates may be compared */
};

/* The field at the end of a path, and the join it is in; NULL after refusing. */
const struct field *soql_names_resolve(struct soql_compiler *compiler, const struct soql_path *path,
                                       struct soql_join **join);

/* The join from a reference to one of its objects: made when first asked for. */
struct soql_join *soql_names_join(struct soql_compiler *compiler, const struct soql_join *from,
                                  const struct field *reference, const struct object *object);

/* The field that a path through several kinds of parents means in one of them; NULL for none. */
const struct field *soql_names_common(const struct object *object, const char *name);

/* The SQL of a join's column. */
const char *soql_names_column(struct soql_compiler *compiler, const struct soql_join *join,
                              const char *name);

/* Appends ?n for the value. */
void soql_names_bind(struct soql_compiler *compiler, struct buf *sql, struct value value);

#endif
