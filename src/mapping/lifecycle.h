/*
 * Mappings come to be and change: the one place that writes pgforce.mapping_field and defines
 * mapped tables.
 *
 * An import is one transaction: all of it or nothing. It adds and edits, never drops, and doing the
 * same again changes nothing. A new mapping is left INITIAL, its table empty and without secondary
 * indexes; one that got columns is left RESYNC: loading is the inbound role's.
 */
#ifndef PGFORCE_MAPPING_LIFECYCLE_H
#define PGFORCE_MAPPING_LIFECYCLE_H

#include <stdbool.h>

#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

struct lifecycle_counts {
    int created;
    int changed;
    int unchanged;
};

/*
 * list is what resolve_import answered. Begins and ends its own transaction. A table that is in the
 * way and not ours is ERROR_CONFIG, all of them named. At the end `<schema>.pgforce_mapping` is
 * notified, so that the roles load their mappings anew.
 */
bool lifecycle_import(struct pg *pg, const char *schema_name, const struct mapping_list *list,
                      struct lifecycle_counts *counts, struct error *err);

#endif
