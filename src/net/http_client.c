#include "net/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/wait.h"
#include "net/http_transfer.h"

enum {
    CONNECT_TIMEOUT_MS = 10 * 1000,
    TOTAL_TIMEOUT_MS = 120 * 1000,
    LOW_SPEED_TIMEOUT_S = 60,
    RESPONSE_BYTES = 64 * 1024 * 1024,
    PARALLEL = 8,
    POLL_MS = 500, /* the supervisor's death is noticed by asking, not by a descriptor of curl's */
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

/* For libcurl: a header or a method that it had no memory for would be left out of a request. */
static void *alloc(size_t size_bytes)
{
    return memory_or_die(malloc(size_bytes), size_bytes);
}

static void *alloc_array(size_t count, size_t size_bytes)
{
    return memory_or_die(calloc(count, size_bytes), count * size_bytes);
}

struct http_client *http_client_new(const struct http_client_options *options, struct error *err)
{
    const char *agent = options->user_agent;
    /* The variable that curl and OpenSSL know: libcurl does not look at it by itself. */
    const char *ca_file = options->ca_file != NULL ? options->ca_file : getenv("SSL_CERT_FILE");

    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, alloc, free, memory_realloc, memory_strdup,
                             alloc_array) != CURLE_OK ||
        (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_SSL) == 0) {
        error_set(err, ERROR_CONFIG, "libcurl has no TLS: install a libcurl built with OpenSSL");
        return NULL;
    }

    if (ca_file != NULL && access(ca_file, R_OK) != 0) {
        error_set(err, ERROR_CONFIG, "cannot read the certificates in %s: %s", ca_file,
                  strerror(errno));
        return NULL;
    }

    struct http_client *client = memory_alloc(sizeof(*client));
    client->options = *options;
    fill_defaults(&client->options);
    client->user_agent = memory_strdup(agent != NULL ? agent : "pgforce/" PGFORCE_VERSION);
    client->ca_file = copy_or_null(ca_file);
    client->proxy = memory_strdup(options->proxy != NULL ? options->proxy : "");
    client->multi = memory_or_die(curl_multi_init(), 0);
    client->streams = memory_or_die(curl_multi_init(), 0);
    client->sockets = memory_alloc(sizeof(*client->sockets));
    return client;
}

static void forget(struct http_client *client, struct http_transfer *transfer)
{
    struct http_transfer **at = &client->begun;

    while (*at != transfer)
        at = &(*at)->next;
    *at = transfer->next;
    client->active -= transfer->multi != NULL;
    transfer->exchange->is_over = true;
    http_transfer_finish(transfer);
    free(transfer);
}

static void conclude(struct http_client *client, struct http_transfer *transfer, CURLcode code)
{
    struct http_exchange *exchange = transfer->exchange;

    http_transfer_conclude(transfer, code);
    if (exchange->fate == HTTP_ANSWERED)
        exchange->problem[0] = '\0';
    forget(client, transfer);
}

static size_t collect_finished(struct http_client *client)
{
    size_t finished = 0;
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct http_transfer *transfer = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        if (http_transfer_start_anew(transfer))
            continue;
        conclude(client, transfer, code);
        finished++;
    }
    return finished;
}

static void cut(struct http_client *client, struct http_transfer *transfer)
{
    struct http_exchange *exchange = transfer->exchange;

    if (transfer->multi == NULL) {
        forget(client, transfer);
        return;
    }
    conclude(client, transfer, CURLE_OPERATION_TIMEDOUT);
    snprintf(exchange->problem, sizeof(exchange->problem), "cut: told to stop");
}

/* Those that are not on their way yet, or all. False: there were some. */
static bool cut_begun(struct http_client *client, bool are_all)
{
    bool has_cut = false;

    for (struct http_transfer *transfer = client->begun, *next; transfer != NULL; transfer = next) {
        next = transfer->next;
        if (!are_all && transfer->multi != NULL)
            continue;
        cut(client, transfer);
        has_cut = true;
    }
    return !has_cut;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    cut_begun(client, true);
    curl_multi_cleanup(client->multi);
    curl_multi_cleanup(client->streams);
    free(client->sockets->items);
    free(client->sockets);
    free(client->user_agent);
    free(client->ca_file);
    free(client->proxy);
    free(client);
    curl_global_cleanup();
}

/* Nothing new starts once we are told to stop; what is on its way has the grace. False when
 * something will have no answer. */
static bool heed_stop(struct http_client *client)
{
    if (!wait_is_stopping()) {
        client->cut_at_ms = 0;
        return true;
    }
    bool has_grace =
        !wait_is_given_up() && client->begun != NULL && !client->begun->exchange->is_held;
    if (client->cut_at_ms == 0)
        client->cut_at_ms = clock_monotonic_ms() + (has_grace ? client->options.stop_grace_ms : 0);
    return cut_begun(client, clock_monotonic_ms() >= client->cut_at_ms);
}

static void start_more(struct http_client *client)
{
    for (struct http_transfer *transfer = client->begun;
         transfer != NULL && client->active < client->options.max_parallel;
         transfer = transfer->next) {
        if (transfer->multi != NULL)
            continue;
        http_transfer_start(transfer, client->multi);
        client->active++;
    }
}

static CURLMcode poll_all(struct http_client *client, int fd, short events, int timeout_ms)
{
    struct curl_waitfd waited[2];
    unsigned int count = 0;
    int stop_fd = wait_stop_fd();

    /* Once told to stop the descriptor stays readable and would make the wait a spin. */
    if (stop_fd >= 0 && client->cut_at_ms == 0)
        waited[count++] = (struct curl_waitfd){.fd = stop_fd, .events = CURL_WAIT_POLLIN};
    if (fd >= 0)
        waited[count++] =
            (struct curl_waitfd){.fd = fd,
                                 .events = (short)((events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                                                   (events & POLLOUT ? CURL_WAIT_POLLOUT : 0))};
    return curl_multi_poll(client->multi, waited, count,
                           timeout_ms < POLL_MS ? timeout_ms : POLL_MS, NULL);
}

static bool step(struct http_client *client, int fd, short events, int timeout_ms,
                 struct error *err)
{
    int running;

    if (!heed_stop(client))
        return error_set(err, ERROR_RETRY, "told to stop before all answers had come");
    start_more(client);
    CURLMcode code = curl_multi_perform(client->multi, &running);
    if (code == CURLM_OK && collect_finished(client) == 0)
        code = poll_all(client, fd, events, timeout_ms);
    if (code == CURLM_OK)
        return true;
    cut_begun(client, true);
    return http_transfer_refuse(code, err);
}

static void begin(struct http_client *client, struct http_exchange *exchange)
{
    struct http_transfer *transfer = memory_alloc(sizeof(*transfer));
    struct http_transfer **last = &client->begun;

    http_transfer_prepare(client, exchange);
    transfer->exchange = exchange;
    http_transfer_set_up(client, transfer);
    while (*last != NULL)
        last = &(*last)->next;
    *last = transfer;
}

void http_begin(struct http_client *client, struct http_exchange *exchange)
{
    FAILPOINT("request_before");
    begin(client, exchange);
}

bool http_go_on(struct http_client *client, int fd, short events, int timeout_ms, struct error *err)
{
    size_t active = client->active;
    bool is_ok = step(client, fd, events, timeout_ms, err);

    FAILPOINT_IF(client->active < active, "request_after");
    (void)active;
    return is_ok;
}

static bool are_over(const struct http_exchange *exchanges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!exchanges[i].is_over)
            return false;
    return true;
}

bool http_send(struct http_client *client, struct http_exchange *exchanges, size_t count,
               struct error *err)
{
    bool is_ok = true;

    FAILPOINT("request_before");
    for (size_t i = 0; i < count; i++)
        begin(client, &exchanges[i]);
    while (!are_over(exchanges, count))
        is_ok = step(client, -1, 0, POLL_MS, err) && is_ok;
    FAILPOINT("request_after");
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
    exchange->is_over = false;
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
