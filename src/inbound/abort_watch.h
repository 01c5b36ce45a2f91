/*
 * Hears that an operator aborted the mapping that is being read, while it is being read.
 *
 * A connection of its own listens; between abort_watch_begin and _end, whatever waits (for the
 * organisation, for the database, for time) stops as if the process were told to, and a statement
 * under way is cancelled. So an abort takes effect within a second at any point, and the reading
 * code need not know of it.
 */
#ifndef PGFORCE_INBOUND_ABORT_WATCH_H
#define PGFORCE_INBOUND_ABORT_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/pg.h"

struct abort_watch;

struct abort_watch *abort_watch_open(const char *url, const char *schema_name, struct error *err);
void abort_watch_close(struct abort_watch *watch);

/* The connections whose statements are cancelled, four at most. One that is added must be removed
 * before it is closed, unless the watch is closed first. */
void abort_watch_add(struct abort_watch *watch, struct pg *worker);
void abort_watch_remove(struct abort_watch *watch, const struct pg *worker);

/* False with *err when its connection is lost. */
bool abort_watch_check(struct abort_watch *watch, struct error *err);

/* Of one mapping; false when it is aborted already. */
bool abort_watch_begin(struct abort_watch *watch, int64_t mapping_id);

/* Whether it was aborted meanwhile. */
bool abort_watch_end(struct abort_watch *watch);

#endif
