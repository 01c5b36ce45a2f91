/*
 * Counters that a role alone knows, stored for the metrics in transactions that it makes anyway.
 *
 * A count is kept in memory and added at most once a second, so a crash forgets a second of it.
 * They are for looking at: nothing is ever decided by them.
 */
#ifndef PGFORCE_ARCHIVE_COUNTER_H
#define PGFORCE_ARCHIVE_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/pg.h"

/* Upper bounds of the histogram's buckets, in seconds, as their labels; the last is "+Inf". */
const char *counter_bucket(int i);
enum { COUNTER_BUCKETS = 10, COUNTER_OPERATIONS = 4 };

/* What the archive counts. Zeroed means nothing yet. */
struct counter_archive {
    int64_t changes[COUNTER_OPERATIONS]; /* insert, update, delete, truncate */
    int64_t transactions;
    int64_t latencies[COUNTER_BUCKETS]; /* commit to archive; each counts in its bucket only */
    double latency_sum_s;
    int64_t stored_at_ms;
};

enum counter_operation { COUNTER_INSERT, COUNTER_UPDATE, COUNTER_DELETE, COUNTER_TRUNCATE };

void counter_latency(struct counter_archive *counts, double seconds);

/* In the caller's transaction, if a second has gone by and there is something: then *is_stored, and
 * the caller clears the counts once that is committed. */
bool counter_store_archive(struct pg *pg, const char *schema_name,
                           const struct counter_archive *counts, bool *is_stored,
                           struct error *err);

/* That something was done just now, as seconds since 1970. */
bool counter_stamp(struct pg *pg, const char *schema_name, const char *name, struct error *err);

/* One more of something that is rare. */
bool counter_add(struct pg *pg, const char *schema_name, const char *name, const char *label,
                 struct error *err);

#endif
