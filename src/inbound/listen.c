/*
 * The invariants of listening:
 *
 *  1. What was heard, and how far, are committed together: an event is stored once or asked for
 *     again.
 *  2. After anything that may have lost an event, the organisation is asked for all that came after
 *     the last one stored; where it cannot tell, a poll is asked for.
 *  3. Nothing here changes a row: what an event is worth is found out by the pull role.
 */
#include "inbound/listen.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "inbound/heard.h"
#include "mapping/connection.h"
#include "pg/pg.h"
#include "pg/turn.h"
#include "sf/events.h"

enum {
    FIRST_PAUSE_MS = 1000,
    LONGEST_PAUSE_MS = 60 * 1000,
    REFUSED_RETRY_MS = 10 * 60 * 1000, /* a channel that the organisation does not have */
    IDLE_MS = 60 * 1000,
};

/* Ours of what stands beside it in channels. */
struct member {
    int64_t mapping_id;
    const char *object_name;
};

struct listener {
    const struct listen_options *options;
    struct pg *pg;
    struct sf_events *events;
    struct arena *arena; /* of the members, channels and batches */
    struct member *members;
    struct sf_events_channel *channels;
    size_t count;
    const char *wanted; /* what the members were read from */
    bool is_open;
    bool has_old_version;     /* of the API: another was chosen */
    int64_t refused_retry_ms; /* 0: none is refused */
    int64_t pause_ms;         /* after the last failure */
};

/* ---- which mappings ---- */

static PGresult *select_members(const struct listener *listener, struct error *err)
{
    return pg_query(listener->pg,
                    "select m.id, m.object_name, l.replay_id"
                    " from pgforce.mapping m"
                    " left join pgforce.listening l on l.mapping_id = m.id"
                    " where m.schema_name = $1"
                    " and m.notify"
                    " and not m.is_orphan"
                    " and m.state <> 'ABORTED'"
                    " order by m.id",
                    PG_PARAMS(listener->options->schema_name), err);
}

/* "12 Account, 13 Contact": says whether the members are still the same. */
static const char *describe_members(const PGresult *result, struct arena *arena)
{
    const char *text = "";

    for (int i = 0; i < PQntuples(result); i++)
        text =
            arena_printf(arena, "%s%s %s, ", text, pg_field(result, i, 0), pg_field(result, i, 1));
    return text;
}

/* My__c is told of as My__ChangeEvent. */
static const char *name_channel(const char *object_name, struct arena *arena)
{
    size_t length = strlen(object_name);
    bool is_custom = length > 3 && strcmp(object_name + length - 3, "__c") == 0;

    return arena_printf(arena, "/data/%.*sChangeEvent", (int)(is_custom ? length - 1 : length),
                        object_name);
}

static bool load_members(struct listener *listener, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = select_members(listener, err);

    if (result == NULL)
        return false;
    arena_reset(listener->arena);
    listener->count = (size_t)PQntuples(result);
    listener->members = arena_array(listener->arena, struct member, listener->count + 1);
    listener->channels =
        arena_array(listener->arena, struct sf_events_channel, listener->count + 1);
    listener->wanted = describe_members(result, listener->arena);
    for (size_t i = 0; i < listener->count; i++) {
        const char *replay_id = pg_field(result, (int)i, 2);

        listener->members[i].mapping_id = pg_field_int64(result, (int)i, 0);
        listener->members[i].object_name =
            arena_strdup(listener->arena, pg_field(result, (int)i, 1));
        listener->channels[i].name =
            name_channel(listener->members[i].object_name, listener->arena);
        listener->channels[i].replay_id =
            replay_id != NULL ? pg_field_int64(result, (int)i, 2) : SF_EVENTS_NEW;
    }
    return true;
}

static bool drain_notifications(struct listener *listener)
{
    bool is_notified = false;
    PGnotify *notify;

    PQconsumeInput(pg_conn(listener->pg));
    while ((notify = PQnotifies(pg_conn(listener->pg))) != NULL) {
        is_notified = true;
        if (connection_is_new_version(notify->extra))
            listener->has_old_version = true;
        PQfreemem(notify);
    }
    return is_notified;
}

/* Asked while a connect is held. A lost connection is noticed when something is to be stored. */
static bool must_begin_anew(void *context)
{
    struct listener *listener = context;
    struct error ignored;

    if (listener->refused_retry_ms != 0 && clock_monotonic_ms() >= listener->refused_retry_ms)
        return true;
    if (!drain_notifications(listener))
        return PQstatus(pg_conn(listener->pg)) != CONNECTION_OK;
    if (listener->has_old_version)
        return true;
    PGresult *result PG_RESULT_AUTO = select_members(listener, &ignored);
    if (result == NULL)
        return true;
    struct arena *arena = arena_new();
    bool is_same = strcmp(describe_members(result, arena), listener->wanted) == 0;
    arena_free(arena);
    return !is_same;
}

/* ---- opening ---- */

static bool note_subscription(const struct listener *listener, size_t index, struct error *err)
{
    const struct sf_events_channel *channel = &listener->channels[index];
    const struct pg_number mapping_id = pg_number(listener->members[index].mapping_id);
    bool is_refused = channel->state == SF_EVENTS_REFUSED;
    PGresult *result PG_RESULT_AUTO =
        pg_query(listener->pg,
                 "with before as (select problem from pgforce.listening where mapping_id = $1)"
                 " insert into pgforce.listening as l (mapping_id, subscribed_at, problem)"
                 " values ($1, case when $2::text is null then now() end, $2)"
                 " on conflict (mapping_id) do update"
                 " set subscribed_at = excluded.subscribed_at, problem = excluded.problem"
                 " returning problem is distinct from (select problem from before)",
                 PG_PARAMS(mapping_id.text, is_refused ? channel->problem : NULL), err);

    if (result == NULL)
        return false;
    if (is_refused && pg_field_bool(result, 0, 0))
        log_warning("cannot listen: changes come by polls",
                    log_text("mapping", listener->members[index].object_name),
                    log_text("channel", channel->name), log_text("reason", channel->problem));
    /* What was changed before we began to listen. */
    if (is_refused ||
        (channel->state == SF_EVENTS_LISTENING && channel->replay_id != SF_EVENTS_NEW))
        return true;
    if (channel->state == SF_EVENTS_LOST)
        log_warning("missed change events: polling for them",
                    log_text("mapping", listener->members[index].object_name));
    return heard_add_poll(listener->pg, listener->members[index].mapping_id, err);
}

static bool note_subscriptions(struct listener *listener, struct error *err)
{
    listener->refused_retry_ms = 0;
    for (size_t i = 0; i < listener->count; i++) {
        if (!note_subscription(listener, i, err))
            return false;
        if (listener->channels[i].state == SF_EVENTS_REFUSED)
            listener->refused_retry_ms = clock_monotonic_ms() + REFUSED_RETRY_MS;
    }
    return heard_wake(listener->pg, listener->options->schema_name, err);
}

static bool begin(struct listener *listener, struct error *err)
{
    if (!pg_script(listener->pg, "begin", err))
        return false;
    if (note_subscriptions(listener, err) && pg_script(listener->pg, "commit", err))
        return true;
    pg_rollback(listener->pg);
    return false;
}

/* ---- events ---- */

static size_t find_channel(const struct listener *listener, const char *name)
{
    size_t i = 0;

    while (i < listener->count && strcmp(listener->channels[i].name, name) != 0)
        i++;
    return i;
}

static bool store_event(struct listener *listener, const json_t *message, struct error *err)
{
    const char *name = json_string_value(json_object_get(message, "channel"));
    const json_t *data = json_object_get(message, "data");
    const json_t *replay_id = json_object_get(json_object_get(data, "event"), "replayId");
    size_t index = name != NULL ? find_channel(listener, name) : listener->count;

    if (index == listener->count || !json_is_integer(replay_id))
        return true;
    listener->channels[index].replay_id = json_integer_value(replay_id);
    return heard_add(listener->pg, listener->members[index].mapping_id,
                     sf_session_client_name(listener->options->session),
                     json_object_get(data, "payload"), err);
}

static bool store_one_reach(const struct listener *listener, size_t index, struct error *err)
{
    const struct pg_number mapping_id = pg_number(listener->members[index].mapping_id);
    const struct pg_number replay_id = pg_number(listener->channels[index].replay_id);

    return listener->channels[index].replay_id == SF_EVENTS_NEW ||
           (pg_run(listener->pg,
                   "update pgforce.listening set replay_id = $2"
                   " where mapping_id = $1 and replay_id is distinct from $2",
                   PG_PARAMS(mapping_id.text, replay_id.text), err) &&
            heard_bound(listener->pg, listener->members[index].mapping_id, err));
}

static bool store_reach(const struct listener *listener, struct error *err)
{
    for (size_t i = 0; i < listener->count; i++)
        if (!store_one_reach(listener, i, err))
            return false;
    return true;
}

static bool store_all(struct listener *listener, const json_t *told, struct error *err)
{
    size_t i;
    const json_t *message;

    if (!pg_script(listener->pg, "begin", err))
        return false;
    json_array_foreach(told, i, message)
    {
        if (!store_event(listener, message, err))
            return false;
    }
    return store_reach(listener, err) &&
           heard_wake(listener->pg, listener->options->schema_name, err) &&
           pg_script(listener->pg, "commit", err);
}

/* After false the members must be loaded anew: they know more than was stored. */
static bool store_told(struct listener *listener, const json_t *told, struct error *err)
{
    if (json_array_size(told) == 0 || store_all(listener, told, err))
        return true;
    pg_rollback(listener->pg);
    return false;
}

/* ---- the role ---- */

static bool open_events(struct listener *listener, struct error *err)
{
    sf_events_close(listener->events);
    if (!load_members(listener, err))
        return false;
    if (listener->count == 0)
        return true;
    if (!sf_events_open(listener->events, listener->channels, listener->count, err) ||
        !begin(listener, err))
        return false;
    listener->is_open = true;
    return true;
}

static bool hear(struct listener *listener, struct error *err)
{
    json_t *told SF_JSON_AUTO = NULL;

    return sf_events_wait(listener->events, &told, err) && store_told(listener, told, err);
}

/* One turn: opens if need be, then waits for events and stores them. */
static bool take_turn(struct listener *listener, struct error *err)
{
    drain_notifications(listener);
    if (!listener->is_open && !open_events(listener, err))
        return false;
    if (listener->count == 0) {
        /* One that came with the answer has left nothing to wait for. */
        if (!drain_notifications(listener))
            wait_for(PQsocket(pg_conn(listener->pg)), POLLIN, IDLE_MS);
        return true;
    }
    wait_begin_work(must_begin_anew, listener);
    bool is_ok = hear(listener, err);
    if (wait_end_work()) {
        listener->is_open = false;
        return true;
    }
    if (is_ok)
        listener->pause_ms = 0;
    return is_ok;
}

/* The polls go on meanwhile, so there is no hurry. */
static bool pause_after(struct listener *listener, struct error *err)
{
    if (err->kind == ERROR_CONFIG || err->kind == ERROR_BUG ||
        PQstatus(pg_conn(listener->pg)) != CONNECTION_OK)
        return false;
    listener->is_open = false;
    listener->pause_ms = listener->pause_ms == 0                     ? FIRST_PAUSE_MS
                         : listener->pause_ms < LONGEST_PAUSE_MS / 2 ? listener->pause_ms * 2
                                                                     : LONGEST_PAUSE_MS;
    log_warning("not listening for now", log_text("reason", err->message),
                log_number("pause_ms", listener->pause_ms));
    wait_for(-1, 0, (int)listener->pause_ms);
    return true;
}

static bool run_until_stopped(struct listener *listener, struct error *err)
{
    while (!wait_is_stopping()) {
        if (listener->has_old_version)
            return connection_ask_restart(err);
        if (!take_turn(listener, err) && !wait_is_stopping() && !pause_after(listener, err))
            return false;
    }
    return true;
}

static bool listen_for_mappings(const struct listener *listener, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1024);
    buf_printf(&sql, "listen \"%s.pgforce_mapping\"", listener->options->schema_name);
    return pg_script(listener->pg, sql.data, err);
}

bool listen_run(const struct listen_options *options, struct error *err)
{
    struct listener listener = {.options = options,
                                .pg = pg_open(options->url, "pgforce listen", err),
                                .events = sf_events_new(options->session),
                                .arena = arena_new()};
    bool is_ok = listener.pg != NULL &&
                 turn_take(listener.pg, "listen", options->schema_name, err) &&
                 listen_for_mappings(&listener, err) && run_until_stopped(&listener, err);

    sf_events_free(listener.events);
    arena_free(listener.arena);
    pg_close(listener.pg);
    return is_ok || wait_is_stopping();
}
