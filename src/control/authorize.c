#include "control/authorize.h"

#include <stdlib.h>
#include <string.h>

#include "control/child.h"
#include "control/connections.h"
#include "control/tokens.h"

/* Heroku Connect's command line names the environment as its own option does. */
static const char *member(json_t *body, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(body, name));

    return text != NULL && *text != '\0' ? text : otherwise;
}

void authorize_begin(struct request *request)
{
    json_t *body = connections_is_ours(request) ? request_body(request) : NULL;

    if (body == NULL)
        return;
    const char *next = member(body, "next", NULL);
    const char *domain = member(body, "domain", NULL);
    const char *arguments[8] = {"login", "--begin"};
    size_t used = 2;
    arguments[used++] =
        arena_printf(request->arena, "--redirect-uri=%s/oauth/callback", request_base_url(request));
    const char *environment = member(body, "environment", NULL);
    if (environment != NULL)
        arguments[used++] = arena_printf(request->arena, "--environment=%s", environment);
    if (domain != NULL)
        arguments[used++] = arena_printf(request->arena, "--domain=%s", domain);
    if (next != NULL)
        arguments[used++] = arena_printf(request->arena, "--next=%s", next);
    child_run(request, &(struct child_call){.arguments = arguments, .status = 201});
}

/* Whether the state is one that was given out; false after answering. */
static bool is_known(struct request *request, const char *state)
{
    struct pg *pg = request_pg(request);
    char hash[TOKENS_HASH_BYTES];
    struct error err = {0};

    if (pg == NULL)
        return false;
    tokens_hash(state, strlen(state), hash);
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "select from pgforce.authorization_attempt where state_sha256 = $1",
                 PG_PARAMS(hash), &err);
    if (result == NULL) {
        request_fail(request, &err);
        return false;
    }
    if (PQntuples(result) > 0)
        return true;
    request_refuse(request, 400, "bad_request",
                   "this login has ended or is too old: begin it"
                   " again");
    return false;
}

/* Back to where the login was begun, or a line for whoever looks. */
static void answer_finished(struct request *request, json_t *output)
{
    const char *next = json_string_value(json_object_get(output, "next"));

    if (next == NULL) {
        request_answer_text(request, 200, "text/plain;charset=UTF-8",
                            "Connected: this page can be closed.\n");
        return;
    }
    http_server_add_header(request->response, "Location", arena_strdup(request->arena, next));
    request_answer_empty(request, 303);
}

void authorize_finish(struct request *request)
{
    static const char *const arguments[] = {"login", "--finish", NULL};
    const char *state = http_server_param(request->http, "state");
    const char *code = http_server_param(request->http, "code");
    const char *error = http_server_param(request->http, "error");

    if (state == NULL || !is_known(request, state)) {
        if (state == NULL)
            request_refuse(request, 400, "bad_request", "there is no state in this address");
        return;
    }
    if (code == NULL) {
        request_refuse(request, 409, "conflict", "Salesforce refused: %s",
                       error != NULL ? error : "there is no code");
        return;
    }
    json_t *input = json_pack("{s:s, s:s}", "code", code, "state", state);
    char *text = input != NULL ? json_dumps(input, JSON_COMPACT) : NULL;
    json_decref(input);
    if (text == NULL) {
        request_refuse(request, 400, "bad_request", "the code is no text");
        return;
    }
    child_run(request, &(struct child_call){.arguments = arguments,
                                            .input = text,
                                            .input_bytes = strlen(text),
                                            .done = answer_finished});
    explicit_bzero(text, strlen(text));
    free(text);
}
