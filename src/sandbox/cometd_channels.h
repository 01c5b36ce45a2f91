/*
 * Which channels there are, and the one that clients fill themselves: generic streaming.
 *
 * /data/ChangeEvents, /data/AccountChangeEvent and /data/My__ChangeEvent, /topic/NAME for a
 * PushTopic, /u/NAME for a StreamingChannel, /event/My__e for a platform event.
 */
#ifndef PGFORCE_SANDBOX_COMETD_CHANNELS_H
#define PGFORCE_SANDBOX_COMETD_CHANNELS_H

#include "sandbox/call.h"

bool cometd_channels_exists(struct org *org, struct arena *arena, const char *channel);

/* POST and GET /sobjects/StreamingChannel/ID/push */
void cometd_channels_push(struct call *call);
void cometd_channels_listeners(struct call *call);

#endif
