#include "outbound/flow.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"

/* Storing has a price of its own: a few answers are waited for, but not for long. */
enum { GO_ON_MS = 500, GATHER_MS = 100 };

/* One batch. */
struct flight {
    struct delivery *delivery;
    int64_t began_ms;
};

/* A plan being sent. The batches before `judged` are done with, those before `begun` are or were on
 * their way, the intents of those before `stored` stand, and those before `prepared` are ready but
 * for that. Some between judged and begun may be done with, too: their delivery is NULL. */
struct sending {
    const struct flow *flow;
    const struct plan *plan;
    struct flow_report *report;
    struct error *err;
    struct flight *flights; /* in step with the batches */
    size_t judged;
    size_t begun;
    size_t stored;
    size_t prepared;
    bool is_over; /* no more is to be prepared or begun */
    bool is_ok;
};

/* What one log line tells of. */
struct tally {
    const struct order_batch *batch; /* the first; NULL: none yet */
    int64_t began_ms;
    size_t sent;
    size_t failed;
    size_t unsettled;
};

static bool is_ending(const struct sending *sending)
{
    return sending->is_over || !sending->is_ok || wait_is_stopping();
}

static size_t count_flying(const struct sending *sending)
{
    size_t count = 0;

    for (size_t i = sending->judged; i < sending->begun; i++)
        count += sending->flights[i].delivery != NULL &&
                 !deliver_is_answered(sending->flights[i].delivery);
    return count;
}

static bool goes_with(const struct sending *sending, const struct order_batch *left,
                      const struct order_batch *right)
{
    const uint32_t *ranks = sending->flow->ranks;

    return left->action == right->action && ranks[left->mapping] == ranks[right->mapping];
}

/* What may not be on its way together with those before it waits until they are done with. */
static bool may_begin(const struct sending *sending)
{
    const struct order_batch *next = &sending->flow->batches[sending->begun];

    return sending->begun < sending->stored && count_flying(sending) < sending->flow->parallel &&
           (sending->judged == sending->begun || goes_with(sending, next - 1, next));
}

static void begin_more(struct sending *sending)
{
    while (!is_ending(sending) && may_begin(sending)) {
        struct flight *flight = &sending->flights[sending->begun++];

        flight->began_ms = clock_monotonic_ms();
        deliver_begin(flight->delivery);
    }
}

/* For pg_set_waiter: PostgreSQL is at work. */
static void go_on_meanwhile(void *context, int fd, short events)
{
    struct sending *sending = context;
    struct error ignored;

    begin_more(sending);
    sf_request_go_on(sending->flow->world.session, fd, events, GO_ON_MS, &ignored);
}

/* How many more should be ready or on their way, for the time that storing takes. Where only one
 * may be on its way nothing is ready before its time: what may be in doubt after a crash stays
 * small. */
static size_t count_lacking(const struct sending *sending)
{
    size_t parallel = sending->flow->parallel;
    size_t most = parallel > 1 ? 2 * parallel : 1;
    size_t has = sending->prepared - sending->begun + count_flying(sending);
    size_t left = sending->flow->batch_count - sending->prepared;

    if (has >= most || is_ending(sending))
        return 0;
    return most - has < left ? most - has : left;
}

/* At first only a few, so that something is soon on its way. */
static size_t count_wanted(const struct sending *sending)
{
    size_t has = sending->prepared - sending->begun + count_flying(sending);
    size_t step = has > 0 ? 2 * has : 2;
    size_t lacking = count_lacking(sending);

    return step < lacking ? step : lacking;
}

static bool prepare_more(struct sending *sending)
{
    const struct flow *flow = sending->flow;

    for (size_t wanted = count_wanted(sending); wanted > 0 && sending->prepared < flow->batch_count;
         wanted--) {
        struct delivery *delivery =
            deliver_prepare(&flow->world, sending->plan, &flow->batches[sending->prepared],
                            flow->settle, sending->err);

        if (delivery == NULL)
            return false;
        sending->flights[sending->prepared++].delivery = delivery;
    }
    return true;
}

/* What came of some batches, and the intents of others, in one transaction. */
static void store_and_prepare(struct sending *sending)
{
    const struct flow *flow = sending->flow;

    sending->is_ok =
        prepare_more(sending) &&
        settle_store_patiently(flow->settle, flow->world.pg, flow->world.schema_name, sending->err);
    if (sending->is_ok)
        sending->stored = sending->prepared;
}

static size_t count_answered(const struct sending *sending)
{
    size_t count = 0;

    for (size_t i = sending->judged; i < sending->begun; i++)
        count += sending->flights[i].delivery != NULL &&
                 deliver_is_answered(sending->flights[i].delivery);
    return count;
}

/* Until it is worth while to store what was answered, or to prepare more. */
static void await_answers(struct sending *sending)
{
    size_t enough = (3 * sending->flow->parallel + 3) / 4;
    int64_t until_ms = 0;
    struct error ignored;

    while (count_flying(sending) > 0 && count_answered(sending) < enough &&
           count_lacking(sending) < enough) {
        int64_t now_ms = clock_monotonic_ms();

        if (until_ms == 0 && count_answered(sending) > 0)
            until_ms = now_ms + GATHER_MS;
        if (until_ms != 0 && now_ms >= until_ms)
            return;
        sf_request_go_on(sending->flow->world.session, -1, 0,
                         until_ms != 0 ? (int)(until_ms - now_ms) : GO_ON_MS, &ignored);
        begin_more(sending);
    }
}

static void tell(const struct sending *sending, struct tally *tally)
{
    if (tally->sent > 0)
        log_info("pushed",
                 log_text("mapping",
                          sending->plan->entries[tally->batch->entries[0]].mapping->object_name),
                 log_text("action", delivery_action_name(tally->batch->action)),
                 log_number("rows", (int64_t)tally->sent),
                 log_number("failed", (int64_t)tally->failed),
                 log_number("unsettled", (int64_t)tally->unsettled),
                 log_number("ms", clock_monotonic_ms() - tally->began_ms));
    *tally = (struct tally){0};
}

static void judge(struct sending *sending, size_t index, struct tally *tally)
{
    const struct order_batch *batch = &sending->flow->batches[index];
    struct flight *flight = &sending->flights[index];
    struct deliver_report report = deliver_judge(flight->delivery);

    flight->delivery = NULL;
    sending->report->sent += report.sent;
    sending->report->unsent += report.unsent;
    sending->report->failed += report.failed;
    sending->report->put_off += report.put_off;
    if (tally->batch != NULL &&
        (batch->mapping != tally->batch->mapping || batch->action != tally->batch->action))
        tell(sending, tally);
    if (tally->batch == NULL)
        *tally = (struct tally){.batch = batch, .began_ms = flight->began_ms};
    tally->sent += report.sent;
    tally->failed += report.failed;
    tally->unsettled += report.unsettled;
    if (report.must_stop && sending->is_ok) {
        sending->is_over = true;
        sending->is_ok =
            error_set(sending->err, ERROR_CONFIG, "the organisation takes no writes: %s",
                      report.message != NULL ? report.message : "no reason was given");
    }
}

static void judge_answered(struct sending *sending)
{
    struct tally tally = {0};

    for (size_t i = sending->judged; i < sending->begun; i++) {
        struct delivery *delivery = sending->flights[i].delivery;

        if (delivery != NULL && deliver_is_answered(delivery) && deliver_take(delivery))
            judge(sending, i, &tally);
    }
    tell(sending, &tally);
    while (sending->judged < sending->begun && sending->flights[sending->judged].delivery == NULL)
        sending->judged++;
}

/* What is on its way is waited for; what was ready goes back to where it was. */
static void end(struct sending *sending)
{
    struct error ignored;

    sending->is_over = true;
    judge_answered(sending);
    while (sending->judged < sending->begun) {
        sf_request_go_on(sending->flow->world.session, -1, 0, GO_ON_MS, &ignored);
        judge_answered(sending);
    }
    for (size_t i = sending->begun; i < sending->prepared; i++) {
        if (i < sending->stored)
            deliver_judge(sending->flights[i].delivery);
        else
            deliver_drop(sending->flights[i].delivery);
    }
    if (sending->stored < sending->prepared)
        settle_forget_intents(sending->flow->settle);
}

static void send_all(struct sending *sending)
{
    const struct flow *flow = sending->flow;

    while (sending->is_ok && sending->judged < flow->batch_count) {
        store_and_prepare(sending);
        if (is_ending(sending))
            return;
        begin_more(sending);
        await_answers(sending);
        judge_answered(sending);
    }
}

bool flow_send(const struct flow *flow, const struct plan *plan, struct flow_report *report,
               struct error *err)
{
    const struct deliver_world *world = &flow->world;
    struct sending sending = {.flow = flow,
                              .plan = plan,
                              .report = report,
                              .err = err,
                              .flights =
                                  arena_array(world->arena, struct flight, flow->batch_count),
                              .is_ok = true};
    const struct pg_waiter waiter = {go_on_meanwhile, &sending};
    struct error ignored;

    if (flow->parallel > 1)
        pg_set_waiter(world->pg, &waiter);
    send_all(&sending);
    end(&sending);
    pg_set_waiter(world->pg, NULL);
    return settle_store_patiently(flow->settle, world->pg, world->schema_name,
                                  sending.is_ok ? err : &ignored) &&
           sending.is_ok;
}
