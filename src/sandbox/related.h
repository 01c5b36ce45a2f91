/*
 * /sobjects/X/ID/Relationship: a parent record or a list of children by the relationship's name.
 *
 * Source: REST API Developer Guide, "Traverse Relationships with Friendly URLs".
 */
#ifndef PGFORCE_SANDBOX_RELATED_H
#define PGFORCE_SANDBOX_RELATED_H

#include "sandbox/call.h"

/* Whether the second argument of the route is an id of the object, so that the third is
 * a relationship and not the value of a key. */
bool related_is(const struct call *call, const struct object *object);

void related_get(struct call *call, const struct object *object);

/* The parent the path leads to becomes what the call's arguments name; false after answering. */
bool related_find_parent(struct call *call, const struct object *object);

#endif
