/* The archive and pull roles of the simulation. */
#include "model.h"

#include <string.h>

static bool is_mutant(const struct sim *sim, enum mutant mutant)
{
    return sim->mutant == mutant;
}

/* --- archive --------------------------------------------------------------------------------- */

static bool has_live_insert(const struct sim *sim, uint32_t row)
{
    for (size_t i = 0; i < sim->log_count; i++) {
        const struct log_entry *entry = &sim->log[i];

        if (entry->row == row && entry->action == DELIVERY_INSERT &&
            (entry->state == DELIVERY_NEW || entry->state == DELIVERY_PENDING ||
             entry->state == DELIVERY_SUCCESS))
            return true;
    }
    return false;
}

static void log_change(struct sim *sim, const struct wal_entry *wal, const bool *carries)
{
    const struct delivery_capture capture = {
        .action = wal->is_ours ? DELIVERY_UPDATE : wal->action,
        .has_changes = true,
        .has_sfid = wal->has_sfid,
        .has_live_insert = has_live_insert(sim, wal->row),
    };
    struct log_entry *entry = pg_log_append(sim, capture.action, wal->row);

    entry->lsn = wal->lsn;
    entry->state = delivery_capture_state(&capture);
    memcpy(entry->carries, carries, sizeof(entry->carries));
    memcpy(entry->captured, wal->fields, sizeof(entry->captured));
    sim_trace(sim, "archive logs lsn=%d action=%s row=%u state=%s", (int)wal->lsn,
              delivery_action_name(entry->action), wal->row, delivery_state_name(entry->state));
}

/* Of the engine's own writes only what a user's trigger made of them is a change. */
static void archive_one(struct sim *sim, const struct wal_entry *wal)
{
    bool carries[FIELDS] = {0};
    struct value written[FIELDS];
    struct value row[FIELDS];
    size_t differing[FIELDS];

    for (size_t i = 0; i < FIELDS; i++) {
        carries[i] = wal->fields[i] != 0;
        written[i] = pg_value(&wal->written[i]);
        row[i] = pg_value(&wal->fields[i]);
    }
    if (wal->is_ours && !is_mutant(sim, MUTANT_NO_ECHO_FILTER)) {
        if (wal->action == DELIVERY_DELETE || merge_is_echo(written, row, FIELDS))
            return;
        size_t count = merge_differing(written, row, FIELDS, differing);
        memset(carries, 0, sizeof(carries));
        for (size_t i = 0; i < count; i++)
            carries[differing[i]] = true;
    }
    log_change(sim, wal, carries);
}

void engine_archive(struct sim *sim)
{
    size_t from = sim->archive_position;
    size_t to = sim->wal_count;

    if (is_mutant(sim, MUTANT_CONFIRM_BEFORE_COMMIT) && to > from)
        sim->slot_confirmed = sim->archive_position = to;
    if (!sim_pause(sim, ROLE_ARCHIVE)) {
        sim->archive_position = sim->slot_confirmed;
        return;
    }
    /* One transaction: rows and progress. */
    for (size_t i = from; i < to; i++)
        if (i >= sim->archive_progress || is_mutant(sim, MUTANT_NO_ARCHIVE_DEDUPE))
            archive_one(sim, &sim->wal[i]);
    if (to > sim->archive_progress)
        sim->archive_progress = to;
    if (to > sim->archive_position)
        sim->archive_position = to;
    if (!sim_pause(sim, ROLE_ARCHIVE)) {
        sim->archive_position = sim->slot_confirmed;
        return;
    }
    if (to > sim->slot_confirmed)
        sim->slot_confirmed = to;
    if (sim_chance(sim, 30))
        sim->slot_synced = sim->slot_confirmed;
}

/* --- merge ----------------------------------------------------------------------------------- */

/* Whether an entry in that state carries the field; a repeated INSERT repeats old values. */
static bool is_carried(const struct sim *sim, uint32_t row, size_t field, enum delivery_state state)
{
    for (size_t i = 0; i < sim->log_count; i++) {
        const struct log_entry *entry = &sim->log[i];
        bool carries = entry->carries[field] && entry->action == DELIVERY_UPDATE;

        if (entry->action == DELIVERY_INSERT && !entry->was_sent)
            carries = true;
        if (entry->row == row && carries && entry->state == state)
            return true;
    }
    return false;
}

/* FAILED counts: it may be set back, and a request of it that was lost may still be done. */
static bool has_unsent(const struct sim *sim, uint32_t row)
{
    for (size_t i = 0; i < sim->log_count; i++)
        if (sim->log[i].row == row &&
            (sim->log[i].state == DELIVERY_FAILED || !delivery_is_settled(sim->log[i].state)))
            return true;
    return false;
}

/* A DELETE of this very record, waiting or under way. */
static bool has_delete_on_its_way(const struct sim *sim, uint32_t row, uint32_t id)
{
    for (size_t i = 0; i < sim->log_count; i++) {
        const struct log_entry *entry = &sim->log[i];

        if (entry->row != row || entry->action != DELIVERY_DELETE)
            continue;
        if (entry->state == DELIVERY_NEW ||
            (entry->state == DELIVERY_PENDING && entry->intent.id == id))
            return true;
    }
    return false;
}

static bool is_delete_under_way(const struct sim *sim, uint32_t row)
{
    for (size_t i = 0; i < sim->log_count; i++)
        if (sim->log[i].row == row && sim->log[i].action == DELIVERY_DELETE &&
            sim->log[i].state == DELIVERY_PENDING)
            return true;
    return false;
}

static bool is_unarchived(const struct sim *sim, uint32_t row)
{
    for (size_t i = sim->archive_progress; i < sim->wal_count; i++)
        if (sim->wal[i].row == row && (!sim->wal[i].is_ours || sim->has_trigger))
            return true;
    return false;
}

struct merge_result engine_merge(struct sim *sim, const struct pg_row *row, size_t field,
                                 const struct sf_record *theirs)
{
    struct value in_flight[MAX_FLIGHT];
    const struct flight *flight = &row->in_flight[field];
    struct merge_rules rules = sim->rules;

    for (size_t i = 0; i < flight->count; i++)
        in_flight[i] = pg_value(&flight->values[i]);
    rules.ours_time_us = row->changed_us;
    rules.theirs_time_us = theirs->stamp_us;
    const struct merge_field facts = {
        .base = pg_value(&row->base[field]),
        .ours = pg_value(&row->fields[field]),
        .theirs = pg_value(&theirs->fields[field]),
        .in_flight = in_flight,
        .in_flight_count = is_mutant(sim, MUTANT_NO_IN_FLIGHT) ? 0 : flight->count,
        .is_queued = is_carried(sim, (uint32_t)(row - sim->rows), field, DELIVERY_NEW) ||
                     is_carried(sim, (uint32_t)(row - sim->rows), field, DELIVERY_FAILED),
        .is_under_way = is_carried(sim, (uint32_t)(row - sim->rows), field, DELIVERY_PENDING),
    };
    return merge_field(&facts, &rules);
}

void engine_ledger(struct sim *sim, const struct merge_result *result)
{
    token_t token = 0;

    if (result->loser.kind != VALUE_TEXT)
        return;
    memcpy(&token, result->loser.text, sizeof(token));
    sim->values[token].is_in_ledger = true;
}

void engine_overrule(struct sim *sim, const struct pg_row *row, size_t field)
{
    for (size_t i = 0; i < sim->log_count; i++)
        if (&sim->rows[sim->log[i].row] == row && sim->log[i].state == DELIVERY_NEW &&
            sim->log[i].action == DELIVERY_UPDATE)
            sim->log[i].carries[field] = false;
}

/* --- pull ------------------------------------------------------------------------------------ */

/* A change that is still on its way to the log must not be queued beside it. */
static void check_not_queued_twice(struct sim *sim, const struct pg_row *row, size_t field)
{
    for (size_t i = sim->archive_progress; i < sim->wal_count; i++)
        if (!sim->wal[i].is_ours && &sim->rows[sim->wal[i].row] == row &&
            sim->wal[i].fields[field] == row->fields[field])
            sim_violate(sim, "row %d: a change is queued that the log is about to carry",
                        (int)(row - sim->rows));
}

static void queue_repair(struct sim *sim, const struct pg_row *row, const bool *sends)
{
    bool is_any = false;

    for (size_t i = 0; i < FIELDS; i++) {
        if (sends[i])
            check_not_queued_twice(sim, row, i);
        is_any = is_any || sends[i];
    }
    if (!is_any || is_mutant(sim, MUTANT_NO_REPAIR))
        return;
    struct log_entry *entry = pg_log_append(sim, DELIVERY_UPDATE, (uint32_t)(row - sim->rows));
    memcpy(entry->carries, sends, sizeof(entry->carries));
    memcpy(entry->captured, row->fields, sizeof(entry->captured));
    sim_trace(sim, "pull queues a repair row=%u", entry->row);
}

static void merge_record(struct sim *sim, struct pg_row *row, const struct sf_record *theirs)
{
    token_t taken[FIELDS] = {0};
    bool sends[FIELDS] = {0};
    bool takes_any = false;

    for (size_t i = 0; i < FIELDS; i++) {
        struct merge_result result = engine_merge(sim, row, i, theirs);

        engine_ledger(sim, &result);
        sends[i] = result.sends_ours;
        if (result.takes_theirs) {
            taken[i] = theirs->fields[i];
            takes_any = true;
            engine_overrule(sim, row, i);
        }
        if (result.moves_base)
            pg_set_base(sim, row, i, theirs->fields[i]);
        sim_trace(sim, "pull merges row=%d field=%zu theirs=%u ours=%u case=%d",
                  (int)(row - sim->rows), i, theirs->fields[i], row->fields[i], (int)result.what);
    }
    queue_repair(sim, row, sends);
    if (takes_any)
        pg_engine_updates(sim, row, taken);
    if (!has_unsent(sim, (uint32_t)(row - sim->rows)))
        for (size_t i = 0; i < FIELDS; i++)
            row->in_flight[i].count = 0;
}

static void apply_deletion(struct sim *sim, struct pg_row *row)
{
    uint32_t index = (uint32_t)(row - sim->rows);

    if (row->is_deleted)
        return;
    if (merge_deleted(has_unsent(sim, index), false) == MERGE_DELETE_CONFLICT)
        for (size_t i = 0; i < FIELDS; i++)
            sim->values[row->fields[i]].is_in_ledger = true;
    sim_trace(sim, "pull deletes row=%u", index);
    pg_engine_deletes(sim, row);
}

static bool insert_new(struct sim *sim, const struct sf_record *theirs)
{
    struct pg_row *row = pg_engine_inserts(sim, theirs);

    sim_trace(sim, "pull inserts row=%d id=%u", (int)(row - sim->rows), theirs->id);
    for (size_t i = 0; i < FIELDS; i++)
        pg_set_base(sim, row, i, theirs->fields[i]);
    return true;
}

/* A record alive in Salesforce whose row here is gone. Salesforce had told that it is gone, too: if
 * it was read after that, it has been undeleted; if before, it must be read again. */
static bool meet_tombstone(struct sim *sim, struct pg_row *row, const struct sf_record *theirs,
                           uint64_t began)
{
    uint32_t index = (uint32_t)(row - sim->rows);
    bool is_known = row->bound_id == theirs->id;

    if (is_known && row->known_deleted != 0) {
        bool is_stale =
            merge_is_stale(began, row->known_deleted) && sim->mutant != MUTANT_STALE_READ_REVIVES;
        return !is_stale &&
               (has_delete_on_its_way(sim, index, theirs->id) || insert_new(sim, theirs));
    }

    row->bound_id = theirs->id;
    /* One that is being sent may have been done, and then undone over there. */
    if (has_delete_on_its_way(sim, index, theirs->id))
        return !is_delete_under_way(sim, index);
    if (is_known && is_mutant(sim, MUTANT_NO_BARRIER)) {
        row->bound_id = 0;
        struct pg_row *again = pg_engine_inserts(sim, theirs);
        for (size_t i = 0; i < FIELDS; i++)
            pg_set_base(sim, again, i, theirs->fields[i]);
        return true;
    }
    if (!is_mutant(sim, MUTANT_NO_TOMBSTONES))
        pg_log_append(sim, DELIVERY_DELETE, index);
    return true;
}

static bool meet_by_key(struct sim *sim, struct pg_row *row, const struct sf_record *theirs,
                        uint64_t began)
{
    if (row->is_deleted)
        return meet_tombstone(sim, row, theirs, began);
    if (row->bound_id != 0)
        return false; /* its deletion comes first */
    row->sfid = row->bound_id = theirs->id;
    merge_record(sim, row, theirs);
    return true;
}

static bool is_create_under_way(const struct sim *sim)
{
    for (size_t i = 0; i < sim->log_count; i++) {
        const struct log_entry *entry = &sim->log[i];
        /* A first attempt may be done at any time, and only its receipt tells whose record it is.
         */
        bool may_be_done = sim->has_receipts && entry->was_sent && entry->state == DELIVERY_NEW &&
                           !is_mutant(sim, MUTANT_NO_LATE_HOLD);

        if (entry->action == DELIVERY_INSERT && (entry->state == DELIVERY_PENDING || may_be_done))
            return true;
    }
    return false;
}

/* The id of a deleted record is all that Salesforce tells. One that no row knows may be of a create
 * that was executed and is not settled yet. */
static bool meet_deletion(struct sim *sim, struct pg_row *row)
{
    if (row == NULL)
        return !is_create_under_way(sim);
    apply_deletion(sim, row);
    return true;
}

/* False: this record must be read again. */
static bool apply(struct sim *sim, const struct sf_record *theirs, uint64_t began)
{
    struct pg_row *row = pg_row_of(sim, theirs->id);
    struct pg_row *by_key = is_mutant(sim, MUTANT_NO_KEY_MATCH) || sim->has_receipts
                                ? NULL
                                : pg_row_of_key(sim, theirs->key);
    struct pg_row *met = row != NULL ? row : by_key;

    if (met != NULL && !is_mutant(sim, MUTANT_NO_STALE_CHECK) &&
        merge_is_stale(began, met->base_changed))
        return false;
    if (met != NULL && !is_mutant(sim, MUTANT_NO_BARRIER) &&
        is_unarchived(sim, (uint32_t)(met - sim->rows)))
        return false;
    if (theirs->is_deleted)
        return meet_deletion(sim, row);
    if (row == NULL && sim->has_receipts && is_create_under_way(sim))
        return false;
    if (row == NULL)
        return by_key != NULL ? meet_by_key(sim, by_key, theirs, began) : insert_new(sim, theirs);
    if (row->is_deleted)
        return meet_tombstone(sim, row, theirs, began);
    merge_record(sim, row, theirs);
    return true;
}

struct reading {
    struct sf_record records[MAX_RECORDS];
    size_t count;
    uint64_t began;
    struct watermark_poll poll;
};

static const struct watermark_limits limits = {.lag_us = 2000000, .overlap_us = 1000000};

static void read_window(struct sim *sim, struct reading *reading)
{
    bool is_strict = is_mutant(sim, MUTANT_CURSOR_MAX_STRICT);

    reading->began = ++sim->sequence;
    reading->poll = (struct watermark_poll){
        .mark_us = sim->mark_us,
        .server_time_us = sf_stamp_us(sim),
        .covered_us = sf_covered_us(sim),
        .window = watermark_window(sim->mark_us, &limits),
    };
    reading->count = 0;
    for (size_t i = 0; i < sim->record_count; i++) {
        const struct sf_record *record = &sim->records[i];
        bool is_in = is_strict ? record->stamp_us > sim->mark_us
                               : record->stamp_us >= reading->poll.window.from_us;

        if (!is_in)
            continue;
        if (record->stamp_us > reading->poll.latest_seen_us)
            reading->poll.latest_seen_us = record->stamp_us;
        reading->records[reading->count++] = *record;
    }
}

static void store_mark(struct sim *sim, const struct reading *reading)
{
    int64_t mark_us = watermark_after(&reading->poll, &limits);

    if (is_mutant(sim, MUTANT_CURSOR_MAX_STRICT))
        mark_us = reading->poll.latest_seen_us > sim->mark_us ? reading->poll.latest_seen_us
                                                              : sim->mark_us;
    /* The clock of the machine, or the rows seen, in place of what Salesforce has covered. */
    if (is_mutant(sim, MUTANT_FIXED_OVERLAP) && reading->poll.latest_seen_us > 2000000)
        mark_us = reading->poll.latest_seen_us - 2000000;
    if (is_mutant(sim, MUTANT_FIXED_LAG))
        mark_us = sim->now_us - 5000000;
    if (mark_us < sim->mark_us && is_mutant(sim, MUTANT_FIXED_OVERLAP))
        mark_us = sim->mark_us;
    if (mark_us < sim->mark_us)
        sim_violate(sim, "the watermark went backwards");
    sim->mark_us = mark_us;
}

/* The mark stays before what must be read again. */
static void hold(const struct sim *sim, struct reading *reading, const struct sf_record *record)
{
    int64_t *held_us = &reading->poll.held_us;

    if (is_mutant(sim, MUTANT_MARK_PASSES_HELD))
        return;
    if (*held_us == 0 || record->stamp_us < *held_us)
        *held_us = record->stamp_us;
}

void engine_pull(struct sim *sim)
{
    struct reading reading;

    read_window(sim, &reading);
    if (is_mutant(sim, MUTANT_MARK_BEFORE_ROWS))
        store_mark(sim, &reading);
    if (!sim_pause(sim, ROLE_PULL))
        return;
    /* The barrier: wait until the archive has decoded up to now. */
    if (!is_mutant(sim, MUTANT_NO_BARRIER))
        sim_run(sim, ROLE_ARCHIVE);
    if (!sim_pause(sim, ROLE_PULL))
        return;
    /* One transaction: rows, bases and watermark. */
    for (size_t i = 0; i < reading.count; i++)
        if (!apply(sim, &reading.records[i], reading.began))
            hold(sim, &reading, &reading.records[i]);
    if (!is_mutant(sim, MUTANT_MARK_BEFORE_ROWS))
        store_mark(sim, &reading);
}
