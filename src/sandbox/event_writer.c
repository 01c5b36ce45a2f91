#include "sandbox/event_writer.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sandbox/event_log.h"
#include "sandbox/event_payload.h"
#include "sandbox/values.h"

enum {
    MAX_EVENT_BYTES = 1000000, /* a larger one is told by its header only */
    MAX_MERGED = 1000,
    MAX_NAMES_BYTES = 1024 * 1024, /* more than the most fields with the longest names need */
    MAX_DATA_BYTES = 4 * 1024 * 1024,
};

static const char *const change_types[] = {
    [EVENTS_CREATE] = "CREATE",
    [EVENTS_UPDATE] = "UPDATE",
    [EVENTS_DELETE] = "DELETE",
    [EVENTS_UNDELETE] = "UNDELETE",
};

/* The event being put together; the next record may join it. */
struct draft_event {
    const struct object *object;
    enum events_change kind;
    bool is_gap;
    int count;
    struct buf ids;
    struct buf names; /* the three lists of the header */
    struct buf body;
};

struct event_writer {
    struct call *call;
    struct event_log *log;
    struct arena *scratch;
    const char *origin;
    const char *key;
    int64_t sequence;
    int64_t commit_ms;
    int64_t commit_number;
    struct draft_event drafts[2]; /* the open one, and the one being read */
    int open;
};

/* 00065380-d1a9-a64a-9341-14f6f12f674c */
static const char *make_key(struct arena *arena)
{
    unsigned char bytes[16] = {0};
    struct buf key BUF_AUTO = {0};

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        abort();
    buf_init(&key, 64);
    for (size_t i = 0; i < sizeof(bytes); i++)
        buf_printf(&key, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    return arena_strdup(arena, key.data);
}

struct event_writer *event_writer_open(struct call *call, const char *origin)
{
    struct event_writer *writer = memory_alloc(sizeof(*writer));

    writer->call = call;
    writer->log = events_log(call->org->events);
    writer->scratch = arena_new();
    writer->origin = origin;
    writer->key = make_key(call->arena);
    writer->commit_ms = clock_wall_us() / 1000 + call->org->clock_offset_s * 1000;
    writer->commit_number = events_next_commit(call->org->events);
    for (int i = 0; i < 2; i++) {
        buf_init(&writer->drafts[i].ids, MAX_MERGED * 32);
        buf_init(&writer->drafts[i].names, MAX_NAMES_BYTES);
        buf_init(&writer->drafts[i].body, MAX_EVENT_BYTES);
    }
    return writer;
}

void event_writer_close(struct event_writer *writer)
{
    if (writer == NULL)
        return;
    for (int i = 0; i < 2; i++) {
        buf_done(&writer->drafts[i].ids);
        buf_done(&writer->drafts[i].names);
        buf_done(&writer->drafts[i].body);
    }
    arena_free(writer->scratch);
    free(writer);
}

struct arena *event_writer_scratch(struct event_writer *writer)
{
    arena_reset(writer->scratch);
    return writer->scratch;
}

/* ---- one event ---- */

const char *event_writer_channel(struct arena *arena, const struct object *object)
{
    size_t length = strlen(object->name);

    if (object->is_custom)
        return arena_printf(arena, "/data/%.*sChangeEvent", (int)(length - 1), object->name);
    return arena_printf(arena, "/data/%sChangeEvent", object->name);
}

static void write_header(struct event_writer *writer, const struct draft_event *draft,
                         const char *change_type, struct buf *out)
{
    buf_printf(out, "{\"ChangeEventHeader\":{\"entityName\":\"%s\",\"recordIds\":[%s],",
               draft->object->name, draft->ids.data);
    buf_printf(out, "\"changeType\":\"%s\",\"changeOrigin\":", change_type);
    values_write_text(out, writer->origin);
    buf_printf(out,
               ",\"transactionKey\":\"%s\",\"sequenceNumber\":%" PRId64
               ",\"commitTimestamp\":%" PRId64 ",\"commitNumber\":%" PRId64
               ",\"commitUser\":\"%s\",%s}",
               writer->key, writer->sequence, writer->commit_ms, writer->commit_number,
               writer->call->org->user_id, draft->names.data);
}

/* The sequence counts every event of the transaction, also those that nobody is told. */
static bool append_event(struct event_writer *writer, const struct draft_event *draft,
                         const char *change_type, struct error *err)
{
    struct org *org = writer->call->org;
    struct buf data BUF_AUTO = {0};

    writer->sequence++;
    if (!events_is_captured(org->events, draft->object))
        return true;
    buf_init(&data, MAX_DATA_BYTES);
    buf_printf(&data, "\"schema\":\"%s\",\"payload\":",
               event_payload_schema(writer->scratch, draft->object));
    write_header(writer, draft, change_type, &data);
    buf_printf(&data, "%s}", draft->body.data);
    struct event event = {
        .channel = event_writer_channel(writer->scratch, draft->object),
        .data = data.data,
        .extra = "",
        .is_change = true,
    };
    return event_log_append(writer->log, &event, org_now(org), err);
}

bool event_writer_flush(struct event_writer *writer, struct error *err)
{
    struct draft_event *draft = &writer->drafts[writer->open];
    char type[20] = "";

    if (draft->object == NULL)
        return true;
    snprintf(type, sizeof(type), "%s%s", draft->is_gap ? "GAP_" : "", change_types[draft->kind]);
    bool is_appended = append_event(writer, draft, type, err);
    draft->object = NULL;
    return is_appended;
}

static void write_names(const struct event_payload *payload, struct buf *names)
{
    buf_text(names, "\"nulledFields\":");
    event_payload_write_names(payload, true, names);
    buf_text(names, ",\"diffFields\":[],\"changedFields\":");
    event_payload_write_names(payload, false, names);
}

static void fill_draft(struct event_writer *writer, const struct event_change *change,
                       const struct value *values, struct draft_event *draft)
{
    struct event_payload payload = {
        .object = change->object,
        .values = values,
        .changed = change->kind == EVENTS_UPDATE ? change->fields : NULL,
    };

    buf_clear(&draft->ids);
    buf_clear(&draft->names);
    buf_clear(&draft->body);
    draft->object = change->object;
    draft->kind = change->kind;
    draft->count = 1;
    buf_printf(&draft->ids, "\"%s\"", change->id);
    if (change->kind != EVENTS_DELETE)
        event_payload_write_body(&payload, &draft->body);
    bool is_meant = events_take_gap(writer->call->org->events, change->object);
    draft->is_gap = is_meant || buf_is_full(&draft->body);
    if (draft->is_gap) {
        buf_clear(&draft->body);
        payload.changed = NULL;
    }
    write_names(&payload, &draft->names);
}

static bool is_alike(const struct draft_event *left, const struct draft_event *right)
{
    return left->object == right->object && left->kind == right->kind &&
           left->is_gap == right->is_gap && left->count < MAX_MERGED &&
           strcmp(left->names.data, right->names.data) == 0 &&
           strcmp(left->body.data, right->body.data) == 0;
}

bool event_writer_tell(struct event_writer *writer, const struct event_change *change,
                       const struct value *values, struct error *err)
{
    struct draft_event *open = &writer->drafts[writer->open];
    struct draft_event *next = &writer->drafts[!writer->open];

    fill_draft(writer, change, values, next);
    if (open->object != NULL && is_alike(open, next)) {
        buf_printf(&open->ids, ",\"%s\"", change->id);
        open->count++;
        next->object = NULL;
        return true;
    }
    if (!event_writer_flush(writer, err))
        return false;
    writer->open = !writer->open;
    return true;
}

bool event_writer_tell_platform(struct event_writer *writer, const struct event_change *change,
                                const struct value *values, struct error *err)
{
    struct org *org = writer->call->org;
    struct buf data BUF_AUTO = {0};
    struct buf body BUF_AUTO = {0};
    struct event_payload payload = {.object = change->object, .values = values};
    struct value id = value_text(change->id);
    const char *sql =
        arena_printf(writer->scratch, "delete from \"%s\" where \"Id\" = ?", change->object->name);

    buf_init(&data, MAX_DATA_BYTES);
    buf_init(&body, MAX_EVENT_BYTES);
    event_payload_write_body(&payload, &body);
    buf_printf(&data, "\"schema\":\"%s\",\"payload\":{%s}",
               event_payload_schema(writer->scratch, change->object),
               body.size_bytes > 0 ? body.data + 1 : "");
    struct event event = {
        .channel = arena_printf(writer->scratch, "/event/%s", change->object->name),
        .data = data.data,
        .extra = "",
    };
    return event_log_append(writer->log, &event, org_now(org), err) &&
           store_change(org->store, sql, &id, 1, err);
}

bool event_writer_tell_gap(struct event_writer *writer, const struct object *object,
                           const char *change_type, const json_t *ids, struct error *err)
{
    struct draft_event *draft = &writer->drafts[!writer->open];
    struct event_payload none = {.object = object};
    size_t index;
    const json_t *id;

    buf_clear(&draft->ids);
    buf_clear(&draft->names);
    buf_clear(&draft->body);
    draft->object = object;
    write_names(&none, &draft->names);
    json_array_foreach(ids, index, id)
    {
        buf_text(&draft->ids, index > 0 ? "," : "");
        values_write_text(&draft->ids, json_is_string(id) ? json_string_value(id) : "");
    }
    bool is_appended = append_event(writer, draft, change_type, err);
    draft->object = NULL;
    return is_appended;
}
