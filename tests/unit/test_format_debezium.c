/* format_debezium: the envelope that existing consumers read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tail/format_debezium.h"

static struct column columns[] = {
    {.name = "id", .type = "integer", .type_oid = 23, .is_key = true},
    {.name = "ok", .type = "boolean", .type_oid = 16},
    {.name = "ratio", .type = "double precision", .type_oid = 701},
    {.name = "price", .type = "numeric", .type_oid = 1700},
    {.name = "body", .type = "text", .type_oid = 25},
};
static const struct relation relation = {.schema = "public",
                                         .table = "account",
                                         .columns = columns,
                                         .column_count = 5,
                                         .replica_identity = 'f'};
static const struct transaction transaction = {.xid = 731,
                                               .commit_time_us = 1700000000123456,
                                               .commit_lsn = 0x100,
                                               .end_lsn = 0x1A0,
                                               .origin = "",
                                               .source_position = ""};

static struct value text(const char *bytes)
{
    return (struct value){.kind = VALUE_TEXT, .text = bytes, .size_bytes = strlen(bytes)};
}

/* The payload of what is printed; the caller's. */
static json_t *print(const struct event *event)
{
    struct format_options options = {.database_name = "app"};
    struct buf out BUF_AUTO = {0};

    buf_init(&out, 1 << 20);
    format_debezium_print(&out, event, &options);
    json_t *line = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    assert_int_equal(json_object_size(line), 2);
    assert_true(json_is_null(json_object_get(line, "schema")));
    json_t *payload = json_incref(json_object_get(line, "payload"));
    json_decref(line);
    return payload;
}

static json_t *print_row(enum row_op op, const struct value *new_values,
                         const struct value *old_values)
{
    struct event event = {.kind = EVENT_ROW,
                          .transaction = &transaction,
                          .seq = 3,
                          .row = {op, &relation, new_values, old_values}};

    return print(&event);
}

static void numbers_and_booleans_are_those_of_json_and_all_else_is_text(void **state)
{
    struct value new_values[] = {text("-7"), text("t"), text("1e+20"), text("12.50"), text("a\"b")};
    json_t *payload = print_row(ROW_INSERT, new_values, NULL);
    json_t *after = json_object_get(payload, "after");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(payload, "op")), "c");
    assert_true(json_is_null(json_object_get(payload, "before")));
    assert_int_equal(json_integer_value(json_object_get(after, "id")), -7);
    assert_true(json_is_true(json_object_get(after, "ok")));
    assert_true(json_real_value(json_object_get(after, "ratio")) == 1e20);
    assert_string_equal(json_string_value(json_object_get(after, "price")), "12.50");
    assert_string_equal(json_string_value(json_object_get(after, "body")), "a\"b");
    json_decref(payload);
}

static void what_json_has_no_number_for_is_text(void **state)
{
    static const char *const strange[] = {"NaN", "-Infinity", "[redacted]", "01", "1.", ".5", "1e"};

    (void)state;
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        struct value new_values[] = {text("1"),
                                     text("[redacted]"),
                                     text(strange[i]),
                                     {.kind = VALUE_NULL},
                                     {.kind = VALUE_NULL}};
        json_t *payload = print_row(ROW_INSERT, new_values, NULL);
        json_t *after = json_object_get(payload, "after");

        assert_string_equal(json_string_value(json_object_get(after, "ratio")), strange[i]);
        assert_string_equal(json_string_value(json_object_get(after, "ok")), "[redacted]");
        json_decref(payload);
    }
}

static void an_unchanged_value_is_filled_in_or_has_the_placeholder(void **state)
{
    struct value new_values[] = {text("1"),
                                 text("f"),
                                 {.kind = VALUE_UNCHANGED},
                                 {.kind = VALUE_OMITTED},
                                 {.kind = VALUE_UNCHANGED}};
    struct value old_values[] = {
        text("1"), text("f"), {.kind = VALUE_ABSENT}, {.kind = VALUE_ABSENT}, text("long")};
    json_t *payload = print_row(ROW_UPDATE, new_values, old_values);
    json_t *after = json_object_get(payload, "after");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(after, "body")), "long");
    assert_string_equal(json_string_value(json_object_get(after, "ratio")),
                        "__debezium_unavailable_value");
    assert_string_equal(json_string_value(json_object_get(after, "price")),
                        "__debezium_unavailable_value");
    assert_null(json_object_get(json_object_get(payload, "before"), "ratio"));
    json_decref(payload);
}

static void the_source_says_where_it_comes_from(void **state)
{
    struct value old_values[] = {text("1"),
                                 {.kind = VALUE_NULL},
                                 {.kind = VALUE_NULL},
                                 {.kind = VALUE_NULL},
                                 {.kind = VALUE_NULL}};
    json_t *payload = print_row(ROW_DELETE, NULL, old_values);
    json_t *source = json_object_get(payload, "source");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(payload, "op")), "d");
    assert_true(json_is_null(json_object_get(payload, "after")));
    assert_string_equal(json_string_value(json_object_get(source, "connector")), "postgresql");
    assert_string_equal(json_string_value(json_object_get(source, "db")), "app");
    assert_string_equal(json_string_value(json_object_get(source, "table")), "account");
    assert_int_equal(json_integer_value(json_object_get(source, "ts_ms")), 1700000000123);
    assert_int_equal(json_integer_value(json_object_get(source, "txId")), 731);
    assert_int_equal(json_integer_value(json_object_get(source, "lsn")), 0x1A0);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(payload, "transaction"), "total_order")),
        3);
    json_decref(payload);
}

static void a_message_carries_its_content_in_base64(void **state)
{
    static const struct {
        const char *content;
        const char *encoded;
    } rows[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"\xff\xfe\xfd", "//79"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct event event = {.kind = EVENT_MESSAGE,
                              .message = {.prefix = "p",
                                          .content = rows[i].content,
                                          .content_bytes = strlen(rows[i].content),
                                          .lsn = 5}};
        json_t *payload = print(&event);
        json_t *message = json_object_get(payload, "message");

        assert_string_equal(json_string_value(json_object_get(message, "content")),
                            rows[i].encoded);
        json_decref(payload);
    }
}

static void a_gap_is_a_message(void **state)
{
    struct event event = {.kind = EVENT_GAP, .gap = {1, 2, "lost"}};
    json_t *payload = print(&event);

    (void)state;
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(payload, "message"), "prefix")),
        "pgforce.gap");
    json_decref(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_booleans_are_those_of_json_and_all_else_is_text),
        cmocka_unit_test(what_json_has_no_number_for_is_text),
        cmocka_unit_test(an_unchanged_value_is_filled_in_or_has_the_placeholder),
        cmocka_unit_test(the_source_says_where_it_comes_from),
        cmocka_unit_test(a_message_carries_its_content_in_base64),
        cmocka_unit_test(a_gap_is_a_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
