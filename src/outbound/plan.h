/*
 * From the queue to what src/sync plans with: each entry's mapping, key and references.
 *
 * Reads the entries' values for keys only; decides nothing and sends nothing.
 */
#ifndef PGFORCE_OUTBOUND_PLAN_H
#define PGFORCE_OUTBOUND_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "archive/queue.h"
#include "base/arena.h"
#include "mapping/mapping.h"
#include "sync/order.h"

/* How deep each mapping stands below those it refers to by external id, in the list's order. */
uint32_t *plan_ranks(const struct mapping_list *mappings, struct arena *arena);

/* One order_entry for each of the queue. Entries of tables no longer mapped get a state that is
 * neither sent nor waited for. */
struct order_entry *plan_entries(const struct mapping_list *mappings, const uint32_t *ranks,
                                 const struct queue *queue, struct arena *arena);

#endif
