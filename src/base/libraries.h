/*
 * The libraries that others wrote, told what out of memory means here: the end of the process
 * (arena.h), also when it is theirs that runs out. jansson would leave a field out of what is sent
 * to Salesforce and go on. libcurl is told where it is started (net/http_client.c); those without
 * such a door, libpq and libmicrohttpd, answer with an error of their own.
 */
#ifndef PGFORCE_BASE_LIBRARIES_H
#define PGFORCE_BASE_LIBRARIES_H

/* Once, before any of them is used. */
void libraries_init(void);

#endif
