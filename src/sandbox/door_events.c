#include "sandbox/door_events.h"

#include <string.h>

#include "sandbox/cometd.h"
#include "sandbox/cometd_clients.h"
#include "sandbox/event_log.h"
#include "sandbox/event_writer.h"
#include "sandbox/events.h"
#include "sandbox/ids.h"

enum { MAX_GAP_IDS = 1000 };

static void refuse(struct call *call, const char *message)
{
    call_json(call, 400, json_pack("{s:s}", "error", message));
}

static json_t *list_uncaptured(const struct org *org)
{
    json_t *list = json_array();

    for (size_t i = 0; i < schema_count(org->schema); i++)
        if (!events_is_captured(org->events, schema_at(org->schema, i)))
            json_array_append_new(list, json_string(schema_at(org->schema, i)->name));
    return list;
}

void door_events(struct call *call)
{
    struct org *org = call->org;

    call_json(call, 200,
              json_pack("{s:I, s:o, s:o}", "lastReplayId",
                        (json_int_t)event_log_last(events_log(org->events)), "clients",
                        cometd_clients_describe(org->cometd), "notCaptured", list_uncaptured(org)));
}

/* ---- actions: each takes the body, and answers what is wrong with it, or NULL ---- */

static const struct object *find_object(struct call *call, const json_t *body)
{
    const char *name = json_string_value(json_object_get(body, "object"));

    return name != NULL ? schema_find(call->org->schema, name) : NULL;
}

static const char *tell_gap(struct call *call, const struct object *object, const char *type,
                            const json_t *ids)
{
    struct event_writer *writer = event_writer_open(call, "");
    struct error err = {0};
    bool is_told = event_writer_tell_gap(writer, object, type, ids, &err);

    event_writer_close(writer);
    cometd_wake(call->org);
    return is_told ? NULL : arena_strdup(call->arena, err.message);
}

/* Ids, or a wildcard like 001*. */
static bool are_ids(const json_t *ids)
{
    size_t index;
    const json_t *id;

    json_array_foreach(ids, index, id) if (!json_is_string(id) ||
                                           json_string_length(id) > IDS_LONG) return false;
    return json_array_size(ids) > 0 && json_array_size(ids) <= MAX_GAP_IDS;
}

static const char *make_gap(struct call *call, const json_t *body)
{
    static const char *const types[] = {"GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE"};
    const struct object *object = find_object(call, body);
    const json_t *next = json_object_get(body, "next");
    const char *type = json_string_value(json_object_get(body, "changeType"));
    const json_t *ids = json_object_get(body, "recordIds");

    if (object == NULL)
        return "\"object\" must name an object";
    if (json_is_integer(next)) {
        events_make_gaps(call->org->events, object, json_integer_value(next));
        return NULL;
    }
    for (size_t i = 0; type != NULL && are_ids(ids) && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(type, types[i]) == 0)
            return tell_gap(call, object, types[i], ids);
    return "send \"next\": n, or \"changeType\" (GAP_CREATE, GAP_UPDATE, GAP_DELETE, GAP_UNDELETE) "
           "and \"recordIds\", at most 1000";
}

static const char *make_overflow(struct call *call, const json_t *body)
{
    const struct object *object = find_object(call, body);

    if (object == NULL)
        return "\"object\" must name an object";
    json_t *ids = json_pack("[s]", "000000000000000AAA");
    const char *problem = tell_gap(call, object, "GAP_OVERFLOW", ids);
    json_decref(ids);
    return problem;
}

static const char *set_capture(struct call *call, const json_t *body)
{
    const struct object *object = find_object(call, body);
    const json_t *enabled = json_object_get(body, "enabled");

    if (object == NULL || !json_is_boolean(enabled))
        return "send \"object\" and \"enabled\": true or false";
    events_capture(call->org->events, object, json_is_true(enabled));
    return NULL;
}

static const char *expire(struct call *call, const json_t *body)
{
    struct error err = {0};

    (void)body;
    return event_log_expire(events_log(call->org->events), &err)
               ? NULL
               : arena_strdup(call->arena, err.message);
}

static const char *forget(struct call *call, const json_t *body)
{
    (void)body;
    cometd_forget(call->org);
    return NULL;
}

static const char *repeat(struct call *call, const json_t *body)
{
    const json_t *count = json_object_get(body, "count");

    if (!json_is_integer(count) || json_integer_value(count) < 1)
        return "send \"count\": how many events back";
    cometd_clients_rewind(call->org->cometd, json_integer_value(count));
    cometd_wake(call->org);
    return NULL;
}

/* "/data/Sales__chn", or without its folder; NULL when it is none. */
static const char *read_channel(struct call *call, const json_t *body)
{
    const char *name = json_string_value(json_object_get(body, "channel"));

    if (name == NULL || strlen(name) < 6 || strcmp(name + strlen(name) - 5, "__chn") != 0)
        return NULL;
    return strncmp(name, "/data/", 6) == 0 ? name : arena_printf(call->arena, "/data/%s", name);
}

static const char *set_channel(struct call *call, const json_t *body)
{
    const char *channel = read_channel(call, body);
    const json_t *names = json_object_get(body, "objects");
    const char **members = arena_array(call->arena, const char *, json_array_size(names) + 1);
    struct error err = {0};
    size_t index;
    const json_t *each;

    if (channel == NULL || !json_is_array(names))
        return "send \"channel\": a name that ends with __chn, and \"objects\": their names";
    json_array_foreach(names, index, each)
    {
        const char *name = json_string_value(each);
        const struct object *object = name != NULL ? schema_find(call->org->schema, name) : NULL;

        if (object == NULL)
            return "\"objects\" names an object that there is not";
        members[index] = event_writer_channel(call->arena, object);
    }
    return event_log_set_channel(events_log(call->org->events), channel, members,
                                 json_array_size(names), &err)
               ? NULL
               : arena_strdup(call->arena, err.message);
}

static const struct {
    const char *name;
    const char *(*act)(struct call *call, const json_t *body);
} actions[] = {
    {"gap", make_gap},  {"overflow", make_overflow}, {"capture", set_capture}, {"expire", expire},
    {"forget", forget}, {"repeat", repeat},          {"channel", set_channel},
};

void door_events_act(struct call *call)
{
    json_t *body = call->request->body_bytes > 0 ? call_body(call) : NULL;

    if (body == NULL && call->request->body_bytes > 0)
        return;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(actions[i].name, call->arguments[0]) != 0)
            continue;
        const char *problem = actions[i].act(call, body);
        if (problem != NULL)
            refuse(call, problem);
        else
            call_json(call, 200, json_pack("{s:b}", "done", 1));
        return;
    }
    call_error(call, "NOT_FOUND", "The requested resource does not exist");
}
