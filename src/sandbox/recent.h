/*
 * What the user has looked at or changed of late: /recent, and recentItems of an object.
 */
#ifndef PGFORCE_SANDBOX_RECENT_H
#define PGFORCE_SANDBOX_RECENT_H

#include "sandbox/call.h"

struct recent;

struct recent *recent_new(void);
void recent_free(struct recent *recent);
void recent_forget(struct recent *recent);

/* id in its long form. */
void recent_add(struct org *org, const char *id);

/* The latest first, at most `limit`; object NULL: of all. Deleted records are left out. */
json_t *recent_list(struct call *call, const struct object *object, size_t limit);

void recent_get(struct call *call);

#endif
