/*
 * The listen role: hears of changes by Change Data Capture as they are made.
 *
 * For each mapping that asks for it (sf_notify_enabled) it stores which records an event tells of,
 * together with how far it has heard, and wakes the pull role, which reads and applies them. Where
 * events may have been missed (a gap, an overflow, events no longer kept) it asks for a poll
 * instead. The polls by interval go on whatever happens here. It writes no mapped table.
 */
#ifndef PGFORCE_INBOUND_LISTEN_H
#define PGFORCE_INBOUND_LISTEN_H

#include <stdbool.h>

#include "base/error.h"
#include "sf/session.h"

struct listen_options {
    const char *url;
    const char *schema_name;
    struct sf_session *session;
};

/* Runs until the process is told to stop. */
bool listen_run(const struct listen_options *options, struct error *err);

#endif
