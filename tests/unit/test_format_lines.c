/* The table of formats, json and protobuf, and what stands before them: filter and redaction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tail/filter.h"
#include "tail/format.h"
#include "tail/redaction.h"

static struct column columns[] = {
    {.name = "id", .type = "integer", .type_oid = 23, .is_key = true},
    {.name = "Secret", .type = "text", .type_oid = 25},
};
static const struct relation account = {.id = 1,
                                        .schema = "public",
                                        .table = "account",
                                        .columns = columns,
                                        .column_count = 2,
                                        .replica_identity = 'd'};
static const struct relation other = {.id = 2,
                                      .schema = "public",
                                      .table = "other",
                                      .columns = columns,
                                      .column_count = 2,
                                      .replica_identity = 'd'};
static const struct transaction transaction = {
    .xid = 7, .end_lsn = 0x1A0, .origin = "", .source_position = ""};

static struct value text(const char *bytes)
{
    return (struct value){.kind = VALUE_TEXT, .text = bytes, .size_bytes = strlen(bytes)};
}

static void formats_are_found_by_name(void **state)
{
    (void)state;
    assert_string_equal(format_at(0)->name, "text");
    assert_true(format_find("protobuf")->is_binary);
    assert_false(format_find("debezium")->is_binary);
    assert_null(format_find("xml"));
    assert_null(format_at(4));
}

static void json_has_a_line_for_each_truncated_table(void **state)
{
    const struct relation *relations[] = {&account, &other};
    struct event event = {.kind = EVENT_TRUNCATE,
                          .transaction = &transaction,
                          .seq = 1,
                          .truncate = {.relations = relations, .relation_count = 2}};
    struct format_options options = {0};
    struct buf out BUF_AUTO = {0};

    (void)state;
    buf_init(&out, 1 << 20);
    format_find("json")->print(&out, &event, &options);
    const char *second = strchr(out.data, '\n') + 1;
    assert_memory_equal(
        out.data, "{\"op\":\"truncate\",\"schema\":\"public\",\"table\":\"account\",",
        strlen("{\"op\":\"truncate\",\"schema\":\"public\",\"table\":\"account\","));
    assert_memory_equal(second, "{\"op\":\"truncate\",\"schema\":\"public\",\"table\":\"other\",",
                        strlen("{\"op\":\"truncate\",\"schema\":\"public\",\"table\":\"other\","));
    assert_string_equal(strchr(second, '\n'), "\n");
}

static void protobuf_reads_back_as_it_was(void **state)
{
    struct value values[] = {text("7"), {.kind = VALUE_NULL}};
    struct event events[] = {
        {.kind = EVENT_RELATION, .relation = &account},
        {.kind = EVENT_BEGIN, .transaction = &transaction},
        {.kind = EVENT_ROW,
         .transaction = &transaction,
         .seq = 1,
         .row = {ROW_INSERT, &account, values, NULL}},
        {.kind = EVENT_COMMIT, .transaction = &transaction},
        {.kind = EVENT_GAP, .gap = {1, 2, "lost"}},
    };
    struct format_options options = {0};
    struct buf out BUF_AUTO = {0};
    struct event event;
    struct error err = {0};

    (void)state;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < 5; i++)
        format_find("protobuf")->print(&out, &events[i], &options);
    struct change_reader *reader = change_reader_new();
    assert_true(change_reader_feed(reader, out.data, out.size_bytes, &err));
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(change_reader_next(reader, &event, &err), CHANGE_EVENT);
        assert_int_equal(event.kind, events[i].kind);
        if (event.kind == EVENT_ROW)
            assert_memory_equal(event.row.new_values[0].text, "7", 1);
    }
    assert_int_equal(change_reader_next(reader, &event, &err), CHANGE_NEED);
    assert_int_equal(change_reader_pending_bytes(reader), 0);
    change_reader_free(reader);
}

static void a_table_is_named_or_matched(void **state)
{
    struct filter filter = {0};
    struct error err = {0};

    (void)state;
    assert_true(filter_takes_table(&filter, "any", "thing"));
    assert_true(filter_add_tables(&filter.tables, "account,sales*.o*\\*", &err));
    assert_true(filter_takes_table(&filter, "public", "account"));
    assert_false(filter_takes_table(&filter, "public", "accounts"));
    assert_true(filter_takes_table(&filter, "salesforce", "other*"));
    assert_false(filter_takes_table(&filter, "salesforce", "other"));
    assert_true(filter_add_tables(&filter.excluded_tables, "public.*", &err));
    assert_false(filter_takes_table(&filter, "public", "account"));
    filter_done(&filter);
}

static void malformed_patterns_and_lists_are_usage_errors(void **state)
{
    static const char *const wrong[] = {"", "a,", ".a", "a.", "a.b.c", ","};
    struct filter filter = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error err = {0};

        assert_false(filter_add_tables(&filter.tables, wrong[i], &err));
        assert_int_equal(err.kind, ERROR_USAGE);
    }
    struct error err = {0};
    assert_false(filter_add_ops(&filter, "insert,upsert", &err));
    assert_int_equal(err.kind, ERROR_USAGE);
    filter_done(&filter);
}

static void the_plugin_is_asked_only_what_was_asked_for(void **state)
{
    struct filter filter = {0};
    struct filter_request request = {0};
    struct error err = {0};

    (void)state;
    filter_request_init(&request, &filter);
    assert_null(request.options[0].name);
    filter_request_done(&request);
    assert_true(filter_add_tables(&filter.tables, "a,s.b", &err));
    assert_true(filter_add_ops(&filter, "delete,insert", &err));
    assert_true(filter_add_origins(&filter.excluded_origins, "none,x", &err));
    filter_request_init(&request, &filter);
    assert_string_equal(request.options[0].name, "tables");
    assert_string_equal(request.options[0].value, "*.a,s.b");
    assert_string_equal(request.options[1].name, "exclude_origins");
    assert_string_equal(request.options[1].value, "x");
    assert_string_equal(request.options[2].name, "actions");
    assert_string_equal(request.options[2].value, "insert,delete");
    assert_null(request.options[3].name);
    filter_request_done(&request);
    filter_done(&filter);
}

static void none_is_the_origin_of_what_was_written_here(void **state)
{
    struct filter filter = {0};
    struct error err = {0};

    (void)state;
    assert_true(filter_add_origins(&filter.origins, "none,upstream", &err));
    assert_true(filter_takes_origin(&filter, ""));
    assert_true(filter_takes_origin(&filter, "upstream"));
    assert_false(filter_takes_origin(&filter, "elsewhere"));
    filter_done(&filter);
}

static void expect_redacted(const char *name, bool is_redacted)
{
    struct redaction *redaction = redaction_new();
    struct value old_values[] = {text("7"), {.kind = VALUE_NULL}};
    struct value new_values[] = {text("7"), text("hidden")};
    struct row row = {ROW_UPDATE, &account, new_values, old_values};
    size_t at = 0;

    redaction_add(redaction, name);
    redaction_apply(redaction, &row);
    assert_int_equal(row.new_values[1].size_bytes,
                     strlen(is_redacted ? "[redacted: changed]" : "hidden"));
    assert_int_equal(row.old_values[1].kind, is_redacted ? VALUE_TEXT : VALUE_NULL);
    assert_memory_equal(row.new_values[0].text, "7", 1);
    assert_int_equal(redaction_unmet(redaction, &at) == NULL, is_redacted);
    assert_memory_equal(new_values[1].text, "hidden", 6);
    redaction_free(redaction);
}

static void a_column_is_redacted_by_any_of_its_names(void **state)
{
    (void)state;
    expect_redacted("secret", true);
    expect_redacted("Account.SECRET", true);
    expect_redacted("public.account.secret", true);
    expect_redacted("secre", false);
    expect_redacted("asecret", false);
    expect_redacted("other.secret", false);
    expect_redacted("private.account.secret", false);
    expect_redacted("x.public.account.secret", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_found_by_name),
        cmocka_unit_test(json_has_a_line_for_each_truncated_table),
        cmocka_unit_test(protobuf_reads_back_as_it_was),
        cmocka_unit_test(a_table_is_named_or_matched),
        cmocka_unit_test(malformed_patterns_and_lists_are_usage_errors),
        cmocka_unit_test(the_plugin_is_asked_only_what_was_asked_for),
        cmocka_unit_test(none_is_the_origin_of_what_was_written_here),
        cmocka_unit_test(a_column_is_redacted_by_any_of_its_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
