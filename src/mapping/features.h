/*
 * The flags of an export's "features": which of them pgforce honours, and which have no effect.
 *
 * One row each. A flag that would change what happens but is not honoured is reported, never
 * dropped in silence: it is stored and exported again like everything else.
 *
 * Source: exported configurations in public repositories; the public test fixtures of Heroku's
 * command-line plugin (the names); what they mean there is documented for few of them.
 */
#ifndef PGFORCE_MAPPING_FEATURES_H
#define PGFORCE_MAPPING_FEATURES_H

#include <jansson.h>

#include "mapping/import.h"

/* Values that are no flags go to problems, flags without effect to warnings. */
void features_read(const json_t *features, struct import_problems *problems,
                   struct import_problems *warnings);

#endif
