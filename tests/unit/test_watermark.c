/* sync/watermark: where the next poll reads from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/watermark.h"

static const int64_t SECOND = 1000000;
static const int64_t MINUTE = 60 * INT64_C(1000000);
static const int64_t DAY = 24 * 3600 * INT64_C(1000000);
static const int64_t NOON = INT64_C(1795262400000000); /* 2026-11-21 12:00:00 UTC */

static const struct watermark_limits limits = {.lag_us = 300000000, .overlap_us = 60000000};

static void the_window_is_closed_below_and_begins_before_the_mark(void **state)
{
    (void)state;
    assert_int_equal(watermark_window(NOON, &limits).from_us, NOON - MINUTE);
    assert_int_equal(watermark_window(NOON + 999999, &limits).from_us, NOON - MINUTE);
    assert_int_equal(watermark_window(NOON, &limits).to_us, 0);
}

static void the_first_window_is_everything(void **state)
{
    const struct watermark_limits stepped = {.lag_us = 1, .overlap_us = 60000000, .step_us = 1};

    (void)state;
    assert_int_equal(watermark_window(0, &limits).from_us, 0);
    assert_int_equal(watermark_window(0, &stepped).to_us, 0);
}

static void a_step_shorter_than_the_overlap_still_gets_past_the_mark(void **state)
{
    const struct watermark_limits stepped = {.lag_us = 0, .overlap_us = 60000000, .step_us = 1};
    struct watermark_window window = watermark_window(NOON, &stepped);
    const struct watermark_poll poll = {
        .mark_us = NOON, .server_time_us = NOON + DAY, .window = window};

    (void)state;
    assert_true(window.to_us > NOON);
    assert_int_equal(watermark_after(&poll, &stepped), NOON + SECOND);
}

static void the_mark_is_the_least_of_what_salesforce_vouches_for(void **state)
{
    static const struct {
        int64_t server_after_s;
        int64_t covered_after_s;
        int64_t to_after_s;
        int64_t seen_after_s;
        int64_t mark_after_s;
    } cases[] = {
        {600, 0, 0, 0, 300},   /* server time less the lag */
        {600, 100, 0, 0, 100}, /* an open transaction holds latestDateCovered back */
        {600, 550, 0, 0, 300}, /* covered says more than the lag lets us believe */
        {600, 0, 200, 0, 200}, /* the window ended earlier */
        {600, 0, 0, 599, 300}, /* rows seen later do not move it */
        {0, 400, 0, 0, 400},   /* covered alone */
        {0, 0, 0, 600, 300},   /* no Date: the newest stamp is a clock that is late at most */
        {0, 0, 200, 0, 0},     /* nothing known: it stays */
        {100, 0, 0, 0, 0},     /* never backwards */
        {600, -100, 0, 0, 0},  /* nor by covered */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct watermark_poll poll = {
            .mark_us = NOON,
            .server_time_us = cases[i].server_after_s ? NOON + cases[i].server_after_s * SECOND : 0,
            .covered_us = cases[i].covered_after_s ? NOON + cases[i].covered_after_s * SECOND : 0,
            .latest_seen_us = cases[i].seen_after_s ? NOON + cases[i].seen_after_s * SECOND : 0,
            .window.to_us = cases[i].to_after_s ? NOON + cases[i].to_after_s * SECOND : 0,
        };
        assert_int_equal(watermark_after(&poll, &limits), NOON + cases[i].mark_after_s * SECOND);
    }
}

static void the_mark_is_a_whole_second(void **state)
{
    const struct watermark_poll poll = {.mark_us = NOON,
                                        .server_time_us = NOON + 600 * SECOND + 999999};

    (void)state;
    assert_int_equal(watermark_after(&poll, &limits), NOON + 300 * SECOND);
}

static void deletions_are_asked_for_in_whole_minutes_more_than_one_apart(void **state)
{
    struct watermark_deletions asked = watermark_deletions(NOON + 30 * SECOND, NOON + 59 * SECOND);

    (void)state;
    assert_int_equal(asked.from_us % MINUTE, 0);
    assert_int_equal(asked.to_us % MINUTE, 0);
    assert_true(asked.to_us - asked.from_us > MINUTE);
    assert_true(asked.from_us <= NOON + 30 * SECOND);
    assert_false(asked.is_lost);

    asked = watermark_deletions(NOON + 30 * SECOND, NOON + 3600 * SECOND);
    assert_int_equal(asked.from_us, NOON);
    assert_int_equal(asked.to_us, NOON + 3600 * SECOND);
}

static void deletions_older_than_salesforce_remembers_are_said_to_be_lost(void **state)
{
    struct watermark_deletions asked = watermark_deletions(NOON - 16 * DAY, NOON);

    (void)state;
    assert_true(asked.is_lost);
    assert_true(asked.from_us > NOON - 15 * DAY);
    assert_false(watermark_deletions(NOON - 14 * DAY, NOON).is_lost);
    assert_false(watermark_deletions(0, NOON).is_lost);
    assert_true(watermark_deletions_lost(NOON, NOON + 1));
    assert_false(watermark_deletions_lost(NOON, NOON));
    assert_false(watermark_deletions_lost(0, NOON));
}

static void the_mark_does_not_pass_what_is_held(void **state)
{
    struct watermark_limits defaults = watermark_default_limits();
    struct watermark_poll poll = {.mark_us = NOON, .server_time_us = NOON + 3600 * SECOND};

    (void)state;
    poll.held_us = NOON + 600 * SECOND + 1;
    assert_int_equal(watermark_after(&poll, &defaults), NOON + 600 * SECOND);
    poll.held_us = NOON + 3599 * SECOND;
    assert_int_equal(watermark_after(&poll, &defaults), NOON + 3300 * SECOND);
    poll.held_us = NOON - 600 * SECOND;
    assert_int_equal(watermark_after(&poll, &defaults), NOON);
}

static void the_mark_of_deletions_does_not_pass_an_unsettled_create(void **state)
{
    struct watermark_deleted deleted = {.mark_us = NOON,
                                        .server_time_us = NOON + 3600 * SECOND,
                                        .covered_us = NOON + 3590 * SECOND};

    (void)state;
    assert_int_equal(watermark_deletions_after(&deleted), NOON + 3590 * SECOND);
    deleted.create_age_us = 600 * SECOND;
    assert_int_equal(watermark_deletions_after(&deleted), NOON + 2940 * SECOND);
    deleted.create_age_us = 30 * DAY;
    assert_int_equal(watermark_deletions_after(&deleted), NOON);
}

static void the_defaults_overlap_and_trail(void **state)
{
    struct watermark_limits defaults = watermark_default_limits();

    (void)state;
    assert_true(defaults.lag_us >= 5 * MINUTE);
    assert_true(defaults.overlap_us > 0);
    assert_int_equal(defaults.step_us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_is_closed_below_and_begins_before_the_mark),
        cmocka_unit_test(the_first_window_is_everything),
        cmocka_unit_test(a_step_shorter_than_the_overlap_still_gets_past_the_mark),
        cmocka_unit_test(the_mark_is_the_least_of_what_salesforce_vouches_for),
        cmocka_unit_test(the_mark_is_a_whole_second),
        cmocka_unit_test(deletions_are_asked_for_in_whole_minutes_more_than_one_apart),
        cmocka_unit_test(deletions_older_than_salesforce_remembers_are_said_to_be_lost),
        cmocka_unit_test(the_mark_does_not_pass_what_is_held),
        cmocka_unit_test(the_mark_of_deletions_does_not_pass_an_unsettled_create),
        cmocka_unit_test(the_defaults_overlap_and_trail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
