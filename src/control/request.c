#include "control/request.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"

static const char content_type_json[] = "application/json;charset=UTF-8";

static json_t *parse_body(const struct http_server_request *http, json_error_t *problem)
{
    size_t blank = strspn(http->body, " \t\r\n");
    json_t *body = blank < http->body_bytes
                       ? json_loadb(http->body, http->body_bytes, JSON_REJECT_DUPLICATES, problem)
                       : json_object();

    if (!json_is_null(body))
        return body;
    json_decref(body);
    return json_object();
}

json_t *request_body(struct request *request)
{
    json_error_t problem;

    if (request->body == NULL)
        request->body = parse_body(request->http, &problem);
    if (request->body == NULL)
        request_refuse(request, 400, "bad_request", "the body is not JSON: %s (line %d, column %d)",
                       problem.text, problem.line, problem.column);
    return request->body;
}

void request_done(struct request *request)
{
    json_decref(request->body);
    request->body = NULL;
}

struct pg *request_pg(struct request *request)
{
    struct error err = {0};
    struct pg *pg = serve_pg(request->serve, &err);

    if (pg != NULL)
        return pg;
    log_warning("cannot reach the database", log_text("reason", err.message));
    request_refuse(request, 503, "database_unavailable",
                   "the database cannot be reached; the log says why");
    return NULL;
}

void request_fill(struct http_server_response *response, int status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17));

    response->status = text != NULL ? status : 500;
    http_server_add_header(response, "Content-Type", content_type_json);
    buf_text(&response->body, text != NULL ? text : "{}");
    free(text);
    json_decref(json);
}

void request_answer(struct request *request, int status, json_t *json)
{
    request_fill(request->response, status, json);
}

void request_answer_text(struct request *request, int status, const char *content_type,
                         const char *text)
{
    request->response->status = status;
    http_server_add_header(request->response, "Content-Type", content_type);
    buf_text(&request->response->body, text);
}

void request_answer_empty(struct request *request, int status)
{
    request->response->status = status;
}

/* JSON is UTF-8; what comes by a path may be anything. */
static json_t *make_text(struct arena *arena, const char *text)
{
    json_t *json = json_string(text);

    if (json != NULL)
        return json;
    char *plain = arena_strdup(arena, text);
    for (char *at = plain; *at != '\0'; at++)
        if ((unsigned char)*at > 127)
            *at = '?';
    return json_string(plain);
}

void request_refuse(struct request *request, int status, const char *id, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *message = arena_vprintf(request->arena, format, args);
    va_end(args);
    request_answer(
        request, status,
        json_pack("{s:s, s:o}", "id", id, "message", make_text(request->arena, message)));
}

void request_fail(struct request *request, const struct error *err)
{
    switch (err->kind) {
    case ERROR_RETRY: request_refuse(request, 503, "try_again", "%s", err->message); return;
    case ERROR_RECORD:
    case ERROR_USAGE: request_refuse(request, 400, "bad_request", "%s", err->message); return;
    case ERROR_CONFIG: request_refuse(request, 409, "conflict", "%s", err->message); return;
    default:
        log_error("failed a request", log_text("path", request->http->path),
                  log_text("reason", err->message));
        request_refuse(request, 500, "internal_error", "%s", err->message);
    }
}

/* What the proxy says of the call that it got; NULL where there is none to be trusted. */
static const char *find_forwarded(const struct request *request, const char *name)
{
    return request->serve->options->is_behind_proxy ? http_server_header(request->http, name)
                                                    : NULL;
}

bool request_is_https(const struct request *request)
{
    const char *scheme = find_forwarded(request, "X-Forwarded-Proto");

    return request->serve->is_tls || (scheme != NULL && strcasecmp(scheme, "https") == 0);
}

const char *request_base_url(struct request *request)
{
    const struct serve *serve = request->serve;
    const char *host = find_forwarded(request, "X-Forwarded-Host");

    if (serve->options->public_url != NULL)
        return serve->options->public_url;
    if (host == NULL)
        host = http_server_header(request->http, "Host");
    return arena_printf(request->arena, "%s://%s", request_is_https(request) ? "https" : "http",
                        host != NULL ? host : "localhost");
}

bool request_flag(const struct request *request, const char *name)
{
    const char *value = http_server_param(request->http, name);

    return value != NULL && (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

const char *request_param(const struct request *request, const char *name)
{
    const char *value = http_server_param(request->http, name);

    return value != NULL ? value : json_string_value(json_object_get(request->body, name));
}
