/*
 * What the session knows of each table it has met: whether its rows may be sent, how its columns
 * are written, and what the client was told of it.
 *
 * Logical decoding sees every table whatever SELECT grants say, so this asks: a table's rows are
 * sent only if the role has USAGE on the schema and SELECT on the table, or on the columns that are
 * sent, and row security does not apply to it. What counts is the table under whose name the row
 * goes. What is known is marked stale when the server says that a table, a schema, a type or a role
 * changed, and made anew at the next row.
 */
#ifndef PGFORCE_PLUGIN_TABLES_H
#define PGFORCE_PLUGIN_TABLES_H

#include "postgres.h"

#include "encode.h"
#include "lib/ilist.h"
#include "options.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

struct table {
    Oid id; /* the key of the hash table: must be first */
    uint32 generation;
    uint32 build; /* another each time it is made anew */
    bool is_built;
    bool is_stale;
    bool is_told;     /* the client knows it as it is now */
    bool is_taken;    /* the options let it through */
    bool is_withheld; /* the role may not read it */
    bool is_old_whole;
    MemoryContext context; /* holds columns and relation */
    struct column_writer *columns;
    int column_count;
    Oid root;          /* where rows go under its topmost ancestor's name; else invalid */
    uint32 root_build; /* of the ancestor that root_columns are for; 0: none yet */
    struct column_writer *root_columns; /* the ancestor's, as they lie in our rows */
    char *relation;                     /* the packed Relation */
    Size relation_bytes;
    char *announced; /* the packed Relation that the client has, or NULL */
    Size announced_bytes;
};

struct tables {
    slist_node node; /* in the list of those that invalidation marks */
    MemoryContext context;
    MemoryContextCallback forget;
    HTAB *by_id;
    struct table *last; /* most rows ask for it again */
    long drop_stale_at; /* when there are so many tables */
    uint32 generation;
    uint32 builds; /* of all tables */
    const struct options *options;
    struct encoder *encoder;
};

/* Lives in the current memory context and ends with it. */
struct tables *tables_new(const struct options *options, struct encoder *encoder);

/* How a table's rows are sent. */
struct route {
    struct table *shown; /* under this one's name, where its privileges and the options let it */
    struct column_writer
        *columns; /* the shown table's, in its order; shown->column_count of them */
    bool is_old_whole;
};

/* What is known of the table, up to date; valid until the next call of this or of tables_route. */
struct table *tables_get(struct tables *tables, Relation relation);

/* A partition's rows may go under its topmost ancestor's name; all others under their own. */
struct route tables_route(struct tables *tables, Relation relation);

/* Remembers that the client was told. */
void table_announced(struct tables *tables, struct table *table);

#endif
