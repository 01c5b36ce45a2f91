/*
 * The invariants of a stream:
 *
 *  1. A position is confirmed only if the sink answered it from settle: confirm_settled is the one
 *     place that confirms.
 *  2. A position handed to settle lies at a transaction's end, or at a keepalive's while no
 * transaction is open: everything before it has been written to the sink.
 *  3. The server hears from us at least three times in wal_sender_timeout, also while one
 * transaction goes on for hours, so that it never cuts a busy stream; and a server that we do not
 * hear of for twice that time, though asked, counts as gone.
 *  4. A stream begins where the sink says, and never at a position that the server moved in
 * silence: the caller has verified the slot (slot.h) before.
 */
#include "stream/stream.h"

#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service.h"
#include "base/wait.h"
#include "change/change.h"
#include "stream/blockers.h"
#include "stream/spool.h"

enum {
    STATUS_INTERVAL_MS = 10 * 1000,
    SILENCE_MS = 120 * 1000,
    SLOT_RETRY_MS = 200,
    IDLE_WAIT_MS = 1000,
    SETTLE_GAP_MS = 15,
    PLUGIN_OPTIONS_MAX = 16, /* more than the plugin has */
};

struct stream {
    const struct stream_options *options;
    struct sink *sink;
    struct replica *replica;
    struct change_reader *reader;
    struct spool *spool; /* makes whole transactions of those streamed in progress */
    lsn_t received;      /* the server has sent everything before it */
    lsn_t reached;       /* everything before it has been given to the sink */
    lsn_t durable;       /* what the sink answered last */
    bool is_in_transaction;
    bool has_unsettled; /* something was written since the last settle */
    int64_t settled_at_ms;
    int64_t confirmed_at_ms;
    int64_t heard_at_ms; /* of the server; or when we listened again */
    int status_interval_ms;
    int silence_ms; /* a longer one is the end */
};

struct stream_options stream_default_options(void)
{
    static const struct replica_option none[] = {{NULL, NULL}};

    return (struct stream_options){
        .application_name = "pgforce",
        .plugin_options = none,
        .settle_interval_ms = 1000,
        .slot_wait_ms = 30 * 1000,
    };
}

/* Messages outside a transaction and announcements leave the position alone. */
static void follow_position(struct stream *stream, const struct event *event)
{
    if (event->kind == EVENT_BEGIN)
        stream->is_in_transaction = true;
    if (event->kind != EVENT_COMMIT)
        return;
    stream->is_in_transaction = false;
    stream->reached = event->transaction->end_lsn;
}

static bool write_events(struct stream *stream, const struct replica_message *message,
                         struct error *err)
{
    struct event event;

    if (!change_reader_feed(stream->reader, message->data, message->size_bytes, err))
        return false;
    for (;;) {
        switch (spool_next(stream->spool, stream->reader, &event, err)) {
        case CHANGE_NEED: return true;
        case CHANGE_ERROR: return error_prefix(err, "reading the stream");
        case CHANGE_EVENT: break;
        }
        if (!stream->sink->write(stream->sink, &event, err))
            return false;
        stream->has_unsettled = true;
        follow_position(stream, &event);
    }
}

static bool is_due(int64_t since_ms, int interval_ms)
{
    return clock_monotonic_ms() - since_ms >= interval_ms;
}

static bool confirm_settled(struct stream *stream, struct error *err)
{
    const struct replica_status status = {
        .received_lsn = stream->received > stream->durable ? stream->received : stream->durable,
        .durable_lsn = stream->durable,
        .wants_reply = is_due(stream->heard_at_ms, stream->status_interval_ms),
    };

    stream->confirmed_at_ms = clock_monotonic_ms();
    return replica_confirm(stream->replica, &status, err);
}

/* For a sink that is kept waiting. A connection that has gone is found by the next receive. */
static void tell_alive(void *context)
{
    struct stream *stream = context;
    struct error ignored = {0};

    stream->heard_at_ms = clock_monotonic_ms();
    if (is_due(stream->confirmed_at_ms, stream->status_interval_ms))
        confirm_settled(stream, &ignored);
}

/* The server is told of what became durable; that nothing did is no news. */
static bool settle(struct stream *stream, bool is_awaited, struct error *err)
{
    lsn_t before = stream->durable;

    if (stream->has_unsettled)
        stream->settled_at_ms = clock_monotonic_ms();
    if (!stream->sink->settle(stream->sink, stream->reached, is_awaited, &stream->durable, err))
        return false;
    stream->has_unsettled = stream->is_in_transaction;
    return stream->durable == before || confirm_settled(stream, err);
}

static bool take_keepalive(struct stream *stream, const struct replica_message *message,
                           struct error *err)
{
    stream->received = message->wal_end;
    if (!stream->is_in_transaction && message->wal_end > stream->reached)
        stream->reached = message->wal_end;
    if (!stream->has_unsettled && !settle(stream, message->is_reply_wanted, err))
        return false;
    return !message->is_reply_wanted || confirm_settled(stream, err);
}

static bool check_silence(struct stream *stream, enum replica_result result, struct error *err)
{
    if (result != REPLICA_TIMEOUT)
        stream->heard_at_ms = clock_monotonic_ms();
    if (!is_due(stream->heard_at_ms, stream->silence_ms))
        return true;
    return error_set(err, ERROR_RETRY,
                     "the server has been silent for %d s, though asked for a sign of life",
                     stream->silence_ms / 1000);
}

/*
 * How long to listen for more before settling. The first change after a silence is settled at once;
 * a busy stream at most every SETTLE_GAP_MS, because each settling has a cost of its own,
 * eight questions to the server, that many entries had better share.
 */
static int listen_ms(const struct stream *stream)
{
    int idle_ms =
        stream->status_interval_ms < IDLE_WAIT_MS ? stream->status_interval_ms : IDLE_WAIT_MS;
    bool has_wish = stream->sink->settle_by_ms >= 0;

    if (stream->is_in_transaction || (!stream->has_unsettled && !has_wish))
        return idle_ms;
    int64_t by_ms =
        stream->has_unsettled ? stream->settled_at_ms + SETTLE_GAP_MS : stream->sink->settle_by_ms;
    int64_t left_ms = by_ms - clock_monotonic_ms();
    return left_ms < 0 ? 0 : left_ms < idle_ms ? (int)left_ms : idle_ms;
}

/* Whether nothing having come is the moment to settle. */
static bool can_settle(const struct stream *stream)
{
    bool is_wished =
        stream->sink->settle_by_ms >= 0 && clock_monotonic_ms() >= stream->sink->settle_by_ms;

    return !stream->is_in_transaction && (stream->has_unsettled || is_wished);
}

/* One step; *is_over when the process was told to stop. */
static bool step(struct stream *stream, bool *is_over, struct error *err)
{
    struct replica_message message;

    enum replica_result result = replica_receive(stream->replica, listen_ms(stream), &message, err);
    if (!check_silence(stream, result, err))
        return false;
    switch (result) {
    case REPLICA_DATA:
        if (!write_events(stream, &message, err))
            return false;
        break;
    case REPLICA_KEEPALIVE: return take_keepalive(stream, &message, err);
    case REPLICA_TIMEOUT:
        if (can_settle(stream))
            return settle(stream, false, err);
        break;
    case REPLICA_STOP: *is_over = true; return true;
    case REPLICA_END:
        return error_set(err, ERROR_RETRY, "the server ended the stream: it is shutting down");
    case REPLICA_ERROR: return false;
    }
    if (is_due(stream->settled_at_ms, stream->options->settle_interval_ms) &&
        stream->has_unsettled && !settle(stream, false, err))
        return false;
    return !is_due(stream->confirmed_at_ms, stream->status_interval_ms) ||
           confirm_settled(stream, err);
}

/* The caller's options, and that transactions in progress come in blocks: the spool joins them. */
static void fill_plugin_options(const struct stream *stream, struct replica_option *options)
{
    size_t count = 0;

    for (const struct replica_option *given = stream->options->plugin_options;
         given->name != NULL && count < PLUGIN_OPTIONS_MAX; given++)
        options[count++] = *given;
    options[count++] = (struct replica_option){"streaming", "on"};
    options[count] = (struct replica_option){NULL, NULL};
}

/* A slot is in use for a moment after its last reader was killed; longer means another process. */
static bool start(struct stream *stream, lsn_t resume, struct error *err)
{
    const struct stream_options *options = stream->options;
    int64_t deadline_ms = clock_monotonic_ms() + options->slot_wait_ms;
    struct replica_option plugin_options[PLUGIN_OPTIONS_MAX + 2];
    bool is_told = false;

    fill_plugin_options(stream, plugin_options);
    for (;;) {
        if (replica_start(stream->replica, options->slot_name, resume, plugin_options, err))
            return true;
        if (err->kind != ERROR_RETRY || clock_monotonic_ms() >= deadline_ms)
            return error_prefix(err, "starting the slot \"%s\"", options->slot_name);
        if (!is_told)
            log_warning("waiting for the slot", log_text("slot", options->slot_name),
                        log_text("reason", err->message));
        is_told = true;
        if (wait_for(-1, 0, SLOT_RETRY_MS) == WAIT_STOP)
            return error_set(err, ERROR_RETRY, "told to stop while waiting for the slot \"%s\"",
                             options->slot_name);
    }
}

static bool make_temporary_slot(struct stream *stream, lsn_t *consistent_lsn, struct error *err)
{
    struct blockers blockers = {.url = stream->options->url,
                                .pid = replica_server_pid(stream->replica)};
    struct pg_patience patience = {blockers_tell, &blockers};
    bool is_ok = replica_create_temporary_slot(stream->replica, stream->options->slot_name,
                                               &patience, consistent_lsn, err);

    blockers_done(&blockers);
    return is_ok;
}

/* A server that waits for ever is still told now and then, and may not be silent for ever. */
static bool learn_patience(struct stream *stream, struct error *err)
{
    int patience_ms;

    if (!replica_server_patience(stream->replica, &patience_ms, err))
        return false;
    stream->status_interval_ms = STATUS_INTERVAL_MS;
    if (patience_ms > 0 && patience_ms / 3 < STATUS_INTERVAL_MS)
        stream->status_interval_ms = patience_ms / 3;
    stream->silence_ms =
        patience_ms > 0 && patience_ms < INT_MAX / 2 ? 2 * patience_ms : SILENCE_MS;
    return true;
}

static bool connect_and_start(struct stream *stream, lsn_t resume, struct error *err)
{
    const struct stream_options *options = stream->options;

    stream->replica = replica_open(options->url, options->application_name, err);
    if (stream->replica == NULL || !learn_patience(stream, err))
        return false;
    if (options->with_temporary_slot && !make_temporary_slot(stream, &resume, err))
        return error_prefix(err, "making the temporary slot \"%s\"", options->slot_name);
    stream->reached = resume;
    stream->durable = resume;
    stream->settled_at_ms = clock_monotonic_ms();
    stream->confirmed_at_ms = stream->settled_at_ms;
    stream->heard_at_ms = stream->settled_at_ms;
    if (stream->sink->begin != NULL && !stream->sink->begin(stream->sink, resume, err))
        return false;
    return start(stream, resume, err);
}

/* A step that ended has received, stored or found nothing to do: whatever hangs, ends none. READY
 * again, for it may not have been heard the first time. */
static void tell_progress(const struct stream *stream)
{
    lsn_t behind = stream->received > stream->durable ? stream->received - stream->durable : 0;

    if (service_is_due())
        service_tell("READY=1\nSTATUS=archived up to %s, %llu bytes behind\nWATCHDOG=1",
                     lsn_format(stream->durable).text, (unsigned long long)behind);
}

static bool run_until_stopped(struct stream *stream, struct error *err)
{
    bool is_over = false;

    while (!is_over) {
        if (!step(stream, &is_over, err))
            return false;
        tell_progress(stream);
        is_over = is_over || (stream->sink->is_done != NULL && stream->sink->is_done(stream->sink));
    }
    return settle(stream, false, err);
}

bool stream_run(const struct stream_options *options, struct sink *sink, struct error *err)
{
    struct stream stream = {
        .options = options, .sink = sink, .reader = change_reader_new(), .spool = spool_new()};
    lsn_t resume = 0;

    bool is_ok = sink->open(sink, &resume, err) && connect_and_start(&stream, resume, err);
    if (is_ok) {
        log_info("streaming", log_text("slot", options->slot_name), log_text("sink", sink->name),
                 log_text("from", lsn_format(stream.reached).text));
        service_tell("READY=1\nSTATUS=streaming from %s\nWATCHDOG=1",
                     lsn_format(stream.reached).text);
        sink->tell_alive = tell_alive;
        sink->stream = &stream;
        is_ok = run_until_stopped(&stream, err);
        sink->tell_alive = NULL;
    }
    sink->close(sink);
    replica_close(stream.replica);
    spool_free(stream.spool);
    change_reader_free(stream.reader);
    return is_ok;
}
