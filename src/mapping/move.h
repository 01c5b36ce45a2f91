/*
 * From one state of a mapping to another: the only place that writes pgforce.mapping.state, but for
 * the row's own making (store.h).
 *
 * Which ways there are is state.h's. In the caller's transaction, if one is open; without one it is
 * a single statement, so of two who move a mapping at once the second sees what the first has made
 * of it.
 */
#ifndef PGFORCE_MAPPING_MOVE_H
#define PGFORCE_MAPPING_MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "mapping/state.h"
#include "pg/pg.h"

struct move {
    int64_t mapping_id;
    enum state_event event;
    const char *to;          /* DATA_SYNCED becomes RESYNC while columns wait for their values */
    const char *description; /* NULL: nothing to say */
    const char *operation;   /* what the pull role is to do; NULL: as it was; "": nothing */
    bool may_stay;           /* the mapping may be in this state already */
};

/* *is_made false: the mapping is gone, or there is no such way from the state it is in by now. */
bool move_try(struct pg *pg, const struct move *move, bool *is_made, struct error *err);

/*
 * For the daemon, which may find the mapping in the state already, and whose being done with
 * reading never undoes a reload that was asked for meanwhile. No way is ERROR_RETRY: an operator
 * has aborted or deleted it, and what was under way must be given up.
 */
bool move_daemon(struct pg *pg, const struct move *move, struct error *err);

#endif
