/*
 * Salesforce's records as changes: the same events that the plugin's stream becomes, with the
 * origin "salesforce" and the record's object, stamp and id as position.
 *
 * A record says what is, not what happened: one that is there becomes an UPDATE without old values,
 * a deleted one a DELETE with its id alone. It knows nothing of tables' contents.
 */
#ifndef PGFORCE_INBOUND_CHANGES_H
#define PGFORCE_INBOUND_CHANGES_H

#include <jansson.h>
#include <stddef.h>

#include "base/arena.h"
#include "change/change.h"
#include "inbound/refusals.h"
#include "mapping/mapping.h"

#define CHANGES_ORIGIN "salesforce"

struct changes {
    struct event *events; /* EVENT_ROW; all in the arena, texts perhaps in the records */
    size_t count;
};

/* One field's value as its column's text, or NULL; ERROR_RECORD when it cannot be said. */
bool changes_read_field(const struct mapping_field *field, const json_t *record,
                        struct arena *arena, const char **text, struct error *err);

/* records must outlive the changes. The relation's columns are the mapping's fields, in order. A
 * record with a value that its column cannot hold is refused instead; all is in refusals' arena. */
struct changes changes_from_records(const struct mapping *mapping, const json_t *records,
                                    struct refusals *refusals);

#endif
