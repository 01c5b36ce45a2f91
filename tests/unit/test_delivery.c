/* sync/delivery: the states of a write and what its outcome means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sync/delivery.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void the_states_have_the_names_of_the_log_and_fit_its_column(void **state)
{
    static const char *const names[] = {"NEW",    "IGNORE",  "READONLY", "PENDING", "SUCCESS",
                                        "MERGED", "IGNORED", "FAILED",   "REQUEUE", "REQUEUED"};
    enum delivery_state parsed = DELIVERY_NEW;

    (void)state;
    assert_int_equal(COUNT(names), DELIVERY_STATE_COUNT);
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(delivery_state_name((enum delivery_state)i), names[i]);
        assert_true(strlen(names[i]) <= 8);
        assert_true(delivery_state_parse(names[i], &parsed));
        assert_int_equal(parsed, i);
    }
    assert_false(delivery_state_parse("new", &parsed));
    assert_false(delivery_state_parse("", &parsed));
    assert_string_equal(delivery_state_name((enum delivery_state)99), "");
}

static void phases_and_actions_survive_the_way_through_the_database(void **state)
{
    enum delivery_phase phase = DELIVERY_NO_PHASE;
    enum delivery_action action = DELIVERY_INSERT;

    (void)state;
    assert_true(delivery_phase_parse(delivery_phase_name(DELIVERY_IN_DOUBT), &phase));
    assert_int_equal(phase, DELIVERY_IN_DOUBT);
    assert_true(delivery_action_parse(delivery_action_name(DELIVERY_DELETE), &action));
    assert_int_equal(action, DELIVERY_DELETE);
    assert_false(delivery_action_parse("UPSERT", &action));
    assert_false(delivery_phase_parse("DOUBT", &phase));
}

static void every_transition_leads_somewhere_and_no_event_leads_two_ways(void **state)
{
    size_t count = 0;
    const struct delivery_transition *all = delivery_transitions(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_int_not_equal(all[i].from, all[i].to);
        for (size_t j = 0; j < i; j++)
            assert_false(all[i].from == all[j].from && all[i].event == all[j].event);
    }
}

static void a_move_that_is_not_in_the_table_changes_nothing(void **state)
{
    enum delivery_state to = DELIVERY_NEW;

    (void)state;
    assert_true(delivery_move(DELIVERY_PENDING, DELIVERY_ACCEPT, &to));
    assert_int_equal(to, DELIVERY_SUCCESS);
    assert_true(delivery_move(DELIVERY_FAILED, DELIVERY_REQUEUING, &to));
    assert_int_equal(to, DELIVERY_NEW);
    assert_false(delivery_move(DELIVERY_SUCCESS, DELIVERY_PICK, &to));
    assert_false(delivery_move(DELIVERY_NEW, DELIVERY_ACCEPT, &to));
    assert_int_equal(to, DELIVERY_NEW);
}

static void only_what_push_still_has_to_handle_is_unsettled(void **state)
{
    (void)state;
    for (int i = 0; i < DELIVERY_STATE_COUNT; i++) {
        bool is_open = i == DELIVERY_NEW || i == DELIVERY_PENDING || i == DELIVERY_IGNORE ||
                       i == DELIVERY_REQUEUE;
        assert_int_equal(delivery_is_settled((enum delivery_state)i), !is_open);
    }
}

static void a_change_is_captured_as_heroku_connect_does_but_no_delete_is_lost(void **state)
{
    static const struct {
        struct delivery_capture capture;
        enum delivery_state expected;
    } cases[] = {
        {{.action = DELIVERY_INSERT}, DELIVERY_NEW},
        {{.action = DELIVERY_UPDATE, .has_changes = true}, DELIVERY_NEW},
        {{.action = DELIVERY_UPDATE}, DELIVERY_IGNORE},
        {{.action = DELIVERY_DELETE, .has_sfid = true}, DELIVERY_NEW},
        {{.action = DELIVERY_DELETE}, DELIVERY_IGNORE},
        {{.action = DELIVERY_DELETE, .has_live_insert = true}, DELIVERY_NEW},
        {{.action = DELIVERY_INSERT, .is_read_only = true}, DELIVERY_READONLY},
        {{.action = DELIVERY_UPDATE, .is_read_only = true}, DELIVERY_READONLY},
        {{.action = DELIVERY_DELETE, .is_read_only = true}, DELIVERY_READONLY},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(delivery_capture_state(&cases[i].capture), cases[i].expected);
}

static struct delivery_verdict judge(enum delivery_action action, enum delivery_error error)
{
    const struct delivery_attempt attempt = {.action = action,
                                             .fate = DELIVERY_ANSWERED,
                                             .error = error,
                                             .attempt = 1,
                                             .has_unique_key = true,
                                             .has_answered_id = true};
    return delivery_judge(&attempt);
}

static void an_answer_for_the_record_has_one_meaning_per_class(void **state)
{
    static const struct {
        enum delivery_action action;
        enum delivery_error error;
        enum delivery_todo todo;
        enum delivery_state state;
        enum delivery_wait wait;
    } cases[] = {
        {DELIVERY_UPDATE, DELIVERY_ERROR_TRANSIENT, DELIVERY_RETRY, DELIVERY_NEW,
         DELIVERY_WAIT_SHORT},
        {DELIVERY_INSERT, DELIVERY_ERROR_REFERENCE_MISSING, DELIVERY_RETRY, DELIVERY_NEW,
         DELIVERY_WAIT_SHORT},
        {DELIVERY_UPDATE, DELIVERY_ERROR_CONFLICT, DELIVERY_MERGE_AGAIN, DELIVERY_NEW,
         DELIVERY_NO_WAIT},
        {DELIVERY_UPDATE, DELIVERY_ERROR_GONE, DELIVERY_SETTLE, DELIVERY_FAILED, DELIVERY_NO_WAIT},
        {DELIVERY_DELETE, DELIVERY_ERROR_GONE, DELIVERY_SETTLE, DELIVERY_SUCCESS, DELIVERY_NO_WAIT},
        {DELIVERY_DELETE, DELIVERY_ERROR_ALREADY_DONE, DELIVERY_SETTLE, DELIVERY_SUCCESS,
         DELIVERY_NO_WAIT},
        {DELIVERY_UPDATE, DELIVERY_ERROR_ALREADY_DONE, DELIVERY_SETTLE, DELIVERY_FAILED,
         DELIVERY_NO_WAIT},
        {DELIVERY_INSERT, DELIVERY_ERROR_AMBIGUOUS, DELIVERY_SETTLE, DELIVERY_FAILED,
         DELIVERY_NO_WAIT},
        {DELIVERY_INSERT, DELIVERY_ERROR_DATA, DELIVERY_SETTLE, DELIVERY_FAILED, DELIVERY_NO_WAIT},
        {DELIVERY_INSERT, DELIVERY_ERROR_PERMISSION, DELIVERY_SETTLE, DELIVERY_FAILED,
         DELIVERY_NO_WAIT},
        {DELIVERY_INSERT, DELIVERY_ERROR_SCHEMA, DELIVERY_PARK_MAPPING, DELIVERY_NEW,
         DELIVERY_NO_WAIT},
        {DELIVERY_INSERT, DELIVERY_ERROR_ORG_STOPPED, DELIVERY_STOP_WRITES, DELIVERY_NEW,
         DELIVERY_WAIT_LONG},
        {DELIVERY_INSERT, DELIVERY_ERROR_SESSION, DELIVERY_RETRY, DELIVERY_NEW,
         DELIVERY_WAIT_SESSION},
        {DELIVERY_INSERT, DELIVERY_ERROR_LIMIT, DELIVERY_RETRY, DELIVERY_NEW, DELIVERY_WAIT_LONG},
        {DELIVERY_INSERT, DELIVERY_ERROR_UNKNOWN, DELIVERY_SETTLE, DELIVERY_FAILED,
         DELIVERY_NO_WAIT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery_verdict verdict = judge(cases[i].action, cases[i].error);
        assert_int_equal(verdict.todo, cases[i].todo);
        assert_int_equal(verdict.state, cases[i].state);
        assert_int_equal(verdict.wait, cases[i].wait);
        assert_int_equal(verdict.reason == NULL, verdict.state == DELIVERY_SUCCESS);
    }
    assert_true(judge(DELIVERY_UPDATE, DELIVERY_ERROR_GONE).is_gone);
    assert_false(judge(DELIVERY_DELETE, DELIVERY_ERROR_GONE).is_gone);
}

static void what_may_have_been_done_is_never_resent(void **state)
{
    (void)state;
    for (int action = DELIVERY_INSERT; action <= DELIVERY_DELETE; action++) {
        const struct delivery_attempt lost = {.action = (enum delivery_action)action,
                                              .fate = DELIVERY_UNKNOWN};
        const struct delivery_attempt odd = {.action = (enum delivery_action)action,
                                             .fate = DELIVERY_REFUSED,
                                             .error = DELIVERY_ERROR_UNKNOWN};
        const struct delivery_attempt unsent = {
            .action = (enum delivery_action)action, .fate = DELIVERY_NOT_SENT, .attempt = 1000};
        assert_int_equal(delivery_judge(&lost).todo, DELIVERY_READ_BACK);
        assert_int_equal(delivery_judge(&lost).state, DELIVERY_PENDING);
        assert_int_equal(delivery_judge(&lost).phase, DELIVERY_IN_DOUBT);
        assert_int_equal(delivery_judge(&odd).todo, DELIVERY_READ_BACK);
        assert_int_equal(delivery_judge(&unsent).todo, DELIVERY_RETRY);
        assert_int_equal(delivery_judge(&unsent).state, DELIVERY_NEW);
    }
}

static void a_passing_refusal_of_one_record_does_not_pass_for_ever(void **state)
{
    struct delivery_attempt attempt = {.action = DELIVERY_UPDATE,
                                       .fate = DELIVERY_ANSWERED,
                                       .error = DELIVERY_ERROR_TRANSIENT,
                                       .attempt = DELIVERY_ATTEMPTS_MAX - 1};

    (void)state;
    assert_int_equal(delivery_judge(&attempt).state, DELIVERY_NEW);
    attempt.attempt = DELIVERY_ATTEMPTS_MAX;
    assert_int_equal(delivery_judge(&attempt).state, DELIVERY_FAILED);
    attempt.fate = DELIVERY_REFUSED;
    assert_int_equal(delivery_judge(&attempt).state, DELIVERY_NEW);
}

static void a_create_is_done_once_its_id_is_known(void **state)
{
    struct delivery_attempt attempt = {.action = DELIVERY_INSERT,
                                       .fate = DELIVERY_ANSWERED,
                                       .is_success = true,
                                       .has_unique_key = true,
                                       .has_answered_id = true};

    (void)state;
    assert_int_equal(delivery_judge(&attempt).state, DELIVERY_SUCCESS);
    assert_true(delivery_judge(&attempt).binds_id);
    attempt.has_answered_id = false;
    assert_int_equal(delivery_judge(&attempt).todo, DELIVERY_READ_BACK);
    attempt.action = DELIVERY_UPDATE;
    assert_int_equal(delivery_judge(&attempt).state, DELIVERY_SUCCESS);
    assert_false(delivery_judge(&attempt).binds_id);
}

static void a_taken_key_is_our_own_record_only_if_we_may_have_made_it(void **state)
{
    struct delivery_attempt attempt = {.action = DELIVERY_INSERT,
                                       .fate = DELIVERY_ANSWERED,
                                       .error = DELIVERY_ERROR_ALREADY_DONE,
                                       .has_unique_key = true,
                                       .has_answered_id = true,
                                       .was_sent_before = true};

    (void)state;
    assert_int_equal(delivery_judge(&attempt).state, DELIVERY_SUCCESS);
    assert_true(delivery_judge(&attempt).binds_id);
    attempt.was_sent_before = false;
    assert_int_equal(delivery_judge(&attempt).todo, DELIVERY_READ_BACK);
    attempt.has_answered_id = false;
    assert_int_equal(delivery_judge(&attempt).todo, DELIVERY_READ_BACK);
    attempt.has_unique_key = false;
    assert_int_equal(delivery_judge(&attempt).state, DELIVERY_FAILED);
}

static void doubt_is_resolved_by_what_is_found(void **state)
{
    static const struct {
        struct delivery_doubt doubt;
        enum delivery_todo todo;
        enum delivery_state state;
        bool binds_id;
    } cases[] = {
        /* INSERT with a unique key: found is ours, absent may be sent again at once. */
        {{.action = DELIVERY_INSERT, .has_unique_key = true}, DELIVERY_RETRY, DELIVERY_NEW, false},
        {{.action = DELIVERY_INSERT, .has_unique_key = true, .found_count = 1, .was_sent = true},
         DELIVERY_SETTLE,
         DELIVERY_SUCCESS,
         true},
        {{.action = DELIVERY_INSERT, .has_unique_key = true, .found_count = 1, .equals_ours = true},
         DELIVERY_SETTLE,
         DELIVERY_SUCCESS,
         true},
        {{.action = DELIVERY_INSERT, .has_unique_key = true, .found_count = 1},
         DELIVERY_SETTLE,
         DELIVERY_FAILED,
         false},
        {{.action = DELIVERY_INSERT, .has_unique_key = true, .found_count = 2, .was_sent = true},
         DELIVERY_SETTLE,
         DELIVERY_FAILED,
         false},
        /* INSERT without: only after the quarantine, only if exactly one. */
        {{.action = DELIVERY_INSERT}, DELIVERY_READ_LATER, DELIVERY_PENDING, false},
        {{.action = DELIVERY_INSERT, .is_quarantine_over = true},
         DELIVERY_RETRY,
         DELIVERY_NEW,
         false},
        {{.action = DELIVERY_INSERT, .has_unique_key = true, .was_deleted_since = true},
         DELIVERY_SETTLE,
         DELIVERY_SUCCESS,
         true},
        {{.action = DELIVERY_INSERT, .was_deleted_since = true},
         DELIVERY_SETTLE,
         DELIVERY_SUCCESS,
         true},
        {{.action = DELIVERY_INSERT, .may_be_changed = true},
         DELIVERY_READ_LATER,
         DELIVERY_PENDING,
         false},
        {{.action = DELIVERY_INSERT, .may_be_changed = true, .is_quarantine_over = true},
         DELIVERY_SETTLE,
         DELIVERY_FAILED,
         false},
        {{.action = DELIVERY_INSERT, .found_count = 1}, DELIVERY_SETTLE, DELIVERY_SUCCESS, true},
        {{.action = DELIVERY_INSERT, .found_count = 2, .is_quarantine_over = true},
         DELIVERY_SETTLE,
         DELIVERY_FAILED,
         false},
        /* Unless the mapping wants it otherwise. */
        {{.action = DELIVERY_INSERT,
          .has_unique_key = true,
          .found_count = 1,
          .may_adopt = true,
          .was_sent = true},
         DELIVERY_RETRY,
         DELIVERY_NEW,
         false},
        {{.action = DELIVERY_INSERT,
          .has_unique_key = true,
          .found_count = 1,
          .may_adopt = true,
          .equals_ours = true},
         DELIVERY_SETTLE,
         DELIVERY_SUCCESS,
         true},
        {{.action = DELIVERY_INSERT, .lost_create = DELIVERY_LOST_FAIL, .found_count = 1},
         DELIVERY_SETTLE,
         DELIVERY_FAILED,
         false},
        {{.action = DELIVERY_INSERT, .lost_create = DELIVERY_LOST_RESEND, .found_count = 1},
         DELIVERY_RETRY,
         DELIVERY_NEW,
         false},
        {{.action = DELIVERY_INSERT,
          .has_unique_key = true,
          .lost_create = DELIVERY_LOST_FAIL,
          .found_count = 1,
          .was_sent = true},
         DELIVERY_SETTLE,
         DELIVERY_SUCCESS,
         true},
        /* A marker is ours alone, but keeps no second record away. */
        {{.action = DELIVERY_INSERT, .lost_create = DELIVERY_LOST_MARKER},
         DELIVERY_READ_LATER,
         DELIVERY_PENDING,
         false},
        {{.action = DELIVERY_INSERT,
          .lost_create = DELIVERY_LOST_MARKER,
          .is_quarantine_over = true},
         DELIVERY_RETRY,
         DELIVERY_NEW,
         false},
        {{.action = DELIVERY_INSERT, .lost_create = DELIVERY_LOST_MARKER, .found_count = 1},
         DELIVERY_SETTLE,
         DELIVERY_SUCCESS,
         true},
        {{.action = DELIVERY_INSERT, .lost_create = DELIVERY_LOST_MARKER, .found_count = 2},
         DELIVERY_SETTLE,
         DELIVERY_SUCCESS,
         true},
        /* UPDATE. */
        {{.action = DELIVERY_UPDATE}, DELIVERY_SETTLE, DELIVERY_FAILED, false},
        {{.action = DELIVERY_UPDATE, .found_count = 1, .equals_ours = true},
         DELIVERY_SETTLE,
         DELIVERY_SUCCESS,
         false},
        {{.action = DELIVERY_UPDATE, .found_count = 1, .equals_base = true},
         DELIVERY_READ_LATER,
         DELIVERY_PENDING,
         false},
        {{.action = DELIVERY_UPDATE,
          .found_count = 1,
          .equals_base = true,
          .is_quarantine_over = true},
         DELIVERY_RETRY,
         DELIVERY_NEW,
         false},
        {{.action = DELIVERY_UPDATE, .found_count = 1, .is_quarantine_over = true},
         DELIVERY_MERGE_AGAIN,
         DELIVERY_NEW,
         false},
        /* DELETE. */
        {{.action = DELIVERY_DELETE}, DELIVERY_SETTLE, DELIVERY_SUCCESS, false},
        {{.action = DELIVERY_DELETE, .found_count = 1},
         DELIVERY_READ_LATER,
         DELIVERY_PENDING,
         false},
        {{.action = DELIVERY_DELETE, .found_count = 1, .is_quarantine_over = true},
         DELIVERY_RETRY,
         DELIVERY_NEW,
         false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery_verdict verdict = delivery_resolve(&cases[i].doubt);
        assert_int_equal(verdict.todo, cases[i].todo);
        assert_int_equal(verdict.state, cases[i].state);
        assert_int_equal(verdict.binds_id, cases[i].binds_id);
        assert_int_equal(verdict.phase == DELIVERY_IN_DOUBT, verdict.state == DELIVERY_PENDING);
    }
}

static void only_a_create_without_a_key_waits_out_ten_minutes(void **state)
{
    (void)state;
    assert_int_equal(delivery_quarantine_ms(DELIVERY_INSERT, true), 0);
    assert_int_equal(delivery_quarantine_ms(DELIVERY_INSERT, false), 600000);
    assert_true(delivery_quarantine_ms(DELIVERY_UPDATE, true) > 1000);
}

static void back_off_grows_to_a_cap_and_is_spread(void **state)
{
    (void)state;
    assert_int_equal(delivery_backoff_ms(DELIVERY_NO_WAIT, 7, 0.9), 0);
    assert_int_equal(delivery_backoff_ms(DELIVERY_WAIT_SHORT, 1, 0.0), 500);
    assert_int_equal(delivery_backoff_ms(DELIVERY_WAIT_SHORT, 4, 0.0), 4000);
    assert_int_equal(delivery_backoff_ms(DELIVERY_WAIT_SHORT, 4, 0.5), 6000);
    assert_int_equal(delivery_backoff_ms(DELIVERY_WAIT_SHORT, UINT32_MAX, 0.0), 150000);
    assert_true(delivery_backoff_ms(DELIVERY_WAIT_LONG, UINT32_MAX, 0.9999) < 3600000);
    assert_true(delivery_backoff_ms((enum delivery_wait)77, 1, 0.0) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_states_have_the_names_of_the_log_and_fit_its_column),
        cmocka_unit_test(phases_and_actions_survive_the_way_through_the_database),
        cmocka_unit_test(every_transition_leads_somewhere_and_no_event_leads_two_ways),
        cmocka_unit_test(a_move_that_is_not_in_the_table_changes_nothing),
        cmocka_unit_test(only_what_push_still_has_to_handle_is_unsettled),
        cmocka_unit_test(a_change_is_captured_as_heroku_connect_does_but_no_delete_is_lost),
        cmocka_unit_test(an_answer_for_the_record_has_one_meaning_per_class),
        cmocka_unit_test(what_may_have_been_done_is_never_resent),
        cmocka_unit_test(a_passing_refusal_of_one_record_does_not_pass_for_ever),
        cmocka_unit_test(a_create_is_done_once_its_id_is_known),
        cmocka_unit_test(a_taken_key_is_our_own_record_only_if_we_may_have_made_it),
        cmocka_unit_test(doubt_is_resolved_by_what_is_found),
        cmocka_unit_test(only_a_create_without_a_key_waits_out_ten_minutes),
        cmocka_unit_test(back_off_grows_to_a_cap_and_is_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
