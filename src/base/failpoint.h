/*
 * Places at which a test can kill the process: before and after every effect that outlives it.
 *
 * Nothing at all but in bin/pgforce-failpoints, a program of the tests. There the environment says
 * where: FAILPOINT=NAME:N is death by SIGKILL at the N-th time that NAME is reached. All durable
 * effects go through few doors, and the points stand at those: a COMMIT or a statement outside a
 * transaction (pg/pg.c), requests to Salesforce (net/http_client.c, net/http_stream.c), what is
 * confirmed to the slot (pg/replica.c).
 */
#ifndef PGFORCE_BASE_FAILPOINT_H
#define PGFORCE_BASE_FAILPOINT_H

#ifdef PGFORCE_FAILPOINTS

#include <stdbool.h>

void failpoint_reach(bool is_reached, const char *name);
#define FAILPOINT_IF(condition, name) failpoint_reach((condition), (name))

#else

#define FAILPOINT_IF(condition, name) ((void)0)

#endif

#define FAILPOINT(name) FAILPOINT_IF(true, name)

#endif
