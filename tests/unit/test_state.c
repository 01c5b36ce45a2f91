/* mapping/state: which state may become which, and by whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mapping/state.h"

static const enum state_event last_event = STATE_FAIL;

static bool is_operators(enum state_event event)
{
    return event <= STATE_DELETE;
}

static void nothing_but_an_operator_leads_out_of_aborted(void **context)
{
    (void)context;
    for (enum state_event event = 0; event <= last_event; event++)
        for (size_t i = 0; state_at(i) != NULL && !is_operators(event); i++)
            assert_false(state_may_change(event, "ABORTED", state_at(i)->name));
    assert_true(state_may_change(STATE_RELOAD, "ABORTED", "RELOAD_TABLE"));
    assert_true(state_may_change(STATE_RESUME, "ABORTED", "DATA_SYNCED"));
}

static void every_other_state_can_be_aborted_and_can_fail(void **context)
{
    (void)context;
    for (size_t i = 0; state_at(i) != NULL; i++) {
        const char *name = state_at(i)->name;
        if (strcmp(name, "ABORTED") == 0)
            continue;
        assert_true(state_may_change(STATE_ABORT, name, "ABORTED"));
        if (strcmp(name, "SYSTEM_ERROR") != 0)
            assert_true(state_may_change(STATE_FAIL, name, "SYSTEM_ERROR"));
    }
}

static void only_a_mapping_that_loads_cannot_be_deleted(void **context)
{
    (void)context;
    for (size_t i = 0; state_at(i) != NULL; i++)
        assert_int_equal(state_may_change(STATE_DELETE, state_at(i)->name, ""),
                         !state_is_loading(state_at(i)->name));
}

/* By whatever event. */
static bool may_change(const char *from, const char *to)
{
    for (enum state_event event = 0; event <= last_event; event++)
        if (state_may_change(event, from, to))
            return true;
    return false;
}

/* Every state can be reached from every other. */
static size_t count_reached(const char *from)
{
    bool is_reached[64] = {false};
    size_t count = 0;

    for (size_t round = 0; round < 64; round++)
        for (size_t i = 0; state_at(i) != NULL; i++)
            for (size_t j = 0; state_at(j) != NULL; j++)
                if ((is_reached[i] || strcmp(state_at(i)->name, from) == 0) &&
                    may_change(state_at(i)->name, state_at(j)->name))
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
    assert_int_equal(count, 6);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(count_reached(state_at(i)->name), count);
}

static void a_state_that_is_only_told_leads_nowhere_and_is_known(void **context)
{
    (void)context;
    assert_non_null(state_find("SCHEMA_CHANGED"));
    for (enum state_event event = 0; event <= last_event; event++)
        assert_false(state_may_change(event, "SCHEMA_CHANGED", "DATA_SYNCED"));
    assert_null(state_find("NOWHERE"));
}

static void the_sources_are_the_ways_as_an_array(void **context)
{
    struct arena *arena = arena_new();

    (void)context;
    assert_string_equal(state_sources(STATE_READ, "DATA_SYNCED", arena),
                        "{RELOAD_TABLE,RESYNC,SYSTEM_ERROR}");
    assert_string_equal(state_sources(STATE_READ, "NOWHERE", arena), "{}");
    assert_string_equal(state_sources(STATE_CREATE, "INITIAL", arena), "{}");
    assert_true(state_may_change(STATE_CREATE, "", "INITIAL"));
    assert_false(state_may_change(STATE_ABORT, "NOWHERE", "ABORTED"));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_an_operator_leads_out_of_aborted),
        cmocka_unit_test(every_other_state_can_be_aborted_and_can_fail),
        cmocka_unit_test(only_a_mapping_that_loads_cannot_be_deleted),
        cmocka_unit_test(every_state_leads_to_every_other),
        cmocka_unit_test(a_state_that_is_only_told_leads_nowhere_and_is_known),
        cmocka_unit_test(the_sources_are_the_ways_as_an_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
