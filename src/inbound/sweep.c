#include "inbound/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/wait.h"
#include "inbound/deletions.h"
#include "inbound/statement.h"
#include "pg/copy.h"
#include "sf/bulk_query.h"
#include "sf/rest.h"

enum { SOQL_MAX_BYTES = 4096, PAGE_ROWS = 100 * 1000 };

/* The ids go to a temporary table as they come. */
struct sweep {
    const struct poll *poll;
    struct copy copy;
    int64_t count;
};

static bool put_id(struct sweep *sweep, const char *id, struct error *err)
{
    if (id == NULL)
        return error_set(err, ERROR_RETRY, "the answer has a record without an id");
    sweep->count++;
    copy_field(&sweep->copy, id, strlen(id));
    return copy_end_row(&sweep->copy, err);
}

static bool put_records(struct sweep *sweep, struct sf_query *query, struct error *err)
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
            if (!put_id(sweep, json_string_value(json_object_get(record, "Id")), err))
                return false;
        }
    }
}

static bool put_rows(struct sweep *sweep, struct sf_bulk_result *result, struct error *err)
{
    struct sf_csv_row row;
    bool is_there;

    for (;;) {
        if (!sf_bulk_result_page(result, &is_there, &row, err))
            return false;
        if (!is_there)
            return true;
        for (;;) {
            if (!sf_bulk_result_row(result, &is_there, &row, err))
                return false;
            if (!is_there)
                break;
            if (!put_id(sweep, row.cells[0], err))
                return false;
        }
    }
}

static bool put_result(struct sweep *sweep, const char *job_id, struct error *err)
{
    const struct sf_bulk_place place = {job_id, NULL, PAGE_ROWS};
    struct sf_bulk_progress progress;

    if (!poll_wait_for_job(sweep->poll, job_id, &progress, err))
        return false;
    if (progress.state == SF_BULK_LOST)
        return error_set(err, ERROR_RETRY, "the Bulk query for all ids ended: %s",
                         progress.message);
    struct sf_bulk_result *result = sf_bulk_result_open(sweep->poll->session, &place);
    bool is_ok = put_rows(sweep, result, err);
    sf_bulk_result_close(result);
    if (is_ok && sweep->count != progress.records)
        return error_set(err, ERROR_RETRY, "the result had %lld of %lld ids: read again",
                         (long long)sweep->count, (long long)progress.records);
    return is_ok;
}

static bool put_by_bulk(struct sweep *sweep, const char *soql, struct error *err)
{
    struct sf_bulk_job job;

    if (!sf_bulk_create(sweep->poll->session, soql, false, &job, err))
        return false;
    bool is_ok = put_result(sweep, job.id, err);
    sf_bulk_drop(sweep->poll->session, job.id);
    return is_ok;
}

static bool put_all(struct sweep *sweep, struct error *err)
{
    const struct poll *poll = sweep->poll;
    struct buf soql BUF_AUTO = {0};
    struct sf_query *query;

    buf_init(&soql, SOQL_MAX_BYTES);
    buf_printf(&soql, "select Id from %s", poll->mapping->object_name);
    if (!sf_query_open(poll->session, soql.data, NULL, &query, err))
        return false;
    int64_t total = sf_query_total(query);
    bool is_many = total > poll->bulk_above && !poll->memory->has_no_bulk;
    bool is_ok = is_many || put_records(sweep, query, err);
    sf_query_close(query);
    if (is_many)
        return put_by_bulk(sweep, soql.data, err);
    /* A page that lacks records would look like deletions. */
    if (is_ok && sweep->count != total)
        return error_set(err, ERROR_RETRY, "the answer had %lld of %lld ids: read again",
                         (long long)sweep->count, (long long)total);
    return is_ok;
}

static bool gather(struct sweep *sweep, struct error *err)
{
    struct pg *pg = sweep->poll->world.pg;

    if (!pg_script(pg,
                   "drop table if exists pg_temp.pgforce_sweep;"
                   " create temporary table pgforce_sweep (sfid varchar(18) collate ucs_basic)",
                   err) ||
        !copy_begin(&sweep->copy, pg, "copy pg_temp.pgforce_sweep (sfid) from stdin", err))
        return false;
    if (put_all(sweep, err))
        return copy_end(&sweep->copy, err);
    copy_abort(&sweep->copy);
    return false;
}

/* A row that was changed only just may be of a record that is younger than the list of ids. */
static bool apply_absent(const struct poll *poll, struct apply_report *report, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = statement_query(
        poll->world.pg, poll->mapping,
        "select t.sfid from @t t"
        " where t.sfid is not null"
        " and not @gone"
        " and not exists (select from pg_temp.pgforce_sweep s where s.sfid = t.sfid)",
        PG_PARAMS(), err);

    if (result == NULL)
        return false;
    const char **ids = memory_alloc(((size_t)PQntuples(result) + 1) * sizeof(*ids));
    struct deletions deletions = {ids, (size_t)PQntuples(result), true};
    for (size_t i = 0; i < deletions.count; i++)
        ids[i] = pg_field(result, (int)i, 0);
    bool is_ok = deletions_apply(poll, &deletions, report, err);
    free(ids);
    log_info("compared all ids", log_text("mapping", poll->mapping->object_name),
             log_number("absent", (int64_t)deletions.count));
    return is_ok;
}

bool sweep_run(const struct poll *poll, struct apply_report *report, struct error *err)
{
    struct sweep sweep = {.poll = poll};
    struct error ignored;
    bool is_ok = gather(&sweep, err) && apply_absent(poll, report, err);

    if (is_ok)
        pg_script(poll->world.pg, "drop table if exists pg_temp.pgforce_sweep", &ignored);
    return is_ok || error_prefix(err, "comparing all ids");
}
