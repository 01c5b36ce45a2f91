#include "outbound/waves.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"

/* A plan being sent; `next` is the first batch that is not yet prepared. */
struct sending {
    const struct waves *waves;
    const struct plan *plan;
    struct waves_report *report;
    struct error *err;
    size_t next;
    struct delivery *ready;                /* its intents stand; NULL: none */
    const struct order_batch *ready_batch; /* its first batch */
    bool is_over;                          /* no more is to be prepared */
    bool is_ok;
};

/* How many batches from here can be on their way together. */
static size_t wave_size(const struct sending *sending)
{
    const struct order_batch *batches = sending->waves->batches;
    const uint32_t *ranks = sending->waves->ranks;
    size_t from = sending->next;
    size_t to = from;

    while (to < sending->waves->batch_count && to - from < sending->waves->parallel &&
           batches[to].action == batches[from].action &&
           ranks[batches[to].mapping] == ranks[batches[from].mapping])
        to++;
    return to - from;
}

static bool prepare_next(struct sending *sending)
{
    const struct waves *waves = sending->waves;
    struct deliver_wave wave = {.plan = sending->plan,
                                .batches = &sending->waves->batches[sending->next],
                                .batch_count = wave_size(sending)};

    if (wave.batch_count == 0 || sending->is_over || wait_is_stopping())
        return true;
    wave.action = wave.batches->action;
    sending->ready = deliver_prepare(&waves->world, &wave, waves->settle, sending->err);
    sending->ready_batch = wave.batches;
    sending->next += wave.batch_count;
    return sending->ready != NULL;
}

/* What came of the last wave, and the next one's intents, in one transaction. */
static void store_and_prepare(void *context)
{
    struct sending *sending = context;

    sending->is_ok = prepare_next(sending) &&
                     settle_store_patiently(sending->waves->settle, sending->waves->world.pg,
                                            sending->waves->world.schema_name, sending->err);
}

static void judge(struct sending *sending, struct delivery *delivery,
                  const struct order_batch *batch, int64_t began_ms)
{
    struct deliver_report report = deliver_judge(delivery);
    const struct mapping *mapping = sending->plan->entries[batch->entries[0]].mapping;

    sending->report->sent += report.sent;
    sending->report->unsent += report.unsent;
    sending->report->failed += report.failed;
    sending->report->put_off += report.put_off;
    if (report.sent > 0)
        log_info("pushed", log_text("mapping", mapping->object_name),
                 log_text("action", delivery_action_name(batch->action)),
                 log_number("rows", (int64_t)report.sent),
                 log_number("failed", (int64_t)report.failed),
                 log_number("ms", clock_monotonic_ms() - began_ms));
    if (report.must_stop && sending->is_ok) {
        sending->is_over = true;
        sending->is_ok =
            error_set(sending->err, ERROR_CONFIG, "the organisation takes no writes: %s",
                      report.message != NULL ? report.message : "no reason was given");
    }
}

/* True when the wave's time on its way was used to store and prepare. */
static bool fly(struct sending *sending)
{
    struct delivery *flying = sending->ready;
    const struct order_batch *batch = sending->ready_batch;
    size_t before = sending->next;
    int64_t began_ms = clock_monotonic_ms();
    bool may_overlap = sending->waves->parallel > 1;

    sending->ready = NULL;
    if (may_overlap)
        sf_session_meanwhile(sending->waves->world.session, store_and_prepare, sending);
    deliver_send(flying);
    /* A wave without a call leaves the work undone: it must not be done in another's time. */
    sf_session_meanwhile(sending->waves->world.session, NULL, NULL);
    judge(sending, flying, batch, began_ms);
    return sending->next > before;
}

bool waves_send(const struct waves *waves, const struct plan *plan, struct waves_report *report,
                struct error *err)
{
    struct sending sending = {
        .waves = waves, .plan = plan, .report = report, .err = err, .is_ok = true};
    struct error ignored;

    store_and_prepare(&sending);
    while (sending.is_ok && sending.ready != NULL)
        if (!fly(&sending) && sending.is_ok)
            store_and_prepare(&sending);
    /* Prepared, but not to be sent any more: back to where it was. */
    if (sending.ready != NULL)
        deliver_judge(sending.ready);
    if (sending.is_ok)
        return settle_store_patiently(waves->settle, waves->world.pg, waves->world.schema_name,
                                      err);
    settle_store_patiently(waves->settle, waves->world.pg, waves->world.schema_name, &ignored);
    return false;
}
