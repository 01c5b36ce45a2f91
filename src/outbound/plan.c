#include "outbound/plan.h"

#include <string.h>

#include "archive/hstore.h"

struct planner {
    const struct mapping_list *mappings;
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
                          const struct mapping_field *field, const struct hstore_pair *pair)
{
    const struct mapping *parent =
        mapping_find_by_object(planner->mappings, field->reference_object);
    struct order_reference *references = (struct order_reference *)order->references;

    if (parent == NULL || parent->upsert == NULL ||
        strcmp(parent->upsert->field_name, field->reference_field) != 0)
        return;
    references[order->reference_count++] = (struct order_reference){
        .mapping = (uint32_t)(parent - planner->mappings->items),
        .key_hash = order_hash(pair->value, pair->value_bytes),
    };
}

static bool has_keys(const struct mapping *mapping)
{
    bool has_reference = false;

    for (size_t i = 0; i < mapping->field_count; i++)
        has_reference = has_reference || mapping->fields[i].reference_object != NULL;
    return mapping->upsert != NULL || has_reference;
}

/* The record's own key and its parents', from the entry's values. A text that cannot be read has
 * neither: sending it will fail with the reason. */
static void fill_keys(const struct planner *planner, const struct mapping *mapping,
                      const struct queue_entry *entry, struct order_entry *order)
{
    struct hstore_pair *pairs;
    struct error ignored;
    size_t count;

    if (entry->values == NULL || !has_keys(mapping) ||
        !hstore_parse(entry->values, planner->arena, &pairs, &count, &ignored))
        return;
    order->references = arena_array(planner->arena, struct order_reference, count);
    for (size_t i = 0; i < count; i++) {
        const struct mapping_field *field = mapping_field_by_column(mapping, pairs[i].key);

        if (field == NULL || pairs[i].value == NULL)
            continue;
        if (field == mapping->upsert)
            order->key_hash = order_hash(pairs[i].value, pairs[i].value_bytes);
        if (field->reference_object != NULL)
            add_reference(planner, order, field, &pairs[i]);
    }
}

struct order_entry *plan_entries(const struct mapping_list *mappings, const uint32_t *ranks,
                                 const struct queue *queue, struct arena *arena)
{
    const struct planner planner = {mappings, arena};
    struct order_entry *orders = arena_array(arena, struct order_entry, queue->count);

    for (size_t i = 0; i < queue->count; i++) {
        const struct queue_entry *entry = &queue->entries[i];
        const struct mapping *mapping = mapping_find_by_table(mappings, entry->table_name);
        struct order_entry *order = &orders[i];

        order->log_id = entry->log_id;
        order->record_id = entry->record_id;
        order->state = DELIVERY_IGNORED;
        if (mapping == NULL || !delivery_action_parse(entry->action, &order->action) ||
            !delivery_state_parse(entry->state, &order->state))
            continue;
        order->mapping = (uint32_t)(mapping - mappings->items);
        order->rank = ranks[order->mapping];
        order->is_held = entry->is_held;
        order->is_bound = entry->sfid != NULL;
        fill_keys(&planner, mapping, entry, order);
    }
    return orders;
}
