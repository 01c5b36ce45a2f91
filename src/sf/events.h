/*
 * Hearing of changes as they are made: a client of the Streaming API (Bayeux, long polling).
 *
 * Promises: what sf_events_wait answers came in Salesforce's order, channel by channel, and after
 * any failure nothing more comes before sf_events_open has asked for all that is newer than what
 * the caller has stored. So an event can come twice, and none is lost in silence. What an event
 * means is the caller's business. Source: Streaming API Developer Guide, "Message Reliability",
 * "Streaming API Error Codes"; Bayeux 1.0.
 */
#ifndef PGFORCE_SF_EVENTS_H
#define PGFORCE_SF_EVENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sf/session.h"

enum { SF_EVENTS_NEW = -1 }; /* a replay id: only what is told from now on */

enum sf_events_state {
    SF_EVENTS_REFUSED,   /* as problem says: the others are listened to */
    SF_EVENTS_LISTENING, /* from replay_id on */
    SF_EVENTS_LOST,      /* from now on: what came after replay_id is no longer kept */
};

struct sf_events_channel {
    /* Asked. */
    const char *name;  /* "/data/AccountChangeEvent" */
    int64_t replay_id; /* of the last event that is stored, or SF_EVENTS_NEW */

    /* Answered. */
    enum sf_events_state state;
    char problem[256];
};

struct sf_events;

/* The session must outlive it. Nothing is sent. */
struct sf_events *sf_events_new(struct sf_session *session);
void sf_events_free(struct sf_events *events);

/* A new client in the organisation, subscribed to these; the one before is forgotten. ERROR_RETRY
 * and ERROR_CONFIG as usual. */
bool sf_events_open(struct sf_events *events, struct sf_events_channel *channels, size_t count,
                    struct error *err);

/* Waits, up to two minutes, for events: an array of {"channel", "data"}, perhaps empty, that the
 * caller owns. After false, open again. */
bool sf_events_wait(struct sf_events *events, json_t **out, struct error *err);

/* Tells the organisation that this client is gone; what goes wrong is of no consequence. */
void sf_events_close(struct sf_events *events);

#endif
