#include "sandbox/store.h"

#include <stdlib.h>
#include <string.h>

enum { CACHE_SLOTS = 1024, MAX_SQL_BYTES = 4 * 1024 * 1024 };

struct cached {
    char *sql;
    sqlite3_stmt *statement;
};

struct store {
    sqlite3 *database;
    struct cached cache[CACHE_SLOTS]; /* by the hash of the text; a collision replaces */
};

static bool fail(struct store *store, const char *what, struct error *err)
{
    return error_set(err, ERROR_BUG, "the sandbox's storage: %s: %s", what,
                     sqlite3_errmsg(store->database));
}

static size_t hash_text(const char *text)
{
    uint64_t hash = 14695981039346656037u;

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return (size_t)((hash ^ hash >> 32) % CACHE_SLOTS);
}

bool store_prepare(struct store *store, const char *sql, sqlite3_stmt **statement,
                   struct error *err)
{
    struct cached *slot = &store->cache[hash_text(sql)];
    bool is_same = slot->sql != NULL && strcmp(slot->sql, sql) == 0;

    if (is_same && !sqlite3_stmt_busy(slot->statement)) {
        sqlite3_reset(slot->statement);
        sqlite3_clear_bindings(slot->statement);
        *statement = slot->statement;
        return true;
    }
    if (slot->statement != NULL && sqlite3_stmt_busy(slot->statement))
        return error_set(err, ERROR_BUG, "a stored statement is in use: %s", slot->sql);
    sqlite3_finalize(slot->statement);
    free(slot->sql);
    *slot = (struct cached){0};
    if (sqlite3_prepare_v3(store->database, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) !=
        SQLITE_OK)
        return fail(store, sql, err);
    *slot = (struct cached){.sql = memory_strdup(sql), .statement = *statement};
    return true;
}

void store_bind(sqlite3_stmt *statement, int index, const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL: sqlite3_bind_null(statement, index); break;
    case VALUE_TEXT: sqlite3_bind_text(statement, index, value->text, -1, SQLITE_TRANSIENT); break;
    case VALUE_INTEGER: sqlite3_bind_int64(statement, index, value->integer); break;
    case VALUE_REAL: sqlite3_bind_double(statement, index, value->real); break;
    }
}

bool store_step(struct store *store, sqlite3_stmt *statement, bool *has_row, struct error *err)
{
    int result = sqlite3_step(statement);

    *has_row = result == SQLITE_ROW;
    if (result == SQLITE_ROW)
        return true;
    if (result != SQLITE_DONE)
        fail(store, sqlite3_sql(statement), err);
    sqlite3_reset(statement);
    return result == SQLITE_DONE;
}

bool store_each(struct store *store, const char *sql,
                bool (*visit)(void *context, sqlite3_stmt *row, struct error *err), void *context,
                struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = true;

    if (!store_prepare(store, sql, &statement, err))
        return false;
    for (;;) {
        if (!store_step(store, statement, &has_row, err))
            return false;
        if (!has_row)
            return true;
        if (!visit(context, statement, err))
            return false;
    }
}

struct value store_column(struct arena *arena, sqlite3_stmt *statement, int index)
{
    switch (sqlite3_column_type(statement, index)) {
    case SQLITE_NULL: return (struct value){.kind = VALUE_NULL};
    case SQLITE_INTEGER: return value_integer(sqlite3_column_int64(statement, index));
    case SQLITE_FLOAT: return value_real(sqlite3_column_double(statement, index));
    default: break;
    }
    return value_text(arena_strdup(arena, (const char *)sqlite3_column_text(statement, index)));
}

bool store_run(struct store *store, const char *sql, struct error *err)
{
    if (sqlite3_exec(store->database, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail(store, sql, err);
    return true;
}

bool store_change(struct store *store, const char *sql, const struct value *values, size_t count,
                  struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    if (!store_prepare(store, sql, &statement, err))
        return false;
    for (size_t i = 0; i < count; i++)
        store_bind(statement, (int)i + 1, &values[i]);
    if (!store_step(store, statement, &has_row, err))
        return false;
    sqlite3_reset(statement);
    return true;
}

/* ---- life ---- */

static bool prepare_database(struct store *store, struct error *err)
{
    return store_run(store,
                     "pragma journal_mode = wal;"
                     "pragma synchronous = normal;"
                     "pragma case_sensitive_like = off;"
                     "create table if not exists sandbox_counter ("
                     " object text primary key, number integer not null) without rowid;"
                     "create table if not exists sandbox_definition ("
                     " seq integer primary key, definition text not null)",
                     err);
}

bool store_open(const char *path, struct store **store, struct error *err)
{
    /* One thread: no locks. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    struct store *new_store = memory_alloc(sizeof(*new_store));

    *store = NULL;
    if (sqlite3_open_v2(path != NULL ? path : ":memory:", &new_store->database, flags, NULL) !=
            SQLITE_OK ||
        !prepare_database(new_store, err)) {
        error_set(err, ERROR_CONFIG, "cannot open the data file %s: %s",
                  path != NULL ? path : ":memory:", sqlite3_errmsg(new_store->database));
        store_close(new_store);
        return false;
    }
    *store = new_store;
    return true;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        sqlite3_finalize(store->cache[i].statement);
        free(store->cache[i].sql);
    }
    sqlite3_close_v2(store->database);
    free(store);
}

sqlite3 *store_database(struct store *store)
{
    return store->database;
}

bool store_begin(struct store *store, struct error *err)
{
    return store_change(store, "savepoint work", NULL, 0, err);
}

bool store_commit(struct store *store, struct error *err)
{
    return store_change(store, "release work", NULL, 0, err);
}

bool store_rollback(struct store *store, struct error *err)
{
    return store_change(store, "rollback to work", NULL, 0, err) &&
           store_change(store, "release work", NULL, 0, err);
}

/* ---- tables ---- */

static const char *column_type(const struct field *field)
{
    switch (field->type->kind) {
    case KIND_TEXT: return field->is_case_sensitive ? "text" : "text collate nocase";
    case KIND_BOOLEAN:
    case KIND_INTEGER: return "integer";
    case KIND_REAL: return "real";
    default: return "text";
    }
}

static void append_column(struct buf *sql, const struct object *object, const struct field *field)
{
    buf_printf(sql, "alter table \"%s\" add column \"%s\" %s", object->name, field->name,
               column_type(field));
    if (field->sql != NULL)
        buf_printf(sql, " generated always as (%s) virtual", field->sql);
    buf_text(sql, ";");
    if (strcmp(field->name, "IsDeleted") == 0 || field->sql != NULL)
        return;
    if (field->is_id_lookup || field->is_unique || field->reference_count > 0 ||
        strcmp(field->name, "SystemModstamp") == 0)
        buf_printf(sql, "create index \"%s.%s\" on \"%s\" (\"%s\");", object->name, field->name,
                   object->name, field->name);
}

static bool has_column(struct store *store, const struct object *object, const struct field *field)
{
    return sqlite3_table_column_metadata(store->database, NULL, object->name, field->name, NULL,
                                         NULL, NULL, NULL, NULL) == SQLITE_OK;
}

bool store_make_table(struct store *store, const struct object *object, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, MAX_SQL_BYTES);
    buf_printf(&sql,
               "create table if not exists \"%s\" (\"_row\" integer primary key, "
               "\"_deleted_with\" text);",
               object->name);
    for (size_t i = 0; i < object->field_count; i++) {
        const struct field *field = object->fields[i];

        if (field->type->kind != KIND_COMPOUND && field->formula == NULL &&
            !has_column(store, object, field))
            append_column(&sql, object, field);
    }
    return store_run(store, sql.data, err);
}

bool store_take_numbers(struct store *store, const struct object *object, int64_t count,
                        int64_t *first, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    struct value values[] = {value_text(object->name), value_integer(count)};
    bool has_row = false;

    if (!store_prepare(store,
                       "insert into sandbox_counter values (?1, ?2) "
                       "on conflict (object) do update set number = number + ?2 returning number",
                       &statement, err))
        return false;
    store_bind(statement, 1, &values[0]);
    store_bind(statement, 2, &values[1]);
    if (!store_step(store, statement, &has_row, err))
        return false;
    *first = sqlite3_column_int64(statement, 0) - count + 1;
    /* A returning statement must be stepped to its end to take effect for sure. */
    return store_step(store, statement, &has_row, err);
}

bool store_next_number(struct store *store, const struct object *object, int64_t *number,
                       struct error *err)
{
    return store_take_numbers(store, object, 1, number, err);
}

/* ---- rows ---- */

static void append_columns(struct buf *sql, const struct object *object, const char *end)
{
    const char *separator = "\"";

    /* For every statement, so without printf. */
    for (size_t i = 0; i < object->field_count; i++)
        if (schema_is_stored(object->fields[i])) {
            buf_text(sql, separator);
            buf_text(sql, object->fields[i]->name);
            buf_text(sql, end);
            separator = ", \"";
        }
}

static int bind_stored(sqlite3_stmt *statement, const struct object *object,
                       const struct value *values)
{
    int index = 0;

    for (size_t i = 0; i < object->field_count; i++)
        if (schema_is_stored(object->fields[i]))
            store_bind(statement, ++index, &values[i]);
    return index;
}

bool store_load(struct store *store, struct arena *arena, struct store_row *row, struct error *err)
{
    const struct object *object = row->object;
    struct buf sql BUF_AUTO = {0};
    struct value key = value_text(row->id);
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    row->values = NULL;
    buf_init(&sql, MAX_SQL_BYTES);
    buf_text(&sql, "select ");
    append_columns(&sql, object, "\"");
    buf_printf(&sql, " from \"%s\" where \"Id\" = ?", object->name);
    if (!store_prepare(store, sql.data, &statement, err))
        return false;
    store_bind(statement, 1, &key);
    if (!store_step(store, statement, &has_row, err))
        return false;
    if (!has_row)
        return true;
    row->values = arena_array(arena, struct value, object->field_count);
    int column = 0;
    for (size_t i = 0; i < object->field_count; i++)
        if (schema_is_stored(object->fields[i]))
            row->values[i] = store_column(arena, statement, column++);
    sqlite3_reset(statement);
    return true;
}

bool store_insert(struct store *store, const struct store_row *row, struct error *err)
{
    const struct object *object = row->object;
    struct buf sql BUF_AUTO = {0};
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    buf_init(&sql, MAX_SQL_BYTES);
    buf_printf(&sql, "insert into \"%s\" (", object->name);
    append_columns(&sql, object, "\"");
    buf_text(&sql, ") values (");
    const char *separator = "?";
    for (size_t i = 0; i < object->field_count; i++)
        if (schema_is_stored(object->fields[i])) {
            buf_text(&sql, separator);
            separator = ", ?";
        }
    buf_text(&sql, ")");
    if (!store_prepare(store, sql.data, &statement, err))
        return false;
    bind_stored(statement, object, row->values);
    return store_step(store, statement, &has_row, err);
}

bool store_update(struct store *store, const struct store_row *row, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct value key = value_text(row->id);
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    buf_init(&sql, MAX_SQL_BYTES);
    buf_printf(&sql, "update \"%s\" set ", row->object->name);
    append_columns(&sql, row->object, "\" = ?");
    buf_text(&sql, " where \"Id\" = ?");
    if (!store_prepare(store, sql.data, &statement, err))
        return false;
    int last = bind_stored(statement, row->object, row->values);
    store_bind(statement, last + 1, &key);
    return store_step(store, statement, &has_row, err);
}

bool store_find(struct store *store, struct arena *arena, struct store_search *search,
                struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    sqlite3_stmt *statement = NULL;
    bool has_row = true;

    search->count = 0;
    buf_init(&sql, MAX_SQL_BYTES);
    buf_printf(&sql, "select \"Id\" from \"%s\" where \"%s\" = ?1 and \"IsDeleted\" = 0 limit 2",
               search->object->name, search->field->name);
    if (!store_prepare(store, sql.data, &statement, err))
        return false;
    store_bind(statement, 1, &search->value);
    while (search->count < 2) {
        if (!store_step(store, statement, &has_row, err))
            return false;
        if (!has_row)
            break;
        search->ids[search->count++] = store_column(arena, statement, 0).text;
    }
    sqlite3_reset(statement);
    return true;
}
