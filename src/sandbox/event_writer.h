/*
 * One transaction of change events: the header they share, the order they stand in, and the merging
 * of neighbours that say the same of several records.
 */
#ifndef PGFORCE_SANDBOX_EVENT_WRITER_H
#define PGFORCE_SANDBOX_EVENT_WRITER_H

#include "sandbox/events.h"

struct event_writer;

/* origin: "com/salesforce/api/rest/60.0;client=NAME", or "". */
struct event_writer *event_writer_open(struct call *call, const char *origin);
void event_writer_close(struct event_writer *writer);

/* Memory that is free again after each record. */
struct arena *event_writer_scratch(struct event_writer *writer);

/* A record and what became of it in all. */
struct event_change {
    const struct object *object;
    const char *id;
    enum events_change kind;
    const char *fields; /* of an update: names joined by commas */
};

/* values: of the row as it is now. */
bool event_writer_tell(struct event_writer *writer, const struct event_change *change,
                       const struct value *values, struct error *err);

/* The same for a platform event, which is told and not kept. */
bool event_writer_tell_platform(struct event_writer *writer, const struct event_change *change,
                                const struct value *values, struct error *err);

/* What is still open for merging is told. */
bool event_writer_flush(struct event_writer *writer, struct error *err);

/* A header without fields, for the ids of a JSON array. */
bool event_writer_tell_gap(struct event_writer *writer, const struct object *object,
                           const char *change_type, const json_t *ids, struct error *err);

/* "/data/AccountChangeEvent" */
const char *event_writer_channel(struct arena *arena, const struct object *object);

#endif
