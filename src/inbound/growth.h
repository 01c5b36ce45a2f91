/*
 * Columns that become wider when a text from Salesforce does not fit, instead of stopping the sync.
 *
 * varchar to a longer varchar or to text: PostgreSQL rewrites nothing and holds its lock for a
 * moment, for which we wait no longer than for any other. A column that cannot grow (a view depends
 * on it) is remembered, so that only the rows that need it are refused.
 */
#ifndef PGFORCE_INBOUND_GROWTH_H
#define PGFORCE_INBOUND_GROWTH_H

#include <stdbool.h>

#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

struct growth;

struct growth *growth_new(void);
void growth_free(struct growth *growth);

/* All columns may be tried again: something about the mappings has changed. */
void growth_reset(struct growth *growth);

bool growth_is_stuck(const struct growth *growth, const struct mapping *mapping,
                     const struct mapping_field *field);

struct growth_need {
    const struct mapping *mapping;
    const struct mapping_field *field;
    int characters;
};

/* Outside a transaction: makes the room, in the table and in the mapping, or remembers that it
 * cannot: growth_is_stuck tells which. False: not now. Once it has grown, the mapping must be
 * loaded anew. */
bool growth_widen(struct growth *growth, struct pg *pg, const struct growth_need *need,
                  struct error *err);

#endif
