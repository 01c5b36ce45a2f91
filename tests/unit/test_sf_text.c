/* sf: ids, times, SOQL text and the meaning of error codes: all pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sf/datetime.h"
#include "sf/id.h"
#include "sf/outcome.h"
#include "sf/soql.h"

static void an_id_of_15_becomes_18(void **state)
{
    char id[SF_ID_BYTES];

    (void)state;
    assert_true(sf_id_to_18("001D000000INjVe", id));
    assert_string_equal(id, "001D000000INjVeIAL");
    assert_true(sf_id_to_18("000000000000000", id));
    assert_string_equal(id, "000000000000000AAA");
    assert_true(sf_id_to_18("001D000000INjVeial", id));
    assert_string_equal(id, "001D000000INjVeIAL");
    assert_true(sf_id_is_same("001D000000INjVe", "001D000000INjVeIAL"));
    assert_false(sf_id_is_same("001D000000INjVe", "001D000000INjve"));
}

static void what_is_no_id_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "001D000000INjV",
        "001D000000INjVeI",
        "001D000000INjVeIAM",
        "001D000000INjVeIALx",
        "001D0000 0INjVe",
        "001D000000INjV'",
        "001D000000INj\xc3\xa9",
    };
    char id[SF_ID_BYTES] = "left";

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(sf_id_is_valid(texts[i]));
        assert_false(sf_id_to_18(texts[i], id));
        assert_string_equal(id, "");
    }
    assert_true(sf_id_from("001D000000INjVe and more", 15, id));
}

/* A fixed sequence, so that a failure repeats. */
static unsigned int next_random(unsigned int *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return *seed >> 16;
}

static void any_bytes_are_an_id_or_not_but_never_harm(void **state)
{
    unsigned int seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[24];
        char id[SF_ID_BYTES];
        size_t length = next_random(&seed) % sizeof(text);
        for (size_t i = 0; i < length; i++)
            text[i] =
                (char)(round % 2 ? next_random(&seed) % 255 + 1 : 'A' + next_random(&seed) % 26);
        text[length] = '\0';
        if (sf_id_to_18(text, id)) {
            assert_int_equal(strlen(id), 18);
            assert_memory_equal(id, text, 15);
            assert_true(sf_id_is_valid(id));
        }
    }
}

static void times_are_read_in_every_dialect(void **state)
{
    static const struct {
        const char *text;
        int64_t time_us;
    } times[] = {
        {"1970-01-01T00:00:00.000+0000", 0},
        {"2026-01-31T10:20:30.000+0000", 1769854830000000},
        {"2026-01-31T10:20:30.123Z", 1769854830123000},
        {"2026-01-31T10:20:30Z", 1769854830000000},
        {"2026-01-31T11:20:30+01:00", 1769854830000000},
        {"2026-01-31T05:50:30-0430", 1769854830000000},
        {"2026-01-31T10:20:30.1234567Z", 1769854830123456},
        {"1969-12-31T23:59:59.999Z", -1000},
        {"2024-02-29T00:00:00Z", 1709164800000000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        int64_t time_us = 1;
        assert_true(sf_datetime_parse(times[i].text, &time_us));
        assert_int_equal(time_us, times[i].time_us);
    }
    assert_string_equal(sf_datetime_format(1769854830123456).text, "2026-01-31T10:20:30.123+0000");
    assert_string_equal(sf_datetime_format_utc(-1).text, "1969-12-31T23:59:59.999Z");
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "2026-01-31",
        "2026-01-31T10:20:30",
        "2026-02-30T10:20:30Z",
        "2026-13-01T10:20:30Z",
        "2026-00-01T10:20:30Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T10:20:60Z",
        "2026-01-31T10:20:30.Z",
        "2026-01-31T10:20:30Zz",
        "2026-01-31T10:20:30+1",
        "2026-01-31 10:20:30Z",
        "0000-01-01T00:00:00Z",
        " 2026-01-31T10:20:30Z",
    };
    int64_t time_us;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(sf_datetime_parse(texts[i], &time_us));
}

static void the_date_header_is_read(void **state)
{
    int64_t seconds = 0;

    (void)state;
    assert_true(sf_datetime_parse_http("Sun, 06 Nov 1994 08:49:37 GMT", &seconds));
    assert_int_equal(seconds, 784111777);
    assert_false(sf_datetime_parse_http("Sunday, 06-Nov-94 08:49:37 GMT", &seconds));
    assert_false(sf_datetime_parse_http("Sun, 06 Nov 1994 08:49:37", &seconds));
    assert_false(sf_datetime_parse_http("Sun, 06 N", &seconds));
    assert_false(sf_datetime_parse_http("", &seconds));
}

static void a_literal_cannot_be_left(void **state)
{
    struct buf out BUF_AUTO = {0};
    struct error err = {0};

    (void)state;
    buf_init(&out, 200);
    assert_true(soql_quote(&out, "O'Hara \\ \"x\" \n\t% _ \xc3\xa9 \xf0\x9f\x98\x80", &err));
    assert_string_equal(out.data, "'O\\'Hara \\\\ \\\"x\\\" \\n\\t% _ \xc3\xa9 \xf0\x9f\x98\x80'");
    buf_clear(&out);
    assert_true(soql_quote(&out, "", &err));
    assert_string_equal(out.data, "''");
}

static void what_no_literal_can_hold_is_refused(void **state)
{
    static const char *const texts[] = {"\x01",         "\x7f",     "\xff",  "\xc3",
                                        "\xed\xa0\x80", "\xc0\x80", "\xe2'", "\xf4\x90\x80\x80"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct buf out BUF_AUTO = {0};
        struct error err = {0};
        buf_init(&out, 100);
        assert_false(soql_quote(&out, texts[i], &err));
        assert_int_equal(err.kind, ERROR_RECORD);
    }
}

/* Reads a literal as Salesforce would: it must end at its last byte. */
static bool is_one_literal(const char *text)
{
    size_t length = strlen(text);
    size_t i = 1;

    if (length < 2 || text[0] != '\'')
        return false;
    while (i < length && text[i] != '\'')
        i += text[i] == '\\' ? 2 : 1;
    return i == length - 1;
}

static void any_text_is_one_literal_or_refused(void **state)
{
    static const char bytes[] = "\\'\"\n% a\xc3\xa9\x01";
    unsigned int seed = 7;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct buf out BUF_AUTO = {0};
        struct error err = {0};
        char text[16];
        size_t length = next_random(&seed) % sizeof(text);
        for (size_t i = 0; i < length; i++)
            text[i] = bytes[next_random(&seed) % (sizeof(bytes) - 1)];
        text[length] = '\0';
        buf_init(&out, 100);
        if (soql_quote(&out, text, &err))
            assert_true(is_one_literal(out.data));
    }
}

static void queries_are_built_from_names_only(void **state)
{
    static const char *const fields[] = {"Id", "Owner.Name"};
    static const char *const bad[] = {"Id", "Id from User"};
    static const char *const values[] = {"a", "b'"};
    struct buf out BUF_AUTO = {0};
    struct error err = {0};

    (void)state;
    buf_init(&out, 200);
    assert_true(soql_select(&out, fields, 2, "Account", &err));
    buf_text(&out, " where ");
    assert_true(soql_in(&out, "Ext__c", values, 2, &err));
    buf_text(&out, " and SystemModstamp > ");
    soql_datetime(&out, 1000000);
    assert_string_equal(out.data, "select Id, Owner.Name from Account where Ext__c in ('a', 'b\\'')"
                                  " and SystemModstamp > 1970-01-01T00:00:01.000Z");
    assert_false(soql_select(&out, bad, 2, "Account", &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_false(soql_select(&out, fields, 0, "Account", &err));
    assert_false(soql_is_name(""));
    assert_false(soql_is_name("a."));
    assert_false(soql_is_name(".a"));
    assert_false(soql_is_name("a..b"));
    assert_false(soql_is_name("1a"));
}

static void a_query_that_does_not_fit_is_said(void **state)
{
    static const char *const fields[] = {"Id"};
    struct buf out BUF_AUTO = {0};
    struct error err = {0};

    (void)state;
    buf_init(&out, 10);
    assert_false(soql_select(&out, fields, 1, "Account", &err));
    assert_int_equal(err.kind, ERROR_RECORD);
}

static void error_codes_have_a_class(void **state)
{
    static const struct {
        const char *code;
        const char *message;
        enum sf_outcome outcome;
    } cases[] = {
        {"UNABLE_TO_LOCK_ROW", "", SF_OUTCOME_TRANSIENT},
        {"REQUIRED_FIELD_MISSING", "", SF_OUTCOME_DATA},
        {"FIELD_CUSTOM_VALIDATION_EXCEPTION", "", SF_OUTCOME_DATA},
        {"NEVER_HEARD_OF", "", SF_OUTCOME_DATA},
        {"ENTITY_IS_DELETED", "", SF_OUTCOME_GONE},
        {"NOT_FOUND", "", SF_OUTCOME_GONE},
        {"INVALID_CROSS_REFERENCE_KEY", "", SF_OUTCOME_REFERENCE_MISSING},
        {"INSUFFICIENT_ACCESS_OR_READONLY", "", SF_OUTCOME_PERMISSION},
        {"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "trigger failed", SF_OUTCOME_PERMISSION},
        {"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "x: UNABLE_TO_LOCK_ROW, y", SF_OUTCOME_TRANSIENT},
        {"CANNOT_EXECUTE_FLOW_TRIGGER", "System.LimitException", SF_OUTCOME_TRANSIENT},
        {"INVALID_FIELD", "No such column 'X'", SF_OUTCOME_SCHEMA},
        {"INVALID_FIELD", "Foreign key external ID: a-1 not found for field Ext__c in entity A",
         SF_OUTCOME_REFERENCE_MISSING},
        {"DUPLICATE_VALUE",
         "duplicate value found: E__c duplicates value on record with id: "
         "001D000000INjVe",
         SF_OUTCOME_ALREADY_DONE},
        {"DUPLICATE_VALUE", "duplicate value found: <unknown>", SF_OUTCOME_DATA},
        {"ALL_OR_NONE_OPERATION_ROLLED_BACK", "", SF_OUTCOME_ROLLED_BACK},
        {"STORAGE_LIMIT_EXCEEDED", "", SF_OUTCOME_ORG_STOPPED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(sf_outcome_of_record(cases[i].code, cases[i].message), cases[i].outcome);
    assert_int_equal(sf_outcome_of_record(NULL, NULL), SF_OUTCOME_DATA);
    assert_false(sf_outcome_is_listed("NEVER_HEARD_OF"));
    assert_true(sf_outcome_is_listed("DUPLICATE_VALUE"));
}

static void requests_have_a_class_by_code_then_status(void **state)
{
    (void)state;
    assert_int_equal(sf_outcome_of_request(201, NULL, NULL), SF_OUTCOME_SUCCESS);
    assert_int_equal(sf_outcome_of_request(401, "INVALID_SESSION_ID", ""), SF_OUTCOME_SESSION);
    assert_int_equal(sf_outcome_of_request(403, "REQUEST_LIMIT_EXCEEDED", ""), SF_OUTCOME_LIMIT);
    assert_int_equal(sf_outcome_of_request(403, NULL, NULL), SF_OUTCOME_PERMISSION);
    assert_int_equal(sf_outcome_of_request(404, "NOT_FOUND", ""), SF_OUTCOME_SCHEMA);
    assert_int_equal(sf_outcome_of_request(412, NULL, NULL), SF_OUTCOME_CONFLICT);
    assert_int_equal(sf_outcome_of_request(300, NULL, NULL), SF_OUTCOME_AMBIGUOUS);
    assert_int_equal(sf_outcome_of_request(400, "NEVER_HEARD_OF", ""), SF_OUTCOME_UNKNOWN);
    assert_int_equal(sf_outcome_of_request(503, NULL, NULL), SF_OUTCOME_TRANSIENT);
    assert_true(sf_outcome_is_daily_limit("TotalRequests Limit exceeded."));
    assert_false(sf_outcome_is_daily_limit("ConcurrentRequests Limit exceeded."));
}

static void only_what_was_surely_not_executed_may_be_repeated(void **state)
{
    static const long refused[] = {300, 302, 400, 401, 403, 404, 406, 414, 420, 429, 431, 503};
    static const long doubtful[] = {408, 500, 502, 504};

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_int_equal(sf_fate_of_answer(refused[i], true), SF_NOT_DONE);
    for (size_t i = 0; i < sizeof(doubtful) / sizeof(doubtful[0]); i++)
        assert_int_equal(sf_fate_of_answer(doubtful[i], true), SF_IN_DOUBT);
    assert_int_equal(sf_fate_of_answer(200, true), SF_ANSWERED);
    assert_int_equal(sf_fate_of_answer(200, false), SF_IN_DOUBT);
}

static void every_outcome_has_a_name(void **state)
{
    (void)state;
    for (int outcome = 0; outcome <= SF_OUTCOME_UNKNOWN; outcome++)
        assert_non_null(sf_outcome_name((enum sf_outcome)outcome));
}

static void the_record_that_owns_a_value_is_found_in_the_message(void **state)
{
    static const char message[] =
        "duplicate value found: Ext__c duplicates value on record with id: 001D000000INjVe.";
    struct buf field BUF_AUTO = {0};
    char id[SF_ID_BYTES];

    (void)state;
    buf_init(&field, 100);
    assert_true(sf_duplicate_value_id(message, id));
    assert_string_equal(id, "001D000000INjVeIAL");
    assert_true(sf_duplicate_value_field(message, &field));
    assert_string_equal(field.data, "Ext__c");
    assert_false(sf_duplicate_value_id("duplicate value found: <unknown>", id));
    assert_false(sf_duplicate_value_id("on record with id: 001", id));
    assert_false(sf_duplicate_value_id("", id));
    assert_false(sf_duplicate_value_field("duplicate value found: ", &field));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_of_15_becomes_18),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(any_bytes_are_an_id_or_not_but_never_harm),
        cmocka_unit_test(times_are_read_in_every_dialect),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(the_date_header_is_read),
        cmocka_unit_test(a_literal_cannot_be_left),
        cmocka_unit_test(what_no_literal_can_hold_is_refused),
        cmocka_unit_test(any_text_is_one_literal_or_refused),
        cmocka_unit_test(queries_are_built_from_names_only),
        cmocka_unit_test(a_query_that_does_not_fit_is_said),
        cmocka_unit_test(error_codes_have_a_class),
        cmocka_unit_test(requests_have_a_class_by_code_then_status),
        cmocka_unit_test(only_what_was_surely_not_executed_may_be_repeated),
        cmocka_unit_test(every_outcome_has_a_name),
        cmocka_unit_test(the_record_that_owns_a_value_is_found_in_the_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
