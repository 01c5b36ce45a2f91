#include "sandbox/record.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/conditions.h"
#include "sandbox/ids.h"
#include "sandbox/query.h"
#include "sandbox/recent.h"
#include "sandbox/related.h"
#include "sandbox/removal.h"
#include "sandbox/save.h"
#include "sandbox/values.h"

enum { FIRST_MODIFIED_STATUS = 46, MAX_SOQL_BYTES = 128 * 1024 };

static void refuse_missing(struct call *call)
{
    call_error(call, "NOT_FOUND", "The requested resource does not exist");
}

/* Begins a unit of work; the end keeps it only when nothing was wrong. */
static bool begin(struct call *call, struct save *save, const struct object *object)
{
    struct error err = {0};

    save_init(save, call->org, call->arena, object);
    call->record_count = 1;
    if (store_begin(call->org->store, &err))
        return true;
    call_failed(call, &err);
    return false;
}

/* True when the record was saved; else the call has been answered. */
static bool end(struct call *call, struct save *save, bool is_done, struct error *err)
{
    bool is_kept = is_done && errors_is_empty(&save->errors);

    if (!(is_kept ? store_commit(call->org->store, err) : store_rollback(call->org->store, err)))
        is_done = false;
    if (!is_done) {
        call_failed(call, err);
        return false;
    }
    if (save->is_missing && !is_kept) {
        refuse_missing(call);
        return false;
    }
    if (!is_kept)
        call_errors(call, &save->errors);
    return is_kept;
}

static json_t *saved(const struct save *save)
{
    return json_pack("{s:s, s:b, s:[]}", "id", save->id, "success", 1, "errors");
}

/* The body as an object of fields, or NULL after refusing. */
static json_t *read_fields(struct call *call)
{
    json_t *body = call_body(call);

    if (body != NULL && !json_is_object(body)) {
        call_error(call, "JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object");
        return NULL;
    }
    return body;
}

static void answer_created(struct call *call, const struct save *save, json_t *answer)
{
    call_header(call, "Location", call_url(call, "/sobjects/%s/%s", save->object->name, save->id));
    call_json(call, 201, answer);
}

void record_create(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);
    json_t *fields = object != NULL ? read_fields(call) : NULL;
    struct save save;
    struct error err = {0};

    if (fields == NULL || !begin(call, &save, object))
        return;
    bool is_done = save_insert(&save, fields, &err);
    if (end(call, &save, is_done, &err)) {
        recent_add(call->org, save.id);
        answer_created(call, &save, saved(&save));
    }
}

/* ---- reading ---- */

bool record_is_field_list(const char *fields)
{
    for (; *fields != '\0'; fields++)
        if (!isalnum((unsigned char)*fields) && strchr("_., ", *fields) == NULL)
            return false;
    return true;
}

static bool write_soql(struct call *call, const struct object *object, const char *id,
                       const char *fields, struct buf *soql)
{
    if (fields != NULL && !record_is_field_list(fields)) {
        call_error(call, "INVALID_FIELD", "No such column '%s' on entity '%s'.", fields,
                   object->name);
        return false;
    }
    buf_printf(soql, "SELECT %s FROM %s WHERE Id = '%s' LIMIT 1",
               fields != NULL ? fields : "FIELDS(ALL)", object->name, id);
    return true;
}

bool record_write(struct call *call, const struct object *object, const char *id,
                  const char *fields, struct buf *out)
{
    struct buf soql BUF_AUTO = {0};
    struct ids_text whole;
    sqlite3_stmt *statement = NULL;
    struct error err = {0};

    buf_init(&soql, MAX_SOQL_BYTES);
    if (!ids_normalize(id, &whole))
        return true;
    if (!write_soql(call, object, whole.text, fields, &soql))
        return false;
    struct soql_plan *plan = query_plan(call, call->arena, soql.data, false);
    if (plan == NULL)
        return false;
    bool is_written = query_prepare(call, plan, plan->sql, &statement, &err);
    if (is_written && sqlite3_step(statement) == SQLITE_ROW)
        is_written = query_write_row(call, plan, statement, out, &err);
    sqlite3_finalize(statement);
    if (!is_written)
        call_failed(call, &err);
    return is_written;
}

static void answer_record(struct call *call, const struct object *object, const char *id)
{
    struct buf *body = &call->response->body;
    struct ids_text whole;

    if (!record_write(call, object, id, http_server_param(call->request, "fields"), body))
        return;
    if (body->size_bytes == 0) {
        refuse_missing(call);
        return;
    }
    if (!conditions_read_row(call, object, id)) {
        buf_clear(body);
        return;
    }
    if (ids_normalize(id, &whole))
        recent_add(call->org, whole.text);
    call_header(call, "Content-Type", "application/json;charset=UTF-8");
}

void record_get(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);

    if (object != NULL)
        answer_record(call, object, call->arguments[1]);
}

/* ---- changing ---- */

void record_update(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);
    json_t *fields = object != NULL ? read_fields(call) : NULL;
    struct save save;
    struct error err = {0};

    if (fields == NULL || !conditions_change_row(call, object, call->arguments[1]) ||
        !begin(call, &save, object))
        return;
    bool is_done = save_update(&save, call->arguments[1], fields, &err);
    if (end(call, &save, is_done, &err)) {
        recent_add(call->org, save.id);
        call_no_content(call);
    }
}

void record_delete(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);
    struct save save;
    struct error err = {0};

    if (object == NULL || !begin(call, &save, object))
        return;
    bool is_done = removal_delete(&save, call->arguments[1], &err);
    if (end(call, &save, is_done, &err))
        call_no_content(call);
}

/* ---- by external id ---- */

static const struct field *find_key(struct call *call, const struct object *object)
{
    const struct field *key = object != NULL ? schema_field(object, call->arguments[1]) : NULL;

    if (object != NULL && (key == NULL || !key->is_id_lookup || key->is_hidden)) {
        call_error(call, "NOT_FOUND",
                   "Provided external ID field does not exist or is not accessible: %s",
                   call->arguments[1]);
        return NULL;
    }
    return key;
}

/* 300 with the URLs of the records that share the value. */
static void answer_ambiguous(struct call *call, const struct object *object,
                             const struct field *key)
{
    struct record_errors errors = {.arena = call->arena};
    struct store_search search = {.object = object, .field = key};
    struct error err = {0};
    json_t *urls = json_array();

    if (values_read_text(key, call->arguments[2], &search.value, &errors) &&
        store_find(call->org->store, call->arena, &search, &err))
        for (size_t i = 0; i < search.count; i++)
            json_array_append_new(
                urls, json_string(call_url(call, "/sobjects/%s/%s", object->name, search.ids[i])));
    call_json(call, 300, urls);
}

/* The record that has the key's value, or NULL after answering. */
static const char *find_by_key(struct call *call, const struct object *object,
                               const struct field *key)
{
    struct save save;
    struct error err = {0};

    save_init(&save, call->org, call->arena, object);
    if (!save_find(&save, key, call->arguments[2], &err))
        call_failed(call, &err);
    else if (save.is_ambiguous)
        answer_ambiguous(call, object, key);
    else if (save.id == NULL)
        refuse_missing(call);
    return save.id;
}

/* /X/ID/Relationship looks like /X/Field/VALUE; an id is no field's name. */
static bool is_related(const struct call *call, const struct object *object)
{
    return object != NULL && related_is(call, object);
}

void record_get_by_key(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);

    if (is_related(call, object)) {
        related_get(call, object);
        return;
    }
    const struct field *key = find_key(call, object);
    const char *id = key != NULL ? find_by_key(call, object, key) : NULL;

    if (id != NULL)
        answer_record(call, object, id);
}

void record_delete_by_key(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);

    if (is_related(call, object)) {
        if (related_find_parent(call, object))
            record_delete(call);
        return;
    }
    const struct field *key = find_key(call, object);
    const char *id = key != NULL ? find_by_key(call, object, key) : NULL;

    if (id == NULL)
        return;
    call->arguments[1] = id;
    record_delete(call);
}

static void answer_upserted(struct call *call, const struct save *save)
{
    json_t *answer = saved(save);

    json_object_set_new(answer, "created", json_boolean(save->is_created));
    if (save->is_created) {
        answer_created(call, save, answer);
    } else if (atoi(call->version) >= FIRST_MODIFIED_STATUS) {
        call_json(call, 200, answer);
    } else {
        json_decref(answer);
        call_no_content(call);
    }
}

static bool repeats_key(struct call *call, const json_t *fields, const struct field *key)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)fields, name, value) if (strcasecmp(name, key->name) == 0)
    {
        call_error(call, "INVALID_FIELD",
                   "The %s field should not be specified in the sobject data.", key->name);
        return true;
    }
    return false;
}

void record_upsert(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);

    if (is_related(call, object)) {
        if (related_find_parent(call, object))
            record_update(call);
        return;
    }
    const struct field *key = find_key(call, object);
    json_t *fields = key != NULL ? read_fields(call) : NULL;
    struct save save;
    struct error err = {0};

    if (fields == NULL || repeats_key(call, fields, key) || !begin(call, &save, object))
        return;
    bool is_done = strcmp(key->type->name, "id") == 0
                       ? save_update(&save, call->arguments[2], fields, &err)
                       : save_upsert(&save, key, call->arguments[2], fields, &err);
    if (save.is_ambiguous) {
        store_rollback(call->org->store, &err);
        answer_ambiguous(call, object, key);
        return;
    }
    if (end(call, &save, is_done, &err))
        answer_upserted(call, &save);
}
