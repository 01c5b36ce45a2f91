#include "sf/bulk_job.h"

#include <stdlib.h>
#include <string.h>

#include "sf/id.h"

/* NULL when a text of it is not UTF-8. */
static char *write_job(json_t *fields)
{
    json_t *job SF_JSON_AUTO = fields;
    json_t *format SF_JSON_AUTO = json_pack("{s:s, s:s, s:s}", "contentType", "CSV",
                                            "columnDelimiter", "COMMA", "lineEnding", "LF");

    return json_object_update(job, format) == 0 ? json_dumps(job, JSON_COMPACT) : NULL;
}

bool sf_bulk_job_create(struct sf_session *session, json_t *fields, struct sf_call *call,
                        char id[SF_ID_BYTES], struct error *err)
{
    char *body = write_job(fields);

    if (body == NULL)
        return error_set(err, ERROR_BUG, "what the Bulk job is to be is not UTF-8");
    call->method = "POST";
    call->body = body;
    call->body_bytes = strlen(body);
    bool is_ok = sf_request_one(session, call, err);
    call->body = NULL;
    free(body);
    if (!is_ok)
        return false;
    const char *answered = json_string_value(json_object_get(call->json, "id"));
    return (answered != NULL && sf_id_to_18(answered, id)) ||
           error_set(err, ERROR_RETRY, "the answer to a Bulk job names no job");
}

bool sf_bulk_job_ask(struct sf_session *session, struct sf_call *call, bool *is_known,
                     struct error *err)
{
    call->method = "GET";
    if (!sf_request(session, call, 1, err))
        return false;
    *is_known = call->outcome == SF_OUTCOME_SUCCESS;
    return *is_known || (call->exchange.fate == HTTP_ANSWERED && call->exchange.status == 404) ||
           sf_call_error(call, err);
}
