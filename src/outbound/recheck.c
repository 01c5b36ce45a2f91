#include "outbound/recheck.h"

#include <string.h>

#include "archive/conflicts.h"
#include "base/buf.h"

/* The ids of the batch's entries and of those that go with them; the entries they belong
 * to, in step. */
static const char *list_ids(const struct plan *plan, const struct order_batch *batch,
                            struct arena *arena)
{
    struct buf list BUF_AUTO = {0};

    buf_init(&list, 24 * plan->queue->count + 24);
    for (size_t i = 0; i < batch->count; i++)
        for (size_t at = batch->entries[i] + 1; at != 0; at = plan_next(plan, at - 1))
            pg_append_element(&list, pg_number(plan->queue->entries[at - 1].log_id).text);
    pg_end_array(&list);
    return arena_strdup(arena, list.data);
}

/* As many rows of the result as entries share the request. */
static bool has_lost_since(const struct plan *plan, size_t first, const PGresult *result, int *row)
{
    bool has_lost = false;

    for (size_t at = first + 1; at != 0; at = plan_next(plan, at - 1)) {
        const char *overruled = plan->entries[at - 1].overruled;

        has_lost =
            has_lost || (overruled != NULL && strcmp(pg_field(result, *row, 0), overruled) != 0);
        ++*row;
    }
    return has_lost;
}

bool recheck_updates(const struct deliver_world *world, const struct plan *plan,
                     const struct order_batch *batch, size_t *put_off, struct error *err)
{
    int row = 0;
    PGresult *result PG_RESULT_AUTO =
        pg_query(world->pg,
                 "select " CONFLICTS_OVERRULED(
                     "i.id", "$2") " from unnest($1::integer[]) with ordinality as i(id, place)"
                                   " order by i.place",
                 PG_PARAMS(list_ids(plan, batch, world->arena), world->schema_name), err);

    if (result == NULL)
        return error_prefix(err, "looking again at what lost");
    for (size_t i = 0; i < batch->count; i++)
        if (has_lost_since(plan, batch->entries[i], result, &row)) {
            plan->entries[batch->entries[i]].is_put_off = true;
            ++*put_off;
        }
    return true;
}
