/*
 * Where a stream's changes go. A stream is one slot, one sink, one process.
 *
 * Calls come in order: open, begin, (write | settle | is_done)*, close.
 *
 * settle makes durable whatever it can and answers up to where that is; the stream confirms exactly
 * that. reached is the position before which the stream has given everything: the end of the last
 * committed transaction or, when nothing is open, of a keepalive. Called inside an open
 * transaction, settle answers the old position: half a transaction is never durable. is_awaited:
 * the server waits for the answer (it asks whether we live, or is shutting down and wants to have
 * all that it sent confirmed), so that even an idle position is worth storing.
 */
#ifndef PGFORCE_STREAM_SINK_H
#define PGFORCE_STREAM_SINK_H

#include "base/error.h"
#include "change/change.h"

struct sink {
    const char *name;
    /* resume: where the stream has to begin; 0 lets the slot decide. */
    bool (*open)(struct sink *sink, lsn_t *resume, struct error *err);
    bool (*write)(struct sink *sink, const struct event *event, struct error *err);
    bool (*settle)(struct sink *sink, lsn_t reached, bool is_awaited, lsn_t *durable,
                   struct error *err);
    void (*close)(struct sink *sink);
    /* These two may be NULL. begin comes once after open: the slot is there, and the first
     * transaction written will be one that commits at or after from. is_done is asked between
     * messages: true ends the stream as if the process had been told to stop. */
    bool (*begin)(struct sink *sink, lsn_t from, struct error *err);
    bool (*is_done)(struct sink *sink);
    /* Set by the sink in open and settle: it wants to be settled by then (monotonic clock), also
     * when nothing comes; -1: it does not care. */
    int64_t settle_by_ms;
    /* Set by the stream: a sink that is kept waiting in write calls it about once a second, so that
     * the server hears from us. */
    void (*tell_alive)(void *stream);
    void *stream;
};

#endif
