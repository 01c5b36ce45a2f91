#include <stdlib.h>
#include <string.h>

#include "sandbox/door.h"
#include "sandbox/ids.h"
#include "sandbox/removal.h"
#include "sandbox/times.h"
#include "sandbox/values.h"

enum { MAX_LOAD = 10000000 };

static void refuse(struct call *call, const char *message)
{
    call_json(call, 400, json_pack("{s:s}", "error", message));
}

static const struct object *read_object(struct call *call, json_t **body)
{
    *body = call_body(call);
    if (*body == NULL)
        return NULL;
    const char *name = json_string_value(json_object_get(*body, "object"));
    const struct object *object = name != NULL ? schema_find(call->org->schema, name) : NULL;
    if (object == NULL)
        refuse(call, "\"object\" must name an object");
    return object;
}

/* What a row has when nobody says otherwise. */
static void set_system_values(struct call *call, struct store_row *row, const char *now)
{
    for (size_t i = 0; i < row->object->field_count; i++) {
        const struct field *field = row->object->fields[i];

        if (strcmp(field->name, "Id") == 0)
            row->values[i] = value_text(row->id);
        else if (field->type->kind == KIND_DATETIME && !field->is_nillable)
            row->values[i] = value_text(now);
        else if (field->type->kind == KIND_BOOLEAN)
            row->values[i] = value_integer(0);
        else if (schema_field_refers_to(field, schema_find(call->org->schema, "User")) &&
                 !field->is_nillable)
            row->values[i] = value_text(call->org->user_id);
    }
}

static bool new_row(struct call *call, struct store_row *row, const char *now, struct error *err)
{
    int64_t number = 0;

    if (!store_next_number(call->org->store, row->object, &number, err))
        return false;
    row->id = arena_strdup(call->arena, ids_make(row->object->key_prefix, number).text);
    row->values = arena_array(call->arena, struct value, row->object->field_count);
    set_system_values(call, row, now);
    return true;
}

/* ---- raw rows ---- */

static bool insert_raw(struct call *call, const struct object *object, const json_t *record,
                       struct record_errors *errors, struct error *err)
{
    struct store_row row = {.object = object};
    const char *now = arena_strdup(call->arena, times_format_datetime(org_now(call->org)).text);
    const char *key;
    json_t *json;

    if (!new_row(call, &row, now, err))
        return false;
    json_object_foreach((json_t *)record, key, json)
    {
        const struct field *field = schema_field(object, key);

        if (field == NULL || !schema_is_stored(field))
            errors_add(errors, "INVALID_FIELD", "", "No such column '%s'", key);
        else
            values_read(field, json, &row.values[field->index], errors);
    }
    return !errors_is_empty(errors) || store_insert(call->org->store, &row, err);
}

static bool insert_all(struct call *call, const struct object *object, const json_t *records,
                       struct record_errors *errors, struct error *err)
{
    size_t index;
    const json_t *record;

    json_array_foreach(records, index,
                       record) if (!insert_raw(call, object, record, errors, err)) return false;
    return true;
}

void door_rows_insert(struct call *call)
{
    json_t *body = NULL;
    const struct object *object = read_object(call, &body);
    struct record_errors errors = {.arena = call->arena};
    struct error err = {0};

    if (object == NULL)
        return;
    const json_t *records = json_object_get(body, "records");
    bool is_done = store_begin(call->org->store, &err);
    bool is_kept = is_done && (is_done = insert_all(call, object, records, &errors, &err)) &&
                   errors_is_empty(&errors);
    struct error ignored = {0};
    is_done = is_done && (!is_kept || store_commit(call->org->store, &err));
    if (!is_kept)
        store_rollback(call->org->store, &ignored);
    if (!is_done)
        call_failed(call, &err);
    else if (!is_kept)
        call_errors(call, &errors);
    else
        call_json(call, 200, json_pack("{s:I}", "inserted", (json_int_t)json_array_size(records)));
}

/* ---- generated rows ---- */

static struct value generate(struct call *call, const struct object *object,
                             const struct field *field, int64_t number)
{
    if (field->picklist_count > 0)
        return value_text(field->picklist[(size_t)number % field->picklist_count].value);
    switch (field->type->kind) {
    case KIND_INTEGER: return value_integer(number % 100000);
    case KIND_REAL: return value_real((double)(number % 1000));
    case KIND_DATE: return value_text("2026-01-31");
    case KIND_TEXT: break;
    default: return (struct value){.kind = VALUE_NULL};
    }
    if (strcmp(field->type->name, "email") == 0)
        return value_text(arena_printf(call->arena, "p%lld@example.com", (long long)number));
    return value_text(
        arena_printf(call->arena, "%s %s %lld", object->label, field->name, (long long)number));
}

/* Long texts stay empty: the rows are for counting, not for reading. */
static bool is_generated(const struct field *field)
{
    return schema_is_stored(field) && field->reference_count == 0 && field->auto_format == NULL &&
           field->type->kind != KIND_ID && (field->is_createable || field->is_name) &&
           (field->type->kind != KIND_TEXT || (field->length >= 40 && field->length <= 255));
}

static bool load_one(struct call *call, const struct object *object, const char *now,
                     int64_t number, struct error *err)
{
    struct store_row row = {.object = object};

    if (!new_row(call, &row, now, err))
        return false;
    for (size_t i = 0; i < object->field_count; i++)
        if (is_generated(object->fields[i]) && row.values[i].kind == VALUE_NULL)
            row.values[i] = generate(call, object, object->fields[i], number);
    return store_insert(call->org->store, &row, err);
}

static bool load_all(struct call *call, const struct object *object, int64_t count,
                     struct error *err)
{
    struct arena *outer = call->arena;
    struct times_text now = times_format_datetime(org_now(call->org));
    bool is_done = true;

    /* Rows by the million: each gets its memory from an arena that is emptied after it. */
    call->arena = arena_new();
    for (int64_t i = 0; i < count && is_done; i++) {
        is_done = load_one(call, object, now.text, i + 1, err);
        arena_reset(call->arena);
    }
    arena_free(call->arena);
    call->arena = outer;
    return is_done;
}

void door_rows_load(struct call *call)
{
    json_t *body = NULL;
    const struct object *object = read_object(call, &body);
    struct error err = {0};
    struct error ignored = {0};

    if (object == NULL)
        return;
    int64_t count = json_integer_value(json_object_get(body, "count"));
    if (count < 1 || count > MAX_LOAD) {
        refuse(call, "\"count\" is from 1 to 10000000");
        return;
    }
    if (!store_begin(call->org->store, &err)) {
        call_failed(call, &err);
    } else if (load_all(call, object, count, &err) && store_commit(call->org->store, &err)) {
        call_json(call, 200, json_pack("{s:I}", "loaded", (json_int_t)count));
    } else {
        store_rollback(call->org->store, &ignored);
        call_failed(call, &err);
    }
}

/* ---- reading ---- */

void door_rows_records(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);
    struct buf *body = &call->response->body;
    struct error err = {0};
    sqlite3_stmt *statement = NULL;
    bool is_first = true;

    if (object == NULL)
        return;
    const char *sql =
        arena_printf(call->arena, "select * from \"%s\" order by \"_row\"", object->name);
    if (!store_prepare(call->org->store, sql, &statement, &err)) {
        call_failed(call, &err);
        return;
    }
    call_header(call, "Content-Type", "application/json;charset=UTF-8");
    buf_text(body, "{\"records\":[");
    while (sqlite3_step(statement) == SQLITE_ROW) {
        buf_text(body, is_first ? "{" : ",{");
        is_first = false;
        const char *separator = "";
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const struct field *field = schema_field(object, sqlite3_column_name(statement, i));
            struct value value = values_peek(statement, i);

            if (field == NULL)
                continue;
            buf_printf(body, "%s\"%s\":", separator, field->name);
            values_write(body, field, &value);
            separator = ",";
        }
        buf_char(body, '}');
    }
    sqlite3_reset(statement);
    buf_text(body, "]}");
}

/* ---- the recycle bin ---- */

static bool change_all(struct call *call, const json_t *ids, struct record_errors *errors,
                       bool (*change)(struct save *, const char *, struct error *),
                       struct error *err)
{
    size_t index;
    const json_t *id;

    json_array_foreach(ids, index, id)
    {
        const char *text = json_string_value(id);
        const struct object *object =
            text != NULL && strlen(text) >= 3 ? schema_find_prefix(call->org->schema, text) : NULL;
        struct save save;

        if (object == NULL) {
            errors_add(errors, "MALFORMED_ID", "Id", "malformed id %s", text != NULL ? text : "");
            return true;
        }
        save_init(&save, call->org, call->arena, object);
        if (!change(&save, text, err))
            return false;
        if (!errors_is_empty(&save.errors)) {
            *errors = save.errors;
            return true;
        }
    }
    return true;
}

static void change_ids(struct call *call,
                       bool (*change)(struct save *, const char *, struct error *))
{
    json_t *body = call_body(call);
    struct record_errors errors = {.arena = call->arena};
    struct error err = {0};
    struct error ignored = {0};

    if (body == NULL)
        return;
    bool is_done = store_begin(call->org->store, &err) &&
                   change_all(call, json_object_get(body, "ids"), &errors, change, &err);
    if (is_done && errors_is_empty(&errors) && store_commit(call->org->store, &err)) {
        call_json(call, 200, json_pack("{s:b}", "done", 1));
        return;
    }
    store_rollback(call->org->store, &ignored);
    if (is_done && !errors_is_empty(&errors))
        call_errors(call, &errors);
    else
        call_failed(call, &err);
}

void door_rows_undelete(struct call *call)
{
    change_ids(call, removal_undelete);
}

void door_rows_purge(struct call *call)
{
    change_ids(call, removal_purge);
}

/* Without an event, as a real bin is emptied. What was deleted before is not told by getDeleted. */
void door_rows_empty_bin(struct call *call)
{
    struct org *org = call->org;
    struct error err = {0};

    for (size_t i = 0; i < schema_count(org->schema); i++) {
        const char *sql = arena_printf(call->arena, "delete from \"%s\" where \"IsDeleted\" = 1",
                                       schema_at(org->schema, i)->name);

        if (!store_run(org->store, sql, &err)) {
            call_failed(call, &err);
            return;
        }
    }
    org->bin_emptied_s = org_now(org);
    call_json(call, 200, json_pack("{s:b}", "done", 1));
}
