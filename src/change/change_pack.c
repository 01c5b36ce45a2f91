#include "change/change.h"

#include <string.h>

#include "change.pb-c.h"

/* protobuf-c's writer calls this for every piece. */
struct sink {
    ProtobufCBuffer base;
    struct buf *buf;
};

static void append_piece(ProtobufCBuffer *base, size_t size_bytes, const uint8_t *data)
{
    buf_append(((struct sink *)base)->buf, data, size_bytes);
}

/* The generated structs take char *, but only read it. */
static char *text_of(const char *text)
{
    return text != NULL ? (char *)text : (char *)protobuf_c_empty_string;
}

static void fill_value(Pgforce__V1__Value *out, const struct value *value)
{
    pgforce__v1__value__init(out);
    switch (value->kind) {
    case VALUE_ABSENT: break;
    case VALUE_NULL:
        out->value_case = PGFORCE__V1__VALUE__VALUE_NULL;
        out->null = true;
        break;
    case VALUE_UNCHANGED:
        out->value_case = PGFORCE__V1__VALUE__VALUE_UNCHANGED;
        out->unchanged = true;
        break;
    case VALUE_OMITTED:
        out->value_case = PGFORCE__V1__VALUE__VALUE_OMITTED;
        out->omitted = value->size_bytes;
        break;
    case VALUE_TEXT:
        out->value_case = PGFORCE__V1__VALUE__VALUE_TEXT;
        out->text.data = (uint8_t *)value->text;
        out->text.len = value->size_bytes;
        break;
    }
}

static Pgforce__V1__Value **fill_values(struct arena *arena, const struct value *values,
                                        size_t count)
{
    Pgforce__V1__Value **pointers = arena_array(arena, Pgforce__V1__Value *, count);
    Pgforce__V1__Value *filled = arena_array(arena, Pgforce__V1__Value, count);

    for (size_t i = 0; i < count; i++) {
        fill_value(&filled[i], &values[i]);
        pointers[i] = &filled[i];
    }
    return pointers;
}

static void fill_begin(struct arena *arena, Pgforce__V1__Event *out, const struct event *event)
{
    const struct transaction *transaction = event->transaction;
    Pgforce__V1__Begin *begin = arena_alloc(arena, sizeof(*begin));

    pgforce__v1__begin__init(begin);
    begin->xid = transaction->xid;
    begin->commit_time = transaction->commit_time_us;
    begin->commit_lsn = transaction->commit_lsn;
    begin->end_lsn = transaction->end_lsn;
    begin->origin = text_of(transaction->origin);
    begin->source_position = text_of(transaction->source_position);
    out->event_case = PGFORCE__V1__EVENT__EVENT_BEGIN;
    out->begin = begin;
}

static void fill_commit(struct arena *arena, Pgforce__V1__Event *out, const struct event *event)
{
    const struct transaction *transaction = event->transaction;
    Pgforce__V1__Commit *commit = arena_alloc(arena, sizeof(*commit));

    pgforce__v1__commit__init(commit);
    commit->xid = transaction->xid;
    commit->commit_time = transaction->commit_time_us;
    commit->commit_lsn = transaction->commit_lsn;
    commit->end_lsn = transaction->end_lsn;
    commit->origin = text_of(transaction->origin);
    commit->source_position = text_of(transaction->source_position);
    out->event_case = PGFORCE__V1__EVENT__EVENT_COMMIT;
    out->commit = commit;
}

static void fill_relation(struct arena *arena, Pgforce__V1__Event *out, const struct event *event)
{
    const struct relation *from = event->relation;
    Pgforce__V1__Relation *relation = arena_alloc(arena, sizeof(*relation));
    Pgforce__V1__Column *columns = arena_array(arena, Pgforce__V1__Column, from->column_count);

    pgforce__v1__relation__init(relation);
    relation->id = from->id;
    relation->schema = text_of(from->schema);
    relation->table = text_of(from->table);
    relation->replica_identity = (uint8_t)from->replica_identity;
    relation->withheld = from->is_withheld;
    relation->n_columns = from->column_count;
    relation->columns = arena_array(arena, Pgforce__V1__Column *, from->column_count);
    for (size_t i = 0; i < from->column_count; i++) {
        pgforce__v1__column__init(&columns[i]);
        columns[i].name = text_of(from->columns[i].name);
        columns[i].type = text_of(from->columns[i].type);
        columns[i].type_oid = from->columns[i].type_oid;
        columns[i].type_modifier = from->columns[i].type_modifier;
        columns[i].key = from->columns[i].is_key;
        relation->columns[i] = &columns[i];
    }
    out->event_case = PGFORCE__V1__EVENT__EVENT_RELATION;
    out->relation = relation;
}

static void fill_row(struct arena *arena, Pgforce__V1__Event *out, const struct event *event)
{
    const struct row *from = &event->row;
    Pgforce__V1__Row *row = arena_alloc(arena, sizeof(*row));
    size_t count = from->relation->column_count;

    pgforce__v1__row__init(row);
    row->op = (Pgforce__V1__Row__Op)from->op;
    row->relation = from->relation->id;
    row->subxid = event->subxid;
    if (from->new_values != NULL) {
        row->n_new_ = count;
        row->new_ = fill_values(arena, from->new_values, count);
    }
    if (from->old_values != NULL) {
        row->n_old = count;
        row->old = fill_values(arena, from->old_values, count);
    }
    out->event_case = PGFORCE__V1__EVENT__EVENT_ROW;
    out->row = row;
}

static void fill_truncate(struct arena *arena, Pgforce__V1__Event *out, const struct event *event)
{
    const struct truncate *from = &event->truncate;
    Pgforce__V1__Truncate *truncate = arena_alloc(arena, sizeof(*truncate));

    pgforce__v1__truncate__init(truncate);
    truncate->cascade = from->cascade;
    truncate->restart_identity = from->restart_identity;
    truncate->subxid = event->subxid;
    truncate->n_relations = from->relation_count;
    truncate->relations = arena_array(arena, uint32_t, from->relation_count);
    for (size_t i = 0; i < from->relation_count; i++)
        truncate->relations[i] = from->relations[i]->id;
    out->event_case = PGFORCE__V1__EVENT__EVENT_TRUNCATE;
    out->truncate = truncate;
}

static void fill_message(struct arena *arena, Pgforce__V1__Event *out, const struct event *event)
{
    const struct message *from = &event->message;
    Pgforce__V1__Message *message = arena_alloc(arena, sizeof(*message));

    pgforce__v1__message__init(message);
    message->transactional = from->is_transactional;
    message->prefix = text_of(from->prefix);
    message->content.data = (uint8_t *)from->content;
    message->content.len = from->content_bytes;
    message->lsn = from->lsn;
    message->subxid = event->subxid;
    out->event_case = PGFORCE__V1__EVENT__EVENT_MESSAGE;
    out->message = message;
}

static void fill_gap(struct arena *arena, Pgforce__V1__Event *out, const struct event *event)
{
    Pgforce__V1__Gap *gap = arena_alloc(arena, sizeof(*gap));

    pgforce__v1__gap__init(gap);
    gap->from_lsn = event->gap.from_lsn;
    gap->to_lsn = event->gap.to_lsn;
    gap->reason = text_of(event->gap.reason);
    out->event_case = PGFORCE__V1__EVENT__EVENT_GAP;
    out->gap = gap;
}

static void fill_stream_start(struct arena *arena, Pgforce__V1__Event *out,
                              const struct event *event)
{
    Pgforce__V1__StreamStart *start = arena_alloc(arena, sizeof(*start));

    pgforce__v1__stream_start__init(start);
    start->xid = event->block.xid;
    start->first = event->block.is_first;
    out->event_case = PGFORCE__V1__EVENT__EVENT_STREAM_START;
    out->stream_start = start;
}

static void fill_stream_stop(struct arena *arena, Pgforce__V1__Event *out,
                             const struct event *event)
{
    (void)event;
    out->stream_stop = arena_alloc(arena, sizeof(*out->stream_stop));
    pgforce__v1__stream_stop__init(out->stream_stop);
    out->event_case = PGFORCE__V1__EVENT__EVENT_STREAM_STOP;
}

static void fill_stream_abort(struct arena *arena, Pgforce__V1__Event *out,
                              const struct event *event)
{
    Pgforce__V1__StreamAbort *abort_block = arena_alloc(arena, sizeof(*abort_block));

    pgforce__v1__stream_abort__init(abort_block);
    abort_block->xid = event->block.xid;
    abort_block->subxid = event->block.subxid;
    out->event_case = PGFORCE__V1__EVENT__EVENT_STREAM_ABORT;
    out->stream_abort = abort_block;
}

static void (*const fillers[])(struct arena *arena, Pgforce__V1__Event *out,
                               const struct event *event) = {
    [EVENT_BEGIN] = fill_begin,
    [EVENT_RELATION] = fill_relation,
    [EVENT_ROW] = fill_row,
    [EVENT_TRUNCATE] = fill_truncate,
    [EVENT_MESSAGE] = fill_message,
    [EVENT_COMMIT] = fill_commit,
    [EVENT_GAP] = fill_gap,
    [EVENT_STREAM_START] = fill_stream_start,
    [EVENT_STREAM_STOP] = fill_stream_stop,
    [EVENT_STREAM_ABORT] = fill_stream_abort,
};

void change_pack(struct buf *buf, const struct event *event)
{
    struct arena *arena = arena_new();
    Pgforce__V1__Event out = PGFORCE__V1__EVENT__INIT;
    Pgforce__V1__Event *events[] = {&out};
    Pgforce__V1__Batch batch = PGFORCE__V1__BATCH__INIT;
    struct sink sink = {.base.append = append_piece, .buf = buf};

    fillers[event->kind](arena, &out, event);
    batch.n_events = 1;
    batch.events = events;
    pgforce__v1__batch__pack_to_buffer(&batch, &sink.base);
    arena_free(arena);
}
