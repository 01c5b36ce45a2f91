/*
 * The sink that prints: events in one of the forms of format.h, written out per transaction.
 *
 * What has been written counts as durable, in a regular file once it has been synchronised. A
 * transaction of more than a megabyte is written as it comes. A closed pipe ends the stream
 * quietly. The process is told to stop between transactions (stop.h). The server's and our own
 * barriers (messages with the prefix pgforce.barrier) are not printed, and neither are gaps ever
 * filtered: a gap is always told.
 */
#ifndef PGFORCE_TAIL_SINK_STDOUT_H
#define PGFORCE_TAIL_SINK_STDOUT_H

#include "stream/sink.h"
#include "tail/filter.h"
#include "tail/format.h"
#include "tail/redaction.h"

/* All that is pointed at stays the caller's and outlives the sink. */
struct sink_stdout_options {
    int fd;
    const struct format *format;
    struct format_options print;
    const struct filter *filter; /* only its origins are looked at; may be NULL */
    struct redaction *redaction; /* may be NULL */
    lsn_t start_lsn;             /* what committed before it is not printed */
    lsn_t end_lsn;               /* what committed at or after it ends the stream; 0: no end */
    bool with_stats;             /* log changes per second and lag */
    /* Called once the slot is there; may be NULL. */
    bool (*begin)(void *context, lsn_t from, struct error *err);
    void *context;
};

struct sink *sink_stdout_new(const struct sink_stdout_options *options);
void sink_stdout_free(struct sink *sink);

/* Everything before it has been written; 0 if nothing is known of that. */
lsn_t sink_stdout_reached(const struct sink *sink);

/* Nothing more is wanted: the end was reached, the reader is gone, or a stop was asked for. */
bool sink_stdout_is_over(const struct sink *sink);

/* The output could not be written: connecting again is no help. */
bool sink_stdout_has_failed(const struct sink *sink);

/* Writes what is there, whole or not: at the end of what is known to have an end. */
bool sink_stdout_flush(struct sink *sink, struct error *err);

/* Between two streams. Refused (ERROR_RETRY) when a binary output was cut inside a transaction. */
bool sink_stdout_write_gap(struct sink *sink, const struct gap *gap, struct error *err);

/* What comes from elsewhere than the stream goes before it, and does not move the position. */
void sink_stdout_replay(struct sink *sink, bool is_replaying);

#endif
