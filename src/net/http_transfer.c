#include "net/http_transfer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/arena.h"

enum { HEADER_BYTES = 256 * 1024 };

void http_transfer_prepare(const struct http_client *client, struct http_exchange *exchange)
{
    http_exchange_done(exchange);
    buf_init(&exchange->received, client->options.max_response_bytes);
    buf_init(&exchange->received_headers, HEADER_BYTES);
    snprintf(exchange->problem, sizeof(exchange->problem), "not sent");
}

static size_t take_body(char *data, size_t one, size_t size_bytes, void *context)
{
    struct http_transfer *transfer = context;

    (void)one;
    if (transfer->take != NULL)
        return transfer->take(transfer->taker, data, size_bytes);
    buf_append(&transfer->exchange->received, data, size_bytes);
    transfer->is_too_large = buf_is_full(&transfer->exchange->received);
    return transfer->is_too_large ? 0 : size_bytes;
}

/* A new status line starts the headers again: what came before was an interim answer (100). */
static size_t take_header(char *data, size_t one, size_t size_bytes, void *context)
{
    struct http_transfer *transfer = context;
    struct buf *headers = &transfer->exchange->received_headers;

    (void)one;
    if (size_bytes >= 5 && memcmp(data, "HTTP/", 5) == 0)
        buf_clear(headers);
    buf_append(headers, data, size_bytes);
    transfer->is_too_large = buf_is_full(headers);
    return transfer->is_too_large ? 0 : size_bytes;
}

static curl_off_t bytes_sent(CURL *easy)
{
    long bytes = 0;

    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes;
}

static bool may_be_repeated(const struct http_exchange *exchange)
{
    return strcmp(exchange->method, "GET") == 0 || strcmp(exchange->method, "HEAD") == 0;
}

/*
 * Called before each sending of the request. When a kept connection dies before an answer, curl
 * sends again by itself; for a write whose first bytes have left that would be a second write.
 */
static int guard_sending(void *context, char *ip, char *local_ip, int port, int local_port)
{
    struct http_transfer *transfer = context;
    curl_off_t sent = bytes_sent(transfer->easy);

    (void)ip;
    (void)local_ip;
    (void)port;
    transfer->was_unclean = !http_sockets_are_clean(transfer->sockets, local_port);
    if (transfer->was_unclean)
        return CURL_PREREQFUNC_ABORT;
    if (!transfer->has_begun)
        transfer->bytes_before = sent;
    else if (sent > transfer->bytes_before && !may_be_repeated(transfer->exchange))
        return CURL_PREREQFUNC_ABORT;
    transfer->has_begun = true;
    return CURL_PREREQFUNC_OK;
}

static bool deflate_body(struct http_transfer *transfer)
{
    const struct http_exchange *exchange = transfer->exchange;
    z_stream stream = {0};

    if (exchange->body_bytes > UINT_MAX / 2 ||
        deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) !=
            Z_OK)
        return false;
    size_t room_bytes = deflateBound(&stream, exchange->body_bytes);
    transfer->gzipped = memory_alloc(room_bytes);
    stream.next_in = (unsigned char *)(uintptr_t)exchange->body;
    stream.avail_in = (unsigned int)exchange->body_bytes;
    stream.next_out = transfer->gzipped;
    stream.avail_out = (unsigned int)room_bytes;
    bool is_whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    transfer->gzipped_bytes = stream.total_out;
    deflateEnd(&stream);
    return is_whole;
}

static void add_header(struct http_transfer *transfer, const char *line)
{
    transfer->headers = memory_or_die(curl_slist_append(transfer->headers, line), strlen(line));
}

static void set_request(struct http_transfer *transfer)
{
    const struct http_exchange *exchange = transfer->exchange;
    const void *body = exchange->body_bytes > 0 ? exchange->body : "";
    size_t body_bytes = exchange->body_bytes;
    CURL *easy = transfer->easy;

    for (size_t i = 0; exchange->headers != NULL && exchange->headers[i] != NULL; i++)
        add_header(transfer, exchange->headers[i]);
    add_header(transfer, "Expect:");
    if (exchange->gzip_over_bytes > 0 && body_bytes > exchange->gzip_over_bytes &&
        deflate_body(transfer)) {
        add_header(transfer, "Content-Encoding: gzip");
        body = transfer->gzipped;
        body_bytes = transfer->gzipped_bytes;
    }
    transfer->body_bytes = body_bytes;
    if (strcmp(exchange->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (body_bytes > 0 || strcmp(exchange->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body_bytes);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, exchange->method);
    curl_easy_setopt(easy, CURLOPT_URL, exchange->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
}

/* An option that libcurl does not take would be a hole, not an inconvenience. */
static void set_or_die(CURLcode code)
{
    if (code != CURLE_OK) {
        fprintf(stderr, "pgforce: libcurl refuses an option: %s\n", curl_easy_strerror(code));
        abort();
    }
}

static CURLcode allow_protocols(CURL *easy, bool is_plain_http_allowed)
{
#if LIBCURL_VERSION_NUM >= 0x075500 /* 7.85.0 */
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR,
                            is_plain_http_allowed ? "http,https" : "https");
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                            is_plain_http_allowed ? (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS)
                                                  : (long)CURLPROTO_HTTPS);
#endif
}

static void set_safety(const struct http_client *client, CURL *easy)
{
    const struct http_client_options *options = &client->options;

    set_or_die(allow_protocols(easy, options->is_plain_http_allowed));
    set_or_die(curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L));
    set_or_die(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L));
    set_or_die(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L));
    set_or_die(curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2));
    set_or_die(curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED));
    set_or_die(curl_easy_setopt(easy, CURLOPT_PROXY, client->proxy));
    set_or_die(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    if (client->ca_file != NULL)
        set_or_die(curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file));
}

static void set_manners(const struct http_client *client, struct http_transfer *transfer)
{
    const struct http_client_options *options = &client->options;
    int own_ms = transfer->exchange->total_timeout_ms;
    long total_ms = own_ms > 0 ? own_ms : options->total_timeout_ms;

    /* How long a stream takes is its reader's matter; standing still is not. */
    if (transfer->take != NULL)
        total_ms = 0;
    long silence_s = transfer->exchange->is_held ? total_ms / 1000 : options->low_speed_timeout_s;
    CURL *easy = transfer->easy;

    set_or_die(
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms));
    set_or_die(curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, total_ms));
    set_or_die(curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L));
    set_or_die(curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, silence_s));
    set_or_die(curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L));
    /* One connection carries one request: what has left of it can be told exactly. */
    set_or_die(curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1));
    set_or_die(curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent));
    set_or_die(curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip"));
    set_or_die(curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L));
}

static void set_callbacks(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;

    set_or_die(curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer));
    set_or_die(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->why));
    set_or_die(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body));
    set_or_die(curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer));
    set_or_die(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header));
    set_or_die(curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer));
    set_or_die(curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, guard_sending));
    set_or_die(curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer));
    set_or_die(curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, http_sockets_open));
    set_or_die(curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer->sockets));
    set_or_die(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, http_sockets_close));
    set_or_die(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->sockets));
}

void http_transfer_set_up(const struct http_client *client, struct http_transfer *transfer)
{
    transfer->easy = memory_or_die(curl_easy_init(), 0);
    transfer->sockets = client->sockets;
    set_safety(client, transfer->easy);
    set_manners(client, transfer);
    set_callbacks(transfer);
    set_request(transfer);
}

void http_transfer_start(struct http_transfer *transfer, CURLM *multi)
{
    transfer->multi = multi;
    if (curl_multi_add_handle(multi, transfer->easy) != CURLM_OK)
        abort();
}

bool http_transfer_start_anew(struct http_transfer *transfer)
{
    /* A read that curl repeats may have left before. */
    if (!transfer->was_unclean || transfer->has_begun)
        return false;
    curl_multi_remove_handle(transfer->multi, transfer->easy);
    transfer->was_unclean = false;
    transfer->why[0] = '\0';
    http_transfer_start(transfer, transfer->multi);
    return true;
}

static bool has_left(const struct http_transfer *transfer)
{
    return transfer->has_begun && bytes_sent(transfer->easy) > transfer->bytes_before;
}

static void explain(struct http_transfer *transfer, CURLcode code)
{
    struct http_exchange *exchange = transfer->exchange;
    const char *why = transfer->why[0] != '\0' ? transfer->why : curl_easy_strerror(code);

    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        why = "only https addresses are allowed";
    if (transfer->is_too_large)
        why = "the answer is larger than allowed";
    if (code == CURLE_ABORTED_BY_CALLBACK)
        why = "the connection was closed before an answer came";
    snprintf(exchange->problem, sizeof(exchange->problem), "%s", why);
}

void http_transfer_conclude(struct http_transfer *transfer, CURLcode code)
{
    struct http_exchange *exchange = transfer->exchange;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &exchange->status);
    if (code == CURLE_OK) {
        exchange->fate = HTTP_ANSWERED;
        return;
    }
    exchange->fate = has_left(transfer) ? HTTP_UNKNOWN : HTTP_NOT_SENT;
    explain(transfer, code);
}

/* Before 7.84.0 a poll that fails has no code of its own. */
#if LIBCURL_VERSION_NUM < 0x075400
#define CURLM_UNRECOVERABLE_POLL CURLM_OUT_OF_MEMORY
#endif

/* Among them the poll for which the kernel has no memory. */
bool http_transfer_refuse(CURLMcode code, struct error *err)
{
    bool may_pass = code == CURLM_UNRECOVERABLE_POLL || code == CURLM_OUT_OF_MEMORY;

    return error_set(err, may_pass ? ERROR_RETRY : ERROR_BUG, "libcurl failed: %s",
                     curl_multi_strerror(code));
}

/* Headers hold access tokens. */
static void wipe_headers(struct curl_slist *headers)
{
    for (struct curl_slist *line = headers; line != NULL; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(headers);
}

void http_transfer_finish(struct http_transfer *transfer)
{
    if (transfer->easy == NULL)
        return;
    if (transfer->multi != NULL)
        curl_multi_remove_handle(transfer->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    wipe_headers(transfer->headers);
    free(transfer->gzipped);
    *transfer = (struct http_transfer){0};
}
