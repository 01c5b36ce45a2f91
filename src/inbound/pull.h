/*
 * The pull role: Salesforce to the mapped tables.
 *
 * Loads a mapping that is new, polls the others when their interval is up, and is woken when
 * mappings change. What goes wrong with one mapping is said in its state and leaves the others
 * alone. It is the one reader of the organisation for its schema: its replication origin is its
 * lock.
 */
#ifndef PGFORCE_INBOUND_PULL_H
#define PGFORCE_INBOUND_PULL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sf/session.h"

struct pull_options {
    const char *url;
    const char *schema_name;
    struct sf_session *session;
    int64_t bulk_above;          /* more records than this are read by Bulk */
    int64_t drift_interval_s;    /* between two comparisons of all records; 0: when asked for */
    bool confirms_all_deletions; /* not only inferred ones */
};

/* Runs until the process is told to stop. */
bool pull_run(const struct pull_options *options, struct error *err);

#endif
