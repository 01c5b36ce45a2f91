/*
 * The push role: _trigger_log to Salesforce.
 *
 * Takes what is NEW, in an order that src/sync chooses, sends it and stores what came of it, woken
 * by the log's NOTIFY. It is the one writer to the organisation for its schema: its replication
 * origin, which the server gives to one session only, is its lock.
 */
#ifndef PGFORCE_OUTBOUND_PUSH_H
#define PGFORCE_OUTBOUND_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sf/session.h"

struct push_options {
    const char *url;
    const char *schema_name;
    struct sf_session *session;
    size_t parallel;             /* requests in flight at once */
    bool is_atomic;              /* a transaction's changes go all or none (sync/unit.h) */
    size_t bulk_threshold;       /* from so many rows on a run is a Bulk job; 0: never */
    const char *state_directory; /* settle.h; may be NULL */
    int64_t quarantine_ms; /* how long a lost create without a unique identifier is waited for */
};

/* Runs until the process is told to stop. */
bool push_run(const struct push_options *options, struct error *err);

#endif
