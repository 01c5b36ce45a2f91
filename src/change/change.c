#include "change/change.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "change/relations.h"
#include "change/rows.h"
#include "change/wire.h"

enum {
    MAX_EVENT_BYTES = 1 << 30,
    MAX_PENDING_BYTES = MAX_EVENT_BYTES + (64 << 20),
    /* Events other than rows and messages are small; what claims more is not ours. */
    MAX_RARE_BYTES = 8 << 20,
    KEPT_BYTES = 4 << 20, /* a larger input buffer is given back once it is empty */
};

struct change_reader {
    struct buf input;
    size_t at;         /* in input: the next event */
    uint64_t consumed; /* bytes of the stream before input */
    struct arena *arena;
    struct arena *transaction_arena;
    struct relations relations;
    struct rows rows;
    struct transaction transaction;
    bool is_open;
    bool is_block_open;
    bool is_broken;
    uint32_t seq;
};

struct change_reader *change_reader_new(void)
{
    struct change_reader *reader = memory_alloc(sizeof(*reader));

    buf_init(&reader->input, MAX_PENDING_BYTES);
    reader->arena = arena_new();
    reader->transaction_arena = arena_new();
    return reader;
}

void change_reader_free(struct change_reader *reader)
{
    if (reader == NULL)
        return;
    relations_done(&reader->relations);
    rows_done(&reader->rows);
    arena_free(reader->arena);
    arena_free(reader->transaction_arena);
    buf_done(&reader->input);
    free(reader);
}

static void drop_consumed(struct change_reader *reader)
{
    struct buf *input = &reader->input;

    if (reader->at == 0)
        return;
    reader->consumed += reader->at;
    input->size_bytes -= reader->at;
    memmove(input->data, input->data + reader->at, input->size_bytes);
    input->data[input->size_bytes] = '\0';
    reader->at = 0;
    if (input->size_bytes == 0 && input->room_bytes > KEPT_BYTES) {
        buf_done(input);
        buf_init(input, MAX_PENDING_BYTES);
    }
}

bool change_reader_feed(struct change_reader *reader, const void *data, size_t size_bytes,
                        struct error *err)
{
    drop_consumed(reader);
    buf_append(&reader->input, data, size_bytes);
    if (buf_is_full(&reader->input))
        return error_set(err, ERROR_RECORD,
                         "a change of over 1 GB at byte %" PRIu64
                         " of the stream: lower max_value_bytes",
                         reader->consumed);
    return true;
}

size_t change_reader_pending_bytes(const struct change_reader *reader)
{
    return reader->input.size_bytes - reader->at;
}

static bool refuse(struct error *err, const char *why)
{
    return error_set(err, ERROR_BUG, "%s", why);
}

static const char *copy_text(struct arena *arena, struct wire bytes)
{
    return wire_size(bytes) == 0 ? ""
                                 : arena_strndup(arena, (const char *)bytes.at, wire_size(bytes));
}

static bool read_relation(struct change_reader *reader, struct wire bytes, struct event *event,
                          struct error *err)
{
    event->kind = EVENT_RELATION;
    event->relation = relations_read(&reader->relations, bytes);
    return event->relation != NULL || refuse(err, "a malformed Relation");
}

static bool read_row(struct change_reader *reader, struct wire bytes, struct event *event,
                     struct error *err)
{
    event->kind = EVENT_ROW;
    const char *why = rows_read(&reader->rows, &reader->relations, bytes, event);
    return why == NULL || refuse(err, why);
}

static bool read_transaction(struct change_reader *reader, struct wire bytes)
{
    struct transaction *transaction = &reader->transaction;
    struct wire_field field;

    arena_reset(reader->transaction_arena);
    *transaction = (struct transaction){.origin = "", .source_position = ""};
    while (bytes.at < bytes.end) {
        if (!wire_next(&bytes, &field))
            return false;
        switch (field.number) {
        case 1: transaction->xid = (uint32_t)field.scalar; break;
        case 2: transaction->commit_time_us = (int64_t)field.scalar; break;
        case 3: transaction->commit_lsn = field.scalar; break;
        case 4: transaction->end_lsn = field.scalar; break;
        case 5: transaction->origin = copy_text(reader->transaction_arena, field.bytes); break;
        case 6:
            transaction->source_position = copy_text(reader->transaction_arena, field.bytes);
            break;
        default: break;
        }
    }
    return true;
}

static bool read_begin(struct change_reader *reader, struct wire bytes, struct event *event,
                       struct error *err)
{
    if (reader->is_open || reader->is_block_open)
        return refuse(err, "a Begin inside an open transaction");
    if (!read_transaction(reader, bytes))
        return refuse(err, "a malformed Begin");
    reader->is_open = true;
    reader->seq = 0;
    event->kind = EVENT_BEGIN;
    return true;
}

/* Without a Begin it commits a streamed transaction. */
static bool read_commit(struct change_reader *reader, struct wire bytes, struct event *event,
                        struct error *err)
{
    if (reader->is_block_open)
        return refuse(err, "a Commit inside a streamed block");
    if (!read_transaction(reader, bytes))
        return refuse(err, "a malformed Commit");
    event->kind = EVENT_COMMIT;
    return true;
}

/* One table of a Truncate; a proto3 writer may send the ids packed or one by one. */
static bool add_truncated(struct change_reader *reader, struct truncate *truncate, uint64_t id)
{
    const struct relation *relation = relations_find(&reader->relations, id);

    if (relation == NULL)
        return false;
    truncate->relations[truncate->relation_count++] = relation;
    return true;
}

static bool read_truncated(struct change_reader *reader, struct truncate *truncate,
                           struct wire_field *field)
{
    uint64_t id;

    if (field->type == WIRE_VARINT)
        return add_truncated(reader, truncate, field->scalar);
    while (field->bytes.at < field->bytes.end)
        if (!wire_varint(&field->bytes, &id) || !add_truncated(reader, truncate, id))
            return false;
    return true;
}

static bool read_truncate(struct change_reader *reader, struct wire bytes, struct event *event,
                          struct error *err)
{
    struct truncate truncate = {0};
    struct wire_field field;

    /* An id takes at least one byte. */
    truncate.relations = arena_array(reader->arena, const struct relation *, wire_size(bytes));
    while (bytes.at < bytes.end) {
        bool is_good = wire_next(&bytes, &field);
        if (is_good && field.number == 1)
            is_good = read_truncated(reader, &truncate, &field);
        else if (is_good && field.number == 2)
            truncate.cascade = field.scalar != 0;
        else if (is_good && field.number == 3)
            truncate.restart_identity = field.scalar != 0;
        else if (is_good && field.number == 4)
            event->subxid = (uint32_t)field.scalar;
        if (!is_good)
            return refuse(err, "a malformed Truncate, or one of a Relation that was not sent");
    }
    event->kind = EVENT_TRUNCATE;
    event->truncate = truncate;
    return true;
}

static bool read_message(struct change_reader *reader, struct wire bytes, struct event *event,
                         struct error *err)
{
    struct message message = {.prefix = "", .content = ""};
    struct wire_field field;

    while (bytes.at < bytes.end) {
        if (!wire_next(&bytes, &field))
            return refuse(err, "a malformed Message");
        switch (field.number) {
        case 1: message.is_transactional = field.scalar != 0; break;
        case 2: message.prefix = copy_text(reader->arena, field.bytes); break;
        case 3:
            message.content_bytes = wire_size(field.bytes);
            if (message.content_bytes > 0)
                message.content = (const char *)field.bytes.at;
            break;
        case 4: message.lsn = field.scalar; break;
        case 5: event->subxid = (uint32_t)field.scalar; break;
        default: break;
        }
    }
    event->kind = EVENT_MESSAGE;
    event->message = message;
    return true;
}

static bool read_gap(struct change_reader *reader, struct wire bytes, struct event *event,
                     struct error *err)
{
    struct gap gap = {.reason = ""};
    struct wire_field field;

    while (bytes.at < bytes.end) {
        if (!wire_next(&bytes, &field))
            return refuse(err, "a malformed Gap");
        switch (field.number) {
        case 1: gap.from_lsn = field.scalar; break;
        case 2: gap.to_lsn = field.scalar; break;
        case 3: gap.reason = copy_text(reader->arena, field.bytes); break;
        default: break;
        }
    }
    event->kind = EVENT_GAP;
    event->gap = gap;
    return true;
}

static bool read_block(struct wire bytes, struct stream_block *block, bool has_subxid)
{
    struct wire_field field;

    while (bytes.at < bytes.end) {
        if (!wire_next(&bytes, &field))
            return false;
        if (field.number == 1)
            block->xid = (uint32_t)field.scalar;
        else if (field.number == 2 && has_subxid)
            block->subxid = (uint32_t)field.scalar;
        else if (field.number == 2)
            block->is_first = field.scalar != 0;
    }
    return true;
}

static bool read_stream_start(struct change_reader *reader, struct wire bytes, struct event *event,
                              struct error *err)
{
    struct stream_block block = {0};

    if (reader->is_open || reader->is_block_open || !read_block(bytes, &block, false))
        return refuse(err, "a StreamStart that is malformed or out of place");
    reader->is_block_open = true;
    event->kind = EVENT_STREAM_START;
    event->block = block;
    return true;
}

static bool read_stream_stop(struct change_reader *reader, struct wire bytes, struct event *event,
                             struct error *err)
{
    struct stream_block block = {0};

    if (!reader->is_block_open || !read_block(bytes, &block, false))
        return refuse(err, "a StreamStop that is malformed or out of place");
    reader->is_block_open = false;
    event->kind = EVENT_STREAM_STOP;
    event->block = (struct stream_block){0};
    return true;
}

static bool read_stream_abort(struct change_reader *reader, struct wire bytes, struct event *event,
                              struct error *err)
{
    struct stream_block block = {0};

    if (reader->is_open || reader->is_block_open || !read_block(bytes, &block, true))
        return refuse(err, "a StreamAbort that is malformed or out of place");
    event->kind = EVENT_STREAM_ABORT;
    event->block = block;
    return true;
}

/* By Event's field number. */
static const struct {
    bool (*read)(struct change_reader *reader, struct wire bytes, struct event *event,
                 struct error *err);
    size_t max_bytes;
} kinds[] = {
    [1] = {read_begin, MAX_RARE_BYTES},       [2] = {read_relation, MAX_RARE_BYTES},
    [3] = {read_row, MAX_EVENT_BYTES},        [4] = {read_commit, MAX_RARE_BYTES},
    [5] = {read_truncate, MAX_RARE_BYTES},    [6] = {read_message, MAX_EVENT_BYTES},
    [7] = {read_gap, MAX_RARE_BYTES},         [8] = {read_stream_start, MAX_RARE_BYTES},
    [9] = {read_stream_stop, MAX_RARE_BYTES}, [10] = {read_stream_abort, MAX_RARE_BYTES},
};

/* Puts the event into its transaction. */
static bool join(struct change_reader *reader, struct event *event, struct error *err)
{
    bool is_local = event->kind == EVENT_ROW || event->kind == EVENT_TRUNCATE ||
                    (event->kind == EVENT_MESSAGE && event->message.is_transactional);

    if (is_local && !reader->is_open && !reader->is_block_open)
        return refuse(err, "a change outside a transaction");
    if (is_local && reader->is_open)
        event->seq = ++reader->seq;
    if (reader->is_open || event->kind == EVENT_COMMIT)
        event->transaction = &reader->transaction;
    if (event->kind == EVENT_COMMIT)
        reader->is_open = false;
    return true;
}

static bool read_event(struct change_reader *reader, struct wire bytes, struct event *event,
                       struct error *err)
{
    struct wire_field field;

    if (!wire_next(&bytes, &field) || field.type != WIRE_BYTES || bytes.at != bytes.end)
        return refuse(err, "an event that is not exactly one message");
    if (field.number >= sizeof(kinds) / sizeof(kinds[0]) || kinds[field.number].read == NULL)
        return refuse(err, "an event of a kind that this version does not know: the plugin is "
                           "newer than this program");
    if (wire_size(field.bytes) > kinds[field.number].max_bytes)
        return refuse(err, "an event larger than its kind allows");
    return kinds[field.number].read(reader, field.bytes, event, err) && join(reader, event, err);
}

static enum change_result fail(struct change_reader *reader, struct error *err)
{
    reader->is_broken = true;
    error_prefix(err, "the change stream is damaged at byte %" PRIu64,
                 reader->consumed + reader->at);
    return CHANGE_ERROR;
}

enum change_result change_reader_next(struct change_reader *reader, struct event *event,
                                      struct error *err)
{
    const uint8_t *data = (const uint8_t *)reader->input.data;
    struct wire wire = {data + reader->at, data + reader->input.size_bytes};
    uint64_t size;

    arena_reset(reader->arena);
    *event = (struct event){0};
    if (reader->is_broken) {
        refuse(err, "reading went on after an error");
        return fail(reader, err);
    }
    if (wire.at == wire.end)
        return CHANGE_NEED;
    if (*wire.at++ != (1 << 3 | WIRE_BYTES)) {
        refuse(err, "not a Batch");
        return fail(reader, err);
    }
    if (!wire_varint(&wire, &size)) {
        if (wire.end - wire.at == 0 && wire_size((struct wire){data + reader->at, wire.end}) <= 10)
            return CHANGE_NEED;
        refuse(err, "an event without a length");
        return fail(reader, err);
    }
    if (size > MAX_EVENT_BYTES) {
        refuse(err, "an event of over 1 GB");
        return fail(reader, err);
    }
    if (size > wire_size(wire))
        return CHANGE_NEED;
    if (!read_event(reader, (struct wire){wire.at, wire.at + size}, event, err))
        return fail(reader, err);
    event->wire = (const char *)data + reader->at;
    event->wire_bytes = (size_t)(wire.at + size - data) - reader->at;
    reader->at += event->wire_bytes;
    return CHANGE_EVENT;
}

int relation_column(const struct relation *relation, const char *name)
{
    for (size_t i = 0; i < relation->column_count; i++)
        if (strcmp(relation->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}
