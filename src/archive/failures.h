/*
 * Entries that Salesforce refused: listing them, trying them again, giving them up.
 *
 * Trying again does what the connection's algorithm needs. Ordered: the row as it is now is
 * captured again behind all else and the failed entry becomes REQUEUED, because sent as it stands
 * it would bring back values of the past; a DELETE has no row any more and becomes NEW as it is.
 * Merged: the entry itself becomes NEW, for only the newest values are sent anyhow. What the
 * archive keeps is copied back. Each call is one transaction; nothing is printed, so the command
 * line and the HTTP API do the same. It asks Salesforce nothing.
 */
#ifndef PGFORCE_ARCHIVE_FAILURES_H
#define PGFORCE_ARCHIVE_FAILURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "pg/pg.h"

struct failure {
    int64_t log_id;
    const char *table_name;
    const char *action;
    int64_t record_id;
    const char *sfid;       /* NULL if unknown */
    const char *message;    /* "" if none was given */
    const char *created_at; /* ISO 8601, UTC */
    const char *processed_at;
    bool is_archived;
};

struct failures {
    struct arena *arena;   /* given: where the items and their texts live */
    int limit;             /* given: how many at most */
    struct failure *items; /* the oldest first */
    size_t count;
};

/* Which of the entries that are FAILED: one, those of one table, or (both unset) all. */
struct failures_choice {
    int64_t log_id;         /* 0: any */
    const char *table_name; /* NULL: any */
};

bool failures_read(struct pg *pg, const char *schema_name, const struct failures_choice *choice,
                   struct failures *failures, struct error *err);

struct failures_result {
    int64_t requeued; /* will be sent */
    int64_t rowless;  /* left FAILED: their row or mapping is gone, so there is nothing to send */
};

/* ERROR_RECORD when one entry was named and is not FAILED. */
bool failures_retry(struct pg *pg, const char *schema_name, const struct failures_choice *choice,
                    struct failures_result *result, struct error *err);

/* Sets them IGNORED; answers how many. ERROR_RECORD likewise. */
bool failures_ignore(struct pg *pg, const char *schema_name, const struct failures_choice *choice,
                     int64_t *count, struct error *err);

#endif
