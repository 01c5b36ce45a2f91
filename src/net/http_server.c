#include "net/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/wait.h"
#include "net/http_address.h"
#include "net/http_file.h"

enum {
    CONNECTION_BYTES = 64 * 1024, /* request line and headers */
    MAX_PARAMS = 1000,
    MIN_GZIP_BYTES = 1024,
    INFLATE_CHUNK_BYTES = 64 * 1024,
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
    int64_t due_ms;
    struct exchange *next_held;
};

struct http_server {
    struct http_server_options options;
    struct MHD_Daemon *daemon;
    int port;
    struct exchange *held;
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

/* ---- compression ---- */

static bool inflate_all(z_stream *stream, struct buf *out)
{
    char chunk[INFLATE_CHUNK_BYTES];
    int result = Z_OK;

    while (result == Z_OK && !buf_is_full(out)) {
        stream->next_out = (Bytef *)chunk;
        stream->avail_out = sizeof(chunk);
        result = inflate(stream, Z_NO_FLUSH);
        buf_append(out, chunk, sizeof(chunk) - stream->avail_out);
    }
    return result == Z_STREAM_END;
}

/* gzip or zlib format, told apart by their headers; false when it is neither or too large. */
static bool gunzip(const struct buf *in, struct buf *out)
{
    enum { ANY_FORMAT = 15 + 32 };
    z_stream stream = {.next_in = (Bytef *)in->data, .avail_in = (uInt)in->size_bytes};

    if (inflateInit2(&stream, ANY_FORMAT) != Z_OK)
        return false;
    bool is_whole = inflate_all(&stream, out);
    inflateEnd(&stream);
    return is_whole;
}

static bool gzip(const struct buf *in, struct buf *out)
{
    enum { GZIP_FORMAT = 15 + 16, MEMORY_LEVEL = 8 };
    z_stream stream = {.next_in = (Bytef *)in->data, .avail_in = (uInt)in->size_bytes};

    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_FORMAT, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t bound = deflateBound(&stream, in->size_bytes);
    char *packed = memory_alloc(bound);
    stream.next_out = (Bytef *)packed;
    stream.avail_out = (uInt)bound;
    bool is_whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    if (is_whole)
        buf_append(out, packed, bound - stream.avail_out);
    free(packed);
    deflateEnd(&stream);
    return is_whole && !buf_is_full(out);
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
        if (!gunzip(body, &exchange->plain)) {
            refuse(exchange, 400, "The request body cannot be decompressed\n");
            return false;
        }
        body = &exchange->plain;
    }
    exchange->request.body = body->data;
    exchange->request.body_bytes = body->size_bytes;
    return true;
}

static struct MHD_Response *make_response(struct exchange *exchange)
{
    const struct http_server_response *answer = &exchange->response;
    const struct buf *body = &answer->body;

    if (answer->file.size_bytes > 0)
        return http_file_response(answer, wants_gzip(exchange));
    bool is_packed = wants_gzip(exchange) && gzip(body, &exchange->packed);

    if (is_packed)
        body = &exchange->packed;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body->size_bytes, body->data, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return NULL;
    http_file_add_headers(response, answer, is_packed);
    return response;
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

static void hold_back(struct exchange *exchange)
{
    exchange->is_held = true;
    exchange->due_ms = clock_monotonic_ms() + exchange->response.delay_ms;
    exchange->next_held = exchange->server->held;
    exchange->server->held = exchange;
    MHD_suspend_connection(exchange->connection);
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
        hold_back(exchange);
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
    unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;

    if (address->any.sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, take_request, server, MHD_OPTION_SOCK_ADDR, &address->any,
        MHD_OPTION_URI_LOG_CALLBACK, begin_exchange, server, MHD_OPTION_NOTIFY_COMPLETED,
        end_exchange, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_END);
    if (server->daemon == NULL)
        return error_set(err, ERROR_CONFIG, "cannot listen on %s: %s; choose another address",
                         server->options.address, strerror(errno));
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
    if (!start_daemon(new_server, &address, err)) {
        free(new_server);
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
    int64_t timeout_ms = -1;
    int64_t now_ms = clock_monotonic_ms();

    if (MHD_get_timeout(server->daemon, &daemon_ms) == MHD_YES)
        timeout_ms = daemon_ms < 60000 ? (int64_t)daemon_ms : 60000;
    for (const struct exchange *each = server->held; each != NULL; each = each->next_held) {
        int64_t left_ms = each->due_ms > now_ms ? each->due_ms - now_ms : 0;

        if (timeout_ms < 0 || left_ms < timeout_ms)
            timeout_ms = left_ms;
    }
    return timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
}

bool http_server_run(struct http_server *server, struct error *err)
{
    const struct http_server_options *options = &server->options;
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    if (info == NULL)
        return error_set(err, ERROR_BUG, "libmicrohttpd was built without epoll");
    bool has_work = false;
    while (wait_for(info->epoll_fd, POLLIN, has_work ? 0 : next_timeout_ms(server)) != WAIT_STOP) {
        resume_held(server, clock_monotonic_ms());
        if (MHD_run(server->daemon) != MHD_YES)
            return error_set(err, ERROR_RETRY, "the HTTP server failed: %s", strerror(errno));
        has_work = options->work != NULL && options->work(options->context);
    }
    return true;
}

void http_server_close(struct http_server *server)
{
    if (server == NULL)
        return;
    /* libmicrohttpd ends the process when it is stopped with a connection suspended. */
    resume_held(server, INT64_MAX);
    MHD_stop_daemon(server->daemon);
    free(server);
}
