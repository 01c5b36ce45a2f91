/*
 * CometD 1.0 (Bayeux) by long polling: how clients hear of events.
 *
 * A POST carries one or more messages; each is answered, and a /meta/connect is held until there is
 * something to tell, or for 110 seconds. Subscribing may name a replay id: -1 for what is new, -2
 * for everything kept, n for what came after n. Source: Streaming API Developer Guide, "Bayeux
 * Protocol, CometD, and Long Polling" and "Streaming API Error Codes".
 */
#ifndef PGFORCE_SANDBOX_COMETD_H
#define PGFORCE_SANDBOX_COMETD_H

#include "sandbox/call.h"

void cometd_post(struct call *call);

/* Everything but POST, above all the upgrade to WebSocket that clients try first. */
void cometd_refuse(struct call *call);

/* Answers the held connects for which an event has come. */
void cometd_wake(struct org *org);

/* Every client becomes unknown: 403 at its next message, at once where it is waiting. */
void cometd_forget(struct org *org);

#endif
