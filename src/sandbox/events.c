#include "sandbox/events.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "sandbox/cometd.h"
#include "sandbox/event_log.h"
#include "sandbox/event_payload.h"
#include "sandbox/event_writer.h"
#include "sandbox/push_topics.h"

enum { MAX_NAMES_BYTES = 256 * 1024 };

struct events {
    struct store *store;
    struct event_log *log;
    json_t *captured;    /* object name: what the door said */
    json_t *gaps;        /* object name: how many are to come */
    bool has_collected;  /* perhaps: it may have been rolled back */
    int64_t last_commit; /* commit numbers grow, whatever the clock does */
};

bool events_open(struct store *store, struct events **events, struct error *err)
{
    struct events *new_events = memory_alloc(sizeof(*new_events));

    new_events->store = store;
    new_events->captured = json_object();
    new_events->gaps = json_object();
    *events = new_events;
    return store_run(store,
                     "create temp table sandbox_change ("
                     " seq integer primary key, object text, id text, change integer, fields text)",
                     err) &&
           event_log_open(store, &new_events->log, err);
}

void events_free(struct events *events)
{
    if (events == NULL)
        return;
    event_log_free(events->log);
    json_decref(events->captured);
    json_decref(events->gaps);
    free(events);
}

struct event_log *events_log(struct events *events)
{
    return events->log;
}

/* ---- collecting ---- */

static bool is_same_value(const struct value *left, const struct value *right)
{
    double a = left->kind == VALUE_REAL ? left->real : (double)left->integer;
    double b = right->kind == VALUE_REAL ? right->real : (double)right->integer;

    if (left->kind == VALUE_NULL || right->kind == VALUE_NULL)
        return left->kind == right->kind;
    if (left->kind == VALUE_TEXT || right->kind == VALUE_TEXT)
        return left->kind == right->kind && strcmp(left->text, right->text) == 0;
    return a == b;
}

/* The names of the fields that differ from the stored row; LastModifiedDate is always one. */
static bool list_changed(struct save *save, const struct store_row *row, struct buf *names,
                         struct error *err)
{
    struct store_row stored = {.object = row->object, .id = row->id};

    if (!store_load(save->org->store, save->arena, &stored, err))
        return false;
    buf_text(names, "LastModifiedDate");
    for (size_t i = 0; stored.values != NULL && i < row->object->field_count; i++) {
        const struct field *field = row->object->fields[i];

        if (event_payload_covers(row->object, field) &&
            !is_same_value(&stored.values[i], &row->values[i]) &&
            strcmp(field->name, "LastModifiedDate") != 0)
            buf_printf(names, ",%s", field->name);
    }
    return true;
}

bool events_record_changed(struct save *save, const struct store_row *row,
                           enum events_change change, struct error *err)
{
    struct buf names BUF_AUTO = {0};

    buf_init(&names, MAX_NAMES_BYTES);
    if (change == EVENTS_UPDATE && !list_changed(save, row, &names, err))
        return false;
    struct value values[] = {value_text(row->object->name), value_text(row->id),
                             value_integer(change),
                             value_text(names.size_bytes > 0 ? names.data : NULL)};
    save->org->events->has_collected = true;
    return store_change(save->org->store,
                        "insert into temp.sandbox_change (object, id, change, fields) "
                        "values (?, ?, ?, ?)",
                        values, 4, err);
}

bool events_records_restored(struct save *save, const struct object *object, const char *root,
                             struct error *err)
{
    struct value values[] = {value_text(object->name), value_integer(EVENTS_UNDELETE),
                             value_text(root)};
    const char *sql =
        arena_printf(save->arena,
                     "insert into temp.sandbox_change (object, id, change) "
                     "select ?1, \"Id\", ?2 from \"%s\" "
                     "where \"IsDeleted\" = 1 and (\"_deleted_with\" = ?3 or \"Id\" = ?3)",
                     object->name);

    save->org->events->has_collected = true;
    return store_change(save->org->store, sql, values, 3, err);
}

bool events_is_collecting(const struct events *events)
{
    return events->has_collected;
}

bool events_reset(struct org *org, struct error *err)
{
    org->events->has_collected = false;
    return store_run(org->store, "delete from temp.sandbox_change", err);
}

/* ---- telling ---- */

/* A record whose changes have been summed up. */
struct changed {
    struct event_change change;
    bool is_nothing; /* made and deleted again */
    struct changed *next;
};

/* The first change tells what happened to a record, unless it is gone in the end. */
static void sum_up(const char *changes, struct changed *changed)
{
    enum events_change first = (enum events_change)(changes[0] - '0');
    enum events_change last = (enum events_change)(changes[strlen(changes) - 1] - '0');

    changed->is_nothing = first == EVENTS_CREATE && last == EVENTS_DELETE;
    if (last == EVENTS_DELETE || first == EVENTS_DELETE)
        changed->change.kind = last;
    else
        changed->change.kind = first;
}

/* What has collected, in the order of the first change of each record. */
static bool read_changed(struct call *call, struct changed **first, struct error *err)
{
    struct changed **link = first;
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    if (!store_prepare(call->org->store,
                       "select object, id, group_concat(change, ''), group_concat(fields) "
                       "from (select * from temp.sandbox_change order by seq) "
                       "group by object, id "
                       "order by min(seq)",
                       &statement, err))
        return false;
    for (;;) {
        if (!store_step(call->org->store, statement, &has_row, err))
            return false;
        if (!has_row)
            return true;
        struct changed *changed = arena_alloc(call->arena, sizeof(*changed));
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        changed->change.object = schema_find(call->org->schema, name);
        changed->change.id = store_column(call->arena, statement, 1).text;
        changed->change.fields = store_column(call->arena, statement, 3).text;
        sum_up((const char *)sqlite3_column_text(statement, 2), changed);
        *link = changed;
        link = &changed->next;
    }
}

static bool is_platform_event(const struct object *object)
{
    size_t length = strlen(object->name);

    return length > 3 && strcasecmp(object->name + length - 3, "__e") == 0;
}

static bool tell(struct event_writer *writer, struct call *call, const struct event_change *change,
                 const struct push_topic *topics, struct error *err)
{
    struct store_row row = {.object = change->object, .id = change->id};

    if (!store_load(call->org->store, event_writer_scratch(writer), &row, err))
        return false;
    /* Purged within the same call: there is nothing left to tell of. */
    if (row.values == NULL && change->kind != EVENTS_DELETE)
        return true;
    if (is_platform_event(change->object))
        return event_writer_tell_platform(writer, change, row.values, err);
    return event_writer_tell(writer, change, row.values, err) &&
           push_topics_tell(call, topics, change, err);
}

static bool tell_all(struct event_writer *writer, struct call *call, struct error *err)
{
    struct changed *first = NULL;
    struct push_topic *topics = NULL;

    if (!read_changed(call, &first, err) ||
        !store_run(call->org->store, "delete from temp.sandbox_change", err))
        return false;
    if (first != NULL && !push_topics_load(call, &topics, err))
        return false;
    for (const struct changed *each = first; each != NULL; each = each->next)
        if (!each->is_nothing && !tell(writer, call, &each->change, topics, err))
            return false;
    return event_writer_flush(writer, err);
}

/* "client=NAME, defaultNamespace=ns": NAME, or NULL. */
static const char *read_client(const struct call *call)
{
    const char *options = http_server_header(call->request, "Sforce-Call-Options");
    const char *found = options != NULL ? strcasestr(options, "client=") : NULL;

    if (found == NULL)
        return NULL;
    found += strlen("client=");
    size_t length = strcspn(found, ",;");
    while (length > 0 && found[length - 1] == ' ')
        length--;
    return length > 0 ? arena_strndup(call->arena, found, length) : NULL;
}

static bool is_segment(const struct call *call, size_t index, const char *text)
{
    return index < call->segment_count && strcasecmp(call->segments[index], text) == 0;
}

/* "com/salesforce/api/rest/60.0;client=name" */
static const char *find_origin(const struct call *call)
{
    const char *client = read_client(call);
    const char *version = call->version;
    const char *api = "rest";

    if (is_segment(call, 1, "async") || is_segment(call, 1, "Soap")) {
        api = is_segment(call, 1, "async") ? "bulkapi" : "soap";
        version = call->segment_count > 2 ? call->segments[2] : NULL;
    } else if (is_segment(call, 3, "jobs")) {
        api = "bulkapi";
    }
    if (version == NULL)
        return "";
    return arena_printf(call->arena, "com/salesforce/api/%s/%s%s%s", api, version,
                        client != NULL ? ";client=" : "", client != NULL ? client : "");
}

void events_publish(struct call *call)
{
    struct store *store = call->org->store;
    struct error err = {0};
    struct error ignored = {0};

    if (!call->org->events->has_collected)
        return;
    call->org->events->has_collected = false;
    struct event_writer *writer = event_writer_open(call, find_origin(call));
    if (!store_begin(store, &err) || !tell_all(writer, call, &err) || !store_commit(store, &err)) {
        log_error("lost events", log_text("error", err.message));
        store_rollback(store, &ignored);
    }
    event_writer_close(writer);
    cometd_wake(call->org);
}

/* ---- what the door has said ---- */

bool events_is_captured(const struct events *events, const struct object *object)
{
    const json_t *said = json_object_get(events->captured, object->name);

    return said != NULL ? json_is_true(said) : object->has_change_events;
}

void events_capture(struct events *events, const struct object *object, bool is_captured)
{
    json_object_set_new(events->captured, object->name, json_boolean(is_captured));
}

void events_make_gaps(struct events *events, const struct object *object, int64_t count)
{
    json_object_set_new(events->gaps, object->name, json_integer(count));
}

bool events_take_gap(struct events *events, const struct object *object)
{
    json_int_t left = json_integer_value(json_object_get(events->gaps, object->name));

    if (left > 0)
        json_object_set_new(events->gaps, object->name, json_integer(left - 1));
    return left > 0;
}

int64_t events_next_commit(struct events *events)
{
    int64_t now_us = clock_wall_us();

    events->last_commit = now_us > events->last_commit ? now_us : events->last_commit + 1;
    return events->last_commit;
}
