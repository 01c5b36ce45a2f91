#include "inbound/poll.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "inbound/bulk_rows.h"
#include "inbound/deletions.h"
#include "inbound/fetch.h"
#include "inbound/refusals.h"
#include "inbound/statement.h"
#include "inbound/sweep.h"
#include "inbound/writers.h"
#include "mapping/move.h"
#include "pg/origin.h"
#include "sf/rest.h"
#include "sf/soql.h"
#include "sync/watermark.h"

enum {
    SOQL_MAX_BYTES = 100 * 1000,
    PAGE_ROWS = 20 * 1000, /* of a Bulk result: what is locked until its COMMIT */
    PAGE_BYTES = 64 * 1024 * 1024,
    FIRST_PAUSE_MS = 200,
    LONGEST_PAUSE_MS = 20 * 1000,
    SHORTEST_SPAN_US = 4 * 60 * 1000 * 1000,
};

/* One poll. */
struct reading {
    const struct poll *poll;
    struct apply_report *report;
    struct watermark_poll facts;
    struct mark next; /* to be stored when all has been applied */
};

bool poll_append_select(const struct poll *poll, struct buf *soql, struct error *err)
{
    const struct mapping *mapping = poll->mapping;
    const char **paths = arena_array(poll->world.arena, const char *, mapping->field_count);

    for (size_t i = 0; i < mapping->field_count; i++)
        paths[i] = mapping->fields[i].soql_path;
    return soql_select(soql, paths, mapping->field_count, mapping->object_name, err);
}

void poll_append_where(const struct poll *poll, bool has_more, struct buf *soql)
{
    const char *filter = poll->mapping->filter;

    if (filter != NULL)
        buf_printf(soql, " where (%s)%s", filter, has_more ? " and " : "");
    else if (has_more)
        buf_text(soql, " where ");
}

/* ---- by REST ---- */

/* Each page is applied and forgotten before the next is asked for. */
static bool apply_found(void *context, const json_t *records, struct error *err)
{
    const struct reading *reading = context;
    const struct poll *poll = reading->poll;
    const struct apply_page page = {.mapping = poll->mapping, .records = records};

    arena_reset(poll->world.arena);
    return apply_records(&poll->world, &page, reading->report, err);
}

/* ---- by Bulk ---- */

bool poll_wait_for_job(const struct poll *poll, const char *job_id,
                       struct sf_bulk_progress *progress, struct error *err)
{
    int pause_ms = FIRST_PAUSE_MS;

    for (;;) {
        if (!sf_bulk_ask(poll->session, job_id, progress, err))
            return false;
        if (progress->state != SF_BULK_WORKING)
            return true;
        if (wait_for(-1, 0, pause_ms) == WAIT_STOP)
            return error_set(err, ERROR_RETRY, "told to stop");
        if (poll->tend != NULL)
            poll->tend(poll->context);
        pause_ms = pause_ms < LONGEST_PAUSE_MS / 2 ? pause_ms * 2 : LONGEST_PAUSE_MS;
    }
}

/*
 * The pages on their way, in their order: at most two, each on a connection of its own. While the
 * server writes the one and the archive reads what it wrote, the other is staged.
 *
 * They wait for each other in one case, when a unique value moves from a record of one to a record
 * of the other: then the reading fails after a while, and the next one goes page by page.
 */
struct lanes {
    const struct poll *poll;
    struct apply_world worlds[2];
    struct apply_work works[2];
    size_t count;
    size_t begun;
    size_t ended;
};

/* Once there is a second page. Without a second connection it goes on by the first. */
static void open_second_lane(struct lanes *lanes)
{
    const struct poll *poll = lanes->poll;
    struct error ignored;

    if (lanes->count > 1 || lanes->begun == 0 || poll->writers == NULL ||
        poll->memory->goes_alone || poll->world.is_announced)
        return;
    struct pg *pg = writers_open_load(poll->writers, &ignored);
    if (pg == NULL)
        return;
    lanes->worlds[1] = poll->world;
    lanes->worlds[1].pg = pg;
    lanes->worlds[1].arena = arena_new();
    lanes->count = 2;
}

/* What is still under way is rolled back. */
static void close_lanes(struct lanes *lanes)
{
    for (size_t i = 0; i < lanes->count; i++)
        pg_rollback(lanes->worlds[i].pg);
    if (lanes->count < 2)
        return;
    writers_close_load(lanes->poll->writers, lanes->worlds[1].pg);
    arena_free(lanes->worlds[1].arena);
}

/* The others first: the table may have to be altered, and theirs are its locks. */
static bool give_up(struct lanes *lanes, struct apply_work *work, struct apply_report *report,
                    struct error *err)
{
    for (size_t i = 0; i < lanes->count; i++)
        if (&lanes->works[i] != work)
            pg_rollback(lanes->worlds[i].pg);
    return apply_give_up(work, report, err);
}

static bool begin_page(struct lanes *lanes, const struct apply_page *page,
                       struct apply_report *report, struct error *err)
{
    open_second_lane(lanes);
    size_t lane = lanes->begun++ % lanes->count;
    const struct apply_world *world = &lanes->worlds[lane];
    struct apply_work *work = &lanes->works[lane];

    arena_reset(world->arena);
    *work = (struct apply_work){.world = world, .page = page, .refusals = {.arena = world->arena}};
    return apply_begin(work, err) || give_up(lanes, work, report, err);
}

static bool end_pages(struct lanes *lanes, size_t left, struct apply_report *report,
                      struct error *err)
{
    for (; lanes->begun - lanes->ended > left; lanes->ended++) {
        struct apply_work *work = &lanes->works[lanes->ended % lanes->count];

        if (!apply_end(work, report, err))
            return give_up(lanes, work, report, err);
    }
    return true;
}

static bool apply_pages(struct lanes *lanes, struct bulk_rows *rows, int64_t *given,
                        struct apply_report *report, struct error *err)
{
    const struct poll *poll = lanes->poll;
    const struct apply_source source = {bulk_rows_give, rows};
    const struct apply_page page = {.mapping = poll->mapping, .source = &source};
    struct sf_csv_row header;
    bool is_page;

    for (;;) {
        if (!sf_bulk_result_page(rows->result, &is_page, &header, err))
            return false;
        if (!is_page)
            return end_pages(lanes, 0, report, err);
        if (!bulk_rows_begin(rows, &header, err) || !begin_page(lanes, &page, report, err) ||
            !end_pages(lanes, lanes->count - 1, report, err))
            return false;
        *given += rows->given;
        if (poll->tend != NULL)
            poll->tend(poll->context);
    }
}

static bool apply_result(const struct poll *poll, struct sf_bulk_result *result, int64_t *given,
                         struct apply_report *report, struct error *err)
{
    struct lanes lanes = {.poll = poll, .worlds = {poll->world}, .count = 1};
    struct bulk_rows rows;

    bulk_rows_init(&rows, poll->mapping, result);
    bool is_ok = apply_pages(&lanes, &rows, given, report, err);
    close_lanes(&lanes);
    bulk_rows_done(&rows);
    poll->memory->goes_alone = !is_ok && lanes.count > 1;
    return is_ok;
}

static bool read_job(const struct poll *poll, const char *job_id, struct apply_report *report,
                     struct error *err)
{
    const struct sf_bulk_place place = {job_id, NULL, PAGE_ROWS, PAGE_BYTES};
    struct sf_bulk_progress progress;
    int64_t given = 0;

    if (!mark_bulk_poll(poll->world.pg, poll->mapping, "WAIT_BULK_UPDATE", err) ||
        !poll_wait_for_job(poll, job_id, &progress, err) ||
        !mark_bulk_poll(poll->world.pg, poll->mapping, "POLLING_SF_BULK", err))
        return false;
    if (progress.state == SF_BULK_LOST)
        return error_set(err, ERROR_RETRY, "the Bulk query for changes ended: %s",
                         progress.message);
    struct sf_bulk_result *result = sf_bulk_result_open(poll->session, &place);
    bool is_ok = apply_result(poll, result, &given, report, err);
    sf_bulk_result_close(result);
    if (is_ok && given != progress.records)
        return error_set(err, ERROR_RETRY,
                         "the result had %" PRId64 " of %" PRId64 " rows: read again", given,
                         progress.records);
    return is_ok;
}

static bool apply_by_bulk(const struct poll *poll, const char *soql, struct apply_report *report,
                          struct error *err)
{
    struct sf_bulk_job job;

    if (!sf_bulk_create(poll->session, soql, true, &job, err)) {
        if (err->kind == ERROR_RETRY)
            return false;
        poll->memory->has_no_bulk = true;
        err->kind = ERROR_RETRY;
        return error_prefix(err, "going on by REST");
    }
    bool is_ok = read_job(poll, job.id, report, err);
    sf_bulk_drop(poll->session, job.id);
    return is_ok;
}

/* ---- what has changed ---- */

static bool append_changes(const struct poll *poll, int64_t from_us, struct buf *soql,
                           struct error *err)
{
    if (!poll_append_select(poll, soql, err))
        return false;
    poll_append_where(poll, true, soql);
    buf_printf(soql, "%s >= ", poll->mapping->stamp->field_name);
    soql_datetime(soql, from_us);
    return true;
}

/* Above the threshold only the first page has been read by REST when the whole is read by Bulk:
 * unordered, so that Salesforce may divide the work. */
static bool read_changes(struct reading *reading, struct error *err)
{
    static const struct sf_query_options with_deleted = {.with_deleted = true};
    const struct poll *poll = reading->poll;
    struct buf plain BUF_AUTO = {0};
    struct buf ordered BUF_AUTO = {0};
    struct sf_query *query;

    buf_init(&plain, SOQL_MAX_BYTES);
    buf_init(&ordered, SOQL_MAX_BYTES);
    if (!append_changes(poll, reading->facts.window.from_us, &plain, err))
        return false;
    buf_printf(&ordered, "%s order by %s, Id", plain.data, poll->mapping->stamp->field_name);
    if (!sf_query_open(poll->session, ordered.data, &with_deleted, &query, err))
        return false;
    if (reading->facts.server_time_us == 0)
        reading->facts.server_time_us = sf_query_server_time_s(query) * 1000000;
    bool is_many = sf_query_total(query) > poll->bulk_above && !poll->memory->has_no_bulk;
    bool is_ok = is_many || sf_query_each(query, apply_found, reading, err);
    sf_query_close(query);
    return is_ok && (!is_many || apply_by_bulk(poll, plain.data, reading->report, err));
}

/* With a filter all that has changed is asked for first, by its ids: what has left the filter goes,
 * and when there is nothing, one call has told it. */
static bool apply_changes(struct reading *reading, struct error *err)
{
    const struct poll *poll = reading->poll;
    struct sweep_changed changed;

    if (poll->mapping->filter == NULL)
        return read_changes(reading, err);
    if (!sweep_leavers(poll, reading->facts.window.from_us, &changed, reading->report, err))
        return false;
    reading->facts.server_time_us = changed.server_time_us;
    return changed.count == 0 || read_changes(reading, err);
}

/* ---- what was refused ---- */

struct retry {
    const struct mapping *mapping;
    struct refusals_asked asked;
};

static bool forget_asked(void *context, struct pg *pg, struct error *err)
{
    const struct retry *retry = context;

    return refusals_forget(pg, retry->mapping, &retry->asked, err);
}

/* Records that the table refused, once their time has come. */
static bool retry_refused(const struct poll *poll, struct apply_report *report, struct error *err)
{
    struct retry retry = {.mapping = poll->mapping};
    struct arena *arena = arena_new();
    bool is_ok = refusals_due(poll->world.pg, poll->mapping, arena, &retry.asked, err);
    struct fetch fetch = {
        .ids = retry.asked.ids,
        .count = retry.asked.count,
        .page = {.store = forget_asked, .context = &retry, .is_stored_whole = true}};

    is_ok = is_ok && (fetch.count == 0 || fetch_apply(poll, &fetch, report, err));

    arena_free(arena);
    return is_ok;
}

/* ---- what has been deleted ---- */

/*
 * How long ago the oldest unsettled create of ours was sent, at most; 0: there is none. Set back, a
 * clock does not tell. One without a delivery has not been sent by us: Heroku Connect may have, of
 * a log that was adopted.
 */
static bool read_create_age(const struct poll *poll, int64_t *age_us, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = statement_query(
        poll->world.pg, poll->mapping,
        "select (extract(epoch from max(case"
        " when sent_at between clock_timestamp() - interval '30 days' and clock_timestamp()"
        " then clock_timestamp() - sent_at else interval '30 days' end)) * 1000000)::bigint"
        /* OFFSET 0: not all that waits is read, but what was sent of it */
        " from (select d.sent_at"
        " from pgforce.delivery d"
        " cross join lateral (select * from @log where id = d.log_id offset 0) l"
        " where d.mapping_id = @id"
        " and l.table_name = @n"
        " and l.action = 'INSERT'"
        " and l.state in ('NEW', 'PENDING')"
        " union all"
        " select l.updated_at"
        " from @log l"
        " where l.table_name = @n"
        " and l.action = 'INSERT'"
        " and l.state = 'PENDING'"
        " and not exists (select from pgforce.delivery d"
        " where d.mapping_id = @id and d.log_id = l.id)) unsettled",
        PG_PARAMS(), err);

    if (result == NULL)
        return false;
    *age_us = pg_field_int64(result, 0, 0);
    return true;
}

static bool apply_reported(const struct poll *poll, const struct sf_deleted *deleted,
                           struct arena *arena, struct apply_report *report, struct error *err)
{
    const char **ids = arena_array(arena, const char *, deleted->count + 1);
    const struct deletions deletions = {.ids = ids, .count = deleted->count};

    for (size_t i = 0; i < deleted->count; i++)
        ids[i] = deleted->records[i].id;
    return deletions_apply(poll, &deletions, report, err);
}

/* Too many for one answer: half the time. */
static bool ask_deleted(const struct poll *poll, struct sf_span *span, struct arena *arena,
                        struct sf_deleted *deleted, struct error *err)
{
    while (!sf_deleted(poll->session, span, arena, deleted, err)) {
        int64_t half_us = (span->end_us - span->start_us) / 2;

        if (err->kind != ERROR_RECORD || half_us < SHORTEST_SPAN_US)
            return false;
        span->end_us = span->start_us + half_us;
    }
    return true;
}

static bool apply_span(struct reading *reading, int64_t mark_us, struct sf_span *span,
                       struct error *err)
{
    const struct poll *poll = reading->poll;
    struct arena *arena = arena_new();
    struct sf_deleted deleted;
    int64_t age_us = 0;
    bool is_ok =
        (read_create_age(poll, &age_us, err) && ask_deleted(poll, span, arena, &deleted, err) &&
         apply_reported(poll, &deleted, arena, reading->report, err));

    arena_free(arena);
    if (!is_ok)
        return false;
    reading->facts.covered_us = deleted.latest_covered_us;
    reading->next.deletes_up_to_us = watermark_deletions_after(
        &(struct watermark_deleted){.mark_us = mark_us,
                                    .server_time_us = reading->facts.server_time_us,
                                    .covered_us = deleted.latest_covered_us,
                                    .create_age_us = age_us});
    return !watermark_deletions_lost(span->start_us, deleted.earliest_available_us) ||
           sweep_run(poll, reading->report, err);
}

static bool apply_deletions(struct reading *reading, const struct mark *mark, struct error *err)
{
    const struct poll *poll = reading->poll;
    struct watermark_deletions window =
        watermark_deletions(mark->deletes_up_to_us, reading->facts.server_time_us);
    struct sf_span span = {poll->mapping->object_name, window.from_us, window.to_us};

    if (poll->memory->has_no_deletions || reading->facts.server_time_us == 0)
        return true;
    if (window.is_lost && !sweep_run(poll, reading->report, err))
        return false;
    if (apply_span(reading, mark->deletes_up_to_us, &span, err))
        return true;
    if (err->kind != ERROR_CONFIG)
        return false;
    poll->memory->has_no_deletions = true;
    log_warning("reads no deletions", log_text("mapping", poll->mapping->object_name),
                log_text("reason", err->message));
    return true;
}

/* ---- a poll ---- */

/* What the mapping's state says beside its name. */
static bool describe_held(const struct poll *poll, struct buf *description, struct error *err)
{
    int64_t held;

    if (!deletions_count_held(poll->world.pg, poll->mapping, &held, err))
        return false;
    buf_init(description, 256);
    if (held > 0)
        buf_printf(description,
                   "%" PRId64 " deletions wait: `pgforce mapping confirm %s` lets them happen",
                   held, poll->mapping->object_name);
    return true;
}

static bool store(const struct poll *poll, const struct mark *mark, struct error *err)
{
    const struct mapping *mapping = poll->mapping;
    struct pg *pg = poll->world.pg;
    struct buf description BUF_AUTO = {0};
    bool is_ok =
        describe_held(poll, &description, err) && origin_begin(pg, err) &&
        mark_store(pg, mapping, mark, err) &&
        move_daemon(pg,
                    &(struct move){.mapping_id = mapping->id,
                                   .event = STATE_READ,
                                   .to = "DATA_SYNCED",
                                   .description = description.size_bytes > 0 ? description.data
                                                                             : mapping->note},
                    err) &&
        pg_script(pg, "commit", err);

    if (!is_ok)
        pg_rollback(pg);
    return is_ok;
}

static void report_poll(const struct poll *poll, const struct apply_report *report,
                        int64_t began_ms)
{
    if (report->inserted + report->updated + report->deleted + report->merged + report->held.count +
            report->refused ==
        0)
        return;
    log_info("polled", log_text("mapping", poll->mapping->object_name),
             log_number("inserted", report->inserted), log_number("updated", report->updated),
             log_number("deleted", report->deleted), log_number("merged", report->merged),
             log_number("held", report->held.count), log_number("refused", report->refused),
             log_number("ms", clock_monotonic_ms() - began_ms));
}

bool poll_changes(const struct poll *poll, const struct mark *mark, struct apply_report *report,
                  struct error *err)
{
    const struct watermark_limits limits = watermark_default_limits();
    struct reading reading = {
        .poll = poll,
        .report = report,
        .facts = {.mark_us = mark->changes_up_to_us,
                  .window = watermark_window(mark->changes_up_to_us, &limits)},
        .next = {.is_loaded = true},
    };
    int64_t began_ms = clock_monotonic_ms();

    if (!apply_changes(&reading, err))
        return false;
    const struct held held = report->held;
    if (!apply_deletions(&reading, mark, err) || !deletions_release(poll, report, err) ||
        !retry_refused(poll, report, err))
        return false;
    /* Of a deletion that is held only the id is known. */
    reading.facts.held_us = held.oldest_us;
    if (held.deletions == 0)
        reading.next.changes_up_to_us = watermark_after(&reading.facts, &limits);
    if (report->held.deletions > held.deletions)
        reading.next.deletes_up_to_us = 0;
    if (!store(poll, &reading.next, err))
        return false;
    report_poll(poll, report, began_ms);
    return true;
}
