#include "run/setup.h"

#include <stdlib.h>
#include <string.h>

#include "archive/gap.h"
#include "archive/install.h"
#include "archive/progress.h"
#include "archive/restored.h"
#include "archive/retention.h"
#include "base/log.h"
#include "inbound/drift.h"
#include "mapping/mapping.h"
#include "pg/origin.h"
#include "pg/replica.h"
#include "stream/slot.h"

static const char *const origin_functions[] = {
    "pg_replication_origin_create(text)",
    "pg_replication_origin_drop(text)",
    "pg_replication_origin_oid(text)",
    "pg_replication_origin_session_setup(text)",
    "pg_replication_origin_session_reset()",
    "pg_replication_origin_session_is_setup()",
    "pg_replication_origin_xact_setup(pg_lsn,timestamptz)",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct setup_name setup_slot_name(const char *schema_name)
{
    struct setup_name name;

    snprintf(name.text, sizeof(name.text), "pgforce_%s", schema_name);
    return name;
}

/* A schema that is there already may belong to a role of its own. */
static void append_schema_grant(struct buf *sql, const char *role, const char *schema_name)
{
    buf_printf(sql,
               "do $$ begin\n"
               "  if exists (select from pg_namespace where nspname = '%s') then\n"
               "    grant usage, create on schema %s to ",
               schema_name, schema_name);
    pg_append_identifier(sql, role);
    buf_text(sql, " with grant option;\n  end if;\nend $$;\n");
}

static void append_superuser_sql(struct buf *sql, const char *role, const char *database)
{
    buf_text(sql, "alter role ");
    pg_append_identifier(sql, role);
    buf_text(sql, " replication;\n"
                  "grant connect, create on database ");
    pg_append_identifier(sql, database);
    buf_text(sql, " to ");
    pg_append_identifier(sql, role);
    buf_text(sql, ";\n");
    for (size_t i = 0; i < COUNT(origin_functions); i++) {
        buf_printf(sql, "grant execute on function pg_catalog.%s to ", origin_functions[i]);
        pg_append_identifier(sql, role);
        buf_text(sql, ";\n");
    }
    buf_text(sql,
             "do $$ begin\n"
             "  if exists (select from pg_available_extensions where name = 'hstore') then\n"
             "    create extension if not exists hstore with schema public;\n"
             "  end if;\n"
             "  -- Heroku Connect's: triggers of users call it before they switch xmlbinary.\n"
             "  if to_regprocedure('public.get_xmlbinary()') is null then\n"
             "    create function public.get_xmlbinary() returns varchar language sql stable\n"
             "      as 'select pg_catalog.current_setting(''xmlbinary'')';\n"
             "  end if;\n"
             "end $$;\n"
             "-- Servers from 14.24, 15.19, 16.15, 17.11 and 18.6 on load only listed plugins.\n"
             "do $$ begin\n"
             "  if exists (select from pg_settings where name = 'output_plugin_libraries') then\n"
             "    alter role ");
    pg_append_identifier(sql, role);
    buf_text(sql, " set output_plugin_libraries = pgforce;\n"
                  "  end if;\n"
                  "  -- So that no trigger of yours fires when a row is only marked as PENDING.\n"
                  "  if current_setting('server_version_num')::integer >= 150000 then\n"
                  "    execute format('grant set on parameter session_replication_role to %I', ");
    pg_append_literal(sql, role);
    buf_text(sql, ");\n"
                  "  end if;\n"
                  "end $$;\n");
}

/* The value that libpq would use for a keyword of the connection string. */
static const char *conninfo_value(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val;
    return NULL;
}

/* What setup does by itself, as its own role. */
static void append_grants(struct buf *sql, const struct config *config, enum install_role kind,
                          const char *role)
{
    const char *grant;

    for (size_t i = 0; role != NULL && (grant = install_grant(kind, i)) != NULL; i++) {
        buf_text(sql, "-- ");
        install_append_grant(sql, grant, config->schema_name, role);
        buf_text(sql, ";\n");
    }
}

static bool print_sql(const struct config *config, bool with_grants, FILE *out, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    PQconninfoOption *options = PQconninfoParse(config->database_url, NULL);

    if (options == NULL)
        return error_set(err, ERROR_CONFIG, "PGFORCE_DATABASE_URL is not a connection string");
    const char *role = conninfo_value(options, "user");
    const char *database = conninfo_value(options, "dbname");
    bool is_complete = role != NULL && database != NULL;
    buf_init(&sql, 64 * 1024);
    if (is_complete) {
        buf_printf(&sql, "-- To be run by a superuser, connected to the database %s.\n", database);
        append_superuser_sql(&sql, role, database);
        append_schema_grant(&sql, role, config->schema_name);
    }
    PQconninfoFree(options);
    if (!is_complete)
        return error_set(err, ERROR_CONFIG,
                         "PGFORCE_DATABASE_URL must name the user and the database");
    if (with_grants) {
        buf_text(&sql, "-- What `pgforce setup` then grants by itself, for the application"
                       " (PGFORCE_APP_ROLE) and for readers (PGFORCE_READER_ROLE):\n");
        append_grants(&sql, config, INSTALL_WRITER, config->app_role);
        append_grants(&sql, config, INSTALL_READER, config->reader_role);
    }
    fputs(sql.data, out);
    return true;
}

bool setup_print_superuser_sql(const struct config *config, FILE *out, struct error *err)
{
    return print_sql(config, false, out, err);
}

bool setup_print_sql(const struct config *config, FILE *out, struct error *err)
{
    return print_sql(config, true, out, err);
}

static bool check_wal_level(struct pg *pg, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "select current_setting('wal_level')", PG_PARAMS(), err);

    if (result == NULL)
        return false;
    const char *wal_level = pg_field(result, 0, 0);
    if (strcmp(wal_level, "logical") == 0)
        return true;
    return error_set(
        err, ERROR_CONFIG,
        "wal_level is %s and must be logical: as a superuser, ALTER SYSTEM SET wal_level"
        " = logical; and restart the server",
        wal_level);
}

static bool check_rights(struct pg *pg, const char *schema_name, struct error *err)
{
    struct buf missing BUF_AUTO = {0};
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select rolreplication or rolsuper,"
                 " has_database_privilege(current_database(), 'create'),"
                 " coalesce((select has_schema_privilege(oid, 'create')"
                 " and has_schema_privilege(oid, 'usage') from pg_namespace"
                 " where nspname = $1), true)"
                 " from pg_roles"
                 " where rolname = current_user",
                 PG_PARAMS(schema_name), err);

    if (result == NULL)
        return false;
    buf_init(&missing, 4096);
    if (!pg_field_bool(result, 0, 0))
        buf_text(&missing, " the REPLICATION attribute,");
    if (!pg_field_bool(result, 0, 1))
        buf_text(&missing, " CREATE on the database,");
    if (!pg_field_bool(result, 0, PQnfields(result) - 1))
        buf_printf(&missing, " USAGE and CREATE on the schema %s,", schema_name);
    for (size_t i = 0; i < COUNT(origin_functions); i++) {
        PGresult *granted PG_RESULT_AUTO =
            pg_query(pg, "select has_function_privilege('pg_catalog.' || $1, 'execute')",
                     PG_PARAMS(origin_functions[i]), err);

        if (granted == NULL)
            return false;
        if (!pg_field_bool(granted, 0, 0))
            buf_printf(&missing, " EXECUTE on %s,", origin_functions[i]);
    }
    if (missing.size_bytes == 0)
        return true;
    missing.data[missing.size_bytes - 1] = '\0';
    return error_set(err, ERROR_CONFIG,
                     "missing:%s. Have a superuser run what `pgforce setup --print-superuser-sql`"
                     " prints, then run setup again",
                     missing.data);
}

bool setup_install(struct pg *pg, const struct config *config, struct error *err)
{
    bool has_functions = true;
    bool is_ok = install_tables(pg, config->schema_name, err) &&
                 install_capture_functions(pg, config->schema_name, &has_functions, err) &&
                 retention_make_days(pg, config->schema_name, err);

    if (!has_functions)
        log_warning("the server lacks the extension hstore: there are no functions"
                    " hc_capture_insert_from_row and hc_capture_update_from_row");
    return is_ok &&
           (config->app_role == NULL ||
            install_grants(pg, config->schema_name, INSTALL_WRITER, config->app_role, err)) &&
           (config->reader_role == NULL ||
            install_grants(pg, config->schema_name, INSTALL_READER, config->reader_role, err));
}

static bool in_transaction(struct pg *pg, const struct config *config,
                           bool (*work)(struct pg *pg, const struct config *config,
                                        struct error *err),
                           struct error *err)
{
    bool is_ok =
        pg_script(pg, "begin", err) && work(pg, config, err) && pg_script(pg, "commit", err);

    if (!is_ok)
        pg_rollback(pg);
    return is_ok;
}

static bool make_origins(struct pg *pg, const char *schema_name, struct error *err)
{
    for (size_t i = 0; origin_role(i) != NULL; i++)
        if (!pg_run(pg,
                    "select pg_replication_origin_create($1)"
                    " where not exists (select from pg_replication_origin where roname = $1)",
                    PG_PARAMS(origin_name(origin_role(i), schema_name).text), err))
            return error_prefix(err, "making the replication origins");
    return true;
}

/* A slot without progress was made by a setup that was cut short: nothing has read it yet. */
static bool make_slot(struct pg *pg, const struct config *config, struct slot *slot,
                      struct error *err)
{
    struct replica_system system;
    struct progress progress = {.commit_end_lsn = slot->confirmed_lsn};

    if (!replica_identify(config->database_url, "pgforce setup", &system, err))
        return false;
    if (!slot->exists &&
        !slot_create(pg, config->database_url, slot->name, &progress.commit_end_lsn, err))
        return false;
    snprintf(progress.slot_name, sizeof(progress.slot_name), "%s", slot->name);
    snprintf(progress.system_identifier, sizeof(progress.system_identifier), "%s",
             system.identifier);
    progress.timeline = system.timeline;
    return progress_start(pg, config->schema_name, &progress, err);
}

static bool has_progress(struct pg *pg, const char *schema_name, bool *has, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg, "select from pgforce.progress where schema_name = $1", PG_PARAMS(schema_name), err);

    *has = result != NULL && PQntuples(result) > 0;
    return result != NULL;
}

/* What was lost on the way out cannot be sent; what differs from the organisation now is found. */
static bool ask_for_repair(struct pg *pg, const struct config *config, struct error *err)
{
    struct arena *arena = arena_new();
    struct mapping_list list;
    bool is_ok = mapping_load_all(pg, config->schema_name, arena, &list, err);

    for (size_t i = 0; is_ok && i < list.count; i++)
        is_ok = drift_ask(pg, &list.items[i], err);
    arena_free(arena);
    return is_ok;
}

static bool record_gap(struct pg *pg, const struct config *config, lsn_t from_lsn,
                       const char *reason, struct error *err)
{
    struct progress now;

    if (!progress_load(pg, config->schema_name, &now, err))
        return false;
    const struct gap_record gap = {from_lsn, now.commit_end_lsn, reason};
    return gap_accept(pg, config->schema_name, &gap, err) && ask_for_repair(pg, config, err);
}

/* The slot is verified, or made where there is none, or replaced where the operator accepts the
 * gap. */
static bool settle_slot(struct pg *pg, const struct config *config,
                        const struct setup_options *options, struct error *err)
{
    struct progress progress;
    struct replica_system system;
    struct buf reason BUF_AUTO = {0};
    struct slot slot;
    bool has;

    if (!slot_read(pg, setup_slot_name(config->schema_name).text, &slot, err) ||
        !has_progress(pg, config->schema_name, &has, err))
        return false;
    if (!has)
        return make_slot(pg, config, &slot, err);
    if (!progress_load(pg, config->schema_name, &progress, err) ||
        !replica_identify(config->database_url, "pgforce setup", &system, err))
        return false;
    bool is_verified = slot_verify(&slot, system.identifier, &progress, err);
    if (!options->accepts_gap)
        return is_verified;
    buf_init(&reason, 2 * ERROR_MESSAGE_BYTES);
    buf_text(&reason, is_verified ? "the operator asked for it" : err->message);
    log_warning("accepted a gap", log_text("after", lsn_format(progress.commit_end_lsn).text),
                log_text("reason", reason.data));
    if (!restored_note(pg, config->schema_name, err))
        return false;
    if (slot.exists &&
        !pg_run(pg, "select pg_drop_replication_slot($1)", PG_PARAMS(slot.name), err))
        return error_prefix(err, "dropping the old slot");
    slot.exists = false;
    return make_slot(pg, config, &slot, err) &&
           record_gap(pg, config, progress.commit_end_lsn, reason.data, err);
}

static bool check_server(struct pg *pg, const struct config *config, struct error *err)
{
    return check_wal_level(pg, err) &&
           slot_refuse_synchronous(pg, setup_slot_name(config->schema_name).text, err) &&
           check_rights(pg, config->schema_name, err);
}

static bool reserve(struct pg *pg, const struct config *config, struct error *err)
{
    return install_reserve(pg, config->schema_name, err);
}

bool setup_reserve(struct pg *pg, const struct config *config, struct error *err)
{
    return check_server(pg, config, err) && in_transaction(pg, config, reserve, err);
}

bool setup_stream(struct pg *pg, const struct config *config, const struct setup_options *options,
                  struct error *err)
{
    return make_origins(pg, config->schema_name, err) && settle_slot(pg, config, options, err);
}

static bool prepare(struct pg *pg, const struct config *config, const struct setup_options *options,
                    struct error *err)
{
    return check_server(pg, config, err) && in_transaction(pg, config, setup_install, err) &&
           setup_stream(pg, config, options, err);
}

bool setup_run(const struct config *config, const struct setup_options *options, struct error *err)
{
    struct pg *pg = pg_open(config->database_url, "pgforce setup", err);
    bool is_ok = pg != NULL && prepare(pg, config, options, err);

    pg_close(pg);
    return is_ok;
}
