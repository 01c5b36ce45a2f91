/*
 * The connections by which the role pull writes, each under an origin that keeps what it writes out
 * of the log, and the one that has none.
 *
 * An abort of what is being read cancels the statement of any of those that write. Staging tables
 * belong to a connection.
 */
#ifndef PGFORCE_INBOUND_WRITERS_H
#define PGFORCE_INBOUND_WRITERS_H

#include <stdbool.h>

#include "base/error.h"
#include "inbound/abort_watch.h"
#include "inbound/apply.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

struct writers {
    const char *url;
    const char *schema_name;
    struct pg *pull;
    struct pg *echo;    /* opened when the first table with triggers is met; see announce.h */
    struct pg *barrier; /* without an origin; see progress_barrier */
    struct abort_watch *watch;
};

/* The first two fields are the caller's to set, the others zero. */
bool writers_open(struct writers *writers, struct error *err);
void writers_close(struct writers *writers);

/* One more, under an origin of its own, that of the first load. NULL on failure. */
struct pg *writers_open_load(const struct writers *writers, struct error *err);
void writers_close_load(const struct writers *writers, struct pg *pg);

/* Into world, the one for this mapping. What users' triggers make of the rows is to be captured: a
 * connection with the origin for that. */
bool writers_choose(struct writers *writers, const struct mapping *mapping,
                    struct apply_world *world, struct error *err);

/* Staging tables have the columns of before. */
bool writers_forget_stages(const struct writers *writers, struct error *err);

bool writers_are_connected(const struct writers *writers);

#endif
