#include "inbound/poll.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "mapping/schema.h"
#include "pg/origin.h"
#include "sf/rest.h"
#include "sf/soql.h"
#include "sync/watermark.h"

enum { SOQL_MAX_BYTES = 100 * 1000 };

/* What pgforce.watermark holds; times in microseconds since 1970, 0 for none. */
struct mark {
    int64_t changes_up_to_us;
    char load_after_id[32];
    bool is_loaded;
};

/* What apply_records stores with the rows. */
struct mark_update {
    const struct mapping *mapping;
    int64_t changes_up_to_us; /* 0 leaves it as it is */
    const char *load_after_id;
    bool is_loaded;
};

static bool read_mark(const struct poll *poll, struct mark *mark, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(poll->world.pg,
                 "select coalesce((extract(epoch from changes_up_to) * 1000000)::bigint, 0),"
                 " coalesce(load_after_id, ''), is_loaded"
                 " from pgforce.watermark"
                 " where mapping_id = $1",
                 PG_PARAMS(pg_number(poll->mapping->id).text), err);

    *mark = (struct mark){0};
    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return true;
    mark->changes_up_to_us = pg_field_int64(result, 0, 0);
    snprintf(mark->load_after_id, sizeof(mark->load_after_id), "%s", pg_field(result, 0, 1));
    mark->is_loaded = pg_field_bool(result, 0, 2);
    return true;
}

static bool store_mark(void *context, struct pg *pg, struct error *err)
{
    const struct mark_update *update = context;
    struct pg_number micros = pg_number(update->changes_up_to_us);

    return pg_run(pg,
                  "insert into pgforce.watermark as w"
                  " (mapping_id, changes_up_to, load_after_id, is_loaded, polled_at)"
                  " values ($1, to_timestamp($2::bigint / 1000000.0), $3, $4, now())"
                  " on conflict (mapping_id) do update"
                  " set changes_up_to = coalesce(excluded.changes_up_to, w.changes_up_to),"
                  " load_after_id = excluded.load_after_id,"
                  " is_loaded = excluded.is_loaded,"
                  " polled_at = excluded.polled_at",
                  PG_PARAMS(pg_number(update->mapping->id).text,
                            update->changes_up_to_us != 0 ? micros.text : NULL,
                            update->load_after_id, update->is_loaded ? "t" : "f"),
                  err);
}

bool poll_is_loaded(const struct poll *poll, bool *is_loaded, struct error *err)
{
    struct mark mark;

    if (!read_mark(poll, &mark, err))
        return false;
    *is_loaded = mark.is_loaded;
    return true;
}

static bool append_select(const struct mapping *mapping, struct arena *arena, struct buf *soql,
                          struct error *err)
{
    const char **paths = arena_array(arena, const char *, mapping->field_count);

    for (size_t i = 0; i < mapping->field_count; i++)
        paths[i] = mapping->fields[i].soql_path;
    return soql_select(soql, paths, mapping->field_count, mapping->object_name, err);
}

/* A query and its pages, each applied and forgotten before the next is asked for. */
struct reading {
    const struct poll *poll;
    struct sf_query *query;
    bool is_initial;
    struct mark_update update;
    struct apply_report *report;
};

static const char *last_id(const json_t *records)
{
    size_t count = json_array_size(records);

    return count > 0 ? json_string_value(json_object_get(json_array_get(records, count - 1), "Id"))
                     : NULL;
}

static bool apply_page(struct reading *reading, const json_t *records, struct error *err)
{
    struct apply_page page = {.mapping = reading->poll->mapping,
                              .records = records,
                              .is_initial = reading->is_initial,
                              .store = reading->is_initial ? store_mark : NULL,
                              .context = &reading->update};

    arena_reset(reading->poll->world.arena);
    if (reading->is_initial)
        reading->update.load_after_id = last_id(records);
    return apply_records(&reading->poll->world, &page, reading->report, err);
}

static bool apply_pages(struct reading *reading, struct error *err)
{
    for (;;) {
        json_t *records SF_JSON_AUTO = NULL;

        if (!sf_query_next(reading->query, &records, err))
            return false;
        if (records == NULL)
            return true;
        if (wait_is_stopping())
            return error_set(err, ERROR_RETRY, "told to stop");
        if (json_array_size(records) > 0 && !apply_page(reading, records, err))
            return false;
    }
}

/* Stores what is true only once every page has been applied. */
static bool finish(struct reading *reading, struct error *err)
{
    struct pg *pg = reading->poll->world.pg;
    bool is_ok = origin_begin(pg, err) && store_mark(&reading->update, pg, err) &&
                 mapping_set_state(pg, reading->poll->mapping->id, "DATA_SYNCED", NULL, err) &&
                 pg_script(pg, "commit", err);

    if (!is_ok)
        pg_rollback(pg);
    return is_ok;
}

static bool create_indexes(const struct poll *poll, struct error *err)
{
    bool is_ok = origin_begin(poll->world.pg, err) &&
                 schema_create_indexes(poll->world.pg, poll->mapping, err) &&
                 pg_script(poll->world.pg, "commit", err);

    if (!is_ok)
        pg_rollback(poll->world.pg);
    return is_ok;
}

/*
 * What changes while the load runs lies after the mark that is stored at its beginning: the first
 * poll reads it.
 */
static bool open_load(struct reading *reading, const struct mark *mark, struct error *err)
{
    static const struct sf_query_options live_only = {0};
    const struct poll *poll = reading->poll;
    struct watermark_limits limits = watermark_default_limits();
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_BYTES);
    if (!append_select(poll->mapping, poll->world.arena, &soql, err))
        return false;
    if (mark->load_after_id[0] != '\0')
        buf_printf(&soql, " where Id > '%s'", mark->load_after_id);
    buf_text(&soql, " order by Id");
    if (!sf_query_open(poll->session, soql.data, &live_only, &reading->query, err))
        return false;
    if (mark->changes_up_to_us == 0)
        reading->update.changes_up_to_us =
            sf_query_server_time_s(reading->query) * 1000000 - limits.lag_us;
    return true;
}

bool poll_load(const struct poll *poll, struct apply_report *report, struct error *err)
{
    struct reading reading = {
        .poll = poll, .is_initial = true, .update = {.mapping = poll->mapping}, .report = report};
    int64_t began_ms = clock_monotonic_ms();
    struct mark mark;

    if (!read_mark(poll, &mark, err) || !create_indexes(poll, err) ||
        !mapping_set_state(poll->world.pg, poll->mapping->id, "RELOAD_TABLE", NULL, err) ||
        !open_load(&reading, &mark, err))
        return false;
    bool is_ok = apply_pages(&reading, err);
    sf_query_close(reading.query);
    reading.update.is_loaded = true;
    reading.update.load_after_id = NULL;
    if (!is_ok || !finish(&reading, err))
        return false;
    log_info("loaded", log_text("mapping", poll->mapping->object_name),
             log_number("rows", report->inserted + report->updated),
             log_number("ms", clock_monotonic_ms() - began_ms));
    return true;
}

static bool open_changes(struct reading *reading, int64_t from_us, struct error *err)
{
    static const struct sf_query_options with_deleted = {.with_deleted = true};
    const struct mapping *mapping = reading->poll->mapping;
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_BYTES);
    if (!append_select(mapping, reading->poll->world.arena, &soql, err))
        return false;
    buf_printf(&soql, " where %s >= ", mapping->stamp->field_name);
    soql_datetime(&soql, from_us);
    buf_printf(&soql, " order by %s, Id", mapping->stamp->field_name);
    return sf_query_open(reading->poll->session, soql.data, &with_deleted, &reading->query, err);
}

static void report_poll(const struct poll *poll, const struct apply_report *report,
                        int64_t began_ms)
{
    if (report->inserted + report->updated + report->deleted + report->merged + report->held == 0)
        return;
    log_info("polled", log_text("mapping", poll->mapping->object_name),
             log_number("inserted", report->inserted), log_number("updated", report->updated),
             log_number("deleted", report->deleted), log_number("merged", report->merged),
             log_number("held", report->held), log_number("ms", clock_monotonic_ms() - began_ms));
}

bool poll_changes(const struct poll *poll, struct apply_report *report, struct error *err)
{
    struct watermark_limits limits = watermark_default_limits();
    struct reading reading = {
        .poll = poll, .update = {.mapping = poll->mapping, .is_loaded = true}, .report = report};
    int64_t began_ms = clock_monotonic_ms();
    struct mark mark;

    if (!read_mark(poll, &mark, err))
        return false;
    struct watermark_window window = watermark_window(mark.changes_up_to_us, &limits);
    if (!open_changes(&reading, window.from_us, err))
        return false;
    struct watermark_poll facts = {
        .mark_us = mark.changes_up_to_us,
        .server_time_us = sf_query_server_time_s(reading.query) * 1000000,
        .window = window,
    };
    bool is_ok = apply_pages(&reading, err);
    sf_query_close(reading.query);
    if (report->held == 0)
        reading.update.changes_up_to_us = watermark_after(&facts, &limits);
    if (!is_ok || !finish(&reading, err))
        return false;
    report_poll(poll, report, began_ms);
    return true;
}
