#include "cli/loopback.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/wait.h"
#include "net/http_server.h"

enum {
    ADDRESS_BYTES = 32,
    URI_BYTES = 64,
    MAX_HEAD_BYTES = 16 * 1024,
    MAX_ANSWER_BYTES = 16 * 1024,
    WAIT_MS = 10 * 60 * 1000,
    PARTING_MS = 300, /* for the page to reach the browser */
};

struct loopback {
    struct http_server *server;
    char redirect_uri[URI_BYTES];
    const char *state;
    struct buf *code;
    struct error *err;
    bool is_refused;
    int64_t ended_ms; /* 0: nobody has come yet */
    int64_t deadline_ms;
};

static void say(struct http_server_response *response, int status, const char *text)
{
    response->status = status;
    http_server_add_header(response, "Content-Type", "text/plain;charset=UTF-8");
    http_server_add_header(response, "Cache-Control", "no-store");
    http_server_add_header(response, "Referrer-Policy", "no-referrer");
    buf_text(&response->body, text);
}

static bool is_expected(const struct loopback *loopback, const struct http_server_request *request)
{
    const char *state = http_server_param(request, "state");

    return state != NULL && strlen(state) == strlen(loopback->state) &&
           CRYPTO_memcmp(state, loopback->state, strlen(state)) == 0;
}

static void take(struct loopback *loopback, const struct http_server_request *request,
                 struct http_server_response *response)
{
    const char *code = http_server_param(request, "code");
    const char *error = http_server_param(request, "error");
    const char *reason = http_server_param(request, "error_description");

    loopback->ended_ms = clock_monotonic_ms();
    if (code != NULL && *code != '\0') {
        buf_text(loopback->code, code);
        say(response, 200, "Signed in: go back to pgforce, this page can be closed.\n");
        return;
    }
    loopback->is_refused = true;
    error_set(loopback->err, ERROR_CONFIG, "Salesforce refused: %s (%s)",
              error != NULL ? error : "no code", reason != NULL ? reason : "no reason given");
    say(response, 200, "Salesforce refused: pgforce says more.\n");
}

static void handle(void *context, const struct http_server_request *request,
                   struct http_server_response *response)
{
    struct loopback *loopback = context;

    if (strcmp(request->method, "GET") != 0 || strcmp(request->path, "/OauthRedirect") != 0)
        say(response, 404, "There is nothing here.\n");
    else if (loopback->state == NULL || loopback->ended_ms != 0 || !is_expected(loopback, request))
        say(response, 400, "This is not the login that pgforce waits for.\n");
    else
        take(loopback, request, response);
}

struct loopback *loopback_open(int port, struct error *err)
{
    char address[ADDRESS_BYTES];
    struct loopback *loopback = memory_alloc(sizeof(*loopback));
    struct http_server_options options = {.address = address,
                                          .is_loopback_only = true,
                                          .idle_timeout_s = 30,
                                          .max_connections = 8,
                                          .max_head_bytes = MAX_HEAD_BYTES,
                                          .max_answer_bytes = MAX_ANSWER_BYTES,
                                          .handle = handle,
                                          .context = loopback};

    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    if (!http_server_open(&options, &loopback->server, err)) {
        free(loopback);
        return NULL;
    }
    snprintf(loopback->redirect_uri, URI_BYTES, "http://localhost:%d/OauthRedirect",
             http_server_port(loopback->server));
    return loopback;
}

void loopback_close(struct loopback *loopback)
{
    if (loopback == NULL)
        return;
    http_server_close(loopback->server);
    free(loopback);
}

const char *loopback_redirect_uri(const struct loopback *loopback)
{
    return loopback->redirect_uri;
}

static bool is_over(void *context)
{
    const struct loopback *loopback = context;
    int64_t now_ms = clock_monotonic_ms();

    return now_ms > loopback->deadline_ms ||
           (loopback->ended_ms != 0 && now_ms > loopback->ended_ms + PARTING_MS);
}

bool loopback_wait(struct loopback *loopback, const char *state, struct buf *code,
                   struct error *err)
{
    loopback->state = state;
    loopback->code = code;
    loopback->err = err;
    loopback->deadline_ms = clock_monotonic_ms() + WAIT_MS;
    wait_begin_work(is_over, loopback);
    bool is_ok = http_server_run(loopback->server, err);
    bool is_given_up = wait_end_work();
    loopback->state = NULL;
    if (!is_ok || loopback->is_refused)
        return false;
    if (loopback->ended_ms != 0)
        return true;
    return is_given_up ? error_set(err, ERROR_CONFIG, "nobody signed in within 10 minutes")
                       : error_set(err, ERROR_RETRY, "told to stop");
}
