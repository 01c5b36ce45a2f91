/*
 * Reading from Salesforce by REST: queries page by page, and which records were changed or deleted
 * in a span of time.
 *
 * One call, one meaning; no waiting and trying again, no clock of ours: time comes from Salesforce.
 * Source: REST API Developer Guide, "Query", "QueryAll", "Get Updated", "Get Deleted".
 */
#ifndef PGFORCE_SF_REST_H
#define PGFORCE_SF_REST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "sf/outcome.h"
#include "sf/session.h"

struct sf_query;

struct sf_query_options {
    bool with_deleted; /* queryAll: deleted, merged and archived records too */
    int batch_size;    /* 200 to 2000, a hint; 0 is Salesforce's default */
};

/* Sends the query and reads its first page; options may be NULL. soql is not kept. */
bool sf_query_open(struct sf_session *session, const char *soql,
                   const struct sf_query_options *options, struct sf_query **out,
                   struct error *err);

/* The same without waiting for the first page, so that several can be on their way at once; to be
 * awaited or closed. */
bool sf_query_begin(struct sf_session *session, const char *soql,
                    const struct sf_query_options *options, struct sf_query **out,
                    struct error *err);
bool sf_query_await(struct sf_query *query, struct error *err);

/* The next page: an array that the caller owns (json_decref), or NULL after the last. A page may
 * be empty. ERROR_RETRY when Salesforce has forgotten the query: open it again. */
bool sf_query_next(struct sf_query *query, json_t **records, struct error *err);

/* Gives every page that has records to visit, until one answers false. ERROR_RETRY when the process
 * is told to stop. */
bool sf_query_each(struct sf_query *query,
                   bool (*visit)(void *context, const json_t *records, struct error *err),
                   void *context, struct error *err);

/* How many records the whole result has. */
int64_t sf_query_total(const struct sf_query *query);

/* Salesforce's clock at the first answer (its Date header), in seconds since 1970; 0 unknown. */
int64_t sf_query_server_time_s(const struct sf_query *query);

void sf_query_close(struct sf_query *query);

/* The total of a "select count() from ..." or of any query, without reading its records. */
bool sf_count(struct sf_session *session, const char *soql, int64_t *out, struct error *err);

struct sf_deleted_record {
    char id[SF_ID_BYTES];
    int64_t deleted_us;
};

struct sf_deleted {
    const struct sf_deleted_record *records;
    size_t count;
    int64_t earliest_available_us; /* later than the span's start: deletions have been lost */
    int64_t latest_covered_us;     /* where the next span starts */
    int64_t server_time_s;         /* Date header; 0 unknown */
};

struct sf_updated {
    const char (*ids)[SF_ID_BYTES];
    size_t count;
    int64_t latest_covered_us;
    int64_t server_time_s;
};

/* Which object's changes, from when to when, in microseconds since 1970. Salesforce cuts both to
 * whole minutes and wants more than one between them. */
struct sf_span {
    const char *object;
    int64_t start_us;
    int64_t end_us;
};

/* ERROR_CONFIG when the object does not support it or the span is older than what is kept (30 days,
 * 15 for deletions); ERROR_RECORD when there are too many: ask for a shorter span. */
bool sf_deleted(struct sf_session *session, const struct sf_span *span, struct arena *arena,
                struct sf_deleted *out, struct error *err);
bool sf_updated(struct sf_session *session, const struct sf_span *span, struct arena *arena,
                struct sf_updated *out, struct error *err);

#endif
