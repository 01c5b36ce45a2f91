/* The PostgreSQL of the simulation: rows, a log in commit order, a slot whose confirmation is lost
 * by a crash, and the tables of the engine, which are durable at once. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct value pg_value(const token_t *token)
{
    if (*token == 0)
        return (struct value){.kind = VALUE_ABSENT};
    return (struct value){
        .kind = VALUE_TEXT, .text = (const char *)token, .size_bytes = sizeof(*token)};
}

int64_t pg_clock_us(const struct sim *sim)
{
    return sim->now_us + sim->pg_clock_offset_us;
}

struct pg_row *pg_row_of(struct sim *sim, uint32_t sfid)
{
    for (size_t i = 0; i < sim->row_count; i++)
        if (sim->rows[i].bound_id == sfid)
            return &sim->rows[i];
    return NULL;
}

struct pg_row *pg_row_of_key(struct sim *sim, token_t key)
{
    for (size_t i = 0; key != 0 && i < sim->row_count; i++)
        if (sim->rows[i].key == key)
            return &sim->rows[i];
    return NULL;
}

void pg_set_base(struct sim *sim, struct pg_row *row, size_t field, token_t value)
{
    row->base[field] = value;
    row->base_changed = ++sim->sequence;
}

static struct wal_entry *append_wal(struct sim *sim, enum delivery_action action,
                                    const struct pg_row *row, bool is_ours)
{
    if (sim->wal_count == MAX_WAL)
        abort();
    struct wal_entry *entry = &sim->wal[sim->wal_count++];
    *entry = (struct wal_entry){
        .lsn = sim->wal_count,
        .is_ours = is_ours,
        .action = action,
        .row = (uint32_t)(row - sim->rows),
        .has_sfid = row->sfid != 0,
    };
    return entry;
}

static void set_fields(struct sim *sim, struct pg_row *row, const token_t *fields)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i] == 0)
            continue;
        row->fields[i] = fields[i];
        sim->values[fields[i]].was_in_pg = true;
    }
}

static struct pg_row *add_row(struct sim *sim)
{
    if (sim->row_count == MAX_ROWS)
        abort();
    struct pg_row *row = &sim->rows[sim->row_count++];
    *row = (struct pg_row){0};
    return row;
}

/* A user's BEFORE trigger: it changes the second field inside the engine's transaction. */
static void fire_trigger(struct sim *sim, struct pg_row *row, struct wal_entry *entry)
{
    if (!sim->has_trigger || sim->is_quiet || !sim_chance(sim, 10))
        return;
    token_t fields[FIELDS] = {
        [FIELDS - 1] = sim_new_value(sim, SIDE_PG, (uint32_t)(row - sim->rows) + 1, FIELDS - 1)};
    set_fields(sim, row, fields);
    row->changed_us = pg_clock_us(sim);
    entry->fields[FIELDS - 1] = fields[FIELDS - 1];
}

static void engine_writes(struct sim *sim, struct pg_row *row, enum delivery_action action,
                          const token_t *fields)
{
    struct wal_entry *entry = append_wal(sim, action, row, true);

    sim->pg_writes++;
    set_fields(sim, row, fields);
    memcpy(entry->written, row->fields, sizeof(entry->written));
    memcpy(entry->fields, row->fields, sizeof(entry->fields));
    fire_trigger(sim, row, entry);
}

struct pg_row *pg_engine_inserts(struct sim *sim, const struct sf_record *record)
{
    bool comes_back = false;

    for (size_t i = 0; i < sim->row_count; i++) {
        struct pg_row *old = &sim->rows[i];

        if (old->bound_id != record->id)
            continue;
        if (old->was_deleted_by_user &&
            sim->records[record->id - 1].undeleted_us <= old->deleted_us)
            sim_violate(sim, "record %u comes back although its row was deleted", record->id);
        old->bound_id = 0; /* the new row is its row from now on */
        old->key = 0;
        comes_back = true;
    }
    struct pg_row *row = add_row(sim);
    row->sfid = row->bound_id = record->id;
    row->key = comes_back ? record->key : 0;
    row->came_back_at = comes_back ? sim->value_count + 1 : 0;
    engine_writes(sim, row, DELIVERY_INSERT, record->fields);
    return row;
}

void pg_engine_updates(struct sim *sim, struct pg_row *row, const token_t *fields)
{
    engine_writes(sim, row, DELIVERY_UPDATE, fields);
}

void pg_engine_deletes(struct sim *sim, struct pg_row *row)
{
    row->is_deleted = true;
    row->deleted_us = sim->now_us;
    row->known_deleted = ++sim->sequence;
    sim->pg_writes++;
    append_wal(sim, DELIVERY_DELETE, row, true);
}

struct log_entry *pg_log_append(struct sim *sim, enum delivery_action action, uint32_t row)
{
    if (sim->log_count == MAX_LOG)
        abort();
    struct log_entry *entry = &sim->log[sim->log_count++];
    *entry = (struct log_entry){.action = action, .row = row};
    return entry;
}

static struct pg_row *pick_row(struct sim *sim)
{
    if (sim->row_count == 0)
        return NULL;
    uint32_t index =
        sim->is_hot && !sim_chance(sim, 10) ? 0 : sim_random(sim, (uint32_t)sim->row_count);
    return sim->rows[index].is_deleted ? NULL : &sim->rows[index];
}

static void user_inserts(struct sim *sim)
{
    token_t fields[FIELDS];
    struct pg_row *row = add_row(sim);

    row->key = sim_new_value(sim, SIDE_PG, 0, FIELDS);
    for (size_t i = 0; i < FIELDS; i++)
        fields[i] = sim_new_value(sim, SIDE_PG, (uint32_t)(row - sim->rows) + 1, i);
    set_fields(sim, row, fields);
    row->changed_us = pg_clock_us(sim);
    memcpy(append_wal(sim, DELIVERY_INSERT, row, false)->fields, fields, sizeof(fields));
    sim_trace(sim, "postgres user inserts row=%zu key=%u f0=%u f1=%u", sim->row_count - 1, row->key,
              fields[0], fields[1]);
}

static void user_updates(struct sim *sim, struct pg_row *row)
{
    token_t fields[FIELDS] = {0};
    size_t only = sim->is_hot ? 0 : sim_random(sim, FIELDS + 1);

    for (size_t i = 0; i < FIELDS; i++)
        if (only == FIELDS || only == i)
            fields[i] = sim_new_value(sim, SIDE_PG, (uint32_t)(row - sim->rows) + 1, i);
    set_fields(sim, row, fields);
    row->changed_us = pg_clock_us(sim);
    memcpy(append_wal(sim, DELIVERY_UPDATE, row, false)->fields, fields, sizeof(fields));
    sim_trace(sim, "postgres user updates row=%d f0=%u f1=%u", (int)(row - sim->rows), fields[0],
              fields[1]);
}

static void user_deletes(struct sim *sim, struct pg_row *row)
{
    append_wal(sim, DELIVERY_DELETE, row, false);
    row->is_deleted = true;
    row->was_deleted_by_user = true;
    row->deleted_us = sim->now_us;
    sim_trace(sim, "postgres user deletes row=%d", (int)(row - sim->rows));
}

void pg_user_acts(struct sim *sim)
{
    uint32_t luck = sim_random(sim, 100);

    if (sim->row_count >= MAX_ROWS / 2 || sim->value_count + 3 >= MAX_VALUES ||
        sim->wal_count >= MAX_WAL / 2)
        return;
    if (luck < 20 || sim->row_count == 0) {
        user_inserts(sim);
        return;
    }
    if (luck < 22)
        pg_operator_retries(sim);
    struct pg_row *row = pick_row(sim);
    if (row == NULL)
        return;
    if (luck < (sim->is_hot ? 23 : 30))
        user_deletes(sim, row);
    else
        user_updates(sim, row);
}

/* pgforce retry: once more what the organisation refused, mended or not. */
void pg_operator_retries(struct sim *sim)
{
    for (size_t i = 0; i < sim->log_count; i++)
        if (sim->log[i].state == DELIVERY_FAILED && sim->log[i].is_mendable &&
            !sim->rows[sim->log[i].row].is_deleted) {
            delivery_move(DELIVERY_FAILED, DELIVERY_REQUEUING, &sim->log[i].state);
            sim->log[i].is_set_back = true;
        }
}

/* The last confirmations of the slot were not on disk yet; the receiver begins again from there. */
void pg_server_crashes(struct sim *sim)
{
    sim_trace(sim, "postgres crashes: slot goes back from %zu to %zu", sim->slot_confirmed,
              sim->slot_synced);
    sim->slot_confirmed = sim->slot_synced;
    sim->archive_position = sim->slot_confirmed;
}
