/*
 * The fault door's part for events: gaps, overflow, doubled and lost events, who is listening.
 */
#ifndef PGFORCE_SANDBOX_DOOR_EVENTS_H
#define PGFORCE_SANDBOX_DOOR_EVENTS_H

#include "sandbox/call.h"

void door_events(struct call *call);
void door_events_act(struct call *call);

#endif
