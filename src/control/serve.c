#include "control/serve.h"

#include <string.h>

#include "base/log.h"
#include "control/child.h"
#include "control/guard.h"
#include "control/request.h"
#include "control/routes.h"
#include "control/validations.h"

enum {
    MAX_BODY_BYTES = 16 * 1024 * 1024, /* an import; a thousand mappings have been seen */
    MAX_ANSWER_BYTES = 64 * 1024 * 1024,
    MAX_HEAD_BYTES = 32 * 1024,
    MAX_CONNECTIONS = 64,
    IDLE_TIMEOUT_S = 30,
    LEAST_TOKEN_BYTES = 16,
};

static void handle(void *context, const struct http_server_request *http,
                   struct http_server_response *response)
{
    struct request request = {
        .serve = context, .arena = http->arena, .http = http, .response = response};

    if (guard_admit(&request))
        routes_dispatch(&request);
    request_done(&request);
}

static void wake(void *context)
{
    struct serve *serve = context;

    child_pool_reap(serve->children);
}

struct pg *serve_pg(struct serve *serve, struct error *err)
{
    if (serve->pg != NULL && PQstatus(pg_conn(serve->pg)) == CONNECTION_OK)
        return serve->pg;
    pg_close(serve->pg);
    serve->pg = pg_open(serve->options->database_url, "pgforce serve", err);
    return serve->pg;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}

static bool check(const struct serve_options *options, struct error *err)
{
    if ((options->certificate == NULL) != (options->key == NULL))
        return error_set(err, ERROR_CONFIG,
                         "PGFORCE_API_CERTIFICATE and PGFORCE_API_KEY go together: give both or"
                         " neither");
    if (options->token != NULL && strlen(options->token) < LEAST_TOKEN_BYTES)
        return error_set(err, ERROR_CONFIG, "PGFORCE_API_TOKEN is shorter than %d characters",
                         LEAST_TOKEN_BYTES);
    if (is_loopback(options->address) || options->certificate != NULL || options->is_behind_proxy)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "refuses to listen on %s without TLS: give PGFORCE_API_CERTIFICATE_FILE and"
                     " PGFORCE_API_KEY_FILE, or say `pgforce serve --behind-proxy` when one ends"
                     " TLS before us",
                     options->address);
}

static bool listen_and_serve(struct serve *serve, struct error *err)
{
    struct http_server_options http = {.address = serve->options->address,
                                       .tls_certificate = serve->options->certificate,
                                       .tls_key = serve->options->key,
                                       .idle_timeout_s = IDLE_TIMEOUT_S,
                                       .max_connections = MAX_CONNECTIONS,
                                       .max_head_bytes = MAX_HEAD_BYTES,
                                       .max_body_bytes = MAX_BODY_BYTES,
                                       .max_answer_bytes = MAX_ANSWER_BYTES,
                                       .handle = handle,
                                       .wake = wake,
                                       .wake_fd = child_pool_fd(serve->children),
                                       .context = serve};
    struct http_server *server = NULL;

    if (!http_server_open(&http, &server, err))
        return false;
    serve->port = http_server_port(server);
    log_info("serving", log_text("address", serve->options->address),
             log_number("port", serve->port), log_text("tls", serve->is_tls ? "yes" : "no"));
    bool is_ok = http_server_run(server, err);
    http_server_close(server);
    return is_ok;
}

bool serve_run(const struct serve_options *options, struct error *err)
{
    struct serve serve = {.options = options, .is_tls = options->certificate != NULL};

    if (!check(options, err))
        return false;
    serve.children = child_pool_new(err);
    serve.validations = validations_new();
    serve.guard = guard_new();
    bool is_ok = serve.children != NULL && listen_and_serve(&serve, err);
    child_pool_free(serve.children);
    validations_free(serve.validations);
    guard_free(serve.guard);
    pg_close(serve.pg);
    return is_ok;
}
