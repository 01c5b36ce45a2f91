/* format_text: what people read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tail/format_text.h"

static struct column columns[] = {
    {.name = "id", .type = "integer", .type_oid = 23, .is_key = true},
    {.name = "name", .type = "text", .type_oid = 25},
    {.name = "Body \"x\"", .type = "text", .type_oid = 25},
};
static struct relation relation = {.schema = "public",
                                   .table = "account",
                                   .columns = columns,
                                   .column_count = 3,
                                   .replica_identity = 'd'};
static const struct transaction transaction = {.xid = 731,
                                               .commit_time_us = 1000001,
                                               .commit_lsn = 0x100,
                                               .end_lsn = 0x1A0,
                                               .origin = "",
                                               .source_position = ""};
static const char head[] = "1970-01-01T00:00:01.000001Z 0/1A0/1 ";

static struct value text(const char *bytes)
{
    return (struct value){.kind = VALUE_TEXT, .text = bytes, .size_bytes = strlen(bytes)};
}

/* Prints the row and checks what stands behind the time and the position. */
static void expect_row(enum row_op op, const struct value *new_values,
                       const struct value *old_values, const char *expected)
{
    struct event event = {.kind = EVENT_ROW,
                          .transaction = &transaction,
                          .seq = 1,
                          .row = {op, &relation, new_values, old_values}};
    struct format_options options = {0};
    struct buf out BUF_AUTO = {0};

    buf_init(&out, 1 << 20);
    format_text_print(&out, &event, &options);
    assert_true(out.size_bytes > strlen(head));
    assert_memory_equal(out.data, head, strlen(head));
    assert_string_equal(out.data + strlen(head), expected);
}

static void an_insert_names_the_row_and_leaves_out_nulls(void **state)
{
    struct value new_values[] = {text("7"), text("Acme"), {.kind = VALUE_NULL}};

    (void)state;
    expect_row(ROW_INSERT, new_values, NULL, "insert public.account id=7 name=Acme\n");
}

static void an_update_shows_only_what_changed(void **state)
{
    struct value old_values[] = {text("7"), text("Acme"), text("same")};
    struct value new_values[] = {text("7"), {.kind = VALUE_NULL}, text("same")};

    (void)state;
    relation.replica_identity = 'f';
    expect_row(ROW_UPDATE, new_values, old_values,
               "update public.account id=7 name: Acme → null\n");
    relation.replica_identity = 'd';
}

static void an_update_whose_old_row_is_not_known_shows_the_new_one(void **state)
{
    struct value new_values[] = {text("7"), text("null"), {.kind = VALUE_UNCHANGED}};

    (void)state;
    expect_row(ROW_UPDATE, new_values, NULL, "update public.account id=7 name=\"null\"\n");
}

static void a_changed_key_shows_both(void **state)
{
    struct value old_values[] = {text("7"), {.kind = VALUE_ABSENT}, {.kind = VALUE_ABSENT}};
    struct value new_values[] = {text("8"), text("Acme"), {.kind = VALUE_NULL}};

    (void)state;
    expect_row(ROW_UPDATE, new_values, old_values,
               "update public.account id=7 id: 7 → 8 name=Acme \"Body \\\"x\\\"\"=null\n");
}

static void what_could_deceive_a_terminal_or_a_reader_is_escaped(void **state)
{
    struct value new_values[] = {text("7"), text("\x1b[2J\n\xc2\x9b\xe2\x80\xae\xff\xe2\x80"),
                                 text("a=b, c → d")};

    (void)state;
    expect_row(ROW_INSERT, new_values, NULL,
               "insert public.account id=7"
               " name=\"\\x1b[2J\\n\\xc2\\x9b\\xe2\\x80\\xae\\xff\\xe2\\x80\""
               " \"Body \\\"x\\\"\"=\"a=b, c → d\"\n");
}

static void long_values_are_cut_and_shown_from_their_first_difference(void **state)
{
    char old_text[1001];
    char new_text[1001];
    char expected[1024];
    char x[161];

    (void)state;
    memset(old_text, 'x', 1000);
    memset(new_text, 'x', 1000);
    memset(x, 'x', 160);
    x[160] = old_text[1000] = new_text[1000] = '\0';
    new_text[500] = 'y';
    struct value old_values[] = {text("7"), text(old_text), {.kind = VALUE_NULL}};
    struct value new_values[] = {text("7"), text(new_text), {.kind = VALUE_NULL}};
    snprintf(expected, sizeof(expected),
             "update public.account id=7 name: …\"%.40s%.160s\"…(1000 bytes) →"
             " …\"%.40sy%.159s\"…(1000 bytes)\n",
             x, x, x, x);
    expect_row(ROW_UPDATE, new_values, old_values, expected);
}

static void omitted_values_say_how_large_they_are(void **state)
{
    struct value new_values[] = {
        text("7"), {.kind = VALUE_OMITTED, .size_bytes = 80000000}, {.kind = VALUE_NULL}};

    (void)state;
    expect_row(ROW_INSERT, new_values, NULL,
               "insert public.account id=7 name=(80000000 bytes, omitted)\n");
}

static void a_gap_is_told_without_a_transaction(void **state)
{
    struct event event = {.kind = EVENT_GAP, .gap = {0x10, 0x20, "the slot\nwas lost"}};
    struct format_options options = {0};
    struct buf out BUF_AUTO = {0};

    (void)state;
    buf_init(&out, 1 << 20);
    format_text_print(&out, &event, &options);
    assert_string_equal(out.data, "GAP from 0/10 to 0/20: the slot\\nwas lost\n");
}

static void colour_comes_only_when_asked_for_and_begin_and_commit_too(void **state)
{
    struct event event = {.kind = EVENT_COMMIT, .transaction = &transaction};
    struct format_options options = {0};
    struct buf out BUF_AUTO = {0};

    (void)state;
    buf_init(&out, 1 << 20);
    format_text_print(&out, &event, &options);
    assert_string_equal(out.data, "");
    options.with_transactions = true;
    format_text_print(&out, &event, &options);
    assert_non_null(strstr(out.data, "commit xid=731"));
    assert_null(strchr(out.data, 0x1b));
    options.with_colour = true;
    format_text_print(&out, &event, &options);
    assert_non_null(strchr(out.data, 0x1b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_insert_names_the_row_and_leaves_out_nulls),
        cmocka_unit_test(an_update_shows_only_what_changed),
        cmocka_unit_test(an_update_whose_old_row_is_not_known_shows_the_new_one),
        cmocka_unit_test(a_changed_key_shows_both),
        cmocka_unit_test(what_could_deceive_a_terminal_or_a_reader_is_escaped),
        cmocka_unit_test(long_values_are_cut_and_shown_from_their_first_difference),
        cmocka_unit_test(omitted_values_say_how_large_they_are),
        cmocka_unit_test(a_gap_is_told_without_a_transaction),
        cmocka_unit_test(colour_comes_only_when_asked_for_and_begin_and_commit_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
