/*
 * What a user may not see or do, put on the schema for the length of a call and taken off again.
 *
 * Nothing named means everything allowed. An object that may not be read is not there at all; one
 * without view_all shows the rows that the user owns; a field is hidden, or may only be read. A
 * field of an object is named "Account.Phone".
 */
#ifndef PGFORCE_SANDBOX_RIGHTS_H
#define PGFORCE_SANDBOX_RIGHTS_H

#include <jansson.h>

#include "sandbox/schema.h"

enum { RIGHTS_MAX = 500 };

/* What the schema said before. */
struct rights {
    struct rights_object {
        struct object *object;
        struct object before;
    } objects[RIGHTS_MAX];
    size_t object_count;
    struct rights_field {
        struct field *field;
        struct field before;
    } fields[RIGHTS_MAX];
    size_t field_count;
};

/* NULL, or what is wrong with the settings. */
const char *rights_check(const struct schema *schema, const json_t *settings);

void rights_apply(struct rights *rights, const struct schema *schema, const json_t *settings);
void rights_take_back(struct rights *rights);

#endif
