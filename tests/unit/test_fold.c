/* sync/fold: which of a record's entries go in one request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sync/fold.h"

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

static void what_waits_of_a_record_goes_with_its_first_entry(void **state)
{
    const struct order_entry entries[] = {
        {.record_id = 1, .action = DELIVERY_INSERT}, {.record_id = 2, .action = DELIVERY_UPDATE},
        {.record_id = 1, .action = DELIVERY_UPDATE}, {.record_id = 1, .action = DELIVERY_UPDATE},
        {.record_id = 2, .action = DELIVERY_UPDATE},
    };
    const struct fold *folds = fold_merged(entries, 5, *state);

    assert_int_equal(folds[0].fate, FOLD_ALONE);
    assert_int_equal(folds[0].next, 3);
    assert_int_equal(folds[2].fate, FOLD_INTO);
    assert_int_equal(folds[2].carrier, 0);
    assert_int_equal(folds[2].next, 4);
    assert_int_equal(folds[3].next, 0);
    assert_int_equal(folds[1].next, 5);
    assert_int_equal(folds[4].carrier, 1);
}

static void records_of_different_mappings_are_different(void **state)
{
    const struct order_entry entries[] = {
        {.record_id = 1, .action = DELIVERY_UPDATE},
        {.mapping = 1, .record_id = 1, .action = DELIVERY_UPDATE},
    };
    const struct fold *folds = fold_merged(entries, 2, *state);

    assert_int_equal(folds[1].fate, FOLD_ALONE);
}

static void a_row_made_and_deleted_unsent_is_not_sent(void **state)
{
    const struct order_entry entries[] = {
        {.record_id = 1, .action = DELIVERY_INSERT},
        {.record_id = 1, .action = DELIVERY_UPDATE},
        {.record_id = 1, .action = DELIVERY_DELETE},
        {.record_id = 1, .action = DELIVERY_INSERT},
    };
    const struct fold *folds = fold_merged(entries, 4, *state);

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(folds[i].fate, FOLD_OVER);
    assert_int_equal(folds[3].fate, FOLD_ALONE);
}

static void a_delete_of_a_sent_record_goes_alone_and_ends_its_updates(void **state)
{
    const struct order_entry entries[] = {
        {.record_id = 1, .action = DELIVERY_UPDATE, .is_bound = true},
        {.record_id = 1, .action = DELIVERY_UPDATE, .is_bound = true},
        {.record_id = 1, .action = DELIVERY_DELETE, .is_bound = true},
    };
    const struct fold *folds = fold_merged(entries, 3, *state);

    assert_int_equal(folds[0].fate, FOLD_OVER);
    assert_int_equal(folds[1].fate, FOLD_OVER);
    assert_int_equal(folds[2].fate, FOLD_ALONE);
}

/* What may have been executed, or waits for its time, is repeated as it is. */
static void nothing_goes_with_or_across_an_entry_that_was_sent(void **state)
{
    struct order_entry entries[] = {
        {.record_id = 1, .action = DELIVERY_INSERT},
        {.record_id = 1, .action = DELIVERY_UPDATE},
        {.record_id = 1, .action = DELIVERY_DELETE},
    };

    for (int kind = 0; kind < 3; kind++) {
        entries[0].was_sent = kind == 0;
        entries[0].is_held = kind == 1;
        entries[0].state = kind == 2 ? DELIVERY_PENDING : DELIVERY_NEW;
        const struct fold *folds = fold_merged(entries, 3, *state);
        assert_int_equal(folds[0].fate, FOLD_ALONE);
        assert_int_equal(folds[0].next, 0);
        assert_int_equal(folds[1].fate, FOLD_OVER);
        assert_int_equal(folds[2].fate, FOLD_ALONE);
    }
}

static void a_change_takes_a_refused_insert_with_it(void **state)
{
    struct order_entry entries[] = {
        {.record_id = 1, .action = DELIVERY_INSERT, .state = DELIVERY_FAILED},
        {.record_id = 1, .action = DELIVERY_UPDATE},
        {.record_id = 1, .action = DELIVERY_UPDATE},
    };
    const struct fold *folds = fold_merged(entries, 3, *state);

    assert_true(folds[0].is_revived);
    assert_int_equal(folds[1].carrier, 0);
    assert_int_equal(folds[2].carrier, 0);
    for (size_t i = 0; i < 3; i++)
        entries[i].is_bound = true;
    folds = fold_merged(entries, 3, *state);
    assert_false(folds[0].is_revived);
    assert_int_equal(folds[2].carrier, 1);
}

/* Any log: an entry is carried by an earlier one of its own record, and by one only. */
static void any_log_is_folded_into_chains_of_one_record(void **state)
{
    struct order_entry entries[60];

    srand48(7);
    for (int round = 0; round < 2000; round++) {
        int seen[60] = {0};

        for (size_t i = 0; i < 60; i++)
            entries[i] = (struct order_entry){
                .record_id = (int32_t)(drand48() * 5) + 1,
                .action = (enum delivery_action)(drand48() * 3),
                .state = drand48() < 0.8 ? DELIVERY_NEW : DELIVERY_FAILED,
                .was_sent = drand48() < 0.1,
            };
        const struct fold *folds = fold_merged(entries, 60, *state);
        for (size_t i = 0; i < 60; i++) {
            if (folds[i].fate == FOLD_INTO)
                assert_true(folds[i].carrier < i && folds[folds[i].carrier].fate == FOLD_ALONE);
            if (folds[i].fate == FOLD_ALONE)
                for (size_t at = folds[i].next; at != 0; at = folds[at - 1].next) {
                    assert_int_equal(folds[at - 1].carrier, i);
                    assert_int_equal(entries[at - 1].record_id, entries[i].record_id);
                    assert_int_equal(seen[at - 1]++, 0);
                }
        }
        arena_reset(*state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_of_a_record_goes_with_its_first_entry),
        cmocka_unit_test(records_of_different_mappings_are_different),
        cmocka_unit_test(a_row_made_and_deleted_unsent_is_not_sent),
        cmocka_unit_test(a_delete_of_a_sent_record_goes_alone_and_ends_its_updates),
        cmocka_unit_test(nothing_goes_with_or_across_an_entry_that_was_sent),
        cmocka_unit_test(a_change_takes_a_refused_insert_with_it),
        cmocka_unit_test(any_log_is_folded_into_chains_of_one_record),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
