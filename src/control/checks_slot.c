#include "control/checks_slot.h"

#include "pg/turn.h"

/* Where the server's log ends; a standby has its own way to say so. */
#define WAL_END                                                                                    \
    "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end"

/* In two statements: the slot is seen as it is now, the progress as it was when the statement
 * began.
 */
static bool look_at_position(struct checks *checks, const struct checks_rule *rule,
                             struct error *err)
{
    const struct checks_target *target = checks->target;
    PGresult *slot PG_RESULT_AUTO = pg_query(target->pg,
                                             "select confirmed_flush_lsn from pg_replication_slots"
                                             " where slot_name = 'pgforce_' || $1",
                                             PG_PARAMS(target->schema_name), err);

    if (slot == NULL)
        return false;
    if (PQntuples(slot) == 0 || pg_field(slot, 0, 0) == NULL)
        return true;
    PGresult *behind PG_RESULT_AUTO =
        pg_query(target->pg,
                 "select commit_end_lsn from pgforce.progress"
                 " where schema_name = $1 and commit_end_lsn < $2",
                 PG_PARAMS(target->schema_name, pg_field(slot, 0, 0)), err);
    if (behind == NULL)
        return false;
    if (PQntuples(behind) > 0)
        checks_say(checks, rule, CHECKS_RED,
                   arena_printf(checks->arena,
                                "the slot was confirmed up to %s, the log holds up to %s: somebody"
                                " else has read it, or the database is an older copy",
                                pg_field(slot, 0, 0), pg_field(behind, 0, 0)),
                   "pgforce setup --accept-gap");
    return true;
}

static const struct checks_rule rules[] = {
    {.id = "MUST_HAVE_SLOT",
     .title = "the replication slot is there",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'RED', format('the replication slot %s is missing: what was changed since"
            " it went is not in the log', slot_name),"
            " 'pgforce setup --accept-gap'"
            " from given"
            " where not exists (select from pg_replication_slots s"
            " where s.slot_name = given.slot_name)",
     .event_type = "slot"},
    {.id = "MUST_OWN_SLOT",
     .title = "the replication slot is pgforce's and this database's",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', format('the slot %s is of the plugin %s and the database %s',"
            " s.slot_name, s.plugin, s.database),"
            " format('SELECT pg_drop_replication_slot(%L); -- or choose another PGFORCE_SCHEMA',"
            " s.slot_name)"
            " from given join pg_replication_slots s on s.slot_name = given.slot_name"
            " where s.plugin is distinct from 'pgforce'"
            " or s.database is distinct from current_database()"},
    {.id = "MUST_KEEP_SLOT",
     .title = "the slot still has the WAL it needs",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'RED', format('the server has removed WAL that the slot %s needs"
            " (max_slot_wal_keep_size is %s)', s.slot_name,"
            " current_setting('max_slot_wal_keep_size')), 'pgforce setup --accept-gap'"
            " from given join pg_replication_slots s on s.slot_name = given.slot_name"
            " where s.wal_status = 'lost'",
     .event_type = "slot"},
    {.id = "MUST_NOT_RETAIN_WAL",
     .title = "the slot retains little WAL",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = ", slot as (select s.slot_name, s.active, s.safe_wal_size, " WAL_END
            " - s.restart_lsn as retained"
            " from given join pg_replication_slots s on s.slot_name = given.slot_name)"
            " select null, case when retained >= critical_bytes then 'RED' else 'YELLOW' end,"
            " format('the slot %s retains %s of WAL (warning at %s, critical at %s)%s',"
            " slot.slot_name, pg_size_pretty(retained), pg_size_pretty(warning_bytes),"
            " pg_size_pretty(critical_bytes), coalesce(format('; the server gives it up in %s',"
            " pg_size_pretty(safe_wal_size)), '')),"
            " case when active then 'see MUST_PROGRESS and SHOULD_HAVE_SHORT_TRANSACTIONS for what"
            " holds it' else 'pgforce run' end"
            " from given, slot"
            " where retained >= least(warning_bytes, critical_bytes)",
     .event_type = "slot"},
    {.id = "SHOULD_READ_SLOT",
     .title = "the slot is read",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'YELLOW', format('nobody reads the slot %s: it retains WAL',"
            " s.slot_name), 'pgforce run'"
            " from given join pg_replication_slots s on s.slot_name = given.slot_name"
            " where not s.active"},
    {.id = "MUST_CONTINUE_LOG",
     .title = "the slot continues what is in the log",
     .needs = CHECKS_NEEDS_SETUP,
     .look = look_at_position,
     .event_type = "slot"},
    {.id = "MUST_BE_SAME_SERVER",
     .title = "the server is the one of the stored progress",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'RED', format('this server is %s, the progress is of %s',"
            " c.system_identifier, p.system_identifier), 'pgforce setup --accept-gap'"
            " from given"
            " join pgforce.progress p on p.schema_name = given.schema_name"
            " cross join pg_control_system() c"
            " where p.system_identifier <> c.system_identifier::text"},
    {.id = "MUST_PROGRESS",
     .title = "the archive makes progress",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'RED', format('the log has not moved since %s and is %s behind',"
            " to_char(p.updated_at, 'YYYY-MM-DD HH24:MI:SS'),"
            " pg_size_pretty(" WAL_END " - p.commit_end_lsn)),"
            " 'see the log of the role archive; SHOULD_HAVE_SHORT_TRANSACTIONS and"
            " SHOULD_NOT_LOCK_TABLES name who may hold it up'"
            " from given"
            " join pgforce.progress p on p.schema_name = given.schema_name"
            " join pg_replication_slots s on s.slot_name = p.slot_name and s.active"
            " where p.updated_at < now() - given.stalled_age"
            " and " WAL_END " - p.commit_end_lsn > 1024 * 1024",
     .event_type = "slot"},
    {.id = "MUST_RUN_ROLES",
     .title = "the roles run",
     .needs = CHECKS_NEEDS_SETUP,
     .sql =
         "select null, 'YELLOW', format('not running: %s', string_agg(role, ', ' order by"
         " role)), 'pgforce run -- what is parked says why in its log'"
         " from given, unnest(array['archive', 'push', 'pull', 'listen', 'housekeeper', 'watch'])"
         " as role"
         " where (role <> 'listen' or exists (select from pgforce.mapping m"
         " where m.schema_name = given.schema_name and m.notify and not m.is_orphan))"
         " and not exists (select from pg_locks l where " TURN_IS(
             "role", "schema_name") ")"
                                    " having count(*) > 0",
     .event_type = "role-stopped"},
    {.id = "SHOULD_HAVE_SHORT_TRANSACTIONS",
     .title = "no transaction is open for long",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'YELLOW', format('process %s (%s, application \"%s\") has had a"
            " transaction open since %s: the slot keeps WAL for it', a.pid,"
            " coalesce(a.usename, '?'), a.application_name,"
            " to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS')),"
            " format('SELECT pg_terminate_backend(%s);', a.pid)"
            " from given, pg_stat_activity a"
            " where a.xact_start < now() - given.long_age and a.backend_type = 'client backend'"
            " and a.backend_xid is not null"
            " union all"
            " select null, 'YELLOW', format('the prepared transaction %s of %s is open since %s:"
            " the slot keeps WAL for it', p.gid, p.owner,"
            " to_char(p.prepared, 'YYYY-MM-DD HH24:MI:SS')),"
            " format('ROLLBACK PREPARED %L;', p.gid)"
            " from given, pg_prepared_xacts p"
            " where p.prepared < now() - given.long_age"},
    {.id = "SHOULD_SEE_ACTIVITY",
     .title = "the role sees whose transactions are open",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'SKIPPED', format('the role %s sees only its own sessions: long"
            " transactions and locks of others go unseen', current_user),"
            " format('GRANT pg_read_all_stats TO %I;', current_user)"
            " where not pg_has_role('pg_read_all_stats', 'usage')"},
    {.id = "SHOULD_NOT_FORGET_SLOTS",
     .title = "no other slot retains WAL",
     .needs = CHECKS_NEEDS_DATABASE,
     .sql = "select null, 'YELLOW', format('the slot %s, which nobody reads, retains %s of WAL',"
            " s.slot_name, pg_size_pretty(" WAL_END " - s.restart_lsn)),"
            " format('SELECT pg_drop_replication_slot(%L); -- if nobody needs it', s.slot_name)"
            " from given, pg_replication_slots s"
            " where s.slot_name <> given.slot_name and not s.active"
            " and " WAL_END " - s.restart_lsn >= given.warning_bytes"},
    {.id = "SHOULD_NOT_BE_PAUSED",
     .title = "the connection is not paused",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'YELLOW', 'the connection is paused: nothing is read, nothing is sent',"
            " 'pgforce resume'"
            " from given join pgforce.connection c on c.schema_name = given.schema_name"
            " where c.state = 'PAUSED'"},
    {.id = "MUST_BE_AUTHORIZED",
     .title = "the organisation accepts the credentials",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'RED', 'the organisation has refused the credentials',"
            " 'correct PGFORCE_SF_..., then restart the roles'"
            " from given join pgforce.connection c on c.schema_name = given.schema_name"
            " where c.state = 'UNAUTHORIZED'",
     .event_type = "salesforce-connection"},
    {.id = "MUST_READ_MAPPINGS",
     .title = "the mappings can be read",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'RED', format('%s cannot be read since %s: %s',"
            " string_agg(m.object_name, ', ' order by m.object_name),"
            " to_char(min(w.failing_since), 'YYYY-MM-DD HH24:MI:SS'),"
            " (array_agg(w.failing_reason order by w.failing_since))[1]),"
            " 'is the organisation there (status.salesforce.com)? The reading is tried again by"
            " itself'"
            " from given join pgforce.connection c on c.schema_name = given.schema_name"
            " join pgforce.mapping m on m.schema_name = c.schema_name"
            " join pgforce.watermark w on w.mapping_id = m.id"
            " where c.state <> 'PAUSED' and m.state not in ('ABORTED', 'SYSTEM_ERROR')"
            " and w.failing_since < now() - given.stalled_age"
            " having count(*) > 0",
     .event_type = "salesforce-connection"},
    {.id = "MUST_HAVE_API_REQUESTS",
     .title = "API requests are left, by the organisation's last word",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, case when c.api_used >= c.api_max * 0.95 then 'RED' else 'YELLOW' end,"
            " format('%s of the day''s %s API requests are used', c.api_used, c.api_max),"
            " 'poll less often (pgforce mapping edit), or buy requests'"
            " from given join pgforce.connection c on c.schema_name = given.schema_name"
            " where c.api_max > 0 and c.api_used >= c.api_max * 0.8"
            " and c.api_seen_at > now() - interval '1 day'",
     .event_type = "limit"},
};

const struct checks_rule *checks_slot_rules(size_t *count)
{
    *count = sizeof(rules) / sizeof(rules[0]);
    return rules;
}
