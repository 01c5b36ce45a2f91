#include "sync/merge.h"

#include <string.h>

static const char *const policy_names[] = {
    [MERGE_LAST_WRITER] = "last-writer",
    [MERGE_POSTGRES] = "postgres",
    [MERGE_SALESFORCE] = "salesforce",
};

enum { POLICY_COUNT = sizeof(policy_names) / sizeof(policy_names[0]) };

const char *merge_policy_name(enum merge_policy policy)
{
    return (unsigned)policy < POLICY_COUNT ? policy_names[policy] : "";
}

bool merge_policy_parse(const char *text, enum merge_policy *policy)
{
    for (unsigned i = 0; i < POLICY_COUNT; i++) {
        if (strcmp(policy_names[i], text) == 0) {
            *policy = (enum merge_policy)i;
            return true;
        }
    }
    return false;
}

static bool is_known(const struct value *value)
{
    return value->kind == VALUE_NULL || value->kind == VALUE_TEXT;
}

bool merge_equal(const struct value *left, const struct value *right)
{
    if (!is_known(left) || left->kind != right->kind)
        return false;
    if (left->kind == VALUE_NULL)
        return true;
    return left->size_bytes == right->size_bytes &&
           (left->size_bytes == 0 || memcmp(left->text, right->text, left->size_bytes) == 0);
}

struct value merge_value(const char *text)
{
    if (text == NULL)
        return (struct value){.kind = VALUE_NULL};
    return (struct value){.kind = VALUE_TEXT, .text = text, .size_bytes = strlen(text)};
}

const char *merge_text(const struct value *value)
{
    return value->kind == VALUE_TEXT ? value->text : NULL;
}

bool merge_is_left(const struct value *theirs, const struct value *befores, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (merge_equal(&befores[i], theirs))
            return true;
    return false;
}

static enum merge_side side_of(enum merge_policy policy)
{
    return policy == MERGE_POSTGRES ? MERGE_OURS : MERGE_THEIRS;
}

/* Two clocks, and a stamp of whole seconds: inside the skew and a second, last means nothing. */
enum merge_side merge_winner(const struct merge_rules *rules)
{
    int64_t margin_us = rules->clock_skew_us + 1000000;
    int64_t lead_us = rules->ours_time_us - rules->theirs_time_us;

    if (rules->policy != MERGE_LAST_WRITER)
        return side_of(rules->policy);
    if (lead_us > margin_us)
        return MERGE_OURS;
    if (lead_us < -margin_us)
        return MERGE_THEIRS;
    return side_of(rules->tie);
}

static bool is_in_flight(const struct merge_field *field)
{
    for (size_t i = 0; i < field->in_flight_count; i++)
        if (merge_equal(&field->in_flight[i], &field->theirs))
            return true;
    return false;
}

static enum merge_case first_contact(const struct merge_field *field)
{
    return merge_equal(&field->ours, &field->theirs) ? MERGE_FIRST_EQUAL : MERGE_FIRST_UNEQUAL;
}

static enum merge_case classify(const struct merge_field *field)
{
    if (!is_known(&field->theirs) || !is_known(&field->ours))
        return MERGE_UNKNOWN;
    if (merge_equal(&field->theirs, &field->base))
        return merge_equal(&field->ours, &field->base) ? MERGE_QUIET : MERGE_OUR_CHANGE;
    if (is_in_flight(field))
        return MERGE_OWN_WRITE;
    if (!is_known(&field->base))
        return first_contact(field);
    if (merge_equal(&field->ours, &field->base))
        return MERGE_THEIR_CHANGE;
    return merge_equal(&field->ours, &field->theirs) ? MERGE_SAME_CHANGE : MERGE_CONFLICT;
}

static void decide_conflict(const struct merge_field *field, const struct merge_rules *rules,
                            struct merge_result *result)
{
    result->winner = merge_winner(rules);
    result->loser = result->winner == MERGE_OURS ? field->theirs : field->ours;
    result->takes_theirs = result->winner == MERGE_THEIRS;
    result->sends_ours = result->winner == MERGE_OURS && !field->is_queued;
}

struct merge_result merge_field(const struct merge_field *field, const struct merge_rules *rules)
{
    struct merge_result result = {.what = classify(field)};

    result.moves_base = result.what != MERGE_QUIET && result.what != MERGE_OUR_CHANGE &&
                        result.what != MERGE_UNKNOWN;
    switch (result.what) {
    case MERGE_OUR_CHANGE: result.sends_ours = !field->is_queued && !field->is_under_way; break;
    case MERGE_OWN_WRITE:
        result.sends_ours = !field->is_queued && !merge_equal(&field->ours, &field->theirs);
        break;
    case MERGE_THEIR_CHANGE: result.takes_theirs = true; break;
    case MERGE_CONFLICT:
    case MERGE_FIRST_UNEQUAL: decide_conflict(field, rules, &result); break;
    case MERGE_QUIET:
    case MERGE_SAME_CHANGE:
    case MERGE_FIRST_EQUAL:
    case MERGE_UNKNOWN: break;
    }
    return result;
}

bool merge_is_stale(uint64_t read_began, uint64_t base_changed)
{
    return base_changed != 0 && base_changed >= read_began;
}

/* An unknown base that is still unknown has not moved. */
bool merge_delivery_moves_base(const struct value *base_at_intent, const struct value *base_now)
{
    if (!is_known(base_at_intent))
        return !is_known(base_now);
    return merge_equal(base_at_intent, base_now);
}

size_t merge_differing(const struct value *written, const struct value *row, size_t count,
                       size_t *differing)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        if (row[i].kind == VALUE_UNCHANGED || merge_equal(&written[i], &row[i]))
            continue;
        if (differing != NULL)
            differing[found] = i;
        found++;
    }
    return found;
}

bool merge_is_echo(const struct value *written, const struct value *row, size_t count)
{
    return merge_differing(written, row, count, NULL) == 0;
}

enum merge_care merge_choose_care(const struct merge_sight *sight)
{
    int64_t age_s = sight->looked_s - sight->changed_s;

    if (sight->changed_s == 0 || sight->looked_s == 0 || sight->attempt >= MERGE_CONDITIONS_MAX ||
        (sight->is_by_us && !sight->was_in_doubt))
        return MERGE_CARELESS;
    if (age_s <= 0)
        return MERGE_WAIT_SECOND;
    return sight->was_in_doubt || age_s < MERGE_CONTENDED_S ? MERGE_CONDITION : MERGE_CARELESS;
}

enum merge_delete merge_deleted(bool has_unsent_changes, bool update_wins)
{
    if (!has_unsent_changes)
        return MERGE_DELETE_QUIET;
    return update_wins ? MERGE_DELETE_RESTORE : MERGE_DELETE_CONFLICT;
}
