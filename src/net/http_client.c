#include "net/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/wait.h"

enum {
    CONNECT_TIMEOUT_MS = 10 * 1000,
    TOTAL_TIMEOUT_MS = 120 * 1000,
    LOW_SPEED_TIMEOUT_S = 60,
    RESPONSE_BYTES = 64 * 1024 * 1024,
    HEADER_BYTES = 256 * 1024,
    PARALLEL = 8,
    POLL_MS = 1000, /* the supervisor's death is noticed by asking, not by a descriptor of curl's */
};

struct http_client {
    CURLM *multi;
    struct http_client_options options;
    char *user_agent;
    char *ca_file;
    char *proxy;
};

struct transfer {
    struct http_exchange *exchange;
    CURL *easy;
    struct curl_slist *headers;
    unsigned char *gzipped;
    size_t gzipped_bytes;
    curl_off_t bytes_before; /* sent before the request itself: the CONNECT to a proxy */
    bool has_begun;          /* connected, about to send the request */
    bool is_too_large;
    char why[CURL_ERROR_SIZE];
};

static char *copy_or_null(const char *text)
{
    return text != NULL ? memory_strdup(text) : NULL;
}

static void fill_defaults(struct http_client_options *options)
{
    if (options->connect_timeout_ms <= 0)
        options->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (options->total_timeout_ms <= 0)
        options->total_timeout_ms = TOTAL_TIMEOUT_MS;
    if (options->low_speed_timeout_s <= 0)
        options->low_speed_timeout_s = LOW_SPEED_TIMEOUT_S;
    if (options->max_response_bytes == 0)
        options->max_response_bytes = RESPONSE_BYTES;
    if (options->max_parallel == 0)
        options->max_parallel = PARALLEL;
}

struct http_client *http_client_new(const struct http_client_options *options, struct error *err)
{
    const char *agent = options->user_agent;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_SSL) == 0) {
        error_set(err, ERROR_CONFIG, "libcurl has no TLS: install a libcurl built with OpenSSL");
        return NULL;
    }

    if (options->ca_file != NULL && access(options->ca_file, R_OK) != 0) {
        error_set(err, ERROR_CONFIG, "cannot read the certificates in %s: %s", options->ca_file,
                  strerror(errno));
        return NULL;
    }

    struct http_client *client = memory_alloc(sizeof(*client));
    client->options = *options;
    fill_defaults(&client->options);
    client->user_agent = memory_strdup(agent != NULL ? agent : "pgforce/" PGFORCE_VERSION);
    client->ca_file = copy_or_null(options->ca_file);
    client->proxy = memory_strdup(options->proxy != NULL ? options->proxy : "");
    client->multi = curl_multi_init();
    if (client->multi == NULL)
        abort();
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    curl_multi_cleanup(client->multi);
    free(client->user_agent);
    free(client->ca_file);
    free(client->proxy);
    free(client);
    curl_global_cleanup();
}

static size_t take_body(char *data, size_t one, size_t size_bytes, void *context)
{
    struct transfer *transfer = context;

    (void)one;
    buf_append(&transfer->exchange->received, data, size_bytes);
    transfer->is_too_large = buf_is_full(&transfer->exchange->received);
    return transfer->is_too_large ? 0 : size_bytes;
}

/* A new status line starts the headers again: what came before was an interim answer (100). */
static size_t take_header(char *data, size_t one, size_t size_bytes, void *context)
{
    struct transfer *transfer = context;
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
static int guard_repetition(void *context, char *ip, char *local_ip, int port, int local_port)
{
    struct transfer *transfer = context;
    curl_off_t sent = bytes_sent(transfer->easy);

    (void)ip;
    (void)local_ip;
    (void)port;
    (void)local_port;
    if (!transfer->has_begun)
        transfer->bytes_before = sent;
    else if (sent > transfer->bytes_before && !may_be_repeated(transfer->exchange))
        return CURL_PREREQFUNC_ABORT;
    transfer->has_begun = true;
    return CURL_PREREQFUNC_OK;
}

static bool deflate_body(struct transfer *transfer)
{
    const struct http_exchange *exchange = transfer->exchange;
    z_stream stream = {0};

    if (exchange->body_bytes > UINT_MAX / 2 ||
        deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
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

static void add_header(struct transfer *transfer, const char *line)
{
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);

    if (longer == NULL)
        abort();
    transfer->headers = longer;
}

static void set_request(struct transfer *transfer)
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

static void set_safety(const struct http_client *client, CURL *easy)
{
    const struct http_client_options *options = &client->options;
    const char *protocols = options->is_plain_http_allowed ? "http,https" : "https";

    set_or_die(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols));
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

static void set_manners(const struct http_client *client, struct transfer *transfer)
{
    const struct http_client_options *options = &client->options;
    int own_ms = transfer->exchange->total_timeout_ms;
    long total_ms = own_ms > 0 ? own_ms : options->total_timeout_ms;
    CURL *easy = transfer->easy;

    set_or_die(
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms));
    set_or_die(curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, total_ms));
    set_or_die(curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L));
    set_or_die(curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)options->low_speed_timeout_s));
    set_or_die(curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L));
    /* One connection carries one request: what has left of it can be told exactly. */
    set_or_die(curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1));
    set_or_die(curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent));
    set_or_die(curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip"));
    set_or_die(curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L));
}

static void set_callbacks(struct transfer *transfer)
{
    CURL *easy = transfer->easy;

    set_or_die(curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer));
    set_or_die(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->why));
    set_or_die(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body));
    set_or_die(curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer));
    set_or_die(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header));
    set_or_die(curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer));
    set_or_die(curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, guard_repetition));
    set_or_die(curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer));
}

static void start(struct http_client *client, struct transfer *transfer)
{
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL)
        abort();
    set_safety(client, transfer->easy);
    set_manners(client, transfer);
    set_callbacks(transfer);
    set_request(transfer);
    if (curl_multi_add_handle(client->multi, transfer->easy) != CURLM_OK)
        abort();
}

static bool has_left(const struct transfer *transfer)
{
    return transfer->has_begun && bytes_sent(transfer->easy) > transfer->bytes_before;
}

static void explain(struct transfer *transfer, CURLcode code)
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

static void conclude(struct transfer *transfer, CURLcode code)
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

/* Headers hold access tokens. */
static void wipe_headers(struct curl_slist *headers)
{
    for (struct curl_slist *line = headers; line != NULL; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(headers);
}

static void finish(struct http_client *client, struct transfer *transfer)
{
    if (transfer->easy == NULL)
        return;
    curl_multi_remove_handle(client->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    wipe_headers(transfer->headers);
    free(transfer->gzipped);
    *transfer = (struct transfer){0};
}

static size_t collect_finished(struct http_client *client)
{
    size_t finished = 0;
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct transfer *transfer = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        conclude(transfer, code);
        finish(client, transfer);
        finished++;
    }
    return finished;
}

struct run {
    struct http_client *client;
    struct transfer *transfers;
    size_t count;
    size_t started;
    size_t active;
    int64_t cut_at_ms; /* 0 until told to stop */
};

/* False when told to stop and the grace is over. */
static bool note_stop(struct run *run)
{
    if (!wait_is_stopping())
        return true;
    if (run->cut_at_ms == 0)
        run->cut_at_ms = clock_monotonic_ms() + run->client->options.stop_grace_ms;
    return clock_monotonic_ms() < run->cut_at_ms;
}

static void start_more(struct run *run)
{
    while (run->cut_at_ms == 0 && run->started < run->count &&
           run->active < run->client->options.max_parallel) {
        start(run->client, &run->transfers[run->started]);
        run->started++;
        run->active++;
    }
}

static bool step(struct run *run, struct error *err)
{
    CURLM *multi = run->client->multi;
    struct curl_waitfd stop = {.fd = wait_stop_fd(), .events = CURL_WAIT_POLLIN};
    /* Once told to stop the descriptor stays readable and would make the wait a spin. */
    unsigned int extra = stop.fd >= 0 && run->cut_at_ms == 0 ? 1 : 0;
    int running;

    CURLMcode code = curl_multi_perform(multi, &running);
    size_t finished = collect_finished(run->client);
    run->active -= finished;
    if (code == CURLM_OK && finished == 0)
        code = curl_multi_poll(multi, &stop, extra, POLL_MS, NULL);
    if (code != CURLM_OK)
        return error_set(err, ERROR_BUG, "libcurl failed: %s", curl_multi_strerror(code));
    return true;
}

static bool run_all(struct run *run, struct error *err)
{
    for (;;) {
        bool may_go_on = note_stop(run);

        start_more(run);
        if (run->active == 0 && (run->started == run->count || run->cut_at_ms != 0))
            break;
        if (!may_go_on)
            break;
        if (!step(run, err))
            return false;
    }
    if (run->active > 0 || run->started < run->count)
        return error_set(err, ERROR_RETRY, "told to stop before all answers had come");
    return true;
}

static void prepare(const struct http_client *client, struct http_exchange *exchange)
{
    http_exchange_done(exchange);
    buf_init(&exchange->received, client->options.max_response_bytes);
    buf_init(&exchange->received_headers, HEADER_BYTES);
    snprintf(exchange->problem, sizeof(exchange->problem), "not sent");
}

bool http_send(struct http_client *client, struct http_exchange *exchanges, size_t count,
               struct error *err)
{
    struct transfer *transfers = memory_alloc(count * sizeof(*transfers));
    struct run run = {.client = client, .transfers = transfers, .count = count};

    for (size_t i = 0; i < count; i++) {
        prepare(client, &exchanges[i]);
        transfers[i].exchange = &exchanges[i];
    }
    bool is_ok = run_all(&run, err);
    for (size_t i = 0; i < run.started; i++) {
        if (transfers[i].easy == NULL)
            continue;
        conclude(&transfers[i], CURLE_OPERATION_TIMEDOUT);
        snprintf(exchanges[i].problem, sizeof(exchanges[i].problem), "cut: told to stop");
        finish(client, &transfers[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (exchanges[i].fate == HTTP_ANSWERED)
            exchanges[i].problem[0] = '\0';
    }
    free(transfers);
    return is_ok;
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

const char *http_header(const struct http_exchange *exchange, const char *name, struct buf *out)
{
    const char *line = exchange->received_headers.data;
    size_t name_bytes = strlen(name);

    for (; line != NULL && *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncasecmp(line, name, name_bytes) != 0 || line[name_bytes] != ':')
            continue;
        const char *value = skip_blanks(line + name_bytes + 1);
        size_t size_bytes = strcspn(value, "\r\n");
        while (size_bytes > 0 && (value[size_bytes - 1] == ' ' || value[size_bytes - 1] == '\t'))
            size_bytes--;
        buf_clear(out);
        buf_append(out, value, size_bytes);
        return buf_is_full(out) ? NULL : out->data;
    }
    return NULL;
}

void http_exchange_done(struct http_exchange *exchange)
{
    buf_done(&exchange->received_headers);
    buf_done(&exchange->received);
    exchange->fate = HTTP_NOT_SENT;
    exchange->status = 0;
    exchange->problem[0] = '\0';
}

static bool is_plain(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || strchr("-._~", character) != NULL;
}

void http_url_encode(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (is_plain(*text))
            buf_char(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}

static bool is_loopback_name(const char *host)
{
    struct in_addr four;

    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

bool http_url_is_loopback(const char *url)
{
    CURLU *parts = curl_url();
    char *host = NULL;
    bool is_loopback = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                       curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                       is_loopback_name(host);

    curl_free(host);
    curl_url_cleanup(parts);
    return is_loopback;
}
