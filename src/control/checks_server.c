#include "control/checks_server.h"

/* How many origins a connection's roles need: pg/origin.h. Up to PostgreSQL 17 they share
 * max_replication_slots, from 18 on max_active_replication_origins. */
#define ORIGIN_ROLES "unnest(array['archive', 'push', 'pull', 'load', 'housekeeper'])"

static bool look_at_database(struct checks *checks, const struct checks_rule *rule,
                             struct error *err)
{
    (void)err;
    if (checks->target->pg == NULL)
        checks_say(checks, rule, CHECKS_RED,
                   arena_strdup(checks->arena, checks->target->no_database),
                   "check PGFORCE_DATABASE_URL, the server and pg_hba.conf");
    return true;
}

/* Heroku Connect's rules about Heroku itself. */
static bool skip_platform(struct checks *checks, const struct checks_rule *rule, struct error *err)
{
    (void)err;
    checks_say(checks, rule, CHECKS_SKIPPED, "there is no platform here to ask", NULL);
    return true;
}

static const struct checks_rule rules[] = {
    {.id = "MUST_REACH_DATABASE",
     .title = "the database can be reached",
     .look = look_at_database,
     .event_type = "postgres-connection"},
    {.id = "MUST_BE_PRIMARY",
     .title = "the server takes writes",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', case when pg_is_in_recovery()"
            " then 'the server is a standby, in recovery'"
            " else 'default_transaction_read_only is on' end,"
            " case when pg_is_in_recovery()"
            " then 'name the primary in PGFORCE_DATABASE_URL, or several hosts with"
            " target_session_attrs=read-write'"
            " else format('ALTER ROLE %I SET default_transaction_read_only = off;', current_user)"
            " end"
            " where pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on'",
     .event_type = "postgres-connection"},
    {.id = "MUST_HAVE_LOGICAL_WAL",
     .title = "wal_level is logical",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', format('wal_level is %s', current_setting('wal_level')),"
            " 'ALTER SYSTEM SET wal_level = logical; -- and restart the server'"
            " where current_setting('wal_level') <> 'logical'"},
    /* Only pg_read_all_settings sees the server's value; everybody sees what ALTER ROLE stored. A
     * slot that is being read proves that all is well. */
    {.id = "MUST_ALLOW_PLUGIN",
     .title = "output_plugin_libraries allows the plugin",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = ", stored as (select substr(item, strpos(item, '=') + 1) as value"
            " from pg_db_role_setting s"
            " cross join unnest(s.setconfig) as item"
            " where s.setrole in (0, (select oid from pg_roles where rolname = current_user))"
            " and s.setdatabase in (0, (select oid from pg_database"
            " where datname = current_database()))"
            " and item like 'output\\_plugin\\_libraries=%'"
            " order by s.setrole = 0, s.setdatabase = 0"
            " limit 1),"
            " seen as (select case when pg_has_role('pg_read_all_settings', 'usage')"
            " then current_setting('output_plugin_libraries', true)"
            " else (select value from stored) end as value offset 0)"
            " select null, case when value is null then 'SKIPPED' else 'RED' end,"
            " case when value is null then 'only a superuser sees output_plugin_libraries, and"
            " nobody reads the slot yet'"
            " else format('output_plugin_libraries is %s, without pgforce', value) end,"
            " format('ALTER ROLE %I SET output_plugin_libraries = pgforce;', current_user)"
            " from given, seen"
            " where not exists (select from pg_replication_slots s"
            " where s.slot_name = given.slot_name and s.active)"
            " and (value is not null or not pg_has_role('pg_read_all_settings', 'usage'))"
            " and not 'pgforce' = any(regexp_split_to_array("
            "replace(coalesce(value, ''), '\"', ''), '\\s*,\\s*'))"},
    {.id = "MUST_NOT_BE_SYNCHRONOUS",
     .title = "no COMMIT waits for pgforce",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED',"
            " format('synchronous_standby_names is %s: every COMMIT would wait for pgforce',"
            " current_setting('synchronous_standby_names')),"
            " 'ALTER SYSTEM SET synchronous_standby_names = ''<the real standbys>''; SELECT"
            " pg_reload_conf();'"
            " from given, regexp_split_to_table("
            "lower(regexp_replace(current_setting('synchronous_standby_names'),"
            " '^\\s*(first|any)?\\s*\\d+\\s*\\((.*)\\)\\s*$', '\\2', 'i')), '\\s*,\\s*') as name"
            " where btrim(name, ' \"') in ('*', given.slot_name)"
            " limit 1"},
    {.id = "MUST_HAVE_SLOTS",
     .title = "max_replication_slots leaves room for the slot",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', format('all %s replication slots are in use, and %s is not among"
            " them', current_setting('max_replication_slots'), slot_name),"
            " format('ALTER SYSTEM SET max_replication_slots = %s; -- and restart the server',"
            " current_setting('max_replication_slots')::integer + 6)"
            " from given"
            " where not exists (select from pg_replication_slots s"
            " where s.slot_name = given.slot_name)"
            " and (select count(*) from pg_replication_slots)"
            " >= current_setting('max_replication_slots')::integer"},
    {.id = "MUST_HAVE_ORIGIN_ROOM",
     .title = "the server has room for the roles' replication origins",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = ", need as (select count(*)::integer as origins, case"
            " when current_setting('max_active_replication_origins', true) is not null"
            " then 'max_active_replication_origins' else 'max_replication_slots' end as setting"
            " from (select roname from pg_replication_origin"
            " union select 'pgforce_' || role || '_' || schema_name from given,"
            " " ORIGIN_ROLES " as role) as names)"
            " select null, 'RED', format('%s is %s, and there are %s replication origins with"
            " pgforce''s', setting, current_setting(setting), origins),"
            " format('ALTER SYSTEM SET %s = %s; -- and restart the server', setting, origins + 5)"
            " from need"
            " where origins > current_setting(setting)::integer"},
    {.id = "MUST_HAVE_WAL_SENDERS",
     .title = "max_wal_senders leaves room for the stream",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', format('all %s WAL senders are in use',"
            " current_setting('max_wal_senders')),"
            " format('ALTER SYSTEM SET max_wal_senders = %s; -- and restart the server',"
            " current_setting('max_wal_senders')::integer + 2)"
            " from given"
            " where not exists (select from pg_replication_slots s"
            " where s.slot_name = given.slot_name and s.active)"
            " and (select count(*) from pg_stat_replication)"
            " >= current_setting('max_wal_senders')::integer"},
    {.id = "SHOULD_HAVE_SENDER_TIMEOUT",
     .title = "wal_sender_timeout notices a client that has gone",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'YELLOW', case when timeout = interval '0'"
            " then 'wal_sender_timeout is 0: a client that has vanished keeps the slot for ever'"
            " else format('wal_sender_timeout is %s: a moment''s stall cuts the stream',"
            " current_setting('wal_sender_timeout')) end,"
            " 'ALTER SYSTEM SET wal_sender_timeout = ''60s''; SELECT pg_reload_conf();'"
            " from (select current_setting('wal_sender_timeout')::interval as timeout) as setting"
            " where timeout < interval '5 s'"},
    {.id = "SHOULD_LIMIT_RETAINED_WAL",
     .title = "max_slot_wal_keep_size bounds what a slot retains",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'YELLOW', 'max_slot_wal_keep_size is -1: a slot that nobody reads retains"
            " WAL until the disk is full',"
            " 'ALTER SYSTEM SET max_slot_wal_keep_size = ''<less than the free space>''; SELECT"
            " pg_reload_conf(); -- or set PGFORCE_SLOT_GIVE_UP_BYTES'"
            " where current_setting('max_slot_wal_keep_size') = '-1'"},
    {.id = "MUST_HAVE_REPLICATION",
     .title = "the role has REPLICATION",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', format('the role %s may not replicate', rolname),"
            " format('ALTER ROLE %I REPLICATION;', rolname)"
            " from pg_roles"
            " where rolname = current_user and not rolreplication and not rolsuper"},
    {.id = "MUST_CREATE_SCHEMAS",
     .title = "the role may create schemas",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', format('the role %s may not create a schema in %s', current_user,"
            " current_database()),"
            " format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), current_user)"
            " where not has_database_privilege(current_database(), 'create')"},
    {.id = "MUST_USE_ORIGINS",
     .title = "the role may use replication origins",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', format('the role %s may not call %s', current_user,"
            " string_agg(name, ', ')),"
            " string_agg(format('GRANT EXECUTE ON FUNCTION pg_catalog.%s TO %I;', name,"
            " current_user), ' ')"
            " from unnest(array['pg_replication_origin_create(text)',"
            " 'pg_replication_origin_drop(text)', 'pg_replication_origin_oid(text)',"
            " 'pg_replication_origin_session_setup(text)',"
            " 'pg_replication_origin_session_reset()',"
            " 'pg_replication_origin_session_is_setup()',"
            " 'pg_replication_origin_xact_setup(pg_lsn,timestamptz)']) as name"
            " where not has_function_privilege('pg_catalog.' || name, 'execute')"
            " having count(*) > 0"},
    {.id = "SHOULD_HAVE_CONNECTIONS",
     .title = "max_connections leaves room",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'YELLOW', format('%s of %s connections are in use', used, allowed),"
            " format('ALTER SYSTEM SET max_connections = %s; -- and restart the server',"
            " allowed * 2)"
            " from (select count(*) as used, current_setting('max_connections')::integer as allowed"
            " from pg_stat_activity where backend_type = 'client backend') as connections"
            " where used >= allowed * 9 / 10"},
    {.id = "SHOULD_USE_TLS",
     .title = "the connection to the server is encrypted or local",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'YELLOW', format('the connection to %s is not encrypted',"
            " inet_server_addr()), 'add sslmode=verify-full to PGFORCE_DATABASE_URL'"
            " from pg_stat_ssl"
            " where pid = pg_backend_pid() and not ssl and inet_server_addr() is not null"
            " and inet_client_addr() <> inet_server_addr()"},
    {.id = "SHOULD_HAVE_HSTORE",
     .title = "the extension hstore is there",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'YELLOW', 'there is no extension hstore, so no functions hc_capture_...',"
            " case when exists (select from pg_available_extensions where name = 'hstore')"
            " then 'CREATE EXTENSION hstore SCHEMA public;'"
            " else 'install the server''s contrib package, then: CREATE EXTENSION hstore SCHEMA"
            " public;' end"
            " where not exists (select from pg_extension where extname = 'hstore')"},
    {.id = "MUST_BE_SET_UP",
     .title = "pgforce is set up for the schema",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', format('there is no %s', string_agg(name, ', ')), 'pgforce setup'"
            " from given, unnest(array['pgforce.connection', 'pgforce.mapping', 'pgforce.progress',"
            " schema_name || '._trigger_log', schema_name || '._trigger_log_archive']) as name"
            " where to_regclass(name) is null"
            " having count(*) > 0"},
    {.id = "MUST_HAVE_ORIGINS",
     .title = "the roles' replication origins are there",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'RED', format('the replication origins %s are missing',"
            " string_agg('pgforce_' || role || '_' || schema_name, ', ')), 'pgforce setup'"
            " from given, " ORIGIN_ROLES " as role"
            " where not exists (select from pg_replication_origin o"
            " where o.roname = 'pgforce_' || role || '_' || schema_name)"
            " having count(*) > 0"},
    {.id = "MUST_WAKE_WRITER",
     .title = "the log's triggers are enabled",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'YELLOW', format('the trigger %s of _trigger_log is disabled: entries"
            " made by hand wait for the next turn', string_agg(t.tgname, ', ')),"
            " string_agg(format('ALTER TABLE %I._trigger_log ENABLE TRIGGER %I;', schema_name,"
            " t.tgname), ' ')"
            " from given"
            " join pg_trigger t on t.tgrelid = to_regclass(format('%I._trigger_log', schema_name))"
            " where t.tgenabled = 'D' and not t.tgisinternal"
            " having count(*) > 0"},
    {.id = "MUST_GRANT_APPLICATION",
     .title = "the application's role may use the mapped tables",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'RED', case when r.oid is null"
            " then format('there is no role %s (PGFORCE_APP_ROLE)', app_role)"
            " else format('the role %s may not use the schema %s', app_role, schema_name) end,"
            " case when r.oid is null then format('CREATE ROLE %I LOGIN;', app_role)"
            " else format('GRANT USAGE ON SCHEMA %I TO %I;', schema_name, app_role) end"
            " from given"
            " left join pg_roles r on r.rolname = app_role"
            " where app_role is not null and to_regnamespace(schema_name) is not null"
            " and (r.oid is null or not has_schema_privilege(r.oid, schema_name, 'usage'))"},
    {.id = "SHOULD_HAVE_LOG_DRAIN", .title = "a log drain is configured", .look = skip_platform},
    {.id = "SHOULD_BE_NEAR",
     .title = "database and organisation are in one region",
     .look = skip_platform},
    {.id = "SHOULD_HAVE_PLAN", .title = "the database plan is large enough", .look = skip_platform},
};

const struct checks_rule *checks_server_rules(size_t *count)
{
    *count = sizeof(rules) / sizeof(rules[0]);
    return rules;
}
