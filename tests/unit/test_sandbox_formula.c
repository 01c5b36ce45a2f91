/* sandbox/formula: texts become trees, are checked, and give the values that Salesforce gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/formula_check.h"
#include "sandbox/formula_parse.h"
#include "sandbox/formula_sql.h"

/* The type of the field in which a formula's result is wanted, by its name here. */
static const char definition[] =
    "[{'name': 'A', 'keyPrefix': '001', 'fields': [{'name': 'string'}, {'name': 'double', 'type': "
    "'double'}, {'name': 'boolean', 'type': 'boolean'}, {'name': 'date', 'type': 'date'}, "
    "{'name': 'datetime', 'type': 'datetime'}, {'name': 'Pick', 'type': 'picklist'}, "
    "{'name': 'Time', 'type': 'time'}, {'name': 'N', 'type': 'double'}, "
    "{'name': 'PId', 'type': 'reference', 'referenceTo': ['A'], 'relationshipName': 'P'}, "
    "{'name': 'WId', 'type': 'reference', 'referenceTo': ['A', 'B'], 'relationshipName': 'W'}]}, "
    "{'name': 'B', 'keyPrefix': '003', 'fields': [{'name': 'Name'}]}]";

struct world {
    struct arena *arena;
    struct schema *schema;
};

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    char *text = strdup(definition);
    struct error err = {0};

    for (char *each = text; *each != '\0'; each++)
        if (*each == '\'')
            *each = '"';
    json_t *json = json_loads(text, 0, NULL);
    world->arena = arena_new();
    world->schema = schema_new();
    assert_true(schema_define(world->schema, json, &err));
    json_decref(json);
    free(text);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;

    schema_free(world->schema);
    arena_free(world->arena);
    free(world);
    return 0;
}

static struct formula *check(void **state, const char *type, const char *text, struct error *err)
{
    const struct world *world = *state;
    const struct object *object = schema_find(world->schema, "A");
    const struct formula_source source = {.schema = world->schema,
                                          .object = object,
                                          .field = schema_field(object, type),
                                          .text = text};

    return formula_check(world->arena, &source, err);
}

/* Without inputs. 2026-02-03T04:05:06Z is now. */
static struct formula_value evaluate(void **state, const char *type, const char *text)
{
    const struct world *world = *state;
    const struct formula_run run = {.arena = world->arena, .now_s = 1770091506};
    struct error err = {0};
    struct formula *formula = check(state, type, text, &err);

    if (formula == NULL)
        fail_msg("%s: %s", text, err.message);
    return formula_evaluate(&run, formula->root);
}

static void assert_text(void **state, const char *text, const char *expected)
{
    struct formula_value value = evaluate(state, "string", text);

    if (value.text == NULL || strcmp(value.text, expected) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", text, value.text != NULL ? value.text : "null",
                 expected);
}

static void assert_number(void **state, const char *text, double expected)
{
    struct formula_value value = evaluate(state, "double", text);

    if (value.is_null || fabs(value.number - expected) > 1e-12 * fmax(1, fabs(expected)))
        fail_msg("%s is %.17g%s, not %.17g", text, value.number, value.is_null ? " (null)" : "",
                 expected);
}

static void assert_null_number(void **state, const char *text)
{
    if (!evaluate(state, "double", text).is_null)
        fail_msg("%s is not null", text);
}

static void assert_truth(void **state, const char *text, bool expected)
{
    if ((evaluate(state, "boolean", text).number != 0) != expected)
        fail_msg("%s is not %s", text, expected ? "true" : "false");
}

static void operators_bind_as_in_salesforce(void **state)
{
    assert_number(state, "1 + 2 * 3 ^ 2 /* not 1 */ - 4 / 2", 17);
    assert_number(state, "2 ^ 3 ^ 2", 64);
    assert_number(state, "-2 ^ 2", 4);
    assert_number(state, "10 - 4 - 3", 3);
    assert_number(state, "(10 - 4) * .5", 3);
    assert_number(state, "--+1", 1);
    assert_truth(state, "1 = 2 || 1 + 1 == 2 && !FALSE", true);
    assert_truth(state, "NOT(1 <> 1) && 1 != 2 && 2 >= 2 && 1 <= 2 && !(2 < 2) && 3 > 2", true);
    assert_text(state, "'a' & \"b\" + 'c'", "abc");
    assert_text(state, "'\\'\\\"\\\\\\n'", "'\"\\\n");
}

static void conditions_choose(void **state)
{
    assert_text(state, "IF(1 < 2, 'yes', 'no')", "yes");
    assert_text(state, "IF(NULL < 2, 'yes', 'no')", "no");
    assert_text(state, "CASE(3, 1, 'one', 3, 'three', 'many')", "three");
    assert_text(state, "CASE('b', 'a', 'A', 'many')", "many");
    assert_number(state, "IF(TRUE, 1, NULL)", 1);
    assert_null_number(state, "IF(FALSE, 1, NULL)");
    assert_truth(state, "OR(FALSE, AND(TRUE, TRUE), FALSE)", true);
    assert_truth(state, "'a' = 'A'", false);
    assert_truth(state, "ISBLANK('') && ISBLANK(NULL) && ISNULL(NULL) && !ISBLANK(0)", true);
    assert_text(state, "BLANKVALUE('', 'other') & NULLVALUE('own', 'other')", "otherown");
    assert_truth(state, "NULL = '' && DATE(2026, 1, 1) <> NULL", true);
}

static void texts_are_counted_in_characters(void **state)
{
    assert_text(state, "LEFT('Zürich', 2) & RIGHT('Zürich', 5) & MID('Zürich', 2, 1)", "Züürichü");
    assert_text(
        state,
        "LEFT('ab', -1) & LEFT('ab', 9) & RIGHT('ab', 9) & RIGHT('ab', -1) & MID('ab', 9, 1)",
        "abab");
    assert_number(
        state, "LEN('Zürich') + FIND('r', 'Zürich') + FIND('x', 'abc') + FIND('a', 'aba', 2)", 12);
    assert_text(state,
                "TRIM('  a b ') & UPPER('aB') & LOWER('aB') & SUBSTITUTE('a-b-c', '-', '++')",
                "a bABaba++b++c");
    assert_truth(state, "CONTAINS('abc', 'bc') && BEGINS('abc', 'ab') && !CONTAINS('abc', 'B')",
                 true);
    assert_text(state, "CASESAFEID('001D000000INjVe')", "001D000000INjVeIAL");
}

static void numbers_round_half_away_from_zero(void **state)
{
    assert_number(state, "ROUND(1.005, 2)", 1.01);
    assert_number(state, "ROUND(-2.5, 0)", -3);
    assert_number(state, "ROUND(1234, -2)", 1200);
    assert_number(state,
                  "FLOOR(-2.5) * 1000 + CEILING(-2.5) * 100 + MFLOOR(-2.5) * 10 + MCEILING(-2.5)",
                  -2000 - 300 - 30 - 2);
    assert_number(state, "MOD(7, 3) + ABS(-1) + MIN(3, 1, 2) + MAX(3, NULL, 5)", 8);
    assert_null_number(state, "1 / 0");
    assert_null_number(state, "SQRT(-1)");
    assert_null_number(state, "1 + NULL");
    assert_text(state,
                "TEXT(1.50) & ' ' & TEXT(1000000) & ' ' & TEXT(-0.1 - 0.2) & ' ' & TEXT(1 / 3)",
                "1.5 1000000 -0.3 0.33333333333333");
    assert_number(state, "VALUE(' 12.5 ') + VALUE('1')", 13.5);
    assert_null_number(state, "VALUE('1a')");
}

static void days_are_counted(void **state)
{
    assert_text(state, "TEXT(TODAY())", "2026-02-03");
    assert_text(state, "TEXT(NOW())", "2026-02-03 04:05:06Z");
    assert_text(state, "TEXT(DATE(2024, 2, 28) + 2) & TEXT(DATE(2024, 1, 1) - 1)",
                "2024-03-012023-12-31");
    assert_number(state, "DATE(2024, 3, 1) - DATE(2024, 2, 1)", 29);
    assert_text(state, "TEXT(NOW() + 0.5)", "2026-02-03 16:05:06Z");
    assert_number(state, "YEAR(TODAY()) * 10000 + MONTH(TODAY()) * 100 + DAY(TODAY())", 20260203);
    assert_number(state, "WEEKDAY(DATE(2026, 2, 1))", 1);
    assert_text(state,
                "TEXT(ADDMONTHS(DATE(2024, 1, 31), 1)) & TEXT(ADDMONTHS(DATE(2024, 2, 29), -1))",
                "2024-02-292024-01-31");
    assert_text(state, "TEXT(DATEVALUE(NOW())) & TEXT(DATEVALUE('2026-01-02'))",
                "2026-02-032026-01-02");
    assert_truth(state, "ISBLANK(DATE(2026, 2, 30)) && ISBLANK(DATE(9999, 12, 31) + 1)", true);
}

static void assert_refused(void **state, const char *type, const char *text, const char *words)
{
    struct error err = {0};

    if (check(state, type, text, &err) != NULL)
        fail_msg("%s is taken", text);
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (strstr(err.message, words) == NULL)
        fail_msg("%s: \"%s\" is not in \"%s\"", text, words, err.message);
}

static void mistakes_are_named_with_their_place(void **state)
{
    assert_refused(state, "double", "", "it ends where a field");
    assert_refused(state, "double", "1 2",
                   "character 3: \"2\" stands where an operator or the end");
    assert_refused(state, "double", "1 /* x", "character 3: this comment has no end");
    assert_refused(state, "string", "'x", "this text has no end");
    assert_refused(state, "string", "IMAGE('x')", "IMAGE is not known here");
    assert_refused(state, "double", "LEN(Pick)", "TEXT() makes a picklist a text");
    assert_refused(state, "string", "TEXT(Time)", "do not read fields of type time");
    assert_refused(state, "string", "W.Name", "name one: W:A");
    assert_refused(state, "string", "W:C.Name", "does not lead to an object C");
    assert_refused(state, "string", "P.P.P.P.P.P.P.P.P.P.P.string", "at most 10 parents");
    assert_refused(state, "boolean", "TODAY() = NOW()", "= does not take (date, datetime)");
    assert_refused(state, "string", "CASE(1, 2, 'a')", "CASE takes an expression");
    assert_refused(state, "string", "CASE(1, 'x', 'a', 'b')", "CASE takes values");
    assert_refused(state, "string", "FIND('a')", "it takes (text, text [, number])");
    assert_refused(state, "Time", "NULL", "a formula field is not of type time");
}

static void depth_and_length_are_bounded(void **state)
{
    struct buf text BUF_AUTO = {0};

    buf_init(&text, 100000);
    for (int i = 0; i < 100; i++)
        buf_char(&text, '(');
    assert_refused(state, "double", text.data, "nested too deeply");
    buf_clear(&text);
    for (int i = 0; i < 100; i++)
        buf_char(&text, '-');
    assert_refused(state, "double", text.data, "too many signs");
    buf_clear(&text);
    for (int i = 0; i < 1900; i++)
        buf_text(&text, "1+");
    buf_char(&text, '1');
    assert_number(state, text.data, 1901);
    buf_text(&text,
             "                                                                             "
             "                                                                             ");
    assert_refused(state, "double", text.data, "more than 3900 characters");
}

static void inputs_are_shared_and_paths_become_joins(void **state)
{
    struct error err = {0};
    struct buf sql BUF_AUTO = {0};
    struct formula *formula =
        check(state, "string", "P.P.string & W:B.Name & string & STRING", &err);

    buf_init(&sql, FORMULA_SQL_MAX_BYTES);
    assert_non_null(formula);
    assert_int_equal(formula->input_count, 3);
    assert_true(formula_sql_write(formula, "t", &sql));
    assert_string_equal(
        sql.data,
        "sandbox_formula(0, (select f1_1.\"string\" from \"A\" f1_0 left join \"A\" f1_1 on "
        "f1_1.\"Id\" = f1_0.\"PId\" where f1_0.\"Id\" = t.\"PId\"), (select f1_0.\"Name\" from "
        "\"B\" "
        "f1_0 where f1_0.\"Id\" = t.\"WId\"), t.\"string\")");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(operators_bind_as_in_salesforce, open_world, close_world),
        cmocka_unit_test_setup_teardown(conditions_choose, open_world, close_world),
        cmocka_unit_test_setup_teardown(texts_are_counted_in_characters, open_world, close_world),
        cmocka_unit_test_setup_teardown(numbers_round_half_away_from_zero, open_world, close_world),
        cmocka_unit_test_setup_teardown(days_are_counted, open_world, close_world),
        cmocka_unit_test_setup_teardown(mistakes_are_named_with_their_place, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(depth_and_length_are_bounded, open_world, close_world),
        cmocka_unit_test_setup_teardown(inputs_are_shared_and_paths_become_joins, open_world,
                                        close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
