/*
 * The Tooling API for custom fields and objects: as records of CustomField and CustomObject, whose
 * FullName and Metadata are those of the Metadata API. Queries and descriptions are those of REST.
 */
#ifndef PGFORCE_SANDBOX_TOOLING_H
#define PGFORCE_SANDBOX_TOOLING_H

#include "sandbox/call.h"

void tooling_create(struct call *call);
void tooling_get(struct call *call);
void tooling_update(struct call *call);
void tooling_delete(struct call *call);

#endif
