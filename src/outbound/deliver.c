#include "outbound/deliver.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "outbound/parcel.h"
#include "outbound/receipt.h"
#include "outbound/recheck.h"
#include "sf/collections.h"

/* One request, in step with a struct sf_batch. */
struct shipment {
    struct parcel *parcels;
    size_t count;
    json_t *records;
    const char **ids;
};

struct delivery {
    struct deliver_world world;
    const struct plan *plan;
    enum delivery_action action;
    struct settle *settle;
    struct deliver_report report;
    struct shipment *shipments;
    struct sf_batch *batches;
    size_t count;
    size_t first;                   /* of those that are not taken yet */
    struct receipt_item *receipted; /* what goes with a receipt */
    size_t receipted_count;
    struct receipt_writing *receipts; /* on their way; NULL: they are not */
};

#define NOT_SENT "not sent"

static const enum delivery_error errors_of_outcomes[] = {
    [SF_OUTCOME_SUCCESS] = DELIVERY_ERROR_NONE,
    [SF_OUTCOME_ALREADY_DONE] = DELIVERY_ERROR_ALREADY_DONE,
    [SF_OUTCOME_TRANSIENT] = DELIVERY_ERROR_TRANSIENT,
    [SF_OUTCOME_CONFLICT] = DELIVERY_ERROR_CONFLICT,
    [SF_OUTCOME_GONE] = DELIVERY_ERROR_GONE,
    [SF_OUTCOME_AMBIGUOUS] = DELIVERY_ERROR_AMBIGUOUS,
    [SF_OUTCOME_DATA] = DELIVERY_ERROR_DATA,
    [SF_OUTCOME_REFERENCE_MISSING] = DELIVERY_ERROR_REFERENCE_MISSING,
    [SF_OUTCOME_PERMISSION] = DELIVERY_ERROR_PERMISSION,
    [SF_OUTCOME_SCHEMA] = DELIVERY_ERROR_SCHEMA,
    [SF_OUTCOME_ORG_STOPPED] = DELIVERY_ERROR_ORG_STOPPED,
    [SF_OUTCOME_SESSION] = DELIVERY_ERROR_SESSION,
    [SF_OUTCOME_LIMIT] = DELIVERY_ERROR_LIMIT,
    [SF_OUTCOME_TOO_LARGE] = DELIVERY_ERROR_TRANSIENT,
    [SF_OUTCOME_ROLLED_BACK] = DELIVERY_ERROR_TRANSIENT,
    [SF_OUTCOME_CURSOR_LOST] = DELIVERY_ERROR_UNKNOWN,
    [SF_OUTCOME_UNKNOWN] = DELIVERY_ERROR_UNKNOWN,
};

static const enum delivery_fate fates[] = {[SF_NOT_DONE] = DELIVERY_REFUSED,
                                           [SF_ANSWERED] = DELIVERY_ANSWERED,
                                           [SF_IN_DOUBT] = DELIVERY_UNKNOWN};

static const enum sf_write writes[] = {
    [DELIVERY_INSERT] = SF_CREATE, [DELIVERY_UPDATE] = SF_UPDATE, [DELIVERY_DELETE] = SF_DELETE};

/* What goes with an entry ends as it does; what is to be tried again is folded anew. */
static void settle_followers(struct delivery *delivery, const struct parcel *parcel,
                             const struct settle_outcome *outcome)
{
    const struct plan *plan = delivery->plan;
    enum delivery_state state = outcome->verdict.state;
    const struct settle_outcome followers = {
        .verdict = {.todo = DELIVERY_SETTLE,
                    .state = state == DELIVERY_SUCCESS ? DELIVERY_MERGED : state},
        .message = outcome->message,
    };

    if (state != DELIVERY_SUCCESS && state != DELIVERY_FAILED)
        return;
    for (size_t at = plan_next(plan, parcel->index); at != 0; at = plan_next(plan, at - 1))
        settle_add(delivery->settle, NULL, &plan->queue->entries[at - 1], &followers);
}

static void settle_parcel(struct delivery *delivery, const struct parcel *parcel,
                          const struct settle_outcome *outcome)
{
    delivery->report.failed += outcome->verdict.state == DELIVERY_FAILED;
    settle_add(delivery->settle, parcel->mapping, parcel->entry, outcome);
    settle_followers(delivery, parcel, outcome);
}

static void settle_unsent(struct delivery *delivery, const struct parcel *parcel)
{
    const struct settle_outcome outcome = {
        .verdict = {.todo = DELIVERY_SETTLE, .state = parcel->state},
        .sfid = parcel->state == DELIVERY_NEW ? parcel->sfid : NULL,
        .message = parcel->message,
    };

    delivery->report.unsent++;
    settle_parcel(delivery, parcel, &outcome);
}

/* False: reading rows failed. */
static bool make_parcels(struct delivery *delivery, const struct order_batch *batch,
                         struct parcel *parcels, struct error *err)
{
    const struct plan *plan = delivery->plan;
    const struct parcel_world world = {delivery->world.pg, delivery->world.arena, plan, false};

    for (size_t i = 0; i < batch->count; i++)
        parcels[i] = (struct parcel){.index = batch->entries[i],
                                     .entry = &plan->queue->entries[batch->entries[i]],
                                     .mapping = plan->entries[batch->entries[i]].mapping};
    if (!parcel_read_rows(&world, parcels, batch->count, err))
        return false;
    for (size_t i = 0; i < batch->count; i++)
        parcel_fill(&world, &parcels[i], delivery->action);
    return true;
}

enum way {
    WAY_TOGETHER,
    WAY_ADOPTING, /* together, by an upsert: the record may be there */
    WAY_ALONE,    /* on a condition */
    WAY_RECEIPTED,
};

static enum way way_of(const struct delivery *delivery, const struct parcel *parcel)
{
    if (delivery->action == DELIVERY_INSERT && parcel->mapping->adopts_existing &&
        parcel->record.external_id != NULL)
        return WAY_ADOPTING;
    if (parcel->trace != NULL && parcel->marker_field == NULL)
        return WAY_RECEIPTED;
    return delivery->action == DELIVERY_UPDATE &&
                   delivery->plan->entries[parcel->index].unmodified_since_s != 0
               ? WAY_ALONE
               : WAY_TOGETHER;
}

/* Room for all ways. */
static size_t count_shipments(const struct plan *plan, const struct order_batch *batch)
{
    size_t count = 2;

    for (size_t i = 0; i < batch->count; i++)
        count += plan->entries[batch->entries[i]].unmodified_since_s != 0;
    return count;
}

static struct shipment *begin_shipment(struct delivery *delivery, size_t room)
{
    struct shipment *shipment = &delivery->shipments[delivery->count];
    struct arena *arena = delivery->world.arena;

    shipment->parcels = arena_array(arena, struct parcel, room);
    shipment->ids = arena_array(arena, const char *, room);
    shipment->records = json_array();
    return shipment;
}

static void load(struct shipment *shipment, const struct parcel *parcel)
{
    shipment->ids[shipment->count] = parcel->sfid;
    if (parcel->record.json != NULL)
        json_array_append_new(shipment->records, parcel->record.json);
    shipment->parcels[shipment->count++] = *parcel;
}

static void end_shipment(struct delivery *delivery, struct shipment *shipment)
{
    if (shipment->count > 0)
        delivery->count++;
    else
        json_decref(shipment->records);
}

static void load_together(struct delivery *delivery, const struct parcel *parcels, size_t count,
                          enum way way)
{
    struct shipment *shipment = begin_shipment(delivery, count);

    for (size_t i = 0; i < count; i++)
        if (way_of(delivery, &parcels[i]) == way)
            load(shipment, &parcels[i]);
    end_shipment(delivery, shipment);
}

/* What does not go is settled, or left for another round. Answers how many go. */
static size_t keep_sent(struct delivery *delivery, struct parcel *parcels, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (delivery->plan->entries[parcels[i].index].is_put_off)
            json_decref(parcels[i].record.json);
        else if (!parcels[i].is_to_be_sent)
            settle_unsent(delivery, &parcels[i]);
        else
            parcels[kept++] = parcels[i];
    }
    return kept;
}

static bool fill_shipments(struct delivery *delivery, const struct order_batch *batch,
                           struct error *err)
{
    struct parcel *parcels = arena_array(delivery->world.arena, struct parcel, batch->count);

    if (delivery->action == DELIVERY_UPDATE &&
        !recheck_updates(&delivery->world, delivery->plan, batch, &delivery->report.put_off, err))
        return false;
    if (!make_parcels(delivery, batch, parcels, err))
        return false;
    size_t count = keep_sent(delivery, parcels, batch->count);
    load_together(delivery, parcels, count, WAY_TOGETHER);
    load_together(delivery, parcels, count, WAY_ADOPTING);
    for (size_t i = 0; i < count; i++)
        if (way_of(delivery, &parcels[i]) == WAY_ALONE)
            load_together(delivery, &parcels[i], 1, WAY_ALONE);
        else if (way_of(delivery, &parcels[i]) == WAY_RECEIPTED)
            delivery->receipted[delivery->receipted_count++] = (struct receipt_item){
                .parcel = parcels[i],
                .batch = {
                    .fate = SF_NOT_DONE, .outcome = SF_OUTCOME_TRANSIENT, .message = NOT_SENT}};
    return true;
}

static void fill_batch(const struct delivery *delivery, size_t index)
{
    const struct shipment *shipment = &delivery->shipments[index];
    const struct parcel *first = &shipment->parcels[0];
    struct sf_batch *batch = &delivery->batches[index];

    batch->write = writes[delivery->action];
    batch->records = delivery->action == DELIVERY_DELETE ? NULL : shipment->records;
    batch->ids = shipment->ids;
    batch->id_count = shipment->count;
    switch (way_of(delivery, first)) {
    case WAY_RECEIPTED:
    case WAY_TOGETHER: break;
    case WAY_ADOPTING:
        batch->write = SF_UPSERT;
        batch->object = first->mapping->object_name;
        batch->external_id_field = first->mapping->upsert->field_name;
        break;
    case WAY_ALONE:
        batch->unmodified_since_s = delivery->plan->entries[first->index].unmodified_since_s;
        break;
    }
    batch->fate = SF_NOT_DONE;
    batch->outcome = SF_OUTCOME_TRANSIENT;
    batch->message = NOT_SENT;
}

json_t *deliver_intent(const struct parcel *parcel, int64_t job)
{
    json_t *intent = json_object();

    json_object_set_new(intent, "log_id", json_integer(parcel->entry->log_id));
    json_object_set_new(intent, "mapping_id", json_integer(parcel->mapping->id));
    json_object_set_new(intent, "record_id", json_integer(parcel->entry->record_id));
    json_object_set_new(intent, "action", json_string(parcel->entry->action));
    if (parcel->record.external_id != NULL)
        json_object_set_new(intent, "external_id", json_string(parcel->record.external_id));
    if (parcel->trace != NULL)
        json_object_set_new(intent, "trace", json_string(parcel->trace));
    if (parcel->marker_field != NULL)
        json_object_set_new(intent, "marker_field", json_string(parcel->marker_field));
    if (parcel->sfid != NULL)
        json_object_set_new(intent, "sfid", json_string(parcel->sfid));
    if (parcel->record.json != NULL)
        json_object_set(intent, "body", parcel->record.json);
    if (job != 0)
        json_object_set_new(intent, "bulk_job", json_integer(job));
    return intent;
}

static const char *join_message(struct arena *arena, const char *code, const char *message)
{
    if (code == NULL || code[0] == '\0')
        return message != NULL && message[0] != '\0' ? message : NULL;
    return arena_printf(arena, "%s: %s", code, message != NULL ? message : "");
}

static struct delivery_attempt make_attempt(const struct deliver_facts *facts)
{
    const struct sf_row_result *row = facts->row;

    return (struct delivery_attempt){
        .action = facts->action,
        .fate = fates[facts->fate],
        .is_success = row != NULL && row->outcome == SF_OUTCOME_SUCCESS,
        .error = errors_of_outcomes[row != NULL ? row->outcome : facts->outcome],
        .attempt = (uint32_t)facts->entry->attempt + 1,
        .has_unique_key = facts->has_unique_key,
        .has_receipt = facts->entry->trace != NULL && facts->entry->marker_field == NULL,
        .was_sent_before = facts->entry->was_in_doubt,
    };
}

static int64_t choose_wait_ms(const struct deliver_facts *facts,
                              const struct delivery_verdict *verdict, uint32_t attempt)
{
    /* An object or field that is unknown comes back by a change over there, not at once. */
    enum delivery_wait wait =
        verdict->todo == DELIVERY_PARK_MAPPING ? DELIVERY_WAIT_LONG : verdict->wait;
    int64_t wait_ms = delivery_backoff_ms(wait, attempt, drand48());
    int64_t asked_ms = (int64_t)facts->retry_after_s * 1000;

    return wait_ms > asked_ms ? wait_ms : asked_ms;
}

/* DUPLICATE_VALUE names the record that has our key in its message only. */
static const char *answered_id(struct arena *arena, const struct sf_row_result *row)
{
    char id[SF_ID_BYTES];

    if (row == NULL)
        return NULL;
    if (row->id[0] != '\0')
        return row->id;
    return sf_duplicate_value_id(row->message, id) ? arena_strdup(arena, id) : NULL;
}

/* Created, but without some references: the entry goes again, as an update with those. */
static void leave_rest(const struct parcel *parcel, struct settle_outcome *outcome)
{
    if (!parcel->has_rest || outcome->verdict.state != DELIVERY_SUCCESS || outcome->sfid == NULL)
        return;
    outcome->verdict.todo = DELIVERY_RETRY;
    outcome->verdict.state = DELIVERY_NEW;
    outcome->wait_ms = 0;
}

struct settle_outcome deliver_outcome(const struct deliver_facts *facts, struct arena *arena)
{
    const struct sf_row_result *row = facts->row;
    struct delivery_attempt attempt = make_attempt(facts);
    const char *id = answered_id(arena, row);

    attempt.has_answered_id = id != NULL;
    struct delivery_verdict verdict = delivery_judge(&attempt);
    const char *words = row != NULL ? join_message(arena, row->code, row->message)
                                    : join_message(arena, facts->code, facts->message);
    return (struct settle_outcome){
        .verdict = verdict,
        .sfid = verdict.binds_id ? id : NULL,
        .message = verdict.state == DELIVERY_SUCCESS ? NULL
                   : words != NULL                   ? words
                                                     : verdict.reason,
        .is_from_salesforce = words != NULL,
        .may_be_done = attempt.fate == DELIVERY_UNKNOWN || attempt.is_success,
        .wait_ms = choose_wait_ms(facts, &verdict, attempt.attempt),
    };
}

/* What batch and row say of a parcel; row may be NULL. */
static struct deliver_facts find_facts(const struct delivery *delivery,
                                       const struct sf_batch *batch, const struct parcel *parcel,
                                       const struct sf_row_result *row)
{
    return (struct deliver_facts){
        .entry = parcel->entry,
        .action = delivery->action,
        .has_unique_key = parcel->record.external_id != NULL,
        .fate = batch->fate,
        .outcome = batch->outcome,
        .code = batch->code,
        .message = batch->message,
        .retry_after_s = batch->retry_after_s,
        .row = row,
    };
}

static void judge(struct delivery *delivery, const struct parcel *parcel,
                  const struct deliver_facts *facts)
{
    struct settle_outcome outcome = deliver_outcome(facts, delivery->world.arena);

    delivery->report.sent++;
    delivery->report.unsettled += !delivery_is_settled(outcome.verdict.state);
    if (outcome.verdict.todo == DELIVERY_STOP_WRITES) {
        delivery->report.must_stop = true;
        delivery->report.message = outcome.message;
    }
    leave_rest(parcel, &outcome);
    settle_parcel(delivery, parcel, &outcome);
}

static void judge_all(struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->count; i++)
        for (size_t j = 0; j < delivery->shipments[i].count; j++) {
            const struct sf_batch *batch = &delivery->batches[i];
            const struct parcel *parcel = &delivery->shipments[i].parcels[j];
            bool has_results = batch->results != NULL && j < batch->result_count;
            struct deliver_facts facts =
                find_facts(delivery, batch, parcel, has_results ? &batch->results[j] : NULL);

            judge(delivery, parcel, &facts);
        }
    for (size_t i = 0; i < delivery->receipted_count; i++) {
        const struct receipt_item *item = &delivery->receipted[i];
        struct deliver_facts facts =
            find_facts(delivery, &item->batch, &item->parcel, item->has_row ? &item->row : NULL);

        facts.has_unique_key = item->is_taken;
        judge(delivery, &item->parcel, &facts);
    }
}

/* Signing in again failed: what only an operator can mend stops the role, after the bookkeeping. */
static void note_call_error(struct delivery *delivery, const struct error *call_error)
{
    if (call_error->kind != ERROR_CONFIG)
        return;
    delivery->report.must_stop = true;
    delivery->report.message = arena_strdup(delivery->world.arena, call_error->message);
}

void deliver_drop(struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->count; i++)
        json_decref(delivery->shipments[i].records);
    for (size_t i = 0; i < delivery->receipted_count; i++)
        json_decref(delivery->receipted[i].parcel.record.json);
    delivery->count = 0;
    delivery->receipted_count = 0;
}

struct delivery *deliver_prepare(const struct deliver_world *world, const struct plan *plan,
                                 const struct order_batch *batch, struct settle *settle,
                                 struct error *err)
{
    struct delivery *delivery = arena_alloc(world->arena, sizeof(*delivery));
    size_t room = count_shipments(plan, batch);

    *delivery = (struct delivery){
        .world = *world,
        .plan = plan,
        .action = batch->action,
        .settle = settle,
        .shipments = arena_array(world->arena, struct shipment, room),
        .batches = arena_array(world->arena, struct sf_batch, room),
        .receipted = arena_array(world->arena, struct receipt_item, batch->count),
    };
    if (!fill_shipments(delivery, batch, err)) {
        deliver_drop(delivery);
        return NULL;
    }
    for (size_t i = 0; i < delivery->count; i++) {
        fill_batch(delivery, i);
        for (size_t j = 0; j < delivery->shipments[i].count; j++)
            settle_intend(settle, deliver_intent(&delivery->shipments[i].parcels[j], 0));
    }
    for (size_t i = 0; i < delivery->receipted_count; i++)
        settle_intend(settle, deliver_intent(&delivery->receipted[i].parcel, 0));
    return delivery;
}

static bool is_refused_for_a_record(const struct delivery *delivery, size_t index)
{
    const struct sf_batch *batch = &delivery->batches[index];

    return batch->fate == SF_NOT_DONE && delivery->shipments[index].count > 1 &&
           sf_outcome_is_of_some_record(batch->outcome);
}

/* The upper half becomes a shipment of its own. */
static void split(struct delivery *delivery, size_t index)
{
    struct shipment *lower = &delivery->shipments[index];
    struct shipment *upper = &delivery->shipments[delivery->count];
    size_t half = lower->count / 2;

    *upper = (struct shipment){.parcels = lower->parcels + half,
                               .count = lower->count - half,
                               .records = json_array(),
                               .ids = lower->ids + half};
    for (size_t i = half; i < json_array_size(lower->records); i++)
        json_array_append(upper->records, json_array_get(lower->records, i));
    while (json_array_size(lower->records) > half)
        json_array_remove(lower->records, half);
    lower->count = half;
    delivery->count++;
    fill_batch(delivery, index);
    fill_batch(delivery, delivery->count - 1);
}

/* Halves what was refused, and puts the halves in a row behind all else, to be sent. False: nothing
 * was. */
static bool split_refused(struct delivery *delivery)
{
    struct arena *arena = delivery->world.arena;
    struct shipment *shipments = delivery->shipments;
    struct sf_batch *batches = delivery->batches;
    size_t count = delivery->count;
    size_t settled = 0;

    delivery->shipments = arena_array(arena, struct shipment, 2 * count);
    delivery->batches = arena_array(arena, struct sf_batch, 2 * count);
    memcpy(delivery->shipments, shipments, count * sizeof(*shipments));
    memcpy(delivery->batches, batches, count * sizeof(*batches));
    for (size_t i = 0; i < count; i++)
        if (is_refused_for_a_record(delivery, i))
            split(delivery, i);
    if (delivery->count == count)
        return false;
    /* Those that were split stand behind those that were not. */
    for (size_t i = 0; i < count; i++) {
        struct shipment shipment = delivery->shipments[i];
        struct sf_batch batch = delivery->batches[i];

        if (batch.results == NULL && strcmp(batch.message, NOT_SENT) == 0)
            continue;
        delivery->shipments[i] = delivery->shipments[settled];
        delivery->batches[i] = delivery->batches[settled];
        delivery->shipments[settled] = shipment;
        delivery->batches[settled++] = batch;
    }
    delivery->first = settled;
    return true;
}

/* A batch that is not begun keeps the fate of what was not sent. */
static void begin_shipments(struct delivery *delivery)
{
    struct error call_error = {0};

    for (size_t i = delivery->first; i < delivery->count; i++)
        if (!sf_collection_begin(delivery->world.session, &delivery->batches[i],
                                 delivery->world.arena, &call_error))
            note_call_error(delivery, &call_error);
}

void deliver_begin(struct delivery *delivery)
{
    begin_shipments(delivery);
    if (delivery->receipted_count > 0)
        delivery->receipts = receipt_begin(delivery->world.session, delivery->receipted,
                                           delivery->receipted_count, delivery->world.arena);
}

bool deliver_is_answered(const struct delivery *delivery)
{
    for (size_t i = delivery->first; i < delivery->count; i++)
        if (!sf_collection_is_answered(&delivery->batches[i]))
            return false;
    return delivery->receipts == NULL || receipt_is_answered(delivery->receipts);
}

/* False: some went again. */
static bool take_shipments(struct delivery *delivery)
{
    struct error call_error = {0};
    bool is_ok = true;
    bool are_over = true;

    for (size_t i = delivery->first; i < delivery->count; i++) {
        bool is_over;

        if (!sf_collection_end(delivery->world.session, &delivery->batches[i],
                               delivery->world.arena, &is_over, &call_error)) {
            note_call_error(delivery, &call_error);
            is_ok = false;
        }
        are_over = are_over && is_over;
    }
    if (!are_over || !is_ok || !split_refused(delivery))
        return are_over;
    begin_shipments(delivery);
    return false;
}

static bool take_receipts(struct delivery *delivery)
{
    struct error call_error = {0};
    bool is_over = true;

    if (delivery->receipts != NULL && !receipt_take(delivery->receipts, &is_over, &call_error))
        note_call_error(delivery, &call_error);
    if (is_over)
        delivery->receipts = NULL;
    return is_over;
}

bool deliver_take(struct delivery *delivery)
{
    bool are_shipments_over = take_shipments(delivery);

    return take_receipts(delivery) && are_shipments_over;
}

struct deliver_report deliver_judge(struct delivery *delivery)
{
    judge_all(delivery);
    deliver_drop(delivery);
    return delivery->report;
}
