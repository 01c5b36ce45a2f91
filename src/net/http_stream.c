#include "net/http_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/failpoint.h"
#include "base/wait.h"
#include "net/http_transfer.h"

enum {
    WINDOW_BYTES = 512 * 1024,
    PIECE_BYTES = 128 * 1024, /* the most that curl hands over at once */
    POLL_MS = 1000,
    HEADERS_MAX = 16,
};

struct http_stream {
    struct http_transfer transfer;
    struct http_exchange exchange;
    char *url;
    char *headers[HEADERS_MAX + 1];
    struct buf filling; /* what has come since the last read */
    struct buf handed;  /* what the reader has */
    bool is_paused;     /* the window is full */
    bool has_body;      /* so that the headers are whole */
    bool is_over;       /* the exchange has its fate */
};

static size_t take_piece(void *taker, const char *data, size_t size_bytes)
{
    struct http_stream *stream = taker;

    stream->has_body = true;
    if (stream->filling.size_bytes > 0 && stream->filling.size_bytes + size_bytes > WINDOW_BYTES) {
        stream->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    buf_append(&stream->filling, data, size_bytes);
    return size_bytes;
}

static void copy_headers(struct http_stream *stream, const char *const *headers)
{
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i++) {
        if (i >= HEADERS_MAX)
            abort();
        stream->headers[i] = memory_strdup(headers[i]);
    }
}

struct http_stream *http_stream_open(struct http_client *client, const char *url,
                                     const char *const *headers)
{
    struct http_stream *stream = memory_alloc(sizeof(*stream));

    *stream = (struct http_stream){.url = memory_strdup(url)};
    copy_headers(stream, headers);
    buf_init(&stream->filling, WINDOW_BYTES + CURL_MAX_READ_SIZE);
    buf_init(&stream->handed, WINDOW_BYTES + CURL_MAX_READ_SIZE);
    stream->exchange.method = "GET";
    stream->exchange.url = stream->url;
    stream->exchange.headers = (const char *const *)stream->headers;
    http_transfer_prepare(client, &stream->exchange);
    stream->transfer.exchange = &stream->exchange;
    stream->transfer.take = take_piece;
    stream->transfer.taker = stream;
    FAILPOINT("request_before");
    http_transfer_set_up(client, &stream->transfer);
    http_transfer_start(&stream->transfer, client->streams);
    curl_easy_setopt(stream->transfer.easy, CURLOPT_BUFFERSIZE, (long)PIECE_BYTES);
    return stream;
}

void http_stream_close(struct http_stream *stream)
{
    if (stream == NULL)
        return;
    http_transfer_finish(&stream->transfer);
    http_exchange_done(&stream->exchange);
    for (size_t i = 0; stream->headers[i] != NULL; i++) {
        explicit_bzero(stream->headers[i], strlen(stream->headers[i]));
        free(stream->headers[i]);
    }
    buf_done(&stream->filling);
    buf_done(&stream->handed);
    free(stream->url);
    free(stream);
}

/* The streams of a client share one handle of curl's: any of them may have ended. */
static void collect_finished(CURLM *multi)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        struct http_transfer *transfer = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        struct http_stream *stream = transfer->taker;
        if (http_transfer_start_anew(transfer))
            continue;
        http_transfer_conclude(transfer, code);
        stream->is_over = true;
        http_transfer_finish(transfer);
        FAILPOINT("request_after");
    }
}

/* Moves all streams of the client on, waiting for some of them to when nothing came at once. */
static bool step(struct http_stream *stream, struct error *err)
{
    CURLM *multi = stream->transfer.multi;
    size_t before_bytes = stream->filling.size_bytes;
    struct curl_waitfd stop = {.fd = wait_stop_fd(), .events = CURL_WAIT_POLLIN};
    int running;

    if (wait_is_stopping())
        return error_set(err, ERROR_RETRY, "told to stop before the whole answer had come");
    CURLMcode code = curl_multi_perform(multi, &running);
    collect_finished(multi);
    if (code == CURLM_OK && !stream->is_over && stream->filling.size_bytes == before_bytes)
        code = curl_multi_poll(multi, &stop, stop.fd >= 0 ? 1 : 0, POLL_MS, NULL);
    if (code != CURLM_OK)
        return http_transfer_refuse(code, err);
    return true;
}

bool http_stream_has_head(const struct http_stream *stream)
{
    return stream->has_body || stream->is_over;
}

static bool check_fate(const struct http_stream *stream, struct error *err)
{
    if (!stream->is_over || stream->exchange.fate == HTTP_ANSWERED)
        return true;
    return error_set(err, ERROR_RETRY, "the answer was cut: %s", stream->exchange.problem);
}

bool http_stream_head(struct http_stream *stream, struct error *err)
{
    while (!http_stream_has_head(stream))
        if (!step(stream, err))
            return false;
    if (!stream->is_over)
        curl_easy_getinfo(stream->transfer.easy, CURLINFO_RESPONSE_CODE, &stream->exchange.status);
    return check_fate(stream, err);
}

const struct http_exchange *http_stream_exchange(const struct http_stream *stream)
{
    return &stream->exchange;
}

static void hand_over(struct http_stream *stream)
{
    struct buf empty = stream->handed;

    stream->handed = stream->filling;
    stream->filling = empty;
    buf_clear(&stream->filling);
    if (!stream->is_paused || stream->is_over)
        return;
    /* Calls take_piece again with what was refused. */
    stream->is_paused = false;
    curl_easy_pause(stream->transfer.easy, CURLPAUSE_CONT);
}

bool http_stream_read(struct http_stream *stream, const char **data, size_t *size_bytes,
                      struct error *err)
{
    while (stream->filling.size_bytes == 0 && !stream->is_over)
        if (!step(stream, err))
            return false;
    if (stream->filling.size_bytes == 0 && !check_fate(stream, err))
        return false;
    hand_over(stream);
    *data = stream->handed.data;
    *size_bytes = stream->handed.size_bytes;
    return true;
}
