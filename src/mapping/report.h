/*
 * What is mapped, as JSON: what the command line prints and the HTTP API answers.
 *
 * Everything comes from the database alone, so that it works while the organisation does not.
 */
#ifndef PGFORCE_MAPPING_REPORT_H
#define PGFORCE_MAPPING_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "pg/pg.h"

/*
 * An array of all mappings, by object name; with object_name (in any case) just that one, which
 * must exist. The caller owns *out.
 */
bool report_mappings(struct pg *pg, const char *schema_name, const char *object_name, json_t **out,
                     struct error *err);

#endif
