/* mapping/fieldtype: what each Salesforce type becomes, and values both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mapping/fieldtype.h"
#include "sf/describe.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int make_arena(void **state)
{
    *state = arena_new();
    return 0;
}

static int free_arena(void **state)
{
    arena_free(*state);
    return 0;
}

static void every_type_has_its_column(void **state)
{
    static const struct {
        const char *type;
        int length;
        const char *column; /* NULL: refused */
    } rows[] = {
        {"id", 18, "varchar(18)"},
        {"reference", 18, "varchar(18)"},
        {"reference", 0, "varchar(18)"},
        {"reference", 1000, "varchar(1000)"},
        {"string", 80, "varchar(80)"},
        {"string", 1300, "varchar(1300)"},
        {"string", 0, "text"},
        {"textarea", 255, "varchar(255)"},
        {"textarea", 256, "text"},
        {"textarea", 131072, "text"},
        {"url", 255, "varchar(255)"},
        {"email", 80, "varchar(80)"},
        {"phone", 40, "varchar(40)"},
        {"picklist", 40, "varchar(255)"},
        {"multipicklist", 4099, "varchar(4099)"},
        {"combobox", 120, "varchar(120)"},
        {"encryptedstring", 175, "varchar(175)"},
        {"DataCategoryGroupReference", 80, "varchar(80)"},
        {"boolean", 0, "boolean"},
        {"int", 0, "integer"},
        {"long", 0, "bigint"},
        {"double", 0, "double precision"},
        {"currency", 0, "double precision"},
        {"percent", 0, "double precision"},
        {"date", 0, "date"},
        {"datetime", 0, "timestamp without time zone"},
        {"time", 0, "time without time zone"},
        {"anyType", 0, "text"},
        {"complexvalue", 0, "text"},
        {"json", 0, "text"},
        {"base64", 0, NULL},
        {"address", 0, NULL},
        {"location", 0, NULL},
        {"junctionIdList", 0, NULL},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sf_field field = {.type = rows[i].type, .length = rows[i].length};
        const struct fieldtype *type = fieldtype_find(rows[i].type);
        assert_non_null(type);
        if (rows[i].column == NULL) {
            assert_non_null(fieldtype_refusal(type));
            continue;
        }
        assert_null(fieldtype_refusal(type));
        assert_string_equal(fieldtype_column(type, &field, *state), rows[i].column);
    }
    assert_null(fieldtype_find("hologram"));
}

struct sample {
    const char *type;
    const char *from;
    const char *to; /* NULL: null */
};

static void what_salesforce_sends_becomes_what_postgresql_prints(void **state)
{
    static const struct sample samples[] = {
        {"string", "\"plain\"", "plain"},
        {"string", "\"\"", NULL},
        {"string", "null", NULL},
        {"string", "\"tab\\t line\\nquote\\\" \\u00e9 \\ud83d\\ude00\"",
         "tab\t line\nquote\" \xc3\xa9 \xf0\x9f\x98\x80"},
        {"string", "\"a\\u0000b\"", "ab"},
        {"string", "\"\\u0000\"", NULL},
        {"boolean", "true", "t"},
        {"boolean", "false", "f"},
        {"boolean", "null", NULL},
        {"int", "42", "42"},
        {"int", "-2147483648", "-2147483648"},
        {"int", "42.0", "42"},
        {"long", "9007199254740993", "9007199254740993"},
        {"double", "10.0", "10"},
        {"double", "0.1", "0.1"},
        {"double", "-0.0", "0"},
        {"double", "1.0E7", "10000000"},
        {"double", "123456789012345", "123456789012345"},
        {"double", "1234567890123456", "1.234567890123456e+15"},
        {"double", "1e15", "1e+15"},
        {"double", "64985965346534656", "6.4985965346534656e+16"},
        {"double", "100000000000000.5", "100000000000000.5"},
        {"double", "9007199254740993", "9007199254740993"},
        {"double", "0.0001", "0.0001"},
        {"double", "0.00001", "1e-05"},
        {"double", "0.30000000000000004", "0.30000000000000004"},
        {"double", "1.7976931348623157e308", "1.7976931348623157e+308"},
        {"currency", "18.99", "18.99"},
        {"percent", "100", "100"},
        {"date", "\"2026-01-31\"", "2026-01-31"},
        {"datetime", "\"2026-01-31T10:20:30.000+0000\"", "2026-01-31 10:20:30"},
        {"datetime", "\"2026-01-31T10:20:30.120Z\"", "2026-01-31 10:20:30.12"},
        {"datetime", "\"2026-01-31T10:20:30Z\"", "2026-01-31 10:20:30"},
        {"datetime", "\"2026-01-31T10:20:30+05:30\"", "2026-01-31 04:50:30"},
        {"datetime", "\"1700-01-01T00:00:00.000Z\"", "1700-01-01 00:00:00"},
        {"time", "\"18:30:00.000Z\"", "18:30:00"},
        {"time", "\"18:30:00.250Z\"", "18:30:00.25"},
        {"anyType", "12", "12"},
        {"anyType", "true", "true"},
        {"anyType", "{\"b\":1,\"a\":[null]}", "{\"a\":[null],\"b\":1}"},
    };

    for (size_t i = 0; i < COUNT(samples); i++) {
        struct error err = {0};
        const char *text = "unset";
        json_t *value = json_loads(samples[i].from, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        assert_true(
            fieldtype_from_json(fieldtype_find(samples[i].type), value, *state, &text, &err));
        if (samples[i].to == NULL)
            assert_null(text);
        else
            assert_string_equal(text, samples[i].to);
        json_decref(value);
    }
}

static void what_does_not_fit_is_refused_by_record_and_without_its_value(void **state)
{
    static const struct sample samples[] = {
        {"string", "7001", ""},
        {"string", "{\"secret7001\":1}", ""},
        {"boolean", "\"yes7001\"", ""},
        {"boolean", "7001", ""},
        {"int", "7001.5", ""},
        {"int", "2147483648", ""},
        {"long", "70019223372036854775807.0", ""},
        {"double", "\"7001 EUR\"", ""},
        {"double", "\"NaN\"", ""},
        {"double", "true", ""},
        {"date", "\"2026-02-30 7001\"", ""},
        {"date", "\"2026-02-30\"", ""},
        {"date", "20260131", ""},
        {"datetime", "\"7001\"", ""},
        {"datetime", "\"2026-01-31T10:20:30\"", ""},
        {"time", "\"24:00:00.000Z\"", ""},
        {"time", "\"18:60:00.000Z\"", ""},
        {"time", "\"18:30:00.Z\"", ""},
    };

    for (size_t i = 0; i < COUNT(samples); i++) {
        struct error err = {0};
        const char *text = "unset";
        json_t *value = json_loads(samples[i].from, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        assert_false(
            fieldtype_from_json(fieldtype_find(samples[i].type), value, *state, &text, &err));
        assert_int_equal(err.kind, ERROR_RECORD);
        assert_non_null(strstr(err.message, samples[i].type));
        assert_null(strstr(err.message, "7001"));
        assert_null(text);
        json_decref(value);
    }
}

static void a_cell_of_a_bulk_result_becomes_the_same_text(void **state)
{
    static const struct sample samples[] = {
        {"string", "", NULL},
        {"boolean", "true", "t"},
        {"boolean", "false", "f"},
        {"double", "1.0E7", "10000000"},
        {"double", "10.0", "10"},
        {"int", "7", "7"},
        {"datetime", "2026-01-31T10:20:30.000Z", "2026-01-31 10:20:30"},
        {"date", "2026-01-31", "2026-01-31"},
        {"time", "06:00:00.000Z", "06:00:00"},
    };

    for (size_t i = 0; i < COUNT(samples); i++) {
        struct error err = {0};
        const char *text = "unset";
        assert_true(fieldtype_from_text(fieldtype_find(samples[i].type), samples[i].from, *state,
                                        &text, &err));
        if (samples[i].to == NULL)
            assert_null(text);
        else
            assert_string_equal(text, samples[i].to);
    }
}

static void what_postgresql_prints_becomes_json_of_the_fields_kind(void **state)
{
    static const struct sample samples[] = {
        {"string", "plain", "\"plain\""},
        {"string", "", "null"},
        {"string", NULL, "null"},
        {"string", "12", "\"12\""},
        {"reference", "0015g00000XXXXXAAA", "\"0015g00000XXXXXAAA\""},
        {"boolean", "t", "true"},
        {"boolean", "false", "false"},
        {"boolean", NULL, "null"},
        {"int", "42", "42"},
        {"long", "9007199254740993", "9007199254740993"},
        {"double", "10", "10"},
        {"double", "1.5", "1.5"},
        {"double", "1e+15", "1000000000000000.0"},
        {"double", "0.75", "0.75"}, /* of 0.1 jansson prints 17 digits before 2.14.1, then one */
        {"date", "2026-01-31", "\"2026-01-31\""},
        {"datetime", "2026-01-31 10:20:30", "\"2026-01-31T10:20:30.000Z\""},
        {"datetime", "2026-01-31 10:20:30.123456", "\"2026-01-31T10:20:30.123Z\""},
        {"datetime", "2026-01-31 10:20:30+00", "\"2026-01-31T10:20:30.000Z\""},
        {"datetime", "2026-01-31 10:20:30.5-03:30", "\"2026-01-31T13:50:30.500Z\""},
        {"time", "18:30:00", "\"18:30:00.000Z\""},
        {"time", "18:30:00.25", "\"18:30:00.250Z\""},
        {"time", "18:30:00.123456", "\"18:30:00.123Z\""},
        {"anyType", "7", "\"7\""},
    };

    for (size_t i = 0; i < COUNT(samples); i++) {
        struct error err = {0};
        json_t *value = NULL;
        assert_true(fieldtype_to_json(fieldtype_find(samples[i].type), samples[i].from, *state,
                                      &value, &err));
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        assert_string_equal(text, samples[i].to);
        free(text);
        json_decref(value);
    }
}

static void what_salesforce_cannot_hold_is_refused_before_it_is_sent(void **state)
{
    static const struct sample samples[] = {
        {"double", "NaN", ""},          {"double", "Infinity", ""},
        {"double", "-Infinity", ""},    {"double", "1e400", ""},
        {"double", "0x10", ""},         {"int", "1.5", ""},
        {"date", "infinity", ""},       {"date", "0044-03-15 BC", ""},
        {"date", "10000-01-01", ""},    {"datetime", "-infinity", ""},
        {"datetime", "Sat Jan 31", ""}, {"datetime", "0044-03-15 10:20:30 BC", ""},
        {"time", "24:00:00", ""},       {"time", "18:30:00+02", ""},
        {"boolean", "maybe", ""},       {"string", "\xff\xfe", ""},
    };

    for (size_t i = 0; i < COUNT(samples); i++) {
        struct error err = {0};
        json_t *value = NULL;
        assert_false(fieldtype_to_json(fieldtype_find(samples[i].type), samples[i].from, *state,
                                       &value, &err));
        assert_int_equal(err.kind, ERROR_RECORD);
        assert_null(value);
    }
}

static void a_number_survives_the_way_there_and_back(void **state)
{
    static const double numbers[] = {
        0.1, 1.0 / 3, 5e-324, 1e22, 1e23, 123456.789, 9.99999999999999e14};

    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct error err = {0};
        const struct fieldtype *type = fieldtype_find("double");
        json_t *sent = json_real(numbers[i]);
        json_t *returned = NULL;
        const char *text = NULL;
        assert_true(fieldtype_from_json(type, sent, *state, &text, &err));
        assert_true(fieldtype_to_json(type, text, *state, &returned, &err));
        assert_true(json_number_value(returned) == numbers[i]);
        json_decref(sent);
        json_decref(returned);
    }
}

static void a_cell_of_a_bulk_request_is_written_as_salesforce_reads_it(void **state)
{
    static const struct sample samples[] = {
        {"boolean", "t", "true"},
        {"double", "1e+15", "1e+15"},
        {"datetime", "2026-01-31 10:20:30", "2026-01-31T10:20:30.000Z"},
        {"string", "", NULL},
    };

    for (size_t i = 0; i < COUNT(samples); i++) {
        struct error err = {0};
        const char *wire = "unset";
        assert_true(fieldtype_to_text(fieldtype_find(samples[i].type), samples[i].from, *state,
                                      &wire, &err));
        if (samples[i].to == NULL)
            assert_null(wire);
        else
            assert_string_equal(wire, samples[i].to);
    }
}

/* The common forms take a short way; an exponent of zero or another offset takes the long one. */
static void the_short_way_of_numbers_and_times_is_the_long_one(void **state)
{
    const struct fieldtype *number = fieldtype_find("double");
    const struct fieldtype *datetime = fieldtype_find("datetime");
    uint32_t seed = 7;

    for (int i = 0; i < 20000; i++) {
        struct error err = {0};
        const char *quick = NULL;
        const char *slow = NULL;
        char wire[64];
        char other[80];

        seed = seed * 1664525u + 1013904223u;
        uint32_t digits = seed >> (seed % 31);
        snprintf(wire, sizeof(wire), "%s%u.%0*u", seed % 3 == 0 ? "-" : "",
                 seed % 7 == 0 ? 0 : digits, (int)(seed % 11) + 1,
                 (seed >> 5) % (seed % 5 == 0 ? 10 : 1000000));
        snprintf(other, sizeof(other), "%se0", wire);
        assert_true(fieldtype_from_text(number, wire, *state, &quick, &err));
        assert_true(fieldtype_from_text(number, other, *state, &slow, &err));
        assert_string_equal(quick, slow);

        snprintf(wire, sizeof(wire), "%04u-%02u-%02uT%02u:%02u:%02u.%03u", seed % 2500 + 1,
                 (seed >> 3) % 12 + 1, (seed >> 7) % 28 + 1, (seed >> 9) % 24, (seed >> 11) % 60,
                 (seed >> 13) % 60, (seed >> 15) % 1000);
        snprintf(other, sizeof(other), "%s+0000", wire);
        strcat(wire, "Z");
        assert_true(fieldtype_from_text(datetime, wire, *state, &quick, &err));
        assert_true(fieldtype_from_text(datetime, other, *state, &slow, &err));
        assert_string_equal(quick, slow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_column),
        cmocka_unit_test(what_salesforce_sends_becomes_what_postgresql_prints),
        cmocka_unit_test(what_does_not_fit_is_refused_by_record_and_without_its_value),
        cmocka_unit_test(a_cell_of_a_bulk_result_becomes_the_same_text),
        cmocka_unit_test(what_postgresql_prints_becomes_json_of_the_fields_kind),
        cmocka_unit_test(what_salesforce_cannot_hold_is_refused_before_it_is_sent),
        cmocka_unit_test(the_short_way_of_numbers_and_times_is_the_long_one),
        cmocka_unit_test(a_number_survives_the_way_there_and_back),
        cmocka_unit_test(a_cell_of_a_bulk_request_is_written_as_salesforce_reads_it),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
