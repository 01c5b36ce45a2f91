#include "sync/order.h"

#include <stdlib.h>

enum name_kind { NAME_RECORD, NAME_KEY };

/* What the round knows of one record, found by its row or by its external id. Indexes are plus one,
 * so that zero is none. */
struct slot {
    bool is_used;
    bool is_busy; /* an earlier entry is sent in this round, or waits */
    enum name_kind kind;
    uint32_t mapping;
    uint64_t name;
    size_t insert;        /* its unsettled INSERT */
    size_t failed_insert; /* the FAILED INSERT before the entry in hand */
};

struct candidate {
    size_t index;
    enum delivery_action action;
    uint32_t rank; /* so turned that it ascends for deletes, too */
    uint32_t mapping;
};

struct round {
    const struct order_entry *entries;
    size_t count;
    struct slot *slots;
    size_t slot_mask;
    struct candidate *candidates;
    size_t candidate_count;
    struct order_refusal *refusals;
    size_t refusal_count;
    uint64_t *early_references;
    size_t waiting_count;
    size_t stuck_count;  /* PENDING or held */
    uint32_t left_rank;  /* a DELETE of a lower rank would be too early */
    bool must_force_one; /* let the first entry pass that only references block */
};

uint64_t order_hash(const void *key, size_t size_bytes)
{
    const unsigned char *bytes = key;
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return hash != 0 ? hash : 1;
}

static size_t count_keys(const struct order_entry *entry)
{
    return entry->freed_key_count + 1;
}

static uint64_t key_at(const struct order_entry *entry, size_t i)
{
    return i < entry->freed_key_count ? entry->freed_keys[i] : entry->key_hash;
}

bool order_shares_key(const struct order_entry *left, const struct order_entry *right)
{
    for (size_t i = 0; i < count_keys(left); i++)
        for (size_t j = 0; j < count_keys(right); j++)
            if (key_at(left, i) != 0 && key_at(left, i) == key_at(right, j))
                return true;
    return false;
}

static size_t mix(uint32_t mapping, enum name_kind kind, uint64_t name)
{
    uint64_t mixed = name * UINT64_C(0x9E3779B97F4A7C15) + mapping * UINT64_C(2) + kind;

    mixed ^= mixed >> 32;
    return (size_t)(mixed * UINT64_C(0xBF58476D1CE4E5B9) >> 16);
}

/* The slot of that name, or the free one where it belongs: the table is never full. */
static struct slot *slot_of(const struct round *round, uint32_t mapping, enum name_kind kind,
                            uint64_t name)
{
    size_t at = mix(mapping, kind, name) & round->slot_mask;

    for (;; at = (at + 1) & round->slot_mask) {
        struct slot *slot = &round->slots[at];

        if (!slot->is_used ||
            (slot->mapping == mapping && slot->kind == kind && slot->name == name))
            return slot;
    }
}

static struct slot *claim_slot(struct round *round, uint32_t mapping, enum name_kind kind,
                               uint64_t name)
{
    struct slot *slot = slot_of(round, mapping, kind, name);

    slot->is_used = true;
    slot->mapping = mapping;
    slot->kind = kind;
    slot->name = name;
    return slot;
}

static struct slot *record_slot(struct round *round, const struct order_entry *entry)
{
    return claim_slot(round, entry->mapping, NAME_RECORD, (uint32_t)entry->record_id);
}

static struct slot *key_slot(struct round *round, const struct order_entry *entry)
{
    return entry->key_hash != 0 ? claim_slot(round, entry->mapping, NAME_KEY, entry->key_hash)
                                : NULL;
}

/* Whether an earlier entry has one of the entry's keys; from now on this one has them. */
static bool take_keys(struct round *round, const struct order_entry *entry)
{
    bool is_busy = false;

    for (size_t i = 0; i < count_keys(entry); i++)
        is_busy = is_busy || (key_at(entry, i) != 0 &&
                              slot_of(round, entry->mapping, NAME_KEY, key_at(entry, i))->is_busy);
    for (size_t i = 0; i < count_keys(entry); i++)
        if (key_at(entry, i) != 0)
            claim_slot(round, entry->mapping, NAME_KEY, key_at(entry, i))->is_busy = true;
    return is_busy;
}

static bool is_unsettled(const struct order_entry *entry)
{
    return entry->state == DELIVERY_NEW || entry->state == DELIVERY_PENDING;
}

static void note_insert(struct slot *slot, size_t index)
{
    if (slot != NULL && slot->insert == 0)
        slot->insert = index + 1;
}

static void note_inserts(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        const struct order_entry *entry = &round->entries[i];

        if (entry->action != DELIVERY_INSERT || !is_unsettled(entry))
            continue;
        note_insert(record_slot(round, entry), i);
        note_insert(key_slot(round, entry), i);
    }
}

/*
 * Whether the entry must wait for the INSERT. Between two INSERTs the one of lower rank goes first,
 * then the one earlier in the log: one order for all, so there is no circle among them.
 */
static bool waits_for(const struct round *round, size_t index, size_t insert)
{
    const struct order_entry *entry = &round->entries[index];
    const struct order_entry *parent = &round->entries[insert];

    if (parent->mapping == entry->mapping && parent->record_id == entry->record_id)
        return false;
    if (entry->action != DELIVERY_INSERT || parent->rank < entry->rank)
        return true;
    return parent->rank == entry->rank && insert < index;
}

/* The unsettled INSERT of what is referred to, plus one; 0: none. */
static size_t insert_of(const struct round *round, const struct order_reference *reference)
{
    const struct slot *slot =
        reference->record_id != 0
            ? slot_of(round, reference->mapping, NAME_RECORD, (uint32_t)reference->record_id)
            : slot_of(round, reference->mapping, NAME_KEY, reference->key_hash);

    return slot->is_used ? slot->insert : 0;
}

static bool is_blocked_by_reference(const struct round *round, size_t index)
{
    const struct order_entry *entry = &round->entries[index];

    for (size_t i = 0; i < entry->reference_count; i++) {
        size_t insert = insert_of(round, &entry->references[i]);

        if (insert != 0 && waits_for(round, index, insert - 1))
            return true;
    }
    return false;
}

static void note_early_references(struct round *round, size_t index)
{
    const struct order_entry *entry = &round->entries[index];

    if (entry->action != DELIVERY_INSERT)
        return;
    for (size_t i = 0; i < entry->reference_count && i < 64; i++)
        if (insert_of(round, &entry->references[i]) != 0)
            round->early_references[index] |= UINT64_C(1) << i;
}

/* What stays behind may be moving a child away from what a later DELETE would take with it. */
static void leave(struct round *round, const struct order_entry *entry)
{
    uint32_t rank = entry->rank + (entry->reference_count > 0 ? 1 : 0);

    if (rank > round->left_rank)
        round->left_rank = rank;
    if (entry->state == DELIVERY_NEW)
        round->waiting_count++;
    if (entry->state == DELIVERY_PENDING || entry->is_held)
        round->stuck_count++;
}

static void choose(struct round *round, size_t index)
{
    const struct order_entry *entry = &round->entries[index];

    note_early_references(round, index);
    round->candidates[round->candidate_count++] = (struct candidate){
        .index = index,
        .action = entry->action,
        .rank = entry->action == DELIVERY_DELETE ? UINT32_MAX - entry->rank : entry->rank,
        .mapping = entry->mapping,
    };
}

static bool may_go(struct round *round, size_t index)
{
    const struct order_entry *entry = &round->entries[index];

    if (entry->action == DELIVERY_DELETE && entry->rank < round->left_rank)
        return false;
    if (!is_blocked_by_reference(round, index))
        return true;
    bool is_forced = round->must_force_one;
    round->must_force_one = false;
    return is_forced;
}

static void refuse(struct round *round, size_t index, size_t failed_insert)
{
    round->refusals[round->refusal_count++] = (struct order_refusal){
        .entry = index,
        .failed_insert = failed_insert,
        .state =
            round->entries[index].action == DELIVERY_DELETE ? DELIVERY_IGNORED : DELIVERY_FAILED,
    };
}

static void place(struct round *round, size_t index)
{
    const struct order_entry *entry = &round->entries[index];
    struct slot *record = record_slot(round, entry);

    if (entry->action == DELIVERY_INSERT)
        record->failed_insert = 0;
    if (record->failed_insert != 0 && !entry->is_bound && entry->state == DELIVERY_NEW) {
        refuse(round, index, record->failed_insert - 1);
        return;
    }

    bool is_busy = take_keys(round, entry) || record->is_busy;
    record->is_busy = true;
    if (is_busy || entry->state == DELIVERY_PENDING || entry->is_held || !may_go(round, index))
        leave(round, entry);
    else
        choose(round, index);
}

static void place_all(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        const struct order_entry *entry = &round->entries[i];

        if (is_unsettled(entry))
            place(round, i);
        else if (entry->state == DELIVERY_FAILED && entry->action == DELIVERY_INSERT)
            record_slot(round, entry)->failed_insert = i + 1;
    }
}

static struct round begin_round(const struct order_entry *entries, size_t count, bool must_force,
                                struct arena *arena)
{
    size_t slot_count = 8;
    size_t name_count = count;

    for (size_t i = 0; i < count; i++)
        name_count += count_keys(&entries[i]);
    while (slot_count < name_count * 2)
        slot_count *= 2;
    return (struct round){
        .entries = entries,
        .count = count,
        .slots = arena_array(arena, struct slot, slot_count),
        .slot_mask = slot_count - 1,
        .candidates = arena_array(arena, struct candidate, count),
        .refusals = arena_array(arena, struct order_refusal, count),
        .early_references = arena_array(arena, uint64_t, count),
        .must_force_one = must_force,
    };
}

static struct round choose_entries(const struct order_entry *entries, size_t count,
                                   struct arena *arena)
{
    struct round round = begin_round(entries, count, false, arena);

    note_inserts(&round);
    place_all(&round);
    if (round.candidate_count > 0 || round.waiting_count == 0 || round.stuck_count > 0)
        return round;
    round = begin_round(entries, count, true, arena);
    note_inserts(&round);
    place_all(&round);
    return round;
}

static int compare_numbers(uint64_t left, uint64_t right)
{
    return left < right ? -1 : left > right;
}

static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left;
    const struct candidate *b = right;

    if (a->action != b->action)
        return compare_numbers(a->action, b->action);
    if (a->rank != b->rank)
        return compare_numbers(a->rank, b->rank);
    if (a->mapping != b->mapping)
        return compare_numbers(a->mapping, b->mapping);
    return compare_numbers(a->index, b->index);
}

static size_t run_length(const struct candidate *candidates, size_t count, size_t max_batch)
{
    size_t length = 1;

    while (length < count && length < max_batch &&
           candidates[length].action == candidates->action &&
           candidates[length].mapping == candidates->mapping)
        length++;
    return length;
}

static void cut_batches(struct round *round, size_t max_batch, struct arena *arena,
                        struct order_plan *plan)
{
    size_t count = round->candidate_count;
    size_t *indexes = arena_array(arena, size_t, count);
    struct order_batch *batches = arena_array(arena, struct order_batch, count);

    qsort(round->candidates, count, sizeof(*round->candidates), compare_candidates);
    for (size_t i = 0; i < count; i++)
        indexes[i] = round->candidates[i].index;
    for (size_t at = 0; at < count; at += batches[plan->batch_count++].count)
        batches[plan->batch_count] = (struct order_batch){
            .mapping = round->candidates[at].mapping,
            .action = round->candidates[at].action,
            .entries = indexes + at,
            .count = run_length(round->candidates + at, count - at, max_batch),
        };
    plan->batches = batches;
}

struct order_plan order_next_round(const struct order_entry *entries, size_t count,
                                   size_t max_batch, struct arena *arena)
{
    struct round round = choose_entries(entries, count, arena);
    struct order_plan plan = {
        .refusals = round.refusals,
        .refusal_count = round.refusal_count,
        .waiting_count = round.waiting_count,
        .early_references = round.early_references,
    };

    cut_batches(&round, max_batch > 0 ? max_batch : ORDER_BATCH_MAX, arena, &plan);
    return plan;
}
