/* sync/unit: what goes all or none, in what steps, and what came of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/unit.h"

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

static struct order_entry change(int32_t record_id, enum delivery_action action)
{
    return (struct order_entry){.record_id = record_id, .action = action};
}

static void a_transaction_of_two_entries_is_a_unit_one_of_one_is_not(void **state)
{
    const struct order_entry entries[] = {change(1, DELIVERY_UPDATE), change(2, DELIVERY_UPDATE),
                                          change(3, DELIVERY_UPDATE), change(4, DELIVERY_UPDATE)};
    const uint64_t commits[] = {7, 7, 8, 0};
    const struct unit_log log = {entries, commits, 4, false};
    struct unit_plan plan = unit_choose(&log, *state);

    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.units[0].count, 2);
    assert_true(plan.are_held[0] && plan.are_held[1]);
    assert_false(plan.are_held[2] || plan.are_held[3]);
}

static void a_unit_waits_while_one_of_its_entries_does(void **state)
{
    struct order_entry entries[] = {change(1, DELIVERY_UPDATE), change(2, DELIVERY_UPDATE)};
    const uint64_t commits[] = {7, 7};
    const struct unit_log log = {entries, commits, 2, false};

    entries[1].is_held = true;
    assert_int_equal(unit_choose(&log, *state).count, 0);
    entries[1].is_held = false;
    entries[1].state = DELIVERY_PENDING;
    assert_int_equal(unit_choose(&log, *state).count, 0);
    assert_true(unit_choose(&log, *state).are_held[0]);
}

static void a_unit_that_may_go_on_behind_the_window_waits(void **state)
{
    const struct order_entry entries[] = {change(1, DELIVERY_UPDATE), change(2, DELIVERY_UPDATE)};
    const uint64_t commits[] = {7, 7};
    const struct unit_log log = {entries, commits, 2, true};

    assert_int_equal(unit_choose(&log, *state).count, 0);
}

static void a_unit_waits_behind_an_earlier_change_of_its_record(void **state)
{
    const struct order_entry entries[] = {change(1, DELIVERY_UPDATE), change(1, DELIVERY_UPDATE),
                                          change(2, DELIVERY_UPDATE), change(2, DELIVERY_UPDATE),
                                          change(3, DELIVERY_UPDATE)};
    const uint64_t commits[] = {0, 7, 7, 8, 8};
    const struct unit_log alone = {entries, commits, 5, false};

    assert_int_equal(unit_choose(&alone, *state).count, 0);
    const struct unit_log behind = {entries + 1, commits + 1, 4, false};
    assert_int_equal(unit_choose(&behind, *state).count, 1);
}

static void a_unit_waits_for_the_insert_of_what_it_refers_to(void **state)
{
    const struct order_reference reference = {.mapping = 0, .key_hash = 5};
    struct order_entry entries[] = {change(1, DELIVERY_INSERT), change(2, DELIVERY_INSERT),
                                    change(3, DELIVERY_UPDATE)};
    const uint64_t apart[] = {0, 7, 7};
    const uint64_t together[] = {7, 7, 7};
    const struct unit_log waits = {entries, apart, 3, false};
    const struct unit_log goes = {entries, together, 3, false};

    entries[0].key_hash = 5;
    entries[1].mapping = 1;
    entries[1].references = &reference;
    entries[1].reference_count = 1;
    assert_int_equal(unit_choose(&waits, *state).count, 0);
    assert_int_equal(unit_choose(&goes, *state).count, 1);
}

static void a_failed_insert_condemns_the_unit(void **state)
{
    struct order_entry entries[] = {change(1, DELIVERY_INSERT), change(2, DELIVERY_UPDATE),
                                    change(1, DELIVERY_UPDATE)};
    const uint64_t commits[] = {6, 7, 7};
    const struct unit_log log = {entries, commits, 3, false};

    entries[0].state = DELIVERY_FAILED;
    struct unit_plan plan = unit_choose(&log, *state);
    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.units[0].refused_entry, 3);
    assert_int_equal(plan.units[0].failed_insert, 1);
    entries[2].is_bound = true;
    assert_int_equal(unit_choose(&log, *state).units[0].failed_insert, 0);
}

/* ---- steps ---- */

enum { MANY = 1030 };

static struct order_entry entries_of_many[MANY];
static size_t indexes_of_many[MANY];

static bool pack(size_t count, struct arena *arena, struct unit_steps *steps)
{
    for (size_t i = 0; i < MANY; i++)
        indexes_of_many[i] = i;
    const struct unit unit = {.entries = indexes_of_many, .count = count};
    return unit_pack(entries_of_many, &unit, arena, steps);
}

static void fill_many(enum delivery_action action)
{
    for (size_t i = 0; i < MANY; i++)
        entries_of_many[i] = change((int32_t)i + 1, action);
}

static void few_entries_go_record_by_record_many_by_collections(void **state)
{
    struct unit_steps steps;

    fill_many(DELIVERY_UPDATE);
    assert_true(pack(25, *state, &steps));
    assert_int_equal(steps.count, 25);
    assert_true(pack(26, *state, &steps));
    assert_int_equal(steps.count, 1);
    assert_true(pack(1000, *state, &steps));
    assert_int_equal(steps.count, 5);
    assert_int_equal(steps.items[4].count, 200);
    assert_true(pack(1001, *state, &steps));
    assert_int_equal(steps.count, 6);
    assert_false(pack(1002, *state, &steps));
    assert_false(pack(MANY, *state, &steps));
}

static void parents_are_made_first_and_deleted_last(void **state)
{
    struct unit_steps steps;

    fill_many(DELIVERY_INSERT);
    entries_of_many[0].rank = 1;
    entries_of_many[0].mapping = 1;
    entries_of_many[2] = change(7, DELIVERY_DELETE);
    entries_of_many[3] = change(8, DELIVERY_DELETE);
    entries_of_many[3].rank = 1;
    entries_of_many[3].mapping = 1;
    assert_true(pack(4, *state, &steps));
    assert_int_equal(steps.items[0].entries[0], 1);
    assert_int_equal(steps.items[1].entries[0], 0);
    assert_int_equal(steps.items[2].entries[0], 3);
    assert_int_equal(steps.items[3].entries[0], 2);
}

static void changes_of_one_record_or_key_keep_the_logs_order(void **state)
{
    struct unit_steps steps;

    fill_many(DELIVERY_INSERT);
    entries_of_many[0].action = DELIVERY_DELETE;
    entries_of_many[0].key_hash = 5;
    entries_of_many[1].key_hash = 5;
    assert_true(pack(2, *state, &steps));
    assert_int_equal(steps.items[0].entries[0], 0);
    assert_int_equal(steps.items[1].entries[0], 1);
}

static void records_that_point_to_each_other_do_not_fit(void **state)
{
    static const struct order_reference references[] = {{.key_hash = 1}, {.key_hash = 2}};
    struct unit_steps steps;

    fill_many(DELIVERY_INSERT);
    for (size_t i = 0; i < 2; i++) {
        entries_of_many[i].key_hash = i + 1;
        entries_of_many[i].references = &references[1 - i];
        entries_of_many[i].reference_count = 1;
    }
    assert_false(pack(2, *state, &steps));
    entries_of_many[0].reference_count = 0;
    assert_true(pack(2, *state, &steps));
    /* What refers to a record of its own collection begins another. */
    assert_true(pack(30, *state, &steps));
    assert_int_equal(steps.count, 2);
}

/* ---- outcomes ---- */

static struct unit_part part(enum delivery_action action, enum delivery_state state)
{
    return (struct unit_part){.action = action, .verdict = {.state = state}};
}

static struct unit_part undone(void)
{
    struct unit_part undone = part(DELIVERY_UPDATE, DELIVERY_NEW);

    undone.is_rolled_back = true;
    return undone;
}

static void assert_states(const struct unit_part *parts, size_t count, enum delivery_state state)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(parts[i].verdict.state, state);
}

static void one_refusal_fails_all(void **state)
{
    struct unit_part parts[] = {undone(), part(DELIVERY_UPDATE, DELIVERY_NEW),
                                part(DELIVERY_INSERT, DELIVERY_FAILED)};

    (void)state;
    assert_int_equal(unit_agree(parts, 3), 2);
    assert_states(parts, 3, DELIVERY_FAILED);
}

static void what_passes_is_tried_again_by_all(void **state)
{
    struct unit_part parts[] = {undone(), part(DELIVERY_UPDATE, DELIVERY_NEW)};

    (void)state;
    parts[1].verdict.wait = DELIVERY_WAIT_LONG;
    assert_int_equal(unit_agree(parts, 2), 1);
    assert_states(parts, 2, DELIVERY_NEW);
    assert_int_equal(parts[0].verdict.wait, DELIVERY_WAIT_LONG);
}

static void a_record_deleted_already_is_done_and_the_rest_goes_again(void **state)
{
    struct unit_part parts[] = {undone(), part(DELIVERY_DELETE, DELIVERY_SUCCESS)};

    (void)state;
    unit_agree(parts, 2);
    assert_int_equal(parts[0].verdict.state, DELIVERY_NEW);
    assert_int_equal(parts[1].verdict.state, DELIVERY_SUCCESS);
}

static void our_key_is_taken(void **state)
{
    struct unit_part sent_before[] = {undone(), part(DELIVERY_INSERT, DELIVERY_SUCCESS)};
    struct unit_part never_sent[] = {undone(), part(DELIVERY_INSERT, DELIVERY_PENDING)};

    (void)state;
    unit_agree(sent_before, 2);
    assert_states(sent_before, 2, DELIVERY_PENDING);
    assert_int_equal(sent_before[0].verdict.phase, DELIVERY_IN_DOUBT);
    assert_int_equal(unit_agree(never_sent, 2), 1);
    assert_states(never_sent, 2, DELIVERY_FAILED);
}

static void a_record_that_was_made_proves_that_all_was_done(void **state)
{
    struct unit_part parts[] = {part(DELIVERY_UPDATE, DELIVERY_NEW),
                                part(DELIVERY_INSERT, DELIVERY_SUCCESS),
                                part(DELIVERY_UPDATE, DELIVERY_FAILED)};

    (void)state;
    assert_int_equal(unit_agree_doubts(parts, 3), 1);
    assert_states(parts, 3, DELIVERY_SUCCESS);
}

static void nothing_is_sent_again_while_one_must_wait(void **state)
{
    struct unit_part parts[] = {part(DELIVERY_UPDATE, DELIVERY_NEW),
                                part(DELIVERY_INSERT, DELIVERY_PENDING)};

    (void)state;
    unit_agree_doubts(parts, 2);
    assert_states(parts, 2, DELIVERY_PENDING);
}

static void what_was_not_done_goes_again_whole_but_for_deletions(void **state)
{
    struct unit_part parts[] = {
        part(DELIVERY_INSERT, DELIVERY_NEW), part(DELIVERY_UPDATE, DELIVERY_SUCCESS),
        part(DELIVERY_UPDATE, DELIVERY_FAILED), part(DELIVERY_DELETE, DELIVERY_SUCCESS)};

    (void)state;
    parts[2].is_follower = true;
    unit_agree_doubts(parts, 4);
    assert_states(parts, 3, DELIVERY_NEW);
    assert_int_equal(parts[3].verdict.state, DELIVERY_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_of_two_entries_is_a_unit_one_of_one_is_not),
        cmocka_unit_test(a_unit_waits_while_one_of_its_entries_does),
        cmocka_unit_test(a_unit_that_may_go_on_behind_the_window_waits),
        cmocka_unit_test(a_unit_waits_behind_an_earlier_change_of_its_record),
        cmocka_unit_test(a_unit_waits_for_the_insert_of_what_it_refers_to),
        cmocka_unit_test(a_failed_insert_condemns_the_unit),
        cmocka_unit_test(few_entries_go_record_by_record_many_by_collections),
        cmocka_unit_test(parents_are_made_first_and_deleted_last),
        cmocka_unit_test(changes_of_one_record_or_key_keep_the_logs_order),
        cmocka_unit_test(records_that_point_to_each_other_do_not_fit),
        cmocka_unit_test(one_refusal_fails_all),
        cmocka_unit_test(what_passes_is_tried_again_by_all),
        cmocka_unit_test(a_record_deleted_already_is_done_and_the_rest_goes_again),
        cmocka_unit_test(our_key_is_taken),
        cmocka_unit_test(a_record_that_was_made_proves_that_all_was_done),
        cmocka_unit_test(nothing_is_sent_again_while_one_must_wait),
        cmocka_unit_test(what_was_not_done_goes_again_whole_but_for_deletions),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
