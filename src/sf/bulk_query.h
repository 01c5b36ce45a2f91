/*
 * Reading by Bulk API 2.0: a query job, and its result page by page, row by row, in memory that
 * does not grow with either.
 *
 * Promises: a page that has fewer or more rows than Salesforce says of it, or that breaks off, is
 * an error, never an end; while a page is read the next ones are on their way. A page is named by a
 * locator: who stores the locator with the rows of the page before it can go on there days later.
 * Decides nothing: when to give a job up is the caller's.
 * Source: Bulk API 2.0 Developer Guide, "Query Jobs".
 */
#ifndef PGFORCE_SF_BULK_QUERY_H
#define PGFORCE_SF_BULK_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "sf/csv.h"
#include "sf/outcome.h"
#include "sf/session.h"

struct sf_bulk_job {
    char id[SF_ID_BYTES];
    int64_t server_time_s; /* Salesforce's clock when it was made (Date header); 0 unknown */
};

/* ERROR_CONFIG or ERROR_RECORD: Bulk does not take this query, REST may. */
bool sf_bulk_create(struct sf_session *session, const char *soql, bool with_deleted,
                    struct sf_bulk_job *out, struct error *err);

enum sf_bulk_state { SF_BULK_WORKING, SF_BULK_COMPLETE, SF_BULK_LOST };

/* How far it is; SF_BULK_LOST: failed, aborted or forgotten, as message says. */
struct sf_bulk_progress {
    enum sf_bulk_state state;
    int64_t records;
    char message[256];
};

bool sf_bulk_ask(struct sf_session *session, const char *job_id, struct sf_bulk_progress *out,
                 struct error *err);

/* Done with it: Salesforce may forget the result. What goes wrong is of no consequence. */
void sf_bulk_drop(struct sf_session *session, const char *job_id);

struct sf_bulk_place {
    const char *job_id;
    const char *locator; /* NULL or "": from the beginning */
    int64_t page_rows;   /* the most rows in a page; 0 leaves it to Salesforce */
    int64_t page_bytes; /* about the most, by the rows read so far: the first page is a short one */
};

struct sf_bulk_result;

/* The texts are copied. */
struct sf_bulk_result *sf_bulk_result_open(struct sf_session *session,
                                           const struct sf_bulk_place *place);
void sf_bulk_result_close(struct sf_bulk_result *result);

/* Waits for the next page, or answers *is_page false after the last one; the page before must have
 * been read to its end. header holds the columns' names. */
bool sf_bulk_result_page(struct sf_bulk_result *result, bool *is_page, struct sf_csv_row *header,
                         struct error *err);

/* The page's next row, or *is_row false at its end. */
bool sf_bulk_result_row(struct sf_bulk_result *result, bool *is_row, struct sf_csv_row *row,
                        struct error *err);

/* Where to go on after this page; NULL when it is the last. */
const char *sf_bulk_result_locator(const struct sf_bulk_result *result);

#endif
