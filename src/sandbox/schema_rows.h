/*
 * The schema as rows, for who asks by SOQL: EntityDefinition, FieldDefinition, CustomObject and
 * CustomField. Made anew whenever one of them is asked for.
 */
#ifndef PGFORCE_SANDBOX_SCHEMA_ROWS_H
#define PGFORCE_SANDBOX_SCHEMA_ROWS_H

#include "sandbox/org.h"

bool schema_rows_fill(struct org *org, struct error *err);

/* The id of a field as a CustomField: the same as long as the field is. */
struct ids_text schema_rows_field_id(const struct object *object, const struct field *field);

/* And the way back; NULL when there is no such custom field. */
const struct field *schema_rows_find_field(const struct org *org, const char *id,
                                           const struct object **object);

#endif
