#include "outbound/settle.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "archive/hstore.h"
#include "archive/sent.h"
#include "archive/unsettled.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/wait.h"
#include "pg/origin.h"

enum { SQL_MAX_BYTES = 64 * 1024, IDS_MAX_BYTES = 64 * 1024 * 1024, RETRY_MS = 500 };

struct settle {
    json_t *entries; /* for queue_store_outcomes */
    json_t *tables;  /* table name -> rows to update */
    json_t *intents; /* for queue_store_intents */
    const char *state_directory;
    json_t *empties; /* table name -> column name -> ids of rows */
};

struct settle *settle_new(const char *state_directory)
{
    struct settle *settle = memory_alloc(sizeof(*settle));

    settle->entries = json_array();
    settle->tables = json_object();
    settle->intents = json_array();
    settle->state_directory = state_directory;
    settle->empties = json_object();
    return settle;
}

void settle_free(struct settle *settle)
{
    if (settle == NULL)
        return;
    json_decref(settle->entries);
    json_decref(settle->tables);
    json_decref(settle->intents);
    json_decref(settle->empties);
    free(settle);
}

void settle_clear(struct settle *settle)
{
    json_array_clear(settle->entries);
    json_object_clear(settle->tables);
    json_array_clear(settle->intents);
    json_object_clear(settle->empties);
}

bool settle_is_empty(const struct settle *settle)
{
    return json_array_size(settle->entries) == 0 && json_array_size(settle->intents) == 0;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(object, key, json_stringn_nocheck(text, strlen(text)));
}

/* "RETRY" is no phase of src/sync: there the entry is simply NEW again, here its time is kept. */
static const char *stored_phase(const struct settle_outcome *outcome)
{
    if (outcome->verdict.state == DELIVERY_PENDING)
        return delivery_phase_name(outcome->verdict.phase);
    return outcome->verdict.state == DELIVERY_NEW ? "RETRY" : NULL;
}

static void add_entry(struct settle *settle, const struct queue_entry *entry,
                      const struct settle_outcome *outcome)
{
    json_t *row = json_object();

    json_object_set_new(row, "log_id", json_integer(entry->log_id));
    set_text(row, "state", delivery_state_name(outcome->verdict.state));
    set_text(row, "sfid", outcome->sfid);
    set_text(row, "message", outcome->message);
    set_text(row, "phase", stored_phase(outcome));
    json_object_set_new(row, "may_be_done", json_boolean(outcome->may_be_done));
    json_object_set_new(row, "wait_ms", json_integer(outcome->wait_ms));
    json_array_append_new(settle->entries, row);
}

/* Heroku Connect's form: {"op": "INSERT", "src": "SFDC", "msg": "..."}. */
static json_t *make_hc_err(const struct queue_entry *entry, const struct settle_outcome *outcome)
{
    json_t *hc_err = json_object();
    json_t *text = NULL;

    set_text(hc_err, "op", entry->action);
    set_text(hc_err, "src", outcome->is_from_salesforce ? "SFDC" : "pgforce");
    set_text(hc_err, "msg", outcome->message != NULL ? outcome->message : "");
    char *dumped = json_dumps(hc_err, JSON_COMPACT);
    if (dumped != NULL)
        text = json_string(dumped);
    free(dumped);
    json_decref(hc_err);
    return text;
}

/* NULL: nothing of it was sent, so there is no news but that nothing waits. */
static const char *lastop_of(const struct queue_entry *entry, enum delivery_state state)
{
    if (state == DELIVERY_FAILED)
        return "FAILED";
    if (state == DELIVERY_IGNORED || state == DELIVERY_MERGED)
        return NULL;
    return strcmp(entry->action, "INSERT") == 0 ? "INSERTED" : "UPDATED";
}

static void add_row(struct settle *settle, const struct mapping *mapping,
                    const struct queue_entry *entry, const struct settle_outcome *outcome)
{
    json_t *rows = json_object_get(settle->tables, mapping->table_name);
    json_t *row = json_object();
    enum delivery_state state = outcome->verdict.state;

    if (rows == NULL) {
        rows = json_array();
        json_object_set_new(settle->tables, mapping->table_name, rows);
    }
    json_object_set_new(row, "id", json_integer(entry->record_id));
    set_text(row, "sfid", outcome->sfid);
    set_text(row, "lastop", lastop_of(entry, state));
    if (state == DELIVERY_FAILED)
        json_object_set_new(row, "err", make_hc_err(entry, outcome));
    json_array_append_new(rows, row);
}

static json_t *get_or_add(json_t *object, const char *key, json_t *fresh)
{
    json_t *found = json_object_get(object, key);

    if (found == NULL) {
        json_object_set_new(object, key, fresh);
        return fresh;
    }
    json_decref(fresh);
    return found;
}

/* An empty text was sent as null, for Salesforce knows no other: the row becomes what it has. */
static void add_empties(struct settle *settle, const struct mapping *mapping,
                        const struct queue_entry *entry)
{
    struct hstore_pair *pairs;
    struct error ignored;
    size_t count;

    if (entry->values == NULL || strstr(entry->values, "=>\"\"") == NULL)
        return;
    struct arena *arena = arena_new();
    if (!hstore_parse(entry->values, arena, &pairs, &count, &ignored))
        count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mapping_field *field = mapping_field_by_column(mapping, pairs[i].key);

        if (field == NULL || field->is_system || pairs[i].value == NULL || pairs[i].value_bytes > 0)
            continue;
        json_t *columns = get_or_add(settle->empties, mapping->table_name, json_object());
        json_array_append_new(get_or_add(columns, field->column_name, json_array()),
                              json_integer(entry->record_id));
    }
    arena_free(arena);
}

void settle_add(struct settle *settle, const struct mapping *mapping,
                const struct queue_entry *entry, const struct settle_outcome *outcome)
{
    enum delivery_state state = outcome->verdict.state;
    bool has_row = strcmp(entry->action, "DELETE") != 0 || state == DELIVERY_FAILED;

    add_entry(settle, entry, outcome);
    bool is_bound_only = state == DELIVERY_NEW && outcome->sfid != NULL;
    if (mapping != NULL && has_row && (delivery_is_settled(state) || is_bound_only))
        add_row(settle, mapping, entry, outcome);
    if (mapping != NULL && has_row && state == DELIVERY_SUCCESS)
        add_empties(settle, mapping, entry);
}

/* The rows of one table that get an answer. */
struct answers {
    const char *table_name;
    char *rows;      /* JSON */
    struct buf ids;  /* an array */
    bool binds_some; /* one has an sfid now that it had not */
};

static void fill_answers(struct answers *answers, json_t *rows)
{
    json_t *row;
    size_t i;

    answers->rows = json_dumps(rows, JSON_COMPACT);
    buf_init(&answers->ids, IDS_MAX_BYTES);
    json_array_foreach(rows, i, row)
    {
        pg_append_element(&answers->ids,
                          pg_number(json_integer_value(json_object_get(row, "id"))).text);
        answers->binds_some = answers->binds_some || json_object_get(row, "sfid") != NULL;
    }
    pg_end_array(&answers->ids);
}

/*
 * A poll may have read the new record before its sfid stood in the row, and made a row of its own:
 * that twin goes, the application's row stays.
 */
static bool remove_twins(struct pg *pg, const char *schema_name, const struct answers *answers,
                         struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    if (!answers->binds_some)
        return true;
    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "delete from ");
    pg_append_qualified(&sql, schema_name, answers->table_name);
    buf_text(&sql, " t using json_to_recordset($1::json) as r(id integer, sfid text)"
                   " where t.sfid = r.sfid"
                   " and t.id <> r.id");
    return pg_run(pg, sql.data, PG_PARAMS(answers->rows), err);
}

/* Without the locks a newer change could come between the question and the answer: who logs one
 * marks the row in the same transaction. */
static bool lock_rows(struct pg *pg, const char *schema_name, const struct answers *answers,
                      struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select from ");
    pg_append_qualified(&sql, schema_name, answers->table_name);
    buf_text(&sql, " t where t.id = any($1) order by t.id for no key update");
    return pg_run(pg, sql.data, PG_PARAMS(answers->ids.data), err);
}

/* A row of which more is to be sent goes on saying PENDING, whatever came of this entry. */
static bool update_rows(struct pg *pg, const char *schema_name, const struct answers *answers,
                        struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "update ");
    pg_append_qualified(&sql, schema_name, answers->table_name);
    buf_text(&sql, " t set sfid = coalesce(r.sfid, t.sfid),"
                   " _hc_lastop = case when r.has_more then 'PENDING'"
                   " when r.lastop is null and t._hc_lastop = 'PENDING' then 'SYNCED'"
                   " else coalesce(r.lastop, t._hc_lastop) end,"
                   " _hc_err = case when not r.has_more and r.lastop is null then t._hc_err"
                   " when not r.has_more then r.err end"
                   " from (select distinct on (r.id) r.*, coalesce((select true from ");
    pg_append_qualified(&sql, schema_name, "_trigger_log");
    buf_text(&sql, " l where l.table_name = $2"
                   " and l.record_id = r.id"
                   " and " UNSETTLED_UNSENT " and l.action in ('INSERT', 'UPDATE')"
                   " limit 1), false) as has_more"
                   " from rows from (json_to_recordset($1::json)"
                   " as (id integer, sfid text, lastop text, err text)) with ordinality as r"
                   " order by r.id, r.ordinality desc) r"
                   " where t.id = r.id");
    return remove_twins(pg, schema_name, answers, err) &&
           lock_rows(pg, schema_name, answers, err) &&
           pg_run(pg, sql.data, PG_PARAMS(answers->rows, answers->table_name), err);
}

/* Unless it has been changed since. */
static bool clear_column(struct pg *pg, const char *sql_table, const char *column, json_t *ids,
                         struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    char *text = json_dumps(ids, JSON_COMPACT);

    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql, "update %s set ", sql_table);
    pg_append_identifier(&sql, column);
    buf_text(&sql, " = null where ");
    pg_append_identifier(&sql, column);
    buf_text(&sql, "::text = ''"
                   " and id in (select i::integer from jsonb_array_elements_text($1::jsonb) i)");
    bool is_ok = pg_run(pg, sql.data, PG_PARAMS(text), err);
    free(text);
    return is_ok;
}

static bool store_empties(const struct settle *settle, struct pg *pg, const char *schema_name,
                          struct error *err)
{
    const char *table;
    const char *column;
    json_t *columns;
    json_t *ids;

    json_object_foreach(settle->empties, table, columns)
    {
        struct buf name BUF_AUTO = {0};

        buf_init(&name, SQL_MAX_BYTES);
        pg_append_qualified(&name, schema_name, table);
        json_object_foreach(columns, column, ids)
        {
            if (!clear_column(pg, name.data, column, ids, err))
                return error_prefix(err, "clearing empty texts of %s", table);
        }
    }
    return true;
}

static bool store_tables(const struct settle *settle, struct pg *pg, const char *schema_name,
                         struct error *err)
{
    const char *table;
    json_t *rows;

    json_object_foreach(settle->tables, table, rows)
    {
        struct answers answers = {.table_name = table};

        fill_answers(&answers, rows);
        bool is_ok = update_rows(pg, schema_name, &answers, err);
        free(answers.rows);
        buf_done(&answers.ids);
        if (!is_ok)
            return error_prefix(err, "writing the answers to %s", table);
    }
    return true;
}

void settle_intend(struct settle *settle, json_t *intent)
{
    json_array_append_new(settle->intents, intent);
}

void settle_forget_intents(struct settle *settle)
{
    json_array_clear(settle->intents);
}

static bool store_entries(const struct settle *settle, struct pg *pg, const char *schema_name,
                          struct error *err)
{
    if (json_array_size(settle->entries) == 0)
        return true;
    char *entries = json_dumps(settle->entries, JSON_COMPACT);
    bool is_ok = queue_store_outcomes(pg, schema_name, entries, err) &&
                 store_tables(settle, pg, schema_name, err) &&
                 store_empties(settle, pg, schema_name, err);
    free(entries);
    return is_ok;
}

static bool store_intents(const struct settle *settle, struct pg *pg, const char *schema_name,
                          struct error *err)
{
    if (json_array_size(settle->intents) == 0)
        return true;
    char *intents = json_dumps(settle->intents, JSON_COMPACT);
    bool is_ok = queue_store_intents(pg, schema_name, intents, err);
    free(intents);
    return is_ok;
}

/* Answers to a table that is gone have no row to be told to. */
static bool forget_gone_table(json_t *tables, struct pg *pg, const char *schema_name,
                              bool *has_gone, struct error *err)
{
    const char *table;
    json_t *ignored;
    void *next;

    json_object_foreach_safe(tables, next, table, ignored)
    {
        PGresult *found PG_RESULT_AUTO =
            pg_query(pg,
                     "select from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                     " where n.nspname = $1 and c.relname = $2",
                     PG_PARAMS(schema_name, table), err);
        if (found == NULL)
            return false;
        if (PQntuples(found) > 0)
            continue;
        *has_gone = true;
        json_object_del(tables, table);
    }
    return true;
}

/* A mapping may be deleted while its writes are on their way: the log tells what came of them. */
static void mend_missing_tables(struct settle *settle, struct pg *pg, const char *schema_name,
                                struct error *err)
{
    struct error ignored;
    bool has_gone = false;

    if (forget_gone_table(settle->tables, pg, schema_name, &has_gone, &ignored) &&
        forget_gone_table(settle->empties, pg, schema_name, &has_gone, &ignored) && has_gone)
        err->kind = ERROR_RETRY;
}

bool settle_store(struct settle *settle, struct pg *pg, const char *schema_name, struct error *err)
{
    bool is_kept = settle->state_directory != NULL && json_array_size(settle->intents) > 0;
    struct sent_count count;
    bool is_ok = origin_begin(pg, err) && store_entries(settle, pg, schema_name, err) &&
                 store_intents(settle, pg, schema_name, err) &&
                 (!is_kept || sent_add(pg, schema_name, &count, err)) &&
                 pg_script(pg, "commit", err);

    if (is_ok)
        return !is_kept || sent_keep(settle->state_directory, schema_name, &count, err);
    bool is_table_missing = strcmp(pg_sqlstate(pg), "42P01") == 0;
    pg_rollback(pg);
    if (is_table_missing)
        mend_missing_tables(settle, pg, schema_name, err);
    return false;
}

bool settle_store_patiently(struct settle *settle, struct pg *pg, const char *schema_name,
                            struct error *err)
{
    while (!settle_is_empty(settle)) {
        if (settle_store(settle, pg, schema_name, err)) {
            settle_clear(settle);
            return true;
        }
        bool is_connected = PQstatus(pg_conn(pg)) == CONNECTION_OK;
        if (err->kind != ERROR_RETRY || !is_connected)
            return false;
        log_warning("cannot store the answers yet", log_text("reason", err->message));
        if (wait_for(-1, 0, RETRY_MS) == WAIT_STOP)
            return false;
    }
    return true;
}
