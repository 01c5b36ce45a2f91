#include "archive/pending.h"

#include <stdlib.h>
#include <string.h>

#include "archive/unsettled.h"
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
    int number;     /* tells its prepared statements from another table's */
    bool has_quiet; /* these are prepared */
    bool is_prepared;
    struct ids fresh; /* their entries are of the open transaction: nobody can have answered them */
    struct ids late;  /* the log is to be asked whether they wait still */
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
    bool has_failed; /* some noted row may have to say FAILED, whatever it says now */
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
        free(pending->tables->late.items);
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
    noted->number = pending->tables != NULL ? pending->tables->number + 1 : 1;
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

static bool has_room(struct pending *pending)
{
    if (pending->count < NOTED_MAX)
        return true;
    pending->has_forgotten = true;
    pending->reread_ms = clock_monotonic_ms() + LONGEST_PAUSE_MS;
    return false;
}

static void add(struct pending *pending, struct ids *ids, const char *record_id)
{
    if (!has_room(pending))
        return;
    push_id(ids, (int32_t)strtol(record_id, NULL, 10));
    pending->count++;
}

void pending_add(struct pending *pending, const char *table_name, const char *record_id)
{
    if (record_id != NULL)
        add(pending, &find_table(pending, table_name)->fresh, record_id);
}

void pending_add_failed(struct pending *pending, const char *table_name, const char *record_id)
{
    pending->has_failed = true;
    if (record_id != NULL)
        add(pending, &find_table(pending, table_name)->late, record_id);
}

int64_t pending_due_ms(const struct pending *pending)
{
    int64_t due_ms = pending->has_forgotten ? pending->reread_ms : -1;

    if (pending->is_reading_log)
        return 0;
    for (const struct noted *noted = pending->tables; noted != NULL; noted = noted->next) {
        if (noted->fresh.count > 0 || noted->late.count > 0)
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
    /* PostgreSQL 14 has neither the privilege nor the function. */
    PGresult *result PG_RESULT_AUTO =
        pg_query(pending->pg,
                 PQserverVersion(pg_conn(pending->pg)) >= 150000
                     ? "select has_parameter_privilege('session_replication_role', 'set')"
                     : "select rolsuper from pg_roles where rolname = current_user",
                 PG_PARAMS(), err);
    if (result == NULL)
        return false;
    pending->is_replica = pg_field_bool(result, 0, 0);
    pending->has_asked = true;
    return true;
}

/* What the log has unsettled, or has FAILED for its size and nothing after it (a crash may have
 * forgotten to mark that), piece by piece, when nothing else is left to be tried. */
static bool read_log(struct pending *pending, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf log BUF_AUTO = {0};

    if (!pending->is_reading_log) {
        if (!pending->has_forgotten || clock_monotonic_ms() < pending->reread_ms)
            return true;
        pending->has_forgotten = false;
        pending->read_up_to = 0;
    }
    buf_init(&log, 1024);
    pg_append_qualified(&log, pending->schema_name, "_trigger_log");
    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql,
               "select id, table_name, record_id, state = 'FAILED' from"
               " (select * from %s where state in ('NEW', 'PENDING') union all"
               " select * from %s f where state = 'FAILED' and processed_at is null"
               " and not exists (select from %s n where n.table_name = f.table_name"
               " and n.record_id = f.record_id and n.id > f.id)) l"
               " where action in ('INSERT', 'UPDATE')"
               " and table_name is not null and record_id is not null and id > $1"
               " order by id limit $2",
               log.data, log.data, log.data);
    PGresult *result PG_RESULT_AUTO =
        pg_query(pending->pg, sql.data,
                 PG_PARAMS(pg_number(pending->read_up_to).text, pg_number(PIECE).text), err);
    if (result == NULL)
        return error_prefix(err, "reading the log");
    int count = PQntuples(result);
    for (int i = 0; i < count; i++) {
        pending->has_failed = pending->has_failed || pg_field_bool(result, i, 3);
        add(pending, &find_table(pending, pg_field(result, i, 1))->late, pg_field(result, i, 2));
    }
    pending->is_reading_log = count == PIECE;
    if (count > 0)
        pending->read_up_to = pg_field_int64(result, count - 1, 0);
    return true;
}

struct piece {
    struct noted *noted;
    const int32_t *ids; /* sorted, each once */
    size_t count;
    bool is_fresh;
};

/* What a row to be marked is: one that says PENDING already is left alone. */
#define TO_MARK "(t._hc_lastop is distinct from 'PENDING' or t._hc_err is not null)"

static const char *to_mark(const struct pending *pending)
{
    return pending->has_failed ? "true" : TO_MARK;
}

static void append_table(struct buf *sql, const struct pending *pending, const struct noted *noted)
{
    pg_append_qualified(sql, pending->schema_name, noted->table_name);
}

static void print_ids(struct buf *list, const int32_t *ids, size_t count)
{
    buf_init(list, SQL_MAX_BYTES);
    for (size_t i = 0; i < count; i++)
        pg_append_element(list, pg_number(ids[i]).text);
    pg_end_array(list);
}

/*
 * The table's lock is not waited for: somebody may be changing the table. With it nobody can make a
 * trigger, so triggers are switched off only where there are some: the switch costs all plans.
 */
static void append_door(struct buf *sql, const struct pending *pending, const struct noted *noted)
{
    buf_text(sql, "savepoint pgforce_pending;"
                  "set local lock_timeout = '100ms';"
                  "lock table ");
    append_table(sql, pending, noted);
    buf_text(sql, " in row exclusive mode nowait;");
    if (pending->is_replica)
        buf_printf(sql, "execute pgforce_quiet_%d;", noted->number);
}

/* The name is looked up each time: the table may be made anew. */
static bool prepare_quiet(struct pending *pending, struct noted *noted, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf table BUF_AUTO = {0};

    if (noted->has_quiet || !pending->is_replica)
        return true;
    buf_init(&table, 1024);
    append_table(&table, pending, noted);
    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql,
               "prepare pgforce_quiet_%d as"
               " select set_config('session_replication_role', 'replica', true)"
               " from pg_class"
               " where relhastriggers and oid = to_regclass(",
               noted->number);
    pg_append_literal(&sql, table.data);
    buf_text(&sql, ")");
    noted->has_quiet = pg_script(pending->pg, sql.data, err);
    return noted->has_quiet;
}

/* By itself: what is prepared stays so even where marking fails, and can be prepared once only. */
static bool prepare_mark(struct pending *pending, struct noted *noted, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf table BUF_AUTO = {0};

    if (noted->is_prepared)
        return true;
    buf_init(&table, 1024);
    append_table(&table, pending, noted);
    buf_init(&sql, SQL_MAX_BYTES);
    append_door(&sql, pending, noted);
    buf_printf(&sql,
               "prepare pgforce_mark_%d(integer[]) as"
               " update %s m"
               " set _hc_lastop = 'PENDING', _hc_err = null"
               " where m.id = any(array("
               "select t.id from %s t where t.id = any($1) and " TO_MARK
               " for no key update skip locked))"
               " returning m.id",
               noted->number, table.data, table.data);
    noted->is_prepared = pg_script(pending->pg, sql.data, err);
    return noted->is_prepared;
}

/*
 * Locks what is held by nobody, and marks it; answers the ids. One statement, for the log need not
 * be asked: our entry is not committed yet, so it has not been answered. Who answers an older one
 * locks the row too, and sees ours when we have let go of it.
 */
static PGresult *mark_fresh(struct pending *pending, const struct piece *piece, const char *ids,
                            struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    if (!prepare_mark(pending, piece->noted, err))
        return NULL;
    buf_init(&sql, SQL_MAX_BYTES);
    append_door(&sql, pending, piece->noted);
    buf_printf(&sql, "execute pgforce_mark_%d('%s')", piece->noted->number, ids);
    return pg_simple(pending->pg, sql.data, err);
}

/*
 * The log is asked by index, row by row: by a subquery that cannot become a join, for that would
 * read all that waits to be sent, however much.
 */
static bool write_rows(struct pending *pending, const struct noted *noted, const char *ids,
                       struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "update ");
    append_table(&sql, pending, noted);
    buf_text(&sql, " t"
                   " set _hc_lastop = 'PENDING', _hc_err = null"
                   " where t.id = any($1)"
                   " and (select true from ");
    pg_append_qualified(&sql, pending->schema_name, "_trigger_log");
    buf_text(&sql, " l"
                   " where l.record_id = t.id"
                   " and " UNSETTLED_UNSENT " and l.action in ('INSERT', 'UPDATE')"
                   " and l.table_name = $2"
                   " limit 1)");
    return pg_run(pending->pg, sql.data, PG_PARAMS(ids, noted->table_name), err);
}

/* Of what was FAILED when it was logged: nobody has processed it. */
static bool write_failed(struct pending *pending, const struct noted *noted, const char *ids,
                         struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf log BUF_AUTO = {0};

    buf_init(&log, 1024);
    pg_append_qualified(&log, pending->schema_name, "_trigger_log");
    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "update ");
    append_table(&sql, pending, noted);
    buf_printf(&sql,
               " t"
               " set _hc_lastop = 'FAILED', _hc_err = json_build_object("
               "'op', f.action, 'src', 'pgforce', 'msg', f.sf_message)::text"
               " from (select distinct on (record_id) record_id, action, sf_message"
               " from %s l"
               " where table_name = $2"
               " and record_id = any($1)"
               " and " UNSETTLED_REFUSED " and processed_at is null"
               " and action in ('INSERT', 'UPDATE')"
               " order by record_id, id desc) f"
               " where t.id = f.record_id"
               " and not exists (select from %s l"
               " where l.table_name = $2"
               " and l.record_id = t.id"
               " and " UNSETTLED_UNSENT " and l.action in ('INSERT', 'UPDATE')"
               " offset 0)",
               log.data, log.data);
    return pg_run(pending->pg, sql.data, PG_PARAMS(ids, noted->table_name), err);
}

static bool write_late(struct pending *pending, const struct noted *noted, const char *ids,
                       struct error *err)
{
    return write_rows(pending, noted, ids, err) &&
           (!pending->has_failed || write_failed(pending, noted, ids, err));
}

static size_t take_ids(const PGresult *result, int32_t *ids)
{
    size_t count = (size_t)PQntuples(result);

    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)pg_field_int64(result, (int)i, 0);
    return count;
}

/* Locks what is held by nobody, then asks the log, by a statement whose snapshot is younger than
 * the locks, and marks. Answers the locked ids. */
static PGresult *mark_late(struct pending *pending, const struct piece *piece, const char *ids,
                           struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf locked BUF_AUTO = {0};
    int32_t taken[PIECE];

    buf_init(&sql, SQL_MAX_BYTES);
    append_door(&sql, pending, piece->noted);
    buf_text(&sql, "select t.id from ");
    append_table(&sql, pending, piece->noted);
    buf_printf(&sql, " t where t.id = any('%s'::integer[]) and %s", ids, to_mark(pending));
    buf_text(&sql, " for no key update skip locked");
    PGresult *result = pg_simple(pending->pg, sql.data, err);
    if (result == NULL)
        return NULL;
    print_ids(&locked, taken, take_ids(result, taken));
    if (PQntuples(result) == 0 || write_late(pending, piece->noted, locked.data, err))
        return result;
    PQclear(result);
    return NULL;
}

static int compare_ids(const void *left, const void *right)
{
    int32_t a = *(const int32_t *)left;
    int32_t b = *(const int32_t *)right;

    return (a > b) - (a < b);
}

/* Of what was not ours to lock, what is to be marked yet: the rest says PENDING, or is gone. */
static bool note_held(struct pending *pending, const struct piece *piece, const PGresult *ours,
                      struct error *err)
{
    struct buf list BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};
    int32_t taken[PIECE];
    int32_t left[PIECE];
    size_t left_count = 0;
    size_t taken_count = take_ids(ours, taken);

    qsort(taken, taken_count, sizeof(*taken), compare_ids);
    for (size_t i = 0; i < piece->count; i++)
        if (bsearch(&piece->ids[i], taken, taken_count, sizeof(*taken), compare_ids) == NULL)
            left[left_count++] = piece->ids[i];
    if (left_count == 0)
        return true;
    print_ids(&list, left, left_count);
    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select t.id from ");
    append_table(&sql, pending, piece->noted);
    buf_printf(&sql, " t where t.id = any($1) and %s", to_mark(pending));
    PGresult *result PG_RESULT_AUTO = pg_query(pending->pg, sql.data, PG_PARAMS(list.data), err);
    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result); i++)
        push_id(&piece->noted->held, (int32_t)pg_field_int64(result, i, 0));
    return true;
}

static bool try_piece(struct pending *pending, const struct piece *piece, struct error *err)
{
    struct buf ids BUF_AUTO = {0};

    if (!prepare_quiet(pending, piece->noted, err))
        return false;
    print_ids(&ids, piece->ids, piece->count);
    PGresult *ours PG_RESULT_AUTO = piece->is_fresh ? mark_fresh(pending, piece, ids.data, err)
                                                    : mark_late(pending, piece, ids.data, err);
    return ours != NULL && note_held(pending, piece, ours, err);
}

static void warn(const struct piece *piece, const struct error *why)
{
    struct noted *noted = piece->noted;
    int64_t now_ms = clock_monotonic_ms();

    if (noted->warned_ms != 0 && now_ms - noted->warned_ms < WARN_MS)
        return;
    noted->warned_ms = now_ms;
    log_warning("cannot mark rows as PENDING", log_text("table", noted->table_name),
                log_number("id", piece->ids[0]), log_text("reason", why->message));
}

/*
 * What is locked or cancelled waits. A piece whose row refuses is tried row by row, so that the
 * refusal is that row's alone. All else (the table is gone) will not mend by itself.
 */
static bool mark_piece(struct pending *pending, const struct piece *piece, struct error *err)
{
    struct error why = {0};

    if (try_piece(pending, piece, &why))
        return true;
    if (!pg_script(pending->pg, "rollback to savepoint pgforce_pending", err))
        return false;
    for (size_t i = 0; why.kind == ERROR_RETRY && i < piece->count; i++)
        push_id(&piece->noted->held, piece->ids[i]);
    if (why.kind == ERROR_RETRY)
        return true;
    if (why.kind != ERROR_RECORD || piece->count == 1) {
        warn(piece, &why);
        return true;
    }
    for (size_t i = 0; i < piece->count; i++) {
        struct piece single = {piece->noted, &piece->ids[i], 1, piece->is_fresh};

        if (!mark_piece(pending, &single, err))
            return false;
    }
    return true;
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

static void move_ids(struct ids *from, struct ids *to)
{
    for (size_t i = 0; i < from->count; i++)
        push_id(to, from->items[i]);
    from->count = 0;
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

/* A piece off the end of a list. */
static bool mark_some(struct pending *pending, struct noted *noted, struct ids *list,
                      struct error *err)
{
    size_t taken = list->count < PIECE ? list->count : PIECE;
    size_t held_before = noted->held.count;
    int32_t ids[PIECE];

    if (taken == 0)
        return true;
    list->count -= taken;
    memcpy(ids, &list->items[list->count], taken * sizeof(*ids));
    struct piece piece = {noted, ids, unify(ids, taken), list == &noted->fresh};
    if (!mark_piece(pending, &piece, err))
        return error_prefix(err, "marking rows of %s as PENDING", noted->table_name);
    pending->count -= taken;
    pending->count += noted->held.count - held_before;
    return true;
}

static bool mark_table(struct pending *pending, struct noted *noted, struct error *err)
{
    bool is_retry = noted->held.count > 0 && clock_monotonic_ms() >= noted->retry_ms;

    if (is_retry)
        move_ids(&noted->held, &noted->late);
    if (!mark_some(pending, noted, &noted->fresh, err) ||
        !mark_some(pending, noted, &noted->late, err))
        return false;
    /* What was fresh is so no longer: the transaction is about to be committed. */
    move_ids(&noted->fresh, &noted->late);
    set_pause(noted, is_retry);
    return true;
}

static bool has_some(const struct pending *pending)
{
    for (const struct noted *noted = pending->tables; noted != NULL; noted = noted->next)
        if (noted->fresh.count > 0 || noted->late.count > 0)
            return true;
    return false;
}

bool pending_mark(struct pending *pending, struct error *err)
{
    if (!ask_for_replica(pending, err) || (!has_some(pending) && !read_log(pending, err)))
        return false;
    for (struct noted *noted = pending->tables; noted != NULL; noted = noted->next)
        if (!mark_table(pending, noted, err))
            return false;
    pending->has_failed = pending->has_failed && pending->count > 0;
    return true;
}
