#include "archive/install.h"

#include <string.h>

/* Embedded from sql/ at build time. */
extern const char sql_database_001[];
extern const char sql_connection_001[];
extern const char sql_capture_functions[];

static const char *const database_steps[] = {sql_database_001};
static const char *const connection_steps[] = {sql_connection_001};

enum {
    DATABASE_VERSION = sizeof(database_steps) / sizeof(database_steps[0]),
    CONNECTION_VERSION = sizeof(connection_steps) / sizeof(connection_steps[0]),
};

/* other_schema: whose types the definitions use; may be NULL. A caller's temporary tables and
 * types come last, so that none takes the place of ours in a function that keeps the path. */
static bool run_in_schema(struct pg *pg, const char *schema_name, const char *other_schema,
                          const char *sql, struct error *err)
{
    struct buf script BUF_AUTO = {0};

    buf_init(&script, 1 << 20);
    buf_text(&script, "set local search_path = ");
    pg_append_identifier(&script, schema_name);
    if (other_schema != NULL) {
        buf_text(&script, ", ");
        pg_append_identifier(&script, other_schema);
    }
    buf_printf(&script, ", pg_temp;\n%s;\nset local search_path = pg_catalog", sql);
    return pg_script(pg, script.data, err);
}

static bool create_schema(struct pg *pg, const char *schema_name, struct error *err)
{
    PGresult *found PG_RESULT_AUTO =
        pg_query(pg, "select 1 from pg_namespace where nspname = $1", PG_PARAMS(schema_name), err);
    struct buf sql BUF_AUTO = {0};

    if (found == NULL)
        return false;
    if (PQntuples(found) > 0)
        return true;
    buf_init(&sql, 4096);
    buf_text(&sql, "create schema ");
    pg_append_identifier(&sql, schema_name);
    return pg_script(pg, sql.data, err);
}

/* 0 when nothing is installed yet. */
static bool read_version(struct pg *pg, const char *sql, struct pg_params params, int *version,
                         struct error *err)
{
    PGresult *exists PG_RESULT_AUTO =
        pg_query(pg, "select to_regclass('pgforce.migration') is not null", PG_PARAMS(), err);

    *version = 0;
    if (exists == NULL)
        return false;
    if (!pg_field_bool(exists, 0, 0))
        return true;

    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql, params, err);
    if (result == NULL)
        return false;
    if (PQntuples(result) > 0)
        *version = (int)pg_field_int64(result, 0, 0);
    return true;
}

static bool refuse_newer(int found, int known, struct error *err)
{
    if (found <= known)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "the database was set up by a newer pgforce (version %d of its tables, this"
                     " program knows %d): install that version",
                     found, known);
}

static bool install_database(struct pg *pg, struct error *err)
{
    int version;

    if (!read_version(pg, "select max(version) from pgforce.migration", PG_PARAMS(), &version,
                      err) ||
        !refuse_newer(version, DATABASE_VERSION, err) || !create_schema(pg, "pgforce", err))
        return false;
    for (; version < DATABASE_VERSION; version++) {
        if (!run_in_schema(pg, "pgforce", NULL, database_steps[version], err) ||
            !pg_run(pg, "insert into pgforce.migration (version) values ($1)",
                    PG_PARAMS(pg_number(version + 1).text), err))
            return error_prefix(err, "setting up the schema pgforce, step %d", version + 1);
    }
    return true;
}

static bool refuse_foreign_or_lost(struct pg *pg, const char *schema_name, int version,
                                   struct error *err)
{
    PGresult *found PG_RESULT_AUTO =
        pg_query(pg,
                 "select from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                 " where n.nspname = $1 and c.relname = '_trigger_log'",
                 PG_PARAMS(schema_name), err);

    if (found == NULL)
        return false;
    if (version == 0 && PQntuples(found) > 0)
        return error_set(
            err, ERROR_CONFIG,
            "the schema %s has a _trigger_log that pgforce did not make: if it is Heroku"
            " Connect's, `pgforce adopt FILE` takes it over; otherwise choose another schema",
            schema_name);
    if (version > 0 && PQntuples(found) == 0)
        return error_set(
            err, ERROR_CONFIG,
            "the schema %s has no _trigger_log any more: restore it from a backup, or give up what"
            " was in it and begin anew (operations.md, \"When the schema is gone\")",
            schema_name);
    return true;
}

static bool install_connection(struct pg *pg, const char *schema_name, struct error *err)
{
    int version;

    if (!read_version(pg, "select version from pgforce.connection where schema_name = $1",
                      PG_PARAMS(schema_name), &version, err) ||
        !refuse_newer(version, CONNECTION_VERSION, err) ||
        !refuse_foreign_or_lost(pg, schema_name, version, err) ||
        !create_schema(pg, schema_name, err))
        return false;
    for (; version < CONNECTION_VERSION; version++) {
        if (!run_in_schema(pg, schema_name, NULL, connection_steps[version], err))
            return error_prefix(err, "setting up the schema \"%s\", step %d", schema_name,
                                version + 1);
    }
    return pg_run(pg,
                  "insert into pgforce.connection (schema_name, version)"
                  " values ($1, $2)"
                  " on conflict (schema_name) do update set version = excluded.version",
                  PG_PARAMS(schema_name, pg_number(version).text), err);
}

bool install_reserve(struct pg *pg, const char *schema_name, struct error *err)
{
    return install_database(pg, err) &&
           pg_run(pg,
                  "insert into pgforce.connection (schema_name, version) values ($1, 0)"
                  " on conflict (schema_name) do nothing",
                  PG_PARAMS(schema_name), err);
}

bool install_check_version(struct pg *pg, const char *schema_name, struct error *err)
{
    int database = 0;
    int connection = 0;

    if (!read_version(pg, "select max(version) from pgforce.migration", PG_PARAMS(), &database,
                      err) ||
        (database > 0 &&
         !read_version(pg, "select version from pgforce.connection where schema_name = $1",
                       PG_PARAMS(schema_name), &connection, err)) ||
        !refuse_newer(database, DATABASE_VERSION, err) ||
        !refuse_newer(connection, CONNECTION_VERSION, err))
        return false;
    if (database == DATABASE_VERSION && connection == CONNECTION_VERSION)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "the schema %s is not set up, or for an older pgforce: run `pgforce setup`",
                     schema_name);
}

bool install_tables(struct pg *pg, const char *schema_name, struct error *err)
{
    return install_database(pg, err) && install_connection(pg, schema_name, err);
}

/* The schema of the type hstore, which is made where the server has it; NULL where it has not. */
static bool find_hstore(struct pg *pg, struct buf *schema_name, struct error *err)
{
    PGresult *available PG_RESULT_AUTO =
        pg_query(pg, "select from pg_available_extensions where name = 'hstore'", PG_PARAMS(), err);

    if (available == NULL)
        return false;
    if (PQntuples(available) > 0 &&
        !pg_script(pg, "create extension if not exists hstore with schema public", err))
        return error_prefix(err, "making the extension hstore");
    PGresult *found PG_RESULT_AUTO = pg_query(
        pg,
        "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace"
        " where e.extname = 'hstore'",
        PG_PARAMS(), err);
    if (found == NULL)
        return false;
    if (PQntuples(found) > 0)
        buf_text(schema_name, pg_field(found, 0, 0));
    return true;
}

bool install_capture_functions(struct pg *pg, const char *schema_name, bool *is_installed,
                               struct error *err)
{
    struct buf hstore_schema BUF_AUTO = {0};

    buf_init(&hstore_schema, 1024);
    if (!find_hstore(pg, &hstore_schema, err))
        return false;
    *is_installed = hstore_schema.size_bytes > 0;
    return !*is_installed ||
           run_in_schema(pg, schema_name, hstore_schema.data, sql_capture_functions, err) ||
           error_prefix(err, "making the hc_capture functions of the schema \"%s\"", schema_name);
}

/* The application may do with mapped tables what it likes; of the log it reads all, adds entries
 * and changes their state. Tables that are made later get the same. */
static const char *const writer_grants[] = {
    "grant usage on schema %schema to %role",
    "grant select, insert, update, delete on all tables in schema %schema to %role",
    "revoke delete on %schema._trigger_log, %schema._trigger_log_archive, %schema._hcmeta"
    " from %role",
    "revoke insert, update on %schema._hcmeta from %role",
    "grant usage, select on all sequences in schema %schema to %role",
    "grant execute on all functions in schema %schema to %role",
    "alter default privileges in schema %schema"
    " grant select, insert, update, delete on tables to %role",
    "alter default privileges in schema %schema grant usage, select on sequences to %role",
};

static const char *const reader_grants[] = {
    "grant usage on schema %schema to %role",
    "grant select on all tables in schema %schema to %role",
    "alter default privileges in schema %schema grant select on tables to %role",
};

const char *install_grant(enum install_role kind, size_t i)
{
    size_t count = kind == INSTALL_WRITER ? sizeof(writer_grants) / sizeof(writer_grants[0])
                                          : sizeof(reader_grants) / sizeof(reader_grants[0]);

    return i >= count ? NULL : kind == INSTALL_WRITER ? writer_grants[i] : reader_grants[i];
}

void install_append_grant(struct buf *sql, const char *grant, const char *schema_name,
                          const char *role)
{
    for (const char *at = grant; *at != '\0'; at++) {
        if (strncmp(at, "%schema", 7) == 0) {
            pg_append_identifier(sql, schema_name);
            at += 6;
        } else if (strncmp(at, "%role", 5) == 0) {
            pg_append_identifier(sql, role);
            at += 4;
        } else {
            buf_char(sql, *at);
        }
    }
}

bool install_grants(struct pg *pg, const char *schema_name, enum install_role kind,
                    const char *role, struct error *err)
{
    const char *grant;

    for (size_t i = 0; (grant = install_grant(kind, i)) != NULL; i++) {
        struct buf sql BUF_AUTO = {0};

        buf_init(&sql, 4096);
        install_append_grant(&sql, grant, schema_name, role);
        if (!pg_script(pg, sql.data, err))
            return error_prefix(err, "granting the schema \"%s\" to \"%s\"", schema_name, role);
    }
    return true;
}
