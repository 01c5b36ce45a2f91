/*
 * Mappings that the organisation has nothing for: their object is gone or was renamed, or was never
 * there.
 */
#ifndef PGFORCE_MAPPING_ORPHAN_H
#define PGFORCE_MAPPING_ORPHAN_H

#include <jansson.h>

#include "mapping/configure.h"

/* An array of {object_name, table_name, reason}, by object name; the caller owns it. */
bool orphan_list(const struct configure_target *target, json_t **orphans, struct error *err);

#endif
