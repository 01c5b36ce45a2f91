/*
 * /sobjects/X/ID and /sobjects/X/ExternalField/VALUE: one record at a time.
 */
#ifndef PGFORCE_SANDBOX_RECORD_H
#define PGFORCE_SANDBOX_RECORD_H

#include "sandbox/call.h"

void record_create(struct call *call);
void record_get(struct call *call);
void record_update(struct call *call);
void record_delete(struct call *call);

void record_get_by_key(struct call *call);
void record_upsert(struct call *call);
void record_delete_by_key(struct call *call);

/* Names and paths, nothing that SOQL would read as more. */
bool record_is_field_list(const char *fields);

/* Appends the live record with this id as JSON, or nothing when there is none. fields: names
 * separated by commas, NULL for all. False after answering the call with what is wrong. */
bool record_write(struct call *call, const struct object *object, const char *id,
                  const char *fields, struct buf *out);

#endif
