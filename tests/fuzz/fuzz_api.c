/*
 * libFuzzer: a request to the HTTP API. The first byte chooses the method, the second whether it
 * comes with the administrator's token, from a browser, or with nothing; then come the target, the
 * header lines, an empty line and the body. Host checks, the path, the route, who may, and all that
 * a handler reads of its request run as they ship, up to the database, which is not there, and the
 * commands that a handler starts, which answer at once.
 *
 * Whatever it is, it is answered once, with a status of HTTP's, and an error with a JSON object
 * that has an id and a message. Without the token, nothing that needs one is answered.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/checks.h"
#include "control/child.h"
#include "control/dashboard.h"
#include "control/guard.h"
#include "control/request.h"
#include "control/routes.h"
#include "control/validations.h"

#define TOKEN "fuzzers-have-this-token"

enum { HEAD_BYTES = 2, MAX_HEADERS = 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

/* ---- commands ---- */

static int commands_run;

void child_run(struct request *request, const struct child_call *call)
{
    check(call->arguments[0] != NULL);
    for (size_t i = 0; call->arguments[i] != NULL; i++)
        commands_run++;
    request_answer_empty(request, call->status);
}

bool child_spawn(struct child_pool *pool, const char *const *arguments,
                 void (*ended)(void *context, int exit_code, json_t *output), void *context)
{
    (void)pool;
    check(arguments[0] != NULL);
    ended(context, 0, NULL);
    return true;
}

/* Constant texts, and not built here. */
void dashboard_page(struct request *request)
{
    request_answer_text(request, 200, "text/html", "");
}

void dashboard_file(struct request *request)
{
    check(request->arguments[0] != NULL);
    request_answer_text(request, 200, "text/plain", request->arguments[0]);
}

struct pg *serve_pg(struct serve *serve, struct error *err)
{
    (void)serve;
    error_set(err, ERROR_RETRY, "there is no database");
    return NULL;
}

/* ---- requests ---- */

static char *cut(struct arena *arena, const uint8_t **text, size_t *size_bytes, const char *end)
{
    const uint8_t *at = memmem(*text, *size_bytes, end, strlen(end));
    size_t length = at != NULL ? (size_t)(at - *text) : *size_bytes;
    char *copy = arena_alloc(arena, length + 1);

    memcpy(copy, *text, length);
    copy[length] = '\0';
    length += at != NULL ? strlen(end) : 0;
    *text += length;
    *size_bytes -= length;
    return copy;
}

static void add_header(struct http_server_request *http, struct http_server_pair *headers,
                       const char *name, const char *value)
{
    if (http->header_count < MAX_HEADERS)
        headers[http->header_count++] = (struct http_server_pair){name, value};
}

static void read_headers(struct http_server_request *http, struct http_server_pair *headers,
                         char *text)
{
    char *rest = text;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *colon = strchr(line, ':');

        if (colon == NULL)
            continue;
        *colon = '\0';
        add_header(http, headers, line, colon + 1 + strspn(colon + 1, " "));
    }
}

static void check_answer(const struct http_server_response *response, bool has_token)
{
    check(response->status >= 200 && response->status < 600);
    check(response->header_count <= HTTP_SERVER_MAX_HEADERS);
    if (response->status < 400)
        return;
    json_t *body = json_loadb(response->body.data, response->body.size_bytes, 0, NULL);

    check(json_is_object(body) && json_is_string(json_object_get(body, "id")) &&
          json_is_string(json_object_get(body, "message")));
    check(response->status != 500);
    check(has_token || strcmp(json_string_value(json_object_get(body, "id")), "try_again") != 0);
    json_decref(body);
}

static void ask(struct serve *serve, const uint8_t *data, size_t size_bytes)
{
    static const char *const methods[] = {"GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS"};
    struct arena *arena = arena_new();
    struct http_server_pair headers[MAX_HEADERS];
    struct http_server_response response = {.status = 200};
    const uint8_t *rest = data + HEAD_BYTES;
    size_t rest_bytes = size_bytes - HEAD_BYTES;
    struct http_server_request http = {.peer = "127.0.0.1", .headers = headers, .arena = arena};
    bool has_token = data[1] % 4 != 0;

    http.method = methods[data[0] % (sizeof(methods) / sizeof(*methods))];
    http.target = cut(arena, &rest, &rest_bytes, "\n");
    const char *query = strchr(http.target, '?');
    http.path = query != NULL ? arena_strndup(arena, http.target, (size_t)(query - http.target))
                              : http.target;
    http.params = http_server_parse_form(arena, query != NULL ? query + 1 : "", &http.param_count);
    if (data[1] % 4 != 3)
        add_header(&http, headers, "Host", "127.0.0.1:8181");
    if (has_token)
        add_header(&http, headers, "Authorization", "Bearer " TOKEN);
    read_headers(&http, headers, cut(arena, &rest, &rest_bytes, "\n\n"));
    http.body = cut(arena, &rest, &rest_bytes, "\n\n\n\n\n\n\n\n");
    http.body_bytes = strlen(http.body);
    buf_init(&response.body, SIZE_MAX / 2);
    struct request request = {.serve = serve, .arena = arena, .http = &http, .response = &response};

    commands_run = 0;
    if (guard_admit(&request))
        routes_dispatch(&request);
    request_done(&request);
    check_answer(&response, has_token);
    check(has_token || commands_run == 0);
    buf_done(&response.body);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static const struct checks_limits limits;
    static const struct serve_options options = {.schema_name = "salesforce",
                                                 .address = "127.0.0.1:8181",
                                                 .app_name = "pgforce",
                                                 .token = TOKEN,
                                                 .limits = &limits};
    struct serve serve = {.options = &options, .port = 8181};

    if (size_bytes < HEAD_BYTES)
        return 0;
    log_init("fuzz", LOG_ERROR, LOG_FORMAT_TEXT);
    serve.guard = guard_new();
    serve.validations = validations_new();
    ask(&serve, data, size_bytes);
    validations_free(serve.validations);
    guard_free(serve.guard);
    return 0;
}
