/* sync/order: what to send next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/order.h"

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

static void assert_batch(const struct order_batch *batch, enum delivery_action action, size_t count,
                         const size_t *entries)
{
    assert_int_equal(batch->action, action);
    assert_int_equal(batch->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(batch->entries[i], entries[i]);
}

static void an_empty_log_sends_nothing(void **state)
{
    struct order_plan plan = order_next_round(NULL, 0, 0, *state);

    assert_int_equal(plan.batch_count, 0);
    assert_int_equal(plan.refusal_count, 0);
    assert_int_equal(plan.waiting_count, 0);
}

static void a_batch_is_one_action_on_one_object_up_to_its_size(void **state)
{
    static struct order_entry entries[450];

    for (size_t i = 0; i < 450; i++)
        entries[i] = (struct order_entry){.log_id = (int64_t)i,
                                          .mapping = i % 3 == 0,
                                          .record_id = (int32_t)i + 1,
                                          .action = DELIVERY_UPDATE};
    struct order_plan plan = order_next_round(entries, 450, 0, *state);
    assert_int_equal(plan.batch_count, 3);
    assert_int_equal(plan.batches[0].count, 200);
    assert_int_equal(plan.batches[1].count, 100);
    assert_int_equal(plan.batches[2].count, 150);
    for (size_t i = 0; i < plan.batch_count; i++)
        for (size_t j = 0; j < plan.batches[i].count; j++)
            assert_int_equal(entries[plan.batches[i].entries[j]].mapping, plan.batches[i].mapping);
}

static void a_record_changes_once_a_round_and_in_log_order(void **state)
{
    const struct order_entry entries[] = {
        {.record_id = 1, .action = DELIVERY_INSERT},
        {.record_id = 1, .action = DELIVERY_UPDATE},
        {.record_id = 2, .action = DELIVERY_UPDATE},
        {.record_id = 1, .action = DELIVERY_DELETE},
    };
    struct order_plan plan = order_next_round(entries, 4, 0, *state);

    assert_int_equal(plan.batch_count, 2);
    assert_batch(&plan.batches[0], DELIVERY_INSERT, 1, (size_t[]){0});
    assert_batch(&plan.batches[1], DELIVERY_UPDATE, 1, (size_t[]){2});
    assert_int_equal(plan.waiting_count, 2);
}

static void an_entry_in_doubt_or_backing_off_holds_its_record_and_no_other(void **state)
{
    const struct order_entry entries[] = {
        {.record_id = 1, .action = DELIVERY_UPDATE, .state = DELIVERY_PENDING},
        {.record_id = 1, .action = DELIVERY_UPDATE},
        {.record_id = 2, .action = DELIVERY_UPDATE, .is_held = true},
        {.record_id = 2, .action = DELIVERY_UPDATE},
        {.record_id = 3, .action = DELIVERY_UPDATE},
        {.record_id = 1, .mapping = 7, .action = DELIVERY_UPDATE},
        {.record_id = 3, .action = DELIVERY_UPDATE, .state = DELIVERY_SUCCESS},
    };
    struct order_plan plan = order_next_round(entries, 7, 0, *state);

    assert_int_equal(plan.batch_count, 2);
    assert_batch(&plan.batches[0], DELIVERY_UPDATE, 1, (size_t[]){4});
    assert_batch(&plan.batches[1], DELIVERY_UPDATE, 1, (size_t[]){5});
    assert_int_equal(plan.waiting_count, 3);
}

static void a_key_used_again_waits_for_the_record_that_had_it(void **state)
{
    const struct order_entry entries[] = {
        {.record_id = 1, .key_hash = 99, .action = DELIVERY_DELETE},
        {.record_id = 2, .key_hash = 99, .action = DELIVERY_INSERT},
        {.record_id = 3, .key_hash = 98, .action = DELIVERY_INSERT},
    };
    struct order_plan plan = order_next_round(entries, 3, 0, *state);

    assert_int_equal(plan.batch_count, 2);
    assert_batch(&plan.batches[0], DELIVERY_INSERT, 1, (size_t[]){2});
    assert_batch(&plan.batches[1], DELIVERY_DELETE, 1, (size_t[]){0});
}

static void a_key_that_an_update_sets_free_is_used_again_after_it(void **state)
{
    const uint64_t freed[] = {98, 99, 98};
    struct order_entry entries[] = {
        {.record_id = 1,
         .key_hash = 97,
         .freed_keys = freed,
         .freed_key_count = 3,
         .action = DELIVERY_UPDATE},
        {.record_id = 2, .key_hash = 99, .action = DELIVERY_INSERT},
        {.record_id = 3, .key_hash = 98, .action = DELIVERY_UPDATE},
        {.record_id = 4, .key_hash = 96, .action = DELIVERY_INSERT},
    };
    struct order_plan plan = order_next_round(entries, 4, 0, *state);

    assert_int_equal(plan.batch_count, 2);
    assert_batch(&plan.batches[0], DELIVERY_INSERT, 1, (size_t[]){3});
    assert_batch(&plan.batches[1], DELIVERY_UPDATE, 1, (size_t[]){0});
    entries[0].state = DELIVERY_PENDING;
    assert_int_equal(order_next_round(entries, 4, 0, *state).batch_count, 1);
    entries[0].state = DELIVERY_SUCCESS;
    assert_int_equal(order_next_round(entries, 4, 0, *state).waiting_count, 0);
}

/* Salesforce decides what becomes of it; here nobody waits for ever. */
static void two_updates_that_change_keys_with_each_other_go_one_after_the_other(void **state)
{
    const uint64_t first = 98;
    const uint64_t second = 99;
    struct order_entry entries[] = {
        {.record_id = 1, .key_hash = 99, .freed_keys = &first, .freed_key_count = 1},
        {.record_id = 2, .key_hash = 98, .freed_keys = &second, .freed_key_count = 1},
    };

    entries[0].action = entries[1].action = DELIVERY_UPDATE;
    struct order_plan plan = order_next_round(entries, 2, 0, *state);
    assert_int_equal(plan.batch_count, 1);
    assert_batch(&plan.batches[0], DELIVERY_UPDATE, 1, (size_t[]){0});
    entries[0].state = DELIVERY_FAILED;
    plan = order_next_round(entries, 2, 0, *state);
    assert_int_equal(plan.batch_count, 1);
    assert_batch(&plan.batches[0], DELIVERY_UPDATE, 1, (size_t[]){1});
}

static void parents_are_inserted_first_and_deleted_last(void **state)
{
    const struct order_entry entries[] = {
        {.mapping = 1, .rank = 5, .record_id = 1, .action = DELIVERY_INSERT},
        {.mapping = 0, .rank = 2, .record_id = 1, .action = DELIVERY_INSERT},
        {.mapping = 0, .rank = 2, .record_id = 2, .action = DELIVERY_DELETE},
        {.mapping = 1, .rank = 5, .record_id = 2, .action = DELIVERY_DELETE},
        {.mapping = 1, .rank = 5, .record_id = 3, .action = DELIVERY_UPDATE},
    };
    struct order_plan plan = order_next_round(entries, 5, 0, *state);

    assert_int_equal(plan.batch_count, 5);
    assert_batch(&plan.batches[0], DELIVERY_INSERT, 1, (size_t[]){1});
    assert_batch(&plan.batches[1], DELIVERY_INSERT, 1, (size_t[]){0});
    assert_batch(&plan.batches[2], DELIVERY_UPDATE, 1, (size_t[]){4});
    assert_batch(&plan.batches[3], DELIVERY_DELETE, 1, (size_t[]){3});
    assert_batch(&plan.batches[4], DELIVERY_DELETE, 1, (size_t[]){2});
}

static void a_child_waits_for_its_new_parent_by_row_or_by_external_id(void **state)
{
    const struct order_reference by_row = {.mapping = 0, .record_id = 10};
    const struct order_reference by_key = {.mapping = 0, .key_hash = 77};
    const struct order_reference elsewhere = {.mapping = 0, .record_id = 11};
    const struct order_entry entries[] = {
        {.mapping = 1, .rank = 1, .record_id = 1, .references = &by_row, .reference_count = 1},
        {.mapping = 0, .record_id = 10, .key_hash = 77},
        {.mapping = 1, .rank = 1, .record_id = 2, .references = &by_key, .reference_count = 1},
        {.mapping = 1, .rank = 1, .record_id = 3, .references = &elsewhere, .reference_count = 1},
        {.mapping = 1,
         .rank = 1,
         .record_id = 4,
         .action = DELIVERY_UPDATE,
         .references = &by_row,
         .reference_count = 1},
    };
    struct order_plan plan = order_next_round(entries, 5, 0, *state);

    assert_int_equal(plan.batch_count, 2);
    assert_batch(&plan.batches[0], DELIVERY_INSERT, 1, (size_t[]){1});
    assert_batch(&plan.batches[1], DELIVERY_INSERT, 1, (size_t[]){3});
    assert_int_equal(plan.waiting_count, 3);
}

static void references_in_a_circle_do_not_block_for_ever(void **state)
{
    const struct order_reference to_first = {.record_id = 1};
    const struct order_reference to_second = {.record_id = 2};
    struct order_entry entries[] = {
        {.record_id = 1, .references = &to_second, .reference_count = 1},
        {.record_id = 2, .references = &to_first, .reference_count = 1},
    };
    struct order_plan plan = order_next_round(entries, 2, 0, *state);
    assert_batch(&plan.batches[0], DELIVERY_INSERT, 1, (size_t[]){0});
    assert_int_equal(plan.batch_count, 1);

    /* An update before it, of a record whose turn comes only after: still something goes. */
    const struct order_entry knot[] = {
        {.record_id = 3, .action = DELIVERY_UPDATE, .references = &to_first, .reference_count = 1},
        {.record_id = 3, .action = DELIVERY_DELETE, .key_hash = 5},
        {.record_id = 1, .action = DELIVERY_INSERT, .key_hash = 5},
    };
    plan = order_next_round(knot, 3, 0, *state);
    assert_int_equal(plan.batch_count, 1);
    assert_batch(&plan.batches[0], DELIVERY_UPDATE, 1, (size_t[]){0});
}

static void a_parent_is_not_deleted_before_a_child_is_moved_away(void **state)
{
    const struct order_entry entries[] = {
        {.mapping = 1, .rank = 1, .record_id = 1, .action = DELIVERY_UPDATE},
        {.mapping = 1, .rank = 1, .record_id = 1, .action = DELIVERY_UPDATE},
        {.mapping = 0, .rank = 0, .record_id = 1, .action = DELIVERY_DELETE},
        {.mapping = 2, .rank = 1, .record_id = 1, .action = DELIVERY_DELETE},
    };
    struct order_plan plan = order_next_round(entries, 4, 0, *state);

    assert_int_equal(plan.batch_count, 2);
    assert_batch(&plan.batches[0], DELIVERY_UPDATE, 1, (size_t[]){0});
    assert_batch(&plan.batches[1], DELIVERY_DELETE, 1, (size_t[]){3});
    assert_int_equal(plan.waiting_count, 2);
}

static void what_follows_a_failed_insert_is_settled_with_its_name(void **state)
{
    struct order_entry entries[] = {
        {.record_id = 1, .action = DELIVERY_INSERT, .state = DELIVERY_FAILED},
        {.record_id = 1, .action = DELIVERY_UPDATE},
        {.record_id = 2, .action = DELIVERY_UPDATE, .state = DELIVERY_FAILED},
        {.record_id = 2, .action = DELIVERY_UPDATE},
        {.record_id = 1, .action = DELIVERY_DELETE},
    };
    struct order_plan plan = order_next_round(entries, 5, 0, *state);

    assert_int_equal(plan.refusal_count, 2);
    assert_int_equal(plan.refusals[0].entry, 1);
    assert_int_equal(plan.refusals[0].failed_insert, 0);
    assert_int_equal(plan.refusals[0].state, DELIVERY_FAILED);
    assert_int_equal(plan.refusals[1].entry, 4);
    assert_int_equal(plan.refusals[1].state, DELIVERY_IGNORED);
    assert_int_equal(plan.batch_count, 1);
    assert_batch(&plan.batches[0], DELIVERY_UPDATE, 1, (size_t[]){3});

    entries[1].is_bound = entries[4].is_bound = true;
    assert_int_equal(order_next_round(entries, 5, 0, *state).refusal_count, 0);
    entries[1].is_bound = entries[4].is_bound = false;
    entries[1].action = DELIVERY_INSERT;
    assert_int_equal(order_next_round(entries, 5, 0, *state).refusal_count, 0);
}

/* Rounds of random logs: all goes out, in order, once, and never twice a record in a round. */
static void any_log_is_sent_whole_and_in_order_per_record(void **state)
{
    enum { SIZE = 300, RECORDS = 20 };
    struct order_entry entries[SIZE];
    struct order_reference references[SIZE];
    uint64_t random = 42;

    for (size_t i = 0; i < SIZE; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
        references[i] = (struct order_reference){
            .mapping = (random >> 33) % 3, .record_id = (int32_t)((random >> 36) % RECORDS + 1)};
        entries[i] = (struct order_entry){.mapping = (random >> 40) % 3,
                                          .rank = (random >> 40) % 3,
                                          .record_id = (int32_t)((random >> 45) % RECORDS + 1),
                                          .action = (enum delivery_action)((random >> 50) % 3),
                                          .references = &references[i],
                                          .reference_count = (random >> 55) % 2};
    }
    size_t left = SIZE;
    while (left > 0) {
        size_t last[3][RECORDS + 1] = {{0}};
        struct order_plan plan = order_next_round(entries, SIZE, 7, *state);
        assert_true(plan.batch_count > 0);
        for (size_t i = 0; i < plan.batch_count; i++) {
            assert_in_range(plan.batches[i].count, 1, 7);
            for (size_t j = 0; j < plan.batches[i].count; j++) {
                size_t at = plan.batches[i].entries[j];
                assert_int_equal(last[entries[at].mapping][entries[at].record_id]++, 0);
                for (size_t k = 0; k < at; k++)
                    assert_false(entries[k].state == DELIVERY_NEW &&
                                 entries[k].mapping == entries[at].mapping &&
                                 entries[k].record_id == entries[at].record_id);
            }
        }
        for (size_t i = 0; i < plan.batch_count; i++)
            for (size_t j = 0; j < plan.batches[i].count; j++, left--)
                entries[plan.batches[i].entries[j]].state = DELIVERY_SUCCESS;
        assert_int_equal(plan.waiting_count, left);
        arena_reset(*state);
    }
}

static void a_hash_is_never_the_sign_for_none(void **state)
{
    (void)state;
    assert_true(order_hash("", 0) != 0);
    assert_true(order_hash("a", 1) != order_hash("b", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_log_sends_nothing),
        cmocka_unit_test(a_batch_is_one_action_on_one_object_up_to_its_size),
        cmocka_unit_test(a_record_changes_once_a_round_and_in_log_order),
        cmocka_unit_test(an_entry_in_doubt_or_backing_off_holds_its_record_and_no_other),
        cmocka_unit_test(a_key_used_again_waits_for_the_record_that_had_it),
        cmocka_unit_test(a_key_that_an_update_sets_free_is_used_again_after_it),
        cmocka_unit_test(two_updates_that_change_keys_with_each_other_go_one_after_the_other),
        cmocka_unit_test(parents_are_inserted_first_and_deleted_last),
        cmocka_unit_test(a_child_waits_for_its_new_parent_by_row_or_by_external_id),
        cmocka_unit_test(references_in_a_circle_do_not_block_for_ever),
        cmocka_unit_test(a_parent_is_not_deleted_before_a_child_is_moved_away),
        cmocka_unit_test(what_follows_a_failed_insert_is_settled_with_its_name),
        cmocka_unit_test(any_log_is_sent_whole_and_in_order_per_record),
        cmocka_unit_test(a_hash_is_never_the_sign_for_none),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
