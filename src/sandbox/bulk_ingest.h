/*
 * /jobs/ingest: rows of CSV become inserts, updates, upserts and deletes, 200 in a unit of work.
 *
 * A bad row fails alone; bad CSV or a bad column fails the job, which keeps what it has done.
 */
#ifndef PGFORCE_SANDBOX_BULK_INGEST_H
#define PGFORCE_SANDBOX_BULK_INGEST_H

#include "sandbox/bulk_jobs.h"

void bulk_ingest_create(struct call *call);
void bulk_ingest_upload(struct call *call);

/* A job whose data are the call's body, ready to be worked on, in no list; NULL after answering. */
struct bulk_job *bulk_ingest_make_batch(struct call *call, const json_t *parameters);
void bulk_ingest_successful(struct call *call);
void bulk_ingest_failed(struct call *call);
void bulk_ingest_unprocessed(struct call *call);

#endif
