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

#include "archive/hstore.h"
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

bool conflicts_store(struct pg *pg, const char *schema_name, const struct conflict *conflict,
                     struct error *err);

/* Entries up to that one, of the row, that wait: their value of the column is not sent any more. */
bool conflicts_overrule(struct pg *pg, const char *schema_name, const struct conflict *conflict,
                        struct error *err);

struct conflicts {
    struct arena *arena;    /* given: where the items and their texts live */
    int limit;              /* given: how many at most */
    struct conflict *items; /* the newest first */
    size_t count;
};

/* table_name NULL: all. */
bool conflicts_read(struct pg *pg, const char *schema_name, const char *table_name,
                    struct conflicts *conflicts, struct error *err);

/* A change that Salesforce refused: what it was to change, and from what. */
struct conflicts_failure {
    struct hstore_pair *old;
    size_t old_count;
    struct hstore_pair *values;
    size_t value_count;
};

struct conflicts_failures {
    struct arena *arena; /* given: where all lives */
    const char *schema_name;
    const char *table_name;
    const char *record_id;
    const char *before_log_id;
    struct conflicts_failure *items; /* the newest first, at most 100 */
    size_t count;
};

/*
 * The record's FAILED updates before an entry. The row kept their values, so the entry's `old`
 * names what never reached Salesforce: a value that Salesforce still has from before them is no
 * change of its own, and no conflict.
 */
bool conflicts_read_failures(struct pg *pg, struct conflicts_failures *failures, struct error *err);

#endif
