/*
 * What ends without a request: what none can be made of, what a later DELETE has undone, and what
 * stands behind an INSERT that failed.
 *
 * Puts the outcomes into settle, and stores nothing.
 */
#ifndef PGFORCE_OUTBOUND_UNSENT_H
#define PGFORCE_OUTBOUND_UNSENT_H

#include <stddef.h>

#include "base/arena.h"
#include "outbound/plan.h"
#include "outbound/settle.h"

struct unsent_report {
    size_t failed;
    size_t over;
};

/* The plan has its round. */
struct unsent_report unsent_settle(const struct plan *plan, struct settle *settle,
                                   struct arena *arena);

#endif
