#include "archive/retention.h"

#include <stdio.h>
#include <string.h>

#include "archive/unsettled.h"
#include "base/log.h"
#include "base/wait.h"

#define LOCK_NOT_AVAILABLE "55P03"

enum {
    DAYS_AHEAD = 7,
    PIECE = 2000, /* entries moved in one transaction */
    SQL_MAX_BYTES = 256 * 1024,
};

/* Also the archive's columns: created_at is told apart, for it chooses the day. */
#define COLUMNS_BEFORE "id, txid"
#define COLUMNS_AFTER                                                                              \
    "updated_at, processed_at, processed_tx, state, action, table_name, record_id, sfid, old,"     \
    " \"values\", sf_result, sf_message, commit_lsn, seq, commit_time, origin"

/* Below it the day's date follows: 20261121. A schema has at most 40 bytes, so this fits a name. */
#define DAY_FORMAT "YYYYMMDD"

static void append_prefix(struct buf *name, const char *schema_name)
{
    buf_printf(name, "%s_archive_", schema_name);
}

static void append_day(struct buf *sql, const char *schema_name, const char *day)
{
    struct buf name BUF_AUTO = {0};

    buf_init(&name, 1024);
    append_prefix(&name, schema_name);
    buf_text(&name, day);
    pg_append_qualified(sql, "pgforce", name.data);
}

/* An empty table is attached at once; the parent's lock keeps neither readers nor writers out. */
static bool make_day(struct pg *pg, const char *schema_name, const char *day, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf table BUF_AUTO = {0};
    struct buf archive BUF_AUTO = {0};

    buf_init(&table, 1024);
    append_day(&table, schema_name, day);
    buf_init(&archive, 1024);
    pg_append_qualified(&archive, schema_name, "_trigger_log_archive");
    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql,
               "create table %s (like %s including defaults including constraints);"
               "alter table %s attach partition %s for values from ('%s 00:00+00')",
               table.data, archive.data, archive.data, table.data, day);
    buf_printf(&sql, " to ('%s 00:00+00'::timestamptz + interval '1 day')", day);
    return pg_script(pg, sql.data, err) ||
           error_prefix(err, "making the day %s of the archive", day);
}

/* Of the days that the query names (as text of DAY_FORMAT), those that have no table yet. */
static bool make_missing(struct pg *pg, const char *schema_name, const char *days,
                         struct pg_params params, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf prefix BUF_AUTO = {0};

    buf_init(&prefix, 1024);
    append_prefix(&prefix, schema_name);
    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql,
               "select day from (%s) as wanted(day)"
               " where not exists (select from pg_class c"
               " join pg_namespace n on n.oid = c.relnamespace"
               " where n.nspname = 'pgforce' and c.relname = ",
               days);
    pg_append_literal(&sql, prefix.data);
    buf_text(&sql, " || day)");
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, params, err);
    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result); i++)
        if (!make_day(pg, schema_name, pg_field(result, i, 0), err))
            return false;
    return true;
}

bool retention_make_days(struct pg *pg, const char *schema_name, struct error *err)
{
    return make_missing(pg, schema_name,
                        "select to_char((now() at time zone 'UTC')::date + n, '" DAY_FORMAT "')"
                        " from generate_series(-1, $1::integer) n",
                        PG_PARAMS(pg_number(DAYS_AHEAD).text), err);
}

bool retention_make_days_of(struct pg *pg, const char *schema_name, const char *table,
                            struct error *err)
{
    struct buf days BUF_AUTO = {0};

    buf_init(&days, SQL_MAX_BYTES);
    buf_printf(&days,
               "select distinct to_char(created_at at time zone 'UTC', '" DAY_FORMAT "') from %s",
               table);
    return make_missing(pg, schema_name, days.data, PG_PARAMS(), err);
}

/* Where an entry goes. An impossible time (a row made by hand may have any) is the time of moving.
 */
#define ARCHIVED_AT                                                                                \
    "case when e.created_at > now() - interval '1000 days' and e.created_at <= now()"              \
    " then e.created_at else now() end"

/*
 * Settled for $1 seconds, with nothing on its way and, where it made the record, with nothing that
 * still needs to know what became of it.
 */
static void append_is_due(struct buf *sql, const struct retention *retention)
{
    buf_text(sql, "e.state in ('IGNORE', 'READONLY', 'SUCCESS', 'MERGED', 'IGNORED', 'FAILED',"
                  " 'REQUEUED')"
                  " and coalesce(e.processed_at, e.updated_at, e.created_at, '-infinity')"
                  " <= now() - make_interval(secs => $1::double precision)"
                  " and not exists (select from pgforce.delivery d"
                  " where d.log_id = e.id and d.schema_name = ");
    pg_append_literal(sql, retention->schema_name);
    buf_text(sql, ") and not (e.action = 'INSERT' and exists (select from ");
    pg_append_qualified(sql, retention->schema_name, "_trigger_log");
    buf_text(sql, " l"
                  " where l.table_name = e.table_name"
                  " and l.record_id = e.record_id"
                  " and l.id > e.id"
                  " and " UNSETTLED_UNSENT " offset 0))");
}

/* A piece of what is due: where it was found, and what it is. */
struct due {
    const char *found_by; /* a condition on e; it may use $2 */
    struct buf ids;
    struct buf days;
    char up_to[64]; /* the last created_at of the pieces before, from which the search goes on */
    int count;
};

static bool find_due(struct pg *pg, const struct retention *retention, struct due *due,
                     struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select count(*), array_agg(id), array_agg(distinct day), max(created_at)"
                   " from (select e.id, e.created_at,"
                   " to_char(" ARCHIVED_AT " at time zone 'UTC', '" DAY_FORMAT "') as day"
                   " from ");
    pg_append_qualified(&sql, retention->schema_name, "_trigger_log");
    buf_printf(&sql, " e where %s and ", due->found_by);
    append_is_due(&sql, retention);
    buf_text(&sql, " order by e.created_at limit $3) as due");
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg, sql.data,
        PG_PARAMS(pg_number(retention->settled_s).text, due->up_to, pg_number(PIECE).text), err);
    if (result == NULL)
        return error_prefix(err, "looking for entries to be archived");
    due->count = (int)pg_field_int64(result, 0, 0);
    buf_clear(&due->ids);
    buf_clear(&due->days);
    if (due->count == 0)
        return true;
    buf_text(&due->ids, pg_field(result, 0, 1));
    buf_text(&due->days, pg_field(result, 0, 2));
    if (pg_field(result, 0, 3) != NULL)
        snprintf(due->up_to, sizeof(due->up_to), "%s", pg_field(result, 0, 3));
    return true;
}

/* The conditions are asked again under the entries' locks: an operator may have set one to NEW. */
static bool move_due(struct pg *pg, const struct retention *retention, const struct due *due,
                     int64_t *moved, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf log BUF_AUTO = {0};

    buf_init(&log, 1024);
    pg_append_qualified(&log, retention->schema_name, "_trigger_log");
    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql, "with due as (select e.id from %s e where e.id = any($2::integer[]) and ",
               log.data);
    append_is_due(&sql, retention);
    buf_printf(&sql,
               " for update of e skip locked),"
               " e as (delete from %s l using due where l.id = due.id returning l.*),"
               " f as (delete from pgforce.left_out o using due"
               " where o.log_id = due.id and o.schema_name = ",
               log.data);
    pg_append_literal(&sql, retention->schema_name);
    buf_text(&sql, ") insert into ");
    pg_append_qualified(&sql, retention->schema_name, "_trigger_log_archive");
    buf_text(&sql, " (" COLUMNS_BEFORE ", created_at, " COLUMNS_AFTER ")"
                   " select " COLUMNS_BEFORE ", " ARCHIVED_AT ", " COLUMNS_AFTER " from e");
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, sql.data, PG_PARAMS(pg_number(retention->settled_s).text, due->ids.data), err);
    if (result == NULL)
        return error_prefix(err, "moving entries to the archive");
    *moved += pg_affected(result);
    return true;
}

/* Until nothing is left that can be moved: others may hold the rest. */
static bool move_found(struct pg *pg, const struct retention *retention, struct due *due,
                       int64_t *moved, struct error *err)
{
    for (int64_t before = -1; before != *moved && !wait_is_stopping();) {
        before = *moved;
        if (!find_due(pg, retention, due, err))
            return false;
        if (due->count == 0)
            return true;
        if (!make_missing(pg, retention->schema_name, "select unnest($1::text[])",
                          PG_PARAMS(due->days.data), err) ||
            !move_due(pg, retention, due, moved, err))
            return false;
    }
    return true;
}

bool retention_move(struct pg *pg, const struct retention *retention, int64_t *moved,
                    struct error *err)
{
    /* An index on created_at serves both, in its order. Rows made by hand may have none. */
    static const char *const found_by[] = {
        "e.created_at >= $2::timestamptz"
        " and e.created_at <= now() - make_interval(secs => $1::double precision)",
        "e.created_at is null and $2::text is not null",
    };

    *moved = 0;
    for (size_t i = 0; i < sizeof(found_by) / sizeof(found_by[0]); i++) {
        struct due due = {.found_by = found_by[i], .up_to = "-infinity"};

        buf_init(&due.ids, SQL_MAX_BYTES);
        buf_init(&due.days, SQL_MAX_BYTES);
        bool is_ok = move_found(pg, retention, &due, moved, err);
        buf_done(&due.ids);
        buf_done(&due.days);
        if (!is_ok)
            return false;
    }
    return true;
}

/* Detaching is done by the server in two steps; a process that ended between them left the second.
 */
static bool detach(struct pg *pg, const struct retention *retention, const char *day, bool is_begun,
                   struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "alter table ");
    pg_append_qualified(&sql, retention->schema_name, "_trigger_log_archive");
    buf_text(&sql, " detach partition ");
    append_day(&sql, retention->schema_name, day);
    buf_text(&sql, is_begun ? " finalize" : " concurrently");
    return pg_run(pg, sql.data, PG_PARAMS(), err);
}

static bool drop(struct pg *pg, const struct retention *retention, const char *day,
                 struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "drop table ");
    append_day(&sql, retention->schema_name, day);
    return pg_run(pg, sql.data, PG_PARAMS(), err);
}

/* An entry that was created long ago may have been settled lately. */
static bool is_over(struct pg *pg, const struct retention *retention, const char *day,
                    bool *is_day_over, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select not exists (select from ");
    append_day(&sql, retention->schema_name, day);
    buf_text(&sql, " where coalesce(processed_at, updated_at, created_at)"
                   " > now() - make_interval(days => $1::integer))");
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, sql.data, PG_PARAMS(pg_number(retention->keep_days).text), err);
    if (result == NULL)
        return false;
    *is_day_over = pg_field_bool(result, 0, 0);
    return true;
}

/* A day that is too old; it may have been taken off already, wholly or by half. */
struct old_day {
    const char *name;
    const char *attachment; /* "attached", "detaching" or "detached" */
};

static bool drop_day(struct pg *pg, const struct retention *retention, const struct old_day *day,
                     int64_t *dropped, struct error *err)
{
    bool is_attached = strcmp(day->attachment, "attached") == 0;
    bool is_begun = strcmp(day->attachment, "detaching") == 0;
    bool is_day_over = true;

    if (is_attached && !is_over(pg, retention, day->name, &is_day_over, err))
        return false;
    if (!is_day_over)
        return true;
    if ((is_attached || is_begun) && !detach(pg, retention, day->name, is_begun, err))
        return false;
    if (!drop(pg, retention, day->name, err))
        return false;
    (*dropped)++;
    return true;
}

static PGresult *find_old_days(struct pg *pg, const struct retention *retention, struct error *err)
{
    struct buf prefix BUF_AUTO = {0};

    buf_init(&prefix, 1024);
    append_prefix(&prefix, retention->schema_name);
    return pg_query(pg,
                    "select day, case when i.inhrelid is null then 'detached'"
                    " when i.inhdetachpending then 'detaching' else 'attached' end"
                    " from (select c.oid, substr(c.relname, length($1) + 1) as day"
                    " from pg_class c"
                    " join pg_namespace n on n.oid = c.relnamespace"
                    " where n.nspname = 'pgforce'"
                    " and c.relkind = 'r'"
                    " and starts_with(c.relname, $1)) as days"
                    " left join pg_inherits i on i.inhrelid = days.oid"
                    " where day ~ '^[0-9]{8}$'"
                    " and day < to_char(now() at time zone 'UTC'"
                    " - make_interval(days => $2::integer), '" DAY_FORMAT "')"
                    " order by day",
                    PG_PARAMS(prefix.data, pg_number(retention->keep_days).text), err);
}

bool retention_drop_days(struct pg *pg, const struct retention *retention, int64_t *dropped,
                         struct error *err)
{
    *dropped = 0;
    PGresult *days PG_RESULT_AUTO = find_old_days(pg, retention, err);
    if (days == NULL)
        return false;
    for (int i = 0; i < PQntuples(days); i++) {
        struct old_day day = {pg_field(days, i, 0), pg_field(days, i, 1)};

        if (drop_day(pg, retention, &day, dropped, err))
            continue;
        if (strcmp(pg_sqlstate(pg), LOCK_NOT_AVAILABLE) != 0)
            return error_prefix(err, "dropping the day %s of the archive", day.name);
        log_info("a day of the archive is in use: it is dropped later", log_text("day", day.name));
    }
    return true;
}
