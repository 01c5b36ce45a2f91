/* sync/budget: when to slow down, and when to stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/budget.h"

static void an_unknown_allowance_is_free(void **state)
{
    (void)state;
    assert_int_equal(budget_band(1000000, 0), BUDGET_FREE);
    assert_int_equal(budget_pause_ms(1000000, 0), 0);
}

static void the_bands_begin_at_80_and_95_percent(void **state)
{
    (void)state;
    assert_int_equal(budget_band(11999, 15000), BUDGET_FREE);
    assert_int_equal(budget_band(12000, 15000), BUDGET_CAREFUL);
    assert_int_equal(budget_band(14249, 15000), BUDGET_CAREFUL);
    assert_int_equal(budget_band(14250, 15000), BUDGET_RESERVE);
    assert_int_equal(budget_band(20000, 15000), BUDGET_RESERVE);
}

static void pauses_only_grow(void **state)
{
    int64_t before = 0;

    (void)state;
    for (int64_t max = 1; max < 2000; max = max * 3 + 1) {
        before = 0;
        for (int64_t used = 0; used <= max; used++) {
            int64_t pause = budget_pause_ms(used, max);
            assert_true(pause >= before);
            before = pause;
        }
        assert_int_equal(before, 300000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_allowance_is_free),
        cmocka_unit_test(the_bands_begin_at_80_and_95_percent),
        cmocka_unit_test(pauses_only_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
