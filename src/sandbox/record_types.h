/*
 * Record types: the rows of RecordType that definitions ask for ("recordTypes"), the default of a
 * new record, and what describe tells of them.
 *
 * An object with record types has a RecordTypeId. The default, which Salesforce takes from the
 * profile, is the first active one.
 */
#ifndef PGFORCE_SANDBOX_RECORD_TYPES_H
#define PGFORCE_SANDBOX_RECORD_TYPES_H

#include "sandbox/call.h"
#include "sandbox/draft.h"

/* Remembers those of a definition (schema.h), and makes the rows that are not there yet. */
void record_types_take(struct org *org, const json_t *definition);
bool record_types_make_rows(struct org *org, struct error *err);

/* Sets the default, or refuses what is of another object or inactive. False: storage failed. */
bool record_types_settle(struct draft *draft, struct error *err);

/* recordTypeInfos. */
json_t *record_types_describe(struct call *call, const struct object *object);

#endif
