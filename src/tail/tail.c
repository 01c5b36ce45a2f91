#include "tail/tail.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wait.h"
#include "stream/slot.h"
#include "stream/stream.h"
#include "tail/history.h"
#include "tail/kept_slot.h"
#include "tail/stop.h"

enum { RECONNECT_MS = 2000, LOG_WAIT_MS = 10 * 1000 };

struct tail {
    struct tail_options *options;
    struct sink *sink;
    struct history *history; /* NULL: nothing of the log is wanted */
    char slot_name[64];
    char database_name[64];
    bool has_streamed;              /* so that a new slot means a gap */
    char loss[ERROR_MESSAGE_BYTES]; /* why the last stream ended */
};

static bool write_gap(struct tail *tail, lsn_t from, lsn_t to, struct error *err)
{
    struct buf reason BUF_AUTO = {0};

    buf_init(&reason, 2 * ERROR_MESSAGE_BYTES);
    buf_printf(
        &reason,
        "the temporary slot was lost (%s); what was committed before the new one is not here",
        tail->loss);
    struct gap gap = {.from_lsn = from, .to_lsn = to, .reason = reason.data};
    return sink_stdout_write_gap(tail->sink, &gap, err);
}

/* The log holds everything before the slot's beginning once its progress has passed that. */
static bool print_history(struct tail *tail, lsn_t before_lsn, struct error *err)
{
    while (!history_wait(tail->history, LOG_WAIT_MS, err)) {
        if (err->kind != ERROR_RETRY || wait_is_stopping() || !history_is_connected(tail->history))
            return false;
        log_warning("waiting for the log", log_text("reason", err->message));
    }
    history_skip_to(tail->history, sink_stdout_reached(tail->sink));
    sink_stdout_replay(tail->sink, true);
    bool is_ok = history_print(tail->history, before_lsn, tail->sink, err);
    sink_stdout_replay(tail->sink, false);
    return is_ok;
}

/* The slot begins at from: what lies before is printed from the log, or is a gap. */
static bool begin(void *context, lsn_t from, struct error *err)
{
    struct tail *tail = context;
    lsn_t reached = sink_stdout_reached(tail->sink);
    bool is_new_slot = tail->options->slot_name == NULL;

    if (tail->history != NULL && is_new_slot)
        return print_history(tail, from, err);
    bool has_gap = is_new_slot && tail->has_streamed;
    tail->has_streamed = true;
    return !has_gap || write_gap(tail, reached, from, err);
}

static bool stream(struct tail *tail, struct error *err)
{
    struct stream_options stream_options = stream_default_options();
    struct filter_request request = {0};

    filter_request_init(&request, &tail->options->filter);
    stream_options.url = tail->options->url;
    stream_options.application_name = tail->slot_name;
    stream_options.slot_name = tail->slot_name;
    stream_options.plugin_options = request.options;
    stream_options.with_temporary_slot = tail->options->slot_name == NULL;
    bool is_ok = stream_run(&stream_options, tail->sink, err);
    filter_request_done(&request);
    return is_ok || slot_explain_error(err);
}

static bool prepare_slot(struct tail *tail, struct error *err)
{
    struct tail_options *options = tail->options;
    struct kept_slot slot = {.url = options->url,
                             .name = tail->slot_name,
                             .creates = options->creates_slot,
                             .accepts = options->accepts_slot,
                             .start_lsn = options->output.start_lsn,
                             .reached = sink_stdout_reached(tail->sink)};

    if (options->slot_name != NULL && !kept_slot_prepare(&slot, tail->sink, err))
        return false;
    options->creates_slot = false;
    return true;
}

static bool may_go_on(const struct tail *tail, const struct error *err)
{
    return err->kind == ERROR_RETRY && !tail->options->gives_up &&
           (tail->options->slot_name != NULL || tail->options->follows);
}

static bool run_streams(struct tail *tail, struct error *err)
{
    for (;;) {
        if (prepare_slot(tail, err) && stream(tail, err))
            return true;
        if (sink_stdout_has_failed(tail->sink) || !may_go_on(tail, err))
            return sink_stdout_is_over(tail->sink) && !sink_stdout_has_failed(tail->sink);
        if (sink_stdout_is_over(tail->sink))
            return true;
        snprintf(tail->loss, sizeof(tail->loss), "%s", err->message);
        log_warning("connecting again", log_text("reason", err->message));
        if (wait_for(-1, 0, RECONNECT_MS) == WAIT_STOP)
            return true;
    }
}

/* What is in the log already is printed even if the log cannot be waited for; but then it is not
 * known to be all, and the command fails for now. */
static bool run_history(struct tail *tail, struct error *err)
{
    bool is_complete = history_wait(tail->history, LOG_WAIT_MS, err);

    if (!is_complete && (err->kind != ERROR_RETRY || wait_is_stopping()))
        return wait_is_stopping();
    sink_stdout_replay(tail->sink, true);
    struct error print_err = {0};
    if (!history_print(tail->history, 0, tail->sink, &print_err)) {
        *err = print_err;
        return false;
    }
    tail->sink->close(tail->sink);
    return is_complete;
}

static bool read_origin(struct pg *pg, const char *name, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "select from pg_replication_origin where roname = $1", PG_PARAMS(name), err);

    if (result == NULL)
        return false;
    return PQntuples(result) > 0 || strcmp(name, "none") == 0 ||
           error_set(err, ERROR_USAGE, "there is no replication origin \"%s\"", name);
}

static bool check_origins(struct pg *pg, const struct filter_list *list, struct error *err)
{
    for (size_t i = 0; i < list->count; i++)
        if (!read_origin(pg, list->items[i], err))
            return false;
    return true;
}

/* What can be known before anything is begun. */
static bool check(struct tail *tail, struct error *err)
{
    struct pg *pg = pg_open(tail->options->url, "pgforce tail", err);

    if (pg == NULL)
        return false;
    snprintf(tail->database_name, sizeof(tail->database_name), "%s", PQdb(pg_conn(pg)));
    bool is_ok = slot_refuse_synchronous(pg, tail->slot_name, err) &&
                 check_origins(pg, &tail->options->filter.origins, err) &&
                 check_origins(pg, &tail->options->filter.excluded_origins, err);
    pg_close(pg);
    return is_ok;
}

static bool run(struct tail *tail, struct error *err)
{
    struct tail_options *options = tail->options;
    struct history_options range = {.url = options->url,
                                    .schema_name = options->schema_name,
                                    .since = options->since,
                                    .until = options->until};

    if (options->since == NULL && options->until == NULL)
        return run_streams(tail, err);
    tail->history = history_open(&range, &options->filter, err);
    if (tail->history == NULL)
        return false;
    return options->follows ? run_streams(tail, err) : run_history(tail, err);
}

static void warn_of_unmet_names(const struct redaction *redaction)
{
    const char *name;
    size_t at = 0;

    while (redaction != NULL && (name = redaction_unmet(redaction, &at)) != NULL)
        log_warning("--redact has met no column of this name", log_text("column", name));
}

bool tail_run(struct tail_options *options, struct error *err)
{
    struct tail tail = {.options = options};

    if (!wait_init(err))
        return false;
    stop_init();
    if (options->drops_slot)
        return kept_slot_drop(options->url, options->slot_name, err);
    if (options->slot_name != NULL)
        snprintf(tail.slot_name, sizeof(tail.slot_name), "%s", options->slot_name);
    else
        snprintf(tail.slot_name, sizeof(tail.slot_name), "pgforce_tail_%ld", (long)getpid());
    if (!check(&tail, err))
        return false;
    options->output.print.database_name = tail.database_name;
    options->output.filter = &options->filter;
    options->output.begin = begin;
    options->output.context = &tail;
    tail.sink = sink_stdout_new(&options->output);
    bool is_ok = run(&tail, err);
    warn_of_unmet_names(options->output.redaction);
    history_close(tail.history);
    sink_stdout_free(tail.sink);
    return is_ok;
}
