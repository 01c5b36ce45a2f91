/*
 * Bulk API 2.0: the jobs, their states, and the work on them between requests.
 *
 * A job is worked on a little at a time, oldest first, so other calls go on meanwhile. Its data lie
 * in spools. A job goes after seven days of the organisation's clock; bulk_store.h keeps it beyond
 * the process. Source: Bulk API 2.0 Developer Guide.
 */
#ifndef PGFORCE_SANDBOX_BULK_JOBS_H
#define PGFORCE_SANDBOX_BULK_JOBS_H

#include <jansson.h>

#include "sandbox/bulk_pages.h"
#include "sandbox/call.h"
#include "sandbox/csv.h"
#include "sandbox/soql_plan.h"

enum bulk_state {
    BULK_OPEN,
    BULK_UPLOAD_COMPLETE,
    BULK_IN_PROGRESS,
    BULK_JOB_COMPLETE,
    BULK_FAILED,
    BULK_ABORTED,
};

/* Where a job's bytes are, for the store: the numbers are in data files. */
enum { BULK_UPLOAD, BULK_SUCCESSES, BULK_FAILURES, BULK_UNPROCESSED, BULK_ROWS, BULK_ENDS };
enum { BULK_KINDS = BULK_ENDS + 1 };

struct bulk_piece {
    const char *data;
    size_t size_bytes;
};

struct bulk_job {
    struct ids_text id;
    struct arena *arena; /* the texts below are in it */
    bool is_query;
    bool is_batch; /* of the Bulk API 1.0 (async_jobs.c): not in the lists */
    enum bulk_state state;
    const char *operation;
    const struct object *object;
    const char *version;     /* of the API it was made with */
    const char *client;      /* Sforce-Call-Options, as sent */
    struct ids_text user_id; /* whose job it is */
    struct csv_format format;
    const char *error_message; /* of a failed job */
    int64_t created_s;
    int64_t modified_s;
    int64_t processed_count;
    int64_t failed_count;
    int64_t work_ms;

    const char *soql; /* of a query */
    struct soql_plan *plan;
    struct bulk_pages *pages;
    int64_t next_row; /* where the next piece of the table begins */

    const struct field *key; /* of an upsert */
    struct spool *upload;    /* of an ingest; NULL until there is one */
    struct spool *successes;
    struct spool *failures;
    struct spool *unprocessed;
    struct bulk_load *load; /* bulk_load.c */

    int64_t number;                 /* grows from job to job */
    int64_t kept_bytes[BULK_KINDS]; /* in the store */
    bool is_changed;                /* since it was written there */

    struct bulk_job *next;
};

/* What the fault door asked for (door_bulk.c). */
struct bulk_switches {
    bool is_stuck;           /* jobs stay InProgress */
    bool is_shuffled;        /* rows come in another order */
    bool has_no_hard_delete; /* hardDelete is not permitted */
    int64_t fail_after;      /* the next ingest job fails after so many rows; -1 for none */
    int64_t page_rows;       /* at most so many rows in a page; 0 for the usual */
};

struct bulk;

struct bulk *bulk_jobs_new(void);
void bulk_jobs_free(struct bulk *bulk);
void bulk_jobs_forget(struct bulk *bulk);

struct bulk_switches *bulk_jobs_switches(struct bulk *bulk);

/* Results rendered before anyone asked; the next query jobs with the same header and statement take
 * them. */
struct bulk_job **bulk_jobs_prepared(struct bulk *bulk);

/* Jobs made since the organisation was opened or reset, for the limits. */
int64_t bulk_jobs_query_count(const struct bulk *bulk);
int64_t bulk_jobs_ingest_count(const struct bulk *bulk);

/* A job in its first state, not in the list yet; what is wrong with its parameters has been
 * answered when it is NULL. bulk_jobs_add takes it over, else bulk_jobs_drop. */
struct bulk_job *bulk_jobs_make(struct call *call, const json_t *parameters, bool is_query);
void bulk_jobs_add(struct call *call, struct bulk_job *job);
void bulk_jobs_drop(struct bulk_job *job);

/* Out of the list and the store, and dropped. */
void bulk_jobs_remove(struct org *org, struct bulk_job *job);

/* The last number that an id was made of. */
int64_t *bulk_jobs_number(struct bulk *bulk);

/* For the store: all jobs, the oldest first, and one that comes from there. */
struct bulk_job *bulk_jobs_first(struct bulk *bulk);
bool bulk_jobs_has_changed(const struct bulk *bulk);
void bulk_jobs_adopt(struct bulk *bulk, struct bulk_job *job);

/* Ids of jobs and batches never repeat. */
struct ids_text bulk_jobs_next_id(struct bulk *bulk, const char *prefix);

/* The job that the first argument of the route names; NULL after answering 404. */
struct bulk_job *bulk_jobs_find(struct call *call, bool is_query);

void bulk_jobs_set_state(const struct org *org, struct bulk_job *job, enum bulk_state state);
void bulk_jobs_fail(const struct org *org, struct bulk_job *job, const char *message);

/* A piece of work on the oldest job that has some; false when there is none. */
bool bulk_jobs_work(struct org *org);

/* As Salesforce shows it; with is_new, as in the answer that made or changed it. */
json_t *bulk_jobs_describe(const struct bulk_job *job, bool is_new);

void bulk_jobs_get_query(struct call *call);
void bulk_jobs_get_ingest(struct call *call);
void bulk_jobs_list_queries(struct call *call);
void bulk_jobs_list_ingests(struct call *call);
void bulk_jobs_change_query(struct call *call);
void bulk_jobs_change_ingest(struct call *call);
void bulk_jobs_delete_query(struct call *call);
void bulk_jobs_delete_ingest(struct call *call);

#endif
