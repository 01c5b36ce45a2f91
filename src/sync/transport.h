/*
 * Which way a run of writes goes: requests of 200, or one Bulk job.
 *
 * A job is asynchronous and checks nothing before it writes. So it is for long runs of one action
 * on one object; for new records only where a unique identifier makes a repetition harmless; for
 * updates and deletes only where PostgreSQL wins every conflict, because a job cannot look first.
 * Merged writes never use it, as in Heroku Connect. Pure.
 */
#ifndef PGFORCE_SYNC_TRANSPORT_H
#define PGFORCE_SYNC_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "sync/delivery.h"

/* The most rows in one job; Salesforce cuts longer ones into pieces of this size anyhow. */
enum { TRANSPORT_JOB_ROWS = 10000 };

struct transport_run {
    enum delivery_action action;
    size_t count;
    size_t threshold; /* 0: never */
    bool has_unique_identifier;
    bool does_postgres_win; /* the mapping's conflict policy */
    bool is_merged;
    bool is_disabled; /* the connection's flag disable_bulk_writes */
};

bool transport_is_bulk(const struct transport_run *run);

#endif
