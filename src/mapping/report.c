#include "mapping/report.h"

#include "mapping/mapping.h"

/* Tables up to here are counted; of larger ones the server's own estimate is told. */
enum { COUNTED_ROWS = 20000 };

static void append_counts(struct buf *sql, const char *schema_name)
{
    buf_text(sql, "jsonb_build_object('counts', jsonb_build_object("
                  "'db', greatest(c.reltuples, 0)::bigint, 'sf', m.sf_count, 'pending', (select "
                  "count(*) from ");
    pg_append_qualified(sql, schema_name, "_trigger_log");
    buf_text(sql, " l where l.table_name = m.table_name and l.state in ('NEW', 'PENDING')),"
                  " 'errors', (select count(*) from ");
    pg_append_qualified(sql, schema_name, "_trigger_log");
    buf_text(sql, " l where l.table_name = m.table_name and l.state = 'FAILED')))");
}

static const char settings[] =
    "jsonb_build_object("
    "'id', m.id, 'uuid', m.uuid,"
    " 'connection_uuid', (select uuid from pgforce.connection where schema_name = m.schema_name),"
    " 'object_name', m.object_name, 'table_name', m.table_name,"
    " 'state', pgforce.told_state(m), 'state_description', m.state_description,"
    " 'organisation', m.survey, 'operation', m.operation, 'has_table', c.oid is not null, "
    "'is_orphan', m.is_orphan, "
    "'access', m.access,"
    " 'sf_notify_enabled', m.notify, 'sf_polling_seconds', m.polling_seconds,"
    " 'sf_max_daily_api_calls', m.max_daily_api_calls,"
    " 'upsert_field', m.upsert_field, 'config', m.config,"
    " 'sf_counted_at', " PG_RFC3339(
        "m.sf_counted_at") ","
                           " 'created_at', " PG_RFC3339(
                               "m.created_at") ", 'updated_at', " PG_RFC3339("m.updated_at") ")";

static const char progress[] =
    "jsonb_build_object('is_loaded', coalesce(w.is_loaded, false),"
    " 'polled_at', " PG_RFC3339("w.polled_at") ", 'changes_up_to', " PG_RFC3339(
        "w.changes_up_to") ","
                           " 'load', (select jsonb_build_object('rows_done', l.rows_done, "
                           "'rows_total', l.rows_total,"
                           " 'rows_per_second', l.rows_per_second,"
                           " 'remaining_s', greatest(l.rows_total - l.rows_done, 0)"
                           " / nullif(l.rows_per_second, 0)) from pgforce.load l where "
                           "l.mapping_id = m.id),"
                           " 'held_deletions', (select count(*) from pgforce.held_deletion h"
                           " where h.mapping_id = m.id and h.confirmed_at is null),"
                           " 'refused_records', (select count(*) from pgforce.refused_record r"
                           " where r.mapping_id = m.id),"
                           " 'waiting_writes', " REPORT_WAITING_WRITES ")";

static const char fields[] =
    "jsonb_build_object('fields', (select coalesce(jsonb_agg(jsonb_build_object("
    "'name', f.field_name, 'column', f.column_name, 'type', f.field_type,"
    " 'column_type', f.column_type, 'is_filled', f.is_filled) order by f.position), '[]')"
    " from pgforce.mapping_field f where f.mapping_id = m.id))";

static void append_sql(struct buf *sql, const char *schema_name)
{
    buf_printf(sql, "select coalesce(jsonb_agg(%s || %s || %s || ", settings, progress, fields);
    append_counts(sql, schema_name);
    buf_text(sql, " order by m.object_name collate \"C\"), '[]')"
                  " from pgforce.mapping m"
                  " left join pgforce.watermark w on w.mapping_id = m.id"
                  " left join pg_namespace n on n.nspname = m.schema_name"
                  " left join pg_class c on c.relnamespace = n.oid and c.relname = m.table_name"
                  " and c.relkind = 'r'"
                  " where m.schema_name = $1"
                  " and ($2::text is null or lower(m.object_name) = lower($2))");
}

static bool is_small(const json_t *report)
{
    return json_is_true(json_object_get(report, "has_table")) &&
           json_integer_value(json_object_get(json_object_get(report, "counts"), "db")) <
               COUNTED_ROWS;
}

/* One row per small table: its place in the list, and its rows. */
static void append_counting(struct buf *sql, const char *schema_name, const json_t *reports)
{
    json_t *report;
    size_t i;

    json_array_foreach(reports, i, report)
    {
        if (!is_small(report))
            continue;
        buf_printf(sql, "%sselect %zu, count(*) from (select from ",
                   sql->size_bytes > 0 ? " union all " : "", i);
        pg_append_qualified(sql, schema_name,
                            json_string_value(json_object_get(report, "table_name")));
        buf_printf(sql, " limit %d) as t", COUNTED_ROWS);
    }
}

/* The estimate of a table that was never analysed is nothing. */
static bool count_rows(struct pg *pg, const char *schema_name, json_t *reports, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 16 * 1024 * 1024);
    append_counting(&sql, schema_name, reports);
    if (sql.size_bytes == 0)
        return true;
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(), err);
    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result); i++) {
        json_t *report = json_array_get(reports, (size_t)pg_field_int64(result, i, 0));

        json_object_set_new(json_object_get(report, "counts"), "db",
                            json_integer(pg_field_int64(result, i, 1)));
    }
    return true;
}

static bool read_reports(struct pg *pg, const char *schema_name, const char *object_name,
                         json_t **out, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 16 * 1024);
    append_sql(&sql, schema_name);
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, sql.data, PG_PARAMS(schema_name, object_name), err);
    if (result == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    *out = json_loads(pg_field(result, 0, 0), 0, NULL);
    if (*out == NULL)
        return error_set(err, ERROR_BUG, "the server's list of mappings is not JSON");
    if (object_name == NULL || json_array_size(*out) > 0)
        return true;
    return mapping_refuse_unknown(schema_name, object_name, err);
}

bool report_mappings(struct pg *pg, const char *schema_name, const char *object_name, json_t **out,
                     struct error *err)
{
    *out = NULL;
    if (read_reports(pg, schema_name, object_name, out, err) &&
        count_rows(pg, schema_name, *out, err))
        return true;
    json_decref(*out);
    *out = NULL;
    return false;
}
