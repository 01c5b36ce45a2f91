/*
 * Roll-up summary fields of the Metadata API, as definitions of ours and back.
 */
#ifndef PGFORCE_SANDBOX_METADATA_SUMMARY_H
#define PGFORCE_SANDBOX_METADATA_SUMMARY_H

#include <jansson.h>

#include "base/error.h"
#include "sandbox/schema.h"

/* Adds to the field's definition what it sums up, and the type that follows from it. */
bool metadata_summary_define(const struct schema *schema, json_t *field, const json_t *metadata,
                             struct error *err);

void metadata_summary_tell(json_t *json, const struct rollup *rollup);

#endif
