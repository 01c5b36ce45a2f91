/*
 * Writing to Salesforce by REST: up to 200 records a request, or one on a condition, several
 * requests on their way at once, and for each record and each request what is known of its fate.
 *
 * Promises: nothing is sent twice (but a request refused for its token); records of a request
 * succeed and fail by themselves; an answer with a number of results other than the number of
 * records makes the whole request in doubt. Decides nothing: what to do about an outcome is
 * src/sync's.
 * Source: REST API Developer Guide, "Use sObject Collections", "Conditional Requests".
 */
#ifndef PGFORCE_SF_COLLECTIONS_H
#define PGFORCE_SF_COLLECTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "sf/outcome.h"
#include "sf/session.h"

enum sf_write { SF_CREATE, SF_UPDATE, SF_UPSERT, SF_DELETE };

/* The most records in one request, and the most changes from one object to another in it. */
enum { SF_BATCH_RECORDS = 200, SF_BATCH_CHUNKS = 10 };

struct sf_row_result {
    enum sf_outcome outcome;
    bool is_created;           /* by an upsert, or by a create */
    const char *id;            /* 18 characters, or "" when none was answered */
    const char *code;          /* "" on success */
    const char *message;       /* "" on success */
    const char *const *fields; /* those the error names, ended by NULL */
};

struct sf_batch {
    /* Asked; owned by the caller. */
    enum sf_write write;
    const json_t *records;         /* an array made of sf_record_new's; NULL for SF_DELETE */
    const char *const *ids;        /* for SF_DELETE */
    size_t id_count;               /* for SF_DELETE */
    const char *object;            /* for SF_UPSERT */
    const char *external_id_field; /* for SF_UPSERT */
    /* For SF_UPDATE of one record: only if it has not been changed since this second; 0: in any
     * case. Collections have no condition, so it goes by a request of the single record. */
    int64_t unmodified_since_s;

    /* Answered; in the arena. */
    enum sf_fate fate;
    enum sf_outcome outcome;       /* of the request as a whole; SUCCESS: see results */
    const char *code;              /* of the request; "" when none */
    const char *message;           /* of the request; "" when none */
    int retry_after_s;             /* what the answer asked to wait, or 0 */
    struct sf_row_result *results; /* one per record, NULL unless fate is SF_ANSWERED */
    size_t result_count;

    struct sf_call *call; /* on its way; NULL: it is not */
};

/* {"attributes": {"type": object}}: set the fields in it, and "id" for an update. */
json_t *sf_record_new(const char *object);

/* All numbers of a text are written with as many digits as the longest of them needs. */
size_t sf_collection_digits(const json_t *records);

/* One element of an answer. False when it is no result: then nothing is known of any record. */
bool sf_collection_read_result(const json_t *json, enum sf_write write, struct arena *arena,
                               struct sf_row_result *out);

/*
 * A batch is begun, gone on with (sf_request_go_on) until it is answered, and ended; is_over is
 * false when it was sent again with another token. False only for what concerns all batches (it is
 * not fit to send, signing in failed): its fate holds even then. Where it lies must not change
 * between the two.
 */
bool sf_collection_begin(struct sf_session *session, struct sf_batch *batch, struct arena *arena,
                         struct error *err);
bool sf_collection_is_answered(const struct sf_batch *batch);
bool sf_collection_end(struct sf_session *session, struct sf_batch *batch, struct arena *arena,
                       bool *is_over, struct error *err);

/* Sends all batches at the same time and waits for them. */
bool sf_collection_write(struct sf_session *session, struct sf_batch *batches, size_t count,
                         struct arena *arena, struct error *err);

#endif
