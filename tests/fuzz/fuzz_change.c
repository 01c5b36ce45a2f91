/*
 * libFuzzer: the reader of the change stream takes any bytes. What it accepts it must hand out
 * whole (every value is touched), read alike however the bytes are cut, and read what protobuf-c's
 * generated code reads: as many events, and the same values. The spool takes the same bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change.pb-c.h"
#include "change/change.h"
#include "change/change_json.h"
#include "stream/spool.h"

enum { MAX_TEXT_BYTES = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void print(struct buf *text, const struct event *event)
{
    static const struct change_json_options all = {.with_transactions = true,
                                                   .with_relations = true};

    buf_printf(text, "%d ", (int)event->kind);
    change_json_print(text, event, &all);
}

/* Reads in pieces and prints what comes; answers how many events did. */
static size_t read_in_pieces(const uint8_t *data, size_t size_bytes, size_t piece_bytes,
                             struct buf *text)
{
    struct change_reader *reader = change_reader_new();
    enum change_result result = CHANGE_NEED;
    struct error err = {0};
    struct event event;
    size_t count = 0;

    for (size_t at = 0; at < size_bytes && result == CHANGE_NEED; at += piece_bytes) {
        size_t left = size_bytes - at;
        check(change_reader_feed(reader, data + at, left < piece_bytes ? left : piece_bytes, &err));
        for (; (result = change_reader_next(reader, &event, &err)) == CHANGE_EVENT; count++)
            print(text, &event);
    }
    buf_printf(text, "%d", (int)result);
    change_reader_free(reader);
    return count;
}

static bool is_text_of(const Pgforce__V1__Value *wanted, const struct value *value)
{
    switch (wanted->value_case) {
    case PGFORCE__V1__VALUE__VALUE_TEXT:
        return value->kind == VALUE_TEXT && value->size_bytes == wanted->text.len &&
               (wanted->text.len == 0 || /* its data is NULL then */
                memcmp(value->text, wanted->text.data, wanted->text.len) == 0);
    case PGFORCE__V1__VALUE__VALUE_NULL: return value->kind == VALUE_NULL;
    case PGFORCE__V1__VALUE__VALUE_UNCHANGED: return value->kind == VALUE_UNCHANGED;
    case PGFORCE__V1__VALUE__VALUE_OMITTED:
        return value->kind == VALUE_OMITTED && value->size_bytes == wanted->omitted;
    case PGFORCE__V1__VALUE__VALUE__NOT_SET: return value->kind == VALUE_ABSENT;
    case PGFORCE__V1__VALUE__VALUE_INTEGER: {
        char text[32];
        int length = snprintf(text, sizeof(text), "%lld", (long long)wanted->integer);
        return value->kind == VALUE_TEXT && value->size_bytes == (size_t)length &&
               memcmp(value->text, text, (size_t)length) == 0;
    }
    default: return value->kind == VALUE_TEXT;
    }
}

static void check_row(const Pgforce__V1__Row *wanted, const struct event *event)
{
    check(event->kind == EVENT_ROW && wanted->op == (Pgforce__V1__Row__Op)event->row.op);
    check(wanted->relation == event->row.relation->id && wanted->subxid == event->subxid);
    for (size_t i = 0; i < wanted->n_new_; i++)
        check(is_text_of(wanted->new_[i], &event->row.new_values[i]));
    for (size_t i = 0; i < wanted->n_old; i++)
        check(is_text_of(wanted->old[i], &event->row.old_values[i]));
}

/* Every event that the reader took, protobuf-c reads too, and reads the same row. */
static void compare_with_protobuf(const uint8_t *data, size_t size_bytes)
{
    struct change_reader *reader = change_reader_new();
    struct error err = {0};
    struct event event;

    check(change_reader_feed(reader, data, size_bytes, &err));
    while (change_reader_next(reader, &event, &err) == CHANGE_EVENT) {
        Pgforce__V1__Batch *batch =
            pgforce__v1__batch__unpack(NULL, event.wire_bytes, (const uint8_t *)event.wire);

        /* It is stricter in one place: a number of a field that we do not know may be overlong. */
        if (batch == NULL)
            continue;
        check(batch->n_events == 1);
        if (batch->events[0]->event_case == PGFORCE__V1__EVENT__EVENT_ROW)
            check_row(batch->events[0]->row, &event);
        pgforce__v1__batch__free_unpacked(batch, NULL);
    }
    change_reader_free(reader);
}

static void spool_all(const uint8_t *data, size_t size_bytes)
{
    struct change_reader *reader = change_reader_new();
    struct spool *spool = spool_new();
    struct error err = {0};
    struct event event;

    check(change_reader_feed(reader, data, size_bytes, &err));
    while (spool_next(spool, reader, &event, &err) == CHANGE_EVENT)
        check(event.kind != EVENT_STREAM_START && event.kind != EVENT_STREAM_STOP &&
              event.kind != EVENT_STREAM_ABORT);
    spool_free(spool);
    change_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct buf whole BUF_AUTO = {0};
    struct buf pieces BUF_AUTO = {0};

    buf_init(&whole, MAX_TEXT_BYTES);
    buf_init(&pieces, MAX_TEXT_BYTES);
    size_t count = read_in_pieces(data, size_bytes, size_bytes + 1, &whole);
    check(read_in_pieces(data, size_bytes, 7, &pieces) == count);
    check(buf_is_full(&whole) || strcmp(whole.data, pieces.data) == 0);
    compare_with_protobuf(data, size_bytes);
    spool_all(data, size_bytes);
    return 0;
}
