/* The Salesforce of the simulation: unique external ids, whole-second stamps taken when a save
 * begins and seen when it commits, row locks while it is open, answers that get lost. */
#include "model.h"

#include <string.h>

static const int64_t SECOND_US = 1000000;

int64_t sf_stamp_us(const struct sim *sim)
{
    return sim->now_us / SECOND_US * SECOND_US;
}

static struct sf_record *live_record(struct sim *sim, uint32_t id)
{
    if (id == 0 || id > sim->record_count || sim->records[id - 1].is_deleted)
        return NULL;
    return &sim->records[id - 1];
}

const struct sf_record *sf_find(const struct sim *sim, uint32_t id)
{
    if (id == 0 || id > sim->record_count || sim->records[id - 1].is_deleted)
        return NULL;
    return &sim->records[id - 1];
}

const struct sf_record *sf_find_key(const struct sim *sim, token_t key)
{
    for (size_t i = 0; key != 0 && i < sim->record_count; i++)
        if (sim->records[i].key == key && (!sim->records[i].is_deleted || sim->has_receipts))
            return &sim->records[i];
    return NULL;
}

const struct sf_record *sf_find_deleted_key(const struct sim *sim, token_t key)
{
    for (size_t i = sim->record_count; key != 0 && i-- > 0;)
        if (sim->records[i].key == key && sim->records[i].is_deleted)
            return &sim->records[i];
    return NULL;
}

int64_t sf_covered_us(const struct sim *sim)
{
    int64_t covered_us = sf_stamp_us(sim);

    for (size_t i = 0; i < MAX_QUEUE; i++)
        if (sim->events[i].is_used && sim->events[i].is_by_user &&
            sim->events[i].stamp_us < covered_us)
            covered_us = sim->events[i].stamp_us;
    return covered_us;
}

static bool is_locked(const struct sim *sim, uint32_t id)
{
    for (size_t i = 0; i < MAX_QUEUE; i++)
        if (sim->events[i].is_used && sim->events[i].is_by_user && sim->events[i].request.id == id)
            return true;
    return false;
}

/* A value that was overtaken by a newer one of ours is not to come after it. */
static void check_newer(struct sim *sim, struct sf_record *record, const struct sf_request *request)
{
    for (size_t i = 0; i < FIELDS; i++) {
        token_t value = request->fields[i];

        if (value == 0 || sim->values[value].written_by != SIDE_PG)
            continue;
        if (value < record->newest_of_ours[i])
            sim_violate(sim, "record %u field %zu: %u of the past is sent after %u", record->id, i,
                        value, record->newest_of_ours[i]);
        record->newest_of_ours[i] = value;
    }
}

static void store_fields(struct sim *sim, struct sf_record *record, const token_t *fields)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i] == 0)
            continue;
        record->fields[i] = fields[i];
        sim->values[fields[i]].was_in_sf = true;
        if (sim->values[fields[i]].owner == 0)
            sim->values[fields[i]].owner = record->id;
    }
}

static struct sf_answer refuse(enum delivery_error error, uint32_t id)
{
    return (struct sf_answer){.fate = DELIVERY_ANSWERED, .error = error, .id = id};
}

static struct sf_answer accept(struct sf_record *record, int64_t stamp_us)
{
    record->stamp_us = stamp_us;
    return (struct sf_answer){.fate = DELIVERY_ANSWERED, .is_success = true, .id = record->id};
}

static struct sf_answer create(struct sim *sim, const struct sf_request *request, int64_t stamp_us)
{
    const struct sf_record *holder = sf_find_key(sim, request->key);

    if (holder != NULL && request->is_upsert) {
        struct sf_record *record = live_record(sim, holder->id);
        store_fields(sim, record, request->fields);
        return accept(record, stamp_us);
    }
    if (holder != NULL)
        return refuse(DELIVERY_ERROR_ALREADY_DONE, sim->has_receipts ? 0 : holder->id);
    if (sim->record_count == MAX_RECORDS)
        return refuse(DELIVERY_ERROR_TRANSIENT, 0);
    struct sf_record *record = &sim->records[sim->record_count++];
    *record = (struct sf_record){.id = (uint32_t)sim->record_count, .key = request->key};
    store_fields(sim, record, request->fields);
    return accept(record, stamp_us);
}

/* Out of the recycle bin, unless its key has been given away. */
static struct sf_answer undelete(struct sim *sim, const struct sf_request *request,
                                 int64_t stamp_us)
{
    struct sf_record *record = &sim->records[request->id - 1];

    if (!record->is_deleted || (!sim->has_receipts && sf_find_key(sim, record->key) != NULL))
        return refuse(DELIVERY_ERROR_DATA, 0);
    record->is_deleted = false;
    record->undeleted_us = sim->now_us;
    return accept(record, stamp_us);
}

static struct sf_answer execute(struct sim *sim, const struct sf_request *request, int64_t stamp_us)
{
    if (request->op == SF_CREATE)
        return create(sim, request, stamp_us);
    if (request->op == SF_UNDELETE)
        return undelete(sim, request, stamp_us);
    struct sf_record *record = live_record(sim, request->id);
    if (record == NULL)
        return refuse(DELIVERY_ERROR_GONE, 0);
    if (request->unmodified_since_us != 0 && record->stamp_us > request->unmodified_since_us)
        return refuse(DELIVERY_ERROR_CONFLICT, 0);
    if (request->op == SF_DELETE)
        record->is_deleted = true;
    else
        store_fields(sim, record, request->fields);
    return accept(record, stamp_us);
}

static struct sf_answer execute_ours(struct sim *sim, const struct sf_request *request)
{
    if (request->op != SF_CREATE && is_locked(sim, request->id))
        return refuse(DELIVERY_ERROR_TRANSIENT, 0);
    /* A validation rule: the values are to blame, and an operator mends it. */
    if (request->op == SF_UPDATE && !sim->is_quiet && sim_chance(sim, 5))
        return refuse(DELIVERY_ERROR_DATA, 0);
    struct sf_answer answer = execute(sim, request, sf_stamp_us(sim));
    sim->sf_writes += answer.is_success;
    if (answer.is_success && request->op != SF_DELETE)
        check_newer(sim, live_record(sim, answer.id), request);
    return answer;
}

static bool schedule(struct sim *sim, const struct sf_request *request, bool is_by_user,
                     uint32_t delay_ms)
{
    for (size_t i = 0; i < MAX_QUEUE; i++) {
        if (sim->events[i].is_used)
            continue;
        sim->events[i] = (struct sf_event){
            .is_used = true,
            .is_by_user = is_by_user,
            .at_us = sim->now_us + delay_ms * INT64_C(1000),
            .stamp_us = sf_stamp_us(sim),
            .request = *request,
        };
        return true;
    }
    return false;
}

void sf_run(struct sim *sim)
{
    for (size_t i = 0; i < MAX_QUEUE; i++) {
        struct sf_event event = sim->events[i];

        if (!event.is_used || event.at_us > sim->now_us)
            continue;
        sim->events[i].is_used = false;
        struct sf_answer answer = event.is_by_user ? execute(sim, &event.request, event.stamp_us)
                                                   : execute_ours(sim, &event.request);
        sim_trace(sim, "salesforce %s op=%d id=%u success=%d",
                  event.is_by_user ? "commits" : "executes late", (int)event.request.op, answer.id,
                  answer.is_success);
    }
}

bool sf_is_idle(const struct sim *sim)
{
    for (size_t i = 0; i < MAX_QUEUE; i++)
        if (sim->events[i].is_used)
            return false;
    return true;
}

static struct sf_answer lost(void)
{
    return (struct sf_answer){.fate = DELIVERY_UNKNOWN};
}

struct sf_answer sf_send(struct sim *sim, const struct sf_request *request)
{
    uint32_t luck = sim->is_quiet ? 99 : sim_random(sim, 100);

    if (luck < 3)
        return (struct sf_answer){.fate = DELIVERY_NOT_SENT};
    if (luck < 5)
        return (struct sf_answer){.fate = DELIVERY_REFUSED, .error = DELIVERY_ERROR_SESSION};
    if (luck < 8)
        return lost();
    if (luck < 16) {
        schedule(sim, request, false, 100 + sim_random(sim, 20000));
        return lost();
    }
    struct sf_answer answer = execute_ours(sim, request);
    return luck < 24 ? lost() : answer;
}

static uint32_t pick_record(struct sim *sim)
{
    if (sim->record_count == 0)
        return 0;
    uint32_t id =
        sim->is_hot && !sim_chance(sim, 10) ? 1 : 1 + sim_random(sim, (uint32_t)sim->record_count);
    return live_record(sim, id) != NULL && !is_locked(sim, id) ? id : 0;
}

static uint32_t pick_deleted(struct sim *sim)
{
    uint32_t from = sim_random(sim, (uint32_t)sim->record_count + 1);

    for (uint32_t i = from; i < sim->record_count; i++)
        if (sim->records[i].is_deleted)
            return sim->records[i].id;
    return 0;
}

static void fill_fields(struct sim *sim, struct sf_request *request)
{
    size_t only = sim_random(sim, FIELDS + 1);

    for (size_t i = 0; i < FIELDS; i++)
        if (request->op == SF_CREATE || only == FIELDS || only == i)
            request->fields[i] = sim_new_value(sim, SIDE_SF, request->id, i);
}

void sf_user_acts(struct sim *sim)
{
    uint32_t luck = sim_random(sim, 100);
    struct sf_request request = {.op = SF_UPDATE, .id = pick_record(sim)};

    if (sim->record_count >= MAX_RECORDS / 2 || sim->value_count + FIELDS >= MAX_VALUES)
        return;
    if (luck < 20)
        request = (struct sf_request){.op = SF_CREATE};
    else if (luck < (sim->is_hot ? 23 : 30))
        request.op = SF_DELETE;
    else if (luck < 40)
        request.op = SF_TOUCH;
    else if (luck < 44)
        request = (struct sf_request){.op = SF_UNDELETE, .id = pick_deleted(sim)};
    if (request.op != SF_CREATE && request.id == 0)
        return;
    if (request.op == SF_CREATE || request.op == SF_UPDATE)
        fill_fields(sim, &request);
    /* A slow save with the very stamp the record already has would pass every precondition: the
     * platform's one-second grain, a hole nobody outside can close. It is left out. */
    const struct sf_record *record = sf_find(sim, request.id);
    bool is_slow = sim_chance(sim, 30) && (record == NULL || record->stamp_us < sf_stamp_us(sim));
    schedule(sim, &request, true, is_slow ? sim_random(sim, 30000) : 0);
    sim_trace(sim, "salesforce user begins op=%d id=%u f0=%u f1=%u", (int)request.op, request.id,
              request.fields[0], request.fields[1]);
    sf_run(sim);
}
