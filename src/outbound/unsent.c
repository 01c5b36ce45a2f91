#include "outbound/unsent.h"

#include <string.h>

static void end_behind_failed(const struct plan *plan, const struct order_refusal *refusal,
                              struct settle *settle, struct arena *arena)
{
    const struct queue_entry *insert = &plan->queue->entries[refusal->failed_insert];
    struct settle_outcome outcome = {
        .verdict = {.todo = DELIVERY_SETTLE, .state = refusal->state},
        .message = arena_printf(arena,
                                "pgforce: the record's INSERT (entry %lld) failed: mend and retry"
                                " that one first",
                                (long long)insert->log_id),
    };

    settle_add(settle, plan->entries[refusal->entry].mapping, &plan->queue->entries[refusal->entry],
               &outcome);
}

static size_t end_undone(const struct plan *plan, struct settle *settle)
{
    size_t count = 0;

    for (size_t i = 0; plan->folds != NULL && i < plan->queue->count; i++) {
        bool is_delete = plan->orders[i].action == DELIVERY_DELETE;
        const struct settle_outcome outcome = {
            .verdict = {.todo = DELIVERY_SETTLE,
                        .state = is_delete ? DELIVERY_IGNORED : DELIVERY_MERGED},
            .message = is_delete ? "pgforce: the row was gone before it was sent" : NULL,
        };

        if (plan->folds[i].fate != FOLD_OVER)
            continue;
        settle_add(settle, NULL, &plan->queue->entries[i], &outcome);
        count++;
    }
    return count;
}

/* It says why, and holds up nobody. */
static size_t end_impossible(const struct plan *plan, struct settle *settle)
{
    size_t count = 0;

    for (size_t i = 0; i < plan->queue->count; i++) {
        const struct settle_outcome outcome = {
            .verdict = {.todo = DELIVERY_SETTLE, .state = DELIVERY_FAILED},
            .message = plan->entries[i].refusal,
        };

        if (outcome.message == NULL || strcmp(plan->queue->entries[i].state, "NEW") != 0)
            continue;
        settle_add(settle, NULL, &plan->queue->entries[i], &outcome);
        count++;
    }
    return count;
}

struct unsent_report unsent_settle(const struct plan *plan, struct settle *settle,
                                   struct arena *arena)
{
    struct unsent_report report = {.over = end_undone(plan, settle),
                                   .failed = end_impossible(plan, settle)};

    for (size_t i = 0; i < plan->round.refusal_count; i++, report.failed++)
        end_behind_failed(plan, &plan->round.refusals[i], settle, arena);
    return report;
}
