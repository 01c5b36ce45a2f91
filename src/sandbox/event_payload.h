/*
 * What a change event says of a record, in the dialect of CometD's JSON.
 *
 * Parts of a compound field stand inside it (Name.LastName, BillingAddress.City), a datetime ends
 * in Z, and what is computed or the system's alone (formulas, SystemModstamp, IsDeleted) is left
 * out. Source: Change Data Capture Developer Guide, "Change Event Body Fields".
 */
#ifndef PGFORCE_SANDBOX_EVENT_PAYLOAD_H
#define PGFORCE_SANDBOX_EVENT_PAYLOAD_H

#include "base/arena.h"
#include "base/buf.h"
#include "sandbox/store.h"

/* The fields of a row that an event is about. */
struct event_payload {
    const struct object *object;
    const struct value *values; /* of the row, by field index */
    const char *changed;        /* names joined by commas; NULL: every field that has a value */
};

/* True when events tell of this field at all. */
bool event_payload_covers(const struct object *object, const struct field *field);

/* Appends ,"Field":value for each field. */
void event_payload_write_body(const struct event_payload *payload, struct buf *out);

/* Appends a JSON array of names; of changed fields that are now null with is_nulled_only. */
void event_payload_write_names(const struct event_payload *payload, bool is_nulled_only,
                               struct buf *out);

/* 22 characters that stand for the object's fields as they are now. */
const char *event_payload_schema(struct arena *arena, const struct object *object);

#endif
