/*
 * Which function answers which path: one table, one row per resource and method.
 */
#ifndef PGFORCE_SANDBOX_ROUTES_H
#define PGFORCE_SANDBOX_ROUTES_H

#include "sandbox/call.h"

/* Splits the path of the request into the call's segments and finds the version. False when the
 * path is not one (too many segments, not UTF-8). */
bool routes_split(struct call *call, const char *path);

/* Answers the call, also when there is no such path, no such method, no session. */
void routes_dispatch(struct call *call);

#endif
