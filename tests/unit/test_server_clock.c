/* pg/server_clock: whether the server's clock has been set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg/server_clock.h"

static const int64_t SECOND = 1000;
static const int64_t MINUTE = 60 * 1000;
static const int64_t HOUR = 3600 * 1000;
static const int64_t YEAR = INT64_C(365) * 24 * 3600 * 1000;
static const int64_t NOON = INT64_C(1795262400000); /* 2026-11-21 12:00:00 UTC */

static void a_clock_that_goes_evenly_was_never_set(void **state)
{
    struct server_clock clock = {0};

    (void)state;
    assert_int_equal(server_clock_note(&clock, NOON, 7), INT64_MAX);
    assert_int_equal(server_clock_note(&clock, NOON + HOUR, 7 + HOUR), INT64_MAX);
    /* Slewed, or the look took its time. */
    assert_int_equal(server_clock_note(&clock, NOON + HOUR + 3 * SECOND, 7 + HOUR), INT64_MAX);
    assert_int_equal(server_clock_note(&clock, NOON + HOUR + 6 * SECOND, 7 + HOUR), INT64_MAX);
}

static void time_counts_from_the_last_step_either_way(void **state)
{
    static const int64_t steps[] = {HOUR, -HOUR, YEAR, -YEAR, 10 * SECOND};

    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct server_clock clock = {0};

        server_clock_note(&clock, NOON, 0);
        assert_int_equal(server_clock_note(&clock, NOON + MINUTE + steps[i], MINUTE), 0);
        assert_int_equal(server_clock_note(&clock, NOON + 3 * MINUTE + steps[i], 3 * MINUTE),
                         2 * MINUTE);
        /* Put right again: that is a step, too. */
        assert_int_equal(server_clock_note(&clock, NOON + 4 * MINUTE, 4 * MINUTE), 0);
        assert_int_equal(server_clock_note(&clock, NOON + 5 * MINUTE, 5 * MINUTE), MINUTE);
    }
}

static void a_clock_found_far_from_where_it_was_left_is_doubted(void **state)
{
    static const struct {
        int64_t before_ms;
        int64_t steady_ms;
    } cases[] = {
        {NOON - MINUTE, INT64_MAX}, {NOON - HOUR, INT64_MAX}, {NOON - HOUR - 1, MINUTE},
        {NOON - YEAR, MINUTE},      {NOON + YEAR, MINUTE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct server_clock clock = {0};

        server_clock_note(&clock, NOON, 5);
        server_clock_doubt(&clock, cases[i].before_ms, HOUR);
        assert_int_equal(server_clock_note(&clock, NOON + MINUTE, 5 + MINUTE), cases[i].steady_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_goes_evenly_was_never_set),
        cmocka_unit_test(time_counts_from_the_last_step_either_way),
        cmocka_unit_test(a_clock_found_far_from_where_it_was_left_is_doubted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
