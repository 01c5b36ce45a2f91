/*
 * The filter of a roll-up as the Metadata API writes it: a list of conditions, all of which a
 * detail must meet. It becomes a formula on the detail.
 *
 *     [{"field": "Line__c.Stage__c", "operation": "equals", "value": "Open,Done"}]
 *
 * Several values between commas mean any of them; text is compared whatever its case. Source:
 * Metadata API Developer Guide, "FilterItem".
 */
#ifndef PGFORCE_SANDBOX_ROLLUP_FILTER_H
#define PGFORCE_SANDBOX_ROLLUP_FILTER_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "sandbox/schema.h"

/* The formula, in the arena; NULL after setting err. */
const char *rollup_filter_formula(struct arena *arena, const struct object *detail,
                                  const json_t *items, struct error *err);

#endif
