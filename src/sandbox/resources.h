/*
 * What the organisation offers: its API versions, its resources, its limits.
 */
#ifndef PGFORCE_SANDBOX_RESOURCES_H
#define PGFORCE_SANDBOX_RESOURCES_H

#include "sandbox/call.h"

/* "60.0" and the like. */
bool resources_is_version(const char *text);

void resources_versions(struct call *call);
void resources_list(struct call *call);
void resources_limits(struct call *call);

/* GET /limits/recordCount?sObjects=Account,Contact */
void resources_record_count(struct call *call);

/* GET /composite: what is under it. */
void resources_composite(struct call *call);

/* Lists that clients ask for and that are empty here: tabs, layouts, quick actions. */
void resources_nothing(struct call *call);

#endif
