/*
 * Writes whose answer was lost: reads back what became of them and lets src/sync decide.
 *
 * A create with a unique identifier is looked for by it, an update or delete by the record's id. A
 * create without one is looked for by its receipt or its marker; where it went without them, by its
 * content, among the records that our user has created since and that belong to no row here.
 * Nothing is ever resent here.
 */
#ifndef PGFORCE_OUTBOUND_DOUBT_H
#define PGFORCE_OUTBOUND_DOUBT_H

#include <stdbool.h>
#include <stddef.h>

#include "archive/queue.h"
#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "outbound/settle.h"
#include "pg/pg.h"
#include "sf/session.h"

struct doubt_world {
    struct pg *pg;
    struct sf_session *session;
    struct arena *arena;
    int64_t steady_ms;     /* pg/server_clock.h: longer nothing is known to have waited */
    int64_t quarantine_ms; /* for creates without a unique identifier */
};

struct doubt_entries {
    const struct mapping *mapping;
    struct queue_entry **items;
    size_t count;
    struct settle_outcome *outcomes; /* answered, in step with the items; in the arena */
};

/* Judges the entries of one mapping that are in doubt and due. */
bool doubt_resolve(const struct doubt_world *world, struct doubt_entries *doubts,
                   struct error *err);

#endif
