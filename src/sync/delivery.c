#include "sync/delivery.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const state_names[] = {
    [DELIVERY_NEW] = "NEW",           [DELIVERY_IGNORE] = "IGNORE",
    [DELIVERY_READONLY] = "READONLY", [DELIVERY_PENDING] = "PENDING",
    [DELIVERY_SUCCESS] = "SUCCESS",   [DELIVERY_MERGED] = "MERGED",
    [DELIVERY_IGNORED] = "IGNORED",   [DELIVERY_FAILED] = "FAILED",
    [DELIVERY_REQUEUE] = "REQUEUE",   [DELIVERY_REQUEUED] = "REQUEUED",
};

static const char *const phase_names[] = {
    [DELIVERY_NO_PHASE] = "",
    [DELIVERY_SENDING] = "SENDING",
    [DELIVERY_IN_DOUBT] = "IN_DOUBT",
};

static const char *const action_names[] = {
    [DELIVERY_INSERT] = "INSERT",
    [DELIVERY_UPDATE] = "UPDATE",
    [DELIVERY_DELETE] = "DELETE",
};

static const struct delivery_transition transitions[] = {
    {DELIVERY_NEW, DELIVERY_PICK, DELIVERY_PENDING, DELIVERY_BY_PUSH},
    {DELIVERY_NEW, DELIVERY_MERGE, DELIVERY_MERGED, DELIVERY_BY_PUSH},
    {DELIVERY_NEW, DELIVERY_REFUSE, DELIVERY_FAILED, DELIVERY_BY_PUSH},
    {DELIVERY_NEW, DELIVERY_SKIP, DELIVERY_IGNORED, DELIVERY_BY_PUSH},
    {DELIVERY_NEW, DELIVERY_DISMISS, DELIVERY_IGNORED, DELIVERY_BY_USER},
    {DELIVERY_IGNORE, DELIVERY_SKIP, DELIVERY_IGNORED, DELIVERY_BY_PUSH},
    {DELIVERY_PENDING, DELIVERY_ACCEPT, DELIVERY_SUCCESS, DELIVERY_BY_PUSH},
    {DELIVERY_PENDING, DELIVERY_REFUSE, DELIVERY_FAILED, DELIVERY_BY_PUSH},
    {DELIVERY_PENDING, DELIVERY_RESEND, DELIVERY_NEW, DELIVERY_BY_PUSH},
    {DELIVERY_PENDING, DELIVERY_MERGE, DELIVERY_MERGED, DELIVERY_BY_PUSH},
    {DELIVERY_FAILED, DELIVERY_REQUEUING, DELIVERY_NEW, DELIVERY_BY_USER},
    {DELIVERY_FAILED, DELIVERY_RECAPTURE, DELIVERY_REQUEUED, DELIVERY_BY_USER},
    {DELIVERY_FAILED, DELIVERY_MARK, DELIVERY_REQUEUE, DELIVERY_BY_USER},
    {DELIVERY_FAILED, DELIVERY_DISMISS, DELIVERY_IGNORED, DELIVERY_BY_USER},
    {DELIVERY_REQUEUE, DELIVERY_REQUEUING, DELIVERY_NEW, DELIVERY_BY_PUSH},
};

static const char *name_at(const char *const *names, size_t count, size_t index)
{
    return index < count ? names[index] : "";
}

static int find_name(const char *const *names, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return -1;
}

const char *delivery_state_name(enum delivery_state state)
{
    return name_at(state_names, COUNT(state_names), state);
}

const char *delivery_phase_name(enum delivery_phase phase)
{
    return name_at(phase_names, COUNT(phase_names), phase);
}

const char *delivery_action_name(enum delivery_action action)
{
    return name_at(action_names, COUNT(action_names), action);
}

bool delivery_state_parse(const char *text, enum delivery_state *state)
{
    int found = find_name(state_names, COUNT(state_names), text);

    if (found >= 0)
        *state = (enum delivery_state)found;
    return found >= 0;
}

bool delivery_phase_parse(const char *text, enum delivery_phase *phase)
{
    int found = find_name(phase_names, COUNT(phase_names), text);

    if (found >= 0)
        *phase = (enum delivery_phase)found;
    return found >= 0;
}

bool delivery_action_parse(const char *text, enum delivery_action *action)
{
    int found = find_name(action_names, COUNT(action_names), text);

    if (found >= 0)
        *action = (enum delivery_action)found;
    return found >= 0;
}

static const char *const lost_create_names[] = {
    [DELIVERY_LOST_PROBE] = "probe",   [DELIVERY_LOST_RECEIPT] = "receipt",
    [DELIVERY_LOST_MARKER] = "marker", [DELIVERY_LOST_FAIL] = "fail",
    [DELIVERY_LOST_RESEND] = "resend", [DELIVERY_LOST_REFUSE] = "refuse",
};

bool delivery_lost_create_parse(const char *text, enum delivery_lost_create *lost)
{
    int found = find_name(lost_create_names, COUNT(lost_create_names), text);

    if (found >= 0)
        *lost = (enum delivery_lost_create)found;
    return found >= 0;
}

bool delivery_is_settled(enum delivery_state state)
{
    for (size_t i = 0; i < COUNT(transitions); i++)
        if (transitions[i].from == state && transitions[i].who == DELIVERY_BY_PUSH)
            return false;
    return true;
}

const struct delivery_transition *delivery_transitions(size_t *count)
{
    *count = COUNT(transitions);
    return transitions;
}

bool delivery_move(enum delivery_state from, enum delivery_event event, enum delivery_state *to)
{
    for (size_t i = 0; i < COUNT(transitions); i++) {
        if (transitions[i].from == from && transitions[i].event == event) {
            *to = transitions[i].to;
            return true;
        }
    }
    return false;
}

enum delivery_state delivery_capture_state(const struct delivery_capture *capture)
{
    if (capture->is_read_only)
        return DELIVERY_READONLY;
    if (capture->action == DELIVERY_UPDATE && !capture->has_changes)
        return DELIVERY_IGNORE;
    if (capture->action == DELIVERY_DELETE && !capture->has_sfid && !capture->has_live_insert)
        return DELIVERY_IGNORE;
    return DELIVERY_NEW;
}

static struct delivery_verdict succeed(bool binds_id)
{
    return (struct delivery_verdict){
        .todo = DELIVERY_SETTLE, .state = DELIVERY_SUCCESS, .binds_id = binds_id};
}

static struct delivery_verdict fail(const char *reason)
{
    return (struct delivery_verdict){
        .todo = DELIVERY_SETTLE, .state = DELIVERY_FAILED, .reason = reason};
}

/* Certainly not executed: back to NEW. */
static struct delivery_verdict again(enum delivery_todo todo, enum delivery_wait wait,
                                     const char *reason)
{
    return (struct delivery_verdict){
        .todo = todo, .state = DELIVERY_NEW, .wait = wait, .reason = reason};
}

static struct delivery_verdict in_doubt(enum delivery_todo todo, enum delivery_wait wait,
                                        const char *reason)
{
    return (struct delivery_verdict){.todo = todo,
                                     .state = DELIVERY_PENDING,
                                     .phase = DELIVERY_IN_DOUBT,
                                     .wait = wait,
                                     .reason = reason};
}

static struct delivery_verdict gone(void)
{
    struct delivery_verdict verdict = fail("the record is deleted in Salesforce");

    verdict.is_gone = true;
    return verdict;
}

/*
 * Someone holds the external id of the record we create. If an earlier attempt may have run, it is
 * our own record. If none was ever sent it is somebody else's, or a proxy repeated the request:
 * reading it back tells.
 */
static struct delivery_verdict judge_taken_key(const struct delivery_attempt *attempt)
{
    if (!attempt->has_unique_key && attempt->has_receipt && attempt->was_sent_before &&
        attempt->attempt < DELIVERY_ATTEMPTS_MAX)
        return in_doubt(DELIVERY_READ_BACK, DELIVERY_NO_WAIT,
                        "a unique value of the row is taken, maybe by its own record");
    if (!attempt->has_unique_key)
        return fail("a unique value of the row is taken by another Salesforce record");
    if (attempt->has_answered_id && attempt->was_sent_before)
        return succeed(true);
    return in_doubt(DELIVERY_READ_BACK, DELIVERY_NO_WAIT,
                    "the external id is taken: reading back by whom");
}

static struct delivery_verdict judge_already_done(const struct delivery_attempt *attempt)
{
    switch (attempt->action) {
    case DELIVERY_INSERT: return judge_taken_key(attempt);
    case DELIVERY_DELETE: return succeed(false);
    case DELIVERY_UPDATE: break;
    }
    return fail("a unique value of the row is taken by another Salesforce record");
}

static struct delivery_verdict judge_passing(const struct delivery_attempt *attempt,
                                             const char *reason)
{
    if (attempt->fate == DELIVERY_ANSWERED && attempt->attempt >= DELIVERY_ATTEMPTS_MAX)
        return fail(reason);
    return again(DELIVERY_RETRY, DELIVERY_WAIT_SHORT, reason);
}

static struct delivery_verdict judge_unknown(const struct delivery_attempt *attempt)
{
    if (attempt->fate == DELIVERY_ANSWERED)
        return fail("refused by Salesforce with a code pgforce does not know");
    return in_doubt(DELIVERY_READ_BACK, DELIVERY_NO_WAIT,
                    "refused with a code pgforce does not know: it may have been done");
}

static struct delivery_verdict judge_error(const struct delivery_attempt *attempt)
{
    switch (attempt->error) {
    case DELIVERY_ERROR_TRANSIENT:
        return judge_passing(attempt, "Salesforce was busy with this record");
    case DELIVERY_ERROR_REFERENCE_MISSING:
        return judge_passing(attempt, "the record it refers to is not in Salesforce");
    case DELIVERY_ERROR_ALREADY_DONE: return judge_already_done(attempt);
    case DELIVERY_ERROR_GONE: return attempt->action == DELIVERY_DELETE ? succeed(false) : gone();
    case DELIVERY_ERROR_CONFLICT:
        return again(DELIVERY_MERGE_AGAIN, DELIVERY_NO_WAIT, "changed in Salesforce meanwhile");
    case DELIVERY_ERROR_AMBIGUOUS:
        return fail("several Salesforce records have this external id: keep one, then requeue");
    case DELIVERY_ERROR_DATA: return fail("refused by Salesforce for its values");
    case DELIVERY_ERROR_PERMISSION:
        return fail("not permitted to the integration user: grant it, then requeue");
    case DELIVERY_ERROR_SCHEMA:
        return again(DELIVERY_PARK_MAPPING, DELIVERY_NO_WAIT,
                     "Salesforce does not know a mapped field or object");
    case DELIVERY_ERROR_ORG_STOPPED:
        return again(DELIVERY_STOP_WRITES, DELIVERY_WAIT_LONG,
                     "the organisation takes no writes: storage, licence or API access");
    case DELIVERY_ERROR_SESSION:
        return again(DELIVERY_RETRY, DELIVERY_WAIT_SESSION, "the session had ended");
    case DELIVERY_ERROR_LIMIT:
        return again(DELIVERY_RETRY, DELIVERY_WAIT_LONG, "a Salesforce limit is used up");
    case DELIVERY_ERROR_NONE:
    case DELIVERY_ERROR_UNKNOWN: break;
    }
    return judge_unknown(attempt);
}

/* A create that succeeded without telling its id is not over: the row must be bound. */
static struct delivery_verdict judge_success(const struct delivery_attempt *attempt)
{
    if (attempt->action == DELIVERY_INSERT && !attempt->has_answered_id)
        return in_doubt(DELIVERY_READ_BACK, DELIVERY_NO_WAIT, "created, but under what id?");
    return succeed(attempt->action == DELIVERY_INSERT);
}

struct delivery_verdict delivery_judge(const struct delivery_attempt *attempt)
{
    switch (attempt->fate) {
    case DELIVERY_NOT_SENT:
        return again(DELIVERY_RETRY, DELIVERY_WAIT_SHORT, "Salesforce could not be reached");
    case DELIVERY_REFUSED: return judge_error(attempt);
    case DELIVERY_ANSWERED:
        return attempt->is_success ? judge_success(attempt) : judge_error(attempt);
    case DELIVERY_UNKNOWN: break;
    }
    return in_doubt(DELIVERY_READ_BACK, DELIVERY_NO_WAIT, "the answer was lost");
}

static struct delivery_verdict wait_out_quarantine(void)
{
    return in_doubt(DELIVERY_READ_LATER, DELIVERY_WAIT_SHORT, "a lost request may still be done");
}

static struct delivery_verdict resend(void)
{
    return again(DELIVERY_RETRY, DELIVERY_NO_WAIT, "the lost request was not done");
}

/* A repeat of a keyed create meets the first in the unique index, so there is nothing to wait for.
 * Without a key only time rules out a second record. */
/* What was made and deleted is bound all the same: the next poll deletes the row for it. */
static struct delivery_verdict resolve_absent(const struct delivery_doubt *doubt)
{
    if (doubt->was_deleted_since)
        return succeed(true);
    if (doubt->has_unique_key)
        return resend();
    if (!doubt->is_quarantine_over)
        return wait_out_quarantine();
    if (doubt->may_be_changed)
        return fail("the answer was lost, and a Salesforce record that was made since and then"
                    " changed may be this row's: look at it, then retry or ignore");
    return resend();
}

static struct delivery_verdict resolve_insert(const struct delivery_doubt *doubt)
{
    /* With a marker several are this row's beyond doubt: the row has one, the others are told. */
    bool is_marked = !doubt->has_unique_key && doubt->lost_create == DELIVERY_LOST_MARKER;

    if (!doubt->has_unique_key && doubt->lost_create == DELIVERY_LOST_RESEND)
        return resend();
    if (!doubt->has_unique_key &&
        (doubt->lost_create == DELIVERY_LOST_FAIL || doubt->lost_create == DELIVERY_LOST_REFUSE))
        return fail("the answer was lost: look in Salesforce whether the record is there, then"
                    " retry or ignore");
    if (doubt->found_count > 1 && !is_marked)
        return fail(doubt->has_unique_key
                        ? "several Salesforce records have this external id: keep one, then requeue"
                        : "several Salesforce records may be this row: bind one, then requeue");
    if (doubt->found_count == 0)
        return resolve_absent(doubt);
    if (doubt->may_adopt && !doubt->equals_ours)
        return resend();
    if (!doubt->has_unique_key || doubt->was_sent || doubt->equals_ours || doubt->is_created_by_us)
        return succeed(true);
    return fail("the external id is taken by a record that is not this row's");
}

/* Neither ours nor the base: edited after ours was done, or instead of it. The merge tells, since
 * ours is in flight. */
static struct delivery_verdict resolve_update(const struct delivery_doubt *doubt)
{
    if (doubt->found_count == 0)
        return gone();
    if (doubt->equals_ours)
        return succeed(false);
    if (!doubt->is_quarantine_over)
        return wait_out_quarantine();
    if (doubt->equals_base)
        return resend();
    return again(DELIVERY_MERGE_AGAIN, DELIVERY_NO_WAIT, "changed in Salesforce meanwhile");
}

struct delivery_verdict delivery_resolve(const struct delivery_doubt *doubt)
{
    switch (doubt->action) {
    case DELIVERY_INSERT: return resolve_insert(doubt);
    case DELIVERY_UPDATE: return resolve_update(doubt);
    case DELIVERY_DELETE: break;
    }
    if (doubt->found_count == 0)
        return succeed(false);
    return doubt->is_quarantine_over ? resend() : wait_out_quarantine();
}

int64_t delivery_quarantine_ms(enum delivery_action action, bool has_unique_key)
{
    if (action != DELIVERY_INSERT)
        return 2000;
    return has_unique_key ? 0 : INT64_C(600000);
}

int64_t delivery_backoff_ms(enum delivery_wait wait, uint32_t attempt, double random01)
{
    static const struct {
        int64_t first_ms;
        int64_t cap_ms;
    } classes[] = {
        [DELIVERY_NO_WAIT] = {0, 0},
        [DELIVERY_WAIT_SESSION] = {100, 60000},
        [DELIVERY_WAIT_SHORT] = {1000, 300000},
        [DELIVERY_WAIT_LONG] = {60000, 3600000},
    };
    if (wait >= COUNT(classes))
        wait = DELIVERY_WAIT_LONG;

    int64_t delay_ms = classes[wait].first_ms;
    for (uint32_t i = 1; i < attempt && delay_ms < classes[wait].cap_ms; i++)
        delay_ms *= 2;
    if (delay_ms > classes[wait].cap_ms)
        delay_ms = classes[wait].cap_ms;
    return delay_ms / 2 + (int64_t)((double)delay_ms / 2 * random01);
}
