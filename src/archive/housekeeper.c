#include "archive/housekeeper.h"
#include "archive/counter.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "pg/origin.h"
#include "pg/server_clock.h"

enum { ROUND_MS = 60 * 1000, STEADY_MS = 3600 * 1000 };

/* What an operator has settled by hand while it waited for its next try. */
static bool forget_deliveries(struct pg *pg, const char *schema_name, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "delete from pgforce.delivery d"
                   " where d.schema_name = $1"
                   " and d.state <> 'SENDING'"
                   " and not exists (select from ");
    pg_append_qualified(&sql, schema_name, "_trigger_log");
    buf_text(&sql, " l where l.id = d.log_id and l.state in ('NEW', 'PENDING'))");
    return pg_run(pg, sql.data, PG_PARAMS(schema_name), err);
}

/* What nobody waits for, and rows of which no TRUNCATE came. */
static bool forget_truncations(struct pg *pg, const struct retention *retention, struct error *err)
{
    const struct pg_number days = pg_number(retention->keep_days);

    return pg_run(pg,
                  "delete from pgforce.truncation t"
                  " using pgforce.mapping m"
                  " where m.id = t.mapping_id and m.schema_name = $1"
                  " and t.state not in ('STOPPED', 'WAITING')"
                  " and t.truncated_at < now() - make_interval(days => $2::integer)",
                  PG_PARAMS(retention->schema_name, days.text), err) &&
           pg_run(pg,
                  "delete from pgforce.truncated_row r"
                  " where r.schema_name = $1"
                  " and r.noted_at < now() - make_interval(days => $2::integer)"
                  " and not exists (select from pgforce.truncation t"
                  " where t.xid = r.xid and t.state = 'WAITING')",
                  PG_PARAMS(retention->schema_name, days.text), err);
}

/* Kept as long as the archive keeps the entry; longer while that waits: it would be told twice. */
static bool forget_conflicts(struct pg *pg, const struct retention *retention, struct error *err)
{
    const struct pg_number days = pg_number(retention->keep_days);
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "delete from pgforce.conflict c"
                   " where c.schema_name = $1"
                   " and c.detected_at < now() - make_interval(days => $2::integer)"
                   " and not exists (select from ");
    pg_append_qualified(&sql, retention->schema_name, "_trigger_log");
    buf_text(&sql, " l where l.id = c.log_id and l.state in ('NEW', 'PENDING'))");
    return pg_run(pg, sql.data, PG_PARAMS(retention->schema_name, days.text), err);
}

/* What cannot be taken back. */
static bool drop_old(struct pg *pg, const struct retention *retention, int64_t *dropped,
                     struct error *err)
{
    return forget_truncations(pg, retention, err) && forget_conflicts(pg, retention, err) &&
           retention_drop_days(pg, retention, dropped, err) &&
           counter_stamp(pg, retention->schema_name, "retention", err);
}

/* While it is not certain that it is so late, nothing is dropped for its age. */
static bool run_round(struct pg *pg, const struct retention *retention, struct server_clock *clock,
                      struct error *err)
{
    int64_t began_ms = clock_monotonic_ms();
    int64_t moved;
    int64_t dropped = 0;
    int64_t steady_ms;

    if (!server_clock_look(pg, clock, &steady_ms, err) ||
        !retention_make_days(pg, retention->schema_name, err) ||
        !forget_deliveries(pg, retention->schema_name, err) ||
        !retention_move(pg, retention, &moved, err) ||
        (steady_ms >= STEADY_MS && !drop_old(pg, retention, &dropped, err)))
        return false;
    if (steady_ms < ROUND_MS)
        log_warning("drops nothing that is old for an hour: the server's clock may have been set");
    if (moved > 0 || dropped > 0)
        log_info("archived settled entries", log_number("entries", moved),
                 log_number("days_dropped", dropped),
                 log_number("ms", clock_monotonic_ms() - began_ms));
    return true;
}

/* A lock that somebody has for the moment is no reason to end. */
static bool may_go_on(struct pg *pg, const struct error *err)
{
    return err->kind == ERROR_RETRY && PQstatus(pg_conn(pg)) == CONNECTION_OK;
}

/* A clock that has gone far since the last round may have been set meanwhile, or nobody was there:
 * both look alike. */
static bool begin_clock(struct pg *pg, const struct retention *retention,
                        struct server_clock *clock, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg,
                                               "select (value * 1000)::bigint from pgforce.counter"
                                               " where schema_name = $1 and name = 'retention'",
                                               PG_PARAMS(retention->schema_name), err);
    int64_t steady_ms;

    if (result == NULL || !server_clock_look(pg, clock, &steady_ms, err))
        return false;
    if (PQntuples(result) > 0)
        server_clock_doubt(clock, pg_field_int64(result, 0, 0), STEADY_MS);
    return true;
}

static bool run_until_stopped(struct pg *pg, const struct retention *retention, struct error *err)
{
    struct server_clock clock = {0};

    if (!begin_clock(pg, retention, &clock, err))
        return false;
    while (!wait_is_stopping()) {
        if (!run_round(pg, retention, &clock, err)) {
            if (!may_go_on(pg, err))
                return false;
            log_warning("cannot archive yet", log_text("reason", err->message));
            pg_rollback(pg);
        }
        wait_for(-1, 0, ROUND_MS);
    }
    return true;
}

bool housekeeper_run(const char *url, const struct retention *retention, struct error *err)
{
    struct pg *pg = pg_open(url, "pgforce housekeeper", err);
    /* Whoever waits behind our request for a lock must not wait long. */
    bool is_ok = pg != NULL && origin_take(pg, "housekeeper", retention->schema_name, err) &&
                 pg_script(pg, "set lock_timeout = '2s'", err) &&
                 run_until_stopped(pg, retention, err);

    pg_close(pg);
    return is_ok || wait_is_stopping();
}
