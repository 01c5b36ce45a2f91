/*
 * Says in the stream what an inbound transaction is about to write, so that what users' own
 * triggers make of it can be told from it (stream/echo.h). Only where the table has such triggers.
 */
#ifndef PGFORCE_INBOUND_ANNOUNCE_H
#define PGFORCE_INBOUND_ANNOUNCE_H

#include <stdbool.h>

#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* Whether the mapped table has triggers that fire on what we write. */
bool announce_is_needed(struct pg *pg, const struct mapping *mapping, bool *is_needed,
                        struct error *err);

/* At the end of a transaction that has announced nothing: ERROR_RETRY if such a trigger was made
 * after one had looked for them, for what it did would be taken for ours. What was written holds
 * off any that is made from then on. */
bool announce_was_not_needed(struct pg *pg, const struct mapping *mapping, struct error *err);

/* The staged records, or (record_ids not NULL, an array of integers) those of these rows; a message
 * each, in our transaction. */
bool announce_staged(struct pg *pg, const struct mapping *mapping, const char *record_ids,
                     struct error *err);

#endif
