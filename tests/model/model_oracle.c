/* What must be true once everything has settled. The oracles see both worlds at once and share no
 * code with the engine. */
#include "model.h"

bool oracle_is_settled(const struct sim *sim)
{
    for (size_t i = 0; i < sim->log_count; i++)
        if (sim->log[i].state == DELIVERY_NEW || sim->log[i].state == DELIVERY_PENDING)
            return false;
    return sf_is_idle(sim) && sim->archive_progress == sim->wal_count;
}

/* Every change of a user, also one made by a trigger inside the engine's transaction, is in the log
 * once; the engine's own are not. */
static void check_archive(struct sim *sim)
{
    for (size_t i = 0; i < sim->wal_count; i++) {
        const struct wal_entry *wal = &sim->wal[i];
        bool is_change = !wal->is_ours;
        size_t found = 0;

        for (size_t j = 0; wal->is_ours && j < FIELDS; j++)
            is_change = is_change || wal->fields[j] != wal->written[j];
        for (size_t j = 0; j < sim->log_count; j++)
            found += sim->log[j].lsn == wal->lsn;
        if (found != (is_change ? 1U : 0U))
            sim_violate(sim, "change %d is %zu times in the log, of %d users", (int)wal->lsn, found,
                        is_change);
    }
}

/* Deleted when the entry was sent, and back since. */
static bool was_away(const struct sim *sim, const struct pg_row *row)
{
    return row->bound_id != 0 && sim->records[row->bound_id - 1].undeleted_us != 0;
}

static void check_log_is_settled(struct sim *sim)
{
    for (size_t i = 0; i < sim->log_count; i++) {
        const struct log_entry *entry = &sim->log[i];
        const struct pg_row *row = &sim->rows[entry->row];

        if (entry->state == DELIVERY_NEW || entry->state == DELIVERY_PENDING)
            sim_violate(sim, "entry %zu is %s for ever", i, delivery_state_name(entry->state));
        if (entry->state == DELIVERY_FAILED && !was_away(sim, row) &&
            (entry->action == DELIVERY_DELETE || !row->is_deleted))
            sim_violate(sim, "entry %zu FAILED without a cause", i);
    }
}

static size_t count_rows_of(const struct sim *sim, uint32_t id)
{
    size_t count = 0;

    for (size_t i = 0; i < sim->row_count; i++)
        count += !sim->rows[i].is_deleted && sim->rows[i].sfid == id;
    return count;
}

static void check_sides_are_equal(struct sim *sim)
{
    for (size_t i = 0; i < sim->row_count; i++) {
        const struct pg_row *row = &sim->rows[i];
        const struct sf_record *record = sf_find(sim, row->sfid);

        if (row->is_deleted)
            continue;
        if (record == NULL) {
            sim_violate(sim, "row %zu has no live record", i);
            continue;
        }
        for (size_t j = 0; j < FIELDS; j++)
            if (row->fields[j] != record->fields[j])
                sim_violate(sim, "row %zu field %zu: %u here, %u in Salesforce", i, j,
                            row->fields[j], record->fields[j]);
    }
    for (size_t i = 0; i < sim->record_count; i++)
        if (!sim->records[i].is_deleted && count_rows_of(sim, sim->records[i].id) != 1)
            sim_violate(sim, "record %u has %zu rows", sim->records[i].id,
                        count_rows_of(sim, sim->records[i].id));
}

/* A birth token is alive once at most on each side, and on no side if a user deleted the row. */
static void check_provenance(struct sim *sim)
{
    for (size_t i = 0; i < sim->row_count; i++) {
        const struct pg_row *row = &sim->rows[i];
        size_t alive = 0;

        for (size_t j = 0; row->key != 0 && j < sim->record_count; j++)
            alive += sim->records[j].key == row->key && !sim->records[j].is_deleted;
        if (alive > 1 || (row->is_deleted && alive > 0))
            sim_violate(sim, "row %zu has %zu live records", i, alive);
        if (row->was_deleted_by_user && sf_find(sim, row->bound_id) != NULL)
            sim_violate(sim, "row %zu was deleted, its record lives", i);
    }
    for (token_t value = 1; value <= sim->value_count; value++) {
        size_t alive = 0;

        for (size_t i = 0; i < sim->record_count; i++)
            alive += !sim->records[i].is_deleted && sim->records[i].fields[0] == value;
        if (alive > 1)
            sim_violate(sim, "value %u lives in %zu records", value, alive);
    }
}

/* The last value that one side's users gave a field in this round; 0 for none. */
static token_t last_of(const struct sim *sim, enum side side, uint32_t owner, size_t field)
{
    token_t last = 0;

    for (token_t value = sim->round_first_value; value <= sim->value_count; value++) {
        const struct token_fate *fate = &sim->values[value];
        bool was_written = side == SIDE_PG || fate->was_in_sf; /* the save was committed */

        if (fate->written_by == side && fate->owner == owner && fate->field == field && was_written)
            last = value;
    }
    return last;
}

/* A lost create may be done when the record that the first one made has been deleted already: what
 * the row has is then from a record before. */
static bool is_of_earlier_record(const struct sim *sim, const struct pg_row *row, token_t value)
{
    uint32_t owner = sim->values[value].owner;

    return row->key != 0 && sim->values[value].written_by == SIDE_SF && owner != row->sfid &&
           owner != 0 && sim->records[owner - 1].key == row->key;
}

static bool was_seen_across(const struct sim *sim, token_t value)
{
    const struct token_fate *fate = &sim->values[value];

    return fate->written_by == SIDE_PG ? fate->was_in_sf : fate->was_in_pg;
}

/*
 * The final value of a field is the last of one of the two sides; if only one side wrote it, that
 * side's. The last value of a side that lost is in the ledger, unless the other side had it before
 * it wrote over it.
 */
static void check_field(struct sim *sim, size_t row, size_t field)
{
    token_t now = sim->rows[row].fields[field];
    token_t ours = last_of(sim, SIDE_PG, (uint32_t)row + 1, field);
    token_t theirs = last_of(sim, SIDE_SF, sim->rows[row].sfid, field);

    if ((ours != 0 || theirs != 0) && now != ours && now != theirs &&
        !is_of_earlier_record(sim, &sim->rows[row], now))
        sim_violate(sim, "row %zu field %zu is %u, neither %u nor %u", row, field, now, ours,
                    theirs);
    if (ours != 0 && now != ours && !was_seen_across(sim, ours) && !sim->values[ours].is_in_ledger)
        sim_violate(sim, "row %zu field %zu: our %u is lost", row, field, ours);
    if (theirs != 0 && now != theirs && !was_seen_across(sim, theirs) &&
        !sim->values[theirs].is_in_ledger)
        sim_violate(sim, "row %zu field %zu: their %u is lost", row, field, theirs);
}

void oracle_check(struct sim *sim)
{
    check_log_is_settled(sim);
    check_archive(sim);
    check_sides_are_equal(sim);
    check_provenance(sim);
    /* Of a row that came back only the second life's values are known here. */
    for (size_t i = 0; i < sim->row_count; i++)
        for (size_t j = 0; !sim->rows[i].is_deleted && j < FIELDS; j++)
            if (sim->rows[i].came_back_at < sim->round_first_value)
                check_field(sim, i, j);
}
