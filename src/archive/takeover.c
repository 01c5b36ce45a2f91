#include "archive/takeover.h"

#include "archive/retention.h"

enum { SQL_BYTES = 64 * 1024 };

#define ASIDE "pgforce_takeover"

/* All fifteen, in Heroku Connect's order but for created_at, which the archive must have. */
#define COLUMNS                                                                                    \
    "id, txid, updated_at, processed_at, processed_tx, state, action, table_name, record_id, "     \
    "sfid,"                                                                                        \
    " old, \"values\", sf_result, sf_message, created_at"

/* $1 is the schema. */
#define FUNCTIONS                                                                                  \
    "from pg_proc p join pg_namespace n on n.oid = p.pronamespace"                                 \
    " where n.nspname = $1 and (p.proname in ('tlog_notify_trigger',"                              \
    " 'hc_capture_insert_from_row', 'hc_capture_update_from_row')"                                 \
    " or (p.prorettype = 'trigger'::regtype and p.proname ~ '^hc_.*_(logger|status)$'))"

static bool check_log(struct pg *pg, const char *schema_name, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg,
        "select c.relname, count(*) filter (where a.attname = any ('{id,txid,created_at,"
        "updated_at,processed_at,processed_tx,state,action,table_name,record_id,sfid,old,values,"
        "sf_result,sf_message}')) + case when c.relname = '_hcmeta' then 14 else 0 end,"
        " bool_or(a.attname = 'commit_lsn')"
        " from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where n.nspname = $1"
        " and c.relname in ('_trigger_log', '_trigger_log_archive', '_hcmeta')"
        " group by 1",
        PG_PARAMS(schema_name), err);

    if (result == NULL)
        return false;
    if (PQntuples(result) < 3)
        return error_set(
            err, ERROR_CONFIG,
            "the schema %s lacks _trigger_log, _trigger_log_archive or _hcmeta, so it is none"
            " of Heroku Connect's: restore the whole schema, or set up a new one"
            " (`pgforce setup`)",
            schema_name);
    for (int i = 0; i < PQntuples(result); i++) {
        if (pg_field_bool(result, i, 2))
            return error_set(err, ERROR_CONFIG, "the schema %s is pgforce's already", schema_name);
        if (pg_field_int64(result, i, 1) != 15)
            return error_set(err, ERROR_CONFIG,
                             "%s.%s lacks columns of Heroku Connect's: restore it as it was",
                             schema_name, pg_field(result, i, 0));
    }
    return true;
}

/* Everything of the schema must be ours to alter, or of a role that we are a member of. */
static bool check_owners(struct pg *pg, const char *schema_name, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg,
        "select string_agg(distinct quote_ident(r.rolname), ', '), quote_ident(current_user)"
        " from (select relowner as owner from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1"
        " and c.relkind in ('r', 'S', 'p')"
        " union select p.proowner " FUNCTIONS
        " union select nspowner from pg_namespace where nspname = $1) owned"
        " join pg_roles r on r.oid = owned.owner"
        " where not pg_has_role(current_user, r.oid, 'USAGE')",
        PG_PARAMS(schema_name), err);

    if (result == NULL)
        return false;
    if (pg_field(result, 0, 0) == NULL)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "the schema %s or what is in it belongs to %s: as a superuser,"
                     " GRANT %s TO %s; and adopt again",
                     schema_name, pg_field(result, 0, 0), pg_field(result, 0, 0),
                     pg_field(result, 0, 1));
}

bool takeover_check(struct pg *pg, const char *schema_name, struct error *err)
{
    return check_log(pg, schema_name, err) && check_owners(pg, schema_name, err);
}

/* Runs each statement that the query answers. */
static bool run_each(struct pg *pg, const char *query, struct pg_params params, int64_t *count,
                     struct error *err)
{
    PGresult *statements PG_RESULT_AUTO = pg_query(pg, query, params, err);

    if (statements == NULL)
        return false;
    for (int i = 0; i < PQntuples(statements); i++)
        if (!pg_script(pg, pg_field(statements, i, 0), err))
            return error_prefix(err, "%s", pg_field(statements, i, 0));
    *count = PQntuples(statements);
    return true;
}

bool takeover_set_aside(struct pg *pg, const char *schema_name, struct takeover *takeover,
                        struct error *err)
{
    int64_t ignored;

    return run_each(pg,
                    "select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass)"
                    " from pg_trigger t"
                    " where not t.tgisinternal and t.tgfoid in (select p.oid " FUNCTIONS ")",
                    PG_PARAMS(schema_name), &takeover->triggers, err) &&
           run_each(pg, "select format('drop function %s', p.oid::regprocedure) " FUNCTIONS,
                    PG_PARAMS(schema_name), &ignored, err) &&
           pg_script(pg, "create schema " ASIDE, err) &&
           run_each(pg,
                    "select format('alter table %I.%I set schema " ASIDE "', n.nspname, c.relname)"
                    " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                    " where n.nspname = $1 and c.relkind in ('r', 'p')"
                    " and c.relname in ('_trigger_log', '_trigger_log_archive', '_hcmeta')",
                    PG_PARAMS(schema_name), &ignored, err);
}

static bool run_in(struct pg *pg, const char *schema_name, const char *format, int64_t *count,
                   struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf schema BUF_AUTO = {0};

    buf_init(&schema, 1024);
    pg_append_identifier(&schema, schema_name);
    buf_init(&sql, SQL_BYTES);
    for (; *format != '\0'; format++)
        if (*format == '@')
            buf_text(&sql, schema.data);
        else
            buf_char(&sql, *format);
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(), err);
    if (result == NULL)
        return error_prefix(err, "taking the log in");
    *count = pg_affected(result);
    return true;
}

/* Whether what was under way has reached Salesforce, nobody here knows. */
static bool take_log(struct pg *pg, const char *schema_name, struct takeover *takeover,
                     struct error *err)
{
    return run_in(pg, schema_name,
                  "insert into @._trigger_log (" COLUMNS ") select " COLUMNS " from " ASIDE
                  "._trigger_log",
                  &takeover->entries, err) &&
           run_in(pg, schema_name,
                  "update @._trigger_log set state = 'FAILED', sf_message ="
                  " 'was under way at Heroku Connect when pgforce took over: look whether the"
                  " record has it, then retry or ignore this entry'"
                  " where state = 'PENDING'",
                  &takeover->doubtful, err);
}

static bool take_archive(struct pg *pg, const char *schema_name, struct takeover *takeover,
                         struct error *err)
{
    int64_t ignored;

    return run_in(pg, schema_name,
                  "update " ASIDE "._trigger_log_archive set created_at ="
                  " coalesce(processed_at, updated_at, now()) where created_at is null",
                  &ignored, err) &&
           retention_make_days_of(pg, schema_name, ASIDE "._trigger_log_archive", err) &&
           run_in(pg, schema_name,
                  "insert into @._trigger_log_archive (" COLUMNS ") select " COLUMNS " from " ASIDE
                  "._trigger_log_archive",
                  &takeover->archived, err);
}

bool takeover_take_in(struct pg *pg, const char *schema_name, struct takeover *takeover,
                      struct error *err)
{
    int64_t ignored;

    return take_log(pg, schema_name, takeover, err) &&
           take_archive(pg, schema_name, takeover, err) &&
           run_in(pg, schema_name,
                  "insert into @._hcmeta select id, hcver, org_id, details from " ASIDE "._hcmeta",
                  &ignored, err) &&
           run_in(pg, schema_name,
                  "select setval(pg_get_serial_sequence('@._trigger_log', 'id'), greatest("
                  "(select max(id) from @._trigger_log),"
                  " (select max(id) from @._trigger_log_archive), 1))",
                  &ignored, err) &&
           pg_script(pg, "drop schema " ASIDE " cascade", err);
}
