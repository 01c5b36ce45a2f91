/*
 * Custom objects and fields changed and removed while the organisation runs, and in its data file.
 *
 * A change keeps the kind of value a field holds. A formula that names a removed field sees it
 * empty. An object or field that came with a file or with the program is there again after the next
 * start.
 */
#ifndef PGFORCE_SANDBOX_REDEFINE_H
#define PGFORCE_SANDBOX_REDEFINE_H

#include "sandbox/org.h"

/* The field as this definition says; also one that was removed. */
bool redefine_field(struct org *org, const struct object *object, const json_t *definition,
                    struct error *err);

bool redefine_remove_field(struct org *org, const struct object *object, const struct field *field,
                           struct error *err);
bool redefine_remove_object(struct org *org, const struct object *object, struct error *err);

#endif
