/* mapping/state: which state may become which, and by whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mapping/state.h"

static void nothing_but_an_operator_leads_out_of_aborted(void **context)
{
    (void)context;
    for (size_t i = 0; state_at(i) != NULL; i++)
        assert_false(state_may_change("ABORTED", state_at(i)->name, STATE_BY_DAEMON));
    assert_true(state_may_change("ABORTED", "RELOAD_TABLE", STATE_BY_OPERATOR));
    assert_true(state_may_change("ABORTED", "DATA_SYNCED", STATE_BY_OPERATOR));
}

static void every_other_state_can_be_aborted_and_can_fail(void **context)
{
    (void)context;
    for (size_t i = 0; state_at(i) != NULL; i++) {
        const char *name = state_at(i)->name;
        if (strcmp(name, "ABORTED") == 0)
            continue;
        assert_true(state_may_change(name, "ABORTED", STATE_BY_OPERATOR));
        assert_true(state_may_change(name, "SYSTEM_ERROR", STATE_BY_DAEMON));
    }
}

static void only_a_mapping_that_loads_cannot_be_deleted(void **context)
{
    (void)context;
    for (size_t i = 0; state_at(i) != NULL; i++)
        assert_int_equal(state_may_change(state_at(i)->name, "", STATE_BY_OPERATOR),
                         !state_is_loading(state_at(i)->name));
}

/* Every state can be reached from INITIAL, and from every state DATA_SYNCED or the end. */
static size_t count_reached(const char *from)
{
    bool is_reached[64] = {false};
    size_t count = 0;

    for (size_t round = 0; round < 64; round++)
        for (size_t i = 0; state_at(i) != NULL; i++)
            for (size_t j = 0; state_at(j) != NULL; j++)
                if ((is_reached[i] || strcmp(state_at(i)->name, from) == 0) &&
                    (state_may_change(state_at(i)->name, state_at(j)->name, STATE_BY_DAEMON) ||
                     state_may_change(state_at(i)->name, state_at(j)->name, STATE_BY_OPERATOR)))
                    is_reached[j] = true;
    for (size_t i = 0; state_at(i) != NULL; i++)
        count += is_reached[i];
    return count;
}

static void every_state_leads_to_every_other(void **context)
{
    size_t count = 0;

    (void)context;
    while (state_at(count) != NULL)
        count++;
    assert_int_equal(count, 13);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(count_reached(state_at(i)->name), count);
}

static void the_sources_are_the_ways_as_an_array(void **context)
{
    struct arena *arena = arena_new();

    (void)context;
    assert_string_equal(state_sources("WAIT_BULK_LOAD", STATE_BY_DAEMON, arena),
                        "{INITIAL,RELOAD_TABLE,WAIT_BULK_LOAD,LOADING_BULK_JOB,RESYNC,"
                        "SYSTEM_ERROR}");
    assert_string_equal(state_sources("NOWHERE", STATE_BY_DAEMON, arena), "{}");
    assert_false(state_may_change("NOWHERE", "ABORTED", STATE_BY_OPERATOR));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_an_operator_leads_out_of_aborted),
        cmocka_unit_test(every_other_state_can_be_aborted_and_can_fail),
        cmocka_unit_test(only_a_mapping_that_loads_cannot_be_deleted),
        cmocka_unit_test(every_state_leads_to_every_other),
        cmocka_unit_test(the_sources_are_the_ways_as_an_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
