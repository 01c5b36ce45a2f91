#include "sandbox/call.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "sandbox/xml_rows.h"

static const char content_type_json[] = "application/json;charset=UTF-8";

void call_header(struct call *call, const char *name, const char *value)
{
    http_server_add_header(call->response, name, value);
}

/* A form is never the body of a data resource; a body without a type is taken for JSON. */
static bool refuse_form(struct call *call, const char *type)
{
    static const char form[] = "application/x-www-form-urlencoded";

    if (call->version == NULL || call->is_inner || type == NULL ||
        strncasecmp(type, form, strlen(form)) != 0)
        return false;
    call_error(call, "UNSUPPORTED_MEDIA_TYPE", "The content type %s is not supported", form);
    return true;
}

json_t *call_body(struct call *call)
{
    json_error_t problem;

    const char *type = http_server_header(call->request, "Content-Type");

    if (call->body == NULL && refuse_form(call, type))
        return NULL;
    if (call->body == NULL && type != NULL && strncasecmp(type, "application/xml", 15) == 0)
        call->body = xml_rows_read(call->request->body, call->request->body_bytes);
    if (call->body == NULL)
        call->body = json_loadb(call->request->body, call->request->body_bytes, 0, &problem);
    if (call->body == NULL)
        call_error(call, "JSON_PARSER_ERROR", "%s at [line:%d, column:%d]", problem.text,
                   problem.line, problem.column);
    return call->body;
}

void call_done(struct call *call)
{
    json_decref(call->body);
    call->body = NULL;
}

void call_text(struct call *call, int status, const char *content_type, const char *text)
{
    call->response->status = status;
    call_header(call, "Content-Type", content_type);
    buf_text(&call->response->body, text);
}

void call_json(struct call *call, int status, json_t *json)
{
    char *text = json_dumps(json, JSON_REAL_PRECISION(15) | JSON_COMPACT);

    if (text != NULL)
        call_text(call, status, content_type_json, text);
    else
        call_text(call, 500, content_type_json, "[]");
    free(text);
    json_decref(json);
}

void call_no_content(struct call *call)
{
    call->response->status = 204;
}

void call_errors(struct call *call, const struct record_errors *errors)
{
    call_json(call, errors_status(errors->first->code), errors_to_json(errors, "errorCode"));
}

void call_error(struct call *call, const char *code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *message = arena_vprintf(call->arena, format, args);
    va_end(args);
    call_json(
        call, errors_status(code),
        json_pack("[{s:o, s:s}]", "message", errors_text_to_json(message), "errorCode", code));
}

void call_failed(struct call *call, const struct error *err)
{
    log_error("failed a call", log_text("path", call->request->path),
              log_text("error", err->message));
    call_error(call, "UNKNOWN_EXCEPTION",
               "An unexpected error occurred. Please include this ErrorId if you contact support: "
               "%lld-1 (0)",
               (long long)call->org->api_used);
}

const struct object *call_object(struct call *call, const char *name)
{
    const struct object *object = schema_find_visible(call->org->schema, name);

    if (object == NULL)
        call_error(call, "NOT_FOUND", "The requested resource does not exist");
    return object;
}

const char *call_url(struct call *call, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *path = arena_vprintf(call->arena, format, args);
    va_end(args);
    return arena_printf(call->arena, "/services/data/v%s%s", call->version, path);
}
