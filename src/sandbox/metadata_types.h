/*
 * A custom field or object as the Metadata API writes it, and as a definition (schema.h) does.
 *
 * Pure: from JSON to JSON. Numbers and booleans may be text, as XML has them. What a definition
 * cannot say is refused by name, never left out.
 */
#ifndef PGFORCE_SANDBOX_METADATA_TYPES_H
#define PGFORCE_SANDBOX_METADATA_TYPES_H

#include <jansson.h>

#include "base/error.h"
#include "sandbox/schema.h"

/* name: the field's own, without its object. NULL after setting err. */
json_t *metadata_types_define_field(const struct schema *schema, const char *name,
                                    const json_t *metadata, struct error *err);

/* A whole custom object, with its fields. NULL after setting err. */
json_t *metadata_types_define_object(const struct schema *schema, const char *name,
                                     const json_t *metadata, struct error *err);

/* The other way: what read() answers. */
json_t *metadata_types_tell_field(const struct field *field);
json_t *metadata_types_tell_object(const struct object *object);

#endif
