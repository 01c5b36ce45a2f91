/*
 * The invariants of the archive:
 *
 *  1. A position is durable, and confirmed, only when it stands in pgforce.progress by a COMMIT
 *     that has waited for the disk, or that such a one followed. Most do not wait: a crash of the
 *     server may take back the last of them, entries and progress together, and the stream gives
 *     those changes again. What anybody does about an entry is to be committed with a wait, so it
 *     is not ahead of the entry.
 *  2. Entries and the progress that covers them are committed together, or not at all.
 *  3. The progress row is locked and compared before anything is written: two archives cannot both
 *     believe that they continue it.
 *  4. A transaction whose commit ends at or before the progress is in the log already.
 *  5. An entry appears after its transaction has become visible, which is a moment later than its
 *     COMMIT is in the stream: whoever reads the entry finds the row. (Else an answer from
 *     Salesforce could come before the row it belongs to, and be written nowhere.)
 */
#include "stream/sink_archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/counter.h"
#include "archive/pending.h"
#include "archive/progress.h"
#include "archive/trigger_log.h"
#include "archive/truncation.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "pg/origin.h"
#include "pg/pg.h"
#include "stream/echo.h"

/* An idle position is stored when it is this much further on: enough to let the server recycle WAL,
 * rare enough not to make WAL itself. */
/* A position is stored when it is so far on, though nothing of the transactions was for the log;
 * but not so often that others' writing makes us flush the WAL all the time. */
enum { IDLE_STORE_BYTES = 1024 * 1024, IDLE_STORE_GAP_MS = 1000, IDLE_STORE_MS = 60 * 1000 };
enum { VISIBLE_POLL_MS = 10 };

/* A flush of the WAL is what the application's own commits wait for: not more than one in this
 * time. */
enum { FLUSH_GAP_MS = 100 };

/* What pgforce_capture_off() of the mapped schema writes; the content is the schema. */
#define CAPTURE_OFF_PREFIX "pgforce.capture_off"

struct sink_archive {
    struct sink sink;
    const char *url;
    const char *schema_name;
    bool allows_capture_off;
    struct pg *pg;
    struct pending *pending;
    struct trigger_log *log;
    struct echo *echo;
    lsn_t stored; /* the progress row, as this process committed it */
    int64_t stored_at_ms;
    lsn_t durable; /* as it stands on disk, for certain: no further is confirmed */
    int64_t durable_at_ms;
    bool has_open_batch;    /* our transaction and its COPY are open */
    bool is_in_transaction; /* of the source */
    bool is_skipping;       /* the source transaction is in the log already */
    bool is_off;            /* the rest of the source transaction is not to be logged */
    int64_t off_count;      /* the changes that were left out for that */
    bool must_reload;       /* the mappings changed in this source transaction */
    bool is_awaited;        /* somebody waits at a barrier for the progress to pass it */
    int64_t entry_count;    /* of the open batch */
    int64_t whole_count;    /* of these, from transactions that have been written to their end */
    lsn_t written;          /* the end of the last of them */
    uint32_t *xids;         /* the transactions that these entries are of */
    size_t xid_count;
    size_t xid_room;
    int64_t *commit_times_us; /* theirs */
    struct counter_archive counts;
};

static struct sink_archive *self(struct sink *sink)
{
    return (struct sink_archive *)sink;
}

/* From here on COMMIT does not wait for the disk, unless a transaction says so. What was committed
 * last by whoever was before us may not be there yet: it is, before anything is confirmed. And what
 * is prepared is planned once: for a few rows the server would plan anew each time. */
static bool begin_lazily(struct sink_archive *archive, struct error *err)
{
    return progress_flush(archive->pg, archive->schema_name, err) &&
           pg_script(archive->pg,
                     "set synchronous_commit = off;"
                     "set plan_cache_mode = force_generic_plan",
                     err);
}

/* While the log is locked, or a COMMIT waits for a standby, the server of the stream hears from us.
 */
static void tell_alive(void *context)
{
    struct sink *sink = context;

    if (sink->tell_alive != NULL)
        sink->tell_alive(sink->stream);
}

static bool open_archive(struct sink *sink, lsn_t *resume, struct error *err)
{
    struct sink_archive *archive = self(sink);
    struct pg_patience patience = {tell_alive, sink};
    struct progress progress;

    archive->pg = pg_open(archive->url, "pgforce archive", err);
    /* In this order: who had the turn before may have moved the progress until the end. */
    if (archive->pg == NULL || !origin_take(archive->pg, "archive", archive->schema_name, err) ||
        !progress_load(archive->pg, archive->schema_name, &progress, err))
        return false;
    archive->pending = pending_new(archive->pg, archive->schema_name);
    archive->log = trigger_log_new(archive->pg, archive->schema_name, archive->pending, err);
    if (archive->log == NULL || !begin_lazily(archive, err))
        return false;
    pg_set_patience(archive->pg, &patience);
    archive->stored = progress.commit_end_lsn;
    archive->stored_at_ms = clock_monotonic_ms();
    archive->durable = archive->stored;
    archive->durable_at_ms = archive->stored_at_ms;
    *resume = progress.commit_end_lsn;
    sink->settle_by_ms = pending_due_ms(archive->pending);
    return true;
}

static bool begin_transaction(struct sink_archive *archive, struct error *err)
{
    lsn_t found;

    if (!origin_begin(archive->pg, err) ||
        !progress_lock(archive->pg, archive->schema_name, &found, err))
        return false;
    if (found == archive->stored)
        return true;
    return error_set(err, ERROR_RETRY,
                     "the progress is %s where this process stored %s: another archive has written",
                     lsn_format(found).text, lsn_format(archive->stored).text);
}

static bool begin_batch(struct sink_archive *archive, struct error *err)
{
    if (archive->has_open_batch)
        return true;
    if (!begin_transaction(archive, err) || !trigger_log_begin(archive->log, err))
        return false;
    archive->has_open_batch = true;
    archive->entry_count = 0;
    archive->whole_count = 0;
    archive->xid_count = 0;
    return true;
}

static bool is_mapping_table(const struct relation *relation)
{
    return strcmp(relation->schema, "pgforce") == 0 && strcmp(relation->table, "mapping") == 0;
}

/* The application's wish, in a message of its transaction. One of another schema is not for us. */
static void take_capture_off(struct sink_archive *archive, const struct message *message)
{
    if (!message->is_transactional || archive->is_skipping ||
        message->content_bytes != strlen(archive->schema_name) ||
        memcmp(message->content, archive->schema_name, message->content_bytes) != 0)
        return;
    archive->is_off = archive->allows_capture_off;
    if (!archive->is_off)
        log_warning("logs a transaction that asked not to be logged: set"
                    " PGFORCE_ALLOW_CAPTURE_OFF to on where that is wanted");
}

static void take_message(struct sink_archive *archive, const struct event *event)
{
    const struct message *message = &event->message;

    if (strcmp(message->prefix, ECHO_PREFIX) == 0 && message->is_transactional &&
        echo_is_from(archive->echo, event->transaction))
        echo_note(archive->echo, message);
    if (strcmp(message->prefix, PROGRESS_BARRIER_PREFIX) == 0)
        archive->is_awaited = true;
    else if (strcmp(message->prefix, CAPTURE_OFF_PREFIX) == 0)
        take_capture_off(archive, message);
}

static void end_capture_off(struct sink_archive *archive, const struct transaction *transaction)
{
    if (archive->off_count > 0)
        log_info("left out changes, as their transaction asked",
                 log_number("rows", archive->off_count), log_number("xid", transaction->xid));
    archive->is_off = false;
    archive->off_count = 0;
}

static enum counter_operation operation_of(enum row_op op)
{
    switch (op) {
    case ROW_INSERT: return COUNTER_INSERT;
    case ROW_UPDATE: return COUNTER_UPDATE;
    case ROW_DELETE: return COUNTER_DELETE;
    }
    return COUNTER_UPDATE;
}

static bool write_row(struct sink_archive *archive, const struct event *event, struct error *err)
{
    struct event change;

    archive->must_reload = archive->must_reload || is_mapping_table(event->row.relation);
    if (!trigger_log_wants(archive->log, event))
        return true;
    if (archive->is_off) {
        archive->off_count++;
        return true;
    }
    if (echo_is_from(archive->echo, event->transaction)) {
        enum echo_verdict verdict = echo_judge(archive->echo, event, &change);

        if (verdict == ECHO_ECHO)
            return true;
        event = verdict == ECHO_CHANGED ? &change : event;
    }
    if (!begin_batch(archive, err))
        return false;
    archive->entry_count++;
    archive->counts.changes[operation_of(event->row.op)]++;
    return trigger_log_append(archive->log, event, err);
}

/* As long as COMMITs wait for a standby, the log waits with them. */
static bool wait_until_visible(struct sink_archive *archive, const uint32_t *xids, size_t count,
                               struct error *err)
{
    for (bool is_first = true;; is_first = false) {
        bool is_visible;

        if (!trigger_log_sees(archive->log, xids, count, &is_visible, err))
            return false;
        if (is_visible)
            return true;
        if (is_first)
            log_debug("waits for the end of COMMITs");
        tell_alive(&archive->sink);
        if (wait_for(-1, 0, VISIBLE_POLL_MS) == WAIT_STOP)
            return error_set(err, ERROR_RETRY, "told to stop");
    }
}

static bool store_truncation(struct sink_archive *archive, const struct event *event,
                             const struct relation *relation, struct error *err)
{
    const struct transaction *transaction = event->transaction;
    char xid[32];

    snprintf(xid, sizeof(xid), "%" PRIu64, trigger_log_xid(archive->log, transaction->xid));
    const struct truncation truncation = {.schema_name = archive->schema_name,
                                          .table_name = relation->table,
                                          .xid = xid,
                                          .commit_lsn = transaction->commit_lsn,
                                          .seq = event->seq,
                                          .commit_time_us = transaction->commit_time_us};
    archive->entry_count++;
    archive->counts.changes[COUNTER_TRUNCATE]++;
    return truncation_store(archive->pg, &truncation, err);
}

/* In its place among the entries, and after the transaction can be seen: it noted what it emptied.
 */
static bool write_truncate(struct sink_archive *archive, const struct event *event,
                           struct error *err)
{
    const struct truncate *truncate = &event->truncate;

    for (size_t i = 0; i < truncate->relation_count; i++) {
        if (!trigger_log_is_mapped(archive->log, truncate->relations[i]))
            continue;
        if (archive->is_off) {
            archive->off_count++;
            continue;
        }
        if (!begin_batch(archive, err) || !trigger_log_end(archive->log, err) ||
            !wait_until_visible(archive, &event->transaction->xid, 1, err) ||
            !store_truncation(archive, event, truncate->relations[i], err) ||
            !trigger_log_begin(archive->log, err))
            return false;
    }
    return true;
}

static void note_transaction(struct sink_archive *archive, const struct transaction *transaction)
{
    if (archive->xid_count == archive->xid_room) {
        archive->xid_room = archive->xid_room > 0 ? archive->xid_room * 2 : 64;
        archive->xids = memory_realloc(archive->xids, archive->xid_room * sizeof(*archive->xids));
        archive->commit_times_us = memory_realloc(
            archive->commit_times_us, archive->xid_room * sizeof(*archive->commit_times_us));
    }
    archive->commit_times_us[archive->xid_count] = transaction->commit_time_us;
    archive->xids[archive->xid_count++] = transaction->xid;
    archive->counts.transactions++;
}

/*
 * The mappings are read from the table, not from the event: this is only the sign that they
 * changed. At commit, and not before others see it, so that what the transaction itself wrote is
 * read.
 */
static bool end_source_transaction(struct sink_archive *archive,
                                   const struct transaction *transaction, struct error *err)
{
    if (archive->has_open_batch && archive->whole_count < archive->entry_count)
        note_transaction(archive, transaction);
    archive->whole_count = archive->entry_count;
    archive->written = transaction->end_lsn;
    archive->is_in_transaction = false;
    archive->is_skipping = false;
    end_capture_off(archive, transaction);
    echo_end(archive->echo);
    if (!archive->must_reload)
        return true;
    archive->must_reload = false;
    if (archive->has_open_batch && !trigger_log_end(archive->log, err))
        return false;
    if (!wait_until_visible(archive, &transaction->xid, 1, err) ||
        !trigger_log_reload(archive->log, err))
        return false;
    return !archive->has_open_batch || trigger_log_begin(archive->log, err);
}

static int64_t flush_due_ms(const struct sink_archive *archive)
{
    return archive->durable_at_ms + FLUSH_GAP_MS;
}

/* COMMITs stand in the WAL in their order, so one that waits for the disk, and for a standby that
 * others wait for, makes all before it durable. */
static bool commit(struct sink_archive *archive, bool is_flush, struct error *err)
{
    return (!is_flush || pg_script(archive->pg, "set local synchronous_commit = on", err)) &&
           pg_script(archive->pg, "commit", err);
}

static bool store_progress(struct sink_archive *archive, lsn_t reached, bool is_awaited,
                           struct error *err)
{
    bool is_flush =
        is_awaited || wait_is_stopping() || clock_monotonic_ms() >= flush_due_ms(archive);
    bool is_counted;

    if (!progress_store(archive->pg, archive->schema_name, reached, err) ||
        !counter_store_archive(archive->pg, archive->schema_name, &archive->counts, &is_counted,
                               err) ||
        !pending_mark(archive->pending, err) || !commit(archive, is_flush, err))
        return false;
    if (is_counted)
        archive->counts = (struct counter_archive){.stored_at_ms = clock_monotonic_ms()};
    archive->stored = reached;
    archive->stored_at_ms = clock_monotonic_ms();
    if (is_flush) {
        archive->durable = reached;
        archive->durable_at_ms = archive->stored_at_ms;
    }
    archive->is_awaited = false;
    return true;
}

static void count_latencies(struct sink_archive *archive)
{
    int64_t now_us = clock_wall_us();

    for (size_t i = 0; i < archive->xid_count; i++)
        counter_latency(&archive->counts, (double)(now_us - archive->commit_times_us[i]) / 1e6);
}

static bool commit_batch(struct sink_archive *archive, lsn_t reached, bool is_awaited,
                         struct error *err)
{
    archive->has_open_batch = false;
    if (!trigger_log_end(archive->log, err) ||
        !wait_until_visible(archive, archive->xids, archive->xid_count, err))
        return false;
    count_latencies(archive);
    if (!store_progress(archive, reached, is_awaited, err))
        return false;
    log_debug("archived", log_number("entries", archive->entry_count),
              log_text("up_to", lsn_format(reached).text));
    return true;
}

/*
 * The rights that count are those at the time of the change, so a grant does not bring back what
 * was withheld before. What came before is logged, unless it shares a transaction with it.
 */
static bool refuse_withheld(struct sink_archive *archive, const struct relation *relation,
                            struct error *err)
{
    if (!relation->is_withheld || !trigger_log_is_mapped(archive->log, relation))
        return true;
    if (archive->has_open_batch && archive->entry_count == archive->whole_count &&
        !commit_batch(archive, archive->written, true, err))
        return false;
    error_set(err, ERROR_CONFIG,
              "changes of %s.%s are withheld: the archive's role might not read it when they were"
              " made (SELECT, or row security). Nothing has been skipped yet. Grant it, and run"
              " `pgforce setup --accept-gap` to go on from here with a new slot, then compare the"
              " mapped tables with the organisation",
              relation->schema, relation->table);
    return error_because(err, ERROR_CAUSE_GAP);
}

static bool write_event(struct sink *sink, const struct event *event, struct error *err)
{
    struct sink_archive *archive = self(sink);

    switch (event->kind) {
    case EVENT_BEGIN:
        archive->is_in_transaction = true;
        archive->is_skipping = event->transaction->end_lsn <= archive->stored;
        return true;
    case EVENT_RELATION: return refuse_withheld(archive, event->relation, err);
    case EVENT_ROW: return archive->is_skipping || write_row(archive, event, err);
    case EVENT_TRUNCATE: return archive->is_skipping || write_truncate(archive, event, err);
    case EVENT_COMMIT: return end_source_transaction(archive, event->transaction, err);
    case EVENT_GAP:
        error_set(err, ERROR_CONFIG, "the stream has a gap: %s", event->gap.reason);
        return error_because(err, ERROR_CAUSE_GAP);
    case EVENT_MESSAGE: take_message(archive, event); return true;
    case EVENT_STREAM_START:
    case EVENT_STREAM_STOP:
    case EVENT_STREAM_ABORT: return true;
    }
    return true;
}

static bool is_far(const struct sink_archive *archive, lsn_t reached)
{
    return reached > archive->stored && reached - archive->stored >= IDLE_STORE_BYTES;
}

static bool is_worth_storing(const struct sink_archive *archive, lsn_t reached, bool is_awaited)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t stored_ago_ms = now_ms - archive->stored_at_ms;

    if (archive->durable < archive->stored && (is_awaited || now_ms >= flush_due_ms(archive)))
        return true;
    return reached > archive->stored &&
           (is_awaited || archive->is_awaited || stored_ago_ms >= IDLE_STORE_MS ||
            (is_far(archive, reached) && stored_ago_ms >= IDLE_STORE_GAP_MS));
}

static int64_t sooner(int64_t due_ms, bool is_wanted, int64_t other_ms)
{
    return is_wanted && (due_ms < 0 || other_ms < due_ms) ? other_ms : due_ms;
}

/* When to be asked again though nothing may come: to mark rows, to flush what was committed without
 * a wait, or to store where the stream is. */
static int64_t next_settle_ms(const struct sink_archive *archive, lsn_t reached)
{
    int64_t due_ms = pending_due_ms(archive->pending);

    due_ms = sooner(due_ms, archive->durable < archive->stored, flush_due_ms(archive));
    return sooner(due_ms, is_far(archive, reached), archive->stored_at_ms + IDLE_STORE_GAP_MS);
}

/* Rows that could not be marked with their entries. */
static bool mark_rows(struct sink_archive *archive, struct error *err)
{
    int64_t due_ms = pending_due_ms(archive->pending);

    return due_ms < 0 || clock_monotonic_ms() < due_ms ||
           (origin_begin(archive->pg, err) && pending_mark(archive->pending, err) &&
            pg_script(archive->pg, "commit", err));
}

static bool settle_archive(struct sink *sink, lsn_t reached, bool is_awaited, lsn_t *durable,
                           struct error *err)
{
    struct sink_archive *archive = self(sink);
    bool is_ok = true;

    if (archive->is_in_transaction)
        is_ok = true;
    else if (archive->has_open_batch)
        is_ok = commit_batch(archive, reached, is_awaited, err);
    else if (is_worth_storing(archive, reached, is_awaited))
        is_ok =
            begin_transaction(archive, err) && store_progress(archive, reached, is_awaited, err);
    else
        is_ok = mark_rows(archive, err);
    sink->settle_by_ms = next_settle_ms(archive, reached);
    *durable = archive->durable;
    return is_ok;
}

static void close_archive(struct sink *sink)
{
    struct sink_archive *archive = self(sink);

    trigger_log_free(archive->log);
    pending_free(archive->pending);
    pg_close(archive->pg);
    archive->log = NULL;
    archive->pending = NULL;
    archive->pg = NULL;
}

struct sink *sink_archive_new(const struct sink_archive_options *options)
{
    struct sink_archive *archive = memory_alloc(sizeof(*archive));

    archive->sink = (struct sink){.name = "archive",
                                  .open = open_archive,
                                  .write = write_event,
                                  .settle = settle_archive,
                                  .close = close_archive};
    archive->url = options->url;
    archive->schema_name = options->schema_name;
    archive->allows_capture_off = options->allows_capture_off;
    archive->echo = echo_new(options->schema_name);
    return &archive->sink;
}

void sink_archive_free(struct sink *sink)
{
    if (sink == NULL)
        return;
    echo_free(self(sink)->echo);
    free(self(sink)->xids);
    free(self(sink)->commit_times_us);
    free(sink);
}
