#include "outbound/units.h"

#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "outbound/parcel.h"
#include "sf/composite.h"

/* Stands for the id of a record that the unit makes, until the steps are known. */
#define ID_TO_COME "@"

#define NOTHING_WRITTEN "pgforce: nothing of the transaction was written: entry %lld: %s"

static const enum sf_write writes[] = {
    [DELIVERY_INSERT] = SF_CREATE, [DELIVERY_UPDATE] = SF_UPDATE, [DELIVERY_DELETE] = SF_DELETE};

/* One unit on its way. */
struct cargo {
    const struct unit *unit;
    struct parcel *parcels;               /* in step with the unit's entries */
    struct settle_outcome *outcomes;      /* likewise */
    const struct sf_row_result **results; /* likewise; NULL: none was answered */
    struct unit_steps steps;              /* of what is sent */
    struct sf_composite composite;
};

/* ---- choosing ---- */

static void warn_misfits(const struct units *units)
{
    for (size_t i = 0; i < units->choice.misfit_count; i++) {
        const struct unit *misfit = &units->choice.misfits[i];

        log_warning(
            "a transaction does not fit one call: its changes go one by one",
            log_number("first_entry", units->plan->queue->entries[misfit->entries[0]].log_id),
            log_number("entries", (int64_t)misfit->count));
    }
}

void units_choose(struct units *units, bool is_cut)
{
    const struct queue *queue = units->plan->queue;
    uint64_t *commits = arena_array(units->world.arena, uint64_t, queue->count);

    for (size_t i = 0; i < queue->count; i++)
        commits[i] = queue->entries[i].commit_lsn;
    const struct unit_log log = {units->plan->orders, commits, queue->count, is_cut};
    units->choice = unit_choose(&log, units->world.arena);
    for (size_t i = 0; i < queue->count; i++)
        if (units->choice.are_held[i])
            units->plan->orders[i].is_held = true;
    warn_misfits(units);
}

/* The UPDATE of the same record before a unit's entry, plus one; 0: none. */
static size_t update_before(const struct units *units, const struct unit *unit, size_t place)
{
    const struct order_entry *own = &units->plan->orders[unit->entries[place]];

    for (size_t i = place; i-- > 0;) {
        const struct order_entry *other = &units->plan->orders[unit->entries[i]];

        if (other->action == DELIVERY_UPDATE && other->mapping == own->mapping &&
            other->record_id == own->record_id)
            return unit->entries[i] + 1;
    }
    return 0;
}

static void show_unit(const struct units *units, const struct unit *unit,
                      struct order_batch *batches)
{
    struct plan *plan = units->plan;

    for (size_t i = 0; i < unit->count; i++) {
        const struct order_entry *order = &plan->orders[unit->entries[i]];
        size_t before = update_before(units, unit, i);

        if (order->action == DELIVERY_INSERT || (order->action == DELIVERY_DELETE && before != 0))
            continue;
        if (before != 0)
            plan->next_in_unit[before - 1] = unit->entries[i] + 1;
        else
            batches[plan->round.batch_count++] =
                (struct order_batch){order->mapping, order->action, &unit->entries[i], 1};
    }
}

void units_show_updates(const struct units *units)
{
    struct order_plan *round = &units->plan->round;
    size_t room = round->batch_count;

    for (size_t i = 0; i < units->choice.count; i++)
        room += units->choice.units[i].count;
    struct order_batch *batches = arena_array(units->world.arena, struct order_batch, room);
    if (round->batch_count > 0)
        memcpy(batches, round->batches, round->batch_count * sizeof(*batches));
    units->plan->next_in_unit = arena_array(units->world.arena, size_t, units->plan->queue->count);
    for (size_t i = 0; i < units->choice.count; i++)
        show_unit(units, &units->choice.units[i], batches);
    round->batches = batches;
}

/* ---- preparing ---- */

static const struct order_entry *order_of(const struct units *units, const struct cargo *cargo,
                                          size_t part)
{
    return &units->plan->orders[cargo->unit->entries[part]];
}

/* The part that makes the record which this one changes, plus one; 0: none. */
static size_t maker_of(const struct units *units, const struct cargo *cargo, size_t part)
{
    const struct order_entry *own = order_of(units, cargo, part);

    for (size_t i = part; own->action != DELIVERY_INSERT && i-- > 0;) {
        const struct order_entry *other = order_of(units, cargo, i);

        if (other->action == DELIVERY_INSERT && other->mapping == own->mapping &&
            other->record_id == own->record_id)
            return i + 1;
    }
    return 0;
}

static bool fill_parcels(const struct units *units, struct cargo *cargo, struct error *err)
{
    const struct parcel_world world = {units->world.pg, units->world.arena, units->plan, true};
    size_t count = cargo->unit->count;

    cargo->parcels = arena_array(units->world.arena, struct parcel, count);
    cargo->outcomes = arena_array(units->world.arena, struct settle_outcome, count);
    cargo->results = arena_array(units->world.arena, const struct sf_row_result *, count);
    for (size_t i = 0; i < count; i++) {
        size_t index = cargo->unit->entries[i];

        cargo->parcels[i] = (struct parcel){.index = index,
                                            .entry = &units->plan->queue->entries[index],
                                            .mapping = units->plan->entries[index].mapping};
    }
    if (!parcel_read_rows(&world, cargo->parcels, count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (cargo->parcels[i].entry->sfid == NULL && maker_of(units, cargo, i) != 0)
            cargo->parcels[i].sfid = ID_TO_COME;
        parcel_fill(&world, &cargo->parcels[i], order_of(units, cargo, i)->action);
    }
    return true;
}

static void free_records(struct cargo *cargo)
{
    for (size_t i = 0; i < cargo->unit->count; i++) {
        json_decref(cargo->parcels[i].record.json);
        cargo->parcels[i].record.json = NULL;
    }
}

static void settle_part(const struct units *units, const struct cargo *cargo, size_t part,
                        struct units_report *report)
{
    const struct parcel *parcel = &cargo->parcels[part];
    const struct settle_outcome *outcome = &cargo->outcomes[part];

    report->failed += outcome->verdict.state == DELIVERY_FAILED;
    report->unsettled += !delivery_is_settled(outcome->verdict.state);
    settle_add(units->settle, parcel->mapping, parcel->entry, outcome);
}

static size_t find_unsent(const struct cargo *cargo, enum delivery_state state)
{
    for (size_t i = 0; i < cargo->unit->count; i++)
        if (!cargo->parcels[i].is_to_be_sent && cargo->parcels[i].state == state)
            return i;
    return cargo->unit->count;
}

static const char *or_unsaid(const char *message)
{
    return message != NULL ? message : "no reason was given";
}

/* One entry ends so, and the others with it. */
static void end_all(const struct units *units, struct cargo *cargo, size_t culprit,
                    const struct settle_outcome *own, struct units_report *report)
{
    struct settle_outcome others = *own;

    others.sfid = NULL;
    others.is_from_salesforce = false;
    others.message =
        arena_printf(units->world.arena, NOTHING_WRITTEN,
                     (long long)cargo->parcels[culprit].entry->log_id, or_unsaid(own->message));
    for (size_t i = 0; i < cargo->unit->count; i++) {
        cargo->outcomes[i] = i == culprit ? *own : others;
        settle_part(units, cargo, i, report);
    }
    free_records(cargo);
}

static struct settle_outcome unsent_outcome(const struct parcel *parcel)
{
    return (struct settle_outcome){
        .verdict = {.todo = DELIVERY_SETTLE, .state = parcel->state},
        .sfid = parcel->state == DELIVERY_NEW ? parcel->sfid : NULL,
        .message = parcel->message,
    };
}

/* The record's INSERT failed: nothing will ever be sent. */
static bool end_refused(const struct units *units, struct cargo *cargo, struct units_report *report)
{
    const struct unit *unit = cargo->unit;
    size_t culprit = 0;

    if (unit->failed_insert == 0)
        return false;
    while (unit->entries[culprit] + 1 != unit->refused_entry)
        culprit++;
    const struct settle_outcome own = {
        .verdict = {.todo = DELIVERY_SETTLE, .state = DELIVERY_FAILED},
        .message = arena_printf(
            units->world.arena,
            "pgforce: the record's INSERT (entry %lld) failed: mend and retry that one first",
            (long long)units->plan->queue->entries[unit->failed_insert - 1].log_id),
    };
    end_all(units, cargo, culprit, &own, report);
    return true;
}

/* What a part cannot be sent for concerns all of them. */
static bool end_unsendable(const struct units *units, struct cargo *cargo,
                           struct units_report *report)
{
    static const enum delivery_state states[] = {DELIVERY_FAILED, DELIVERY_NEW};

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        size_t culprit = find_unsent(cargo, states[i]);

        if (culprit == cargo->unit->count)
            continue;
        const struct settle_outcome own = unsent_outcome(&cargo->parcels[culprit]);
        end_all(units, cargo, culprit, &own, report);
        return true;
    }
    return false;
}

static size_t part_of(const struct cargo *cargo, size_t index)
{
    size_t part = 0;

    while (cargo->unit->entries[part] != index)
        part++;
    return part;
}

/* Where the steps make a part's record. */
static const char *reference_to(const struct units *units, const struct cargo *cargo, size_t part)
{
    for (size_t i = 0; i < cargo->steps.count; i++)
        for (size_t j = 0; j < cargo->steps.items[i].count; j++)
            if (cargo->steps.items[i].entries[j] == cargo->unit->entries[part])
                return sf_composite_reference(i, j, cargo->steps.items[i].count == 1,
                                              units->world.arena);
    return "";
}

static void fill_step(const struct units *units, const struct cargo *cargo, size_t number)
{
    const struct unit_step *from = &cargo->steps.items[number];
    struct sf_batch *step = &cargo->composite.steps[number];
    const char **ids = arena_array(units->world.arena, const char *, from->count);
    json_t *records = json_array();

    for (size_t i = 0; i < from->count; i++) {
        size_t part = part_of(cargo, from->entries[i]);
        struct parcel *parcel = &cargo->parcels[part];

        ids[i] = parcel->sfid;
        if (parcel->sfid != NULL && strcmp(parcel->sfid, ID_TO_COME) == 0)
            ids[i] = reference_to(units, cargo, maker_of(units, cargo, part) - 1);
        if (parcel->action == DELIVERY_UPDATE)
            json_object_set_new(parcel->record.json, "id", json_string(ids[i]));
        if (parcel->record.json != NULL)
            json_array_append(records, parcel->record.json);
        if (ids[i] != parcel->sfid)
            parcel->sfid = NULL; /* not known yet, for the intent */
        step->write = writes[parcel->action];
        step->object = parcel->mapping->object_name;
    }
    step->records = records;
    step->ids = ids;
    step->id_count = from->count;
}

static bool load_steps(const struct units *units, struct cargo *cargo, struct error *err)
{
    struct arena *arena = units->world.arena;
    size_t *sent = arena_array(arena, size_t, cargo->unit->count);
    struct unit rest = {.entries = sent};

    for (size_t i = 0; i < cargo->unit->count; i++)
        if (cargo->parcels[i].is_to_be_sent)
            sent[rest.count++] = cargo->unit->entries[i];
    if (!unit_pack(units->plan->orders, &rest, arena, &cargo->steps))
        return error_set(err, ERROR_BUG, "a part of a unit does not fit where the whole does");
    cargo->composite.count = cargo->steps.count;
    cargo->composite.steps = arena_array(arena, struct sf_batch, cargo->steps.count);
    for (size_t i = 0; i < cargo->steps.count; i++)
        fill_step(units, cargo, i);
    return true;
}

static bool is_put_off(const struct units *units, const struct unit *unit)
{
    for (size_t i = 0; i < unit->count; i++)
        if (units->plan->entries[unit->entries[i]].is_put_off)
            return true;
    return false;
}

static void intend(const struct units *units, const struct cargo *cargo)
{
    for (size_t i = 0; i < cargo->unit->count; i++) {
        if (!cargo->parcels[i].is_to_be_sent)
            continue;
        json_t *intent = deliver_intent(&cargo->parcels[i], 0);

        json_object_set_new(intent, "is_unit", json_true());
        settle_intend(units->settle, intent);
    }
}

/* False: an error. *is_ready: there is something to be sent. */
static bool prepare(const struct units *units, struct cargo *cargo, bool *is_ready,
                    struct units_report *report, struct error *err)
{
    *is_ready = false;
    if (!fill_parcels(units, cargo, err))
        return false;
    if (end_refused(units, cargo, report) || end_unsendable(units, cargo, report)) {
        report->resolved++;
        return true;
    }
    if (!load_steps(units, cargo, err)) {
        free_records(cargo);
        return false;
    }
    intend(units, cargo);
    *is_ready = cargo->steps.count > 0;
    for (size_t i = 0; !*is_ready && i < cargo->unit->count; i++) {
        cargo->outcomes[i] = unsent_outcome(&cargo->parcels[i]);
        settle_part(units, cargo, i, report);
        report->resolved++;
    }
    return true;
}

/* ---- judging ---- */

/* Which answer is whose. */
static void hand_out_results(struct cargo *cargo)
{
    for (size_t i = 0; i < cargo->steps.count; i++)
        for (size_t j = 0; j < cargo->steps.items[i].count; j++)
            if (cargo->composite.steps[i].results != NULL)
                cargo->results[part_of(cargo, cargo->steps.items[i].entries[j])] =
                    &cargo->composite.steps[i].results[j];
}

static void judge_alone(const struct units *units, struct cargo *cargo, size_t part)
{
    const struct parcel *parcel = &cargo->parcels[part];
    const struct deliver_facts facts = {
        .entry = parcel->entry,
        .action = parcel->action,
        .has_unique_key = parcel->record.external_id != NULL,
        .fate = cargo->composite.fate,
        .outcome = cargo->composite.outcome,
        .code = cargo->composite.code,
        .message = cargo->composite.message,
        .retry_after_s = cargo->composite.retry_after_s,
        .row = cargo->results[part],
    };

    cargo->outcomes[part] = parcel->is_to_be_sent ? deliver_outcome(&facts, units->world.arena)
                                                  : unsent_outcome(parcel);
}

static bool is_refused(const struct cargo *cargo, size_t part)
{
    const struct sf_row_result *row = cargo->results[part];

    return row != NULL && row->outcome != SF_OUTCOME_SUCCESS &&
           row->outcome != SF_OUTCOME_ROLLED_BACK;
}

/* Refused for another's sake, or for want of a record that was refused itself. */
static bool is_rolled_back(const struct units *units, const struct cargo *cargo, size_t part)
{
    const struct order_entry *own = order_of(units, cargo, part);
    size_t maker = maker_of(units, cargo, part);

    if (cargo->results[part] == NULL || cargo->results[part]->outcome == SF_OUTCOME_ROLLED_BACK)
        return true;
    if (maker != 0 && is_refused(cargo, maker - 1))
        return true;
    for (size_t i = 0; i < cargo->unit->count && own->reference_count > 0; i++)
        if (i != part && is_refused(cargo, i) && unit_refers_to(own, order_of(units, cargo, i)))
            return true;
    return false;
}

static bool is_all_done(const struct cargo *cargo)
{
    for (size_t i = 0; i < cargo->unit->count; i++)
        if (cargo->outcomes[i].verdict.state != DELIVERY_SUCCESS && cargo->parcels[i].is_to_be_sent)
            return false;
    return true;
}

/* The others' words name the one that decided; all are due together. */
static void tell_others(const struct units *units, struct cargo *cargo,
                        const struct unit_part *parts, size_t culprit)
{
    const struct settle_outcome own = cargo->outcomes[culprit];

    for (size_t i = 0; i < cargo->unit->count; i++) {
        struct settle_outcome *outcome = &cargo->outcomes[i];

        outcome->wait_ms = own.wait_ms;
        if (!parts[i].is_rolled_back || outcome->verdict.state == DELIVERY_SUCCESS)
            continue;
        outcome->is_from_salesforce = false;
        outcome->message =
            arena_printf(units->world.arena, NOTHING_WRITTEN,
                         (long long)cargo->parcels[culprit].entry->log_id, or_unsaid(own.message));
    }
}

/* Only what an answer says of the parts can differ between them. */
static void agree(const struct units *units, struct cargo *cargo)
{
    size_t count = cargo->unit->count;
    struct unit_part *parts = arena_array(units->world.arena, struct unit_part, count);

    for (size_t i = 0; i < count; i++)
        parts[i] = (struct unit_part){.action = cargo->parcels[i].action,
                                      .verdict = cargo->outcomes[i].verdict,
                                      .is_rolled_back = is_rolled_back(units, cargo, i)};
    size_t culprit = unit_agree(parts, count);
    for (size_t i = 0; i < count; i++) {
        cargo->outcomes[i].verdict = parts[i].verdict;
        cargo->outcomes[i].sfid = NULL;
        /* Once more all of it is tried, as if never sent: the refusal undid all. */
        cargo->outcomes[i].may_be_done = parts[i].verdict.state == DELIVERY_PENDING;
    }
    if (culprit < count)
        tell_others(units, cargo, parts, culprit);
}

/* A change of a record that the unit has made tells its id, too. */
static void share_ids(const struct units *units, struct cargo *cargo)
{
    for (size_t i = 0; i < cargo->unit->count; i++) {
        size_t maker = maker_of(units, cargo, i);

        if (maker != 0 && cargo->outcomes[i].sfid == NULL)
            cargo->outcomes[i].sfid = cargo->outcomes[maker - 1].sfid;
    }
}

/* The call had one fate: its parts differ in their random waits only. */
static void wait_together(struct cargo *cargo)
{
    int64_t wait_ms = 0;

    for (size_t i = 0; i < cargo->unit->count; i++)
        if (cargo->outcomes[i].wait_ms > wait_ms)
            wait_ms = cargo->outcomes[i].wait_ms;
    for (size_t i = 0; i < cargo->unit->count; i++)
        cargo->outcomes[i].wait_ms = wait_ms;
}

static void judge(const struct units *units, struct cargo *cargo, struct units_report *report)
{
    hand_out_results(cargo);
    for (size_t i = 0; i < cargo->unit->count; i++)
        judge_alone(units, cargo, i);
    if (is_all_done(cargo))
        share_ids(units, cargo);
    else if (cargo->composite.fate == SF_ANSWERED)
        agree(units, cargo);
    else
        wait_together(cargo);
    report->sent += cargo->unit->count;
    for (size_t i = 0; i < cargo->unit->count; i++)
        settle_part(units, cargo, i, report);
}

static void free_cargo(struct cargo *cargo)
{
    for (size_t i = 0; i < cargo->composite.count; i++)
        json_decref((json_t *)(uintptr_t)cargo->composite.steps[i].records);
    free_records(cargo);
}

/* ---- sending ---- */

static bool store(const struct units *units, struct error *err)
{
    return settle_store_patiently(units->settle, units->world.pg, units->world.schema_name, err);
}

/* Whether the operator must act before anything is written. */
static bool check_stop(const struct cargo *cargos, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < cargos[i].unit->count; j++)
            if (cargos[i].outcomes[j].verdict.todo == DELIVERY_STOP_WRITES)
                return error_set(err, ERROR_CONFIG, "the organisation takes no writes: %s",
                                 or_unsaid(cargos[i].outcomes[j].message));
    return true;
}

static bool fly(const struct units *units, struct cargo *cargos, size_t count,
                struct units_report *report, struct error *err)
{
    struct sf_composite *composites =
        arena_array(units->world.arena, struct sf_composite, count + 1);
    struct units_report before = *report;
    struct error call_error = {0};
    int64_t began_ms = clock_monotonic_ms();

    for (size_t i = 0; i < count; i++)
        composites[i] = cargos[i].composite;
    /* Each call has its fate even when they failed as a whole. */
    bool is_called = count == 0 || sf_composite_write(units->world.session, composites, count,
                                                      units->world.arena, &call_error);
    for (size_t i = 0; i < count; i++) {
        cargos[i].composite = composites[i];
        judge(units, &cargos[i], report);
        free_cargo(&cargos[i]);
    }
    report->calls += count;
    if (count > 0)
        log_info("pushed transactions", log_number("units", (int64_t)count),
                 log_number("rows", (int64_t)(report->sent - before.sent)),
                 log_number("failed", (int64_t)(report->failed - before.failed)),
                 log_number("unsettled", (int64_t)(report->unsettled - before.unsettled)),
                 log_number("ms", clock_monotonic_ms() - began_ms));
    if (!store(units, err))
        return false;
    if (!is_called && call_error.kind == ERROR_CONFIG) {
        *err = call_error;
        return false;
    }
    return check_stop(cargos, count, err);
}

/* As many as may be in flight, from the unit at *next on. */
static bool send_some(const struct units *units, size_t *next, struct units_report *report,
                      struct error *err)
{
    struct cargo *cargos = arena_array(units->world.arena, struct cargo, units->parallel);
    size_t count = 0;
    bool is_ok = true;

    for (; is_ok && *next < units->choice.count && count < units->parallel; (*next)++) {
        struct cargo *cargo = &cargos[count];
        bool is_ready;

        *cargo = (struct cargo){.unit = &units->choice.units[*next]};
        if (is_put_off(units, cargo->unit))
            continue;
        is_ok = prepare(units, cargo, &is_ready, report, err);
        count += is_ok && is_ready;
    }
    if (!is_ok || !store(units, err)) {
        for (size_t i = 0; i < count; i++)
            free_cargo(&cargos[i]);
        return false;
    }
    return fly(units, cargos, count, report, err);
}

bool units_send(const struct units *units, struct units_report *report, struct error *err)
{
    for (size_t next = 0; next < units->choice.count && !wait_is_stopping();)
        if (!send_some(units, &next, report, err))
            return false;
    return true;
}
