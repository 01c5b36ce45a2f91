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

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "archive/hstore.h"
#include "archive/queue.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "mapping/mapping.h"
#include "outbound/deliver.h"
#include "outbound/doubt.h"
#include "outbound/settle.h"
#include "pg/origin.h"
#include "pg/pg.h"
#include "sync/order.h"

enum {
    TAKE_LIMIT = 4000,
    IDLE_WAIT_MS = 30 * 1000, /* in case a NOTIFY is lost with its connection */
    STORE_RETRY_MS = 500,
};

struct push {
    const struct push_options *options;
    struct pg *pg;
    struct settle *settle;
    struct arena *arena; /* reset for each round */
    struct mapping_list mappings;
    struct queue queue;
};

struct round {
    size_t sent;
    size_t failed;
    size_t resolved;
};

static bool listen_to_log(struct push *push, struct error *err)
{
    struct buf channel BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};

    buf_init(&channel, 1024);
    buf_init(&sql, 1024);
    buf_printf(&channel, "%s.hc_trigger_log", push->options->schema_name);
    buf_text(&sql, "listen ");
    pg_append_identifier(&sql, channel.data);
    return pg_script(push->pg, sql.data, err);
}

static bool open_push(struct push *push, struct error *err)
{
    int64_t doubts;

    push->pg = pg_open(push->options->url, "pgforce push", err);
    if (push->pg == NULL || !origin_take(push->pg, "push", push->options->schema_name, err) ||
        !listen_to_log(push, err) ||
        !queue_doubt_unfinished(push->pg, push->options->schema_name, &doubts, err))
        return false;
    if (doubts > 0)
        log_warning("found writes without an answer", log_number("entries", doubts));
    push->settle = settle_new();
    push->arena = arena_new();
    return true;
}

/* An answer that is not stored is lost: try until it is, or until the process is told to stop. */
static bool store_outcomes(struct push *push, struct error *err)
{
    while (!settle_is_empty(push->settle)) {
        if (settle_store(push->settle, push->pg, push->options->schema_name, err)) {
            settle_clear(push->settle);
            return true;
        }
        bool is_connected = PQstatus(pg_conn(push->pg)) == CONNECTION_OK;
        if (err->kind != ERROR_RETRY || !is_connected)
            return false;
        log_warning("cannot store the answers yet", log_text("reason", err->message));
        if (wait_for(-1, 0, STORE_RETRY_MS) == WAIT_STOP)
            return false;
    }
    return true;
}

/* Mappings that others refer to by external id come first: one more pass for each level. */
static uint32_t *rank_mappings(struct push *push)
{
    const struct mapping_list *list = &push->mappings;
    uint32_t *ranks = arena_array(push->arena, uint32_t, list->count);

    for (size_t pass = 0; pass < list->count; pass++)
        for (size_t i = 0; i < list->count; i++)
            for (size_t j = 0; j < list->items[i].field_count; j++) {
                const struct mapping_field *field = &list->items[i].fields[j];
                const struct mapping *parent =
                    field->reference_object != NULL
                        ? mapping_find_by_object(list, field->reference_object)
                        : NULL;

                if (parent != NULL && parent != &list->items[i] &&
                    ranks[i] <= ranks[parent - list->items] && ranks[i] < list->count)
                    ranks[i] = ranks[parent - list->items] + 1;
            }
    return ranks;
}

static void add_reference(struct push *push, struct order_entry *order,
                          const struct mapping_field *field, const struct hstore_pair *pair)
{
    const struct mapping *parent = mapping_find_by_object(&push->mappings, field->reference_object);
    struct order_reference *references = (struct order_reference *)order->references;

    if (parent == NULL || parent->upsert == NULL ||
        strcmp(parent->upsert->field_name, field->reference_field) != 0)
        return;
    references[order->reference_count++] = (struct order_reference){
        .mapping = (uint32_t)(parent - push->mappings.items),
        .key_hash = order_hash(pair->value, pair->value_bytes),
    };
}

/* The record's own key and its parents', from the entry's values. A text that cannot be read has
 * neither: sending it will fail with the reason. */
static void fill_keys(struct push *push, const struct mapping *mapping,
                      const struct queue_entry *entry, struct order_entry *order)
{
    struct hstore_pair *pairs;
    struct error ignored;
    size_t count;

    if (entry->values == NULL ||
        !hstore_parse(entry->values, push->arena, &pairs, &count, &ignored))
        return;
    order->references = arena_array(push->arena, struct order_reference, count);
    for (size_t i = 0; i < count; i++) {
        const struct mapping_field *field = mapping_field_by_column(mapping, pairs[i].key);

        if (field == NULL || pairs[i].value == NULL)
            continue;
        if (field == mapping->upsert)
            order->key_hash = order_hash(pairs[i].value, pairs[i].value_bytes);
        if (field->reference_object != NULL)
            add_reference(push, order, field, &pairs[i]);
    }
}

/* The queue in the form that src/sync plans with; entries of tables no longer mapped are left out
 * by a state that is neither sent nor waited for. */
static struct order_entry *make_order(struct push *push)
{
    struct order_entry *orders = arena_array(push->arena, struct order_entry, push->queue.count);
    const uint32_t *ranks = rank_mappings(push);

    for (size_t i = 0; i < push->queue.count; i++) {
        const struct queue_entry *entry = &push->queue.entries[i];
        const struct mapping *mapping = mapping_find_by_table(&push->mappings, entry->table_name);
        struct order_entry *order = &orders[i];

        order->log_id = entry->log_id;
        order->record_id = entry->record_id;
        order->state = DELIVERY_IGNORED;
        if (mapping == NULL || !delivery_action_parse(entry->action, &order->action) ||
            !delivery_state_parse(entry->state, &order->state))
            continue;
        order->mapping = (uint32_t)(mapping - push->mappings.items);
        order->rank = ranks[order->mapping];
        order->is_held = entry->is_held;
        order->is_bound = entry->sfid != NULL;
        fill_keys(push, mapping, entry, order);
    }
    return orders;
}

static void refuse(struct push *push, const struct order_refusal *refusal, struct round *round)
{
    const struct queue_entry *entry = &push->queue.entries[refusal->entry];
    const struct queue_entry *insert = &push->queue.entries[refusal->failed_insert];
    struct settle_outcome outcome = {
        .verdict = {.todo = DELIVERY_SETTLE, .state = refusal->state},
        .message = arena_printf(push->arena,
                                "pgforce: the record's INSERT (entry %lld) failed: mend and retry"
                                " that one first",
                                (long long)insert->log_id),
    };

    round->failed++;
    settle_add(push->settle, mapping_find_by_table(&push->mappings, entry->table_name), entry,
               &outcome);
}

/* How many batches from here are of the same mapping and action: they can be sent together. */
static size_t group_size(const struct order_plan *plan, size_t from)
{
    size_t to = from;

    while (to < plan->batch_count && plan->batches[to].mapping == plan->batches[from].mapping &&
           plan->batches[to].action == plan->batches[from].action)
        to++;
    return to - from;
}

static bool send_group(struct push *push, const struct order_batch *first, size_t count,
                       struct round *round, struct error *err)
{
    struct deliver_world world = {push->pg, push->options->session, push->options->schema_name,
                                  push->arena};
    struct deliver_group group = {.mapping = &push->mappings.items[first->mapping],
                                  .action = first->action,
                                  .queue = &push->queue,
                                  .batches = first,
                                  .batch_count = count};
    struct deliver_report report = {0};
    int64_t began_ms = clock_monotonic_ms();

    if (!deliver_send(&world, &group, push->settle, &report, err) || !store_outcomes(push, err))
        return false;
    round->sent += report.sent;
    round->failed += report.failed;
    log_info("pushed", log_text("mapping", group.mapping->object_name),
             log_text("action", delivery_action_name(group.action)),
             log_number("rows", (int64_t)report.sent), log_number("failed", (int64_t)report.failed),
             log_number("ms", clock_monotonic_ms() - began_ms));
    if (report.must_stop)
        return error_set(err, ERROR_CONFIG, "the organisation takes no writes: %s",
                         report.message != NULL ? report.message : "no reason was given");
    return true;
}

static bool send_plan(struct push *push, struct round *round, struct error *err)
{
    struct order_plan plan =
        order_next_round(make_order(push), push->queue.count, ORDER_BATCH_MAX, push->arena);

    for (size_t i = 0; i < plan.refusal_count; i++)
        refuse(push, &plan.refusals[i], round);
    if (!store_outcomes(push, err))
        return false;
    for (size_t i = 0; i < plan.batch_count && !wait_is_stopping();) {
        size_t count = group_size(&plan, i);

        if (!send_group(push, &plan.batches[i], count, round, err))
            return false;
        i += count;
    }
    return true;
}

/* The due doubts of one mapping, judged by reading back. */
static bool resolve_mapping(struct push *push, const struct mapping *mapping, struct round *round,
                            struct error *err)
{
    struct doubt_world world = {push->pg, push->options->session, push->arena, clock_wall_us(),
                                push->options->quarantine_ms};
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
    if (!doubt_resolve(&world, &doubts, push->settle, err))
        return false;
    round->resolved += doubts.count;
    log_info("read back writes in doubt", log_text("mapping", mapping->object_name),
             log_number("entries", (int64_t)doubts.count));
    return store_outcomes(push, err);
}

static bool run_round(struct push *push, struct round *round, struct error *err)
{
    const struct push_options *options = push->options;

    *round = (struct round){0};
    arena_reset(push->arena);
    push->queue = (struct queue){.arena = push->arena, .limit = TAKE_LIMIT};
    if (!mapping_load_all(push->pg, options->schema_name, push->arena, &push->mappings, err) ||
        !queue_take(push->pg, options->schema_name, &push->queue, err))
        return false;
    for (size_t i = 0; i < push->mappings.count; i++)
        if (!resolve_mapping(push, &push->mappings.items[i], round, err))
            return false;
    return round->resolved > 0 || send_plan(push, round, err);
}

/* Forgets the notifications that have come: the next round reads all there is. */
static bool drain_notifications(struct push *push)
{
    bool is_notified = false;
    PGnotify *notify;

    PQconsumeInput(pg_conn(push->pg));
    while ((notify = PQnotifies(pg_conn(push->pg))) != NULL) {
        is_notified = true;
        PQfreemem(notify);
    }
    return is_notified;
}

static bool wait_for_work(struct push *push, struct error *err)
{
    int64_t due_ms;

    if (!queue_next_due_ms(push->pg, push->options->schema_name, &due_ms, err))
        return false;
    if (drain_notifications(push))
        return true;
    int wait_ms = due_ms >= 0 && due_ms < IDLE_WAIT_MS ? (int)due_ms + 1 : IDLE_WAIT_MS;
    if (wait_for(PQsocket(pg_conn(push->pg)), POLLIN, wait_ms) == WAIT_READY)
        drain_notifications(push);
    return true;
}

static bool run_until_stopped(struct push *push, struct error *err)
{
    while (!wait_is_stopping()) {
        struct round round;

        drain_notifications(push);
        if (!run_round(push, &round, err))
            return false;
        if (round.sent + round.resolved + round.failed == 0 && !wait_for_work(push, err))
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
    pg_close(push.pg);
    return is_ok || wait_is_stopping();
}
