#include "control/checks_tables.h"

/* A table of hundreds of columns makes every row's decoding and every query dear; Salesforce's own
 * objects end at 800 custom fields. Heroku Connect warns without naming its figures. */
#define MANY_FIELDS   "200"
#define MANY_MAPPINGS "100"

/* The log tells only that entries of the table were refused, not since when they may be mended. */
static bool look_at_log(struct checks *checks, const struct checks_rule *rule, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "select m.object_name, format('Salesforce refused %s, the last: %s',"
                   " case count(*) when 1 then '1 change' else count(*) || ' changes' end,"
                   " (array_agg(coalesce(l.sf_message, '?') order by l.id desc))[1]),"
                   " format('pgforce errors %s -- then mend the cause, and: pgforce retry --mapping"
                   " %s', m.object_name, m.object_name)"
                   " from pgforce.mapping m join ");
    pg_append_qualified(&sql, checks->target->schema_name, "_trigger_log");
    buf_text(&sql, " l on l.table_name = m.table_name and l.state = 'FAILED'"
                   " where m.schema_name = $1 group by m.object_name");
    PGresult *rows PG_RESULT_AUTO =
        pg_query(checks->target->pg, sql.data, PG_PARAMS(checks->target->schema_name), err);
    if (rows == NULL)
        return false;
    for (int i = 0; i < PQntuples(rows); i++)
        checks_add(checks, (struct checks_finding){
                               .rule = rule,
                               .object_name = arena_strdup(checks->arena, PQgetvalue(rows, i, 0)),
                               .level = CHECKS_YELLOW,
                               .message = arena_strdup(checks->arena, PQgetvalue(rows, i, 1)),
                               .remedy = arena_strdup(checks->arena, PQgetvalue(rows, i, 2))});
    return true;
}

static const struct checks_rule rules[] = {
    {.id = "SHOULD_HAVE_FEW_MAPPINGS",
     .title = "not too many mappings",
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select null, 'YELLOW', format('there are %s mappings: each is polled by itself',"
            " count(*)), 'split them between connections, each with a schema of its own'"
            " from mapped having count(*) > " MANY_MAPPINGS},
    {.id = "MUST_BE_MAPPABLE",
     .title = "the mapping works",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'RED', format('%s: %s', state, coalesce(state_description,"
            " 'no reason was given')), case when is_orphan"
            " then format('pgforce mapping delete %s -- or give the organisation what it lacks',"
            " object_name)"
            " else format('mend the reason, then: pgforce resume %s', object_name) end"
            " from mapped"
            " where state = 'SYSTEM_ERROR'",
     .event_type = "mapping-error"},
    {.id = "SHOULD_NOT_BE_ABORTED",
     .title = "nobody has stopped the mapping",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', 'the mapping was aborted: nothing is read any more',"
            " format('pgforce resume %s', object_name)"
            " from mapped where state = 'ABORTED'"},
    {.id = "MUST_HAVE_TABLE",
     .title = "the mapping's table is there",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'RED', format('there is no table %s', qualified),"
            " format('pgforce mapping delete %s -- then map it again', object_name)"
            " from mapped where table_oid is null and not is_orphan"},
    {.id = "MUST_HAVE_COLUMNS",
     .title = "the table has all mapped columns",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'RED', format('%s lacks %s', qualified,"
            " string_agg(name, ', ' order by name)),"
            " string_agg(format('ALTER TABLE %s ADD COLUMN %I %s;', qualified, name, type), ' '"
            " order by name)"
            " from mapped cross join lateral (select f.column_name, f.column_type"
            " from pgforce.mapping_field f where f.mapping_id = mapped.id"
            " union all values ('id', 'serial'), ('_hc_lastop', 'varchar(32) default ''PENDING'''),"
            " ('_hc_err', 'text')) as wanted(name, type)"
            " where table_oid is not null"
            " and not exists (select from pg_attribute a where a.attrelid = table_oid"
            " and a.attname = name and not a.attisdropped)"
            " group by object_name, qualified"},
    {.id = "MUST_HAVE_COLUMN_TYPES",
     .title = "the columns have the types they were mapped with",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('%s has %s', qualified,"
            " string_agg(format('%s %s instead of %s', a.attname, format_type(a.atttypid,"
            " a.atttypmod), f.column_type), ', ' order by a.attname)),"
            " string_agg(format('ALTER TABLE %s ALTER COLUMN %I TYPE %s;', qualified, a.attname,"
            " f.column_type), ' ' order by a.attname)"
            " from mapped"
            " join pgforce.mapping_field f on f.mapping_id = mapped.id"
            " join pg_attribute a on a.attrelid = table_oid and a.attname = f.column_name"
            " and not a.attisdropped"
            " where replace(replace(replace(format_type(a.atttypid, a.atttypmod),"
            " 'character varying', 'varchar'), 'timestamp without time zone', 'timestamp'),"
            " 'time without time zone', 'time') <> replace(replace(f.column_type,"
            " 'timestamp without time zone', 'timestamp'), 'time without time zone', 'time')"
            " group by object_name, qualified"},
    {.id = "MUST_HAVE_REPLICA_IDENTITY",
     .title = "REPLICA IDENTITY is FULL",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, case relreplident when 'n' then 'RED' else 'YELLOW' end,"
            " format('the replica identity of %s is %s: old values and large unchanged ones are"
            " missing from the log', qualified, case relreplident when 'n' then 'NOTHING' when 'i'"
            " then 'an index' else 'DEFAULT' end),"
            " format('ALTER TABLE %s REPLICA IDENTITY FULL;', qualified)"
            " from mapped where relreplident <> 'f'"},
    {.id = "MUST_READ_TABLE",
     .title = "pgforce may read and write the table",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'RED', format('the role %s lacks %s on %s', current_user,"
            " string_agg(privilege, ', '), qualified),"
            " format('GRANT %s ON %s TO %I;', string_agg(privilege, ', '), qualified,"
            " current_user)"
            " from mapped cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE'])"
            " as privilege"
            " where table_oid is not null and not has_table_privilege(table_oid, privilege)"
            " group by object_name, qualified"},
    {.id = "MUST_OWN_TABLE",
     .title = "pgforce may alter the table",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('%s belongs to %s: no column can be added to it',"
            " qualified, pg_get_userbyid(relowner)),"
            " format('ALTER TABLE %s OWNER TO %I;', qualified, current_user)"
            " from mapped where table_oid is not null"
            " and not pg_has_role(relowner, 'usage')"},
    {.id = "MUST_GRANT_TABLE",
     .title = "the application's role may use the table",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('the role %s lacks %s on %s', rolname,"
            " string_agg(privilege, ', '), qualified),"
            " format('GRANT %s ON %s TO %I;', string_agg(privilege, ', '), qualified, rolname)"
            " from mapped cross join given"
            " join pg_roles r on r.rolname = given.app_role"
            " cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as privilege"
            " where table_oid is not null and not has_table_privilege(r.oid, table_oid, privilege)"
            " group by object_name, qualified, rolname"},
    {.id = "MUST_NOT_HAVE_ROW_SECURITY",
     .title = "row level security does not hide rows from pgforce",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'RED', format('row level security of %s applies to the role %s:"
            " its changes are withheld', qualified, current_user),"
            " format('ALTER ROLE %I BYPASSRLS; -- or: ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;"
            " for the owner', current_user, qualified)"
            " from mapped where table_oid is not null and row_security_active(table_oid)"},
    {.id = "SHOULD_HAVE_NO_TRIGGERS",
     .title = "the table has no triggers of others",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('%s has the trigger%s %s: what they change while"
            " a row arrives from Salesforce is not sent', qualified,"
            " case when count(*) > 1 then 's' else '' end,"
            " string_agg(t.tgname, ', ' order by t.tgname)),"
            " string_agg(format('DROP TRIGGER %I ON %s;', t.tgname, qualified), ' '"
            " order by t.tgname) || ' -- where that is not wanted'"
            " from mapped"
            " join pg_trigger t on t.tgrelid = table_oid and not t.tgisinternal"
            " join pg_proc p on p.oid = t.tgfoid"
            " where p.proname not in ('pgforce_note_truncate', 'tlog_notify_trigger')"
            " and t.tgenabled <> 'D'"
            " group by object_name, qualified"},
    {.id = "SHOULD_HAVE_NO_VIEWS",
     .title = "no view hinders a change of the table",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('the view %s stands on %s: a mapped column that"
            " grows in Salesforce cannot grow here', string_agg(distinct view_name, ', '),"
            " qualified),"
            " string_agg(distinct format('DROP VIEW %s;', view_name), ' ')"
            " || ' -- before a column is changed'"
            " from mapped"
            " join pg_depend d on d.refobjid = table_oid and d.refclassid = 'pg_class'::regclass"
            " and d.classid = 'pg_rewrite'::regclass"
            " join pg_rewrite r on r.oid = d.objid"
            " join pg_class v on v.oid = r.ev_class and v.oid <> table_oid"
            " join pg_namespace n on n.oid = v.relnamespace"
            " cross join format('%I.%I', n.nspname, v.relname) as view_name"
            " group by object_name, qualified"},
    {.id = "SHOULD_HAVE_NO_CONSTRAINTS",
     .title = "no constraint refuses rows of Salesforce",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('%s has the constraint%s %s: a record that breaks"
            " it stays away', qualified, case when count(*) > 1 then 's' else '' end,"
            " string_agg(name, ', ' order by name)), string_agg(drop_sql, ' ' order by name)"
            " from mapped cross join lateral ("
            "select c.conname as name,"
            " format('ALTER TABLE %s DROP CONSTRAINT %I;', qualified, c.conname) as drop_sql"
            " from pg_constraint c where c.conrelid = table_oid and c.contype in ('c', 'f', 'u',"
            " 'x')"
            " union all"
            " select a.attname || ' NOT NULL',"
            " format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL;', qualified, a.attname)"
            " from pg_attribute a where a.attrelid = table_oid and a.attnotnull and a.attnum > 0"
            " and a.attname <> 'id' and not a.attisdropped) as own"
            " group by object_name, qualified"},
    {.id = "MUST_HAVE_INDEXES",
     .title = "the table has the indexes it needs",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'RED', format('%s has no unique index on %s: every row that"
            " arrives reads the whole table', qualified, string_agg(name, ', ')),"
            " string_agg(format('CREATE UNIQUE INDEX %I ON %s (%I);', 'hcu_idx_' || table_name ||"
            " '_' || name, qualified, name), ' ')"
            " from mapped cross join lateral (select 'sfid' as name"
            " union select lower(upsert_field) where upsert_field is not null) as wanted"
            " where table_oid is not null"
            " and state not in ('INITIAL', 'RELOAD_TABLE', 'WAIT_BULK_LOAD', 'LOADING_BULK_JOB')"
            " and exists (select from pg_attribute a where a.attrelid = table_oid"
            " and a.attname = name)"
            " and not exists (select from pg_index i join pg_attribute a on a.attrelid = i.indrelid"
            " and a.attnum = i.indkey[0] where i.indrelid = table_oid and i.indisunique"
            " and i.indisvalid and a.attname = name)"
            " group by object_name, qualified"},
    {.id = "MUST_HAVE_IDS_LEFT",
     .title = "the table has numbers left for new rows",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, case when last_value > 2040109465 then 'RED' else 'YELLOW' end,"
            " format('%s of the 2147483647 ids of %s are used', last_value, qualified),"
            " format('ALTER SEQUENCE %I.%I RESTART WITH 1; -- if the low ids are free; see"
            " docs/operations.md', s.schemaname, s.sequencename)"
            " from mapped"
            " join pg_depend d on d.refobjid = table_oid and d.deptype in ('a', 'i')"
            " and d.classid = 'pg_class'::regclass"
            " join pg_class c on c.oid = d.objid and c.relkind = 'S'"
            " join pg_namespace n on n.oid = c.relnamespace"
            " join pg_sequences s on s.schemaname = n.nspname and s.sequencename = c.relname"
            " where s.last_value > 1717986918"},
    {.id = "SHOULD_NOT_LOCK_TABLES",
     .title = "nobody locks the table for long",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql =
         "select object_name, case mapped.state when 'SCHEMA_CHANGED' then 'RED' else 'YELLOW' end,"
         " format('process %s (application \"%s\") has held %s on %s since %s', a.pid,"
         " a.application_name, l.mode, qualified,"
         " to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS')),"
         " format('SELECT pg_terminate_backend(%s);', a.pid)"
         " from given, mapped"
         " join pg_locks l on l.relation = table_oid and l.granted and l.locktype = 'relation'"
         " join pg_stat_activity a on a.pid = l.pid"
         " where a.xact_start < now() - given.long_age"
         " and a.application_name not like 'pgforce%'"},
    {.id = "SHOULD_HAVE_FEW_FIELDS",
     .title = "not too many fields",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('%s fields are mapped', count(*)),"
            " format('pgforce mapping edit %s -- leave out what nobody reads', object_name)"
            " from mapped join pgforce.mapping_field f on f.mapping_id = mapped.id"
            " group by object_name having count(*) > " MANY_FIELDS},
    {.id = "SHOULD_HAVE_UNIQUE_IDENTIFIER",
     .title = "a mapping that writes has a unique identifier",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select mapped.object_name, 'YELLOW', 'there is no unique identifier: a create whose"
            " answer is lost is looked for by its content',"
            " format('pgforce mapping edit %1$s --unique-id <a unique external id> -- or:"
            " pgforce mapping edit %1$s --lost-create receipt', mapped.object_name)"
            " from mapped join pgforce.mapping m on m.id = mapped.id"
            " where mapped.access = 'read_write' and mapped.upsert_field is null"
            " and not mapped.is_orphan"
            " and coalesce(m.config ->> 'lost_create', 'probe') = 'probe'"},
    {.id = "SHOULD_HAVE_ONE_RECORD",
     .title = "no row has made several records",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select mapped.object_name, 'YELLOW', format('the INSERT of entry %s was done more than"
            " once: %s', t.log_id, array_to_string(t.doubles, ', ')),"
            " 'in Salesforce, merge them into the one that the row has as its sfid, or delete the"
            " others; it is looked at again within the hour'"
            " from mapped join pgforce.trace t on t.mapping_id = mapped.id"
            " where t.marker_field is not null and t.doubles is not null",
     .event_type = "double-record"},
    {.id = "SHOULD_HAVE_NO_WRITE_ERRORS",
     .title = "Salesforce has refused nothing",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .look = look_at_log,
     .event_type = "write-error"},
    {.id = "SHOULD_CONFIRM_DELETIONS",
     .title = "no deletion waits for a word",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('%s deletions are held back: so many at once look"
            " like a mistake', count(*)), format('pgforce mapping confirm %s', object_name)"
            " from mapped join pgforce.held_deletion h on h.mapping_id = mapped.id"
            " where h.confirmed_at is null"
            " group by object_name",
     .event_type = "held-deletions"},
    {.id = "SHOULD_SETTLE_TRUNCATIONS",
     .title = "no TRUNCATE waits for a word",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('the TRUNCATE %s waits: %s', t.id, t.state),"
            " format('pgforce truncations --dismiss %s', t.id)"
            " from mapped join pgforce.truncation t on t.mapping_id = mapped.id"
            " where t.state in ('STOPPED', 'WAITING')"},
    {.id = "SHOULD_TAKE_RECORDS",
     .title = "the table takes every record",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql =
         "select object_name, 'YELLOW', format('%s records do not fit the table, such as %s: %s',"
         " count(*), min(r.sfid), min(r.reason)),"
         " 'drop what refuses them; they are read again by themselves'"
         " from mapped join pgforce.refused_record r on r.mapping_id = mapped.id"
         " group by object_name"},
    {.id = "SHOULD_SETTLE_DOUBTS",
     .title = "no write is in doubt for long",
     .scope = CHECKS_MAPPING,
     .needs = CHECKS_NEEDS_SETUP,
     .sql = "select object_name, 'YELLOW', format('%s writes are in doubt, the oldest since %s',"
            " count(*), to_char(min(d.sent_at), 'YYYY-MM-DD HH24:MI:SS')),"
            " 'see the log of the role push: it reads them back'"
            " from given, mapped join pgforce.delivery d on d.mapping_id = mapped.id"
            " where d.state = 'IN_DOUBT' and d.sent_at < now() - given.long_age"
            " group by object_name"},
};

const struct checks_rule *checks_tables_rules(size_t *count)
{
    *count = sizeof(rules) / sizeof(rules[0]);
    return rules;
}
