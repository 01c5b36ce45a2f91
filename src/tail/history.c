#include "tail/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive/hstore.h"
#include "archive/progress.h"
#include "base/arena.h"
#include "base/log.h"
#include "pg/origin.h"
#include "pg/pg.h"
#include "tail/past_rows.h"
#include "tail/stop.h"

enum { SQL_MAX_BYTES = 64 * 1024 };

/* An end of the range: a position or a time; neither is open. */
struct bound {
    lsn_t lsn;
    char *time; /* timestamptz as text */
};

struct history {
    struct pg *pg;
    char *url; /* NULL: libpq's environment */
    char *schema_name;
    const struct filter *filter;
    struct bound since;
    struct bound until;
    lsn_t from_lsn; /* what committed before it has been printed */
};

static bool read_time(struct pg *pg, const char *option, const char *text, char **time,
                      struct error *err)
{
    bool is_interval = text[0] == '-';
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg, is_interval ? "select (now() + $1::interval)::text" : "select $1::timestamptz::text",
        PG_PARAMS(text), err);

    if (result == NULL && err->kind == ERROR_RECORD)
        return error_set(err, ERROR_USAGE,
                         "%s \"%s\" is neither a time, nor an interval before now such as -10min,"
                         " nor an LSN",
                         option, text);
    if (result != NULL)
        *time = memory_strdup(PQgetvalue(result, 0, 0));
    return result != NULL;
}

static bool read_bound(struct pg *pg, const char *option, const char *text, struct bound *bound,
                       struct error *err)
{
    return text == NULL || lsn_parse(text, &bound->lsn) ||
           read_time(pg, option, text, &bound->time, err);
}

/* Both tables as one, and what a column list and conditions make of it. */
static void append_entries(struct buf *sql, const char *schema_name)
{
    static const char *const tables[] = {"_trigger_log", "_trigger_log_archive"};

    buf_text(sql, " from (");
    for (size_t i = 0; i < 2; i++) {
        buf_text(sql, i > 0 ? " union all " : "");
        buf_text(sql, "select id, txid, action, table_name, old, \"values\", commit_lsn, seq,"
                      " commit_time, origin from ");
        pg_append_identifier(sql, schema_name);
        buf_printf(sql, ".%s", tables[i]);
    }
    buf_text(sql, ") as entry where commit_lsn is not null");
}

/* Only when something has been purged is the beginning of the log an end of what it knows. */
static bool check_retention(struct history *history, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select commit_lsn,"
                   " to_char(commit_time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
                   " id > 1 and (coalesce($1::pg_lsn < commit_lsn, false)"
                   " or coalesce($2::timestamptz < commit_time, false)"
                   " or ($1 is null and $2 is null))");
    append_entries(&sql, history->schema_name);
    buf_text(&sql, " order by commit_lsn, seq limit 1");
    PGresult *result PG_RESULT_AUTO =
        pg_query(history->pg, sql.data,
                 PG_PARAMS(history->since.lsn != 0 ? lsn_format(history->since.lsn).text : NULL,
                           history->since.time),
                 err);
    if (result == NULL)
        return error_prefix(err, "reading the log of schema \"%s\"", history->schema_name);
    if (PQntuples(result) == 0) {
        log_warning("the log and its archive are empty", log_text("schema", history->schema_name));
        return true;
    }
    const char *first_lsn = pg_field(result, 0, 0);
    if (pg_field_bool(result, 0, 2))
        return error_set(err, ERROR_USAGE,
                         "what is older is no longer kept: the log and its archive begin at %s"
                         " (%s); give --since that or later",
                         PQgetvalue(result, 0, 1), first_lsn);
    log_info("reading the log: mapped tables only, within its retention",
             log_text("schema", history->schema_name),
             log_text("begins_at", PQgetvalue(result, 0, 1)), log_text("begins_lsn", first_lsn));
    return true;
}

static void append_escaped(struct buf *pattern, const char *name)
{
    for (; *name != '\0'; name++) {
        if (strchr("*.,\\", *name) != NULL)
            buf_char(pattern, '\\');
        buf_char(pattern, *name);
    }
}

static void append_pattern(struct buf *patterns, const char *schema, const char *table)
{
    if (patterns->size_bytes > 0)
        buf_char(patterns, ',');
    append_escaped(patterns, schema);
    buf_char(patterns, '.');
    append_escaped(patterns, table);
}

static bool fits_mapped(const char *pattern, const char *schema_name, const PGresult *mapped)
{
    for (int i = 0; i < PQntuples(mapped); i++)
        if (filter_fits(pattern, schema_name, PQgetvalue(mapped, i, 0)))
            return true;
    return false;
}

static bool refuse_unmapped(const struct filter *filter, const char *schema_name,
                            const PGresult *mapped, struct error *err)
{
    for (size_t i = 0; i < filter->tables.count; i++)
        if (!fits_mapped(filter->tables.items[i], schema_name, mapped))
            return error_set(err, ERROR_USAGE,
                             "%s fits no mapped table of schema \"%s\": --since and --until read"
                             " the log, which holds only those",
                             filter->tables.items[i], schema_name);
    return true;
}

/* What the log never holds: our own roles' writes. */
static bool exclude_own_origins(struct filter *filter, const char *schema_name, struct error *err)
{
    for (size_t i = 0; origin_role(i) != NULL; i++)
        if (!filter_add_origins(&filter->own_origins, origin_name(origin_role(i), schema_name).text,
                                err))
            return false;
    return true;
}

static bool narrow(struct history *history, struct filter *filter, struct error *err)
{
    struct buf patterns BUF_AUTO = {0};
    PGresult *result PG_RESULT_AUTO = pg_query(
        history->pg, "select table_name from pgforce.mapping where schema_name = $1 order by 1",
        PG_PARAMS(history->schema_name), err);

    if (result == NULL)
        return error_prefix(err, "reading the mappings");
    if (PQntuples(result) == 0)
        return error_set(err, ERROR_USAGE,
                         "no table is mapped in schema \"%s\": there is no log to read",
                         history->schema_name);
    if (!refuse_unmapped(filter, history->schema_name, result, err))
        return false;
    buf_init(&patterns, 1 << 20);
    for (int i = 0; i < PQntuples(result); i++)
        if (filter_takes_table(filter, history->schema_name, PQgetvalue(result, i, 0)))
            append_pattern(&patterns, history->schema_name, PQgetvalue(result, i, 0));
    if (patterns.size_bytes == 0)
        return error_set(err, ERROR_USAGE, "--exclude leaves no mapped table");
    filter_clear_tables(filter);
    if (filter->ops == 0)
        filter->ops = FILTER_INSERT | FILTER_UPDATE | FILTER_DELETE;
    return filter_add_tables(&filter->tables, patterns.data, err) &&
           exclude_own_origins(filter, history->schema_name, err);
}

/* Again, where the connection has been lost. */
static bool connect(struct history *history, struct error *err)
{
    if (history_is_connected(history))
        return true;
    pg_close(history->pg);
    history->pg = pg_open(history->url, "pgforce tail", err);
    return history->pg != NULL;
}

static bool prepare(struct history *history, const struct history_options *options,
                    struct filter *filter, struct error *err)
{
    return connect(history, err) &&
           read_bound(history->pg, "--since", options->since, &history->since, err) &&
           read_bound(history->pg, "--until", options->until, &history->until, err) &&
           narrow(history, filter, err) && check_retention(history, err);
}

struct history *history_open(const struct history_options *options, struct filter *filter,
                             struct error *err)
{
    struct history *history = memory_alloc(sizeof(*history));

    history->url = options->url != NULL ? memory_strdup(options->url) : NULL;
    history->schema_name = memory_strdup(options->schema_name);
    history->filter = filter;
    if (prepare(history, options, filter, err))
        return history;
    history_close(history);
    return NULL;
}

void history_close(struct history *history)
{
    if (history == NULL)
        return;
    pg_close(history->pg);
    free(history->url);
    free(history->schema_name);
    free(history->since.time);
    free(history->until.time);
    free(history);
}

bool history_is_connected(const struct history *history)
{
    return history->pg != NULL && PQstatus(pg_conn(history->pg)) == CONNECTION_OK;
}

bool history_wait(struct history *history, int timeout_ms, struct error *err)
{
    return connect(history, err) &&
           progress_barrier(history->pg, history->schema_name, timeout_ms, err);
}

void history_skip_to(struct history *history, lsn_t from_lsn)
{
    if (from_lsn > history->from_lsn)
        history->from_lsn = from_lsn;
}

static void append_bound(struct buf *sql, const char *column, const char *sign, const char *value)
{
    if (value == NULL)
        return;
    buf_printf(sql, " and %s %s ", column, sign);
    pg_append_literal(sql, value);
}

static void append_lsn_bound(struct buf *sql, const char *sign, lsn_t lsn)
{
    if (lsn != 0)
        append_bound(sql, "commit_lsn", sign, lsn_format(lsn).text);
}

/*
 * A cursor WITH HOLD: the server keeps the rows in a file of its own, so that neither our memory
 * nor an open transaction grows with them, however slowly they are read. Literals, because a
 * cursor's definition takes no parameters.
 */
static bool declare(struct history *history, lsn_t before_lsn, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "declare pgforce_history no scroll cursor with hold for"
                   " select commit_lsn, seq, txid,"
                   " (extract(epoch from commit_time) * 1000000)::bigint, origin, action,"
                   " table_name, old, \"values\"");
    append_entries(&sql, history->schema_name);
    append_lsn_bound(&sql, ">=", history->since.lsn);
    append_bound(&sql, "commit_time", ">=", history->since.time);
    append_lsn_bound(&sql, ">=", history->from_lsn);
    append_lsn_bound(&sql, "<", history->until.lsn);
    append_bound(&sql, "commit_time", "<=", history->until.time);
    append_lsn_bound(&sql, "<", before_lsn);
    buf_text(&sql, " order by commit_lsn, seq");
    return pg_script(history->pg, sql.data, err);
}

static bool is_wanted(const struct history *history, const struct event *event)
{
    static const enum filter_op ops[] = {
        [ROW_INSERT] = FILTER_INSERT, [ROW_UPDATE] = FILTER_UPDATE, [ROW_DELETE] = FILTER_DELETE};
    const struct relation *relation = event->row.relation;

    return filter_takes_op(history->filter, ops[event->row.op]) &&
           filter_takes_table(history->filter, relation->schema, relation->table);
}

/* A transaction that is open stays in rows; its end moves the place where reading would go on. */
static bool end_transaction(struct history *history, struct past_rows *rows, struct sink *sink,
                            struct error *err)
{
    struct event commit = {.kind = EVENT_COMMIT, .transaction = past_rows_transaction(rows)};

    if (commit.transaction == NULL)
        return true;
    if (!sink->write(sink, &commit, err))
        return false;
    history_skip_to(history, commit.transaction->end_lsn);
    past_rows_end_transaction(rows);
    return true;
}

static bool write_entry(struct history *history, struct past_rows *rows, struct sink *sink,
                        struct error *err)
{
    struct event event;

    if (past_rows_is_next_transaction(rows)) {
        if (!end_transaction(history, rows, sink, err))
            return false;
        event =
            (struct event){.kind = EVENT_BEGIN, .transaction = past_rows_begin_transaction(rows)};
        if (!sink->write(sink, &event, err))
            return false;
    }
    if (!past_rows_read(rows, &event, err))
        return false;
    if (!is_wanted(history, &event))
        return true;
    struct event relation = {.kind = EVENT_RELATION, .relation = event.row.relation};
    if (past_rows_is_news(rows) && !sink->write(sink, &relation, err))
        return false;
    return sink->write(sink, &event, err);
}

static bool print_entries(struct history *history, struct past_rows *rows, struct sink *sink,
                          struct error *err)
{
    for (;;) {
        bool has_row;

        if (!past_rows_next(rows, &has_row, err))
            return false;
        if (!has_row || (past_rows_is_next_transaction(rows) &&
                         (stop_is_asked() || (sink->is_done != NULL && sink->is_done(sink)))))
            return end_transaction(history, rows, sink, err);
        if (!write_entry(history, rows, sink, err))
            return false;
    }
}

bool history_print(struct history *history, lsn_t before_lsn, struct sink *sink, struct error *err)
{
    struct past_rows *rows = past_rows_new(history->pg, history->schema_name, "pgforce_history");
    struct error ignored = {0};
    bool is_ok = declare(history, before_lsn, err) && print_entries(history, rows, sink, err);

    past_rows_free(rows);
    pg_run(history->pg, "close pgforce_history", PG_PARAMS(), &ignored);
    return is_ok;
}
