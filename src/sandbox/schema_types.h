/*
 * The types a field may have, by the names describe gives them.
 */
#ifndef PGFORCE_SANDBOX_SCHEMA_TYPES_H
#define PGFORCE_SANDBOX_SCHEMA_TYPES_H

#include "sandbox/schema.h"

/* NULL for a name that is none. */
const struct field_type *schema_types_find(const char *name);

#endif
