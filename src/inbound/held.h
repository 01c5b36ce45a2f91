/*
 * Records of a reading that were not applied, for somebody is at their rows or an answer to a write
 * of ours is due: they must be read again, so the watermark must not pass the oldest of them.
 */
#ifndef PGFORCE_INBOUND_HELD_H
#define PGFORCE_INBOUND_HELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

struct held {
    int64_t count;     /* deletions, too */
    int64_t deletions; /* of which only the id is known */
    int64_t oldest_us; /* least SystemModstamp of the others, since 1970; 0: there are none */
    int64_t left;      /* besides: every poll reads them again, but not who heard of them */
};

void held_add(struct held *held, const struct held *more);

/* One more record, by its stamp. */
void held_note(struct held *held, int64_t stamp_us);

/* Which: a statement (inbound/statement.h) that deletes from "@s s" and returns nothing. */
struct held_rows {
    const struct mapping *mapping;
    const char *format;
    struct pg_params params; /* none where left out, likewise */
    const char *unless;      /* of s: the next poll reads those in any case. May be NULL */
};

/* Takes them out of the staging table. */
bool held_take_out(struct pg *pg, const struct held_rows *rows, struct held *held,
                   struct error *err);

#endif
