/*
 * What jobs of Bulk API 2.0 have in common, to read and to write: how one is made, and asked about.
 *
 * Promises: a job that Salesforce no longer has is an answer, not an error. What an answer means
 * for the job's rows is its callers' business: bulk_query.h, bulk_ingest.h.
 */
#ifndef PGFORCE_SF_BULK_JOB_H
#define PGFORCE_SF_BULK_JOB_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "sf/outcome.h"
#include "sf/session.h"

/* Makes a job of the fields, which are used up. call has its path, "/jobs/query" or "/jobs/ingest",
 * and keeps the answer. */
bool sf_bulk_job_create(struct sf_session *session, json_t *fields, struct sf_call *call,
                        char id[SF_ID_BYTES], struct error *err);

/* GETs call's path, which is the job's; call keeps the answer. *is_known is false when Salesforce
 * does not have it any more. */
bool sf_bulk_job_ask(struct sf_session *session, struct sf_call *call, bool *is_known,
                     struct error *err);

#endif
