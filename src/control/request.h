/*
 * One call to the API: what was asked, by whom, and the small vocabulary in which handlers answer.
 *
 * Errors are {"id": ..., "message": ...}, as Heroku's API has them; the clients of Heroku Connect
 * print the message. A handler answers exactly once. It must not block for long: what talks to
 * Salesforce is done by a child (control/child.h).
 */
#ifndef PGFORCE_CONTROL_REQUEST_H
#define PGFORCE_CONTROL_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "control/serve.h"
#include "net/http_server.h"
#include "pg/pg.h"

/* Each may do what those before it may. */
enum request_role { REQUEST_NOBODY, REQUEST_VIEWER, REQUEST_OPERATOR, REQUEST_ADMIN };

enum { REQUEST_MAX_SEGMENTS = 12, REQUEST_MAX_ARGUMENTS = 4 };

struct request {
    struct serve *serve;
    struct arena *arena;
    const struct http_server_request *http;
    struct http_server_response *response;
    const char *segments[REQUEST_MAX_SEGMENTS]; /* of the path, decoded, without empty ones */
    size_t segment_count;
    const char *arguments[REQUEST_MAX_ARGUMENTS]; /* what stood for the {names} of the route */
    enum request_role role;                       /* of who asks */
    const char *actor; /* the token's name, for the log; NULL for nobody */
    bool is_by_cookie; /* a browser's session, not a token */
    json_t *body;      /* NULL until read */
};

/*
 * The body as JSON; freed with the request. An empty body is an empty object, null is too: Heroku's
 * CLI sends both. Answers NULL after refusing with 400.
 */
json_t *request_body(struct request *request);
void request_done(struct request *request);

/* The database, connected; NULL after answering 503. */
struct pg *request_pg(struct request *request);

/* Takes over json. */
void request_answer(struct request *request, int status, json_t *json);
void request_answer_text(struct request *request, int status, const char *content_type,
                         const char *text);
void request_answer_empty(struct request *request, int status);

void request_refuse(struct request *request, int status, const char *id, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The status of its kind: RETRY 503, RECORD 400, CONFIG 409, anything else 500 and a log line. */
void request_fail(struct request *request, const struct error *err);

/* The same for an answer that is filled in later, when the request has gone by. */
void request_fill(struct http_server_response *response, int status, json_t *json);

/* Whether TLS ends here, or, by its X-Forwarded-Proto, at the proxy that we were told of. */
bool request_is_https(const struct request *request);

/* "https://host:port" as clients reach us: the configured URL, or the Host header's; behind a proxy
 * X-Forwarded-Host goes before that, where it is one of our hosts (guard_admit looks). */
const char *request_base_url(struct request *request);

/* A query parameter that says yes or no, in any case ("True" too). */
bool request_flag(const struct request *request, const char *name);

/* A query parameter, or a member of the body; NULL when absent. */
const char *request_param(const struct request *request, const char *name);

#endif
