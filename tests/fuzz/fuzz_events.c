/*
 * libFuzzer: what a Streaming API server says. The input is a row of answers, one per request of
 * ours, split at empty lines: the first byte of each chooses how it comes (an answer, none, one
 * that sets a cookie), the rest is its body. A client shakes hands, subscribes, waits and waits
 * again. Whatever comes, no wait answers true without a list, no failure lacks a reason, and after
 * a failure nothing is told before the next handshake.
 *
 * The session is this file's: nothing is sent.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/wait.h"
#include "sf/events.h"
#include "sf/session.h"

enum { CHANNELS = 3, WAITS = 4 };

static const uint8_t *input;
static size_t input_bytes;
static bool has_shaken_hands;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

/* The next answer, cut off the input. */
static const uint8_t *take(size_t *size_bytes)
{
    const uint8_t *from = input;
    const uint8_t *end = memmem(input, input_bytes, "\n\n", 2);

    *size_bytes = end != NULL ? (size_t)(end - from) : input_bytes;
    size_t taken = end != NULL ? *size_bytes + 2 : *size_bytes;
    input += taken;
    input_bytes -= taken;
    return from;
}

const char *sf_session_api_version(const struct sf_session *session)
{
    (void)session;
    return "60.0";
}

bool sf_session_renew(struct sf_session *session, struct error *err)
{
    (void)session;
    return input_bytes % 2 == 0 || error_set(err, ERROR_RETRY, "no token today");
}

void sf_call_done(struct sf_call *call)
{
    json_decref(call->json);
    buf_done(&call->exchange.received_headers);
}

/* What the organisation advises to wait is over at once. */
enum wait_result __wrap_wait_for(int fd, short events, int timeout_ms);

enum wait_result __wrap_wait_for(int fd, short events, int timeout_ms)
{
    (void)fd;
    (void)events;
    check(timeout_ms > 0);
    return WAIT_TIMEOUT;
}

bool sf_request_one(struct sf_session *session, struct sf_call *call, struct error *err)
{
    (void)session;
    size_t size_bytes;
    const uint8_t *answer = take(&size_bytes);
    json_t *sent = json_loads(call->body, 0, NULL);

    check(json_is_array(sent) && call->timeout_ms >= 0);
    has_shaken_hands = has_shaken_hands || strstr(call->body, "/meta/handshake") != NULL;
    json_decref(sent);
    if (size_bytes == 0 || answer[0] == '!')
        return error_set(err, ERROR_RETRY, "the connection was cut");
    call->json = json_loadb((const char *)answer + 1, size_bytes - 1, 0, NULL);
    buf_init(&call->exchange.received_headers, SIZE_MAX / 2);
    if (answer[0] == 'c') {
        buf_text(&call->exchange.received_headers, "HTTP/1.1 200 OK\r\nSet-Cookie: ");
        buf_append(&call->exchange.received_headers, answer + 1, size_bytes - 1);
    }
    return true;
}

static void check_channels(const struct sf_events_channel *channels)
{
    for (size_t i = 0; i < CHANNELS; i++)
        check(channels[i].state <= SF_EVENTS_LOST &&
              memchr(channels[i].problem, '\0', sizeof(channels[i].problem)) != NULL);
}

static void listen_once(struct sf_events *events)
{
    struct sf_events_channel channels[CHANNELS] = {
        {.name = "/data/AccountChangeEvent", .replay_id = 7},
        {.name = "/data/LeadChangeEvent", .replay_id = SF_EVENTS_NEW},
        {.name = "/data/Invoice__ChangeEvent", .replay_id = INT64_MAX},
    };
    struct error err = {0};

    has_shaken_hands = false;
    if (!sf_events_open(events, channels, CHANNELS, &err)) {
        check(err.kind != ERROR_NONE && err.message[0] != '\0');
        return;
    }
    check(has_shaken_hands);
    check_channels(channels);
    for (int i = 0; i < WAITS; i++) {
        json_t *told = NULL;

        if (!sf_events_wait(events, &told, &err)) {
            check(told == NULL && err.kind != ERROR_NONE && err.message[0] != '\0');
            return;
        }
        check(json_is_array(told));
        json_decref(told);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct sf_events *events = sf_events_new(NULL);

    input = data;
    input_bytes = size_bytes;
    listen_once(events);
    listen_once(events);
    sf_events_close(events);
    sf_events_free(events);
    return 0;
}
