/*
 * What was sent as a unit (sync/unit.h), all or none, and is in doubt: what was read back of its
 * parts is made to agree. Reads nothing, decides nothing.
 */
#ifndef PGFORCE_OUTBOUND_AGREE_H
#define PGFORCE_OUTBOUND_AGREE_H

#include <stdbool.h>

#include "archive/queue.h"
#include "base/arena.h"
#include "outbound/settle.h"

/* Outcomes and are_judged are in step with the queue. While another entry of its unit is not
 * judged, neither is an entry. */
void agree_doubts(const struct queue *queue, struct settle_outcome *outcomes, bool *are_judged,
                  struct arena *arena);

#endif
