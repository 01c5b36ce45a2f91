/*
 * How the Bulk API 1.0 speaks of jobs and batches: XML, or JSON to clients that send JSON.
 */
#ifndef PGFORCE_SANDBOX_ASYNC_INFO_H
#define PGFORCE_SANDBOX_ASYNC_INFO_H

#include "sandbox/call.h"

/* A member of the jobInfo that was sent; NULL when it is not there. */
const char *async_info_read(struct call *call, const char *name);

/* Takes info over: a flat object; lists become repeated elements. */
void async_info_answer(struct call *call, int status, const char *root, json_t *info);

void async_info_refuse(struct call *call, const char *code, const char *message);

/* An error that was answered as REST does becomes one of this API's. */
void async_info_rewrite(struct call *call, const char *code);

/* "2026-01-31T10:20:30.000Z" */
const char *async_info_moment(struct arena *arena, int64_t seconds);

#endif
