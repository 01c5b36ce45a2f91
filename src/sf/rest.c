#include "sf/rest.h"

#include <stdlib.h>
#include <string.h>

#include "base/wait.h"
#include "sf/answer.h"
#include "sf/datetime.h"
#include "sf/id.h"
#include "sf/soql.h"

enum {
    URL_BYTES = 15 * 1024, /* Salesforce refuses above 16,384, headers included */
    HEADER_BYTES = 1024,
    BATCH_MIN = 200,
    BATCH_MAX = 2000,
};

struct sf_query {
    struct sf_session *session;
    char *batch_header; /* NULL: Salesforce's default */
    char *next_path;    /* NULL after the last page */
    json_t *first;      /* the first page until it is asked for */
    int64_t total;
    int64_t server_time_s;
    struct sf_call opening; /* on its way while it has a path */
    const char *headers[2];
};

/* Takes the records out of a page and remembers where the next one is. */
static bool read_page(struct sf_query *query, const struct sf_call *call, json_t **records,
                      struct error *err)
{
    json_t *list = json_object_get(call->json, "records");
    const json_t *done = json_object_get(call->json, "done");
    const char *next = json_string_value(json_object_get(call->json, "nextRecordsUrl"));

    if (!json_is_array(list) || !json_is_boolean(done) || json_is_true(done) != (next == NULL))
        return error_set(err, ERROR_RETRY, "a page of the query's result is not whole");
    if (next != NULL && strncmp(next, "/services/data/", 15) != 0)
        return error_set(err, ERROR_RETRY, "the query's next page has no usable address");
    free(query->next_path);
    query->next_path = next != NULL ? memory_strdup(next) : NULL;
    *records = json_incref(list);
    return true;
}

static void begin_page(struct sf_query *query, const char *path, struct sf_call *call)
{
    query->headers[0] = query->batch_header;
    call->method = "GET";
    call->path = path;
    call->headers = query->headers;
    sf_request_begin(query->session, call);
}

static bool make_path(const char *soql, bool with_deleted, struct buf *path, struct error *err)
{
    buf_printf(path, "/%s?q=", with_deleted ? "queryAll" : "query");
    http_url_encode(path, soql);
    if (buf_is_full(path))
        return error_set(err, ERROR_RECORD,
                         "the query is too long for one request: ask for fewer fields or records");
    return true;
}

static char *make_batch_header(int batch_size)
{
    struct buf header BUF_AUTO = {0};

    if (batch_size <= 0)
        return NULL;
    if (batch_size < BATCH_MIN)
        batch_size = BATCH_MIN;
    if (batch_size > BATCH_MAX)
        batch_size = BATCH_MAX;
    buf_init(&header, HEADER_BYTES);
    buf_printf(&header, "Sforce-Query-Options: batchSize=%d", batch_size);
    return memory_strdup(header.data);
}

bool sf_query_begin(struct sf_session *session, const char *soql,
                    const struct sf_query_options *options, struct sf_query **out,
                    struct error *err)
{
    struct buf path BUF_AUTO = {0};

    buf_init(&path, URL_BYTES);
    *out = NULL;
    if (!make_path(soql, options != NULL && options->with_deleted, &path, err))
        return false;
    struct sf_query *query = memory_alloc(sizeof(*query));
    query->session = session;
    query->batch_header = make_batch_header(options != NULL ? options->batch_size : 0);
    begin_page(query, memory_strdup(path.data), &query->opening);
    *out = query;
    return true;
}

static void end_opening(struct sf_query *query)
{
    sf_call_done(&query->opening);
    free((char *)(uintptr_t)query->opening.path);
    query->opening.path = NULL;
}

bool sf_query_await(struct sf_query *query, struct error *err)
{
    struct sf_call *call = &query->opening;
    bool is_ok =
        sf_request_finish(query->session, call, err) && read_page(query, call, &query->first, err);

    if (is_ok) {
        query->total = json_integer_value(json_object_get(call->json, "totalSize"));
        query->server_time_s = sf_answer_time_s(&call->exchange);
    }
    end_opening(query);
    return is_ok;
}

bool sf_query_open(struct sf_session *session, const char *soql,
                   const struct sf_query_options *options, struct sf_query **out, struct error *err)
{
    if (!sf_query_begin(session, soql, options, out, err))
        return false;
    if (sf_query_await(*out, err))
        return true;
    sf_query_close(*out);
    *out = NULL;
    return false;
}

/* A cursor ends with its session in the organisation, whatever new token we have by now. */
static bool is_cursor_lost(const struct sf_call *call)
{
    return call->outcome == SF_OUTCOME_CURSOR_LOST ||
           (call->outcome == SF_OUTCOME_SCHEMA && call->exchange.status == 404);
}

bool sf_query_next(struct sf_query *query, json_t **records, struct error *err)
{
    struct sf_call call SF_CALL_AUTO = {0};

    *records = query->first;
    query->first = NULL;
    if (*records != NULL || query->next_path == NULL)
        return true;
    begin_page(query, query->next_path, &call);
    if (!sf_request_finish(query->session, &call, err)) {
        if (is_cursor_lost(&call))
            err->kind = ERROR_RETRY;
        return false;
    }
    return read_page(query, &call, records, err);
}

bool sf_query_each(struct sf_query *query,
                   bool (*visit)(void *context, const json_t *records, struct error *err),
                   void *context, struct error *err)
{
    for (;;) {
        json_t *records SF_JSON_AUTO = NULL;

        if (!sf_query_next(query, &records, err))
            return false;
        if (records == NULL)
            return true;
        if (wait_is_stopping())
            return error_set(err, ERROR_RETRY, "told to stop");
        if (json_array_size(records) > 0 && !visit(context, records, err))
            return false;
    }
}

int64_t sf_query_total(const struct sf_query *query)
{
    return query->total;
}

int64_t sf_query_server_time_s(const struct sf_query *query)
{
    return query->server_time_s;
}

void sf_query_close(struct sf_query *query)
{
    struct error ignored;

    if (query == NULL)
        return;
    if (query->opening.path != NULL)
        sf_query_await(query, &ignored);
    json_decref(query->first);
    free(query->batch_header);
    free(query->next_path);
    free(query);
}

bool sf_count(struct sf_session *session, const char *soql, int64_t *out, struct error *err)
{
    struct sf_query *query;

    if (!sf_query_open(session, soql, NULL, &query, err))
        return false;
    *out = sf_query_total(query);
    sf_query_close(query);
    return true;
}

static bool read_time(const json_t *json, const char *key, int64_t *out_us, struct error *err)
{
    const char *text = json_string_value(json_object_get(json, key));

    if (text == NULL || !sf_datetime_parse(text, out_us))
        return error_set(err, ERROR_RETRY, "the answer has no usable %s", key);
    return true;
}

static bool read_id(const char *text, char out[SF_ID_BYTES], struct error *err)
{
    return (text != NULL && sf_id_to_18(text, out)) ||
           error_set(err, ERROR_RETRY, "the answer has a record without an id");
}

/* What is wrong with the span and can be put right by asking for another. */
static bool explain_span(const struct sf_call *call, const struct sf_span *span, struct error *err)
{
    sf_call_error(call, err);
    if (strcmp(call->code, "INVALID_REPLICATION_DATE") == 0)
        err->kind = ERROR_CONFIG;
    return error_prefix(err, "changes of %s", span->object);
}

static bool ask_span(struct sf_session *session, const struct sf_span *span, const char *what,
                     struct sf_call *call, struct error *err)
{
    struct buf path BUF_AUTO = {0};

    if (!soql_is_name(span->object))
        return error_set(err, ERROR_CONFIG, "\"%s\" is no name of an object", span->object);
    buf_init(&path, URL_BYTES);
    buf_printf(&path, "/sobjects/%s/%s/?start=", span->object, what);
    http_url_encode(&path, sf_datetime_format_utc(span->start_us).text);
    buf_text(&path, "&end=");
    http_url_encode(&path, sf_datetime_format_utc(span->end_us).text);
    call->method = "GET";
    call->path = path.data;
    bool is_ok = sf_request(session, call, 1, err) &&
                 (call->outcome == SF_OUTCOME_SUCCESS || explain_span(call, span, err));
    call->path = NULL;
    return is_ok;
}

bool sf_deleted(struct sf_session *session, const struct sf_span *span, struct arena *arena,
                struct sf_deleted *out, struct error *err)
{
    struct sf_call call SF_CALL_AUTO = {0};

    *out = (struct sf_deleted){0};
    if (!ask_span(session, span, "deleted", &call, err))
        return false;
    const json_t *list = json_object_get(call.json, "deletedRecords");
    if (!json_is_array(list))
        return error_set(err, ERROR_RETRY, "the answer has no list of deleted records");
    size_t count = json_array_size(list);
    struct sf_deleted_record *records = arena_array(arena, struct sf_deleted_record, count + 1);
    for (size_t i = 0; i < count; i++) {
        const json_t *record = json_array_get(list, i);
        const char *id = json_string_value(json_object_get(record, "id"));
        if (!read_id(id, records[i].id, err) ||
            !read_time(record, "deletedDate", &records[i].deleted_us, err))
            return false;
    }
    out->records = records;
    out->count = count;
    out->server_time_s = sf_answer_time_s(&call.exchange);
    return read_time(call.json, "earliestDateAvailable", &out->earliest_available_us, err) &&
           read_time(call.json, "latestDateCovered", &out->latest_covered_us, err);
}

bool sf_updated(struct sf_session *session, const struct sf_span *span, struct arena *arena,
                struct sf_updated *out, struct error *err)
{
    struct sf_call call SF_CALL_AUTO = {0};

    *out = (struct sf_updated){0};
    if (!ask_span(session, span, "updated", &call, err))
        return false;
    const json_t *list = json_object_get(call.json, "ids");
    if (!json_is_array(list))
        return error_set(err, ERROR_RETRY, "the answer has no list of changed records");
    size_t count = json_array_size(list);
    char(*ids)[SF_ID_BYTES] = arena_alloc(arena, (count + 1) * sizeof(*ids));
    for (size_t i = 0; i < count; i++) {
        if (!read_id(json_string_value(json_array_get(list, i)), ids[i], err))
            return false;
    }
    out->ids = (const char(*)[SF_ID_BYTES])ids;
    out->count = count;
    out->server_time_s = sf_answer_time_s(&call.exchange);
    return read_time(call.json, "latestDateCovered", &out->latest_covered_us, err);
}
