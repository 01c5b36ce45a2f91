#include "inbound/drift.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbound/compare.h"
#include "inbound/deletions.h"
#include "inbound/fetch.h"
#include "mapping/usage.h"
#include "pg/origin.h"
#include "sync/budget.h"

enum {
    SHARE_PERCENT = 20, /* of a mapping's calls of a day, for comparing */
    DAY_MS = 24 * 60 * 60 * 1000,
    BUSY_MS = 10 * 60 * 1000, /* until the organisation is asked whether it has calls to spare */
    HELD_MS = 10 * 60 * 1000, /* until what could not be written is compared again */
    NEVER_MS = 24 * 60 * 60 * 1000,
};

struct differences {
    const char **read_again;
    size_t read_count;
    const char **extra;
    size_t extra_count;
};

/* ---- counting what differs ---- */

static void count_one(enum compare_kind kind, struct drift_pass *pass)
{
    switch (kind) {
    case COMPARE_MISSING: pass->missing++; break;
    case COMPARE_EXTRA: pass->extra++; break;
    case COMPARE_STALE: pass->stale++; break;
    case COMPARE_CALCULATED: pass->calculated++; break;
    }
}

static void sort_out(const struct compare_range *range, struct drift_pass *pass,
                     struct differences *differences)
{
    size_t room = range->difference_count + 1;

    differences->read_again = arena_array(range->arena, const char *, room);
    differences->extra = arena_array(range->arena, const char *, room);
    for (size_t i = 0; i < range->difference_count; i++) {
        const struct compare_difference *each = &range->differences[i];

        count_one(each->kind, pass);
        if (each->kind == COMPARE_EXTRA)
            differences->extra[differences->extra_count++] = each->sfid;
        else
            differences->read_again[differences->read_count++] = each->sfid;
    }
    pass->checked += range->count;
}

/* ---- repairing it ---- */

/* earlier: the rows without a record that the pass has found in other ranges. */
static bool repair(const struct poll *poll, const struct differences *differences, int64_t earlier,
                   int64_t *held, struct error *err)
{
    const struct deletions extra = {.ids = differences->extra,
                                    .count = differences->extra_count,
                                    .is_inferred = true,
                                    .earlier = earlier};
    struct apply_report report = {0};

    for (size_t done = 0; done < differences->read_count; done += FETCH_AT_ONCE) {
        size_t left = differences->read_count - done;
        struct fetch some = {.ids = differences->read_again + done,
                             .count = left < FETCH_AT_ONCE ? left : FETCH_AT_ONCE};

        if (!fetch_apply(poll, &some, &report, err))
            return false;
    }
    if (extra.count > 0 && !deletions_apply(poll, &extra, &report, err))
        return false;
    *held += report.held.count;
    return true;
}

static bool work_range(struct compare_range *range, bool is_repaired, struct drift_pass *pass,
                       struct error *err)
{
    struct differences differences = {0};
    struct drift_pass next = *pass;

    if (!compare_read(range, err))
        return false;
    sort_out(range, &next, &differences);
    if (is_repaired && !repair(range->poll, &differences, pass->extra, &next.held, err))
        return false;
    memcpy(next.after_id, range->last, sizeof(next.after_id));
    next.is_over = range->last[0] == '\0';
    *pass = next;
    return true;
}

bool drift_compare(const struct poll *poll, const struct mark *mark, bool is_repaired,
                   struct drift_pass *pass, struct error *err)
{
    struct compare_range range = {.poll = poll,
                                  .arena = arena_new(),
                                  .mark_us = mark->changes_up_to_us,
                                  .first = pass->after_id};

    bool is_ok = work_range(&range, is_repaired, pass, err);
    arena_free(range.arena);
    return is_ok || error_prefix(err, "comparing all records");
}

/* ---- passes ---- */

struct progress {
    struct drift_pass pass;
    bool is_under_way;
    bool is_asked;    /* the one under way */
    bool is_wanted;   /* by an operator, not begun yet */
    int64_t since_ms; /* it ended; or -1 when there was none */
};

static bool read_progress(struct pg *pg, const struct mapping *mapping, struct progress *progress,
                          struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select coalesce(after_id, ''), checked, missing, extra, stale, calculated,"
                 " began_at is not null and finished_at is null, is_asked, asked_at is not null,"
                 " coalesce((extract(epoch from now() - finished_at) * 1000)::bigint, -1), held"
                 " from pgforce.drift where mapping_id = $1",
                 PG_PARAMS(pg_number(mapping->id).text), err);

    *progress = (struct progress){.since_ms = -1};
    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return true;
    snprintf(progress->pass.after_id, sizeof(progress->pass.after_id), "%s",
             pg_field(result, 0, 0));
    progress->pass.checked = pg_field_int64(result, 0, 1);
    progress->pass.missing = pg_field_int64(result, 0, 2);
    progress->pass.extra = pg_field_int64(result, 0, 3);
    progress->pass.stale = pg_field_int64(result, 0, 4);
    progress->pass.calculated = pg_field_int64(result, 0, 5);
    progress->is_under_way = pg_field_bool(result, 0, 6);
    progress->is_asked = pg_field_bool(result, 0, 7);
    progress->is_wanted = pg_field_bool(result, 0, 8);
    progress->since_ms = pg_field_int64(result, 0, 9);
    progress->pass.held = pg_field_int64(result, 0, 10);
    return true;
}

/* The first pass is due one interval after the load, which has just read everything. */
static bool note_load(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.drift (mapping_id, finished_at) values ($1, now())"
                  " on conflict (mapping_id) do update set finished_at = now()",
                  PG_PARAMS(pg_number(mapping->id).text), err);
}

bool drift_note_held(struct pg *pg, const struct mapping *mapping, int64_t held, struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.drift as d (mapping_id, finished_at, held)"
                  " values ($1, now(), $2)"
                  " on conflict (mapping_id) do update set held = d.held + excluded.held",
                  PG_PARAMS(pg_number(mapping->id).text, pg_number(held).text), err);
}

static bool store_begin(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return pg_run(pg,
                  "update pgforce.drift"
                  " set is_asked = asked_at is not null, asked_at = null, began_at = now(),"
                  " finished_at = null, after_id = null, checked = 0, missing = 0, extra = 0,"
                  " stale = 0, calculated = 0, held = 0"
                  " where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text), err);
}

static bool store_pass(struct pg *pg, const struct mapping *mapping, const struct drift_pass *pass,
                       struct error *err)
{
    return pg_run(pg,
                  "update pgforce.drift"
                  " set after_id = $2, finished_at = case when $3 then now() end,"
                  " checked = $4, missing = $5, extra = $6, stale = $7, calculated = $8,"
                  " held = $9"
                  " where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text, pass->after_id, pass->is_over ? "t" : "f",
                            pg_number(pass->checked).text, pg_number(pass->missing).text,
                            pg_number(pass->extra).text, pg_number(pass->stale).text,
                            pg_number(pass->calculated).text, pg_number(pass->held).text),
                  err);
}

static void report_pass(const struct mapping *mapping, const struct progress *progress)
{
    const struct drift_pass *pass = &progress->pass;

    if (pass->missing + pass->extra + pass->stale + pass->calculated == 0 && !progress->is_asked)
        return;
    log_info("compared all records", log_text("mapping", mapping->object_name),
             log_number("checked", pass->checked), log_number("missing", pass->missing),
             log_number("extra", pass->extra), log_number("stale", pass->stale),
             log_number("calculated", pass->calculated), log_number("held", pass->held));
}

/* Spread over the day, unless somebody waits for it. */
static int64_t pause_ms(const struct mapping *mapping, const struct progress *progress,
                        int64_t calls)
{
    int64_t allowed = (int64_t)mapping->max_daily_api_calls * SHARE_PERCENT / 100;

    if (progress->is_asked)
        return 0;
    return calls * (DAY_MS / (allowed > 0 ? allowed : 1));
}

static bool advance(const struct poll *poll, const struct mark *mark, struct progress *progress,
                    struct drift_schedule *schedule, struct error *err)
{
    int64_t before = sf_session_requests(poll->session);
    bool is_ok = drift_compare(poll, mark, true, &progress->pass, err);
    int64_t calls = sf_session_requests(poll->session) - before;
    struct pg *pg = poll->world.pg;

    if (!is_ok || !origin_begin(pg, err))
        return false;
    is_ok = store_pass(pg, poll->mapping, &progress->pass, err) &&
            usage_count(pg, poll->mapping->id, calls, err) && pg_script(pg, "commit", err);
    if (!is_ok)
        pg_rollback(pg);
    if (is_ok && progress->pass.is_over)
        report_pass(poll->mapping, progress);
    schedule->next_ms = progress->pass.is_over ? 0 : pause_ms(poll->mapping, progress, calls);
    return is_ok;
}

/* Whether the organisation has calls to spare. */
static bool may_spend(const struct poll *poll, bool *may, struct error *err)
{
    struct sf_limits limits;

    if (!usage_read(poll->world.pg, poll->mapping->schema_name, &limits, err))
        return false;
    *may = budget_band(limits.used, limits.max) == BUDGET_FREE;
    return true;
}

static int64_t rest_ms(const struct progress *progress, const struct drift_schedule *schedule)
{
    if (progress->is_wanted)
        return 0;
    if (schedule->interval_s == 0)
        return NEVER_MS;
    int64_t interval_ms = schedule->interval_s * 1000;
    if (progress->pass.held > 0 && interval_ms > HELD_MS)
        interval_ms = HELD_MS;
    int64_t left_ms = interval_ms - progress->since_ms;
    return left_ms > 0 ? left_ms : 0;
}

int64_t drift_interval_s(const struct mapping *mapping, int64_t all_s)
{
    int64_t own_s = mapping->calculated_seconds;

    return own_s > 0 && (all_s == 0 || own_s < all_s) ? own_s : all_s;
}

static bool begin_if_due(const struct poll *poll, struct progress *progress,
                         struct drift_schedule *schedule, struct error *err)
{
    schedule->next_ms = rest_ms(progress, schedule);
    if (schedule->next_ms > 0)
        return true;
    return store_begin(poll->world.pg, poll->mapping, err) &&
           read_progress(poll->world.pg, poll->mapping, progress, err);
}

bool drift_turn(const struct poll *poll, const struct mark *mark, struct drift_schedule *schedule,
                struct error *err)
{
    struct progress progress;
    bool may = true;

    schedule->next_ms = NEVER_MS;
    if (!read_progress(poll->world.pg, poll->mapping, &progress, err))
        return false;
    if (progress.since_ms < 0 && !progress.is_under_way && !progress.is_wanted) {
        schedule->next_ms = schedule->interval_s > 0 ? schedule->interval_s * 1000 : NEVER_MS;
        return note_load(poll->world.pg, poll->mapping, err);
    }
    if (!progress.is_under_way && !begin_if_due(poll, &progress, schedule, err))
        return false;
    if (!progress.is_under_way)
        return true;
    if (!progress.is_asked && !may_spend(poll, &may, err))
        return false;
    schedule->next_ms = BUSY_MS;
    return !may || advance(poll, mark, &progress, schedule, err);
}

/* ---- by hand ---- */

bool drift_ask(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return pg_run(pg,
                  "with asked as ("
                  "insert into pgforce.drift (mapping_id, asked_at) values ($1, now())"
                  " on conflict (mapping_id) do update set asked_at = now(), finished_at = now())"
                  " select pg_notify($2 || '.pgforce_mapping', 'repair')",
                  PG_PARAMS(pg_number(mapping->id).text, mapping->schema_name), err);
}

bool drift_watch(struct pg *pg, const struct mapping *mapping, struct drift_pass *pass,
                 bool *has_begun, struct error *err)
{
    struct progress progress;

    if (!read_progress(pg, mapping, &progress, err))
        return false;
    *pass = progress.pass;
    *has_begun = !progress.is_wanted;
    pass->is_over = !progress.is_wanted && !progress.is_under_way;
    return true;
}
