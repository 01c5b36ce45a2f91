/* The push role of the simulation. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "sync/fold.h"
#include "sync/order.h"

static struct pg_row *row_of(struct sim *sim, const struct log_entry *entry)
{
    return &sim->rows[entry->row];
}

static void settle(struct sim *sim, struct log_entry *entry, enum delivery_event event)
{
    enum delivery_state to = entry->state;

    if (!delivery_move(entry->state, event, &to))
        sim_violate(sim, "no transition from %s by event %d", delivery_state_name(entry->state),
                    (int)event);
    entry->state = to;
    entry->phase = DELIVERY_NO_PHASE;
    sim_trace(sim, "push settles entry=%d row=%u %s", (int)(entry - sim->log), entry->row,
              delivery_state_name(to));
}

static void add_to_flight(struct flight *flight, token_t value)
{
    for (size_t i = 0; i < flight->count; i++)
        if (flight->values[i] == value)
            return;
    if (flight->count == MAX_FLIGHT)
        abort();
    flight->values[flight->count++] = value;
}

static void remember_in_flight(struct pg_row *row, const struct sf_request *request)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (request->fields[i] != 0)
            add_to_flight(&row->in_flight[i], request->fields[i]);
}

/* --- the intent ------------------------------------------------------------------------------- */

/* What an INSERT sends: its own values; merged, or set back, the row as it is; repeated, exactly
 * what it sent before. */
static bool shape_insert(struct sim *sim, struct log_entry *entry, struct sf_request *request)
{
    const struct pg_row *row = row_of(sim, entry);

    /* Without a key of its own, what may have been done is found, and deleted, by its receipt. */
    if (row->is_deleted && !(sim->has_receipts && entry->was_sent))
        return false;
    *request = (struct sf_request){.op = SF_CREATE,
                                   .key = sim->mutant == MUTANT_NO_EXTERNAL_ID ? 0 : row->key,
                                   .is_upsert = sim->mutant == MUTANT_CREATE_BY_UPSERT &&
                                                !sim->has_receipts};
    bool is_own = !sim->is_merged && !entry->is_set_back;
    for (size_t i = 0; i < FIELDS; i++)
        request->fields[i] =
            is_own && entry->captured[i] != 0 ? entry->captured[i] : row->fields[i];
    if (entry->was_sent)
        memcpy(request->fields, entry->intent.fields, sizeof(request->fields));
    return true;
}

/* An entry that goes again leaves to a later one what that carries: state, not history. */
static bool is_left_out(const struct sim *sim, const struct log_entry *entry, size_t field)
{
    if (sim->is_merged || (!entry->was_sent && !entry->is_set_back) ||
        sim->mutant == MUTANT_HISTORY_NOT_STATE)
        return false;
    for (const struct log_entry *later = entry + 1; later < sim->log + sim->log_count; later++)
        if (later->row == entry->row && later->action == DELIVERY_UPDATE && later->carries[field] &&
            (later->state == DELIVERY_NEW || later->state == DELIVERY_PENDING ||
             later->state == DELIVERY_SUCCESS || later->state == DELIVERY_MERGED))
            return true;
    return false;
}

/* Merged: the newest value; ordered: the entry's own. */
static token_t value_to_send(const struct sim *sim, const struct log_entry *entry,
                             const struct pg_row *row, size_t field)
{
    return !sim->is_merged && entry->captured[field] != 0 ? entry->captured[field]
                                                          : row->fields[field];
}

/* The row was bound by the pull before its INSERT was settled. What differs goes as an UPDATE. */
static void carry_all(struct log_entry *entry)
{
    for (size_t i = 0; i < FIELDS; i++)
        entry->carries[i] = true;
}

/* Also what the entry does not carry: other people's edits go under. */
static void add_whole_row(const struct sim *sim, const struct pg_row *row,
                          struct sf_request *request)
{
    if (sim->mutant == MUTANT_WHOLE_ROW || sim->mutant == MUTANT_WHOLE_ROW_NO_CHECK)
        memcpy(request->fields, row->fields, sizeof(request->fields));
}

static bool has_conflict_check(const struct sim *sim)
{
    return sim->mutant != MUTANT_NO_CONFLICT_CHECK && sim->mutant != MUTANT_WHOLE_ROW_NO_CHECK;
}

/* What an UPDATE sends: of the fields it carries, those where ours is newer than what both sides
 * agreed on. */
static bool shape_update(struct sim *sim, struct log_entry *entry, const struct sf_record *theirs,
                         struct sf_request *request)
{
    struct pg_row *row = row_of(sim, entry);
    token_t taken[FIELDS] = {0};
    bool takes_any = false;
    bool sends_any = false;

    *request = (struct sf_request){
        .op = SF_UPDATE, .id = row->bound_id, .unmodified_since_us = theirs->stamp_us};
    for (size_t i = 0; i < FIELDS; i++) {
        if (!entry->carries[i] || is_left_out(sim, entry, i))
            continue;
        token_t ours = value_to_send(sim, entry, row, i);
        struct merge_result result = engine_merge(sim, row, i, theirs);
        if (!has_conflict_check(sim))
            result = (struct merge_result){.what = row->fields[i] != row->base[i] ? MERGE_OUR_CHANGE
                                                                                  : MERGE_QUIET};
        engine_ledger(sim, &result);
        bool differs = ours != theirs->fields[i];
        if (result.takes_theirs) {
            taken[i] = theirs->fields[i];
            takes_any = true;
            engine_overrule(sim, row, i);
        } else if (differs && result.what != MERGE_QUIET) {
            request->fields[i] = ours;
            sends_any = true;
        }
        if (result.moves_base)
            pg_set_base(sim, row, i, theirs->fields[i]);
    }
    if (!has_conflict_check(sim) || sim->mutant == MUTANT_NO_PRECONDITION)
        request->unmodified_since_us = 0;
    if (takes_any)
        pg_engine_updates(sim, row, taken);
    if (sends_any)
        add_whole_row(sim, row, request);
    return sends_any;
}

static void commit_intent(struct sim *sim, struct log_entry *entry,
                          const struct sf_request *request)
{
    struct pg_row *row = row_of(sim, entry);

    settle(sim, entry, DELIVERY_PICK);
    entry->phase = DELIVERY_SENDING;
    entry->attempt++;
    entry->intent = *request;
    if (request->op == SF_DELETE)
        return;
    remember_in_flight(row, request);
    for (size_t i = 0; i < FIELDS; i++) {
        /* A new record's base is its intent, from now on. */
        if (request->op == SF_CREATE && !entry->was_sent)
            pg_set_base(sim, row, i, request->fields[i]);
        entry->base_at_intent[i] = row->base[i];
    }
}

static void hold(struct sim *sim, struct log_entry *entry, int64_t delay_ms)
{
    entry->not_before_us = sim->now_us + delay_ms * 1000;
}

/* Reads before writing. False: nothing is to be sent (now). */
static bool prepare_update(struct sim *sim, struct log_entry *entry, struct sf_request *request)
{
    struct pg_row *row = row_of(sim, entry);
    uint64_t began = ++sim->sequence;
    const struct sf_record *found = sf_find(sim, row->bound_id);
    struct sf_record theirs = found != NULL ? *found : (struct sf_record){0};
    int64_t read_at_us = sim->now_us;

    if (!sim_pause(sim, ROLE_PUSH))
        return false;
    if (row->is_deleted) {
        settle(sim, entry, DELIVERY_MERGE);
        return false;
    }
    if (merge_is_stale(began, row->base_changed) && sim->mutant != MUTANT_NO_STALE_CHECK)
        return false;
    if (found == NULL) {
        entry->is_mendable = true;
        settle(sim, entry, DELIVERY_REFUSE);
        return false;
    }
    /* The precondition counts whole seconds: a change in this same second would pass it. */
    if (theirs.stamp_us >= read_at_us / 1000000 * 1000000 && sim->mutant != MUTANT_NO_DOUBT_HOLD) {
        hold(sim, entry, 1000);
        return false;
    }
    if (shape_update(sim, entry, &theirs, request))
        return true;
    settle(sim, entry, DELIVERY_MERGE);
    return false;
}

static bool prepare_delete(struct sim *sim, struct log_entry *entry, struct sf_request *request)
{
    const struct pg_row *row = row_of(sim, entry);

    if (row->bound_id == 0) {
        settle(sim, entry, DELIVERY_SKIP);
        return false;
    }
    *request = (struct sf_request){.op = SF_DELETE, .id = row->bound_id};
    return true;
}

static bool prepare(struct sim *sim, struct log_entry *entry, struct sf_request *request)
{
    if (entry->action == DELIVERY_DELETE)
        return prepare_delete(sim, entry, request);
    if (entry->action == DELIVERY_INSERT && row_of(sim, entry)->bound_id == 0) {
        if (shape_insert(sim, entry, request))
            return true;
        settle(sim, entry, DELIVERY_MERGE);
        return false;
    }
    if (entry->action == DELIVERY_INSERT)
        carry_all(entry);
    return prepare_update(sim, entry, request);
}

/* --- the outcome ------------------------------------------------------------------------------ */

static void bind(struct sim *sim, struct log_entry *entry, uint32_t id)
{
    struct pg_row *row = row_of(sim, entry);

    const struct pg_row *other = pg_row_of(sim, id);

    /* Deleted and undeleted over there before the answer came: another row is the record's now. */
    if (other != NULL && other != row)
        return;
    row->bound_id = id;
    if (!row->is_deleted)
        row->sfid = id;
}

static void deliver(struct sim *sim, struct log_entry *entry)
{
    struct pg_row *row = row_of(sim, entry);

    for (size_t i = 0; i < FIELDS; i++) {
        struct value before = pg_value(&entry->base_at_intent[i]);
        struct value now = pg_value(&row->base[i]);

        if (entry->intent.fields[i] != 0 && merge_delivery_moves_base(&before, &now))
            pg_set_base(sim, row, i, entry->intent.fields[i]);
    }
    if (entry->intent.op == SF_DELETE)
        row->known_deleted = ++sim->sequence;
    settle(sim, entry, DELIVERY_ACCEPT);
}

static void give_back(struct sim *sim, struct log_entry *entry, enum delivery_wait wait)
{
    settle(sim, entry, DELIVERY_RESEND);
    hold(sim, entry, delivery_backoff_ms(wait, entry->attempt, sim_random(sim, 1000) / 1000.0));
}

static void obey(struct sim *sim, struct log_entry *entry, const struct delivery_verdict *verdict,
                 uint32_t id)
{
    if (verdict->binds_id)
        bind(sim, entry, id);
    switch (verdict->todo) {
    case DELIVERY_SETTLE:
        if (verdict->state == DELIVERY_SUCCESS)
            deliver(sim, entry);
        else
            settle(sim, entry, DELIVERY_REFUSE);
        return;
    case DELIVERY_READ_BACK:
        entry->phase = DELIVERY_IN_DOUBT;
        entry->doubt_since_us = sim->now_us;
        entry->not_before_us = 0;
        return;
    case DELIVERY_READ_LATER: hold(sim, entry, 500); return;
    case DELIVERY_RETRY:
    case DELIVERY_MERGE_AGAIN:
    case DELIVERY_PARK_MAPPING:
    case DELIVERY_STOP_WRITES: give_back(sim, entry, verdict->wait); return;
    }
}

static bool may_have_run(const struct sf_answer *answer)
{
    return answer->fate == DELIVERY_UNKNOWN || answer->fate == DELIVERY_ANSWERED;
}

static void break_verdict(const struct sim *sim, const struct sf_answer *answer,
                          struct delivery_verdict *verdict)
{
    bool is_doubt = verdict->todo == DELIVERY_READ_BACK;

    if (sim->mutant == MUTANT_DUPLICATE_AS_FAILURE && answer->fate == DELIVERY_ANSWERED &&
        answer->error == DELIVERY_ERROR_ALREADY_DONE)
        *verdict = (struct delivery_verdict){.todo = DELIVERY_SETTLE, .state = DELIVERY_FAILED};
    if (sim->mutant == MUTANT_RETRY_DROPPED && verdict->todo == DELIVERY_RETRY)
        *verdict = (struct delivery_verdict){.todo = DELIVERY_SETTLE, .state = DELIVERY_FAILED};
    if (sim->mutant == MUTANT_DOUBT_AS_SUCCESS && is_doubt)
        *verdict = (struct delivery_verdict){.todo = DELIVERY_SETTLE, .state = DELIVERY_SUCCESS};
}

/* What goes with a carrier ends as it does. */
static void settle_followers(struct sim *sim, const struct fold *folds,
                             const struct log_entry *entry)
{
    bool is_over = entry->state == DELIVERY_SUCCESS || entry->state == DELIVERY_MERGED ||
                   entry->state == DELIVERY_FAILED;
    size_t carrier = (size_t)(entry - sim->log);

    for (size_t at = folds[carrier].next; is_over && at != 0; at = folds[at - 1].next) {
        struct log_entry *follower = &sim->log[at - 1];

        follower->is_mendable = entry->is_mendable;
        settle(sim, follower, entry->state == DELIVERY_FAILED ? DELIVERY_REFUSE : DELIVERY_MERGE);
    }
}

/* The values of all that go together. */
static void gather_fields(struct sim *sim, const struct fold *folds, struct log_entry *entry)
{
    for (size_t at = folds[entry - sim->log].next; at != 0; at = folds[at - 1].next)
        for (size_t i = 0; i < FIELDS; i++)
            entry->carries[i] = entry->carries[i] || sim->log[at - 1].carries[i];
}

static void push_one(struct sim *sim, struct log_entry *entry)
{
    struct sf_request request;

    if (!prepare(sim, entry, &request))
        return;
    commit_intent(sim, entry, &request);
    if (!sim_pause(sim, ROLE_PUSH))
        return;
    struct sf_answer answer = sf_send(sim, &request);
    if (!sim_pause(sim, ROLE_PUSH))
        return;
    const struct delivery_attempt attempt = {
        .action = (enum delivery_action)request.op,
        .fate = answer.fate,
        .is_success = answer.is_success,
        .error = answer.error,
        .attempt = entry->attempt,
        .has_unique_key = true,
        .has_answered_id = answer.id != 0,
        .was_sent_before = entry->was_sent,
    };
    struct delivery_verdict verdict = delivery_judge(&attempt);
    break_verdict(sim, &answer, &verdict);
    entry->was_sent = entry->was_sent || may_have_run(&answer);
    entry->is_mendable = answer.error == DELIVERY_ERROR_DATA || verdict.is_gone;
    obey(sim, entry, &verdict, answer.id);
}

/* --- doubt ------------------------------------------------------------------------------------ */

static bool holds(const struct sf_record *record, const token_t *fields, const token_t *where)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (where[i] != 0 && record->fields[i] != fields[i])
            return false;
    return true;
}

static void resolve(struct sim *sim, struct log_entry *entry)
{
    const struct sf_request *intent = &entry->intent;
    bool is_create = intent->op == SF_CREATE;
    int64_t quarantine_ms = delivery_quarantine_ms((enum delivery_action)intent->op, true);
    const struct sf_record *found =
        is_create ? sf_find_key(sim, intent->key) : sf_find(sim, intent->id);
    struct delivery_doubt doubt = {
        .action = (enum delivery_action)intent->op,
        .has_unique_key = true,
        .found_count = found != NULL,
        .was_sent = true,
        .is_quarantine_over = sim->now_us - entry->doubt_since_us >= quarantine_ms * 1000,
    };
    uint32_t id = found != NULL ? found->id : 0;

    if (found == NULL && is_create && sf_find_deleted_key(sim, intent->key) != NULL) {
        doubt.was_deleted_since = true;
        id = sf_find_deleted_key(sim, intent->key)->id;
    }
    if (sim->mutant == MUTANT_NO_DOUBT_HOLD)
        doubt.is_quarantine_over = true;
    if (found != NULL) {
        doubt.equals_ours = holds(found, intent->fields, intent->fields);
        doubt.equals_base = holds(found, entry->base_at_intent, intent->fields);
    }
    if (!sim_pause(sim, ROLE_PUSH))
        return;
    struct delivery_verdict verdict = delivery_resolve(&doubt);
    entry->is_mendable = verdict.is_gone;
    obey(sim, entry, &verdict, id);
}

static bool is_held(const struct sim *sim, const struct log_entry *entry)
{
    return entry->not_before_us > sim->now_us;
}

/* What is SENDING when the role begins was cut off by a kill. */
static void recover(struct sim *sim)
{
    for (size_t i = 0; i < sim->log_count; i++) {
        struct log_entry *entry = &sim->log[i];

        if (entry->state != DELIVERY_PENDING || entry->phase != DELIVERY_SENDING)
            continue;
        entry->phase = DELIVERY_IN_DOUBT;
        entry->was_sent = true;
        entry->doubt_since_us = sim->now_us;
        entry->not_before_us = 0;
    }
}

static void resolve_doubts(struct sim *sim)
{
    for (size_t i = 0; i < sim->log_count; i++) {
        struct log_entry *entry = &sim->log[i];

        if (entry->phase == DELIVERY_IN_DOUBT && !is_held(sim, entry))
            resolve(sim, entry);
    }
}

/* --- the round -------------------------------------------------------------------------------- */

/* As outbound/plan.c does: the carriers go, and what goes with them or is over does not. */
static void apply_folds(struct sim *sim, const struct fold *folds, struct order_entry *entries)
{
    for (size_t i = 0; i < sim->log_count; i++) {
        if (folds[i].is_revived)
            entries[i].state = DELIVERY_NEW;
        if (folds[i].fate != FOLD_ALONE)
            entries[i].state = DELIVERY_MERGED;
    }
}

static void settle_superseded(struct sim *sim, const struct fold *folds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (folds[i].fate == FOLD_OVER)
            settle(sim, &sim->log[i],
                   sim->log[i].action == DELIVERY_DELETE ? DELIVERY_SKIP : DELIVERY_MERGE);
}

static struct order_plan plan_round(struct sim *sim, const struct fold **folds)
{
    struct order_entry *entries = arena_array(sim->arena, struct order_entry, sim->log_count);

    for (size_t i = 0; i < sim->log_count; i++)
        entries[i] = (struct order_entry){
            .log_id = (int64_t)i,
            .record_id = (int32_t)sim->log[i].row + 1,
            .key_hash = sim->rows[sim->log[i].row].key,
            .action = sim->log[i].action,
            .state = sim->log[i].state,
            .is_held = is_held(sim, &sim->log[i]),
            .was_sent = sim->log[i].was_sent,
            .is_bound = sim->rows[sim->log[i].row].bound_id != 0,
        };
    *folds = sim->is_merged ? fold_merged(entries, sim->log_count, sim->arena)
                            : arena_array(sim->arena, struct fold, sim->log_count);
    apply_folds(sim, *folds, entries);
    return order_next_round(entries, sim->log_count, 3, sim->arena);
}

static void push_batch(struct sim *sim, const struct order_batch *batch, const struct fold *folds)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct log_entry *entry = &sim->log[batch->entries[i]];

        if (folds[batch->entries[i]].is_revived)
            delivery_move(DELIVERY_FAILED, DELIVERY_REQUEUING, &entry->state);
        gather_fields(sim, folds, entry);
        push_one(sim, entry);
        settle_followers(sim, folds, entry);
    }
}

void engine_push(struct sim *sim)
{
    const struct fold *folds;

    recover(sim);
    resolve_doubts(sim);
    arena_reset(sim->arena);
    size_t count = sim->log_count;
    struct order_plan plan = plan_round(sim, &folds);
    settle_superseded(sim, folds, count);
    for (size_t i = 0; i < plan.refusal_count; i++)
        settle(sim, &sim->log[plan.refusals[i].entry],
               plan.refusals[i].state == DELIVERY_FAILED ? DELIVERY_REFUSE : DELIVERY_SKIP);
    for (size_t i = 0; i < plan.batch_count; i++)
        push_batch(sim, &plan.batches[i], folds);
}
