#include "outbound/agree.h"

#include <string.h>

#include "sync/delivery.h"
#include "sync/unit.h"

static bool is_doubt_of(const struct queue_entry *entry, uint64_t commit_lsn)
{
    return entry->is_unit && entry->commit_lsn == commit_lsn &&
           strcmp(entry->phase, "IN_DOUBT") == 0;
}

/* A change of a record that was to be made in the same call. */
static bool is_follower(const struct queue_entry *entry)
{
    return entry->sfid == NULL && strcmp(entry->action, "INSERT") != 0;
}

static const char *id_of_record(const struct queue *queue, const struct settle_outcome *outcomes,
                                const size_t *indexes, size_t count,
                                const struct queue_entry *entry)
{
    for (size_t i = 0; i < count; i++) {
        const struct queue_entry *other = &queue->entries[indexes[i]];

        if (other->record_id == entry->record_id && outcomes[indexes[i]].sfid != NULL &&
            strcmp(other->table_name, entry->table_name) == 0)
            return outcomes[indexes[i]].sfid;
    }
    return NULL;
}

static void agree_on_unit(const struct queue *queue, struct settle_outcome *outcomes,
                          const size_t *indexes, size_t count, struct arena *arena)
{
    struct unit_part *parts = arena_array(arena, struct unit_part, count);

    for (size_t i = 0; i < count; i++) {
        const struct queue_entry *entry = &queue->entries[indexes[i]];

        parts[i].verdict = outcomes[indexes[i]].verdict;
        parts[i].is_follower = is_follower(entry);
        delivery_action_parse(entry->action, &parts[i].action);
    }
    size_t decided = unit_agree_doubts(parts, count);
    for (size_t i = 0; i < count; i++) {
        struct settle_outcome *outcome = &outcomes[indexes[i]];
        bool has_changed = outcome->verdict.state != parts[i].verdict.state;

        outcome->verdict = parts[i].verdict;
        outcome->wait_ms = outcomes[indexes[decided]].wait_ms;
        if (has_changed)
            outcome->message = parts[i].verdict.reason;
        if (outcome->verdict.state != DELIVERY_SUCCESS)
            outcome->sfid = NULL;
        else if (parts[i].is_follower)
            outcome->sfid =
                id_of_record(queue, outcomes, indexes, count, &queue->entries[indexes[i]]);
    }
}

void agree_doubts(const struct queue *queue, struct settle_outcome *outcomes, bool *are_judged,
                  struct arena *arena)
{
    size_t *indexes = arena_array(arena, size_t, queue->count);
    bool *are_seen = arena_array(arena, bool, queue->count);

    for (size_t i = 0; i < queue->count; i++) {
        uint64_t commit_lsn = queue->entries[i].commit_lsn;
        bool is_whole = true;
        size_t count = 0;

        if (!are_judged[i] || are_seen[i] || !is_doubt_of(&queue->entries[i], commit_lsn))
            continue;
        for (size_t j = 0; j < queue->count; j++)
            if (is_doubt_of(&queue->entries[j], commit_lsn)) {
                indexes[count++] = j;
                is_whole = is_whole && are_judged[j];
                are_seen[j] = true;
            }
        if (is_whole)
            agree_on_unit(queue, outcomes, indexes, count, arena);
        for (size_t j = 0; !is_whole && j < count; j++)
            are_judged[indexes[j]] = false;
    }
}
