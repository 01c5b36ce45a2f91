/*
 * The keys that a definition of an object may have: any other is a mistake, and refused by name
 * rather than passed over.
 */
#ifndef PGFORCE_SANDBOX_SCHEMA_KEYS_H
#define PGFORCE_SANDBOX_SCHEMA_KEYS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

/* An object with its validation rules and record types, but not its fields. */
bool schema_keys_check_object(const json_t *object, struct error *err);

/* A field with its picklist values and what it follows. */
bool schema_keys_check_field(const json_t *field, struct error *err);

#endif
