/*
 * The work of an ingest job: reads its CSV, saves its rows, writes the results.
 */
#ifndef PGFORCE_SANDBOX_BULK_LOAD_H
#define PGFORCE_SANDBOX_BULK_LOAD_H

#include "sandbox/bulk_jobs.h"

struct bulk_load;

void bulk_load_free(struct bulk_load *load);

/* Up to 200 rows, or the job's end. False when storage failed. */
bool bulk_load_work(struct call *call, struct bulk_job *job, struct error *err);

/* Once a job has ended: the rows it did not come to go to its unprocessed records. */
bool bulk_load_finish(struct call *call, struct bulk_job *job, struct error *err);

#endif
