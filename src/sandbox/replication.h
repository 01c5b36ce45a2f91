/*
 * /sobjects/X/updated and /deleted: the ids of what changed in a window of time.
 *
 * Seconds are ignored in both bounds. Source: REST API Developer Guide, "sObject Get Updated" and
 * "sObject Get Deleted".
 */
#ifndef PGFORCE_SANDBOX_REPLICATION_H
#define PGFORCE_SANDBOX_REPLICATION_H

#include "sandbox/call.h"

void replication_updated(struct call *call);
void replication_deleted(struct call *call);

#endif
