#include "sandbox/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sandbox/bulk_jobs.h"
#include "sandbox/bulk_store.h"
#include "sandbox/call.h"
#include "sandbox/events.h"
#include "sandbox/faults.h"
#include "sandbox/journal.h"
#include "sandbox/locks.h"
#include "sandbox/routes.h"
#include "sandbox/rules.h"
#include "sandbox/times.h"
#include "sandbox/users.h"
#include "sandbox/xml_rows.h"

/* POST ...?_HttpMethod=PATCH */
static const char *find_method(const struct http_server_request *request)
{
    const char *override = http_server_param(request, "_HttpMethod");

    return override != NULL && strcmp(request->method, "POST") == 0 ? override : request->method;
}

static void work(struct call *call, json_t *fault)
{
    if (fault != NULL && faults_apply_before(fault, call))
        return;
    routes_dispatch(call);
}

static size_t head_bytes(const struct http_server_request *request)
{
    size_t bytes = strlen(request->target);

    for (size_t i = 0; i < request->header_count; i++)
        bytes += strlen(request->headers[i].name) + strlen(request->headers[i].value);
    return bytes;
}

/* The handlers answer compactly. */
static void indent(struct call *call)
{
    struct buf *body = &call->response->body;

    if (http_server_header(call->request, "X-PrettyPrint") == NULL || body->size_bytes == 0)
        return;
    json_t *json = json_loadb(body->data, body->size_bytes, 0, NULL);
    char *text = json != NULL ? json_dumps(json, JSON_REAL_PRECISION(15) | JSON_INDENT(2)) : NULL;

    if (text != NULL) {
        buf_clear(body);
        buf_text(body, text);
    }
    free(text);
    json_decref(json);
}

static void serve(struct call *call)
{
    json_t *fault = faults_take(call->org->faults, call);

    rules_read_header(call);
    work(call, fault);
    indent(call);
    xml_rows_write(call);
    journal_add(call->org->journal, call, fault != NULL ? faults_name(fault) : NULL);
    json_decref(fault);
}

/* The call has been answered: what cannot be kept is only logged. */
static void keep_jobs(struct call *call)
{
    struct error err = {0};

    if (bulk_store_is_kept(call->org) && !bulk_store_save_changed(call->org, &err))
        log_error("cannot keep a job", log_text("error", err.message));
}

void server_handle(void *org, const struct http_server_request *request,
                   struct http_server_response *response)
{
    struct call call = {
        .org = org,
        .arena = request->arena,
        .request = request,
        .response = response,
        .method = find_method(request),
    };

    call.org->call_s = clock_wall_us() / 1000000;
    users_become(org, NULL);
    call_header(&call, "Date", arena_strdup(call.arena, times_format_http(org_now(org)).text));
    if (strlen(request->target) > SERVER_MAX_TARGET_BYTES)
        call_error(&call, "URI_TOO_LONG", "The URI is longer than %d bytes",
                   SERVER_MAX_TARGET_BYTES);
    else if (head_bytes(request) > SERVER_MAX_TARGET_BYTES)
        call_error(&call, "REQUEST_HEADER_FIELDS_TOO_LARGE",
                   "The URI and the headers are longer than %d bytes", SERVER_MAX_TARGET_BYTES);
    else if (!routes_split(&call, request->path))
        call_error(&call, "NOT_FOUND", "The requested resource does not exist");
    else if (call.segment_count > 0 && strcmp(call.segments[0], "_sandbox") == 0)
        routes_dispatch(&call);
    else
        serve(&call);
    locks_end_call(call.org->locks);
    keep_jobs(&call);
    events_publish(&call);
    call_done(&call);
    call.org->call_s = 0;
}

bool server_work(void *org)
{
    return bulk_jobs_work(org);
}
