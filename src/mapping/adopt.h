/*
 * Tables that Heroku Connect made become mappings of ours, with their rows and ids as they are.
 *
 * Each is compared with what the organisation says of the object. Columns that are there keep their
 * types where values of the field fit; what is missing is added and filled. In the caller's
 * transaction; the log is archive/takeover.h's.
 */
#ifndef PGFORCE_MAPPING_ADOPT_H
#define PGFORCE_MAPPING_ADOPT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/import.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* What stands in the way goes to problems. Changes nothing; on success each mapping of the list has
 * its schema, and its fields the types of their columns. */
bool adopt_check(struct pg *pg, const char *schema_name, struct mapping_list *list,
                 struct import_problems *problems, struct error *err);

/* After adopt_check. A table with rows is taken as loaded up to its newest stamp. */
bool adopt_tables(struct pg *pg, struct mapping_list *list, struct error *err);

#endif
