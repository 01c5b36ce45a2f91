/*
 * What a mapping wants done when the answer to a create without a unique identifier is lost, as far
 * as the organisation has a part in it: the object of receipts, and the field that holds a marker.
 *
 * Says what they must be like, and what is wrong with those that are there. Pure; what is made of a
 * lost create is src/sync's.
 */
#ifndef PGFORCE_MAPPING_LOST_CREATE_H
#define PGFORCE_MAPPING_LOST_CREATE_H

#include "base/arena.h"
#include "sf/describe.h"

/* docs/deploy/salesforce defines it. */
#define LOST_CREATE_RECEIPT "Pgforce_Receipt__c"
#define LOST_CREATE_KEY     "Key__c"
#define LOST_CREATE_RECORD  "Record_Id__c"

/* Hexadecimal digits of what a receipt or a marker is known by. */
enum { LOST_CREATE_TRACE_CHARS = 32 };

/* What is wrong, with the remedy; NULL when nothing is. receipt: the described object, NULL when
 * there is none. The text lives in the arena. */
const char *lost_create_receipt_problem(const struct sf_object *receipt, struct arena *arena);

/* Likewise of a field of the mapped object. */
const char *lost_create_marker_problem(const struct sf_object *object, const char *field_name,
                                       struct arena *arena);

#endif
