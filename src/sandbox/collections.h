/*
 * /composite/sobjects: up to 200 records a call, each with its own result.
 *
 * Source: REST API Developer Guide, "Using sObject Collections".
 */
#ifndef PGFORCE_SANDBOX_COLLECTIONS_H
#define PGFORCE_SANDBOX_COLLECTIONS_H

#include "sandbox/call.h"

void collections_create(struct call *call);
void collections_update(struct call *call);
void collections_upsert(struct call *call);
void collections_delete(struct call *call);
void collections_retrieve(struct call *call);

#endif
