#include "sandbox/cometd_channels.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "sandbox/cometd.h"
#include "sandbox/event_log.h"
#include "sandbox/events.h"
#include "sandbox/ids.h"
#include "sandbox/times.h"

enum { MAX_PAYLOAD_CHARACTERS = 3000, MAX_PUSH_EVENTS = 100 };

static const char change_suffix[] = "ChangeEvent";

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length > end_length && strcasecmp(text + length - end_length, end) == 0;
}

static bool is_change_channel(struct org *org, struct arena *arena, const char *name)
{
    if (strcasecmp(name, "ChangeEvents") == 0)
        return true;
    if (!ends_with(name, change_suffix))
        return false;
    const char *object = arena_strndup(arena, name, strlen(name) - strlen(change_suffix));
    if (ends_with(object, "__"))
        object = arena_printf(arena, "%sc", object);
    return schema_find_visible(org->schema, object) != NULL;
}

static bool has_record(struct org *org, struct arena *arena, const char *object_name,
                       const char *name)
{
    const struct object *object = schema_find(org->schema, object_name);
    struct store_search search = {
        .object = object, .field = schema_field(object, "Name"), .value = value_text(name)};
    struct error ignored = {0};

    return store_find(org->store, arena, &search, &ignored) && search.count > 0;
}

/* Channels go into JSON and SQL as they are: nothing but what their names are made of. */
static bool is_plain(const char *channel)
{
    return strspn(channel, "/_-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
           strlen(channel);
}

bool cometd_channels_exists(struct org *org, struct arena *arena, const char *channel)
{
    if (!is_plain(channel))
        return false;
    if (strncmp(channel, "/data/", 6) == 0)
        return is_change_channel(org, arena, channel + 6) ||
               event_log_has_channel(events_log(org->events), channel);
    if (strncmp(channel, "/topic/", 7) == 0)
        return has_record(org, arena, "PushTopic", channel + 7);
    if (strncmp(channel, "/u/", 3) == 0)
        return has_record(org, arena, "StreamingChannel", channel);
    if (strncmp(channel, "/event/", 7) == 0)
        return ends_with(channel, "__e") && schema_find_visible(org->schema, channel + 7) != NULL;
    return false;
}

/* ---- generic streaming ---- */

/* The name of the channel with that id, or NULL after answering. */
static const char *find_channel(struct call *call)
{
    struct store_row row = {.object = schema_find(call->org->schema, "StreamingChannel")};
    struct ids_text id;
    struct error err = {0};

    if (ids_normalize(call->arguments[0], &id)) {
        row.id = id.text;
        if (!store_load(call->org->store, call->arena, &row, &err)) {
            call_failed(call, &err);
            return NULL;
        }
    }
    if (row.values == NULL ||
        row.values[schema_field(row.object, "IsDeleted")->index].integer != 0) {
        call_error(call, "NOT_FOUND", "The requested resource does not exist");
        return NULL;
    }
    return row.values[schema_field(row.object, "Name")->index].text;
}

static bool append_event(struct call *call, const char *channel, const json_t *payload,
                         struct error *err)
{
    int64_t now_ms = clock_wall_us() / 1000 + call->org->clock_offset_s * 1000;
    char *text = json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY);
    struct event event = {
        .channel = channel,
        .data = arena_printf(call->arena, "\"payload\":%s", text),
        .extra = arena_printf(call->arena, "\"createdDate\":\"%.19s.%03dZ\"",
                              times_format_datetime(now_ms / 1000).text, (int)(now_ms % 1000)),
    };

    free(text);
    return event_log_append(events_log(call->org->events), &event, org_now(call->org), err);
}

static bool is_good_push(const json_t *events)
{
    size_t index;
    const json_t *event;

    json_array_foreach(events, index, event)
    {
        const json_t *payload = json_object_get(event, "payload");

        if (!json_is_string(payload) || json_string_length(payload) > MAX_PAYLOAD_CHARACTERS)
            return false;
    }
    return json_array_size(events) > 0 && json_array_size(events) <= MAX_PUSH_EVENTS;
}

void cometd_channels_push(struct call *call)
{
    const char *channel = find_channel(call);
    json_t *body = channel != NULL ? call_body(call) : NULL;
    json_t *answer = NULL;
    const json_t *events = json_object_get(body, "pushEvents");
    struct error err = {0};
    size_t index;
    const json_t *event;

    if (body == NULL)
        return;
    if (!is_good_push(events)) {
        call_error(call, "INVALID_FIELD",
                   "pushEvents needs 1 to %d events, each with a payload of text of at most %d "
                   "characters",
                   MAX_PUSH_EVENTS, MAX_PAYLOAD_CHARACTERS);
        return;
    }
    answer = json_array();
    json_array_foreach(events, index, event)
    {
        if (!append_event(call, channel, json_object_get(event, "payload"), &err)) {
            json_decref(answer);
            call_failed(call, &err);
            return;
        }
        json_array_append_new(answer,
                              json_pack("{s:i, s:{}}", "fanoutCount", -1, "userOnlineStatus"));
    }
    cometd_wake(call->org);
    call_json(call, 200, answer);
}

void cometd_channels_listeners(struct call *call)
{
    const char *channel = find_channel(call);

    if (channel != NULL)
        call_json(
            call, 200,
            json_pack("{s:[s], s:s}", "OnlineUserIds", call->org->user_id, "ChannelName", channel));
}
