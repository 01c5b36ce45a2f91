#include "inbound/drift.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "inbound/changes.h"
#include "inbound/deletions.h"
#include "inbound/fetch.h"
#include "inbound/statement.h"
#include "mapping/usage.h"
#include "pg/copy.h"
#include "pg/origin.h"
#include "sf/rest.h"
#include "sf/soql.h"
#include "sync/budget.h"

enum {
    SOQL_MAX_BYTES = 100 * 1000,
    SQL_MAX_BYTES = 1 << 20,
    RANGE_ROWS = 10 * 1000,
    SHARE_PERCENT = 20, /* of a mapping's calls of a day, for comparing */
    DAY_MS = 24 * 60 * 60 * 1000,
    BUSY_MS = 10 * 60 * 1000, /* until the organisation is asked whether it has calls to spare */
    NEVER_MS = 24 * 60 * 60 * 1000,
};

/* The comparison of one range. */
struct range {
    const struct poll *poll;
    struct arena *arena;
    const struct mapping_field **watched; /* change without a stamp */
    size_t watched_count;
    struct copy copy;
    int64_t mark_us;
    int64_t count;
    const char *first;      /* the range is behind it, */
    char last[SF_ID_BYTES]; /* and up to here; "" to the end */
};

/* ---- reading a range ---- */

static void choose_watched(struct range *range)
{
    const struct mapping *mapping = range->poll->mapping;

    range->watched = arena_array(range->arena, const struct mapping_field *, mapping->field_count);
    for (size_t i = 0; i < mapping->field_count; i++) {
        const struct mapping_field *field = &mapping->fields[i];

        if (field->is_filled && !field->is_missing &&
            (field->is_calculated || field->relationship_name != NULL))
            range->watched[range->watched_count++] = field;
    }
}

static bool append_soql(const struct range *range, struct buf *soql, struct error *err)
{
    const struct mapping *mapping = range->poll->mapping;
    const char **paths = arena_array(range->arena, const char *, range->watched_count + 2);
    size_t count = 0;

    paths[count++] = mapping->id_field->soql_path;
    paths[count++] = mapping->stamp->soql_path;
    for (size_t i = 0; i < range->watched_count; i++)
        paths[count++] = range->watched[i]->soql_path;
    if (!soql_select(soql, paths, count, mapping->object_name, err))
        return false;
    poll_append_where(range->poll, range->first[0] != '\0', soql);
    if (range->first[0] != '\0')
        buf_printf(soql, "Id > '%s'", range->first);
    buf_printf(soql, " order by Id limit %d", RANGE_ROWS);
    return true;
}

/* Texts as PostgreSQL prints them, so that both can be compared as texts. */
static bool make_table(const struct range *range, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "drop table if exists pg_temp.pgforce_drift;"
                   " create temporary table pgforce_drift"
                   " (sfid varchar(18) collate ucs_basic primary key, stamp timestamp");
    for (size_t i = 0; i < range->watched_count; i++)
        buf_printf(&sql, ", w%zu text", i);
    buf_text(&sql, ")");
    return pg_script(range->poll->world.pg, sql.data, err);
}

static bool put_field(struct range *range, const struct mapping_field *field, const json_t *record,
                      struct error *err)
{
    const char *text;

    if (!changes_read_field(field, record, range->arena, &text, err))
        return false;
    copy_field(&range->copy, text, text != NULL ? strlen(text) : 0);
    return true;
}

static bool put_record(struct range *range, const json_t *record, struct error *err)
{
    const struct mapping *mapping = range->poll->mapping;
    const char *id = json_string_value(json_object_get(record, "Id"));

    if (id == NULL || strlen(id) >= sizeof(range->last))
        return error_set(err, ERROR_RETRY, "the answer has a record without an id");
    strcpy(range->last, id);
    range->count++;
    if (!put_field(range, mapping->id_field, record, err) ||
        !put_field(range, mapping->stamp, record, err))
        return false;
    for (size_t i = 0; i < range->watched_count; i++)
        if (!put_field(range, range->watched[i], record, err))
            return false;
    return copy_end_row(&range->copy, err);
}

static bool put_pages(struct range *range, struct sf_query *query, struct error *err)
{
    for (;;) {
        json_t *records SF_JSON_AUTO = NULL;
        json_t *record;
        size_t i;

        if (!sf_query_next(query, &records, err))
            return false;
        if (records == NULL)
            return true;
        if (wait_is_stopping())
            return error_set(err, ERROR_RETRY, "told to stop");
        json_array_foreach(records, i, record)
        {
            if (!put_record(range, record, err))
                return false;
        }
    }
}

static bool put_query(struct range *range, const char *soql, struct error *err)
{
    struct sf_query *query;

    if (!sf_query_open(range->poll->session, soql, NULL, &query, err))
        return false;
    int64_t total = sf_query_total(query);
    bool is_ok = put_pages(range, query, err);
    sf_query_close(query);
    /* A page that lacks records would look like deletions. */
    if (is_ok && range->count != total)
        return error_set(err, ERROR_RETRY, "the answer had %lld of %lld records",
                         (long long)range->count, (long long)total);
    return is_ok;
}

static bool read_range(struct range *range, struct error *err)
{
    struct buf soql BUF_AUTO = {0};

    choose_watched(range);
    buf_init(&soql, SOQL_MAX_BYTES);
    if (!append_soql(range, &soql, err) || !make_table(range, err) ||
        !copy_begin(&range->copy, range->poll->world.pg, "copy pg_temp.pgforce_drift from stdin",
                    err))
        return false;
    if (!put_query(range, soql.data, err)) {
        copy_abort(&range->copy);
        return false;
    }
    if (range->count < RANGE_ROWS)
        range->last[0] = '\0';
    return copy_end(&range->copy, err);
}

/* ---- comparing it ---- */

struct differences {
    const char **read_again;
    size_t read_count;
    const char **extra;
    size_t extra_count;
};

/* "(t."total__c"::text, ...) is distinct from (d.w0, ...)", or "false". */
static void append_watched(const struct range *range, struct buf *sql)
{
    if (range->watched_count == 0) {
        buf_text(sql, "false");
        return;
    }
    buf_text(sql, "row(");
    for (size_t i = 0; i < range->watched_count; i++) {
        buf_text(sql, i > 0 ? ", t." : "t.");
        pg_append_identifier(sql, range->watched[i]->column_name);
        buf_text(sql, "::text");
    }
    buf_text(sql, ") is distinct from row(");
    for (size_t i = 0; i < range->watched_count; i++)
        buf_printf(sql, "%sd.w%zu", i > 0 ? ", " : "", i);
    buf_text(sql, ")");
}

/* What is newer than the mark is the polls', what the table refused or an operator is asked about
 * is known. */
static void append_comparison(const struct range *range, struct buf *sql)
{
    struct buf stamp BUF_AUTO = {0};

    buf_init(&stamp, 1024);
    pg_append_identifier(&stamp, range->poll->mapping->stamp->column_name);
    buf_printf(sql,
               "select sfid, kind from ("
               "select d.sfid, case"
               " when t.sfid is null then case when d.stamp < m.at then 'missing' end"
               " when t.%s is distinct from d.stamp then"
               " case when d.stamp < m.at then 'stale' end"
               " when ",
               stamp.data);
    append_watched(range, sql);
    buf_printf(sql,
               " then 'calculated' end as kind"
               " from (select to_timestamp($1::bigint / 1000000) at time zone 'UTC' as at) m"
               " cross join pg_temp.pgforce_drift d"
               " left join @t t on t.sfid = d.sfid"
               " where not exists (select from pgforce.refused_record r"
               " where r.mapping_id = @id and r.sfid = d.sfid)"
               " union all"
               " select t.sfid, 'extra'"
               " from @t t"
               " where t.sfid > $2"
               " and ($3 = '' or t.sfid <= $3)"
               " and t.%s < to_timestamp($1::bigint / 1000000) at time zone 'UTC'"
               " and not @gone"
               " and not exists (select from pg_temp.pgforce_drift d where d.sfid = t.sfid)"
               " and not exists (select from pgforce.held_deletion h"
               " where h.mapping_id = @id and h.sfid = t.sfid)"
               ") found where kind is not null",
               stamp.data);
}

static void count_one(const char *kind, struct drift_pass *pass)
{
    switch (kind[0]) {
    case 'm': pass->missing++; break;
    case 'e': pass->extra++; break;
    case 's': pass->stale++; break;
    default: pass->calculated++; break;
    }
}

static bool compare(const struct range *range, struct drift_pass *pass,
                    struct differences *differences, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    append_comparison(range, &sql);
    PGresult *result PG_RESULT_AUTO =
        statement_query(range->poll->world.pg, range->poll->mapping, sql.data,
                        PG_PARAMS(pg_number(range->mark_us).text, range->first, range->last), err);
    if (result == NULL)
        return false;
    size_t rows = (size_t)PQntuples(result);
    differences->read_again = arena_array(range->arena, const char *, rows + 1);
    differences->extra = arena_array(range->arena, const char *, rows + 1);
    for (size_t i = 0; i < rows; i++) {
        const char *id = arena_strdup(range->arena, pg_field(result, (int)i, 0));
        const char *kind = pg_field(result, (int)i, 1);

        count_one(kind, pass);
        if (kind[0] == 'e')
            differences->extra[differences->extra_count++] = id;
        else
            differences->read_again[differences->read_count++] = id;
    }
    pass->checked += range->count;
    return true;
}

/* ---- repairing it ---- */

static bool repair(const struct poll *poll, const struct differences *differences,
                   struct error *err)
{
    const struct deletions extra = {differences->extra, differences->extra_count, true};
    struct apply_report report = {0};

    for (size_t done = 0; done < differences->read_count; done += FETCH_AT_ONCE) {
        size_t left = differences->read_count - done;
        struct fetch some = {.ids = differences->read_again + done,
                             .count = left < FETCH_AT_ONCE ? left : FETCH_AT_ONCE};

        if (!fetch_apply(poll, &some, &report, err))
            return false;
    }
    return extra.count == 0 || deletions_apply(poll, &extra, &report, err);
}

static bool compare_range(struct range *range, bool is_repaired, struct drift_pass *pass,
                          struct error *err)
{
    struct differences differences = {0};
    struct drift_pass next = *pass;
    struct error ignored;

    if (!read_range(range, err) || !compare(range, &next, &differences, err))
        return false;
    pg_script(range->poll->world.pg, "drop table if exists pg_temp.pgforce_drift", &ignored);
    if (is_repaired && !repair(range->poll, &differences, err))
        return false;
    memcpy(next.after_id, range->last, sizeof(next.after_id));
    next.is_over = range->last[0] == '\0';
    *pass = next;
    return true;
}

bool drift_compare(const struct poll *poll, const struct mark *mark, bool is_repaired,
                   struct drift_pass *pass, struct error *err)
{
    struct range range = {.poll = poll, .arena = arena_new(), .mark_us = mark->changes_up_to_us};

    range.first = arena_strdup(range.arena, pass->after_id);
    bool is_ok = compare_range(&range, is_repaired, pass, err);
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
                 " coalesce((extract(epoch from now() - finished_at) * 1000)::bigint, -1)"
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

static bool store_begin(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return pg_run(pg,
                  "update pgforce.drift"
                  " set is_asked = asked_at is not null, asked_at = null, began_at = now(),"
                  " finished_at = null, after_id = null, checked = 0, missing = 0, extra = 0,"
                  " stale = 0, calculated = 0"
                  " where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text), err);
}

static bool store_pass(struct pg *pg, const struct mapping *mapping, const struct drift_pass *pass,
                       struct error *err)
{
    return pg_run(pg,
                  "update pgforce.drift"
                  " set after_id = $2, finished_at = case when $3 then now() end,"
                  " checked = $4, missing = $5, extra = $6, stale = $7, calculated = $8"
                  " where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text, pass->after_id, pass->is_over ? "t" : "f",
                            pg_number(pass->checked).text, pg_number(pass->missing).text,
                            pg_number(pass->extra).text, pg_number(pass->stale).text,
                            pg_number(pass->calculated).text),
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
             log_number("calculated", pass->calculated));
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
    int64_t left_ms = schedule->interval_s * 1000 - progress->since_ms;
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
