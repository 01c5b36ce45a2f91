#include "tail/sink_stdout.h"

#include <stdlib.h>
#include <string.h>

#include "archive/progress.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "tail/output.h"
#include "tail/stop.h"

enum { STATS_INTERVAL_MS = 5000 };

struct stats {
    int64_t since_ms;
    int64_t changes; /* since then */
    int64_t total;
    int64_t lag_ms; /* from the last commit to its writing */
};

struct sink_stdout {
    struct sink sink;
    struct sink_stdout_options options;
    struct output *output;
    struct stats stats;
    lsn_t durable;
    lsn_t passed; /* the end of the last transaction before the end that was asked for */
    struct event begin;
    bool is_in_transaction;
    bool is_skipping;      /* the transaction is not wanted */
    bool is_begin_printed; /* it comes with the first change that is wanted */
    bool is_ended;         /* at end_lsn */
    bool is_replaying;
};

static struct sink_stdout *self(struct sink *sink)
{
    return (struct sink_stdout *)sink;
}

static bool open_stdout(struct sink *sink, lsn_t *resume, struct error *err)
{
    struct sink_stdout *out = self(sink);

    (void)err;
    if (output_is_cut(out->output))
        log_warning("the last transaction was cut: what has been printed of it may come again");
    output_discard(out->output);
    out->is_in_transaction = false;
    *resume = out->durable != 0 ? out->durable : out->options.start_lsn;
    return true;
}

static bool begin_stdout(struct sink *sink, lsn_t from, struct error *err)
{
    struct sink_stdout *out = self(sink);

    if (out->options.begin != NULL && !out->options.begin(out->options.context, from, err))
        return false;
    if (from > out->durable)
        out->durable = from;
    return true;
}

static void print(struct sink_stdout *out, const struct event *event)
{
    out->options.format->print(output_buf(out->output), event, &out->options.print);
}

static bool print_change(struct sink_stdout *out, const struct event *event, struct error *err)
{
    struct event shown = *event;

    if (out->is_skipping)
        return true;
    if (out->is_in_transaction && !out->is_begin_printed)
        print(out, &out->begin);
    out->is_begin_printed = true;
    if (event->kind == EVENT_ROW && out->options.redaction != NULL)
        redaction_apply(out->options.redaction, &shown.row);
    print(out, &shown);
    out->stats.changes++;
    return output_spare(out->output, err);
}

static bool is_wanted(const struct sink_stdout *out, const struct transaction *transaction)
{
    return (out->is_replaying || transaction->commit_lsn >= out->options.start_lsn) &&
           (out->options.filter == NULL ||
            filter_takes_origin(out->options.filter, transaction->origin));
}

static void begin_transaction(struct sink_stdout *out, const struct event *event)
{
    lsn_t end_lsn = out->options.end_lsn;

    out->is_ended = out->is_ended || (end_lsn != 0 && event->transaction->commit_lsn >= end_lsn);
    out->is_skipping = out->is_ended || !is_wanted(out, event->transaction);
    out->is_in_transaction = true;
    out->is_begin_printed = false;
    out->begin = *event;
}

static void tell_stats(struct sink_stdout *out)
{
    struct stats *stats = &out->stats;
    int64_t now_ms = clock_monotonic_ms();
    int64_t elapsed_ms = now_ms - stats->since_ms;

    stats->total += stats->changes;
    log_info("stats", log_number("changes", stats->total),
             log_number("changes_per_s",
                        elapsed_ms > 0 ? stats->changes * 1000 / elapsed_ms : stats->changes),
             log_number("lag_ms", stats->lag_ms));
    stats->since_ms = now_ms;
    stats->changes = 0;
}

static void count_commit(struct sink_stdout *out, const struct transaction *transaction)
{
    if (!out->options.with_stats)
        return;
    out->stats.lag_ms = (clock_wall_us() - transaction->commit_time_us) / 1000;
    if (clock_monotonic_ms() - out->stats.since_ms >= STATS_INTERVAL_MS)
        tell_stats(out);
}

static bool end_transaction(struct sink_stdout *out, const struct event *event, struct error *err)
{
    bool is_printed = out->is_begin_printed;

    out->is_in_transaction = false;
    out->is_begin_printed = false;
    if (!out->is_ended && !out->is_replaying)
        out->passed = event->transaction->end_lsn;
    if (!is_printed)
        return true;
    print(out, event);
    if (!output_end_transaction(out->output, err))
        return false;
    count_commit(out, event->transaction);
    return true;
}

static bool print_relation(struct sink_stdout *out, const struct event *event)
{
    if (event->relation->is_withheld)
        log_warning("changes of a table are withheld: the role may not read it",
                    log_text("schema", event->relation->schema),
                    log_text("table", event->relation->table));
    print(out, event);
    return true;
}

static bool print_message(struct sink_stdout *out, const struct event *event, struct error *err)
{
    if (strcmp(event->message.prefix, PROGRESS_BARRIER_PREFIX) == 0)
        return true;
    if (event->transaction != NULL)
        return print_change(out, event, err);
    print(out, event);
    out->stats.changes++;
    return output_is_in_transaction(out->output) || output_end_transaction(out->output, err);
}

static bool write_event(struct sink *sink, const struct event *event, struct error *err)
{
    struct sink_stdout *out = self(sink);

    if (output_is_closed(out->output))
        return true;
    switch (event->kind) {
    case EVENT_BEGIN: begin_transaction(out, event); return true;
    case EVENT_RELATION: return print_relation(out, event);
    case EVENT_ROW:
    case EVENT_TRUNCATE: return print_change(out, event, err);
    case EVENT_MESSAGE: return print_message(out, event, err);
    case EVENT_COMMIT: return end_transaction(out, event, err);
    case EVENT_GAP: print(out, event); return output_end_transaction(out->output, err);
    case EVENT_STREAM_START:
    case EVENT_STREAM_STOP:
    case EVENT_STREAM_ABORT: return true;
    }
    return true;
}

static bool settle_stdout(struct sink *sink, lsn_t reached, bool is_awaited, lsn_t *durable,
                          struct error *err)
{
    (void)is_awaited;
    struct sink_stdout *out = self(sink);
    lsn_t end_lsn = out->options.end_lsn;
    bool is_whole = !out->is_in_transaction || out->is_ended;

    if (!output_is_closed(out->output) && is_whole) {
        if (!output_synchronise(out->output, err))
            return false;
        lsn_t settled = out->is_ended ? out->passed : reached;
        if (settled > out->durable)
            out->durable = settled;
        out->is_ended = out->is_ended || (end_lsn != 0 && reached >= end_lsn);
    }
    *durable = out->durable;
    return true;
}

static bool is_done(struct sink *sink)
{
    struct sink_stdout *out = self(sink);

    if (out->is_ended || output_is_closed(out->output) || output_is_reader_gone(out->output))
        return true;
    return stop_is_asked() && !output_is_in_transaction(out->output);
}

static void close_stdout(struct sink *sink)
{
    struct sink_stdout *out = self(sink);

    if (out->options.with_stats)
        tell_stats(out);
    if (output_is_in_transaction(out->output) && stop_is_asked())
        log_warning("stopped inside a transaction, between two of its changes: its commit did not"
                    " come in time",
                    log_text("up_to", lsn_format(out->durable).text));
}

static void tell_alive(void *context)
{
    struct sink *sink = context;

    if (sink->tell_alive != NULL)
        sink->tell_alive(sink->stream);
}

struct sink *sink_stdout_new(const struct sink_stdout_options *options)
{
    struct sink_stdout *out = memory_alloc(sizeof(*out));

    out->sink = (struct sink){.name = "stdout",
                              .open = open_stdout,
                              .write = write_event,
                              .settle = settle_stdout,
                              .settle_by_ms = -1,
                              .close = close_stdout,
                              .begin = begin_stdout,
                              .is_done = is_done};
    out->options = *options;
    out->output = output_new(options->fd, tell_alive, &out->sink);
    out->stats.since_ms = clock_monotonic_ms();
    return &out->sink;
}

void sink_stdout_free(struct sink *sink)
{
    if (sink == NULL)
        return;
    output_free(self(sink)->output);
    free(sink);
}

lsn_t sink_stdout_reached(const struct sink *sink)
{
    return ((const struct sink_stdout *)sink)->durable;
}

bool sink_stdout_is_over(const struct sink *sink)
{
    const struct sink_stdout *out = (const struct sink_stdout *)sink;

    return out->is_ended || output_is_closed(out->output) || stop_is_asked();
}

bool sink_stdout_has_failed(const struct sink *sink)
{
    return output_has_failed(((const struct sink_stdout *)sink)->output);
}

bool sink_stdout_flush(struct sink *sink, struct error *err)
{
    return output_end_transaction(self(sink)->output, err);
}

bool sink_stdout_write_gap(struct sink *sink, const struct gap *gap, struct error *err)
{
    struct sink_stdout *out = self(sink);
    struct event event = {.kind = EVENT_GAP, .gap = *gap};

    if (out->options.format->is_binary && output_is_cut(out->output))
        return error_set(
            err, ERROR_RETRY,
            "the output ends inside a transaction: nothing can follow it in this form");
    log_warning("there is a gap", log_text("from", lsn_format(gap->from_lsn).text),
                log_text("to", lsn_format(gap->to_lsn).text), log_text("reason", gap->reason));
    output_discard(out->output);
    out->is_in_transaction = false;
    return write_event(sink, &event, err);
}

void sink_stdout_replay(struct sink *sink, bool is_replaying)
{
    self(sink)->is_replaying = is_replaying;
}
