/*
 * What the session knows of each table it has met: whether its rows may be sent, how its columns
 * are written, and what the client was told of it.
 *
 * Logical decoding sees every table whatever SELECT grants say, so this asks: a table's rows are
 * sent only if the role has USAGE on the schema and SELECT on the table, or on the columns that are
 * sent, and row security does not apply to it. What is known is marked stale when the server says
 * that a table, a schema, a type or a role changed, and made anew at the next row.
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
    bool is_stale;
    bool is_taken;    /* the options let it through */
    bool is_withheld; /* the role may not read it */
    bool is_old_whole;
    MemoryContext context; /* holds columns and relation */
    struct column_writer *columns;
    int column_count;
    char *relation; /* the packed Relation */
    Size relation_bytes;
    char *announced; /* the packed Relation that the client has, or NULL */
    Size announced_bytes;
};

struct tables {
    slist_node node; /* in the list of those that invalidation marks */
    MemoryContext context;
    MemoryContextCallback forget;
    HTAB *by_id;
    long drop_stale_at; /* when there are so many tables */
    uint32 generation;
    const struct options *options;
    struct encoder *encoder;
};

/* Lives in the current memory context and ends with it. */
struct tables *tables_new(const struct options *options, struct encoder *encoder);

/* What is known of the table, up to date; valid until the next call. */
struct table *tables_get(struct tables *tables, Relation relation);

/* Whether the client must be told of the table (again) before its next row. */
bool table_is_news(const struct table *table);

/* Remembers that the client was told. */
void table_announced(struct tables *tables, struct table *table);

#endif
