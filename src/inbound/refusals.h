/*
 * Records that PostgreSQL does not take: a constraint or a trigger of the user's refuses them, or a
 * value fits no column.
 *
 * The others go on; these are kept by id with the reason in pgforce.refused_record and read again
 * later and later, until they are taken or gone. It knows nothing of how they are read.
 */
#ifndef PGFORCE_INBOUND_REFUSALS_H
#define PGFORCE_INBOUND_REFUSALS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

struct refusal {
    struct refusal *next;
    const char *sfid;
    const char *reason;
};

/* Of one page; in the arena. */
struct refusals {
    struct arena *arena;
    struct refusal *first;
    size_t count;
};

void refusals_add(struct refusals *refusals, const char *sfid, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* In the page's transaction; also logs those that are new. */
bool refusals_store(const struct refusals *refusals, struct pg *pg, const struct mapping *mapping,
                    struct error *err);

struct refusals_asked {
    const char *const *ids; /* in the arena */
    size_t count;
};

/* Those whose time has come, the most urgent first. */
bool refusals_due(struct pg *pg, const struct mapping *mapping, struct arena *arena,
                  struct refusals_asked *asked, struct error *err);

/* In the transaction that applied what became of them: forgets those that this transaction has not
 * refused again. */
bool refusals_forget(struct pg *pg, const struct mapping *mapping,
                     const struct refusals_asked *asked, struct error *err);

#endif
