#include "sandbox/collections.h"

#include <string.h>
#include <strings.h>

#include "sandbox/ids.h"
#include "sandbox/record.h"
#include "sandbox/removal.h"
#include "sandbox/save.h"
#include "sandbox/values.h"

enum { MAX_RECORDS = 200, MAX_CHUNKS = 10, MAX_RETRIEVED = 2000, MAX_FIELD_BYTES = 60000 };

/* One call over many records. */
struct batch {
    struct call *call;
    size_t count;
    bool is_all_or_none;
    const json_t *records;       /* of create, update, upsert */
    const char **ids;            /* of delete */
    const struct object *object; /* of upsert */
    const struct field *key;     /* of upsert; NULL upserts by Id */
    struct save *saves;
    struct ids_text *seen; /* by index: what update was given */
    bool has_failures;
};

static bool refuse_limit(struct call *call)
{
    call_error(call, "EXCEEDED_ID_LIMIT",
               "record limit reached. cannot submit more than %d records into this call",
               MAX_RECORDS);
    return false;
}

static json_t *write_result(const struct batch *batch, const struct save *save)
{
    json_t *result = json_object();

    if (save->id != NULL && errors_is_empty(&save->errors))
        json_object_set_new(result, "id", json_string(save->id));
    json_object_set_new(result, "success", json_boolean(errors_is_empty(&save->errors)));
    json_object_set_new(result, "errors", errors_to_json(&save->errors, "statusCode"));
    if (batch->object != NULL && errors_is_empty(&save->errors))
        json_object_set_new(result, "created", json_boolean(save->is_created));
    return result;
}

static void answer(const struct batch *batch)
{
    json_t *results = json_array();

    for (size_t i = 0; i < batch->count; i++)
        json_array_append_new(results, write_result(batch, &batch->saves[i]));
    batch->call->record_count = batch->count;
    call_json(batch->call, 200, results);
}

/* After the roll-back: the good rows were not saved either. */
static void mark_rolled_back(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct save *save = &batch->saves[i];

        if (!errors_is_empty(&save->errors))
            continue;
        errors_add(&save->errors, "ALL_OR_NONE_OPERATION_ROLLED_BACK", "",
                   "Record rolled back because not all records were valid and the request was "
                   "using AllOrNone header");
    }
}

/* One record in a unit of work of its own, inside the call's. */
static bool run_one(struct batch *batch, size_t index,
                    bool (*run)(struct batch *, size_t, struct error *), struct error *err)
{
    struct store *store = batch->call->org->store;
    struct save *save = &batch->saves[index];

    save_init(save, batch->call->org, batch->call->arena, batch->object);
    if (!store_begin(store, err))
        return false;
    if (!run(batch, index, err)) {
        struct error ignored = {0};
        store_rollback(store, &ignored);
        return false;
    }
    if (errors_is_empty(&save->errors))
        return store_commit(store, err);
    batch->has_failures = true;
    return store_rollback(store, err);
}

static bool run_all(struct batch *batch, bool (*run)(struct batch *, size_t, struct error *),
                    struct error *err)
{
    struct store *store = batch->call->org->store;
    struct error ignored = {0};

    batch->saves = arena_array(batch->call->arena, struct save, batch->count + 1);
    batch->seen = arena_array(batch->call->arena, struct ids_text, batch->count + 1);
    if (!store_begin(store, err))
        return false;
    for (size_t i = 0; i < batch->count; i++)
        if (!run_one(batch, i, run, err)) {
            store_rollback(store, &ignored);
            return false;
        }
    if (!batch->has_failures || !batch->is_all_or_none)
        return store_commit(store, err);
    mark_rolled_back(batch);
    return store_rollback(store, err);
}

static void run_and_answer(struct batch *batch, bool (*run)(struct batch *, size_t, struct error *))
{
    struct error err = {0};

    if (run_all(batch, run, &err))
        answer(batch);
    else
        call_failed(batch->call, &err);
}

/* ---- the records of a body ---- */

static bool read_body(struct batch *batch)
{
    json_t *body = call_body(batch->call);

    if (body == NULL)
        return false;
    batch->records = json_object_get(body, "records");
    batch->is_all_or_none = json_is_true(json_object_get(body, "allOrNone"));
    batch->count = json_array_size(batch->records);
    if (!json_is_array(batch->records)) {
        call_error(batch->call, "JSON_PARSER_ERROR", "records: an array of records is required");
        return false;
    }
    if (batch->count > MAX_RECORDS)
        return refuse_limit(batch->call);
    return true;
}

/* Records of one type that follow each other are one chunk. */
static bool check_chunks(struct batch *batch)
{
    const char *last = "";
    int chunks = 0;
    size_t index;
    const json_t *record;

    json_array_foreach(batch->records, index, record)
    {
        const char *type =
            json_string_value(json_object_get(json_object_get(record, "attributes"), "type"));

        if (type == NULL || strcasecmp(type, last) == 0)
            continue;
        last = type;
        chunks++;
    }
    if (chunks <= MAX_CHUNKS)
        return true;
    call_error(batch->call, "LIMIT_EXCEEDED",
               "Cannot have more than %d chunks in a single operation. Please rearrange the data "
               "to reduce chunking.",
               MAX_CHUNKS);
    return false;
}

/* The record must not have come before in the same call. */
static bool check_repeated(struct batch *batch, size_t index, const char *id)
{
    struct save *save = &batch->saves[index];
    struct ids_text own;

    if (!ids_normalize(id, &own))
        return true;
    batch->seen[index] = own;
    for (size_t i = 0; i < index; i++)
        if (strcmp(batch->seen[i].text, own.text) == 0)
            return errors_add(&save->errors, "DUPLICATE_VALUE", "Id", "Duplicate id in list: %s",
                              own.text);
    return true;
}

static const json_t *get_any_case(const json_t *record, const char *name)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)record, key, value) if (strcasecmp(key, name) == 0) return value;
    return NULL;
}

/* The object that a record's attributes name; NULL after adding to the save's errors. */
static bool find_type(struct batch *batch, const json_t *record, struct save *save)
{
    const char *type =
        json_string_value(json_object_get(json_object_get(record, "attributes"), "type"));
    const struct object *object =
        type != NULL ? schema_find_visible(batch->call->org->schema, type) : NULL;

    if (object == NULL)
        return errors_add(&save->errors, "INVALID_TYPE", "", "sObject type '%s' is not supported.",
                          type != NULL ? type : "null");
    save->object = object;
    return true;
}

static bool create_one(struct batch *batch, size_t index, struct error *err)
{
    const json_t *record = json_array_get(batch->records, index);
    struct save *save = &batch->saves[index];

    return !find_type(batch, record, save) || save_insert(save, record, err);
}

static bool update_one(struct batch *batch, size_t index, struct error *err)
{
    const json_t *record = json_array_get(batch->records, index);
    const char *id = json_string_value(get_any_case(record, "Id"));
    struct save *save = &batch->saves[index];

    if (!find_type(batch, record, save))
        return true;
    if (id == NULL) {
        errors_add(&save->errors, "MISSING_ARGUMENT", "Id", "Id not specified in an update call");
        return true;
    }
    return !check_repeated(batch, index, id) || save_update(save, id, record, err);
}

static const char *read_key(struct batch *batch, const json_t *value, struct save *save)
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_number(value))
        return arena_printf(batch->call->arena, "%.15g", json_number_value(value));
    errors_add(&save->errors, "MISSING_ARGUMENT", batch->key->name, "%s not specified",
               batch->key->name);
    return NULL;
}

static bool upsert_one(struct batch *batch, size_t index, struct error *err)
{
    const json_t *record = json_array_get(batch->records, index);
    struct save *save = &batch->saves[index];
    const json_t *value = get_any_case(record, batch->key->name);
    bool is_by_id = strcmp(batch->key->type->name, "id") == 0;

    if (!find_type(batch, record, save))
        return true;
    if (is_by_id && value == NULL)
        return save_insert(save, record, err);
    const char *key = read_key(batch, value, save);
    if (key == NULL)
        return true;
    if (is_by_id)
        return save_update(save, key, record, err);
    return save_upsert(save, batch->key, key, record, err);
}

void collections_create(struct call *call)
{
    struct batch batch = {.call = call};

    if (read_body(&batch) && check_chunks(&batch))
        run_and_answer(&batch, create_one);
}

void collections_update(struct call *call)
{
    struct batch batch = {.call = call};

    if (read_body(&batch) && check_chunks(&batch))
        run_and_answer(&batch, update_one);
}

void collections_upsert(struct call *call)
{
    struct batch batch = {.call = call, .object = call_object(call, call->arguments[0])};

    if (batch.object == NULL)
        return;
    batch.key = schema_field(batch.object, call->arguments[1]);
    if (batch.key == NULL || !batch.key->is_id_lookup) {
        call_error(call, "NOT_FOUND",
                   "Provided external ID field does not exist or is not accessible: %s",
                   call->arguments[1]);
        return;
    }
    if (read_body(&batch))
        run_and_answer(&batch, upsert_one);
}

/* ---- delete and retrieve ---- */

static size_t split_ids(struct call *call, const char *text, const char **ids, size_t room)
{
    size_t count = 0;

    while (*text != '\0' && count < room) {
        size_t length = strcspn(text, ",");

        if (length > 0)
            ids[count++] = arena_strndup(call->arena, text, length);
        text += length + (text[length] == ',');
    }
    return count;
}

static bool delete_one(struct batch *batch, size_t index, struct error *err)
{
    struct save *save = &batch->saves[index];
    const char *id = batch->ids[index];

    save->object = strlen(id) >= 3 ? schema_find_prefix(batch->call->org->schema, id) : NULL;
    if (save->object == NULL) {
        errors_add(&save->errors, "MALFORMED_ID", "Id", "malformed id %s", id);
        return true;
    }
    return removal_delete(save, id, err);
}

void collections_delete(struct call *call)
{
    const char *ids = http_server_param(call->request, "ids");
    const char *all_or_none = http_server_param(call->request, "allOrNone");
    struct batch batch = {
        .call = call,
        .ids = arena_array(call->arena, const char *, MAX_RECORDS + 1),
        .is_all_or_none = all_or_none != NULL && strcasecmp(all_or_none, "true") == 0,
    };

    if (ids == NULL) {
        call_error(call, "MISSING_ARGUMENT", "The ids parameter is required");
        return;
    }
    batch.count = split_ids(call, ids, batch.ids, MAX_RECORDS + 1);
    if (batch.count > MAX_RECORDS)
        refuse_limit(call);
    else
        run_and_answer(&batch, delete_one);
}

static size_t list_ids(struct call *call, const json_t *body, const char **ids)
{
    const char *text = http_server_param(call->request, "ids");
    size_t count = 0;
    size_t index;
    const json_t *id;

    if (body == NULL)
        return text != NULL ? split_ids(call, text, ids, MAX_RETRIEVED + 1) : 0;
    json_array_foreach(json_object_get(body, "ids"), index,
                       id) if (count <= MAX_RETRIEVED && json_is_string(id)) ids[count++] =
        json_string_value(id);
    return count;
}

static const char *list_fields(struct call *call, const json_t *body)
{
    struct buf names BUF_AUTO = {0};
    size_t index;
    const json_t *name;

    buf_init(&names, MAX_FIELD_BYTES);
    if (body == NULL)
        return http_server_param(call->request, "fields");
    json_array_foreach(json_object_get(body, "fields"), index, name) if (json_is_string(name))
        buf_printf(&names, "%s%s", names.size_bytes > 0 ? "," : "", json_string_value(name));
    return arena_strdup(call->arena, names.data);
}

static bool write_retrieved(struct call *call, const struct object *object, const char **ids,
                            size_t count, const char *fields)
{
    struct buf *body = &call->response->body;

    buf_char(body, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_char(body, ',');
        struct buf row BUF_AUTO = {0};
        buf_init(&row, body->max_bytes);
        if (!record_write(call, object, ids[i], fields, &row))
            return false;
        if (row.size_bytes == 0)
            buf_text(&row, "null");
        buf_append(body, row.data, row.size_bytes);
    }
    buf_char(body, ']');
    return true;
}

void collections_retrieve(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);
    json_t *body = NULL;

    if (object == NULL)
        return;
    if (strcmp(call->method, "POST") == 0) {
        body = call_body(call);
        if (body == NULL)
            return;
    }
    const char **ids = arena_array(call->arena, const char *, MAX_RETRIEVED + 2);
    size_t count = list_ids(call, body, ids);
    const char *fields = list_fields(call, body);
    if (count > MAX_RETRIEVED) {
        refuse_limit(call);
        return;
    }
    if (fields == NULL || *fields == '\0') {
        call_error(call, "MISSING_ARGUMENT", "The fields parameter is required");
        return;
    }
    call->record_count = count;
    if (write_retrieved(call, object, ids, count, fields))
        call_header(call, "Content-Type", "application/json;charset=UTF-8");
}
