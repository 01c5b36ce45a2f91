#include "net/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/wait.h"
#include "net/http_address.h"
#include "net/http_daemon.h"
#include "net/http_file.h"
#include "net/http_flow.h"
#include "net/http_gzip.h"

enum {
    MAX_PARAMS = 1000,
    MIN_GZIP_BYTES = 1024,
    /* A daemon that ran out of descriptors does not accept until it is run again, and nothing of
     * its own wakes it. */
    LONGEST_WAIT_MS = 1000,
};

/* One request, from its first line to the end of its answer. */
struct exchange {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct arena *arena;
    struct buf body;
    struct buf plain;  /* the body gunzipped */
    struct buf packed; /* the answer gzipped */
    struct http_server_request request;
    struct http_server_response response;
    bool is_started;
    bool is_handled;
    bool is_held;
    bool is_flowing;
    int64_t due_ms;
    struct exchange *next_held;
};

struct http_server {
    struct http_server_options options;
    struct MHD_Daemon *daemon;
    int poll_fd; /* the daemon's descriptor and wake_fd in one */
    int port;
    struct exchange *held;
    size_t flows; /* answers that go on */
    bool is_ending;
};

/* ---- text ---- */

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

/* The byte that the escape at text stands for; 0 when it is none. */
static int decode_escape(const char *text, size_t left_bytes)
{
    if (left_bytes < 3 || text[0] != '%')
        return 0;
    int high = hex_digit(text[1]);
    int low = hex_digit(text[2]);
    return high < 0 || low < 0 ? 0 : high * 16 + low;
}

char *http_server_decode(struct arena *arena, const char *text, size_t size_bytes,
                         bool plus_is_space)
{
    char *out = arena_alloc(arena, size_bytes + 1);
    size_t used = 0;

    for (size_t i = 0; i < size_bytes; i++) {
        int escaped = decode_escape(text + i, size_bytes - i);

        if (escaped != 0) {
            out[used++] = (char)escaped;
            i += 2;
        } else {
            out[used++] = plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

static size_t count_fields(const char *text)
{
    size_t count = 1;

    for (; *text != '\0'; text++)
        count += *text == '&';
    return count < MAX_PARAMS ? count : MAX_PARAMS;
}

const struct http_server_pair *http_server_parse_form(struct arena *arena, const char *text,
                                                      size_t *count)
{
    size_t room = count_fields(text);
    struct http_server_pair *pairs = arena_array(arena, struct http_server_pair, room);

    *count = 0;
    while (*text != '\0' && *count < room) {
        size_t length = strcspn(text, "&");
        const char *equals = memchr(text, '=', length);
        size_t name_bytes = equals != NULL ? (size_t)(equals - text) : length;
        size_t value_bytes = equals != NULL ? length - name_bytes - 1 : 0;

        if (name_bytes > 0)
            pairs[(*count)++] = (struct http_server_pair){
                .name = http_server_decode(arena, text, name_bytes, true),
                .value = http_server_decode(arena, text + length - value_bytes, value_bytes, true),
            };
        text += length + (text[length] == '&');
    }
    return pairs;
}

const char *http_server_header(const struct http_server_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

const char *http_server_param(const struct http_server_request *request, const char *name)
{
    for (size_t i = 0; i < request->param_count; i++)
        if (strcmp(request->params[i].name, name) == 0)
            return request->params[i].value;
    return NULL;
}

void http_server_add_header(struct http_server_response *response, const char *name,
                            const char *value)
{
    if (response->header_count < HTTP_SERVER_MAX_HEADERS)
        response->headers[response->header_count++] =
            (struct http_server_pair){.name = name, .value = value};
}

static bool wants_gzip(const struct exchange *exchange)
{
    const char *accepted = http_server_header(&exchange->request, "Accept-Encoding");

    return accepted != NULL && strcasestr(accepted, "gzip") != NULL &&
           exchange->response.body.size_bytes + (uint64_t)exchange->response.file.size_bytes >=
               MIN_GZIP_BYTES;
}

/* ---- one exchange ---- */

/* Called by libmicrohttpd with the target as sent, before it decodes it. */
static void *begin_exchange(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http_server *server = context;
    struct exchange *exchange = memory_alloc(sizeof(*exchange));

    exchange->server = server;
    exchange->connection = connection;
    exchange->arena = arena_new();
    exchange->request.arena = exchange->arena;
    exchange->request.target = arena_strdup(exchange->arena, target);
    exchange->response.status = 200;
    buf_init(&exchange->body, server->options.max_body_bytes);
    buf_init(&exchange->plain, server->options.max_body_bytes);
    buf_init(&exchange->packed, server->options.max_answer_bytes);
    buf_init(&exchange->response.body, server->options.max_answer_bytes);
    return exchange;
}

static void forget_held(struct exchange *exchange)
{
    struct exchange **link = &exchange->server->held;

    while (*link != NULL && *link != exchange)
        link = &(*link)->next_held;
    if (*link != NULL)
        *link = exchange->next_held;
}

/* NULL: the connection is gone. */
static void finish(struct exchange *exchange, struct http_server_response *response)
{
    void (*fill)(void *, struct http_server_response *) = exchange->response.finish;

    exchange->response.finish = NULL;
    if (fill != NULL)
        fill(exchange->response.finish_context, response);
}

static void end_flow(struct exchange *exchange)
{
    const struct http_server_flow *flow = &exchange->response.flow;

    if (flow->more == NULL)
        return;
    if (exchange->is_flowing)
        exchange->server->flows--;
    if (flow->end != NULL)
        flow->end(flow->context);
}

static void end_exchange(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *slot;

    (void)context;
    (void)connection;
    (void)code;
    if (exchange == NULL)
        return;
    forget_held(exchange);
    finish(exchange, NULL);
    end_flow(exchange);
    buf_done(&exchange->body);
    buf_done(&exchange->plain);
    buf_done(&exchange->packed);
    buf_done(&exchange->response.body);
    if (exchange->response.file.size_bytes > 0)
        close(exchange->response.file.fd);
    arena_free(exchange->arena);
    free(exchange);
    *slot = NULL;
}

struct header_list {
    struct arena *arena;
    struct http_server_pair *pairs;
    size_t count;
    size_t room;
};

static enum MHD_Result add_request_header(void *context, enum MHD_ValueKind kind, const char *name,
                                          const char *value)
{
    struct header_list *list = context;

    (void)kind;
    if (list->count == list->room)
        return MHD_NO;
    list->pairs[list->count++] = (struct http_server_pair){
        .name = arena_strdup(list->arena, name),
        .value = arena_strdup(list->arena, value != NULL ? value : ""),
    };
    return MHD_YES;
}

static void read_head(struct exchange *exchange, const char *method)
{
    struct http_server_request *request = &exchange->request;
    int count = MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, NULL, NULL);
    struct header_list list = {.arena = exchange->arena, .room = count > 0 ? (size_t)count : 0};
    size_t path_bytes = strcspn(request->target, "?");

    list.pairs = arena_array(exchange->arena, struct http_server_pair, list.room);
    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, add_request_header, &list);
    request->headers = list.pairs;
    request->header_count = list.count;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    request->peer = info != NULL ? http_address_format(info->client_addr, exchange->arena) : "";
    request->method = arena_strdup(exchange->arena, method);
    request->path = arena_strndup(exchange->arena, request->target, path_bytes);
    const char *query = request->target + path_bytes + (request->target[path_bytes] == '?');
    request->params = http_server_parse_form(exchange->arena, query, &request->param_count);
}

static void refuse(struct exchange *exchange, int status, const char *text)
{
    exchange->response.status = status;
    http_server_add_header(&exchange->response, "Content-Type", "text/plain;charset=UTF-8");
    buf_text(&exchange->response.body, text);
}

/* False when the body cannot be used; the response then says why. */
static bool read_body(struct exchange *exchange)
{
    const char *encoding = http_server_header(&exchange->request, "Content-Encoding");
    struct buf *body = &exchange->body;

    if (buf_is_full(body)) {
        refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "The request body is too large\n");
        return false;
    }
    if (encoding != NULL &&
        (strcasecmp(encoding, "gzip") == 0 || strcasecmp(encoding, "deflate") == 0)) {
        if (!http_gzip_unpack(body, &exchange->plain)) {
            refuse(exchange, 400, "The request body cannot be decompressed\n");
            return false;
        }
        body = &exchange->plain;
    }
    exchange->request.body = body->data;
    exchange->request.body_bytes = body->size_bytes;
    return true;
}

static void hold_back(struct exchange *exchange, int delay_ms)
{
    exchange->due_ms = clock_monotonic_ms() + delay_ms;
    exchange->next_held = exchange->server->held;
    exchange->server->held = exchange;
    MHD_suspend_connection(exchange->connection);
}

static void rest(void *context)
{
    struct exchange *exchange = context;

    hold_back(exchange, exchange->response.flow.interval_ms);
}

static struct MHD_Response *make_flow(struct exchange *exchange)
{
    const struct http_flow_server server = {
        .is_ending = &exchange->server->is_ending, .rest = rest, .exchange = exchange};

    exchange->is_flowing = true;
    exchange->server->flows++;
    return http_flow_response(&exchange->response, &server);
}

static struct MHD_Response *make_response(struct exchange *exchange)
{
    const struct http_server_response *answer = &exchange->response;
    const struct buf *body = &answer->body;

    if (answer->flow.more != NULL)
        return make_flow(exchange);
    if (answer->file.size_bytes > 0)
        return http_file_response(answer, wants_gzip(exchange));
    bool is_packed = wants_gzip(exchange) && http_gzip_pack(body, &exchange->packed);

    if (is_packed)
        body = &exchange->packed;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body->size_bytes, body->data, MHD_RESPMEM_PERSISTENT);
    return http_file_add_headers(response, answer, is_packed);
}

static enum MHD_Result send_answer(struct exchange *exchange)
{
    if (exchange->response.is_dropped)
        return MHD_NO;
    struct MHD_Response *response = make_response(exchange);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result =
        MHD_queue_response(exchange->connection, (unsigned int)exchange->response.status, response);
    MHD_destroy_response(response);
    return result;
}

void http_server_wake(struct http_server_response *response)
{
    struct exchange *exchange =
        (struct exchange *)((char *)response - offsetof(struct exchange, response));

    response->delay_ms = 0;
    exchange->due_ms = 0;
}

static void bound_answer(struct exchange *exchange)
{
    if (!buf_is_full(&exchange->response.body))
        return;
    buf_clear(&exchange->response.body);
    refuse(exchange, 500, "The answer is too large\n");
}

static void handle(struct exchange *exchange)
{
    const struct http_server_options *options = &exchange->server->options;

    exchange->is_handled = true;
    if (!read_body(exchange))
        return;
    options->handle(options->context, &exchange->request, &exchange->response);
    bound_answer(exchange);
}

/* libmicrohttpd calls this once with the head, once per piece of body, and once at the end; and
 * once more when a connection that was held back goes on. */
static enum MHD_Result take_request(void *context, struct MHD_Connection *connection,
                                    const char *url, const char *method, const char *version,
                                    const char *data, size_t *size_bytes, void **slot)
{
    struct exchange *exchange = *slot;

    (void)context;
    (void)connection;
    (void)url;
    (void)version;
    if (!exchange->is_started) {
        exchange->is_started = true;
        read_head(exchange, method);
        return MHD_YES;
    }
    if (*size_bytes > 0) {
        buf_append(&exchange->body, data, *size_bytes);
        *size_bytes = 0;
        return MHD_YES;
    }
    if (!exchange->is_handled)
        handle(exchange);
    if (exchange->response.delay_ms > 0 && !exchange->is_held) {
        exchange->is_held = true;
        hold_back(exchange, exchange->response.delay_ms);
        return MHD_YES;
    }
    finish(exchange, &exchange->response);
    bound_answer(exchange);
    return send_answer(exchange);
}

/* ---- listening ---- */

static bool start_daemon(struct http_server *server, const union http_address *address,
                         struct error *err)
{
    const struct http_server_options *options = &server->options;
    unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem items[HTTP_DAEMON_MAX_OPTIONS];

    if (address->any.sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    if (options->tls_certificate != NULL)
        flags |= MHD_USE_TLS;
    http_daemon_fill(options, items);
    errno = 0;
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, take_request, server, MHD_OPTION_SOCK_ADDR, &address->any,
        MHD_OPTION_URI_LOG_CALLBACK, begin_exchange, server, MHD_OPTION_NOTIFY_COMPLETED,
        end_exchange, server, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (server->daemon != NULL)
        return true;
    /* Where a certificate is refused errno may be anything. */
    bool is_address = errno == EADDRINUSE || errno == EADDRNOTAVAIL || errno == EACCES;
    if (options->tls_certificate != NULL && !is_address)
        return error_set(err, ERROR_CONFIG,
                         "the certificate and its key cannot be used: give PEM files that belong"
                         " together, the key without a passphrase");
    return error_set(err, error_kind_of(errno), "cannot listen on %s: %s; choose another address",
                     options->address, strerror(errno));
}

static bool watch(int poll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool watch_all(struct http_server *server, struct error *err)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    if (info == NULL)
        return error_set(err, ERROR_BUG, "libmicrohttpd was built without epoll");
    server->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->poll_fd < 0 || !watch(server->poll_fd, info->epoll_fd) ||
        (server->options.wake != NULL && !watch(server->poll_fd, server->options.wake_fd)))
        return error_set(err, ERROR_RETRY, "cannot watch the server's sockets: %s",
                         strerror(errno));
    return true;
}

static int find_port(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);

    return info != NULL ? info->port : 0;
}

bool http_server_open(const struct http_server_options *options, struct http_server **server,
                      struct error *err)
{
    union http_address address;

    *server = NULL;
    if (!http_address_parse(options->address, &address))
        return error_set(err, ERROR_CONFIG,
                         "cannot listen on \"%s\": write a numeric address and a port, for example "
                         "127.0.0.1:8080",
                         options->address);
    if (options->is_loopback_only && !http_address_is_loopback(&address))
        return error_set(err, ERROR_CONFIG,
                         "refuses to listen on %s: only loopback addresses (127.0.0.1, ::1) are "
                         "allowed here",
                         options->address);

    struct http_server *new_server = memory_alloc(sizeof(*new_server));
    new_server->options = *options;
    new_server->poll_fd = -1;
    if (!start_daemon(new_server, &address, err) || !watch_all(new_server, err)) {
        http_server_close(new_server);
        return false;
    }
    new_server->port = find_port(new_server->daemon);
    *server = new_server;
    return true;
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}

/* ---- the loop ---- */

/* Lets go on whatever is due at now_ms; with INT64_MAX, everything. */
static void resume_held(struct http_server *server, int64_t now_ms)
{
    struct exchange **link = &server->held;

    while (*link != NULL) {
        struct exchange *exchange = *link;

        if (exchange->due_ms <= now_ms) {
            *link = exchange->next_held;
            MHD_resume_connection(exchange->connection);
        } else {
            link = &exchange->next_held;
        }
    }
}

static int next_timeout_ms(const struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG daemon_ms = 0;
    int64_t timeout_ms = LONGEST_WAIT_MS;
    int64_t now_ms = clock_monotonic_ms();

    if (MHD_get_timeout(server->daemon, &daemon_ms) == MHD_YES && daemon_ms < LONGEST_WAIT_MS)
        timeout_ms = (int64_t)daemon_ms;
    for (const struct exchange *each = server->held; each != NULL; each = each->next_held) {
        int64_t left_ms = each->due_ms > now_ms ? each->due_ms - now_ms : 0;

        if (left_ms < timeout_ms)
            timeout_ms = left_ms;
    }
    return (int)timeout_ms;
}

/* Those who still read hear that it is the end; who does not is cut off. */
static void end_flows(struct http_server *server)
{
    enum { ROUNDS = 10 };

    server->is_ending = true;
    for (int i = 0; i < ROUNDS && server->flows > 0; i++) {
        resume_held(server, INT64_MAX);
        MHD_run(server->daemon);
    }
}

bool http_server_run(struct http_server *server, struct error *err)
{
    const struct http_server_options *options = &server->options;
    bool has_work = false;

    while (wait_for(server->poll_fd, POLLIN, has_work ? 0 : next_timeout_ms(server)) != WAIT_STOP) {
        if (options->wake != NULL && wait_for(options->wake_fd, POLLIN, 0) == WAIT_READY)
            options->wake(options->context);
        resume_held(server, clock_monotonic_ms());
        if (MHD_run(server->daemon) != MHD_YES)
            return error_set(err, ERROR_RETRY, "the HTTP server failed: %s", strerror(errno));
        has_work = options->work != NULL && options->work(options->context);
    }
    end_flows(server);
    return true;
}

void http_server_close(struct http_server *server)
{
    if (server == NULL)
        return;
    /* libmicrohttpd ends the process when it is stopped with a connection suspended. */
    resume_held(server, INT64_MAX);
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    if (server->poll_fd >= 0)
        close(server->poll_fd);
    free(server);
}
