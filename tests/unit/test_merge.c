/* sync/merge: how two edits of a field meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sync/merge.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* "" or NULL stands for an unknown value, "-" for NULL. */
static struct value value_of(const char *text)
{
    if (text == NULL || text[0] == 0)
        return (struct value){.kind = VALUE_ABSENT};
    if (strcmp(text, "-") == 0)
        return (struct value){.kind = VALUE_NULL};
    return (struct value){.kind = VALUE_TEXT, .text = text, .size_bytes = strlen(text)};
}

struct merge_test {
    const char *base;
    const char *ours;
    const char *theirs;
    const char *in_flight;
    enum merge_case what;
    bool takes_theirs;
    bool sends_ours;
    bool moves_base;
};

static const struct merge_test merge_tests[] = {
    {"b", "b", "b", "", MERGE_QUIET, false, false, false},
    {"b", "p", "b", "", MERGE_OUR_CHANGE, false, true, false},
    {"b", "-", "b", "", MERGE_OUR_CHANGE, false, true, false},
    {"-", "-", "-", "", MERGE_QUIET, false, false, false},
    {"b", "b", "s", "", MERGE_THEIR_CHANGE, true, false, true},
    {"b", "b", "-", "", MERGE_THEIR_CHANGE, true, false, true},
    {"b", "x", "x", "", MERGE_SAME_CHANGE, false, false, true},
    {"b", "p", "f", "f", MERGE_OWN_WRITE, false, true, true},
    {"b", "f", "f", "f", MERGE_OWN_WRITE, false, false, true},
    {"b", "b", "f", "f", MERGE_OWN_WRITE, false, true, true},
    {"b", "p", "b", "p", MERGE_OUR_CHANGE, false, true, false},
    {"", "x", "x", "", MERGE_FIRST_EQUAL, false, false, true},
    {"", "p", "f", "f", MERGE_OWN_WRITE, false, true, true},
    {"b", "p", "", "", MERGE_UNKNOWN, false, false, false},
    {"b", "", "s", "", MERGE_UNKNOWN, false, false, false},
};

static struct merge_result merge(const struct merge_test *test, const struct merge_rules *rules,
                                 bool is_queued)
{
    const struct value in_flight = value_of(test->in_flight);
    const struct merge_field field = {
        .base = value_of(test->base),
        .ours = value_of(test->ours),
        .theirs = value_of(test->theirs),
        .in_flight = &in_flight,
        .in_flight_count = 1,
        .is_queued = is_queued,
    };

    return merge_field(&field, rules);
}

static void without_a_conflict_the_policy_does_not_matter(void **state)
{
    (void)state;
    for (int policy = MERGE_LAST_WRITER; policy <= MERGE_SALESFORCE; policy++) {
        const struct merge_rules rules = {.policy = (enum merge_policy)policy};

        for (size_t i = 0; i < COUNT(merge_tests); i++) {
            struct merge_result result = merge(&merge_tests[i], &rules, false);
            assert_int_equal(result.what, merge_tests[i].what);
            assert_int_equal(result.takes_theirs, merge_tests[i].takes_theirs);
            assert_int_equal(result.sends_ours, merge_tests[i].sends_ours);
            assert_int_equal(result.moves_base, merge_tests[i].moves_base);
            assert_int_equal(result.winner, MERGE_NOBODY);
            assert_int_equal(result.loser.kind, VALUE_ABSENT);
            assert_false(merge(&merge_tests[i], &rules, true).sends_ours);
        }
    }
}

static void the_loser_of_a_conflict_is_named_for_the_ledger(void **state)
{
    static const struct merge_test conflict = {.base = "b", .ours = "p", .theirs = "s"};
    static const struct merge_test first = {.base = "", .ours = "p", .theirs = "s"};
    const struct merge_rules postgres = {.policy = MERGE_POSTGRES};
    const struct merge_rules salesforce = {.policy = MERGE_SALESFORCE};
    const struct value ours = value_of("p");
    const struct value theirs = value_of("s");

    (void)state;
    struct merge_result result = merge(&conflict, &postgres, false);
    assert_int_equal(result.what, MERGE_CONFLICT);
    assert_int_equal(result.winner, MERGE_OURS);
    assert_true(merge_equal(&result.loser, &theirs));
    assert_true(result.sends_ours && result.moves_base && !result.takes_theirs);
    assert_false(merge(&conflict, &postgres, true).sends_ours);

    result = merge(&conflict, &salesforce, false);
    assert_int_equal(result.winner, MERGE_THEIRS);
    assert_true(merge_equal(&result.loser, &ours));
    assert_true(!result.sends_ours && result.moves_base && result.takes_theirs);

    result = merge(&first, &salesforce, false);
    assert_int_equal(result.what, MERGE_FIRST_UNEQUAL);
    assert_true(merge_equal(&result.loser, &ours));
}

static void the_later_writer_wins_unless_the_clocks_cannot_tell(void **state)
{
    static const struct {
        int64_t lead_us;
        enum merge_policy tie;
        enum merge_side winner;
    } cases[] = {
        {3000001, MERGE_SALESFORCE, MERGE_OURS}, {3000000, MERGE_SALESFORCE, MERGE_THEIRS},
        {3000000, MERGE_POSTGRES, MERGE_OURS},   {0, MERGE_POSTGRES, MERGE_OURS},
        {-3000000, MERGE_POSTGRES, MERGE_OURS},  {-3000001, MERGE_POSTGRES, MERGE_THEIRS},
        {0, MERGE_LAST_WRITER, MERGE_THEIRS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct merge_rules rules = {.policy = MERGE_LAST_WRITER,
                                          .tie = cases[i].tie,
                                          .ours_time_us = 100000000 + cases[i].lead_us,
                                          .theirs_time_us = 100000000,
                                          .clock_skew_us = 2000000};
        assert_int_equal(merge_winner(&rules), cases[i].winner);
    }
}

static void a_write_under_way_is_enough_only_while_theirs_is_still_the_base(void **state)
{
    const struct merge_rules rules = {.policy = MERGE_POSTGRES};
    struct merge_field field = {.base = value_of("b"),
                                .ours = value_of("p"),
                                .theirs = value_of("b"),
                                .is_under_way = true};

    (void)state;
    assert_false(merge_field(&field, &rules).sends_ours);
    field.theirs = value_of("s");
    assert_true(merge_field(&field, &rules).sends_ours);
}

static void unknown_values_equal_nothing(void **state)
{
    const struct value omitted = {.kind = VALUE_OMITTED, .size_bytes = 5};
    const struct value unchanged = {.kind = VALUE_UNCHANGED};
    const struct value absent = {.kind = VALUE_ABSENT};
    const struct value null = {.kind = VALUE_NULL};
    const struct value empty = {.kind = VALUE_TEXT, .text = NULL, .size_bytes = 0};
    const struct value text = value_of("ab");
    const struct value longer = value_of("abc");

    (void)state;
    assert_false(merge_equal(&omitted, &omitted));
    assert_false(merge_equal(&unchanged, &unchanged));
    assert_false(merge_equal(&absent, &absent));
    assert_true(merge_equal(&null, &null));
    assert_false(merge_equal(&null, &empty));
    assert_true(merge_equal(&empty, &empty));
    assert_false(merge_equal(&text, &longer));
}

static void a_reading_older_than_the_base_is_not_merged(void **state)
{
    (void)state;
    assert_false(merge_is_stale(10, 0));
    assert_false(merge_is_stale(10, 9));
    assert_true(merge_is_stale(10, 10));
    assert_true(merge_is_stale(10, 11));
}

static void a_delivery_does_not_put_the_base_back(void **state)
{
    const struct value before = value_of("b");
    const struct value moved = value_of("s");
    const struct value unknown = value_of("");

    (void)state;
    assert_true(merge_delivery_moves_base(&before, &before));
    assert_false(merge_delivery_moves_base(&before, &moved));
    assert_true(merge_delivery_moves_base(&unknown, &unknown));
    assert_false(merge_delivery_moves_base(&unknown, &moved));
}

static void an_echo_is_what_we_wrote_and_the_rest_is_a_users_triggers(void **state)
{
    const struct value written[] = {value_of("a"), value_of("-"), value_of("c")};
    struct value row[] = {value_of("a"), value_of("-"), {.kind = VALUE_UNCHANGED}};
    size_t differing[3] = {0};

    (void)state;
    assert_true(merge_is_echo(written, row, 3));
    row[1] = value_of("x");
    assert_false(merge_is_echo(written, row, 3));
    assert_int_equal(merge_differing(written, row, 3, differing), 1);
    assert_int_equal(differing[0], 1);
    assert_true(merge_is_echo(written, row, 0));
}

static void deleting_wins_unless_the_mapping_says_otherwise(void **state)
{
    (void)state;
    assert_int_equal(merge_deleted(false, true), MERGE_DELETE_QUIET);
    assert_int_equal(merge_deleted(true, false), MERGE_DELETE_CONFLICT);
    assert_int_equal(merge_deleted(true, true), MERGE_DELETE_RESTORE);
}

static void policies_are_read_by_the_names_of_the_option(void **state)
{
    enum merge_policy policy = MERGE_LAST_WRITER;

    (void)state;
    for (int i = MERGE_LAST_WRITER; i <= MERGE_SALESFORCE; i++) {
        assert_true(merge_policy_parse(merge_policy_name((enum merge_policy)i), &policy));
        assert_int_equal(policy, i);
    }
    assert_false(merge_policy_parse("latest", &policy));
    assert_string_equal(merge_policy_name((enum merge_policy)9), "");
}

static void what_salesforce_kept_when_it_refused_ours_is_no_change_of_its_own(void **state)
{
    const struct value befores[] = {merge_value("2"), merge_value(NULL)};
    const struct value theirs = merge_value(NULL);
    const struct value other = merge_value("1");
    const struct value unknown = {.kind = VALUE_ABSENT};

    (void)state;
    assert_true(merge_is_left(&theirs, befores, 2));
    assert_false(merge_is_left(&theirs, befores, 1));
    assert_false(merge_is_left(&other, befores, 2));
    assert_false(merge_is_left(&unknown, &unknown, 1));
    assert_string_equal(merge_text(&other), "1");
    assert_null(merge_text(&theirs));
}

static void what_another_is_changing_is_written_on_a_condition(void **state)
{
    static const struct {
        struct merge_sight sight;
        enum merge_care care;
    } tests[] = {
        {{.changed_s = 1000, .looked_s = 1000}, MERGE_WAIT_SECOND},
        {{.changed_s = 1001, .looked_s = 1000}, MERGE_WAIT_SECOND},
        {{.changed_s = 1000, .looked_s = 1001}, MERGE_CONDITION},
        {{.changed_s = 1000, .looked_s = 1299}, MERGE_CONDITION},
        {{.changed_s = 1000, .looked_s = 1300}, MERGE_CARELESS},
        {{.changed_s = 1000, .looked_s = 1300, .was_in_doubt = true}, MERGE_CONDITION},
        {{.changed_s = 1000, .looked_s = 1000, .is_by_us = true}, MERGE_CARELESS},
        {{.changed_s = 1000, .looked_s = 1001, .is_by_us = true, .was_in_doubt = true},
         MERGE_CONDITION},
        {{.changed_s = 1000, .looked_s = 1001, .attempt = MERGE_CONDITIONS_MAX}, MERGE_CARELESS},
        {{.changed_s = 1000}, MERGE_CARELESS},
        {{.looked_s = 1000}, MERGE_CARELESS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(tests); i++)
        assert_int_equal(merge_choose_care(&tests[i].sight), tests[i].care);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_another_is_changing_is_written_on_a_condition),
        cmocka_unit_test(what_salesforce_kept_when_it_refused_ours_is_no_change_of_its_own),
        cmocka_unit_test(without_a_conflict_the_policy_does_not_matter),
        cmocka_unit_test(the_loser_of_a_conflict_is_named_for_the_ledger),
        cmocka_unit_test(the_later_writer_wins_unless_the_clocks_cannot_tell),
        cmocka_unit_test(a_write_under_way_is_enough_only_while_theirs_is_still_the_base),
        cmocka_unit_test(unknown_values_equal_nothing),
        cmocka_unit_test(a_reading_older_than_the_base_is_not_merged),
        cmocka_unit_test(a_delivery_does_not_put_the_base_back),
        cmocka_unit_test(an_echo_is_what_we_wrote_and_the_rest_is_a_users_triggers),
        cmocka_unit_test(deleting_wins_unless_the_mapping_says_otherwise),
        cmocka_unit_test(policies_are_read_by_the_names_of_the_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
