/* sync/transport: which way a run of writes goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/transport.h"

static const struct transport_run long_insert = {
    .action = DELIVERY_INSERT, .count = 2000, .threshold = 2000, .has_unique_identifier = true};

static void a_run_long_enough_is_a_job(void **state)
{
    struct transport_run run = long_insert;

    (void)state;
    assert_true(transport_is_bulk(&run));
    run.count = 1999;
    assert_false(transport_is_bulk(&run));
    run.threshold = 0;
    assert_false(transport_is_bulk(&run));
}

static void new_records_need_a_unique_identifier(void **state)
{
    struct transport_run run = long_insert;

    (void)state;
    run.has_unique_identifier = false;
    run.does_postgres_win = true;
    assert_false(transport_is_bulk(&run));
}

static void updates_and_deletes_need_a_policy_that_never_looks(void **state)
{
    struct transport_run run = long_insert;

    (void)state;
    for (int action = DELIVERY_UPDATE; action <= DELIVERY_DELETE; action++) {
        run.action = (enum delivery_action)action;
        run.does_postgres_win = false;
        assert_false(transport_is_bulk(&run));
        run.does_postgres_win = true;
        assert_true(transport_is_bulk(&run));
    }
}

static void merged_writes_and_the_flag_forbid_jobs(void **state)
{
    struct transport_run merged = long_insert;
    struct transport_run disabled = long_insert;

    (void)state;
    merged.is_merged = true;
    disabled.is_disabled = true;
    assert_false(transport_is_bulk(&merged));
    assert_false(transport_is_bulk(&disabled));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_long_enough_is_a_job),
        cmocka_unit_test(new_records_need_a_unique_identifier),
        cmocka_unit_test(updates_and_deletes_need_a_policy_that_never_looks),
        cmocka_unit_test(merged_writes_and_the_flag_forbid_jobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
