/* sandbox/soql: statements become trees, date words become days, and what is wrong is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "sandbox/soql.h"
#include "sandbox/soql_dates.h"
#include "sandbox/times.h"

static int new_arena(void **state)
{
    *state = arena_new();
    return 0;
}

static int free_arena(void **state)
{
    arena_free(*state);
    return 0;
}

static struct soql_query *parse(void **state, const char *text)
{
    struct record_errors errors = {.arena = *state};
    struct soql_query *query = soql_parse(text, &errors);

    if (query == NULL)
        fail_msg("%s", errors.first->message);
    return query;
}

static const char *refusal(void **state, const char *text)
{
    struct record_errors errors = {.arena = *state};

    assert_null(soql_parse(text, &errors));
    assert_non_null(errors.first);
    assert_string_equal(errors.first->code, "MALFORMED_QUERY");
    return errors.first->message;
}

static void assert_refused_with(void **state, const char *text, const char *message)
{
    const char *found = refusal(state, text);

    if (strstr(found, message) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", message, found);
}

static void every_clause_finds_its_place(void **state)
{
    const struct soql_query *query =
        parse(state, "select Id, Account.Owner.Name n, MAX(Amount) most, (SELECT Id FROM Contacts) "
                     "FROM Opportunity o WHERE Name = 'x' GROUP BY Id, Account.Owner.Name "
                     "ORDER BY Name DESC NULLS LAST, Id LIMIT 10 OFFSET 5 ALL ROWS");
    const struct soql_item *item = query->items;

    assert_string_equal(item->path.names[0], "Id");
    item = item->next;
    assert_int_equal(item->path.count, 3);
    assert_string_equal(item->path.names[2], "Name");
    assert_string_equal(item->alias, "n");
    item = item->next;
    assert_int_equal(item->kind, SOQL_AGGREGATE);
    assert_string_equal(item->function, "MAX");
    assert_string_equal(item->alias, "most");
    item = item->next;
    assert_int_equal(item->kind, SOQL_CHILDREN);
    assert_string_equal(item->children->from, "Contacts");
    assert_null(item->next);
    assert_string_equal(query->from, "Opportunity");
    assert_string_equal(query->from_alias, "o");
    assert_int_equal(query->where->kind, SOQL_COMPARE);
    assert_non_null(query->groups->next);
    assert_true(query->orders->is_descending && query->orders->has_nulls_last);
    assert_false(query->orders->next->is_descending);
    assert_int_equal(query->limit, 10);
    assert_int_equal(query->offset, 5);
    assert_true(query->is_all_rows);
}

static void conditions_nest_as_they_are_written(void **state)
{
    const struct soql_node *node =
        parse(state, "SELECT Id FROM A WHERE (B = 1 OR NOT C = 2 OR D IN (1, 2)) AND E != null")
            ->where;

    assert_int_equal(node->kind, SOQL_AND);
    assert_int_equal(node->first->kind, SOQL_OR);
    const struct soql_node *second = node->first->first->next;
    assert_int_equal(second->kind, SOQL_NOT);
    assert_int_equal(second->first->kind, SOQL_COMPARE);
    assert_int_equal(second->next->operator, SOQL_IN);
    assert_true(second->next->literals->next->number == 2);
    assert_int_equal(node->first->next->operator, SOQL_NOT_EQUAL);
    assert_int_equal(node->first->next->literals->kind, SOQL_NULL);
}

static void literals_are_told_apart(void **state)
{
    const struct soql_literal *literal =
        parse(state, "SELECT Id FROM A WHERE B IN ('it\\'s', -1.5e2, TRUE, null, 2026-01-31, "
                     "2026-01-31T10:20:30+01:00, TODAY, LAST_N_DAYS:7)")
            ->where->literals;
    static const enum soql_literal_kind kinds[] = {SOQL_STRING, SOQL_NUMBER, SOQL_BOOLEAN,
                                                   SOQL_NULL,   SOQL_DATE,   SOQL_DATETIME,
                                                   SOQL_RANGE,  SOQL_RANGE};

    assert_string_equal(literal->text, "it's");
    assert_true(literal->next->number == -150);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++, literal = literal->next) {
        assert_int_equal(literal->kind, kinds[i]);
        if (literal->next == NULL)
            assert_true(literal->number == 7);
    }
    assert_null(literal);
}

static void groups_have_functions_and_conditions_of_their_own(void **state)
{
    const struct soql_query *query =
        parse(state, "SELECT Name, FORMAT(SUM(N)) s FROM A USING SCOPE mine WHERE "
                     "HOUR_IN_DAY(convertTimezone(T)) = 1 WITH SECURITY_ENFORCED "
                     "GROUP BY ROLLUP(Name, DAY_ONLY(T)) HAVING COUNT(Id) > 1 "
                     "ORDER BY COUNT(Id) FOR VIEW FOR REFERENCE");

    assert_string_equal(query->items->next->function, "SUM");
    assert_string_equal(query->items->next->path.names[0], "N");
    assert_string_equal(query->items->next->alias, "s");
    assert_string_equal(query->where->function, "HOUR_IN_DAY");
    assert_string_equal(query->where->path.names[0], "T");
    assert_int_equal(query->grouping, SOQL_ROLLUP);
    assert_null(query->groups->function);
    assert_string_equal(query->groups->next->function, "DAY_ONLY");
    assert_string_equal(query->having->function, "COUNT");
    assert_string_equal(query->orders->function, "COUNT");
}

static void type_of_has_choices(void **state)
{
    const struct soql_item *item =
        parse(state, "SELECT TYPEOF What WHEN A THEN X, Y ELSE Z END, Id FROM T")->items;

    assert_int_equal(item->kind, SOQL_TYPE_OF);
    assert_string_equal(item->path.names[0], "What");
    assert_string_equal(item->choices->type, "A");
    assert_string_equal(item->choices->items->next->path.names[0], "Y");
    assert_null(item->choices->next->type);
    assert_string_equal(item->choices->next->items->path.names[0], "Z");
    assert_string_equal(item->next->path.names[0], "Id");
    /* It is a name where nothing of the kind follows. */
    assert_int_equal(parse(state, "SELECT TYPEOF FROM T")->items->kind, SOQL_FIELD);
}

static void a_mistake_is_shown_at_its_place(void **state)
{
    assert_string_equal(refusal(state, "SELECT Id\nFROM A WHERE = 1"),
                        "\nFROM A WHERE = 1\n             ^\nERROR at Row:2:Column:14\n"
                        "unexpected token: '='");
    assert_refused_with(state, " \n", "cannot be empty or null");
    assert_refused_with(state, "SELECT FROM A", "unexpected token");
    assert_refused_with(state, "SELECT Id FROM A WHERE B = 1 OR C = 2 AND D = 3", "'AND'");
    assert_refused_with(state, "SELECT Id FROM A WHERE B = 'x", "unexpected token");
    assert_refused_with(state, "SELECT Id FROM A WHERE B = 'x\\q'", "unexpected token");
    assert_refused_with(state, "SELECT A.B.C.D.E.F.G FROM A", "unexpected token");
    assert_refused_with(state, "SELECT Id FROM A LIMIT 1.5", "unexpected token: '1.5'");
    assert_refused_with(state, "SELECT Id FROM A LIMIT 1 2", "unexpected token: '2'");
    assert_refused_with(state, "SELECT Id FROM A;", "unexpected token: ';'");
    assert_refused_with(state, "SELECT TYPEOF W END FROM A", "unexpected token: 'END'");
    assert_refused_with(state, "SELECT SUM(AVG(N)) FROM A", "unexpected token: ')'");
    assert_refused_with(state, "SELECT Id FROM A ORDER BY DISTANCE(B, C, 'mi')", "DISTANCE");
    assert_refused_with(state, "SELECT Id FROM A GROUP BY CUBE(B", "unexpected token");
}

/* Deep or long statements are refused, not recursed into. */
static void size_and_depth_are_bounded(void **state)
{
    struct buf text BUF_AUTO = {0};

    buf_init(&text, 2 * SOQL_MAX_CHARACTERS);
    buf_text(&text, "SELECT Id FROM A WHERE ");
    for (int i = 0; i < SOQL_MAX_CHARACTERS / 2; i++)
        buf_text(&text, "(");
    assert_refused_with(state, text.data, "unexpected token: '('");
    buf_clear(&text);
    buf_text(&text, "SELECT Id FROM A WHERE ");
    for (int i = 0; i < SOQL_MAX_CHARACTERS / 5; i++)
        buf_text(&text, "NOT ");
    assert_refused_with(state, text.data, "unexpected token");
    for (int i = 0; i < SOQL_MAX_CHARACTERS / 5; i++)
        buf_text(&text, " ");
    buf_text(&text, "x");
    assert_refused_with(state, text.data, "cannot be longer than 100000 characters");
}

static void assert_days(const char *word, int64_t number, const char *start, const char *end)
{
    struct soql_range range;
    int64_t now_s = 0;

    /* A Wednesday. */
    assert_true(times_parse_datetime("2024-02-28T12:34:56Z", false, &now_s));
    assert_true(soql_dates_find(word, number, now_s, &range));
    assert_string_equal(times_format_date(range.start_s).text, start);
    assert_string_equal(times_format_date(range.end_s).text, end);
}

static void date_words_stand_for_days(void **state)
{
    struct soql_range range;

    (void)state;
    assert_days("TODAY", 0, "2024-02-28", "2024-02-29");
    assert_days("tomorrow", 0, "2024-02-29", "2024-03-01");
    assert_days("THIS_WEEK", 0, "2024-02-25", "2024-03-03");
    assert_days("LAST_MONTH", 0, "2024-01-01", "2024-02-01");
    assert_days("NEXT_QUARTER", 0, "2024-04-01", "2024-07-01");
    assert_days("THIS_YEAR", 0, "2024-01-01", "2025-01-01");
    assert_days("LAST_N_DAYS", 7, "2024-02-21", "2024-02-29");
    assert_days("NEXT_N_DAYS", 2, "2024-02-29", "2024-03-02");
    assert_days("LAST_N_MONTHS", 2, "2023-12-01", "2024-02-01");
    assert_days("N_DAYS_AGO", 1, "2024-02-27", "2024-02-28");
    assert_false(soql_dates_find("SOMEDAY", 0, 0, &range));
    assert_false(soql_dates_find("LAST_N_DAYS", -1, 0, &range));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_clause_finds_its_place, new_arena, free_arena),
        cmocka_unit_test_setup_teardown(conditions_nest_as_they_are_written, new_arena, free_arena),
        cmocka_unit_test_setup_teardown(literals_are_told_apart, new_arena, free_arena),
        cmocka_unit_test_setup_teardown(groups_have_functions_and_conditions_of_their_own,
                                        new_arena, free_arena),
        cmocka_unit_test_setup_teardown(type_of_has_choices, new_arena, free_arena),
        cmocka_unit_test_setup_teardown(a_mistake_is_shown_at_its_place, new_arena, free_arena),
        cmocka_unit_test_setup_teardown(size_and_depth_are_bounded, new_arena, free_arena),
        cmocka_unit_test(date_words_stand_for_days),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
