#include "archive/trigger_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/hstore.h"
#include "base/arena.h"
#include "base/clock.h"
#include "pg/copy.h"
#include "sync/delivery.h"

/* An hstore text of more than this does not fit COPY's field beside another one. */
enum {
    XID_READ_MS = 60 * 1000,
    HSTORE_MAX_BYTES = 500 * 1000 * 1000,
    XIDS_MAX_BYTES = 500 * 1000 * 1000
};

struct mapped_table {
    const char *name;
    bool is_read_only;
};

struct trigger_log {
    struct pg *pg;
    struct pending *pending;
    char *schema_name;
    struct arena *tables_arena;
    struct mapped_table *tables;
    size_t table_count;
    struct arena *entry_arena; /* reset after each entry */
    struct buf old_text;
    struct buf values_text;
    struct copy copy;
    bool is_copying;
    uint64_t full_xid; /* the server's current transaction id with its epoch, when it was read */
    int64_t xid_read_ms;
    lsn_t unsent_delete; /* commit of the first DELETE of a row without sfid in this COPY, or 0 */
};

struct entry {
    const struct event *event;
    const char *action;
    const char *state;
    const char *record_id;
    const char *sfid;
    const char *old;
    const char *values;
    const char *message;
    bool has_changes; /* of an UPDATE */
};

struct trigger_log *trigger_log_new(struct pg *pg, const char *schema_name, struct pending *pending,
                                    struct error *err)
{
    struct trigger_log *log = memory_alloc(sizeof(*log));

    log->pg = pg;
    log->pending = pending;
    log->schema_name = memory_strdup(schema_name);
    log->tables_arena = arena_new();
    log->entry_arena = arena_new();
    buf_init(&log->old_text, HSTORE_MAX_BYTES);
    buf_init(&log->values_text, HSTORE_MAX_BYTES);
    if (trigger_log_reload(log, err))
        return log;
    trigger_log_free(log);
    return NULL;
}

void trigger_log_free(struct trigger_log *log)
{
    if (log == NULL)
        return;
    trigger_log_abort(log);
    buf_done(&log->old_text);
    buf_done(&log->values_text);
    arena_free(log->entry_arena);
    arena_free(log->tables_arena);
    free(log->schema_name);
    free(log);
}

bool trigger_log_reload(struct trigger_log *log, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(log->pg,
                                               "select table_name, access = 'read_only'"
                                               " from pgforce.mapping"
                                               " where schema_name = $1",
                                               PG_PARAMS(log->schema_name), err);

    if (result == NULL)
        return error_prefix(err, "reading the mappings");
    arena_reset(log->tables_arena);
    log->table_count = (size_t)PQntuples(result);
    log->tables = arena_array(log->tables_arena, struct mapped_table, log->table_count);
    for (size_t i = 0; i < log->table_count; i++) {
        log->tables[i].name = arena_strdup(log->tables_arena, pg_field(result, (int)i, 0));
        log->tables[i].is_read_only = pg_field_bool(result, (int)i, 1);
    }
    return true;
}

static const struct mapped_table *find_table(const struct trigger_log *log,
                                             const struct relation *relation)
{
    if (strcmp(relation->schema, log->schema_name) != 0)
        return NULL;
    for (size_t i = 0; i < log->table_count; i++)
        if (strcmp(log->tables[i].name, relation->table) == 0)
            return &log->tables[i];
    return NULL;
}

bool trigger_log_is_mapped(const struct trigger_log *log, const struct relation *relation)
{
    return find_table(log, relation) != NULL;
}

bool trigger_log_wants(const struct trigger_log *log, const struct event *event)
{
    return event->kind == EVENT_ROW && trigger_log_is_mapped(log, event->row.relation);
}

/* Now and then is enough: for its epoch, see below. */
static bool read_current_xid(struct trigger_log *log, struct error *err)
{
    int64_t now_ms = clock_monotonic_ms();

    if (log->full_xid != 0 && now_ms - log->xid_read_ms < XID_READ_MS)
        return true;
    PGresult *result PG_RESULT_AUTO =
        pg_query(log->pg, "select pg_snapshot_xmax(pg_current_snapshot())::text", PG_PARAMS(), err);

    if (result == NULL)
        return false;
    log->full_xid = strtoull(pg_field(result, 0, 0), NULL, 10);
    log->xid_read_ms = now_ms;
    return true;
}

/*
 * txid_current() has an epoch in its upper half; what is decoded has not. The two are less than two
 * thousand million apart, in either direction: the stream goes on while a batch is open.
 */
static uint64_t widen_xid(const struct trigger_log *log, uint32_t xid)
{
    return log->full_xid + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)log->full_xid);
}

bool trigger_log_sees(struct trigger_log *log, const uint32_t *xids, size_t count, bool *sees,
                      struct error *err)
{
    struct buf list BUF_AUTO = {0};

    if (!read_current_xid(log, err))
        return false;
    buf_init(&list, XIDS_MAX_BYTES);
    for (size_t i = 0; i < count; i++)
        pg_append_element(&list, pg_number((int64_t)widen_xid(log, xids[i])).text);
    pg_end_array(&list);
    PGresult *result PG_RESULT_AUTO =
        pg_query_prepared(log->pg, "pgforce_log_sees",
                          "select not exists (select from unnest($1::xid8[]) as x(id)"
                          " where not pg_visible_in_snapshot(x.id, pg_current_snapshot()))",
                          PG_PARAMS(list.data), err);
    if (result == NULL)
        return false;
    *sees = pg_field_bool(result, 0, 0);
    return true;
}

bool trigger_log_begin(struct trigger_log *log, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    if (!read_current_xid(log, err))
        return false;
    buf_init(&sql, 4096);
    buf_text(&sql, "copy ");
    pg_append_identifier(&sql, log->schema_name);
    buf_text(&sql, "._trigger_log (txid, created_at, updated_at, state, action, table_name,"
                   " record_id, sfid, old, \"values\", sf_message, commit_lsn, seq, commit_time,"
                   " origin) from stdin");
    log->unsent_delete = 0;
    log->is_copying = copy_begin(&log->copy, log->pg, sql.data, err);
    return log->is_copying;
}

void trigger_log_abort(struct trigger_log *log)
{
    if (log->is_copying)
        copy_abort(&log->copy);
    log->is_copying = false;
}

/* Heroku Connect's own marks are in neither map of an entry. */
static bool is_logged(const struct column *column)
{
    return strcmp(column->name, "_hc_lastop") != 0 && strcmp(column->name, "_hc_err") != 0;
}

/* The value to log: what the update left alone is taken from the old row, where it is known. */
static const struct value *effective_value(const struct row *row, size_t column)
{
    const struct value *value = &row->new_values[column];

    if (value->kind == VALUE_UNCHANGED && row->old_values != NULL)
        return &row->old_values[column];
    return value;
}

static bool is_known(const struct value *value)
{
    return value->kind == VALUE_NULL || value->kind == VALUE_TEXT;
}

static bool is_same(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind != VALUE_TEXT ||
           (a->size_bytes == b->size_bytes && memcmp(a->text, b->text, a->size_bytes) == 0);
}

static void print_pairs(struct buf *text, struct hstore_pair *pairs, size_t count)
{
    hstore_sort(pairs, count);
    buf_clear(text);
    hstore_print(text, pairs, count);
}

static void add_pair(struct hstore_pair *pairs, size_t *count, const struct column *column,
                     const struct value *value)
{
    pairs[(*count)++] = (struct hstore_pair){
        .key = column->name,
        .value = value->kind == VALUE_TEXT ? value->text : NULL,
        .value_bytes = value->kind == VALUE_TEXT ? value->size_bytes : 0,
    };
}

static const char *print_old(struct trigger_log *log, const struct row *row)
{
    const struct relation *relation = row->relation;
    struct hstore_pair *pairs =
        arena_array(log->entry_arena, struct hstore_pair, relation->column_count);
    size_t count = 0;

    if (row->old_values == NULL)
        return NULL;
    for (size_t i = 0; i < relation->column_count; i++)
        if (is_logged(&relation->columns[i]) && is_known(&row->old_values[i]))
            add_pair(pairs, &count, &relation->columns[i], &row->old_values[i]);
    print_pairs(&log->old_text, pairs, count);
    return log->old_text.data;
}

/* An INSERT's every column; of an UPDATE those whose text differs from the old row's. */
static const char *print_values(struct trigger_log *log, const struct row *row, size_t *count)
{
    const struct relation *relation = row->relation;
    struct hstore_pair *pairs =
        arena_array(log->entry_arena, struct hstore_pair, relation->column_count);

    *count = 0;
    for (size_t i = 0; i < relation->column_count; i++) {
        const struct value *value = effective_value(row, i);
        bool is_changed = row->op == ROW_INSERT || row->old_values == NULL ||
                          !is_same(value, &row->old_values[i]);

        if (is_logged(&relation->columns[i]) && is_known(value) && is_changed)
            add_pair(pairs, count, &relation->columns[i], value);
    }
    print_pairs(&log->values_text, pairs, *count);
    return log->values_text.data;
}

/* The text of one column of either side, or NULL. */
static const char *column_text(struct trigger_log *log, const struct row *row, const char *name,
                               const struct value *values)
{
    int column = relation_column(row->relation, name);

    if (column < 0 || values == NULL || values[column].kind != VALUE_TEXT)
        return NULL;
    return arena_strndup(log->entry_arena, values[column].text, values[column].size_bytes);
}

/* The first column of the new row that was too large to send; NULL when all were sent. */
static const char *find_omitted(const struct row *row)
{
    for (size_t i = 0; i < row->relation->column_count; i++)
        if (row->new_values != NULL && row->new_values[i].kind == VALUE_OMITTED)
            return row->relation->columns[i].name;
    return NULL;
}

static void fill_insert(struct trigger_log *log, const struct row *row, struct entry *entry)
{
    size_t count;

    entry->action = "INSERT";
    entry->record_id = column_text(log, row, "id", row->new_values);
    entry->values = print_values(log, row, &count);
}

static void fill_update(struct trigger_log *log, const struct row *row, struct entry *entry)
{
    const struct value *known = row->old_values != NULL ? row->old_values : row->new_values;
    size_t count;

    entry->action = "UPDATE";
    entry->record_id = column_text(log, row, "id", row->new_values);
    entry->sfid = column_text(log, row, "sfid", known);
    entry->old = print_old(log, row);
    entry->values = print_values(log, row, &count);
    entry->has_changes = count > 0;
}

static void fill_delete(struct trigger_log *log, const struct row *row, struct entry *entry)
{
    entry->action = "DELETE";
    entry->record_id = column_text(log, row, "id", row->old_values);
    entry->sfid = column_text(log, row, "sfid", row->old_values);
    entry->old = print_old(log, row);
    if (entry->sfid == NULL && log->unsent_delete == 0)
        log->unsent_delete = entry->event->transaction->commit_lsn;
}

/* A DELETE is taken to have an INSERT on its way until trigger_log_end can ask. */
static const char *choose_state(const struct trigger_log *log, const struct row *row,
                                const struct entry *entry)
{
    struct delivery_capture capture = {
        .is_read_only = find_table(log, row->relation)->is_read_only,
        .has_changes = entry->has_changes,
        .has_sfid = entry->sfid != NULL,
        .has_live_insert = true,
    };

    delivery_action_parse(entry->action, &capture.action);
    return delivery_state_name(delivery_capture_state(&capture));
}

static void fill_entry(struct trigger_log *log, const struct row *row, struct entry *entry)
{
    const char *omitted = find_omitted(row);

    switch (row->op) {
    case ROW_INSERT: fill_insert(log, row, entry); break;
    case ROW_UPDATE: fill_update(log, row, entry); break;
    case ROW_DELETE: fill_delete(log, row, entry); break;
    }
    entry->state = choose_state(log, row, entry);
    if (omitted != NULL && strcmp(entry->state, "READONLY") != 0) {
        entry->state = "FAILED";
        entry->message = arena_printf(log->entry_arena,
                                      "pgforce: the value of %s is larger than max_value_bytes and"
                                      " was not captured",
                                      omitted);
    }
    if (row->op == ROW_DELETE && entry->record_id == NULL && entry->sfid == NULL) {
        entry->state = "FAILED";
        entry->message = "pgforce: which record was deleted is not known, for the table's REPLICA"
                         " IDENTITY has neither id nor sfid";
    }
}

/* Only a new row can be trusted to say PENDING still: of an older one an answer may have come
 * since.
 */
static bool is_marked(const struct row *row)
{
    int lastop = relation_column(row->relation, "_hc_lastop");
    int hc_err = relation_column(row->relation, "_hc_err");

    if (lastop < 0 || hc_err < 0)
        return true;
    const struct value *mark = &row->new_values[lastop];
    return row->op == ROW_INSERT && row->new_values[hc_err].kind == VALUE_NULL &&
           mark->kind == VALUE_TEXT && mark->size_bytes == strlen("PENDING") &&
           memcmp(mark->text, "PENDING", mark->size_bytes) == 0;
}

static void note_pending(struct trigger_log *log, const struct row *row, const struct entry *entry)
{
    if (row->op == ROW_DELETE)
        return;
    if (strcmp(entry->state, "FAILED") == 0)
        pending_add_failed(log->pending, row->relation->table, entry->record_id);
    else if (strcmp(entry->state, "NEW") == 0 && !is_marked(row))
        pending_add(log->pending, row->relation->table, entry->record_id);
}

uint64_t trigger_log_xid(const struct trigger_log *log, uint32_t xid)
{
    return widen_xid(log, xid);
}

static void put(struct copy *copy, const char *text)
{
    copy_field(copy, text, text != NULL ? strlen(text) : 0);
}

/* In the order of the column list of trigger_log_begin. */
static bool write_entry(struct trigger_log *log, const struct entry *entry, struct error *err)
{
    const struct transaction *transaction = entry->event->transaction;
    const struct clock_text commit_time = clock_format_utc(transaction->commit_time_us);
    struct copy *copy = &log->copy;

    put(copy, arena_printf(log->entry_arena, "%" PRIu64, widen_xid(log, transaction->xid)));
    put(copy, commit_time.text);
    put(copy, NULL);
    put(copy, entry->state);
    put(copy, entry->action);
    put(copy, entry->event->row.relation->table);
    put(copy, entry->record_id);
    put(copy, entry->sfid);
    put(copy, entry->old);
    put(copy, entry->values);
    put(copy, entry->message);
    put(copy, lsn_format(transaction->commit_lsn).text);
    put(copy, pg_number(entry->event->seq).text);
    put(copy, commit_time.text);
    put(copy, transaction->origin[0] != '\0' ? transaction->origin : NULL);
    return copy_end_row(copy, err);
}

bool trigger_log_append(struct trigger_log *log, const struct event *event, struct error *err)
{
    struct entry entry = {.event = event};

    arena_reset(log->entry_arena);
    fill_entry(log, &event->row, &entry);
    if (buf_is_full(&log->old_text) || buf_is_full(&log->values_text)) {
        entry.state = "FAILED";
        entry.message = "pgforce: the row is too large to be logged";
        entry.old = NULL;
        entry.values = NULL;
        buf_clear(&log->old_text);
        buf_clear(&log->values_text);
    }
    note_pending(log, &event->row, &entry);
    return write_entry(log, &entry, err);
}

/*
 * A DELETE of a row without sfid is Heroku Connect's IGNORE, unless the row's INSERT is on its way:
 * then the record may come to be, and must go again. COPY cannot ask, so the question comes after,
 * of what was copied: those that wait from before were asked then.
 */
static bool ignore_deletes_of_unsent_rows(struct trigger_log *log, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf table BUF_AUTO = {0};

    buf_init(&table, 4096);
    pg_append_qualified(&table, log->schema_name, "_trigger_log");
    buf_init(&sql, 64 * 1024);
    buf_printf(&sql,
               "update %s deleted"
               " set state = 'IGNORE'"
               /* IS TRUE: found by the position, and by the record, never by the state: a million
                * may wait. */
               " where (state = 'NEW') is true"
               " and action = 'DELETE'"
               " and sfid is null"
               " and commit_lsn >= $1::pg_lsn"
               " and not exists ("
               "select from %s inserted"
               " where inserted.table_name = deleted.table_name"
               " and inserted.record_id = deleted.record_id"
               " and inserted.action = 'INSERT'"
               " and (inserted.state in ('NEW', 'PENDING', 'SUCCESS')) is true"
               " and inserted.id < deleted.id offset 0)",
               table.data, table.data);
    return pg_run(log->pg, sql.data, PG_PARAMS(lsn_format(log->unsent_delete).text), err);
}

bool trigger_log_end(struct trigger_log *log, struct error *err)
{
    log->is_copying = false;
    if (!copy_end(&log->copy, err))
        return error_prefix(err, "writing to _trigger_log");
    return log->unsent_delete == 0 || ignore_deletes_of_unsent_rows(log, err);
}
