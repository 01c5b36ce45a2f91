#include "inbound/contender.h"

#include "archive/conflicts.h"
#include "mapping/mask.h"

/* One column of a contender, as src/sync sees it and as the ledger will. */
struct meeting {
    struct merge_field field;
    int64_t ours_time_us; /* of the last change that carries it */
    const char *last_log_id;
};

/* VALUE_ABSENT when the map does not have the column. */
static struct value find_value(const struct hstore_pair *pairs, size_t count, const char *column)
{
    const struct hstore_pair *pair = hstore_find(pairs, count, column);

    return pair != NULL ? merge_value(pair->value) : (struct value){.kind = VALUE_ABSENT};
}

static void note_change(struct meeting *meeting, const struct contender_change *change,
                        const struct value *sent, struct value *in_flight)
{
    struct merge_field *field = &meeting->field;

    bool is_under_way = change->is_in_flight || change->may_be_in_flight;

    if (is_under_way)
        in_flight[field->in_flight_count++] = *sent;
    field->is_under_way = field->is_under_way || is_under_way;
    field->is_queued = field->is_queued || !change->is_in_flight;
    meeting->ours_time_us = change->time_us;
    meeting->last_log_id = change->log_id;
}

/* What a mask hides is not known. */
static struct value theirs_of(const struct mapping_field *mapped, const char *text)
{
    return mask_is_one(mapped, text) ? (struct value){.kind = VALUE_ABSENT} : merge_value(text);
}

/* False for a field that no unsettled entry touches: there ours is the base. */
static bool fill_field(const struct contender *contender, const char *column,
                       struct meeting *meeting)
{
    struct value *in_flight = arena_array(contender->arena, struct value, contender->change_count);
    struct merge_field *field = &meeting->field;
    bool is_touched = false;

    field->in_flight = in_flight;
    field->base = (struct value){.kind = VALUE_ABSENT};
    for (size_t i = 0; i < contender->change_count; i++) {
        const struct contender_change *change = &contender->changes[i];
        struct value sent = find_value(change->values, change->value_count, column);

        if (change->is_refused || sent.kind == VALUE_ABSENT ||
            conflicts_is_overruled(change->overruled, column))
            continue;
        if (!is_touched)
            field->base = find_value(change->old, change->old_count, column);
        note_change(meeting, change, &sent, in_flight);
        is_touched = true;
    }
    return is_touched;
}

/* The loser's value is kept; an overruled one of ours is not sent any more. */
static bool store_conflict(const struct contender *contender, const char *column,
                           const struct meeting *meeting, enum merge_side winner, struct error *err)
{
    const struct mapping *mapping = contender->mapping;
    const struct conflict conflict = {
        .object_name = mapping->object_name,
        .table_name = mapping->table_name,
        .record_id = contender->record_id,
        .sfid = contender->sfid,
        .column_name = column,
        .log_id = meeting->last_log_id,
        .winner = winner == MERGE_OURS ? "postgres" : "salesforce",
        .policy = merge_policy_name(contender->rules.policy),
        .base_value = merge_text(&meeting->field.base),
        .postgres_value = merge_text(&meeting->field.ours),
        .salesforce_value = merge_text(&meeting->field.theirs),
    };

    return conflicts_settle(contender->pg, mapping->schema_name, &conflict, err);
}

/* Whether what Salesforce has is what it had before changes of ours that it refused. */
static bool is_left_by_failures(const struct contender *contender, const char *column,
                                const struct meeting *meeting, bool *is_left, struct error *err)
{
    struct conflicts_refused refused = {.arena = contender->arena,
                                        .schema_name = contender->mapping->schema_name,
                                        .table_name = contender->mapping->table_name,
                                        .record_id = contender->record_id,
                                        .column_name = column,
                                        .before_log_id = meeting->last_log_id};

    if (!conflicts_read_refused(contender->pg, &refused, err))
        return false;
    struct value *befores = arena_array(contender->arena, struct value, refused.count);
    for (size_t i = 0; i < refused.count; i++)
        befores[i] = merge_value(refused.befores[i]);
    *is_left = merge_is_left(&meeting->field.theirs, befores, refused.count);
    return true;
}

/*
 * Of a field with nothing on its way, the row has a value that Salesforce refused, and is about to
 * lose it to theirs: the ledger keeps it, for the entry may have been archived when it is missed.
 */
static bool keep_refused(const struct contender *contender, const char *column,
                         struct meeting *meeting, struct error *err)
{
    for (size_t i = 0; i < contender->change_count; i++) {
        const struct contender_change *change = &contender->changes[i];
        struct value sent = find_value(change->values, change->value_count, column);

        if (!change->is_refused || meeting->field.theirs.kind == VALUE_ABSENT ||
            !merge_equal(&sent, &meeting->field.ours) || merge_equal(&sent, &meeting->field.theirs))
            continue;
        meeting->field.base = find_value(change->old, change->old_count, column);
        meeting->last_log_id = change->log_id;
        return store_conflict(contender, column, meeting, MERGE_THEIRS, err);
    }
    return true;
}

/* Whether the staged value gives way to ours. */
static bool decide(struct contender *contender, const struct mapping_field *mapped,
                   struct meeting *meeting, bool *keeps_ours, struct error *err)
{
    bool is_left = false;

    *keeps_ours = false;
    if (mapped->is_system)
        return true;
    if (!fill_field(contender, mapped->column_name, meeting))
        return keep_refused(contender, mapped->column_name, meeting, err);
    contender->rules.ours_time_us = meeting->ours_time_us;
    struct merge_result result = merge_field(&meeting->field, &contender->rules);
    if (result.winner != MERGE_NOBODY &&
        !is_left_by_failures(contender, mapped->column_name, meeting, &is_left, err))
        return false;
    if (is_left) {
        meeting->field.base = meeting->field.theirs;
        result = merge_field(&meeting->field, &contender->rules);
    }
    *keeps_ours = !result.takes_theirs;
    if (result.winner == MERGE_NOBODY)
        return true;
    /* What is under way cannot be called back: its answer comes first. */
    contender->must_wait = contender->must_wait || meeting->field.is_under_way;
    return contender->must_wait ||
           store_conflict(contender, mapped->column_name, meeting, result.winner, err);
}

/* Push's look met a newer value of Salesforce's while this one was on its way here. */
static bool may_be_stale(const struct contender *contender)
{
    for (size_t i = 0; i < contender->change_count; i++)
        if (contender->changes[i].has_lost_since)
            return true;
    return false;
}

static bool has_unsettled(const struct contender *contender)
{
    for (size_t i = 0; i < contender->change_count; i++)
        if (!contender->changes[i].is_refused)
            return true;
    return false;
}

static void append_assignment(struct buf *kept, const char *column)
{
    buf_text(kept, kept->size_bytes > 0 ? ", " : "");
    pg_append_identifier(kept, column);
    buf_text(kept, " = t.");
    pg_append_identifier(kept, column);
}

static bool judge_fields(struct contender *contender, struct buf *kept, struct error *err)
{
    const struct mapping *mapping = contender->mapping;

    for (size_t i = 0; i < mapping->field_count; i++) {
        const struct mapping_field *mapped = &mapping->fields[i];
        int ours = 3 + 2 * (int)i;
        struct meeting meeting = {
            .field.ours = merge_value(pg_field(contender->rows, contender->row, ours)),
            .field.theirs = theirs_of(mapped, pg_field(contender->rows, contender->row, ours + 1))};
        bool keeps_ours;

        if (!decide(contender, mapped, &meeting, &keeps_ours, err))
            return false;
        if (keeps_ours)
            append_assignment(kept, mapped->column_name);
    }
    return true;
}

bool contender_judge(struct contender *contender, enum contender_fate *fate, struct buf *kept,
                     struct error *err)
{
    const char *policy = contender->mapping->conflict_policy;

    contender->must_wait = may_be_stale(contender);
    contender->rules =
        (struct merge_rules){.tie = MERGE_POSTGRES,
                             .theirs_time_us = pg_field_int64(contender->rows, contender->row, 2)};
    if (!merge_policy_parse(policy, &contender->rules.policy))
        return error_set(err, ERROR_BUG, "unknown conflict policy %s", policy);
    if (!judge_fields(contender, kept, err))
        return false;
    *fate = !has_unsettled(contender) ? CONTENDER_IS_FREE
            : contender->must_wait    ? CONTENDER_WAITS
                                      : CONTENDER_IS_MERGED;
    return true;
}
