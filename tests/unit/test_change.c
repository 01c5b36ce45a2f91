/* change: reading what the plugin sends, torn and hostile bytes, and writing it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "change.pb-c.h"
#include "change/change.h"
#include "change/change_json.h"
#include "change/native.h"

enum { MAX_STREAM_BYTES = 1 << 20 };

static const struct change_json_options all = {.with_transactions = true, .with_relations = true};

static struct column columns[] = {
    {.name = "id", .type = "integer", .type_oid = 23, .type_modifier = -1, .is_key = true},
    {.name = "body", .type = "character varying", .type_oid = 1043, .type_modifier = 14},
};
static struct relation relation = {.id = 16384,
                                   .schema = "salesforce",
                                   .table = "account",
                                   .columns = columns,
                                   .column_count = 2,
                                   .replica_identity = 'f'};
static const struct transaction transaction = {.xid = 731,
                                               .commit_time_us = INT64_C(1795257030123456),
                                               .commit_lsn = 0x16B3700,
                                               .end_lsn = 0x16B3748,
                                               .origin = "salesforce",
                                               .source_position = "Account 001"};

static struct value text_value(const char *text)
{
    return (struct value){.kind = VALUE_TEXT, .text = text, .size_bytes = strlen(text)};
}

static void pack_boundary(struct buf *out, enum event_kind kind)
{
    change_pack(out, &(struct event){.kind = kind, .transaction = &transaction});
}

static void pack_relation(struct buf *out)
{
    change_pack(out, &(struct event){.kind = EVENT_RELATION, .relation = &relation});
}

static void pack_row(struct buf *out, enum row_op op, const struct value *new_values,
                     const struct value *old_values)
{
    change_pack(out, &(struct event){.kind = EVENT_ROW,
                                     .row = {.op = op,
                                             .relation = &relation,
                                             .new_values = new_values,
                                             .old_values = old_values}});
}

static void pack_rows(struct buf *out)
{
    struct value whole[] = {text_value("1"), text_value("caf\xc3\xa9")};
    struct value partly[] = {text_value(""), {.kind = VALUE_UNCHANGED}};
    struct value key[] = {text_value("1"), {.kind = VALUE_ABSENT}};
    struct value large[] = {{.kind = VALUE_NULL}, {.kind = VALUE_OMITTED, .size_bytes = 80000000}};

    pack_row(out, ROW_INSERT, whole, NULL);
    pack_row(out, ROW_UPDATE, partly, key);
    pack_row(out, ROW_UPDATE, large, whole);
    pack_row(out, ROW_DELETE, NULL, key);
}

/* Every kind of event. */
static void pack_stream(struct buf *out)
{
    const struct relation *truncated[] = {&relation, &relation};

    pack_boundary(out, EVENT_BEGIN);
    pack_relation(out);
    pack_rows(out);
    change_pack(out, &(struct event){.kind = EVENT_TRUNCATE,
                                     .truncate = {.relations = truncated,
                                                  .relation_count = 2,
                                                  .cascade = true,
                                                  .restart_identity = true}});
    change_pack(out, &(struct event){.kind = EVENT_MESSAGE,
                                     .message = {.is_transactional = true,
                                                 .prefix = "p",
                                                 .content = "a\0b",
                                                 .content_bytes = 3,
                                                 .lsn = 7}});
    pack_boundary(out, EVENT_COMMIT);
    change_pack(out, &(struct event){.kind = EVENT_MESSAGE,
                                     .message = {.prefix = "", .content = "", .lsn = 9}});
    change_pack(out, &(struct event){.kind = EVENT_GAP,
                                     .gap = {.from_lsn = 1, .to_lsn = 2, .reason = "lost"}});
    change_pack(out,
                &(struct event){.kind = EVENT_STREAM_START, .block = {.xid = 8, .is_first = true}});
    pack_rows(out);
    change_pack(out, &(struct event){.kind = EVENT_STREAM_STOP});
    change_pack(out, &(struct event){.kind = EVENT_STREAM_ABORT, .block = {.xid = 8, .subxid = 9}});
    pack_boundary(out, EVENT_COMMIT);
}

/* Prints events, kinds first, until the reader wants more or fails. */
static enum change_result print_events(struct change_reader *reader, struct buf *printed)
{
    struct event event;
    struct error err = {0};
    enum change_result result;

    while ((result = change_reader_next(reader, &event, &err)) == CHANGE_EVENT) {
        buf_printf(printed, "%d ", (int)event.kind);
        change_json_print(printed, &event, &all);
        buf_char(printed, '\n');
    }
    if (result == CHANGE_ERROR)
        assert_int_equal(err.kind, ERROR_BUG);
    return result;
}

/* step_bytes at a time; answers how it ended. */
static enum change_result read_in_steps(const struct buf *stream, size_t step_bytes,
                                        struct buf *printed)
{
    struct change_reader *reader = change_reader_new();
    struct error err = {0};
    enum change_result result = CHANGE_NEED;

    for (size_t at = 0; at < stream->size_bytes && result == CHANGE_NEED; at += step_bytes) {
        size_t left = stream->size_bytes - at;
        assert_true(change_reader_feed(reader, stream->data + at,
                                       left < step_bytes ? left : step_bytes, &err));
        result = print_events(reader, printed);
    }
    if (result == CHANGE_NEED)
        buf_printf(printed, "%zu bytes pending\n", change_reader_pending_bytes(reader));
    change_reader_free(reader);
    return result;
}

static void an_event_is_read_as_it_was_packed(void **state)
{
    static const char expected[] =
        "0 {\"op\":\"begin\",\"lsn\":\"0/16B3748\",\"xid\":731,"
        "\"commit_time\":\"2026-11-21T10:30:30.123456Z\",\"origin\":\"salesforce\","
        "\"source_position\":\"Account 001\"}\n\n"
        "1 {\"op\":\"relation\",\"schema\":\"salesforce\",\"table\":\"account\","
        "\"replica_identity\":\"f\",\"withheld\":false,\"columns\":["
        "{\"name\":\"id\",\"type\":\"integer\",\"type_oid\":23,\"type_modifier\":-1,\"key\":true},"
        "{\"name\":\"body\",\"type\":\"character varying\",\"type_oid\":1043,"
        "\"type_modifier\":14,\"key\":false}]}\n\n"
        "2 {\"op\":\"insert\",\"schema\":\"salesforce\",\"table\":\"account\","
        "\"lsn\":\"0/16B3748\",\"seq\":1,\"xid\":731,"
        "\"commit_time\":\"2026-11-21T10:30:30.123456Z\",\"origin\":\"salesforce\","
        "\"source_position\":\"Account 001\","
        "\"after\":{\"id\":\"1\",\"body\":\"caf\xc3\xa9\"}}\n\n";
    struct buf stream BUF_AUTO = {0};
    struct buf printed BUF_AUTO = {0};

    (void)state;
    buf_init(&stream, MAX_STREAM_BYTES);
    buf_init(&printed, MAX_STREAM_BYTES);
    pack_stream(&stream);
    assert_int_equal(read_in_steps(&stream, stream.size_bytes, &printed), CHANGE_NEED);
    assert_memory_equal(printed.data, expected, sizeof(expected) - 1);
    assert_non_null(strstr(printed.data, "\"unchanged\":[\"body\"]"));
    assert_non_null(strstr(printed.data, "\"omitted\":{\"body\":80000000}"));
    assert_non_null(strstr(printed.data, "\"before\":{\"id\":\"1\"}"));
    assert_non_null(strstr(printed.data, "\"seq\":6,"));
    assert_non_null(strstr(printed.data, "\n0 bytes pending\n"));
}

static void bytes_may_end_anywhere(void **state)
{
    struct buf stream BUF_AUTO = {0};
    struct buf whole BUF_AUTO = {0};
    struct buf pieces BUF_AUTO = {0};

    (void)state;
    buf_init(&stream, MAX_STREAM_BYTES);
    buf_init(&whole, MAX_STREAM_BYTES);
    buf_init(&pieces, MAX_STREAM_BYTES);
    pack_stream(&stream);
    read_in_steps(&stream, stream.size_bytes, &whole);
    for (size_t step = 1; step < 20; step++) {
        buf_clear(&pieces);
        assert_int_equal(read_in_steps(&stream, step, &pieces), CHANGE_NEED);
        assert_string_equal(pieces.data, whole.data);
    }
}

static void a_torn_event_is_told_from_the_end_of_the_stream(void **state)
{
    struct buf stream BUF_AUTO = {0};
    struct buf printed BUF_AUTO = {0};

    (void)state;
    buf_init(&stream, MAX_STREAM_BYTES);
    buf_init(&printed, MAX_STREAM_BYTES);
    pack_boundary(&stream, EVENT_BEGIN);
    size_t whole_bytes = stream.size_bytes;
    for (stream.size_bytes = 1; stream.size_bytes < whole_bytes; stream.size_bytes++) {
        buf_clear(&printed);
        assert_int_equal(read_in_steps(&stream, 1000, &printed), CHANGE_NEED);
        assert_null(strstr(printed.data, "begin"));
        assert_null(strstr(printed.data, "0 bytes pending\n") == printed.data ? "" : NULL);
    }
}

/* Reads and packs again, event by event. */
static void repack(const struct buf *stream, struct buf *packed)
{
    struct change_reader *reader = change_reader_new();
    struct event event;
    struct error err = {0};

    assert_true(change_reader_feed(reader, stream->data, stream->size_bytes, &err));
    while (change_reader_next(reader, &event, &err) == CHANGE_EVENT)
        change_pack(packed, &event);
    assert_int_equal(change_reader_pending_bytes(reader), 0);
    change_reader_free(reader);
}

static void what_was_read_is_packed_to_the_same_bytes(void **state)
{
    struct buf stream BUF_AUTO = {0};
    struct buf packed BUF_AUTO = {0};

    (void)state;
    buf_init(&stream, MAX_STREAM_BYTES);
    buf_init(&packed, MAX_STREAM_BYTES);
    pack_stream(&stream);
    repack(&stream, &packed);
    assert_int_equal(packed.size_bytes, stream.size_bytes);
    assert_memory_equal(packed.data, stream.data, stream.size_bytes);
}

/* One value as protobuf-c writes it, as the only column of an insert; its text or NULL. */
static const char *read_back(struct buf *out, Pgforce__V1__Value *value)
{
    Pgforce__V1__Row row = PGFORCE__V1__ROW__INIT;
    Pgforce__V1__Event event = PGFORCE__V1__EVENT__INIT;
    Pgforce__V1__Batch batch = PGFORCE__V1__BATCH__INIT;
    Pgforce__V1__Event *events[] = {&event};
    struct relation narrow = relation;
    struct change_reader *reader = change_reader_new();
    struct error err = {0};
    struct event seen;
    uint8_t bytes[200];

    buf_clear(out);
    pack_boundary(out, EVENT_BEGIN);
    narrow.column_count = 1;
    change_pack(out, &(struct event){.kind = EVENT_RELATION, .relation = &narrow});
    row.relation = relation.id;
    row.n_new_ = 1;
    row.new_ = &value;
    event.event_case = PGFORCE__V1__EVENT__EVENT_ROW;
    event.row = &row;
    batch.n_events = 1;
    batch.events = events;
    buf_append(out, bytes, pgforce__v1__batch__pack(&batch, bytes));
    assert_true(change_reader_feed(reader, out->data, out->size_bytes, &err));
    for (int i = 0; i < 3; i++)
        assert_int_equal(change_reader_next(reader, &seen, &err), CHANGE_EVENT);
    assert_int_equal(seen.row.new_values[0].kind, VALUE_TEXT);
    buf_clear(out);
    buf_append(out, seen.row.new_values[0].text, seen.row.new_values[0].size_bytes);
    change_reader_free(reader);
    return out->data;
}

static void native_values_read_as_the_servers_text(void **state)
{
    Pgforce__V1__Value value;
    struct buf out BUF_AUTO = {0};

    (void)state;
    buf_init(&out, MAX_STREAM_BYTES);
    pgforce__v1__value__init(&value);
    value.value_case = PGFORCE__V1__VALUE__VALUE_BOOLEAN;
    value.boolean = true;
    assert_string_equal(read_back(&out, &value), "t");
    value.boolean = false;
    assert_string_equal(read_back(&out, &value), "f");
    value.value_case = PGFORCE__V1__VALUE__VALUE_INTEGER;
    value.integer = INT64_MIN;
    assert_string_equal(read_back(&out, &value), "-9223372036854775808");
    value.integer = 0;
    assert_string_equal(read_back(&out, &value), "0");
    value.value_case = PGFORCE__V1__VALUE__VALUE_DATE;
    value.date = -1;
    assert_string_equal(read_back(&out, &value), "1999-12-31");
    value.date = 2145031948;
    assert_string_equal(read_back(&out, &value), "5874897-12-31");
    value.value_case = PGFORCE__V1__VALUE__VALUE_TIMESTAMP;
    value.timestamp = -1;
    assert_string_equal(read_back(&out, &value), "1999-12-31 23:59:59.999999");
    value.timestamp = INT64_C(-211813488000000000);
    assert_string_equal(read_back(&out, &value), "4714-11-24 00:00:00 BC");
}

static void every_number_of_days_has_a_text(void **state)
{
    static const int32_t days[] = {INT32_MIN, INT32_MIN + 1, -2451507, -730119,  -730120, -1, 0, 59,
                                   60,        36583,         36584,    INT32_MAX};
    char text[NATIVE_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++)
        assert_in_range(native_date(text, days[i]), 10, NATIVE_BYTES);
    assert_in_range(native_timestamp(text, INT64_MIN), 19, NATIVE_BYTES);
    assert_in_range(native_timestamp(text, INT64_MAX), 19, NATIVE_BYTES);
    assert_int_equal(native_date(text, -730119), 10);
    assert_memory_equal(text, "0001-01-01", 10);
    assert_int_equal(native_date(text, -730120), 13);
    assert_memory_equal(text, "0001-12-31 BC", 13);
    assert_int_equal(native_date(text, 60), 10);
    assert_memory_equal(text, "2000-03-01", 10);
}

static void assert_refused(struct buf *stream, const char *why)
{
    struct change_reader *reader = change_reader_new();
    struct error err = {0};
    struct event event;
    enum change_result result;

    assert_true(change_reader_feed(reader, stream->data, stream->size_bytes, &err));
    while ((result = change_reader_next(reader, &event, &err)) == CHANGE_EVENT)
        continue;
    assert_int_equal(result, CHANGE_ERROR);
    assert_non_null(strstr(err.message, why));
    assert_int_equal(change_reader_next(reader, &event, &err), CHANGE_ERROR);
    change_reader_free(reader);
    buf_clear(stream);
}

static void what_is_no_batch_is_refused_and_says_why(void **state)
{
    struct value values[] = {text_value("1"), text_value("x")};
    struct buf stream BUF_AUTO = {0};

    (void)state;
    buf_init(&stream, MAX_STREAM_BYTES);
    buf_text(&stream, "hello");
    assert_refused(&stream, "not a Batch");
    buf_append(&stream, "\x0a\x02\x7a\x00", 4);
    assert_refused(&stream, "newer");
    buf_append(&stream, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11);
    assert_refused(&stream, "without a length");
    buf_append(&stream, "\x0a\xff\xff\xff\xff\x7f", 6);
    assert_refused(&stream, "1 GB");
    pack_boundary(&stream, EVENT_BEGIN);
    pack_row(&stream, ROW_INSERT, values, NULL);
    assert_refused(&stream, "Relation that was not sent");
    pack_relation(&stream);
    pack_row(&stream, ROW_INSERT, values, NULL);
    assert_refused(&stream, "outside a transaction");
    pack_boundary(&stream, EVENT_BEGIN);
    pack_boundary(&stream, EVENT_BEGIN);
    assert_refused(&stream, "open transaction");
    pack_boundary(&stream, EVENT_BEGIN);
    pack_relation(&stream);
    pack_row(&stream, ROW_DELETE, values, NULL);
    assert_refused(&stream, "columns");
}

static void a_new_relation_replaces_the_old_one(void **state)
{
    struct relation renamed = relation;
    struct value values[] = {text_value("1"), text_value("x")};
    struct buf stream BUF_AUTO = {0};
    struct buf printed BUF_AUTO = {0};

    (void)state;
    buf_init(&stream, MAX_STREAM_BYTES);
    buf_init(&printed, MAX_STREAM_BYTES);
    pack_boundary(&stream, EVENT_BEGIN);
    for (uint32_t id = 40; id > 0; id--) {
        renamed.id = id;
        change_pack(&stream, &(struct event){.kind = EVENT_RELATION, .relation = &renamed});
    }
    pack_relation(&stream);
    pack_row(&stream, ROW_INSERT, values, NULL);
    renamed.id = relation.id;
    renamed.table = "renamed";
    change_pack(&stream, &(struct event){.kind = EVENT_RELATION, .relation = &renamed});
    pack_row(&stream, ROW_INSERT, values, NULL);
    assert_int_equal(read_in_steps(&stream, 100, &printed), CHANGE_NEED);
    const char *first = strstr(printed.data, "insert");
    assert_non_null(first);
    assert_memory_equal(first, "insert\",\"schema\":\"salesforce\",\"table\":\"account\"", 47);
    const char *second = strstr(first + 1, "insert");
    assert_non_null(second);
    assert_memory_equal(second, "insert\",\"schema\":\"salesforce\",\"table\":\"renamed\"", 47);
    assert_int_equal(relation_column(&relation, "body"), 1);
    assert_int_equal(relation_column(&relation, "none"), -1);
}

/* xorshift: the same histories in every run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void hostile_bytes_are_read_or_refused(void **state)
{
    struct buf stream BUF_AUTO = {0};
    struct buf hostile BUF_AUTO = {0};
    struct buf printed BUF_AUTO = {0};
    uint64_t seed = 20261121;
    int refused = 0;

    (void)state;
    buf_init(&stream, MAX_STREAM_BYTES);
    buf_init(&hostile, MAX_STREAM_BYTES);
    buf_init(&printed, MAX_STREAM_BYTES);
    pack_stream(&stream);
    for (int round = 0; round < 20000; round++) {
        buf_clear(&hostile);
        buf_clear(&printed);
        buf_append(&hostile, stream.data, stream.size_bytes);
        for (uint64_t i = next_random(&seed) % 4 + 1; i > 0; i--)
            hostile.data[next_random(&seed) % hostile.size_bytes] = (char)next_random(&seed);
        refused += read_in_steps(&hostile, next_random(&seed) % 300 + 1, &printed) == CHANGE_ERROR;
    }
    assert_in_range(refused, 5000, 19999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_read_as_it_was_packed),
        cmocka_unit_test(bytes_may_end_anywhere),
        cmocka_unit_test(a_torn_event_is_told_from_the_end_of_the_stream),
        cmocka_unit_test(what_was_read_is_packed_to_the_same_bytes),
        cmocka_unit_test(native_values_read_as_the_servers_text),
        cmocka_unit_test(every_number_of_days_has_a_text),
        cmocka_unit_test(what_is_no_batch_is_refused_and_says_why),
        cmocka_unit_test(a_new_relation_replaces_the_old_one),
        cmocka_unit_test(hostile_bytes_are_read_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
