/*
 * A mapping's unique identifier, a text or a number: as a query asks for it, and as two of them
 * compare.
 */
#ifndef PGFORCE_OUTBOUND_IDENTIFIER_H
#define PGFORCE_OUTBOUND_IDENTIFIER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "mapping/mapping.h"

/* NULL: no query can hold it. */
const char *identifier_in_query(const struct mapping_field *field, const char *text,
                                struct arena *arena);

/* Of a record that was read, as a column has it; NULL if none. */
const char *identifier_of(const struct mapping_field *field, json_t *record, struct arena *arena);

/* As Salesforce compares them; theirs may be NULL. */
bool identifier_is_same(const struct mapping_field *field, const char *ours, const char *theirs,
                        struct arena *arena);

#endif
