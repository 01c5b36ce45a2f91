#include "sf/collections.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sf/datetime.h"
#include "sf/id.h"
#include "sf/soql.h"

enum { PATH_BYTES = 8 * 1024, ERRORS_SHOWN = 10, MESSAGE_BYTES = 8 * 1024 };

json_t *sf_record_new(const char *object)
{
    return json_pack("{s:{s:s}}", "attributes", "type", object);
}

static size_t record_count(const struct sf_batch *batch)
{
    return batch->write == SF_DELETE ? batch->id_count : json_array_size(batch->records);
}

/* A batch that cannot be right is our own mistake, and is not sent. */
static bool check_batch(const struct sf_batch *batch, struct error *err)
{
    size_t count = record_count(batch);

    if (count == 0 || count > SF_BATCH_RECORDS)
        return error_set(err, ERROR_BUG, "a batch of %zu records, not 1 to %d", count,
                         SF_BATCH_RECORDS);
    for (size_t i = 0; batch->write == SF_DELETE && i < count; i++) {
        if (!sf_id_is_valid(batch->ids[i]))
            return error_set(err, ERROR_BUG, "a batch deletes \"%s\", which is no id",
                             batch->ids[i]);
    }
    if (batch->unmodified_since_s != 0 && (batch->write != SF_UPDATE || count != 1))
        return error_set(err, ERROR_BUG, "a condition is of the update of one record");
    if (batch->write == SF_UPSERT &&
        (batch->object == NULL || batch->external_id_field == NULL ||
         !soql_is_name(batch->object) || !soql_is_name(batch->external_id_field)))
        return error_set(err, ERROR_BUG, "an upsert without an object or an external id field");
    return true;
}

static const char *make_single_path(const struct sf_batch *batch, struct arena *arena)
{
    const json_t *record = json_array_get(batch->records, 0);
    const json_t *attributes = json_object_get(record, "attributes");

    return arena_printf(arena, "/sobjects/%s/%s",
                        json_string_value(json_object_get(attributes, "type")),
                        json_string_value(json_object_get(record, "id")));
}

static const char *make_path(const struct sf_batch *batch, struct arena *arena)
{
    struct buf path BUF_AUTO = {0};

    if (batch->write == SF_UPSERT)
        return arena_printf(arena, "/composite/sobjects/%s/%s", batch->object,
                            batch->external_id_field);
    if (batch->unmodified_since_s != 0)
        return make_single_path(batch, arena);
    if (batch->write != SF_DELETE)
        return "/composite/sobjects";
    buf_init(&path, PATH_BYTES);
    for (size_t i = 0; i < batch->id_count; i++) {
        buf_text(&path, i == 0 ? "/composite/sobjects?ids=" : ",");
        buf_text(&path, batch->ids[i]);
    }
    buf_text(&path, "&allOrNone=false");
    return arena_strdup(arena, path.data);
}

/* Whether fifteen digits are enough to read the same number back: 19.99, not 19.989999999999998. */
static bool is_short(double number)
{
    char text[40];

    snprintf(text, sizeof(text), "%.15g", number);
    return strtod(text, NULL) == number;
}

size_t sf_collection_digits(const json_t *records)
{
    const char *name;
    json_t *record;
    json_t *value;
    size_t i;

    json_array_foreach(records, i, record)
    {
        json_object_foreach(record, name, value)
        {
            if (json_is_real(value) && !is_short(json_real_value(value)))
                return 17;
        }
    }
    return 15;
}

/* What it is and which one stand in the path. */
static json_t *make_single(const struct sf_batch *batch)
{
    json_t *record = json_copy(json_array_get(batch->records, 0));

    json_object_del(record, "attributes");
    json_object_del(record, "id");
    return record;
}

static json_t *make_collection(const struct sf_batch *batch)
{
    json_t *body = json_object();

    json_object_set_new(body, "allOrNone", json_false());
    json_object_set(body, "records", (json_t *)(uintptr_t)batch->records);
    return body;
}

/* The caller frees the text. */
static char *make_body(const struct sf_batch *batch)
{
    if (batch->write == SF_DELETE)
        return NULL;
    json_t *body SF_JSON_AUTO =
        batch->unmodified_since_s != 0 ? make_single(batch) : make_collection(batch);
    return json_dumps(body,
                      JSON_COMPACT | JSON_REAL_PRECISION(sf_collection_digits(batch->records)));
}

static const char *const *read_fields(const json_t *error, struct arena *arena)
{
    const json_t *names = json_object_get(error, "fields");
    const char **fields = arena_array(arena, const char *, json_array_size(names) + 1);
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name != NULL)
            fields[count++] = arena_strdup(arena, name);
    }
    return fields;
}

/* Several errors of one record: all are told, the first one decides. */
static const char *join_messages(const json_t *errors, struct arena *arena)
{
    struct buf text BUF_AUTO = {0};
    size_t count = json_array_size(errors);

    buf_init(&text, MESSAGE_BYTES);
    for (size_t i = 0; i < count && i < ERRORS_SHOWN; i++) {
        const json_t *error = json_array_get(errors, i);
        const char *message = json_string_value(json_object_get(error, "message"));
        buf_text(&text, i > 0 ? "; " : "");
        buf_text(&text, message != NULL ? message : "no reason given");
    }
    return arena_strdup(arena, text.data);
}

static void read_errors(const json_t *errors, struct arena *arena, struct sf_row_result *out)
{
    const json_t *first = json_array_get(errors, 0);
    const char *code = json_string_value(json_object_get(first, "statusCode"));
    const char *message = json_string_value(json_object_get(first, "message"));

    out->code = arena_strdup(arena, code != NULL ? code : "");
    out->message = first != NULL ? join_messages(errors, arena) : "refused without a reason";
    out->fields = read_fields(first, arena);
    out->outcome = sf_outcome_of_record(out->code, message);
}

bool sf_collection_read_result(const json_t *json, enum sf_write write, struct arena *arena,
                               struct sf_row_result *out)
{
    static const char *const no_fields[] = {NULL};
    const json_t *success = json_object_get(json, "success");
    const char *id = json_string_value(json_object_get(json, "id"));
    char whole_id[SF_ID_BYTES] = "";

    if (!json_is_boolean(success))
        return false;
    if (id != NULL)
        sf_id_to_18(id, whole_id);
    *out = (struct sf_row_result){
        .id = arena_strdup(arena, whole_id), .code = "", .message = "", .fields = no_fields};
    if (!json_is_true(success)) {
        read_errors(json_object_get(json, "errors"), arena, out);
        return true;
    }
    out->outcome = SF_OUTCOME_SUCCESS;
    out->is_created = write == SF_CREATE || json_is_true(json_object_get(json, "created"));
    return write != SF_CREATE || whole_id[0] != '\0';
}

static void doubt(struct sf_batch *batch, const char *why)
{
    batch->fate = SF_IN_DOUBT;
    batch->outcome = SF_OUTCOME_UNKNOWN;
    batch->message = why;
    batch->results = NULL;
    batch->result_count = 0;
}

static void read_results(const json_t *json, struct sf_batch *batch, struct arena *arena)
{
    size_t count = record_count(batch);

    if (!json_is_array(json) || json_array_size(json) != count) {
        doubt(batch, "the answer has not one result for each record");
        return;
    }
    batch->results = arena_array(arena, struct sf_row_result, count);
    batch->result_count = count;
    for (size_t i = 0; i < count; i++) {
        if (!sf_collection_read_result(json_array_get(json, i), batch->write, arena,
                                       &batch->results[i])) {
            doubt(batch, "the answer has a result that is none");
            return;
        }
    }
}

/* A refusal of the whole request that is about its one record. */
static bool is_of_record(enum sf_outcome outcome, const char *code)
{
    switch (outcome) {
    case SF_OUTCOME_ALREADY_DONE:
    case SF_OUTCOME_CONFLICT:
    case SF_OUTCOME_GONE:
    case SF_OUTCOME_AMBIGUOUS:
    case SF_OUTCOME_DATA:
    case SF_OUTCOME_REFERENCE_MISSING:
    case SF_OUTCOME_PERMISSION: return true;
    case SF_OUTCOME_TRANSIENT: return code[0] != '\0';
    default: return false;
    }
}

/* An update of one record answers nothing when it was done, and a list of errors when it was not.
 */
static void read_single(const struct sf_call *call, struct sf_batch *batch, struct arena *arena)
{
    static const char *const no_fields[] = {NULL};
    const json_t *error = json_array_get(call->json, 0);
    const json_t *record = json_array_get(batch->records, 0);
    const char *message = json_string_value(json_object_get(error, "message"));
    struct sf_row_result result = {
        .id = arena_strdup(arena, json_string_value(json_object_get(record, "id"))),
        .code = batch->code,
        .message = "",
        .fields = no_fields,
    };

    if (call->outcome != SF_OUTCOME_SUCCESS) {
        result.outcome =
            batch->code[0] != '\0' ? sf_outcome_of_record(batch->code, message) : call->outcome;
        if (call->fate != SF_NOT_DONE || !is_of_record(result.outcome, batch->code))
            return;
        result.message = arena_strdup(arena, message != NULL ? message : batch->message);
        result.fields = read_fields(error, arena);
    }
    batch->fate = SF_ANSWERED;
    batch->outcome = SF_OUTCOME_SUCCESS;
    batch->result_count = 1;
    batch->results = arena_array(arena, struct sf_row_result, 1);
    batch->results[0] = result;
}

static void read_answer(const struct sf_call *call, struct sf_batch *batch, struct arena *arena)
{
    batch->fate = call->fate;
    batch->outcome = call->outcome;
    batch->code = arena_strdup(arena, call->code);
    batch->message = arena_strdup(arena, call->message != NULL ? call->message : "");
    batch->retry_after_s = call->retry_after_s;
    if (batch->unmodified_since_s != 0)
        read_single(call, batch, arena);
    else if (call->outcome == SF_OUTCOME_SUCCESS)
        read_results(call->json, batch, arena);
}

static void prepare(struct sf_batch *batch)
{
    batch->fate = SF_NOT_DONE;
    batch->outcome = SF_OUTCOME_UNKNOWN;
    batch->code = "";
    batch->message = "not sent";
    batch->retry_after_s = 0;
    batch->results = NULL;
    batch->result_count = 0;
}

static const char *const *make_headers(const struct sf_batch *batch, struct arena *arena)
{
    const char **headers = arena_array(arena, const char *, 2);

    if (batch->unmodified_since_s == 0)
        return NULL;
    headers[0] = arena_printf(arena, "If-Unmodified-Since: %s",
                              sf_datetime_format_http(batch->unmodified_since_s).text);
    return headers;
}

static void make_call(const struct sf_batch *batch, struct arena *arena, struct sf_call *out)
{
    static const char *const methods[] = {
        [SF_CREATE] = "POST", [SF_UPDATE] = "PATCH", [SF_UPSERT] = "PATCH", [SF_DELETE] = "DELETE"};

    out->method = methods[batch->write];
    out->path = make_path(batch, arena);
    out->headers = make_headers(batch, arena);
    out->body = make_body(batch);
    out->body_bytes = out->body != NULL ? strlen(out->body) : 0;
}

static void free_call(struct sf_batch *batch)
{
    free((void *)(uintptr_t)batch->call->body);
    sf_call_done(batch->call);
    free(batch->call);
    batch->call = NULL;
}

bool sf_collection_begin(struct sf_session *session, struct sf_batch *batch, struct arena *arena,
                         struct error *err)
{
    prepare(batch);
    if (!check_batch(batch, err))
        return false;
    batch->call = memory_alloc(sizeof(*batch->call));
    make_call(batch, arena, batch->call);
    sf_request_begin(session, batch->call);
    return true;
}

bool sf_collection_is_answered(const struct sf_batch *batch)
{
    return batch->call == NULL || sf_request_is_answered(batch->call);
}

bool sf_collection_end(struct sf_session *session, struct sf_batch *batch, struct arena *arena,
                       bool *is_over, struct error *err)
{
    *is_over = true;
    if (batch->call == NULL)
        return true;
    bool is_ok = sf_request_end(session, batch->call, is_over, err);
    if (!*is_over)
        return is_ok;
    read_answer(batch->call, batch, arena);
    free_call(batch);
    return is_ok;
}

static bool finish(struct sf_session *session, struct sf_batch *batch, struct arena *arena,
                   struct error *err)
{
    bool is_ok = true;
    bool is_over = false;

    while (!is_over) {
        is_ok = (batch->call == NULL || sf_request_await(session, batch->call, err)) && is_ok;
        is_ok = sf_collection_end(session, batch, arena, &is_over, err) && is_ok;
    }
    return is_ok;
}

bool sf_collection_write(struct sf_session *session, struct sf_batch *batches, size_t count,
                         struct arena *arena, struct error *err)
{
    bool is_ok = true;

    for (size_t i = 0; i < count; i++)
        is_ok = sf_collection_begin(session, &batches[i], arena, err) && is_ok;
    for (size_t i = 0; i < count; i++)
        is_ok = finish(session, &batches[i], arena, err) && is_ok;
    return is_ok;
}
