#include "sf/composite.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "sf/id.h"

enum { URL_BYTES = 16 * 1024 };

static const char *const methods[] = {
    [SF_CREATE] = "POST", [SF_UPDATE] = "PATCH", [SF_DELETE] = "DELETE"};

static const struct sf_row_result rolled_back = {
    .outcome = SF_OUTCOME_ROLLED_BACK,
    .id = "",
    .code = "PROCESSING_HALTED",
    .message = "rolled back, for another record of the request was refused",
    .fields = (const char *const[]){NULL},
};

static size_t record_count(const struct sf_batch *step)
{
    return step->write == SF_DELETE ? step->id_count : json_array_size(step->records);
}

const char *sf_composite_reference(size_t step, size_t record, bool is_only, struct arena *arena)
{
    return is_only ? arena_printf(arena, "@{r%zu.id}", step)
                   : arena_printf(arena, "@{r%zu[%zu].id}", step, record);
}

/* ---- asking ---- */

static void append_single_url(const struct sf_batch *step, struct buf *url)
{
    const json_t *record = json_array_get(step->records, 0);
    const char *object =
        step->write == SF_DELETE
            ? step->object
            : json_string_value(json_object_get(json_object_get(record, "attributes"), "type"));

    buf_printf(url, "/sobjects/%s", object);
    if (step->write == SF_DELETE)
        buf_printf(url, "/%s", step->ids[0]);
    else if (step->write == SF_UPDATE)
        buf_printf(url, "/%s", json_string_value(json_object_get(record, "id")));
}

static void append_collection_url(const struct sf_batch *step, struct buf *url)
{
    buf_text(url, "/composite/sobjects");
    for (size_t i = 0; step->write == SF_DELETE && i < step->id_count; i++)
        buf_printf(url, "%s%s", i == 0 ? "?ids=" : ",", step->ids[i]);
    if (step->write == SF_DELETE)
        buf_text(url, "&allOrNone=true");
}

/* NULL where there is none. */
static json_t *make_step_body(const struct sf_batch *step)
{
    if (step->write == SF_DELETE)
        return NULL;
    if (record_count(step) > 1) {
        json_t *body = json_pack("{s:b}", "allOrNone", 1);

        json_object_set(body, "records", (json_t *)(uintptr_t)step->records);
        return body;
    }
    json_t *record = json_copy(json_array_get(step->records, 0));
    json_object_del(record, "attributes");
    json_object_del(record, "id");
    return record;
}

static json_t *make_step(const struct sf_session *session, const struct sf_batch *step,
                         size_t number)
{
    struct buf url BUF_AUTO = {0};
    struct buf name BUF_AUTO = {0};

    buf_init(&url, URL_BYTES);
    buf_init(&name, URL_BYTES);
    buf_printf(&url, "/services/data/v%s", sf_session_api_version(session));
    if (record_count(step) > 1)
        append_collection_url(step, &url);
    else
        append_single_url(step, &url);
    buf_printf(&name, "r%zu", number);
    return json_pack("{s:s, s:s, s:s, s:o*}", "method", methods[step->write], "url", url.data,
                     "referenceId", name.data, "body", make_step_body(step));
}

/* The caller frees the text. */
static char *make_body(const struct sf_session *session, const struct sf_composite *composite)
{
    json_t *body SF_JSON_AUTO = json_pack("{s:b}", "allOrNone", 1);
    json_t *steps = json_array();
    size_t digits = 0;

    for (size_t i = 0; i < composite->count; i++) {
        size_t needed = sf_collection_digits(composite->steps[i].records);

        digits = needed > digits ? needed : digits;
        json_array_append_new(steps, make_step(session, &composite->steps[i], i));
    }
    json_object_set_new(body, "compositeRequest", steps);
    return json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(digits));
}

/* ---- answered ---- */

static void doubt(struct sf_composite *composite, const char *why)
{
    composite->fate = SF_IN_DOUBT;
    composite->outcome = SF_OUTCOME_UNKNOWN;
    composite->message = why;
    for (size_t i = 0; i < composite->count; i++) {
        composite->steps[i].results = NULL;
        composite->steps[i].result_count = 0;
    }
}

/* A step that was refused as a whole: [{"errorCode": ..., "message": ...}]. */
static bool read_refusal(const json_t *body, struct sf_batch *step, struct arena *arena)
{
    const json_t *error = json_array_get(body, 0);
    const char *code = json_string_value(json_object_get(error, "errorCode"));
    const char *message = json_string_value(json_object_get(error, "message"));

    if (code == NULL)
        return false;
    step->outcome = sf_outcome_of_record(code, message);
    for (size_t i = 0; i < step->result_count; i++) {
        step->results[i] = rolled_back;
        step->results[i].outcome = step->outcome;
        step->results[i].code = arena_strdup(arena, code);
        step->results[i].message = arena_strdup(arena, message != NULL ? message : "");
    }
    return true;
}

/* An update or delete of one record answers nothing, a create its id. */
static bool read_single(const json_t *body, struct sf_batch *step, struct arena *arena)
{
    const char *id = json_string_value(json_object_get(body, "id"));
    char whole_id[SF_ID_BYTES] = "";

    if (step->write == SF_CREATE)
        return sf_collection_read_result(body, step->write, arena, step->results);
    if (id != NULL)
        sf_id_to_18(id, whole_id);
    *step->results = (struct sf_row_result){.outcome = SF_OUTCOME_SUCCESS,
                                            .id = arena_strdup(arena, whole_id),
                                            .code = "",
                                            .message = "",
                                            .fields = rolled_back.fields};
    return true;
}

static bool read_step(const json_t *answer, struct sf_batch *step, struct arena *arena)
{
    json_int_t status = json_integer_value(json_object_get(answer, "httpStatusCode"));
    const json_t *body = json_object_get(answer, "body");

    step->outcome = SF_OUTCOME_SUCCESS;
    step->result_count = record_count(step);
    step->results = arena_array(arena, struct sf_row_result, step->result_count);
    if (status >= 400)
        return read_refusal(body, step, arena);
    if (status < 200)
        return false;
    if (step->result_count == 1)
        return read_single(body, step, arena);
    if (json_array_size(body) != step->result_count)
        return false;
    for (size_t i = 0; i < step->result_count; i++)
        if (!sf_collection_read_result(json_array_get(body, i), step->write, arena,
                                       &step->results[i]))
            return false;
    return true;
}

static bool has_refusal(const struct sf_composite *composite)
{
    for (size_t i = 0; i < composite->count; i++)
        for (size_t j = 0; j < composite->steps[i].result_count; j++)
            if (composite->steps[i].results[j].outcome != SF_OUTCOME_SUCCESS)
                return true;
    return false;
}

static void undo_successes(struct sf_composite *composite)
{
    for (size_t i = 0; i < composite->count; i++)
        for (size_t j = 0; j < composite->steps[i].result_count; j++)
            if (composite->steps[i].results[j].outcome == SF_OUTCOME_SUCCESS)
                composite->steps[i].results[j] = rolled_back;
}

static void read_steps(const json_t *json, struct sf_composite *composite, struct arena *arena)
{
    const json_t *answers = json_object_get(json, "compositeResponse");

    if (!json_is_array(answers) || json_array_size(answers) != composite->count) {
        doubt(composite, "the answer has not one result for each step");
        return;
    }
    for (size_t i = 0; i < composite->count; i++)
        if (!read_step(json_array_get(answers, i), &composite->steps[i], arena)) {
            doubt(composite, "the answer has a result that is none");
            return;
        }
    if (has_refusal(composite))
        undo_successes(composite);
}

static void read_answer(const struct sf_call *call, struct sf_composite *composite,
                        struct arena *arena)
{
    composite->fate = call->fate;
    composite->outcome = call->outcome;
    composite->code = arena_strdup(arena, call->code);
    composite->message = arena_strdup(arena, call->message != NULL ? call->message : "");
    composite->retry_after_s = call->retry_after_s;
    if (call->outcome == SF_OUTCOME_SUCCESS)
        read_steps(call->json, composite, arena);
}

static void prepare(struct sf_composite *composite)
{
    doubt(composite, "not sent");
    composite->fate = SF_NOT_DONE;
    composite->code = "";
    composite->retry_after_s = 0;
}

void sf_composite_begin(struct sf_session *session, struct sf_composite *composite)
{
    struct sf_call *call = memory_alloc(sizeof(*call));

    prepare(composite);
    call->method = "POST";
    call->path = "/composite";
    call->body = make_body(session, composite);
    call->body_bytes = call->body != NULL ? strlen(call->body) : 0;
    composite->call = call;
    sf_request_begin(session, call);
}

bool sf_composite_is_answered(const struct sf_composite *composite)
{
    return composite->call == NULL || sf_request_is_answered(composite->call);
}

bool sf_composite_end(struct sf_session *session, struct sf_composite *composite,
                      struct arena *arena, bool *is_over, struct error *err)
{
    struct sf_call *call = composite->call;

    *is_over = true;
    if (call == NULL)
        return true;
    bool is_ok = sf_request_end(session, call, is_over, err);
    if (!*is_over)
        return is_ok;
    read_answer(call, composite, arena);
    free((void *)(uintptr_t)call->body);
    sf_call_done(call);
    free(call);
    composite->call = NULL;
    return is_ok;
}

bool sf_composite_write(struct sf_session *session, struct sf_composite *composites, size_t count,
                        struct arena *arena, struct error *err)
{
    bool is_ok = true;

    for (size_t i = 0; i < count; i++)
        sf_composite_begin(session, &composites[i]);
    for (size_t i = 0; i < count; i++) {
        bool is_over = false;

        while (!is_over) {
            is_ok = sf_request_await(session, composites[i].call, err) && is_ok;
            is_ok = sf_composite_end(session, &composites[i], arena, &is_over, err) && is_ok;
        }
    }
    return is_ok;
}
