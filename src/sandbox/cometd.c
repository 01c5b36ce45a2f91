#include "sandbox/cometd.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "sandbox/cometd_channels.h"
#include "sandbox/cometd_clients.h"
#include "sandbox/event_log.h"
#include "sandbox/events.h"
#include "sandbox/oauth.h"
#include "sandbox/resources.h"

enum {
    HOLD_MS = 110000,
    MAX_MESSAGES = 100, /* in one POST */
    MAX_BATCH_EVENTS = 1000,
    MAX_BATCH_BYTES = 4 * 1024 * 1024,
};

static const char content_type[] = "application/json;charset=UTF-8";

/* A POST and its answer so far. */
struct conversation {
    struct call *call;
    bool has_session;
    bool is_alone; /* only one message: its connect may be held */
    json_t *replies;
    struct cometd_client *connected; /* events go to this one */
    int hold_ms;
};

/* A held connect. It lives in its request's arena. */
struct cometd_poll {
    struct org *org;
    const struct http_server_request *request;
    struct http_server_response *response;
    struct cometd_client *client; /* NULL: it was taken away */
    bool is_unknown;              /* because the client was forgotten */
    json_t *replies;
};

/* ---- replies ---- */

static json_t *add_reply(struct conversation *talk, const json_t *message)
{
    static const char *const copied[] = {"channel", "id", "clientId", "subscription"};
    json_t *reply = json_object();

    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        json_t *value = json_object_get(message, copied[i]);

        if (value != NULL)
            json_object_set(reply, copied[i], value);
    }
    json_object_set_new(reply, "successful", json_true());
    json_array_append_new(talk->replies, reply);
    return reply;
}

/* reconnect: "none", "handshake", or NULL for no advice. */
static void fail(json_t *reply, const char *error, const char *reconnect)
{
    json_object_set_new(reply, "successful", json_false());
    json_object_set_new(reply, "error", json_string(error));
    if (reconnect != NULL)
        json_object_set_new(reply, "advice",
                            json_pack("{s:i, s:s}", "interval", 0, "reconnect", reconnect));
}

static void advise_retry(json_t *reply)
{
    json_object_set_new(
        reply, "advice",
        json_pack("{s:i, s:i, s:s}", "interval", 0, "timeout", HOLD_MS, "reconnect", "retry"));
}

/* Events first, then the replies. */
static void write_answer(struct http_server_response *response, struct org *org,
                         struct cometd_client *client, const json_t *replies)
{
    struct event_batch batch = {
        .out = &response->body, .max_bytes = MAX_BATCH_BYTES, .max_count = MAX_BATCH_EVENTS};
    struct error err = {0};
    char *text = json_dumps(replies, JSON_COMPACT);

    buf_char(&response->body, '[');
    if (client != NULL && !cometd_clients_read(client, events_log(org->events), &batch, &err))
        log_error("lost events", log_text("error", err.message));
    buf_text(&response->body, text + 1); /* without its own bracket */
    http_server_add_header(response, "Content-Type", content_type);
    free(text);
}

/* ---- held connects ---- */

static void finish_poll(void *context, struct http_server_response *response)
{
    struct cometd_poll *poll = context;
    json_t *reply = json_array_get(poll->replies, 0);

    if (poll->client != NULL) {
        poll->client->poll = NULL;
        poll->client->heard_ms = clock_monotonic_ms();
    }
    if (response != NULL) {
        struct call call = {.org = poll->org,
                            .arena = poll->request->arena,
                            .request = poll->request,
                            .response = response};

        if (!oauth_has_session(&call)) {
            fail(reply, "401::Authentication invalid", "none");
            poll->client = NULL;
        } else if (poll->is_unknown) {
            fail(reply, "403::Unknown client", "handshake");
        }
        write_answer(response, poll->org, poll->client, poll->replies);
    }
    json_decref(poll->replies);
}

static void hold(struct conversation *talk)
{
    struct call *call = talk->call;
    struct cometd_poll *poll = arena_alloc(call->arena, sizeof(*poll));

    *poll = (struct cometd_poll){
        .org = call->org,
        .request = call->request,
        .response = call->response,
        .client = talk->connected,
        .replies = talk->replies,
    };
    talk->connected->poll = poll;
    call->response->delay_ms = talk->hold_ms;
    call->response->finish = finish_poll;
    call->response->finish_context = poll;
}

/* A held connect goes back without events: a newer one has come, or the client is gone. */
static void release(struct cometd_client *client, bool is_unknown)
{
    struct cometd_poll *poll = client->poll;

    if (poll == NULL)
        return;
    client->poll = NULL;
    poll->client = NULL;
    poll->is_unknown = is_unknown;
    http_server_wake(poll->response);
}

void cometd_wake(struct org *org)
{
    struct event_log *log = events_log(org->events);

    for (struct cometd_client *each = cometd_clients_first(org->cometd); each != NULL;
         each = each->next)
        if (each->poll != NULL && cometd_clients_has_news(each, log))
            http_server_wake(each->poll->response);
}

void cometd_forget(struct org *org)
{
    struct cometd_client *client;

    while ((client = cometd_clients_first(org->cometd)) != NULL) {
        release(client, true);
        cometd_clients_remove(org->cometd, client);
    }
}

/* ---- messages ---- */

static bool can_poll(const json_t *message)
{
    const json_t *types = json_object_get(message, "supportedConnectionTypes");
    size_t index;
    const json_t *type;

    json_array_foreach(types, index,
                       type) if (json_is_string(type) &&
                                 strcmp(json_string_value(type), "long-polling") == 0) return true;
    return types == NULL;
}

static void handshake(struct conversation *talk, const json_t *message, json_t *reply)
{
    json_t *ext = json_pack("{s:b, s:b}", "replay", 1, "payload.format", 1);

    json_object_set_new(reply, "ext", ext);
    if (!talk->has_session) {
        json_object_set_new(ext, "sfdc",
                            json_pack("{s:s}", "failureReason", "401::Authentication invalid"));
        fail(reply, "403::Handshake denied", "none");
        return;
    }
    if (!can_poll(message)) {
        fail(reply, "400::Unsupported connection types: use long-polling", "none");
        return;
    }
    struct cometd_client *client = cometd_clients_add(talk->call->org->cometd);
    if (client == NULL) {
        fail(reply, "403::Organization concurrent user limit exceeded", "none");
        return;
    }
    json_object_set_new(reply, "version", json_string("1.0"));
    json_object_set_new(reply, "minimumVersion", json_string("1.0"));
    json_object_set_new(reply, "clientId", json_string(client->id));
    json_object_set_new(reply, "supportedConnectionTypes", json_pack("[s]", "long-polling"));
}

/* The first connect of a client is answered at once. */
static void connect_client(struct conversation *talk, struct cometd_client *client,
                           const json_t *message, json_t *reply)
{
    const json_t *asked = json_object_get(json_object_get(message, "advice"), "timeout");
    json_int_t hold_ms = json_is_integer(asked) ? json_integer_value(asked) : HOLD_MS;

    release(client, false);
    advise_retry(reply);
    talk->connected = client;
    talk->hold_ms = hold_ms < 0 || hold_ms > HOLD_MS ? HOLD_MS : (int)hold_ms;
    if (!client->has_connected || !talk->is_alone ||
        cometd_clients_has_news(client, events_log(talk->call->org->events)))
        talk->hold_ms = 0;
    client->has_connected = true;
}

/* Where a subscription begins; false after refusing. */
static bool find_start(struct conversation *talk, const json_t *message, const char *channel,
                       json_t *reply, int64_t *after)
{
    struct org *org = talk->call->org;
    const json_t *ext = json_object_get(json_object_get(message, "ext"), "replay");
    const json_t *replay = json_object_get(ext, channel);
    json_int_t n = json_is_integer(replay) ? json_integer_value(replay) : -1;
    struct error err = {0};

    *after = n == -1 ? event_log_last(events_log(org->events)) : n == -2 ? 0 : n;
    if (n == -1 || n == -2)
        return true;
    if (n >= 0 && event_log_reaches(events_log(org->events), n, org_now(org), &err))
        return true;
    fail(reply,
         arena_printf(talk->call->arena,
                      "400::The replayId {%lld} you provided was invalid.  Please provide a valid "
                      "ID, -2 to replay all events, or -1 to replay only new events.",
                      (long long)n),
         NULL);
    return false;
}

static bool subscribe_one(struct conversation *talk, struct cometd_client *client,
                          const json_t *message, const json_t *subscription, json_t *reply)
{
    const char *channel = json_string_value(subscription);
    int64_t after = 0;

    if (channel == NULL || !cometd_channels_exists(talk->call->org, talk->call->arena, channel)) {
        fail(reply,
             arena_printf(talk->call->arena,
                          "400::The channel you requested to subscribe to does not exist {%s}",
                          channel != NULL ? channel : ""),
             NULL);
        return false;
    }
    if (!find_start(talk, message, channel, reply, &after))
        return false;
    if (!cometd_clients_subscribe(client, channel, after)) {
        fail(reply, "403::Too many subscriptions", NULL);
        return false;
    }
    return true;
}

/* One channel or an array of them. */
static void subscribe(struct conversation *talk, struct cometd_client *client,
                      const json_t *message, json_t *reply)
{
    const json_t *subscription = json_object_get(message, "subscription");
    size_t index;
    const json_t *each;

    if (!json_is_array(subscription)) {
        subscribe_one(talk, client, message, subscription, reply);
        return;
    }
    json_array_foreach(subscription, index,
                       each) if (!subscribe_one(talk, client, message, each, reply)) return;
}

static void unsubscribe(struct conversation *talk, struct cometd_client *client,
                        const json_t *message, json_t *reply)
{
    const json_t *subscription = json_object_get(message, "subscription");
    size_t index;
    const json_t *each;

    (void)talk;
    (void)reply;
    if (json_is_string(subscription))
        cometd_clients_unsubscribe(client, json_string_value(subscription));
    json_array_foreach(subscription, index, each) if (json_is_string(each))
        cometd_clients_unsubscribe(client, json_string_value(each));
}

static void disconnect(struct conversation *talk, struct cometd_client *client,
                       const json_t *message, json_t *reply)
{
    (void)message;
    (void)reply;
    release(client, false);
    if (talk->connected == client)
        talk->connected = NULL;
    cometd_clients_remove(talk->call->org->cometd, client);
}

static const struct {
    const char *channel;
    void (*handle)(struct conversation *talk, struct cometd_client *client, const json_t *message,
                   json_t *reply);
} handlers[] = {
    {"/meta/connect", connect_client},
    {"/meta/subscribe", subscribe},
    {"/meta/unsubscribe", unsubscribe},
    {"/meta/disconnect", disconnect},
};

static void handle_known(struct conversation *talk, const json_t *message, json_t *reply)
{
    const char *channel = json_string_value(json_object_get(message, "channel"));
    const char *id = json_string_value(json_object_get(message, "clientId"));
    struct cometd_client *client =
        id != NULL ? cometd_clients_find(talk->call->org->cometd, id) : NULL;

    if (client == NULL) {
        fail(reply, "403::Unknown client", "handshake");
        return;
    }
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
        if (strcmp(handlers[i].channel, channel) == 0) {
            handlers[i].handle(talk, client, message, reply);
            return;
        }
    if (strncmp(channel, "/meta/", 6) == 0)
        fail(reply, "404::Unknown meta channel", NULL);
    else
        fail(reply, "403:denied_by_security_policy:publish_denied", NULL);
}

static void handle(struct conversation *talk, const json_t *message)
{
    const char *channel = json_string_value(json_object_get(message, "channel"));
    json_t *reply = add_reply(talk, message);

    if (channel == NULL)
        fail(reply, "400::A message needs a channel", NULL);
    else if (strcmp(channel, "/meta/handshake") == 0)
        handshake(talk, message, reply);
    else if (!talk->has_session)
        fail(reply, "401::Authentication invalid", "none");
    else
        handle_known(talk, message, reply);
}

static void handle_all(struct conversation *talk, const json_t *body)
{
    size_t index;
    const json_t *message;

    talk->is_alone = !json_is_array(body) || json_array_size(body) == 1;
    if (json_is_object(body))
        handle(talk, body);
    json_array_foreach(body, index, message) if (json_is_object(message)) handle(talk, message);
}

/* Version 37 is the first that has replay. */
static bool check_version(struct call *call)
{
    /* An answer inside another cannot be held. */
    if (!call->is_inner && resources_is_version(call->arguments[0]) &&
        atoi(call->arguments[0]) >= 37)
        return true;
    call_text(call, 400, "text/plain;charset=UTF-8",
              "API version in the URI is mandatory. URI format: '/cometd/60.0'");
    return false;
}

void cometd_post(struct call *call)
{
    json_t *body = check_version(call) ? call_body(call) : NULL;

    if (body == NULL)
        return;
    if (json_array_size(body) > MAX_MESSAGES) {
        call_text(call, 400, "text/plain;charset=UTF-8", "Too many messages");
        return;
    }
    struct conversation talk = {
        .call = call,
        .has_session = oauth_has_session(call),
        .replies = json_array(),
    };
    handle_all(&talk, body);
    if (talk.connected != NULL && talk.hold_ms > 0) {
        hold(&talk);
        return;
    }
    write_answer(call->response, call->org, talk.connected, talk.replies);
    json_decref(talk.replies);
}

void cometd_refuse(struct call *call)
{
    call_text(call, 400, "text/plain;charset=UTF-8", "Unknown Bayeux Transport");
}
