/* mapping/decimal and sf/long_numbers: no digit is lost on the way from Salesforce to numeric. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mapping/decimal.h"
#include "mapping/fieldtype.h"
#include "sf/long_numbers.h"

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

static void every_digit_is_kept_and_nothing_that_says_nothing(void **state)
{
    static const char *const pairs[][2] = {
        {"1234567890123456.78", "1234567890123456.78"},
        {"-0.000000000000000001", "-0.000000000000000001"},
        {"1.5E7", "15000000"},
        {"1.0E7", "10000000"},
        {"1.2345E+2", "123.45"},
        {"12E-3", "0.012"},
        {"007.500", "7.5"},
        {"0.0", "0"},
        {"-0", "0"},
        {"100", "100"},
        {"+3", "3"},
        {".5", "0.5"},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_string_equal(decimal_plain(pairs[i][0], *state), pairs[i][1]);
    assert_null(decimal_plain("1e999999999", *state));
    assert_null(decimal_plain("", *state));
    assert_null(decimal_plain("1x", *state));
    assert_null(decimal_plain("1e", *state));
}

static void a_numeric_columns_type_keeps_what_double_precision_rounds(void **state)
{
    const struct fieldtype *type = fieldtype_find("currency");
    const char *text = NULL;
    struct error err = {0};

    assert_true(fieldtype_from_text(type, "1234567890123456.78", *state, &text, &err));
    assert_string_equal(text, "1.2345678901234568e+15");
    type = fieldtype_exact(type);
    assert_true(fieldtype_from_text(type, "1234567890123456.78", *state, &text, &err));
    assert_string_equal(text, "1234567890123456.78");
    assert_false(fieldtype_from_text(type, "NaN", *state, &text, &err));
    assert_ptr_equal(fieldtype_exact(fieldtype_find("string")), fieldtype_find("string"));
}

static void assert_quotes(const char *json, const char *expected)
{
    struct buf in BUF_AUTO = {0};
    struct buf out BUF_AUTO = {0};

    buf_init(&in, 10000);
    buf_init(&out, 10000);
    buf_text(&in, json);
    assert_int_equal(sf_long_numbers(&in, &out), expected != NULL);
    assert_string_equal(out.data, expected != NULL ? expected : "");
}

static void long_numbers_are_quoted_and_nothing_else(void **state)
{
    (void)state;
    assert_quotes("{\"a\":1234567890123456.78,\"b\":2}", "{\"a\":\"1234567890123456.78\",\"b\":2}");
    assert_quotes("[12345678901234567890]", "[\"12345678901234567890\"]");
    assert_quotes("[-0.1234567890123456789E5]", "[\"-0.1234567890123456789E5\"]");
    assert_quotes("[123456789012345678]", NULL);
    assert_quotes("[1.5, true, false, null, 0.00000000000000000001]", NULL);
    assert_quotes("{\"1234567890123456.78\":\"\\\"1234567890123456.78\"}", NULL);
    assert_quotes("\"cut \\", NULL);
    assert_quotes("", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_digit_is_kept_and_nothing_that_says_nothing),
        cmocka_unit_test(a_numeric_columns_type_keeps_what_double_precision_rounds),
        cmocka_unit_test(long_numbers_are_quoted_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
