/*
 * /jobs/query: a statement's rows as CSV, rendered once and then read in pages of any size.
 *
 * A statement without ORDER BY and LIMIT is run over pieces of its table in the order of creation,
 * as Salesforce's PK chunking does; the others run at once.
 */
#ifndef PGFORCE_SANDBOX_BULK_QUERY_H
#define PGFORCE_SANDBOX_BULK_QUERY_H

#include "sandbox/bulk_jobs.h"

void bulk_query_create(struct call *call);
void bulk_query_results(struct call *call);
void bulk_query_result_pages(struct call *call);

/* A job ready to be worked on, in no list; NULL after answering the call. */
struct bulk_job *bulk_query_make(struct call *call, const json_t *parameters);

/* A piece of work. False when storage failed. */
bool bulk_query_work(struct call *call, struct bulk_job *job, struct error *err);

/* Makes the plan and the empty pages of a job that has its statement; false after refusing. */
bool bulk_query_plan(struct call *call, struct bulk_job *job);

#endif
