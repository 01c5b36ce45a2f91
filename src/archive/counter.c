#include "archive/counter.h"

#include <inttypes.h>

#include "base/clock.h"

enum { STORE_MS = 1000 };

static const struct {
    const char *label;
    double seconds;
} buckets[COUNTER_BUCKETS] = {{"0.01", 0.01}, {"0.05", 0.05}, {"0.1", 0.1}, {"0.5", 0.5},
                              {"1", 1},       {"5", 5},       {"30", 30},   {"300", 300},
                              {"3600", 3600}, {"+Inf", 0}};

static const char *const operations[COUNTER_OPERATIONS] = {"insert", "update", "delete",
                                                           "truncate"};

const char *counter_bucket(int i)
{
    return buckets[i].label;
}

void counter_latency(struct counter_archive *counts, double seconds)
{
    int i = 0;

    while (i < COUNTER_BUCKETS - 1 && seconds > buckets[i].seconds)
        i++;
    counts->latencies[i]++;
    counts->latency_sum_s += seconds > 0 ? seconds : 0;
}

static void append_row(struct buf *rows, const char *name, const char *label, double value)
{
    if (value > 0)
        buf_printf(rows, "%s('%s', '%s', %.6f)", rows->size_bytes > 0 ? ", " : "", name, label,
                   value);
}

/* Names, labels and numbers are all ours. */
static void append_rows(struct buf *rows, const struct counter_archive *counts)
{
    for (int i = 0; i < COUNTER_OPERATIONS; i++)
        append_row(rows, "changes", operations[i], (double)counts->changes[i]);
    append_row(rows, "transactions", "", (double)counts->transactions);
    for (int i = 0; i < COUNTER_BUCKETS; i++)
        append_row(rows, "commit_to_archive", buckets[i].label, (double)counts->latencies[i]);
    append_row(rows, "commit_to_archive_sum", "", counts->latency_sum_s);
}

bool counter_store_archive(struct pg *pg, const char *schema_name,
                           const struct counter_archive *counts, bool *is_stored, struct error *err)
{
    struct buf rows BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};

    *is_stored = false;
    if (clock_monotonic_ms() - counts->stored_at_ms < STORE_MS)
        return true;
    buf_init(&rows, 16 * 1024);
    append_rows(&rows, counts);
    if (rows.size_bytes == 0)
        return true;
    buf_init(&sql, 32 * 1024);
    buf_printf(&sql,
               "insert into pgforce.counter as c (schema_name, name, label, value)"
               " select $1, v.name, v.label, v.value"
               " from (values %s) as v(name, label, value)"
               " on conflict (schema_name, name, label) do update"
               " set value = c.value + excluded.value",
               rows.data);
    *is_stored = pg_run(pg, sql.data, PG_PARAMS(schema_name), err);
    return *is_stored;
}

bool counter_stamp(struct pg *pg, const char *schema_name, const char *name, struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.counter (schema_name, name, label, value)"
                  " values ($1, $2, '', extract(epoch from clock_timestamp()))"
                  " on conflict (schema_name, name, label) do update set value = excluded.value",
                  PG_PARAMS(schema_name, name), err);
}

bool counter_add(struct pg *pg, const char *schema_name, const char *name, const char *label,
                 struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.counter as c (schema_name, name, label, value)"
                  " values ($1, $2, $3, 1)"
                  " on conflict (schema_name, name, label) do update set value = c.value + 1",
                  PG_PARAMS(schema_name, name, label), err);
}
