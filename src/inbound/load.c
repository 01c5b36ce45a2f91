/*
 * The invariants of loading:
 *
 *  1. The watermark, and how the load is done, are committed before its first page.
 *  2. A page's rows and the place of the page after it are committed together.
 *  3. A result that Salesforce no longer has, or that is not whole, is begun anew; what is in the
 *     table then is compared with it, row by row.
 */
#include "inbound/load.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "inbound/bulk_rows.h"
#include "inbound/drift.h"
#include "inbound/statement.h"
#include "inbound/sweep.h"
#include "mapping/move.h"
#include "mapping/schema.h"
#include "mapping/store.h"
#include "pg/origin.h"
#include "sf/rest.h"
#include "sf/soql.h"
#include "sync/watermark.h"

enum {
    SOQL_MAX_BYTES = 100 * 1000,
    /* Of a Bulk result: what a transaction holds, and a crash may cost. */
    PAGE_ROWS = 50 * 1000,
    PAGE_BYTES = 64 * 1024 * 1024,
    TELL_EVERY_MS = 10 * 1000,
};

struct load {
    const struct poll *poll;
    struct mark_load state;
    struct arena *arena; /* the state's texts as they were read */
    struct apply_report *report;
    bool was_loaded; /* before: RESYNC */
    bool is_sweeping;
    int64_t began_ms;
    int64_t began_with; /* rows that were in already */
    int64_t told_ms;
    struct sf_bulk_result *result; /* by Bulk: being read */
    struct bulk_rows *rows;
    const json_t *records; /* by REST: the page being applied */
};

static int64_t rows_per_s(const struct load *load)
{
    int64_t ms = clock_monotonic_ms() - load->began_ms;

    return (load->state.rows_done - load->began_with) * 1000 / (ms > 0 ? ms : 1);
}

static void tell_progress(struct load *load)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t rate = rows_per_s(load);
    int64_t left = load->state.rows_total - load->state.rows_done;

    if (now_ms - load->told_ms < TELL_EVERY_MS)
        return;
    load->told_ms = now_ms;
    log_info("loading", log_text("mapping", load->poll->mapping->object_name),
             log_number("rows", load->state.rows_done), log_number("total", load->state.rows_total),
             log_number("rows_per_s", rate),
             log_number("seconds_left", rate > 0 && left > 0 ? left / rate : 0));
}

/* ---- beginning ---- */

static bool is_table_empty(const struct load *load, bool *is_empty, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        statement_query(load->poll->world.pg, load->poll->mapping,
                        "select not exists (select from @t)", PG_PARAMS(), err);

    if (result == NULL)
        return false;
    *is_empty = pg_field_bool(result, 0, 0);
    return true;
}

/* An organisation that cannot count in time has many. */
static bool count_records(struct load *load, int64_t *server_time_s, struct error *err)
{
    const char *object = load->poll->mapping->object_name;
    struct buf soql BUF_AUTO = {0};
    struct sf_query *query;

    buf_init(&soql, SOQL_MAX_BYTES);
    buf_printf(&soql, "select count() from %s", object);
    poll_append_where(load->poll, false, &soql);
    if (!sf_query_open(load->poll->session, soql.data, NULL, &query, err)) {
        if (err->kind == ERROR_CONFIG || wait_is_stopping())
            return false;
        log_warning("could not count", log_text("mapping", object),
                    log_text("reason", err->message));
        load->state.rows_total = INT64_MAX;
        return true;
    }
    load->state.rows_total = sf_query_total(query);
    *server_time_s = sf_query_server_time_s(query);
    sf_query_close(query);
    return true;
}

/* What Bulk does not take, REST may. */
static bool make_job(struct load *load, struct sf_bulk_job *job, struct error *err)
{
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_BYTES);
    if (!poll_append_select(load->poll, &soql, err))
        return false;
    poll_append_where(load->poll, false, &soql);
    if (sf_bulk_create(load->poll->session, soql.data, false, job, err)) {
        load->state.job_id = job->id;
        return true;
    }
    if (err->kind == ERROR_RETRY)
        return false;
    log_warning("loads by REST", log_text("mapping", load->poll->mapping->object_name),
                log_text("reason", err->message));
    return true;
}

static bool store_beginning(const struct load *load, int64_t server_time_s, struct error *err)
{
    const struct watermark_limits limits = watermark_default_limits();
    const struct mapping *mapping = load->poll->mapping;
    int64_t up_to_us = server_time_s * 1000000 - limits.lag_us;
    const struct mark mark = {
        .changes_up_to_us = up_to_us, .deletes_up_to_us = up_to_us, .is_loaded = load->was_loaded};
    struct pg *pg = load->poll->world.pg;
    bool is_ok = server_time_s != 0 || error_set(err, ERROR_RETRY, "Salesforce tells no time");

    is_ok = is_ok && origin_begin(pg, err) && mark_store(pg, mapping, &mark, err) &&
            mark_load_begin(pg, mapping, &load->state, err) && pg_script(pg, "commit", err);
    if (!is_ok)
        pg_rollback(pg);
    return is_ok;
}

/* job must live as long as the load: its id is part of the state. */
static bool begin(struct load *load, struct sf_bulk_job *job, struct error *err)
{
    int64_t server_time_s = 0;
    bool is_empty;

    load->state = (struct mark_load){.began_us = load->poll->world.began_us};
    if (!is_table_empty(load, &is_empty, err) || !count_records(load, &server_time_s, err))
        return false;
    load->state.is_direct = is_empty && !load->was_loaded && !load->poll->world.is_announced;
    if (load->state.rows_total > load->poll->bulk_above && !make_job(load, job, err))
        return false;
    if (server_time_s == 0)
        server_time_s = job->server_time_s;
    return store_beginning(load, server_time_s, err);
}

static bool create_indexes(const struct load *load, struct error *err)
{
    struct pg *pg = load->poll->world.pg;
    bool is_ok = origin_begin(pg, err) && schema_create_indexes(pg, load->poll->mapping, err) &&
                 pg_script(pg, "commit", err);

    if (!is_ok)
        pg_rollback(pg);
    return is_ok;
}

/* ---- pages ---- */

static const char *last_id(const json_t *records)
{
    size_t count = json_array_size(records);

    return count > 0 ? json_string_value(json_object_get(json_array_get(records, count - 1), "Id"))
                     : NULL;
}

/* Inside the page's transaction. */
static bool store_place(void *context, struct pg *pg, struct error *err)
{
    const struct load *load = context;
    struct mark_load next = load->state;

    if (load->records != NULL) {
        next.after_id = last_id(load->records);
        next.rows_done += (int64_t)json_array_size(load->records);
    } else {
        next.locator = sf_bulk_result_locator(load->result);
        next.rows_done += load->rows->given;
    }
    return mark_load_advance(pg, load->poll->mapping, &next, rows_per_s(load), err);
}

/* No poll reads again what is held: its records may be of long ago. */
static bool note_held(const struct load *load, int64_t before, struct error *err)
{
    int64_t held = load->report->held.count - before;

    return held == 0 || drift_note_held(load->poll->world.pg, load->poll->mapping, held, err);
}

static bool apply_page(struct load *load, const struct apply_source *source, struct error *err)
{
    const struct apply_page page = {.mapping = load->poll->mapping,
                                    .records = load->records,
                                    .source = source,
                                    .is_initial = !load->was_loaded,
                                    .is_old = load->was_loaded,
                                    .is_direct = load->state.is_direct,
                                    .store = store_place,
                                    .context = load};
    int64_t held = load->report->held.count;

    arena_reset(load->poll->world.arena);
    if (!apply_records(&load->poll->world, &page, load->report, err) || !note_held(load, held, err))
        return false;
    load->state.rows_done +=
        load->records != NULL ? (int64_t)json_array_size(load->records) : load->rows->given;
    tell_progress(load);
    if (load->poll->tend != NULL)
        load->poll->tend(load->poll->context);
    return !wait_is_stopping() || error_set(err, ERROR_RETRY, "told to stop");
}

static bool apply_result(struct load *load, struct error *err)
{
    const struct apply_source source = {bulk_rows_give, load->rows};
    struct sf_csv_row header;
    bool is_page;

    for (;;) {
        if (!sf_bulk_result_page(load->result, &is_page, &header, err))
            return false;
        if (!is_page)
            return true;
        if (!bulk_rows_begin(load->rows, &header, err) || !apply_page(load, &source, err))
            return false;
    }
}

/* The result is of no more use: what is in the table stays, and is compared with the next one. */
static bool begin_anew(struct load *load, const char *reason, struct error *err)
{
    struct pg *pg = load->poll->world.pg;
    bool is_ok = origin_begin(pg, err) && mark_load_end(pg, load->poll->mapping, err) &&
                 pg_script(pg, "commit", err);

    if (!is_ok) {
        pg_rollback(pg);
        return false;
    }
    return error_set(err, ERROR_RETRY, "the load begins anew: %s", reason);
}

static bool check_count(struct load *load, struct error *err)
{
    char reason[128];

    if (load->state.rows_done == load->state.rows_total)
        return true;
    snprintf(reason, sizeof(reason), "the result had %" PRId64 " of %" PRId64 " rows",
             load->state.rows_done, load->state.rows_total);
    return begin_anew(load, reason, err);
}

static bool load_by_bulk(struct load *load, struct error *err)
{
    const struct poll *poll = load->poll;
    const struct sf_bulk_place place = {load->state.job_id, load->state.locator, PAGE_ROWS,
                                        PAGE_BYTES};
    struct sf_bulk_progress progress;
    struct bulk_rows rows;

    if (!poll_wait_for_job(poll, place.job_id, &progress, err))
        return false;
    if (progress.state == SF_BULK_LOST)
        return begin_anew(load, progress.message, err);
    load->state.rows_total = progress.records;
    /* Killed between the last page and the end: there is no place after it. */
    if (load->state.rows_done > 0 && load->state.locator == NULL)
        return check_count(load, err);
    load->result = sf_bulk_result_open(poll->session, &place);
    bulk_rows_init(&rows, poll->mapping, load->result);
    load->rows = &rows;
    bool is_ok = apply_result(load, err);
    bulk_rows_done(&rows);
    sf_bulk_result_close(load->result);
    return is_ok && check_count(load, err);
}

static bool open_query(const struct load *load, struct sf_query **query, struct error *err)
{
    static const struct sf_query_options live_only = {0};
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_BYTES);
    if (!poll_append_select(load->poll, &soql, err))
        return false;
    poll_append_where(load->poll, load->state.after_id != NULL, &soql);
    if (load->state.after_id != NULL)
        buf_printf(&soql, "Id > '%s'", load->state.after_id);
    buf_text(&soql, " order by Id");
    return sf_query_open(load->poll->session, soql.data, &live_only, query, err);
}

static bool apply_found(void *context, const json_t *records, struct error *err)
{
    struct load *load = context;

    load->records = records;
    return apply_page(load, NULL, err);
}

static bool load_by_rest(struct load *load, struct error *err)
{
    struct sf_query *query;

    if (!open_query(load, &query, err))
        return false;
    bool is_ok = sf_query_each(query, apply_found, load, err);
    sf_query_close(query);
    return is_ok;
}

/* ---- ending ---- */

static bool has_local_rows(struct pg *pg, const struct mapping *mapping, bool *has,
                           struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        statement_query(pg, mapping, "select exists (select from @t where _hc_lastop is not null)",
                        PG_PARAMS(), err);

    *has = result != NULL && pg_field_bool(result, 0, 0);
    return result != NULL;
}

/* Rows that the application inserted meanwhile, and that were sent, came back by the load too: the
 * application's own stay. */
static bool drop_second_rows(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    int64_t ignored = 0;
    bool has;

    if (!has_local_rows(pg, mapping, &has, err))
        return false;
    return !has || (statement_run(pg, mapping,
                                  "delete from @t s"
                                  " using @t t"
                                  " where s._hc_lastop is null"
                                  " and t._hc_lastop is not null"
                                  " and t.sfid = s.sfid",
                                  &ignored, err) &&
                    statement_run(pg, mapping,
                                  "delete from @t s"
                                  " using @t t"
                                  " where s._hc_lastop is null"
                                  " and t._hc_lastop is not null"
                                  " and t.sfid is null"
                                  " and @key",
                                  &ignored, err));
}

/* An INSERT without a unique identifier whose answer is awaited: which of the loaded records it has
 * made, if any, is known when it is settled. Until then the load does not end, and the loaded row
 * keeps the mark by which it is told from the application's (outbound/doubt.c). */
static bool wait_for_own_inserts(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        statement_query(pg, mapping,
                        "select exists (select from @log l"
                        " where l.table_name = @n"
                        " and l.action = 'INSERT'"
                        " and l.state = 'PENDING'"
                        " and not exists (select from pgforce.delivery d"
                        " where d.mapping_id = @id"
                        " and d.log_id = l.id"
                        " and d.external_id is not null))"
                        " or exists " STATEMENT_LATE_INSERT,
                        PG_PARAMS(), err);

    if (result == NULL)
        return false;
    return !pg_field_bool(result, 0, 0) ||
           error_set(err, ERROR_RETRY,
                     "the load ends when an INSERT of the application's has been answered: its"
                     " record may be among the loaded ones");
}

static bool end_direct(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return wait_for_own_inserts(pg, mapping, err) && drop_second_rows(pg, mapping, err) &&
           schema_create_indexes(pg, mapping, err);
}

static bool sweep(const struct load *load, struct error *err)
{
    int64_t held = load->report->held.count;

    return sweep_run(load->poll, load->report, err) && note_held(load, held, err);
}

static bool finish(const struct load *load, struct error *err)
{
    const struct mapping *mapping = load->poll->mapping;
    const struct mark mark = {.is_loaded = true};
    struct pg *pg = load->poll->world.pg;
    bool is_ok = origin_begin(pg, err);

    if (load->state.is_direct)
        is_ok = is_ok && end_direct(pg, mapping, err);
    is_ok = is_ok && mark_store(pg, mapping, &mark, err) && mark_load_end(pg, mapping, err) &&
            store_note_filled(pg, mapping, err) &&
            move_daemon(pg,
                        &(struct move){.mapping_id = mapping->id,
                                       .event = STATE_READ,
                                       .to = "DATA_SYNCED",
                                       .description = mapping->note},
                        err) &&
            pg_script(pg, "commit", err);
    if (!is_ok)
        pg_rollback(pg);
    return is_ok;
}

/* A row that the table refuses ends a direct page: from here on the rows are staged first, where it
 * can be told which one it is. */
static bool leave_direct(struct load *load, const char *why, struct error *err)
{
    struct pg *pg = load->poll->world.pg;

    load->state.is_direct = false;
    bool is_ok = origin_begin(pg, err) && end_direct(pg, load->poll->mapping, err) &&
                 mark_load_stage(pg, load->poll->mapping, err) && pg_script(pg, "commit", err);
    if (!is_ok)
        pg_rollback(pg);
    return is_ok && error_set(err, ERROR_RETRY, "%s", why);
}

static bool load_pages(struct load *load, struct error *err)
{
    /* Triggers were made meanwhile: from here on what is written is announced. */
    if (load->state.is_direct && load->poll->world.is_announced)
        return leave_direct(load, "the table has triggers now: going on by stages", err);
    if (!load->state.is_direct && !create_indexes(load, err))
        return false;
    load->began_ms = load->told_ms = clock_monotonic_ms();
    load->began_with = load->state.rows_done;
    bool is_ok = load->state.job_id != NULL ? load_by_bulk(load, err) : load_by_rest(load, err);
    if (!is_ok && err->kind == ERROR_RECORD && load->state.is_direct)
        return leave_direct(load, "a row was refused: going on row by row", err);
    return is_ok;
}

/* Of a load that goes on, too: it may have been aborted and resumed. One that failed stays so until
 * it is over. */
static bool tell_state(const struct load *load, struct error *err)
{
    const struct mapping *mapping = load->poll->mapping;
    const struct move move = {.mapping_id = mapping->id,
                              .event = STATE_LOAD,
                              .to = load->was_loaded ? "RESYNC" : "RELOAD_TABLE"};

    return (load->state.is_there && strcmp(mapping->state, "SYSTEM_ERROR") == 0) ||
           move_daemon(load->poll->world.pg, &move, err);
}

static bool run(struct load *load, struct error *err)
{
    const struct mapping *mapping = load->poll->mapping;
    int64_t began_ms = clock_monotonic_ms();
    struct sf_bulk_job job = {0};

    if (!mark_load_read(load->poll->world.pg, mapping, load->arena, &load->state, err) ||
        !tell_state(load, err))
        return false;
    if (!load->state.is_there && !begin(load, &job, err))
        return false;
    if (!load_pages(load, err) || (load->is_sweeping && !sweep(load, err)) || !finish(load, err))
        return false;
    if (load->state.job_id != NULL)
        sf_bulk_drop(load->poll->session, load->state.job_id);
    log_info("loaded", log_text("mapping", mapping->object_name),
             log_number("rows", load->state.rows_done), log_number("rows_per_s", rows_per_s(load)),
             log_number("ms", clock_monotonic_ms() - began_ms));
    return true;
}

bool load_run(const struct poll *poll, const struct mark *mark, struct apply_report *report,
              struct error *err)
{
    struct load load = {.poll = poll,
                        .arena = arena_new(),
                        .report = report,
                        .was_loaded = mark->is_loaded,
                        .is_sweeping = mark->is_sweeping};
    bool is_ok = run(&load, err);

    arena_free(load.arena);
    return is_ok;
}
