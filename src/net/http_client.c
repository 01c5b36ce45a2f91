#include "net/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
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

struct http_client *http_client_new(const struct http_client_options *options, struct error *err)
{
    const char *agent = options->user_agent;
    /* The variable that curl and OpenSSL know: libcurl does not look at it by itself. */
    const char *ca_file = options->ca_file != NULL ? options->ca_file : getenv("SSL_CERT_FILE");

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
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
    client->multi = curl_multi_init();
    client->streams = curl_multi_init();
    if (client->multi == NULL || client->streams == NULL)
        abort();
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    curl_multi_cleanup(client->multi);
    curl_multi_cleanup(client->streams);
    free(client->user_agent);
    free(client->ca_file);
    free(client->proxy);
    free(client);
    curl_global_cleanup();
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
        http_transfer_conclude(transfer, code);
        http_transfer_finish(transfer);
        finished++;
    }
    return finished;
}

struct run {
    struct http_client *client;
    struct http_transfer *transfers;
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
    bool is_held = run->count > 0 && run->transfers[0].exchange->is_held;
    bool has_grace = !wait_is_given_up() && !is_held;
    if (run->cut_at_ms == 0)
        run->cut_at_ms =
            clock_monotonic_ms() + (has_grace ? run->client->options.stop_grace_ms : 0);
    return clock_monotonic_ms() < run->cut_at_ms;
}

static void start_more(struct run *run)
{
    while (run->cut_at_ms == 0 && run->started < run->count &&
           run->active < run->client->options.max_parallel) {
        http_transfer_start(run->client, &run->transfers[run->started], run->client->multi);
        run->started++;
        run->active++;
    }
}

/* The other side is at work now, and so can we be. */
static bool work_meanwhile(struct run *run)
{
    struct http_client *client = run->client;
    void (*work)(void *context) = client->meanwhile;

    if (work == NULL || run->active == 0)
        return false;
    for (size_t i = 0; i < run->started; i++)
        if (run->transfers[i].easy != NULL && !http_transfer_has_left(&run->transfers[i]))
            return false;
    client->meanwhile = NULL;
    work(client->meanwhile_context);
    return true;
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
    if (code == CURLM_OK && finished == 0 && !work_meanwhile(run))
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

void http_client_meanwhile(struct http_client *client, void (*work)(void *context), void *context)
{
    client->meanwhile = work;
    client->meanwhile_context = context;
}

bool http_send(struct http_client *client, struct http_exchange *exchanges, size_t count,
               struct error *err)
{
    struct http_transfer *transfers = memory_alloc(count * sizeof(*transfers));
    struct run run = {.client = client, .transfers = transfers, .count = count};

    for (size_t i = 0; i < count; i++) {
        http_transfer_prepare(client, &exchanges[i]);
        transfers[i].exchange = &exchanges[i];
    }
    FAILPOINT("request_before");
    bool is_ok = run_all(&run, err);
    FAILPOINT("request_after");
    for (size_t i = 0; i < run.started; i++) {
        if (transfers[i].easy == NULL)
            continue;
        http_transfer_conclude(&transfers[i], CURLE_OPERATION_TIMEDOUT);
        snprintf(exchanges[i].problem, sizeof(exchanges[i].problem), "cut: told to stop");
        http_transfer_finish(&transfers[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (exchanges[i].fate == HTTP_ANSWERED)
            exchanges[i].problem[0] = '\0';
    }
    free(transfers);
    client->meanwhile = NULL;
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
