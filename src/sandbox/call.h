/*
 * One REST call: what was asked, and the small vocabulary in which handlers answer.
 */
#ifndef PGFORCE_SANDBOX_CALL_H
#define PGFORCE_SANDBOX_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "net/http_server.h"
#include "sandbox/errors.h"
#include "sandbox/org.h"

enum { CALL_MAX_SEGMENTS = 16, CALL_MAX_ARGUMENTS = 6 };

struct call {
    struct org *org;
    struct arena *arena;
    const struct http_server_request *request;
    struct http_server_response *response;
    const char *method;                      /* after _HttpMethod */
    const char *segments[CALL_MAX_SEGMENTS]; /* of the path, decoded, without empty ones */
    size_t segment_count;
    const char *arguments[CALL_MAX_ARGUMENTS]; /* what stood for the {names} of the route */
    const char *version;                       /* "60.0"; NULL outside /services/data/vNN.N */
    const char *suffix;  /* "json" or "xml", written behind the path; or NULL */
    json_t *body;        /* of composite's inner calls; else NULL until read */
    size_t record_count; /* for the journal */
    bool is_inner;       /* inside /composite: charged once, outside */
};

/* The body as a JSON object or array; answers NULL after refusing with JSON_PARSER_ERROR. The call
 * keeps it. */
json_t *call_body(struct call *call);
void call_done(struct call *call);

void call_header(struct call *call, const char *name, const char *value);

/* Takes over json. */
void call_json(struct call *call, int status, json_t *json);
void call_no_content(struct call *call);
void call_text(struct call *call, int status, const char *content_type, const char *text);

/* The usual array of one error, with the status of its code. */
void call_error(struct call *call, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void call_errors(struct call *call, const struct record_errors *errors);

/* Our own failure: logged, and answered 500 UNKNOWN_EXCEPTION. */
void call_failed(struct call *call, const struct error *err);

/* The object of that name, or NULL after answering 404 NOT_FOUND. */
const struct object *call_object(struct call *call, const char *name);

/* "/services/data/v60.0" + path, from the arena. */
const char *call_url(struct call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
