/*
 * Bulk API 1.0, for old clients: jobs of batches in CSV, described in XML or JSON.
 *
 * A batch is worked on as a job of the Bulk API 2.0 is (bulk_jobs.h); here are only its older
 * clothes. XML and JSON batches, and files attached to records, are refused. Source: Bulk API
 * Developer Guide.
 */
#ifndef PGFORCE_SANDBOX_ASYNC_JOBS_H
#define PGFORCE_SANDBOX_ASYNC_JOBS_H

#include "sandbox/call.h"

struct async;

struct async *async_jobs_new(void);
void async_jobs_free(struct async *async);

/* Before the batches go: they belong to bulk_jobs. */
void async_jobs_forget(struct async *async);

void async_jobs_create(struct call *call);
void async_jobs_get(struct call *call);
void async_jobs_change(struct call *call);
void async_jobs_add_batch(struct call *call);
void async_jobs_list_batches(struct call *call);
void async_jobs_get_batch(struct call *call);
void async_jobs_get_request(struct call *call);
void async_jobs_get_result(struct call *call);
void async_jobs_get_query_result(struct call *call);

/* In the store, as bulk_store.h keeps the batches. */
bool async_jobs_open(struct org *org, struct error *err);
bool async_jobs_has_changed(const struct async *async);
bool async_jobs_save(struct org *org, struct error *err);
bool async_jobs_load(struct org *org, struct error *err);

#endif
