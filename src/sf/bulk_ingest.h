/*
 * Writing by Bulk API 2.0: an ingest job step by step, and what came of each of its rows.
 *
 * Promises: one call, one step; what is known of a call's fate is told, so that the caller can
 * store the job's id before it uploads and ask again after a crash. Rows are matched by what they
 * hold, never by position: a result's header and cells are handed over as they came. Source: Bulk
 * API 2.0 Developer Guide, "Bulk API 2.0 Ingest", "Prepare CSV Files".
 */
#ifndef PGFORCE_SF_BULK_INGEST_H
#define PGFORCE_SF_BULK_INGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "sf/csv.h"
#include "sf/outcome.h"
#include "sf/session.h"

/* An upload may have 150 MB after Salesforce's own encoding. */
enum { SF_INGEST_BYTES = 90 * 1024 * 1024 };

/* Appends a cell, a comma before all but the first of a row; NULL is "#N/A", which sets null. An
 * empty cell (text "") is left alone. */
void sf_ingest_cell(struct buf *csv, const char *text, bool is_first);
void sf_ingest_end_row(struct buf *csv);

/* operation: "insert", "update", "delete". ERROR_CONFIG or ERROR_RECORD: Bulk does not take it. */
bool sf_ingest_create(struct sf_session *session, const char *object, const char *operation,
                      char id[SF_ID_BYTES], struct error *err);

/* Once; and only then closed, which starts it. */
bool sf_ingest_upload(struct sf_session *session, const char *id, const struct buf *csv,
                      struct error *err);
bool sf_ingest_close(struct sf_session *session, const char *id, struct error *err);

/* Only what is still open can be aborted for certain: then nothing of it was or will be done. */
bool sf_ingest_abort(struct sf_session *session, const char *id, struct error *err);

enum sf_ingest_state {
    SF_INGEST_OPEN,
    SF_INGEST_WORKING,
    SF_INGEST_ENDED, /* complete, failed or aborted: the results tell of each row */
    SF_INGEST_LOST,  /* Salesforce no longer knows it */
};

struct sf_ingest_progress {
    enum sf_ingest_state state;
    int64_t processed; /* those that failed included */
    int64_t failed;
    char message[256]; /* why it failed as a whole; "" */
};

bool sf_ingest_ask(struct sf_session *session, const char *id, struct sf_ingest_progress *out,
                   struct error *err);

enum sf_ingest_result { SF_INGEST_SUCCESSFUL, SF_INGEST_FAILED, SF_INGEST_UNPROCESSED };

typedef void (*sf_ingest_taker)(void *context, enum sf_ingest_result kind,
                                const struct sf_csv_row *header, const struct sf_csv_row *row);

struct sf_ingest_reader {
    sf_ingest_taker take;
    void *context;
};

/* Hands over every row of one result. False when it could not be read whole. */
bool sf_ingest_results(struct sf_session *session, const char *id, enum sf_ingest_result kind,
                       const struct sf_ingest_reader *reader, struct error *err);

/* "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --" as the result of a record.
 */
void sf_ingest_read_error(const char *text, struct arena *arena, const char **code,
                          const char **message);

/* Done with it; what goes wrong is of no consequence. */
void sf_ingest_drop(struct sf_session *session, const char *id);

#endif
