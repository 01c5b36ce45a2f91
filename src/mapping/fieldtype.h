/*
 * Which PostgreSQL type a Salesforce field type becomes, and how values travel between the two.
 *
 * One row per describe type. What comes from Salesforce is turned into the very text PostgreSQL
 * would print for it (ISO dates, UTC, t and f, shortest floating point), so that two values can be
 * compared as text; what goes there is turned into JSON of the field's own kind. Whatever cannot be
 * said on the other side is ERROR_RECORD and names the value's form, never the value. It knows
 * nothing of objects, tables or connections.
 *
 * Sources: Heroku Dev Center, "Heroku Connect Database Tables", Mapped data types; integer for
 * `int` and the `time` forms from live schemas; Salesforce SOAP API Developer Guide, Field Types.
 */
#ifndef PGFORCE_MAPPING_FIELDTYPE_H
#define PGFORCE_MAPPING_FIELDTYPE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

struct sf_field;

struct fieldtype;

/* By describe's name ("string", "datetime"); NULL for a name we have never heard of. */
const struct fieldtype *fieldtype_find(const char *name);

/* The type whose numbers keep every digit, for a column of type numeric; the type itself when it is
 * not of numbers. */
const struct fieldtype *fieldtype_exact(const struct fieldtype *type);

bool fieldtype_is_number(const struct fieldtype *type);

const char *fieldtype_name(const struct fieldtype *type);

/* Why fields of this type cannot be mapped, to be shown; NULL when they can. */
const char *fieldtype_refusal(const struct fieldtype *type);

/* "varchar(80)", "double precision", ...: the column for a field that can be mapped. */
const char *fieldtype_column(const struct fieldtype *type, const struct sf_field *field,
                             struct arena *arena);

/* A value out of a JSON answer. *text is NULL for null (and for the empty string, which Salesforce
 * does not have); it lives as long as the arena and the value do. */
bool fieldtype_from_json(const struct fieldtype *type, const json_t *value, struct arena *arena,
                         const char **text, struct error *err);

/* The same for a value that came as text: a cell of a Bulk result. */
bool fieldtype_from_text(const struct fieldtype *type, const char *wire, struct arena *arena,
                         const char **text, struct error *err);

/* A column's text (NULL for null) as the JSON to send; the caller owns *value, the arena is for
 * what lies between. A null checkbox becomes null, which Salesforce refuses: leave it out of the
 * request. */
bool fieldtype_to_json(const struct fieldtype *type, const char *text, struct arena *arena,
                       json_t **value, struct error *err);

/* The same as text for a cell of a Bulk request; *wire is NULL for null. */
bool fieldtype_to_text(const struct fieldtype *type, const char *text, struct arena *arena,
                       const char **wire, struct error *err);

#endif
