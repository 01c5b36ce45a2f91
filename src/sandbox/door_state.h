/*
 * The fault door's snapshots: all records and stored events as they were, to come back to.
 */
#ifndef PGFORCE_SANDBOX_DOOR_STATE_H
#define PGFORCE_SANDBOX_DOOR_STATE_H

#include "sandbox/call.h"

struct door_state;

struct door_state *door_state_new(void);
void door_state_free(struct door_state *state);

void door_state_snapshot(struct call *call);
void door_state_restore(struct call *call);

#endif
