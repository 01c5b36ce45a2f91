/*
 * What calls cost: the day's API requests of the organisation, of one connected app and of each
 * user, and the header that tells of them. Days are of the organisation's clock.
 *
 * Sources: REST API Developer Guide, "Limit Info Header" and "Limits"; App Limits Cheatsheet.
 */
#ifndef PGFORCE_SANDBOX_LIMITS_H
#define PGFORCE_SANDBOX_LIMITS_H

#include "sandbox/call.h"

struct limits *limits_new(void);
void limits_free(struct limits *limits);
void limits_forget(struct limits *limits);

/* Counts the call and tells of it in its header. False after refusing. */
bool limits_charge(struct call *call);

/* Counts one of a limit that the door has set; false when it is used up. */
bool limits_use(struct limits *limits, const char *name);

/* Puts what the door has set into the members of /limits. */
void limits_apply(const struct limits *limits, json_t *members);

/* The usage of the connected app, as /limits shows it inside DailyApiRequests; NULL for none. */
const char *limits_app_name(const struct limits *limits);
json_t *limits_describe_app(const struct limits *limits);

/* GET and POST /_sandbox/limits. */
void limits_door_read(struct call *call);
void limits_door_set(struct call *call);

#endif
