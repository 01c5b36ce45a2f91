/*
 * The ledger of conflicts: fields that were changed on both sides, which side won, and the value
 * that lost, which stands nowhere else.
 *
 * Both directions meet conflicts, each may meet the same one, and it is kept once. An entry of the
 * log whose value lost is overruled for that column: from then on it is neither sent nor taken into
 * account. All functions run in the caller's transaction, if one is open. It decides nothing.
 */
#ifndef PGFORCE_ARCHIVE_CONFLICTS_H
#define PGFORCE_ARCHIVE_CONFLICTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "pg/pg.h"

/* Texts are NULL for null; of base also when it is not known. */
struct conflict {
    int64_t id; /* given by the ledger */
    const char *object_name;
    const char *table_name;
    const char *record_id;
    const char *sfid;
    const char *column_name;
    const char *log_id; /* the entry that carries PostgreSQL's value */
    const char *winner; /* "postgres", "salesforce" */
    const char *policy;
    const char *base_value;
    const char *postgres_value;
    const char *salesforce_value;
    const char *detected_at; /* ISO 8601, UTC; given by the ledger */
};

/*
 * Keeps it, logs it and, where Salesforce won, overrules the row's entries up to that one that
 * wait: their value of the column is not sent any more.
 */
bool conflicts_settle(struct pg *pg, const char *schema_name, const struct conflict *conflict,
                      struct error *err);

/* SQL: the columns of an entry whose value lost already, of a query in which `entry` is its id and
 * `schema` its schema's name. */
#define CONFLICTS_OVERRULED(entry, schema)                                                         \
    "coalesce((select string_agg('\"' || o.column_name || '\"', '' order by o.column_name)"        \
    " from pgforce.overruled o"                                                                    \
    " where o.schema_name = " schema " and o.log_id = " entry "), '')"

/* Whether the column is among those; overruled: what the above answered. */
bool conflicts_is_overruled(const char *overruled, const char *column);

struct conflicts {
    struct arena *arena;    /* given: where the items and their texts live */
    int limit;              /* given: how many at most */
    struct conflict *items; /* the newest first */
    size_t count;
};

/* table_name NULL: all. */
bool conflicts_read(struct pg *pg, const char *schema_name, const char *table_name,
                    struct conflicts *conflicts, struct error *err);

/* What a column had before changes of ours that Salesforce refused, or has not been sent: a later
 * DELETE may have undone them. */
struct conflicts_refused {
    struct arena *arena; /* given: where all lives */
    const char *schema_name;
    const char *table_name;
    const char *record_id;
    const char *column_name;
    const char *before_log_id;
    const char **befores; /* answered: the newest first, at most 100; NULL for null */
    size_t count;
};

/* Of the record's updates before an entry that Salesforce has not taken, or not with this column,
 * those that carry the column (sync/merge.h, merge_is_left). */
bool conflicts_read_refused(struct pg *pg, struct conflicts_refused *refused, struct error *err);

/* columns: a JSON array of {"log_id", "column_name"}: what these entries are sent without, for a
 * later one carries it. To be stored before they are sent. */
bool conflicts_leave(struct pg *pg, const char *schema_name, const char *columns,
                     struct error *err);

#endif
