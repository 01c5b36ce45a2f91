/*
 * Whether the server's clock has been set: a wait that is measured by its times is only as long as
 * the clock has gone evenly.
 *
 * Each look compares it with our monotonic clock, which is never set. What happened while nobody
 * looked, or while the process was not there, is seen as one step; nothing of this is stored.
 */
#ifndef PGFORCE_PG_SERVER_CLOCK_H
#define PGFORCE_PG_SERVER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/pg.h"

struct server_clock {
    bool is_known; /* false, as all zero, before the first look */
    bool was_set;
    int64_t server_ms; /* the last look, by both */
    int64_t own_ms;
    int64_t set_at_ms; /* by our clock */
};

/* Looks, and answers for how long the clock has been seen to go evenly; INT64_MAX when no step was
 * ever seen. */
bool server_clock_look(struct pg *pg, struct server_clock *clock, int64_t *steady_ms,
                       struct error *err);

/* After a first look: takes the clock for one that was just set if it is further than this from
 * when (by itself) somebody looked before this process did. Pure, as is the next. */
void server_clock_doubt(struct server_clock *clock, int64_t before_ms, int64_t far_ms);

/* The same as a look, of one that was made. */
int64_t server_clock_note(struct server_clock *clock, int64_t server_ms, int64_t own_ms);

#endif
