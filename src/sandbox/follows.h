/*
 * A field that takes its value from another's: an opportunity's Probability from its StageName, a
 * case's ClosedDate from its Status.
 *
 * Read from a definition's "follows": {"field": F, "values": {"value of F": own value, ...},
 * "otherwise": own value}. An own value of "@now" is the moment of the change. It holds when F is
 * set or changes and the record does not say a value itself; without "otherwise", a value of F that
 * is not listed changes nothing.
 */
#ifndef PGFORCE_SANDBOX_FOLLOWS_H
#define PGFORCE_SANDBOX_FOLLOWS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"

struct follows;

/* NULL when the definition of the field has none. */
const struct follows *follows_read(struct arena *arena, const json_t *definition);

const char *follows_field(const struct follows *follows);

/* What to set for this value of the other field; NULL for null. False: nothing. */
bool follows_answer(const struct follows *follows, const char *value, const char *now,
                    const char **answer);

#endif
