#include "sf/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/wait.h"

enum {
    HOLD_MS = 110 * 1000,     /* what Salesforce says it holds a connect for */
    SLACK_MS = 15 * 1000,     /* until a held connect is given up */
    LONGEST_MS = 300 * 1000,  /* whatever it advises */
    LONGEST_PAUSE_MS = 60000, /* between two connects, whatever it advises */
    SUBSCRIBE_AT_ONCE = 20,   /* messages in one request */
    CLIENT_ID_BYTES = 256,
    COOKIES = 16,
    COOKIE_BYTES = 4096,
    PATH_BYTES = 64,
};

struct sf_events {
    struct sf_session *session;
    char client_id[CLIENT_ID_BYTES]; /* "" when there is none */
    char *cookies[COOKIES];          /* "name=value": they keep us at one server */
    int64_t message_id;
    int hold_ms;
    int pause_ms;
    bool must_sign_in; /* the token was refused inside an answer */
};

struct sf_events *sf_events_new(struct sf_session *session)
{
    struct sf_events *events = memory_alloc(sizeof(*events));

    *events = (struct sf_events){.session = session, .hold_ms = HOLD_MS};
    return events;
}

static void forget_cookies(struct sf_events *events)
{
    for (size_t i = 0; i < COOKIES; i++) {
        free(events->cookies[i]);
        events->cookies[i] = NULL;
    }
}

void sf_events_free(struct sf_events *events)
{
    if (events == NULL)
        return;
    forget_cookies(events);
    free(events);
}

/* ---- cookies ---- */

/* Of "name=value; Path=/; ..." the first part; a cookie of the same name is replaced. */
static void keep_cookie(struct sf_events *events, const char *text)
{
    size_t size_bytes = strcspn(text, ";\r\n");
    size_t name_bytes = strcspn(text, "=;\r\n");

    if (name_bytes == size_bytes || size_bytes > COOKIE_BYTES)
        return;
    for (size_t i = 0; i < COOKIES; i++) {
        char **place = &events->cookies[i];

        if (*place != NULL && strncmp(*place, text, name_bytes + 1) != 0)
            continue;
        free(*place);
        *place = memory_alloc(size_bytes + 1);
        memcpy(*place, text, size_bytes);
        (*place)[size_bytes] = '\0';
        return;
    }
}

static void keep_cookies(struct sf_events *events, const struct http_exchange *exchange)
{
    static const char name[] = "Set-Cookie:";
    const char *line = exchange->received_headers.data;

    for (; line != NULL && *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncasecmp(line, name, sizeof(name) - 1) != 0)
            continue;
        const char *value = line + sizeof(name) - 1;
        keep_cookie(events, value + strspn(value, " \t"));
    }
}

static void append_cookies(const struct sf_events *events, struct buf *header)
{
    const char *separator = "Cookie: ";

    for (size_t i = 0; i < COOKIES && events->cookies[i] != NULL; i++) {
        buf_printf(header, "%s%s", separator, events->cookies[i]);
        separator = "; ";
    }
}

/* ---- messages ---- */

/* Adds what every message has. */
static json_t *add_message(struct sf_events *events, json_t *messages, const char *channel)
{
    char id[24];
    json_t *message = json_object();

    snprintf(id, sizeof(id), "%lld", (long long)++events->message_id);
    json_object_set_new(message, "channel", json_string(channel));
    json_object_set_new(message, "id", json_string(id));
    if (events->client_id[0] != '\0')
        json_object_set_new(message, "clientId", json_string(events->client_id));
    json_array_append_new(messages, message);
    return message;
}

/* Sends the messages; *replies is an array. timeout_ms 0: not held. */
static bool post(struct sf_events *events, const json_t *messages, int timeout_ms, json_t **replies,
                 struct error *err)
{
    char *body = json_dumps(messages, JSON_COMPACT);
    struct buf cookies BUF_AUTO = {0};
    char path[PATH_BYTES];

    buf_init(&cookies, COOKIES * (COOKIE_BYTES + 4));
    append_cookies(events, &cookies);
    snprintf(path, sizeof(path), "/cometd/%s", sf_session_api_version(events->session));
    struct sf_call call SF_CALL_AUTO = {
        .method = "POST",
        .path = path,
        .headers = (const char *const[]){cookies.size_bytes > 0 ? cookies.data : NULL, NULL},
        .body = body,
        .body_bytes = strlen(body),
        .timeout_ms = timeout_ms,
        .is_held = timeout_ms > 0,
    };
    bool is_ok = sf_request_one(events->session, &call, err);
    free(body);
    if (!is_ok)
        return false;
    keep_cookies(events, &call.exchange);
    if (!json_is_array(call.json))
        return error_set(err, ERROR_RETRY, "the answer of %s is no list of messages", path);
    *replies = json_incref(call.json);
    return true;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static int number_of(const json_t *object, const char *key, int otherwise, int most)
{
    const json_t *number = json_object_get(object, key);

    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return otherwise;
    return json_integer_value(number) < most ? (int)json_integer_value(number) : most;
}

static void take_advice(struct sf_events *events, const json_t *reply)
{
    const json_t *advice = json_object_get(reply, "advice");

    events->hold_ms = number_of(advice, "timeout", events->hold_ms, LONGEST_MS);
    events->pause_ms = number_of(advice, "interval", events->pause_ms, LONGEST_PAUSE_MS);
}

/* "401::Authentication invalid", said in one place or the other. */
static bool is_about_token(const json_t *reply)
{
    const json_t *sfdc = json_object_get(json_object_get(reply, "ext"), "sfdc");

    return strncmp(text_of(reply, "error"), "401", 3) == 0 ||
           strncmp(text_of(sfdc, "failureReason"), "401", 3) == 0;
}

/* Whatever is refused here, a new client may not be; a new token if need be. */
static bool refuse(struct sf_events *events, const json_t *reply, const char *what,
                   struct error *err)
{
    const char *why = text_of(reply, "error");

    events->must_sign_in = events->must_sign_in || is_about_token(reply);
    events->client_id[0] = '\0';
    return error_set(err, ERROR_RETRY, "%s was refused: %.200s", what,
                     why[0] != '\0' ? why : "no reason given");
}

static bool is_successful(const json_t *reply)
{
    return json_is_true(json_object_get(reply, "successful"));
}

/* The reply on a meta channel; NULL when it is not among them. */
static const json_t *find_reply(const json_t *replies, const char *channel)
{
    size_t i;
    const json_t *reply;

    json_array_foreach(replies, i, reply)
    {
        if (strcmp(text_of(reply, "channel"), channel) == 0)
            return reply;
    }
    return NULL;
}

/* ---- a new client ---- */

static bool read_handshake(struct sf_events *events, const json_t *replies, struct error *err)
{
    const json_t *reply = find_reply(replies, "/meta/handshake");
    const char *client_id = text_of(reply, "clientId");

    if (!is_successful(reply))
        return refuse(events, reply, "listening for changes", err);
    if (client_id[0] == '\0' || strlen(client_id) >= CLIENT_ID_BYTES)
        return error_set(err, ERROR_RETRY, "the handshake was answered without a client's id");
    strcpy(events->client_id, client_id);
    take_advice(events, reply);
    return true;
}

static bool shake_hands(struct sf_events *events, struct error *err)
{
    json_t *messages SF_JSON_AUTO = json_array();
    json_t *replies SF_JSON_AUTO = NULL;

    events->client_id[0] = '\0';
    events->hold_ms = HOLD_MS;
    events->pause_ms = 0;
    forget_cookies(events);
    json_t *message = add_message(events, messages, "/meta/handshake");
    json_object_set_new(message, "version", json_string("1.0"));
    json_object_set_new(message, "minimumVersion", json_string("1.0"));
    json_object_set_new(message, "supportedConnectionTypes", json_pack("[s]", "long-polling"));
    json_object_set_new(message, "ext", json_pack("{s:b}", "replay", 1));
    return post(events, messages, 0, &replies, err) && read_handshake(events, replies, err);
}

static void add_subscription(struct sf_events *events, json_t *messages,
                             const struct sf_events_channel *channel, int64_t replay_id)
{
    json_t *message = add_message(events, messages, "/meta/subscribe");

    json_object_set_new(message, "subscription", json_string(channel->name));
    json_object_set_new(message, "ext",
                        json_pack("{s:{s:I}}", "replay", channel->name, (json_int_t)replay_id));
}

/* "400::The replayId {12} you provided was invalid. ..." */
static bool is_lost(const char *problem)
{
    return strncmp(problem, "400", 3) == 0 && strcasestr(problem, "replayId") != NULL;
}

/* What came of one subscription; lost ones are put off. */
static void read_subscription(const json_t *replies, struct sf_events_channel *channel)
{
    size_t i;
    const json_t *reply;

    channel->state = SF_EVENTS_REFUSED;
    snprintf(channel->problem, sizeof(channel->problem), "no answer");
    json_array_foreach(replies, i, reply)
    {
        if (strcmp(text_of(reply, "channel"), "/meta/subscribe") != 0 ||
            strcmp(text_of(reply, "subscription"), channel->name) != 0)
            continue;
        snprintf(channel->problem, sizeof(channel->problem), "%s", text_of(reply, "error"));
        if (is_successful(reply))
            channel->state = SF_EVENTS_LISTENING;
        else if (is_lost(channel->problem))
            channel->state = SF_EVENTS_LOST;
    }
}

/* From now on: what is new is heard first, and then what was missed can be read. */
static bool subscribe_anew(struct sf_events *events, struct sf_events_channel *channel,
                           struct error *err)
{
    json_t *messages SF_JSON_AUTO = json_array();
    json_t *replies SF_JSON_AUTO = NULL;

    add_subscription(events, messages, channel, SF_EVENTS_NEW);
    if (!post(events, messages, 0, &replies, err))
        return false;
    read_subscription(replies, channel);
    if (channel->state == SF_EVENTS_LISTENING)
        channel->state = SF_EVENTS_LOST;
    else
        channel->state = SF_EVENTS_REFUSED;
    return true;
}

static bool subscribe_some(struct sf_events *events, struct sf_events_channel *channels,
                           size_t count, struct error *err)
{
    json_t *messages SF_JSON_AUTO = json_array();
    json_t *replies SF_JSON_AUTO = NULL;

    for (size_t i = 0; i < count; i++)
        add_subscription(events, messages, &channels[i], channels[i].replay_id);
    if (!post(events, messages, 0, &replies, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        read_subscription(replies, &channels[i]);
        if (channels[i].state == SF_EVENTS_LOST && !subscribe_anew(events, &channels[i], err))
            return false;
    }
    return true;
}

static bool open_client(struct sf_events *events, struct sf_events_channel *channels, size_t count,
                        struct error *err)
{
    if (!shake_hands(events, err))
        return false;
    for (size_t i = 0; i < count; i += SUBSCRIBE_AT_ONCE) {
        size_t some = count - i < SUBSCRIBE_AT_ONCE ? count - i : SUBSCRIBE_AT_ONCE;

        if (!subscribe_some(events, channels + i, some, err))
            return false;
    }
    return true;
}

bool sf_events_open(struct sf_events *events, struct sf_events_channel *channels, size_t count,
                    struct error *err)
{
    bool had_signed_in = events->must_sign_in;

    if (events->must_sign_in && !sf_session_renew(events->session, err))
        return false;
    events->must_sign_in = false;
    if (open_client(events, channels, count, err))
        return true;
    /* A token that is no longer accepted is the usual reason, and no reason to wait. */
    if (!events->must_sign_in || had_signed_in)
        return false;
    events->must_sign_in = false;
    return sf_session_renew(events->session, err) && open_client(events, channels, count, err);
}

/* ---- events ---- */

static bool read_events(struct sf_events *events, const json_t *replies, json_t **out,
                        struct error *err)
{
    json_t *told = json_array();
    bool is_connected = false;
    size_t i;
    json_t *message;

    json_array_foreach(replies, i, message)
    {
        const char *channel = text_of(message, "channel");
        bool is_meta = strncmp(channel, "/meta/", 6) == 0;

        if (!is_meta) {
            json_array_append(told, message);
            continue;
        }
        is_connected = is_connected || strcmp(channel, "/meta/connect") == 0;
        if (!is_successful(message)) {
            json_decref(told);
            return refuse(events, message, "waiting for changes", err);
        }
        take_advice(events, message);
    }
    *out = told;
    return is_connected || error_set(err, ERROR_RETRY, "a connect was not answered");
}

bool sf_events_wait(struct sf_events *events, json_t **out, struct error *err)
{
    json_t *messages SF_JSON_AUTO = json_array();
    json_t *replies SF_JSON_AUTO = NULL;

    *out = NULL;
    if (events->pause_ms > 0 && wait_for(-1, 0, events->pause_ms) == WAIT_STOP)
        return error_set(err, ERROR_RETRY, "told to stop");
    json_t *message = add_message(events, messages, "/meta/connect");
    json_object_set_new(message, "connectionType", json_string("long-polling"));
    if (!post(events, messages, events->hold_ms + SLACK_MS, &replies, err))
        return false;
    if (read_events(events, replies, out, err))
        return true;
    json_decref(*out);
    *out = NULL;
    return false;
}

void sf_events_close(struct sf_events *events)
{
    json_t *messages SF_JSON_AUTO = json_array();
    json_t *replies SF_JSON_AUTO = NULL;
    struct error ignored;

    if (events->client_id[0] == '\0')
        return;
    add_message(events, messages, "/meta/disconnect");
    post(events, messages, 0, &replies, &ignored);
    events->client_id[0] = '\0';
}
