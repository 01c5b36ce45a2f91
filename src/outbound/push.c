/*
 * The invariants of writing to Salesforce:
 *
 *  1. Before the first byte of a request leaves, its intent stands in pgforce.delivery, committed.
 *  2. What was sent and has no stored outcome is in doubt, also after a crash; a doubt is read
 * back, never resent blindly, and holds its own record only.
 *  3. An entry that is settled is settled once, together with its row's sfid and _hc_lastop, under
 *     the push origin, so that none of it is captured.
 *  4. A record's changes go out in log order.
 */
#include "outbound/push.h"
#include "outbound/check.h"

#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "archive/conflicts.h"
#include "archive/queue.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "mapping/connection.h"
#include "mapping/mapping.h"
#include "mapping/usage.h"
#include "outbound/agree.h"
#include "outbound/allowance.h"
#include "outbound/bulk.h"
#include "outbound/doubt.h"
#include "outbound/flow.h"
#include "outbound/plan.h"
#include "outbound/settle.h"
#include "outbound/trace.h"
#include "outbound/units.h"
#include "outbound/unsent.h"
#include "pg/origin.h"
#include "pg/pg.h"
#include "pg/server_clock.h"
#include "sync/order.h"
#include "sync/transport.h"

enum {
    TAKE_MIN = 4000,
    TAKE_MAX = 32000,
    LOOK_RETRY_MS = 2000,
    TIDY_MS = 60 * 1000,
    IDLE_WAIT_MS = 30 * 1000, /* in case a NOTIFY is lost with its connection */
};

#define LOG_CHANNEL     "hc_trigger_log"
#define MAPPING_CHANNEL "pgforce_mapping"

struct push {
    const struct push_options *options;
    struct pg *pg;
    struct allowance allowance;
    struct settle *settle;
    struct arena *arena;         /* reset for each round */
    struct arena *mapping_arena; /* reset when mappings change */
    struct mapping_list mappings;
    uint32_t *ranks;
    bool are_mappings_old;
    bool has_old_version; /* of the API: the next start takes the new one */
    bool *are_refused;    /* by mapping: Bulk does not take it */
    bool has_no_bulk;     /* the connection's flag disable_bulk_writes */
    bool is_merged;       /* the connection's algorithm (sync/fold.h) */
    int take_limit;
    int64_t tidy_at_ms; /* trace.h */
    struct server_clock clock;
    struct queue queue;
};

struct round {
    const struct plan *plan;
    int64_t *calls; /* API requests, by mapping */
    size_t sent;
    size_t failed;
    size_t resolved; /* without a write: read back, or nothing was left to send */
    size_t put_off;  /* to be looked at again: check.h, recheck.h */
    size_t finished; /* rows of Bulk jobs */
};

static bool listen_to(struct push *push, const char *what, struct error *err)
{
    struct buf channel BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};

    buf_init(&channel, 1024);
    buf_init(&sql, 1024);
    buf_printf(&channel, "%s.%s", push->options->schema_name, what);
    buf_text(&sql, "listen ");
    pg_append_identifier(&sql, channel.data);
    return pg_script(push->pg, sql.data, err);
}

static bool open_push(struct push *push, struct error *err)
{
    int64_t doubts;

    push->pg = pg_open(push->options->url, "pgforce push", err);
    if (push->pg == NULL || !origin_take(push->pg, "push", push->options->schema_name, err) ||
        !listen_to(push, LOG_CHANNEL, err) || !listen_to(push, MAPPING_CHANNEL, err) ||
        !queue_doubt_unfinished(push->pg, push->options->schema_name, &doubts, err))
        return false;
    if (doubts > 0)
        log_warning("found writes without an answer", log_number("entries", doubts));
    push->allowance = (struct allowance){.pg = push->pg,
                                         .session = push->options->session,
                                         .schema_name = push->options->schema_name};
    push->settle = settle_new(push->options->state_directory);
    push->arena = arena_new();
    push->mapping_arena = arena_new();
    push->are_mappings_old = true;
    push->take_limit = TAKE_MIN;
    return true;
}

/*
 * A full window may hold little that can go now: one record with a long history. A wider one
 * reaches the others, and there are fewer rounds.
 */
static void adapt_window(struct push *push)
{
    if (push->queue.count < (size_t)push->take_limit)
        push->take_limit = TAKE_MIN;
    else if (push->take_limit < TAKE_MAX)
        push->take_limit *= 2;
}

static struct bulk_world bulk_world(const struct push *push)
{
    return (struct bulk_world){push->pg,         push->options->session, push->options->schema_name,
                               push->arena,      push->settle,           &push->mappings,
                               push->are_refused};
}

/* How many batches from here are one run: the same action on the same mapping, up to a job's rows.
 */
static size_t run_size(const struct order_plan *plan, size_t from, size_t *rows)
{
    const struct order_batch *first = &plan->batches[from];
    size_t to = from;

    *rows = 0;
    while (to < plan->batch_count && plan->batches[to].action == first->action &&
           plan->batches[to].mapping == first->mapping &&
           *rows + plan->batches[to].count <= TRANSPORT_JOB_ROWS)
        *rows += plan->batches[to++].count;
    return to - from;
}

static bool is_bulk(const struct push *push, const struct order_batch *first, size_t rows)
{
    const struct mapping *mapping = &push->mappings.items[first->mapping];
    const struct transport_run run = {
        .action = first->action,
        .count = rows,
        .threshold = push->options->bulk_threshold,
        /* An upsert is for one by one: what a repetition of it overwrites must be looked at. */
        .has_unique_identifier = mapping->upsert != NULL && !mapping->adopts_existing,
        .does_postgres_win = strcmp(mapping->conflict_policy, "postgres") == 0,
        .is_merged = push->is_merged,
        .is_disabled = push->has_no_bulk,
    };

    return !push->are_refused[first->mapping] && transport_is_bulk(&run);
}

/* One, and one more for each record that goes by itself. */
static int64_t count_requests(const struct plan *plan, const struct order_batch *batch)
{
    int64_t count = 1;

    for (size_t i = 0; i < batch->count; i++)
        count += plan->entries[batch->entries[i]].unmodified_since_s != 0;
    return count;
}

static bool send_requests(struct push *push, struct round *round, size_t from, size_t to,
                          struct error *err)
{
    const struct flow flow = {
        .world = {push->pg, push->options->session, push->options->schema_name, push->arena},
        .ranks = push->ranks,
        .settle = push->settle,
        .parallel = push->options->parallel,
        .batches = &round->plan->round.batches[from],
        .batch_count = to - from};
    struct flow_report report = {0};
    bool is_ok = flow_send(&flow, round->plan, &report, err);

    round->sent += report.sent;
    round->resolved += report.unsent;
    round->failed += report.failed;
    round->put_off += report.put_off;
    for (size_t i = from; i < to && is_ok; i++)
        round->calls[round->plan->round.batches[i].mapping] +=
            count_requests(round->plan, &round->plan->round.batches[i]);
    return is_ok;
}

static bool send_job(struct push *push, struct bulk_run *run, struct round *round,
                     struct error *err)
{
    const struct bulk_world world = bulk_world(push);
    struct bulk_report report = {0};
    int64_t before = sf_session_requests(push->options->session);
    bool is_ok = bulk_begin(&world, run, &report, err);

    round->calls[run->batches->mapping] += sf_session_requests(push->options->session) - before;
    round->sent += report.sent;
    return is_ok;
}

/* Runs that go by a job go by one; all between them by requests. */
static bool send_batches(struct push *push, struct round *round, struct error *err)
{
    const struct order_plan *plan = &round->plan->round;
    size_t from = 0; /* of the batches that go by requests */

    for (size_t at = 0; at < plan->batch_count && !wait_is_stopping();) {
        size_t rows;
        struct bulk_run run = {
            .plan = round->plan, .batches = &plan->batches[at], .count = run_size(plan, at, &rows)};

        if (is_bulk(push, run.batches, rows)) {
            if (!send_requests(push, round, from, at, err) || !send_job(push, &run, round, err))
                return false;
            from = run.is_taken ? at + run.count : at;
        }
        at += run.count;
    }
    return send_requests(push, round, from, plan->batch_count, err);
}

/* What an UPDATE would overwrite: see check.h. */
static bool look(struct push *push, struct plan *plan, struct round *round, struct error *err)
{
    const struct deliver_world world = {push->pg, push->options->session,
                                        push->options->schema_name, push->arena};
    struct check_report looked = {0};
    bool is_ok = check_updates(&world, &push->mappings, plan, &looked, err);

    round->put_off += looked.put_off;
    round->resolved += looked.over;
    return is_ok;
}

static bool count_calls(struct push *push, const struct round *round, struct error *err)
{
    for (size_t i = 0; i < push->mappings.count; i++)
        if (!usage_count(push->pg, push->mappings.items[i].id, round->calls[i], err))
            return false;
    return true;
}

static struct units choose_units(struct push *push, struct plan *plan)
{
    struct units units = {
        .world = {push->pg, push->options->session, push->options->schema_name, push->arena},
        .plan = plan,
        .settle = push->settle,
        .parallel = push->options->parallel};

    if (push->options->is_atomic)
        units_choose(&units, push->queue.count >= (size_t)push->take_limit);
    return units;
}

/* What entries are sent without is stored first: the later ones' `old` does not tell of it. */
static bool note_left(struct push *push, const struct plan *plan, struct error *err)
{
    if (plan->left_count == 0)
        return true;
    json_t *columns = json_array();
    for (size_t i = 0; i < push->queue.count; i++)
        for (size_t j = 0; j < plan->entries[i].left_count; j++)
            json_array_append_new(columns,
                                  json_pack("{s:I, s:s}", "log_id",
                                            (json_int_t)push->queue.entries[i].log_id,
                                            "column_name", plan->entries[i].left_columns[j]));
    char *text = json_dumps(columns, JSON_COMPACT);
    json_decref(columns);
    bool is_ok = conflicts_leave(push->pg, push->options->schema_name, text, err);
    free(text);
    return is_ok;
}

/* Looks at what both the round and the units would overwrite, and leaves the round as it was. */
static bool look_at_all(struct push *push, const struct units *units, struct round *round,
                        struct error *err)
{
    const struct order_plan ordinary = units->plan->round;

    units_show_updates(units);
    bool is_ok = look(push, units->plan, round, err);
    units->plan->round = ordinary;
    return is_ok;
}

static bool send_units(const struct units *units, struct round *round, struct error *err)
{
    struct units_report report = {0};
    bool is_ok = units_send(units, &report, err);

    round->sent += report.sent;
    round->failed += report.failed;
    round->resolved += report.resolved;
    for (size_t i = 0; i < units->choice.count && report.calls > 0; i++, report.calls--)
        round->calls[units->plan->orders[units->choice.units[i].entries[0]].mapping]++;
    return is_ok;
}

/* As Heroku Connect's flags say; silence is ordered, and Bulk allowed. */
static bool load_flags(struct push *push, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(push->pg,
                                               "select features ->> 'poll_db_no_merge' = 'false',"
                                               " features ->> 'disable_bulk_writes' = 'true',"
                                               " features ->> 'use_assignment_rules' = 'true'"
                                               " from pgforce.connection"
                                               " where schema_name = $1",
                                               PG_PARAMS(push->options->schema_name), err);

    if (result == NULL)
        return false;
    push->is_merged = PQntuples(result) > 0 && pg_field_bool(result, 0, 0);
    push->has_no_bulk = PQntuples(result) > 0 && pg_field_bool(result, 0, 1);
    sf_session_use_assignment_rules(push->options->session,
                                    PQntuples(result) > 0 && pg_field_bool(result, 0, 2));
    if (push->is_merged && push->options->is_atomic)
        return error_set(
            err, ERROR_CONFIG,
            "PGFORCE_PUSH_ATOMIC=on needs the ordered algorithm, for merged entries are"
            " of several transactions: import the flag poll_db_no_merge as true");
    return true;
}

static bool load_mappings(struct push *push, struct error *err)
{
    if (!push->are_mappings_old)
        return true;
    arena_reset(push->mapping_arena);
    if (!mapping_load_all(push->pg, push->options->schema_name, push->mapping_arena,
                          &push->mappings, err) ||
        !load_flags(push, err))
        return false;
    push->are_refused = arena_array(push->mapping_arena, bool, push->mappings.count);
    push->ranks = plan_ranks(&push->mappings, push->mapping_arena);
    push->are_mappings_old = false;
    return true;
}

/* An entry may be of a mapping that was made after the mappings were read. NULL: failed. */
static struct plan *make_plan(struct push *push, struct error *err)
{
    struct plan *plan =
        plan_make(&push->mappings, push->ranks, &push->queue, push->is_merged, push->arena);

    if (!plan->has_unmapped)
        return plan;
    push->are_mappings_old = true;
    if (!load_mappings(push, err))
        return NULL;
    return plan_make(&push->mappings, push->ranks, &push->queue, push->is_merged, push->arena);
}

static bool send_plan(struct push *push, struct round *round, struct error *err)
{
    struct plan *plan = make_plan(push, err);

    if (plan == NULL || !note_left(push, plan, err) ||
        !allowance_hold(&push->allowance, &push->mappings, plan, push->arena, err))
        return false;
    struct units units = choose_units(push, plan);
    plan->round = order_next_round(plan->orders, push->queue.count, ORDER_BATCH_MAX, push->arena);
    adapt_window(push);
    const struct unsent_report ended = unsent_settle(plan, push->settle, push->arena);
    round->failed += ended.failed;
    round->resolved += ended.over;
    round->plan = plan;
    round->calls = arena_array(push->arena, int64_t, push->mappings.count);
    return look_at_all(push, &units, round, err) && send_batches(push, round, err) &&
           send_units(&units, round, err) && count_calls(push, round, err);
}

/* What was read back, in step with the queue. */
struct read_back {
    struct settle_outcome *outcomes;
    bool *are_judged;
};

/* The due doubts of one mapping, judged by reading back. */
static bool resolve_mapping(struct push *push, const struct mapping *mapping,
                            struct read_back *read, struct error *err)
{
    struct doubt_world world = {.pg = push->pg,
                                .session = push->options->session,
                                .arena = push->arena,
                                .quarantine_ms = push->options->quarantine_ms};
    struct doubt_entries doubts = {
        .mapping = mapping,
        .items = arena_array(push->arena, struct queue_entry *, push->queue.count)};

    for (size_t i = 0; i < push->queue.count; i++) {
        struct queue_entry *entry = &push->queue.entries[i];

        if (strcmp(entry->phase, "IN_DOUBT") == 0 && !entry->is_held &&
            strcmp(entry->table_name, mapping->table_name) == 0)
            doubts.items[doubts.count++] = entry;
    }
    if (doubts.count == 0)
        return true;
    if (!server_clock_look(push->pg, &push->clock, &world.steady_ms, err) ||
        !doubt_resolve(&world, &doubts, err))
        return false;
    for (size_t i = 0; i < doubts.count; i++) {
        read->outcomes[doubts.items[i] - push->queue.entries] = doubts.outcomes[i];
        read->are_judged[doubts.items[i] - push->queue.entries] = true;
    }
    log_info("read back writes in doubt", log_text("mapping", mapping->object_name),
             log_number("entries", (int64_t)doubts.count));
    return true;
}

static bool resolve_doubts(struct push *push, struct round *round, struct error *err)
{
    size_t count = push->queue.count;
    struct read_back read = {arena_array(push->arena, struct settle_outcome, count),
                             arena_array(push->arena, bool, count)};

    for (size_t i = 0; i < push->mappings.count; i++)
        if (!resolve_mapping(push, &push->mappings.items[i], &read, err))
            return false;
    agree_doubts(&push->queue, read.outcomes, read.are_judged, push->arena);
    for (size_t i = 0; i < count; i++) {
        const struct queue_entry *entry = &push->queue.entries[i];

        if (!read.are_judged[i])
            continue;
        settle_add(push->settle, mapping_find_by_table(&push->mappings, entry->table_name), entry,
                   &read.outcomes[i]);
        round->resolved++;
    }
    return settle_store_patiently(push->settle, push->pg, push->options->schema_name, err);
}

static bool follow_jobs(struct push *push, struct round *round, struct error *err)
{
    const struct bulk_world world = bulk_world(push);
    struct bulk_report report = {0};
    bool is_ok = bulk_follow(&world, &report, err);

    round->finished += report.resolved;
    round->failed += report.failed;
    return is_ok;
}

static bool run_round(struct push *push, struct round *round, struct error *err)
{
    const struct push_options *options = push->options;

    *round = (struct round){0};
    arena_reset(push->arena);
    push->queue = (struct queue){
        .arena = push->arena, .limit = push->take_limit, .is_whole = options->is_atomic};
    if (!load_mappings(push, err) || !follow_jobs(push, round, err) ||
        !queue_take(push->pg, options->schema_name, &push->queue, err))
        return false;
    return resolve_doubts(push, round, err) && (round->resolved > 0 || send_plan(push, round, err));
}

static bool is_about_mappings(const PGnotify *notify)
{
    size_t length = strlen(notify->relname);
    size_t suffix = strlen(MAPPING_CHANNEL);

    return length > suffix && strcmp(notify->relname + length - suffix, MAPPING_CHANNEL) == 0;
}

/* Forgets the notifications that have come: the next round reads all there is. */
static bool drain_notifications(struct push *push)
{
    bool is_notified = false;
    PGnotify *notify;

    PQconsumeInput(pg_conn(push->pg));
    while ((notify = PQnotifies(pg_conn(push->pg))) != NULL) {
        is_notified = true;
        if (is_about_mappings(notify))
            push->are_mappings_old = true;
        if (connection_is_new_version(notify->extra))
            push->has_old_version = true;
        PQfreemem(notify);
    }
    return is_notified;
}

static bool wait_for_work(struct push *push, const struct round *round, struct error *err)
{
    int longest_ms = round->put_off > 0 ? LOOK_RETRY_MS : IDLE_WAIT_MS;
    int64_t marked;
    int64_t due_ms;

    if (!queue_take_marked(push->pg, push->options->schema_name, &marked, err) ||
        !queue_next_due_ms(push->pg, push->options->schema_name, &due_ms, err))
        return false;
    if (marked > 0 || drain_notifications(push))
        return true;
    int wait_ms = due_ms >= 0 && due_ms < longest_ms ? (int)due_ms + 1 : longest_ms;
    if (wait_for(PQsocket(pg_conn(push->pg)), POLLIN, wait_ms) == WAIT_READY)
        drain_notifications(push);
    return true;
}

/* Whoever resumes the connection notifies. */
static bool wait_while_paused(struct push *push, struct error *err)
{
    bool is_paused = true;

    while (!wait_is_stopping()) {
        drain_notifications(push);
        if (!connection_is_paused(push->pg, push->options->schema_name, &is_paused, err))
            return false;
        if (!is_paused)
            return true;
        /* One that came with the answer has left nothing to wait for. */
        if (!drain_notifications(push))
            wait_for(PQsocket(pg_conn(push->pg)), POLLIN, IDLE_WAIT_MS);
    }
    return true;
}

static bool tidy(struct push *push, struct error *err)
{
    const struct trace_world world = {push->pg, push->options->session, push->options->schema_name,
                                      push->arena, push->options->quarantine_ms};

    if (clock_monotonic_ms() < push->tidy_at_ms)
        return true;
    push->tidy_at_ms = clock_monotonic_ms() + TIDY_MS;
    return server_clock_look(push->pg, &push->clock, &(int64_t){0}, err) && trace_tidy(&world, err);
}

static bool run_until_stopped(struct push *push, struct error *err)
{
    if (!allowance_wait(&push->allowance, err))
        return false;
    while (!wait_is_stopping()) {
        struct round round;

        if (!wait_while_paused(push, err) || wait_is_stopping())
            return wait_is_stopping();
        if (push->has_old_version)
            return connection_ask_restart(err);
        if (!run_round(push, &round, err) || !tidy(push, err) ||
            !allowance_note(&push->allowance, err) || !allowance_wait(&push->allowance, err))
            return false;
        if (round.sent + round.resolved + round.failed + round.finished == 0 &&
            !wait_for_work(push, &round, err))
            return false;
    }
    return true;
}

bool push_run(const struct push_options *options, struct error *err)
{
    struct push push = {.options = options};
    bool is_ok = open_push(&push, err) && run_until_stopped(&push, err);

    settle_free(push.settle);
    arena_free(push.arena);
    arena_free(push.mapping_arena);
    pg_close(push.pg);
    return is_ok || wait_is_stopping();
}
