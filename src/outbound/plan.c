#include "outbound/plan.h"

#include <string.h>

struct planner {
    const struct mapping_list *mappings;
    const uint32_t *ranks;
    const bool *has_keys; /* by mapping: an identifier of its own, or references by one */
    struct arena *arena;
};

/* Mappings that others refer to by external id come first: one more pass for each level. */
uint32_t *plan_ranks(const struct mapping_list *list, struct arena *arena)
{
    uint32_t *ranks = arena_array(arena, uint32_t, list->count);

    for (size_t pass = 0; pass < list->count; pass++)
        for (size_t i = 0; i < list->count; i++)
            for (size_t j = 0; j < list->items[i].field_count; j++) {
                const struct mapping_field *field = &list->items[i].fields[j];
                const struct mapping *parent =
                    field->reference_object != NULL
                        ? mapping_find_by_object(list, field->reference_object)
                        : NULL;

                if (parent != NULL && parent != &list->items[i] &&
                    ranks[i] <= ranks[parent - list->items] && ranks[i] < list->count)
                    ranks[i] = ranks[parent - list->items] + 1;
            }
    return ranks;
}

static void add_reference(const struct planner *planner, struct order_entry *order,
                          struct plan_entry *planned, const struct hstore_pair *pair)
{
    const struct mapping_field *field = mapping_field_by_column(planned->mapping, pair->key);
    const struct mapping *parent =
        mapping_find_by_object(planner->mappings, field->reference_object);
    struct order_reference *references = (struct order_reference *)order->references;

    if (parent == NULL || parent->upsert == NULL ||
        strcmp(parent->upsert->field_name, field->reference_field) != 0)
        return;
    planned->reference_fields[order->reference_count] = field;
    references[order->reference_count++] = (struct order_reference){
        .mapping = (uint32_t)(parent - planner->mappings->items),
        .key_hash = order_hash(pair->value, pair->value_bytes),
    };
}

/* The record's own key and its parents', from the entry's values. */
static void fill_keys(const struct planner *planner, struct order_entry *order,
                      struct plan_entry *planned)
{
    const struct mapping *mapping = planned->mapping;

    if (!planner->has_keys[order->mapping])
        return;
    order->references = arena_array(planner->arena, struct order_reference, planned->pair_count);
    planned->reference_fields =
        arena_array(planner->arena, const struct mapping_field *, planned->pair_count);
    for (size_t i = 0; i < planned->pair_count; i++) {
        const struct hstore_pair *pair = &planned->pairs[i];
        const struct mapping_field *field = mapping_field_by_column(mapping, pair->key);

        if (field == NULL || pair->value == NULL)
            continue;
        if (field == mapping->upsert)
            order->key_hash = order_hash(pair->value, pair->value_bytes);
        if (field->reference_object != NULL)
            add_reference(planner, order, planned, pair);
    }
}

/* A text that cannot be read has no keys; sending it will fail with the reason. */
static void read_values(const struct planner *planner, const struct queue_entry *entry,
                        struct plan_entry *planned)
{
    struct hstore_pair *pairs;
    struct error err;

    if (entry->values == NULL)
        return;
    if (hstore_parse(entry->values, planner->arena, &pairs, &planned->pair_count, &err)) {
        planned->pairs = pairs;
        return;
    }
    planned->pair_count = 0;
    planned->problem = arena_strdup(planner->arena, err.message);
}

/* State, not history: what a later entry carries is not sent again behind its back. */
static void leave_later(const struct planner *planner, const struct queue_entry *entry,
                        struct plan_entry *planned)
{
    struct hstore_pair *later;
    struct error ignored;
    size_t later_count;
    size_t kept_count = 0;

    if (entry->later_values == NULL ||
        !hstore_parse(entry->later_values, planner->arena, &later, &later_count, &ignored))
        return;
    struct hstore_pair *kept = arena_array(planner->arena, struct hstore_pair, planned->pair_count);
    planned->left_columns = arena_array(planner->arena, const char *, planned->pair_count);
    for (size_t i = 0; i < planned->pair_count; i++) {
        if (hstore_find(later, later_count, planned->pairs[i].key) != NULL)
            planned->left_columns[planned->left_count++] = planned->pairs[i].key;
        else
            kept[kept_count++] = planned->pairs[i];
    }
    planned->pairs = kept;
    planned->pair_count = kept_count;
}

/* The key that a DELETE sets free, or an UPDATE that carries another: who uses it again waits. */
static void fill_freed_key(const struct planner *planner, const struct queue_entry *entry,
                           struct order_entry *order, const struct plan_entry *planned)
{
    const struct mapping_field *upsert = planned->mapping->upsert;
    struct hstore_pair *pairs;
    size_t count;
    struct error err;

    if (entry->old == NULL || upsert == NULL ||
        !hstore_parse(entry->old, planner->arena, &pairs, &count, &err) ||
        (order->action != DELIVERY_DELETE &&
         hstore_find(planned->pairs, planned->pair_count, upsert->column_name) == NULL))
        return;
    const struct hstore_pair *old = hstore_find(pairs, count, upsert->column_name);
    if (old == NULL || old->value == NULL)
        return;
    uint64_t *freed = arena_array(planner->arena, uint64_t, 1);
    *freed = order_hash(old->value, old->value_bytes);
    order->freed_keys = freed;
    order->freed_key_count = 1;
}

/* An INSERT that has made its record, and has a reference left to send or failed at that; or one
 * made by hand of a row that has its record. */
static bool is_second_step(const struct queue_entry *entry)
{
    return strcmp(entry->action, "INSERT") == 0 && entry->sfid != NULL &&
           (entry->attempt > 0 || entry->was_settled || entry->commit_lsn == 0);
}

/* Made by hand, or left over by a mapping that was deleted. */
static const char *find_refusal(const struct mapping *mapping, const struct queue_entry *entry)
{
    enum delivery_action action;

    if (mapping == NULL)
        return "pgforce: no mapping has a table of this name";
    if (!delivery_action_parse(entry->action, &action))
        return "pgforce: the action is none of INSERT, UPDATE and DELETE";
    /* What was captured while the mapping was read-write is sent all the same. */
    if (mapping->access != MAPPING_READ_WRITE && (entry->commit_lsn == 0 || entry->was_settled))
        return "pgforce: the mapping is read-only";
    return NULL;
}

static void fill_entry(const struct planner *planner, const struct queue_entry *entry,
                       struct order_entry *order, struct plan_entry *planned)
{
    const struct mapping *mapping = mapping_find_by_table(planner->mappings, entry->table_name);

    order->log_id = entry->log_id;
    order->record_id = entry->record_id;
    order->state = DELIVERY_IGNORED;
    planned->mapping = mapping;
    planned->refusal = find_refusal(mapping, entry);
    if (planned->refusal != NULL || !delivery_action_parse(entry->action, &order->action) ||
        !delivery_state_parse(entry->state, &order->state))
        return;
    order->mapping = (uint32_t)(mapping - planner->mappings->items);
    order->rank = planner->ranks[order->mapping];
    order->is_held = entry->is_held;
    order->is_bound = entry->sfid != NULL;
    order->was_sent = entry->was_in_doubt;
    if (is_second_step(entry))
        order->action = DELIVERY_UPDATE;
    read_values(planner, entry, planned);
    fill_keys(planner, order, planned);
    fill_freed_key(planner, entry, order, planned);
}

/* What goes with a carrier refers for it. */
static void add_references(const struct planner *planner, struct plan *plan, size_t carrier,
                           size_t index)
{
    struct order_entry *to = &plan->orders[carrier];
    const struct order_entry *from = &plan->orders[index];
    size_t count = to->reference_count + from->reference_count;
    struct order_reference *references = arena_array(planner->arena, struct order_reference, count);
    const struct mapping_field **fields =
        arena_array(planner->arena, const struct mapping_field *, count);

    for (size_t i = 0; i < count; i++) {
        bool is_own = i < to->reference_count;
        size_t at = is_own ? i : i - to->reference_count;

        references[i] = (is_own ? to : from)->references[at];
        fields[i] = plan->entries[is_own ? carrier : index].reference_fields[at];
    }
    to->references = references;
    to->reference_count = count;
    plan->entries[carrier].reference_fields = fields;
}

/* All keys of one entry are another's of the same record, too, which is sent in its place or after
 * it. */
static void add_keys(const struct planner *planner, struct order_entry *to,
                     const struct order_entry *from, bool is_into)
{
    size_t room = to->freed_key_count + from->freed_key_count + 1;
    uint64_t *keys = arena_array(planner->arena, uint64_t, room);
    size_t count = 0;

    for (size_t i = 0; i < to->freed_key_count; i++)
        keys[count++] = to->freed_keys[i];
    for (size_t i = 0; i < from->freed_key_count; i++)
        keys[count++] = from->freed_keys[i];
    keys[count++] = is_into ? to->key_hash : from->key_hash;
    to->freed_keys = keys;
    to->freed_key_count = count;
    if (is_into)
        to->key_hash = from->key_hash;
}

/* The next entry of the record that is sent, plus one; 0: none. */
static size_t next_sent(const struct plan *plan, size_t index)
{
    const struct order_entry *own = &plan->orders[index];

    for (size_t i = index + 1; i < plan->queue->count; i++)
        if (plan->folds[i].fate == FOLD_ALONE && plan->orders[i].mapping == own->mapping &&
            plan->orders[i].record_id == own->record_id)
            return i + 1;
    return 0;
}

/* An identifier that is changed, not to be used again before its old value is free. */
static void fold_keys(const struct planner *planner, const struct plan *plan, size_t index)
{
    const struct fold *fold = &plan->folds[index];
    const struct order_entry *own = &plan->orders[index];

    if (own->freed_key_count == 0)
        return;
    size_t to = fold->fate == FOLD_INTO ? fold->carrier + 1 : next_sent(plan, index);
    if (to != 0)
        add_keys(planner, &plan->orders[to - 1], own, fold->fate == FOLD_INTO);
}

static void apply_folds(const struct planner *planner, struct plan *plan)
{
    for (size_t i = 0; i < plan->queue->count; i++) {
        const struct fold *fold = &plan->folds[i];

        if (fold->is_revived)
            plan->orders[i].state = DELIVERY_NEW;
        if (fold->fate == FOLD_ALONE)
            continue;
        if (fold->fate == FOLD_INTO && plan->orders[i].reference_count > 0)
            add_references(planner, plan, fold->carrier, i);
        fold_keys(planner, plan, i);
        plan->orders[i].state = DELIVERY_MERGED;
    }
}

static bool has_keys(const struct mapping *mapping)
{
    bool has_reference = false;

    for (size_t i = 0; i < mapping->field_count; i++)
        has_reference = has_reference || mapping->fields[i].reference_object != NULL;
    return mapping->upsert != NULL || has_reference;
}

static bool *find_keyed(const struct mapping_list *mappings, struct arena *arena)
{
    bool *are_keyed = arena_array(arena, bool, mappings->count);

    for (size_t i = 0; i < mappings->count; i++)
        are_keyed[i] = has_keys(&mappings->items[i]);
    return are_keyed;
}

struct plan *plan_make(const struct mapping_list *mappings, const uint32_t *ranks,
                       const struct queue *queue, bool is_merged, struct arena *arena)
{
    const struct planner planner = {mappings, ranks, find_keyed(mappings, arena), arena};
    struct plan *plan = arena_alloc(arena, sizeof(*plan));

    plan->queue = queue;
    plan->entries = arena_array(arena, struct plan_entry, queue->count);
    plan->orders = arena_array(arena, struct order_entry, queue->count);
    for (size_t i = 0; i < queue->count; i++) {
        fill_entry(&planner, &queue->entries[i], &plan->orders[i], &plan->entries[i]);
        plan->has_unmapped = plan->has_unmapped || plan->entries[i].mapping == NULL;
    }
    for (size_t i = 0; i < queue->count; i++) {
        /* Merged, what was in doubt goes alone and whole. */
        if (is_merged && !queue->entries[i].was_settled && queue->entries[i].commit_lsn != 0)
            continue;
        leave_later(&planner, &queue->entries[i], &plan->entries[i]);
        plan->left_count += plan->entries[i].left_count;
    }
    if (is_merged) {
        plan->folds = fold_merged(plan->orders, queue->count, arena);
        apply_folds(&planner, plan);
    }
    return plan;
}

size_t plan_next(const struct plan *plan, size_t index)
{
    return plan->folds != NULL ? plan->folds[index].next : 0;
}
