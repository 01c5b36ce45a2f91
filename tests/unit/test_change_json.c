/* change_json: every line is valid JSON that needs nothing before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "change/change_json.h"
#include "change/decode.h"

enum { MAX_LINE_BYTES = 1 << 20 };

static struct column column = {.name = "b\"o\\d\ny", .type = "text", .type_oid = 25};
static const struct relation relation = {.id = 1,
                                         .schema = "s",
                                         .table = "t",
                                         .columns = &column,
                                         .column_count = 1,
                                         .replica_identity = 'd'};
static const struct transaction transaction = {.xid = 5, .origin = "", .source_position = ""};

/* What a parser makes of the text of one column. */
static json_t *parse_text(struct buf *line, const void *text, size_t size_bytes)
{
    struct value value = {.kind = VALUE_TEXT, .text = text, .size_bytes = size_bytes};
    struct event event = {.kind = EVENT_ROW,
                          .transaction = &transaction,
                          .seq = 1,
                          .row = {.relation = &relation, .new_values = &value}};

    buf_clear(line);
    change_json_print(line, &event, &(struct change_json_options){0});
    assert_int_equal(line->data[line->size_bytes - 1], '\n');
    assert_ptr_equal(strchr(line->data, '\n'), line->data + line->size_bytes - 1);
    json_t *root = json_loadb(line->data, line->size_bytes, JSON_ALLOW_NUL, NULL);
    assert_non_null(root);
    json_t *parsed = json_object_get(json_object_get(root, "after"), column.name);
    assert_true(json_is_string(parsed));
    json_incref(parsed);
    json_decref(root);
    return parsed;
}

static void assert_text(struct buf *line, const char *text, const char *expected)
{
    json_t *parsed = parse_text(line, text, strlen(text));

    assert_string_equal(json_string_value(parsed), expected);
    json_decref(parsed);
}

static void text_survives_as_it_is(void **state)
{
    struct buf line BUF_AUTO = {0};
    char control[32];

    (void)state;
    buf_init(&line, MAX_LINE_BYTES);
    assert_text(&line, "", "");
    assert_text(&line, "\"quoted\" \\ / \x7f", "\"quoted\" \\ / \x7f");
    assert_text(&line, "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
                "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
    for (int i = 0; i < 32; i++)
        control[i] = (char)i;
    json_t *parsed = parse_text(&line, control, sizeof(control));
    assert_int_equal(json_string_length(parsed), sizeof(control));
    assert_memory_equal(json_string_value(parsed), control, sizeof(control));
    json_decref(parsed);
}

static void what_is_not_utf8_becomes_the_replacement_character(void **state)
{
    struct buf line BUF_AUTO = {0};

    (void)state;
    buf_init(&line, MAX_LINE_BYTES);
    assert_text(&line, "a\xff!", "a\xef\xbf\xbd!");
    assert_text(&line, "\xc3", "\xef\xbf\xbd");
    assert_text(&line, "\xe2\x82!", "\xef\xbf\xbd\xef\xbf\xbd!");
    assert_text(&line, "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");
    assert_text(&line, "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_text(&line, "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void any_bytes_make_a_valid_line(void **state)
{
    struct buf line BUF_AUTO = {0};
    unsigned char bytes[12];
    uint32_t seed = 1;

    (void)state;
    buf_init(&line, MAX_LINE_BYTES);
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] = (unsigned char)(seed >> 24);
        }
        json_decref(parse_text(&line, bytes, sizeof(bytes)));
    }
}

static void a_mask_hides_what_differs_from_run_to_run(void **state)
{
    struct event event = {.kind = EVENT_COMMIT, .transaction = &transaction};
    struct buf line BUF_AUTO = {0};

    (void)state;
    buf_init(&line, MAX_LINE_BYTES);
    change_json_print(&line, &event, &(struct change_json_options){.mask = true});
    assert_string_equal(line.data, "");
    change_json_print(&line, &event,
                      &(struct change_json_options){.mask = true, .with_transactions = true});
    assert_string_equal(line.data, "{\"op\":\"commit\",\"lsn\":\"x\",\"xid\":\"x\","
                                   "\"commit_time\":\"x\",\"origin\":\"\"}\n");
}

static void a_file_that_was_cut_is_decoded_up_to_the_cut(void **state)
{
    struct event event = {.kind = EVENT_GAP, .gap = {.from_lsn = 1, .to_lsn = 2, .reason = "r"}};
    struct change_json_options options = {0};
    struct error err = {0};
    struct buf stream BUF_AUTO = {0};
    char line[200] = "";

    (void)state;
    buf_init(&stream, MAX_LINE_BYTES);
    change_pack(&stream, &event);
    change_pack(&stream, &event);
    FILE *in = fmemopen(stream.data, stream.size_bytes - 1, "rb");
    FILE *out = fmemopen(line, sizeof(line), "wb");
    assert_non_null(in);
    assert_non_null(out);
    assert_false(decode_file(in, out, &options, &err));
    fclose(in);
    fclose(out);
    assert_string_equal(
        line, "{\"op\":\"gap\",\"from_lsn\":\"0/1\",\"to_lsn\":\"0/2\",\"reason\":\"r\"}\n");
    assert_int_equal(err.kind, ERROR_RECORD);
    assert_non_null(strstr(err.message, "cut"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_survives_as_it_is),
        cmocka_unit_test(what_is_not_utf8_becomes_the_replacement_character),
        cmocka_unit_test(any_bytes_make_a_valid_line),
        cmocka_unit_test(a_mask_hides_what_differs_from_run_to_run),
        cmocka_unit_test(a_file_that_was_cut_is_decoded_up_to_the_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
