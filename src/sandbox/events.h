/*
 * Change Data Capture: from a saved record to an event in the replay store.
 *
 * Whoever changes a row says so with one call, inside the same unit of work: what is rolled back is
 * forgotten. When the work is done, events_publish turns what has collected into events: one for
 * each record, or one for several records of one object that changed alike. Source: Change Data
 * Capture Developer Guide, "Change Event Message Structure" and "Merged Change Events".
 */
#ifndef PGFORCE_SANDBOX_EVENTS_H
#define PGFORCE_SANDBOX_EVENTS_H

#include <jansson.h>

#include "sandbox/call.h"
#include "sandbox/save.h"

enum events_change { EVENTS_CREATE, EVENTS_UPDATE, EVENTS_DELETE, EVENTS_UNDELETE };

struct events;
struct event_log;

bool events_open(struct store *store, struct events **events, struct error *err);
void events_free(struct events *events);
struct event_log *events_log(struct events *events);

/* Before the row is written: an update is compared with what is stored. The values of a deleted row
 * are not looked at. */
bool events_record_changed(struct save *save, const struct store_row *row,
                           enum events_change change, struct error *err);

/* The same for all records of an object that come back with the record `root`, before they do. */
bool events_records_restored(struct save *save, const struct object *object, const char *root,
                             struct error *err);

/* Whether a change of this unit of work is told: rows that the door makes are not. */
bool events_is_collecting(const struct events *events);

/* Ends the transaction: what has changed since the last time becomes events with one transaction
 * key. A call that works through many records may do this after each chunk, outside any unit of
 * work; the end of every call does it anyway. */
void events_publish(struct call *call);

/* Forgets what has collected. */
bool events_reset(struct org *org, struct error *err);

/* ---- for the door, and for event_writer.c ---- */

/* Whether changes of an object become change events; its definition says so first. */
bool events_is_captured(const struct events *events, const struct object *object);
void events_capture(struct events *events, const struct object *object, bool is_captured);

/* The next `count` changes of the object are told by a header only. */
void events_make_gaps(struct events *events, const struct object *object, int64_t count);
bool events_take_gap(struct events *events, const struct object *object);

/* Commit numbers grow, whatever the clock does. */
int64_t events_next_commit(struct events *events);

#endif
