/*
 * From a replication slot to a sink: receive, read, write, settle, confirm.
 *
 * Never confirms what the sink has not made durable: that is one line of stream.c. It knows nothing
 * of what the sink does, and the sink nothing of slots.
 */
#ifndef PGFORCE_STREAM_STREAM_H
#define PGFORCE_STREAM_STREAM_H

#include "base/error.h"
#include "pg/replica.h"
#include "stream/sink.h"

struct stream_options {
    const char *url;              /* libpq's connection string */
    const char *application_name; /* shows in pg_stat_replication */
    const char *slot_name;
    const struct replica_option *plugin_options;
    int settle_interval_ms;   /* the longest a busy stream goes without settling */
    int slot_wait_ms;         /* how long to wait for a slot that another process holds */
    bool with_temporary_slot; /* make the slot, for as long as the stream runs */
};

/* 1 s between settlements of a busy stream, 30 s for a held slot. */
struct stream_options stream_default_options(void);

/*
 * Runs until the process is told to stop (true; all that was given has been settled) or something
 * fails (false). Opens and closes the sink.
 */
bool stream_run(const struct stream_options *options, struct sink *sink, struct error *err);

#endif
