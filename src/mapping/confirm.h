/*
 * An operator's word that deletions which looked like a mistake are none.
 *
 * The pull role holds them back in pgforce.held_deletion and carries out what was confirmed.
 */
#ifndef PGFORCE_MAPPING_CONFIRM_H
#define PGFORCE_MAPPING_CONFIRM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/pg.h"

/* All that wait now, of one mapping; those found later wait anew. The object's name is not case
 * sensitive. ERROR_CONFIG when it is not mapped. Wakes the pull role. */
bool confirm_deletions(struct pg *pg, const char *schema_name, const char *object_name,
                       int64_t *count, struct error *err);

#endif
