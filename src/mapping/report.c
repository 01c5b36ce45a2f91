#include "mapping/report.h"

/* Times as RFC 3339, which JSON's readers parse; none is null. */
#define TIME(expression)                                                                           \
    "to_char(" expression " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

static void append_counts(struct buf *sql, const char *schema_name)
{
    buf_text(sql, "jsonb_build_object('counts', jsonb_build_object("
                  "'db', greatest(c.reltuples, 0)::bigint, 'pending', (select count(*) from ");
    pg_append_qualified(sql, schema_name, "_trigger_log");
    buf_text(sql, " l where l.table_name = m.table_name and l.state in ('NEW', 'PENDING')),"
                  " 'errors', (select count(*) from ");
    pg_append_qualified(sql, schema_name, "_trigger_log");
    buf_text(sql, " l where l.table_name = m.table_name and l.state = 'FAILED')))");
}

static const char settings[] =
    "jsonb_build_object("
    "'id', m.id, 'object_name', m.object_name, 'table_name', m.table_name,"
    " 'state', m.state, 'state_description', m.state_description,"
    " 'operation', m.operation, 'is_orphan', m.is_orphan, 'access', m.access,"
    " 'sf_notify_enabled', m.notify, 'sf_polling_seconds', m.polling_seconds,"
    " 'sf_max_daily_api_calls', m.max_daily_api_calls,"
    " 'upsert_field', m.upsert_field, 'config', m.config,"
    " 'created_at', " TIME("m.created_at") ", 'updated_at', " TIME("m.updated_at") ")";

static const char progress[] =
    "jsonb_build_object('is_loaded', coalesce(w.is_loaded, false),"
    " 'polled_at', " TIME("w.polled_at") ", 'changes_up_to', " TIME("w.changes_up_to") ")";

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

bool report_mappings(struct pg *pg, const char *schema_name, const char *object_name, json_t **out,
                     struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    *out = NULL;
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
    json_decref(*out);
    *out = NULL;
    return error_set(err, ERROR_CONFIG,
                     "%s is not mapped in the schema %s (`pgforce mapping list`)", object_name,
                     schema_name);
}
