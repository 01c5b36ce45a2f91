#include "archive/pending.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    PIECE = 1000,        /* rows locked at once */
    NOTED_MAX = 100000,  /* rows kept in memory; beyond that the log is read */
    FIRST_PAUSE_MS = 50, /* before held rows are tried again */
    LONGEST_PAUSE_MS = 2000,
    WARN_MS = 60 * 1000, /* a table whose rows refuse it is told so often */
    SQL_MAX_BYTES = 256 * 1024,
};

struct ids {
    int32_t *items;
    size_t count;
    size_t room;
};

/* Of one table. */
struct noted {
    struct noted *next;
    char *table_name;
    struct ids fresh;
    struct ids held;  /* somebody else had their locks */
    int pause_ms;     /* 0: none was held at the last try */
    int64_t retry_ms; /* when the held ones are tried again */
    int64_t warned_ms;
};

struct pending {
    struct pg *pg;
    char *schema_name;
    struct noted *tables;
    size_t count; /* in all tables */
    bool is_reading_log;
    int64_t read_up_to; /* the last id of the log that was read */
    bool has_forgotten; /* so the log must be read again, from its beginning */
    int64_t reread_ms;  /* but not before this */
    bool is_replica;    /* we may keep users' triggers from firing */
    bool has_asked;
};

struct pending *pending_new(struct pg *pg, const char *schema_name)
{
    struct pending *pending = memory_alloc(sizeof(*pending));

    pending->pg = pg;
    pending->schema_name = memory_strdup(schema_name);
    pending->is_reading_log = true;
    return pending;
}

void pending_free(struct pending *pending)
{
    if (pending == NULL)
        return;
    while (pending->tables != NULL) {
        struct noted *next = pending->tables->next;

        free(pending->tables->table_name);
        free(pending->tables->fresh.items);
        free(pending->tables->held.items);
        free(pending->tables);
        pending->tables = next;
    }
    free(pending->schema_name);
    free(pending);
}

static struct noted *find_table(struct pending *pending, const char *table_name)
{
    struct noted *noted = pending->tables;

    while (noted != NULL && strcmp(noted->table_name, table_name) != 0)
        noted = noted->next;
    if (noted != NULL)
        return noted;
    noted = memory_alloc(sizeof(*noted));
    noted->table_name = memory_strdup(table_name);
    noted->next = pending->tables;
    pending->tables = noted;
    return noted;
}

static void push_id(struct ids *ids, int32_t id)
{
    if (ids->count == ids->room) {
        ids->room = ids->room > 0 ? ids->room * 2 : 64;
        ids->items = memory_realloc(ids->items, ids->room * sizeof(*ids->items));
    }
    ids->items[ids->count++] = id;
}

void pending_add(struct pending *pending, const char *table_name, const char *record_id)
{
    if (record_id == NULL)
        return;
    if (pending->count >= NOTED_MAX) {
        pending->has_forgotten = true;
        pending->reread_ms = clock_monotonic_ms() + LONGEST_PAUSE_MS;
        return;
    }
    push_id(&find_table(pending, table_name)->fresh, (int32_t)strtol(record_id, NULL, 10));
    pending->count++;
}

int64_t pending_due_ms(const struct pending *pending)
{
    int64_t due_ms = pending->has_forgotten ? pending->reread_ms : -1;

    if (pending->is_reading_log)
        return 0;
    for (const struct noted *noted = pending->tables; noted != NULL; noted = noted->next) {
        if (noted->fresh.count > 0)
            return 0;
        if (noted->held.count > 0 && (due_ms < 0 || noted->retry_ms < due_ms))
            due_ms = noted->retry_ms;
    }
    return due_ms;
}

/* Whether a user's triggers can be kept from firing on what only we care about. */
static bool ask_for_replica(struct pending *pending, struct error *err)
{
    if (pending->has_asked)
        return true;
    PGresult *result PG_RESULT_AUTO =
        pg_query(pending->pg,
                 "select case when current_setting('server_version_num')::integer >= 150000"
                 " then has_parameter_privilege('session_replication_role', 'set')"
                 " else (select rolsuper from pg_roles where rolname = current_user) end",
                 PG_PARAMS(), err);
    if (result == NULL)
        return false;
    pending->is_replica = pg_field_bool(result, 0, 0);
    pending->has_asked = true;
    return true;
}

/* What the log has unsettled, piece by piece, when nothing else is left to be tried. */
static bool read_log(struct pending *pending, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    if (!pending->is_reading_log) {
        if (!pending->has_forgotten || clock_monotonic_ms() < pending->reread_ms)
            return true;
        pending->has_forgotten = false;
        pending->read_up_to = 0;
    }
    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select id, table_name, record_id from ");
    pg_append_qualified(&sql, pending->schema_name, "_trigger_log");
    buf_text(&sql, " where state in ('NEW', 'PENDING')"
                   " and action in ('INSERT', 'UPDATE')"
                   " and table_name is not null"
                   " and record_id is not null"
                   " and id > $1"
                   " order by id"
                   " limit $2");
    PGresult *result PG_RESULT_AUTO =
        pg_query(pending->pg, sql.data,
                 PG_PARAMS(pg_number(pending->read_up_to).text, pg_number(PIECE).text), err);
    if (result == NULL)
        return error_prefix(err, "reading the log");
    int count = PQntuples(result);
    for (int i = 0; i < count; i++)
        pending_add(pending, pg_field(result, i, 1), pg_field(result, i, 2));
    pending->is_reading_log = count == PIECE;
    if (count > 0)
        pending->read_up_to = pg_field_int64(result, count - 1, 0);
    return true;
}

struct piece {
    const char *table_name;
    const int32_t *ids;
    size_t count;
};

static void append_to_mark(struct buf *sql, const struct piece *piece)
{
    buf_text(sql, " where t.id = any('{");
    for (size_t i = 0; i < piece->count; i++)
        buf_printf(sql, "%s%d", i > 0 ? "," : "", (int)piece->ids[i]);
    buf_text(sql, "}'::integer[])"
                  " and (t._hc_lastop is distinct from 'PENDING'"
                  " or t._hc_err is not null)");
}

/*
 * Locks what has to be marked and is held by nobody. Rows of two columns: the id, and whether it is
 * ours now. The table's lock is not waited for either: somebody may be changing the table.
 */
static PGresult *lock_rows(struct pending *pending, const struct piece *piece, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf table BUF_AUTO = {0};

    buf_init(&table, 1024);
    pg_append_qualified(&table, pending->schema_name, piece->table_name);
    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql,
               "savepoint pgforce_pending;"
               "set local lock_timeout = '100ms';"
               "lock table %s in row exclusive mode nowait;"
               "with ours as materialized (select t.id from %s t",
               table.data, table.data);
    append_to_mark(&sql, piece);
    buf_printf(&sql,
               " for no key update skip locked)"
               " select t.id, ours.id is not null"
               " from %s t"
               " left join ours on ours.id = t.id",
               table.data);
    append_to_mark(&sql, piece);
    return pg_simple(pending->pg, sql.data, err);
}

/*
 * A second statement, so that its snapshot is younger than the locks. The log is asked row by row,
 * by a subquery that cannot become a join: that would read all that waits to be sent, however much.
 */
static bool write_rows(struct pending *pending, const char *table_name, const struct buf *ids,
                       struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf table BUF_AUTO = {0};
    struct buf log BUF_AUTO = {0};

    buf_init(&table, 1024);
    pg_append_qualified(&table, pending->schema_name, table_name);
    buf_init(&log, 1024);
    pg_append_qualified(&log, pending->schema_name, "_trigger_log");
    buf_init(&sql, SQL_MAX_BYTES);
    if (pending->is_replica)
        buf_text(&sql, "set local session_replication_role = replica;");
    buf_printf(&sql,
               "update %s t"
               " set _hc_lastop = 'PENDING', _hc_err = null"
               " where t.id = any('{%s}'::integer[])"
               " and (select true from %s l"
               " where l.record_id = t.id"
               " and l.state in ('NEW', 'PENDING')"
               " and l.action in ('INSERT', 'UPDATE')"
               " and l.table_name = ",
               table.data, ids->data, log.data);
    pg_append_literal(&sql, table_name);
    buf_text(&sql, " limit 1);");
    if (pending->is_replica)
        buf_text(&sql, "set local session_replication_role = origin;");
    return pg_script(pending->pg, sql.data, err);
}

static bool try_piece(struct pending *pending, const struct piece *piece, struct ids *held,
                      struct error *err)
{
    struct buf ours BUF_AUTO = {0};
    PGresult *result PG_RESULT_AUTO = lock_rows(pending, piece, err);

    if (result == NULL)
        return false;
    buf_init(&ours, SQL_MAX_BYTES);
    for (int i = 0; i < PQntuples(result); i++)
        if (pg_field_bool(result, i, 1))
            buf_printf(&ours, "%s%s", ours.size_bytes > 0 ? "," : "", pg_field(result, i, 0));
    if (ours.size_bytes > 0 && !write_rows(pending, piece->table_name, &ours, err))
        return false;
    for (int i = 0; i < PQntuples(result); i++)
        if (!pg_field_bool(result, i, 1))
            push_id(held, (int32_t)pg_field_int64(result, i, 0));
    return true;
}

static void warn(struct noted *noted, const struct piece *piece, const struct error *why)
{
    int64_t now_ms = clock_monotonic_ms();

    if (noted->warned_ms != 0 && now_ms - noted->warned_ms < WARN_MS)
        return;
    noted->warned_ms = now_ms;
    log_warning("cannot mark rows as PENDING", log_text("table", piece->table_name),
                log_number("id", piece->ids[0]), log_text("reason", why->message));
}

/*
 * What is locked or cancelled waits. A piece whose row refuses is tried row by row, so that the
 * refusal is that row's alone. All else (the table is gone) will not mend by itself.
 */
static bool mark_piece(struct pending *pending, struct noted *noted, const struct piece *piece,
                       struct error *err)
{
    struct error why = {0};

    if (try_piece(pending, piece, &noted->held, &why))
        return true;
    if (!pg_script(pending->pg, "rollback to savepoint pgforce_pending", err))
        return false;
    for (size_t i = 0; why.kind == ERROR_RETRY && i < piece->count; i++)
        push_id(&noted->held, piece->ids[i]);
    if (why.kind == ERROR_RETRY)
        return true;
    if (why.kind != ERROR_RECORD || piece->count == 1) {
        warn(noted, piece, &why);
        return true;
    }
    for (size_t i = 0; i < piece->count; i++) {
        struct piece single = {piece->table_name, &piece->ids[i], 1};

        if (!mark_piece(pending, noted, &single, err))
            return false;
    }
    return true;
}

static int compare_ids(const void *left, const void *right)
{
    int32_t a = *(const int32_t *)left;
    int32_t b = *(const int32_t *)right;

    return (a > b) - (a < b);
}

/* Sorted, each once. */
static size_t unify(int32_t *ids, size_t count)
{
    size_t kept = 0;

    qsort(ids, count, sizeof(*ids), compare_ids);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    return kept;
}

static void retry_held(struct noted *noted)
{
    for (size_t i = 0; i < noted->held.count; i++)
        push_id(&noted->fresh, noted->held.items[i]);
    noted->held.count = 0;
}

/* A held row's pause grows while any of the table is held. */
static void set_pause(struct noted *noted, bool is_retry)
{
    if (noted->held.count == 0) {
        noted->pause_ms = 0;
        return;
    }
    if (!is_retry && noted->pause_ms > 0)
        return;
    noted->pause_ms = noted->pause_ms == 0 ? FIRST_PAUSE_MS : noted->pause_ms * 2;
    if (noted->pause_ms > LONGEST_PAUSE_MS)
        noted->pause_ms = LONGEST_PAUSE_MS;
    noted->retry_ms = clock_monotonic_ms() + noted->pause_ms;
}

static bool mark_table(struct pending *pending, struct noted *noted, struct error *err)
{
    bool is_retry = noted->held.count > 0 && clock_monotonic_ms() >= noted->retry_ms;

    if (is_retry)
        retry_held(noted);
    if (noted->fresh.count == 0)
        return true;
    size_t taken = noted->fresh.count < PIECE ? noted->fresh.count : PIECE;
    size_t held_before = noted->held.count;
    int32_t ids[PIECE];

    noted->fresh.count -= taken;
    memcpy(ids, &noted->fresh.items[noted->fresh.count], taken * sizeof(*ids));
    struct piece piece = {noted->table_name, ids, unify(ids, taken)};
    if (!mark_piece(pending, noted, &piece, err))
        return error_prefix(err, "marking rows of %s as PENDING", noted->table_name);
    pending->count -= taken;
    pending->count += noted->held.count - held_before;
    set_pause(noted, is_retry);
    return true;
}

static bool has_fresh(const struct pending *pending)
{
    for (const struct noted *noted = pending->tables; noted != NULL; noted = noted->next)
        if (noted->fresh.count > 0)
            return true;
    return false;
}

bool pending_mark(struct pending *pending, struct error *err)
{
    if (!ask_for_replica(pending, err) || (!has_fresh(pending) && !read_log(pending, err)))
        return false;
    for (struct noted *noted = pending->tables; noted != NULL; noted = noted->next)
        if (!mark_table(pending, noted, err))
            return false;
    return true;
}
