"""A schema that Heroku Connect has synced is taken over: rows, ids, log and archive stay, its triggers go.

The schema is built by hand as dumps of live ones are: tables, sequences, indexes, triggers and functions."""

import io
import json

import pytest

from eventually import eventually
from sync import Sync, contact, export, mapping

CONFIG, USAGE = 78, 64

LOG_COLUMNS = """
    txid bigint, created_at timestamptz {now}, updated_at timestamptz {now}, processed_at timestamptz,
    processed_tx bigint, state varchar(8), action varchar(7), table_name varchar(128), record_id integer,
    sfid varchar(18), old text, "values" text, sf_result integer, sf_message text
"""

SYSTEM = f"""
create schema salesforce;
create function public.get_xmlbinary() returns varchar language plpgsql stable as
    $$ begin return current_setting('xmlbinary'); end $$;
create table salesforce._hcmeta (id serial primary key, hcver integer, org_id varchar(50), details text);
create table salesforce._trigger_log (id serial primary key, {LOG_COLUMNS.format(now="default now()")});
create index _trigger_log_idx_created_at on salesforce._trigger_log (created_at);
create index _trigger_log_idx_state_id on salesforce._trigger_log (state, id);
create index _trigger_log_idx_state_table_name on salesforce._trigger_log (state, table_name)
    where state in ('NEW', 'PENDING');
create table salesforce._trigger_log_archive (id integer primary key, {LOG_COLUMNS.format(now="")});
create index _trigger_log_archive_idx_created_at on salesforce._trigger_log_archive (created_at);
create index _trigger_log_archive_idx_record_id on salesforce._trigger_log_archive (record_id);
create index _trigger_log_archive_idx_state_table_name on salesforce._trigger_log_archive (state, table_name)
    where state = 'FAILED';
create table salesforce._sf_event_log (id serial primary key, table_name varchar(128));
create function salesforce.tlog_notify_trigger() returns trigger language plpgsql as
    $$ begin perform pg_notify('salesforce.hc_trigger_log', 'ping'); return new; end $$;
create trigger tlog_insert_trigger after insert on salesforce._trigger_log
    for each row execute function salesforce.tlog_notify_trigger();
create function salesforce.hc_capture_insert_from_row(source_row hstore, table_name varchar,
    excluded_cols text[] default array[]::text[]) returns integer language plpgsql as $$ begin return null; end $$;
create function salesforce.hc_capture_update_from_row(source_row hstore, table_name varchar,
    columns_to_include text[] default array[]::text[]) returns integer language plpgsql as
    $$ begin return null; end $$;
"""

TABLE = """
create table salesforce.{table} ({columns}, createddate timestamp, isdeleted boolean, systemmodstamp timestamp,
    sfid varchar(18) collate "ucs_basic", id serial primary key, _hc_lastop varchar(32), _hc_err text);
create unique index hcu_idx_{table}_sfid on salesforce.{table} (sfid);
create index hc_idx_{table}_systemmodstamp on salesforce.{table} (systemmodstamp);
create function salesforce.hc_{table}_logger() returns trigger language plpgsql as $$
    begin
        insert into salesforce._trigger_log (txid, created_at, state, action, table_name, record_id, sfid, "values")
        values (txid_current(), clock_timestamp(), 'NEW', tg_op, '{table}', new.id,
                case tg_op when 'INSERT' then null else new.sfid end,
                (hstore(new) - array['_hc_lastop', '_hc_err'])::text);
        return new;
    end $$;
create function salesforce.hc_{table}_status() returns trigger language plpgsql as
    $$ begin new._hc_lastop := 'PENDING'; new._hc_err := null; return new; end $$;
create trigger hc_{table}_logtrigger after insert or update on salesforce.{table} for each row
    when (public.get_xmlbinary() = 'base64') execute function salesforce.hc_{table}_logger();
create trigger hc_{table}_status_trigger before insert or update on salesforce.{table} for each row
    when (public.get_xmlbinary() = 'base64') execute function salesforce.hc_{table}_status();
"""

FILE = export(
    mapping("Account", "Name", "Phone", "External_Id__c", "CreatedDate", upsert="External_Id__c"),
    contact(),
)
ROWS = 100_000


@pytest.fixture
def heroku(pgforce, database):
    """The schema as it is after restoring a dump as the application's role."""
    database.psql("create extension hstore with schema public", role="postgres")
    database.psql(SYSTEM)
    database.psql(TABLE.format(table="account", columns="name varchar(255), phone varchar(40),"
                               " external_id__c varchar(64)"))
    database.psql("create unique index hcu_idx_account_external_id__c on salesforce.account (external_id__c)")
    database.psql(TABLE.format(table="contact", columns="firstname varchar(40), lastname varchar(80),"
                               " email varchar(80), account__external_id__c varchar(255),"
                               " external_id__c varchar(255)"))
    database.psql("create view salesforce.report as select name, phone from salesforce.account")
    database.psql(pgforce.run("setup", "--print-superuser-sql").stdout, role="postgres")
    database.query("grant app to pgforce", role="postgres")
    return database


def fill(sandbox, database, count):
    """Records on both sides, as Heroku Connect left them; and a log with every state."""
    sandbox.load("Account", count)
    rows = sandbox.query("select Id, Name, Phone, External_Id__c, CreatedDate, SystemModstamp from Account")
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set xmlbinary = hex; create temporary table incoming (record jsonb)")
        lines = [json.dumps(row).replace("\\", "\\\\") + "\n" for row in rows]
        cursor.copy_expert("copy incoming from stdin", io.StringIO("".join(lines)))
        cursor.execute("""
            insert into salesforce.account (name, phone, external_id__c, createddate, isdeleted, systemmodstamp,
                sfid)
            select record ->> 'Name', record ->> 'Phone', record ->> 'External_Id__c',
                (record ->> 'CreatedDate')::timestamptz at time zone 'UTC', false,
                (record ->> 'SystemModstamp')::timestamptz at time zone 'UTC', record ->> 'Id' from incoming;
            insert into salesforce._trigger_log_archive (id, created_at, state, action, table_name, record_id)
                select n, now() - n * interval '1 hour', 'SUCCESS', 'UPDATE', 'account', n
                from generate_series(1, 500) n;
            insert into salesforce._trigger_log_archive (id, state, action, table_name)
                values (501, 'FAILED', 'UPDATE', 'account');
            insert into salesforce._trigger_log (id, state, action, table_name, record_id)
                values (1001, 'SUCCESS', 'UPDATE', 'account', 1), (1002, 'PENDING', 'UPDATE', 'account', 2);
            select setval('salesforce._trigger_log_id_seq', 1002);
        """)


def adopted(pgforce, database, sandbox):
    sync = Sync.__new__(Sync)
    sync.pgforce, sync.database, sync.org, sync.roles = pgforce, database, sandbox, {}
    return sync


def ours(sandbox):
    return sandbox.query("select Id from Organization")[0]["Id"]


def test_a_heroku_connect_schema_is_taken_over_and_syncs_on(pgforce, heroku, sandbox, tmp_path):
    fill(sandbox, heroku, ROWS)
    heroku.query("insert into salesforce._hcmeta (hcver, org_id) values (17, %s)", [ours(sandbox)])
    file = tmp_path / "export.json"
    file.write_text(FILE)
    # Captured by the trigger, and not sent any more.
    heroku.query("insert into salesforce.account (name, external_id__c) values ('Late', 'late')")
    before = heroku.query("select id, sfid, name from salesforce.account order by id")
    assert len(before) == ROWS + 1
    assert "add --yes" in pgforce.run("adopt", str(file), expect=USAGE).stderr
    done = json.loads(pgforce.run("adopt", str(file), "--yes", "--json", deadline_s=300).stdout)
    assert done == {"tables": 2, "triggers": 5, "entries": 3, "archived": 501, "doubtful": 1}

    assert heroku.query("select id, sfid, name from salesforce.account order by id") == before
    assert heroku.query("select count(*) from pg_trigger where tgname like 'hc\\_%'") == [(0,)]
    assert heroku.query("select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
                        " where nspname = 'salesforce' and proname ~ '_(logger|status)$'") == [(0,)]
    assert heroku.query("select count(*) from salesforce._trigger_log_archive") == [(501,)]
    assert heroku.query("select hcver from salesforce._hcmeta") == [(17,)]
    assert "was under way at Heroku Connect" in heroku.query(
        "select sf_message from salesforce._trigger_log where id = 1002")[0][0]

    sync = adopted(pgforce, heroku, sandbox)
    assert sync.query("select object_name, state from pgforce.mapping order by 1", role="pgforce") == [
        ("Account", "DATA_SYNCED"), ("Contact", "INITIAL")]
    sync.start("archive", "push", "pull")
    # What the trigger had captured is sent, and the log goes on behind it.
    eventually(lambda: sync.value("select sfid from salesforce.account where external_id__c = 'late'"), 60)
    sync.query("insert into salesforce.account (name, external_id__c) values ('New', 'new')")
    eventually(lambda: sync.value("select state from salesforce._trigger_log where id > 1003") == "SUCCESS", 60)
    assert sync.value("select count(*) from salesforce._trigger_log where id > 1003") == 1
    # And what changes in the organisation comes.
    sandbox.update("Account", before[0][1], Phone="changed")
    sandbox.create("Contact", LastName="Ann")
    eventually(lambda: sync.value("select phone from salesforce.account where id = %s", [before[0][0]])
               == "changed", 60)
    eventually(lambda: sync.query("select lastname from salesforce.contact") == [("Ann",)], 60)
    assert sync.value("select count(*) from salesforce.account") == ROWS + 2
    assert sync.query("select count(*) from salesforce.report") == [(ROWS + 2,)]
    assert pgforce.run("plan", str(file)).stdout == "nothing to do\n"
    pgforce.run("setup")


@pytest.mark.parametrize(
    "spoil, says",
    [
        ("alter table salesforce.account alter phone type boolean using null", "salesforce.account.phone is boolean"),
        ("alter table salesforce.contact drop _hc_lastop", "lacks the column _hc_lastop"),
        ("drop table salesforce.contact", "salesforce.contact is not there"),
        ("drop table salesforce._trigger_log_archive", "lacks _trigger_log"),
        ("alter table salesforce._trigger_log drop sf_message", "_trigger_log lacks columns"),
        ("insert into salesforce._hcmeta (org_id) values ('00D000000000009AAA')",
         "belongs to organisation 00D000000000009AAA"),
    ],
)
def test_what_is_no_such_schema_is_refused_and_left_alone(pgforce, heroku, spoil, says):
    heroku.psql("drop view salesforce.report;" + spoil)
    relations = ("select relname::text from pg_class c join pg_namespace n on n.oid = relnamespace"
                 " where nspname = 'salesforce' order by 1")
    before = heroku.query(relations)
    assert says in pgforce.run("adopt", "-", "--yes", stdin=FILE, expect=CONFIG).stderr
    assert heroku.query(relations) == before
    assert heroku.query("select count(*) from pg_trigger where tgname like 'hc\\_%'")[0][0] >= 2
    assert heroku.query("select count(*) from pg_replication_slots where database = current_database()") == [(0,)]


def test_a_schema_of_somebody_else_says_what_to_grant(pgforce, heroku):
    heroku.query("revoke app from pgforce", role="postgres")
    done = pgforce.run("adopt", "-", "--yes", stdin=FILE, expect=CONFIG)
    assert "GRANT app TO pgforce" in done.stderr


def test_setup_does_not_trip_over_such_a_schema(pgforce, heroku):
    assert "`pgforce adopt FILE` takes it over" in pgforce.run("setup", expect=CONFIG).stderr


@pytest.fixture
def heroku_owner(cluster, pgforce, heroku):
    """Everything of the schema belongs to a role of its own: neither the daemon's nor the application's."""
    cluster.psql("create role heroku_owner", role="postgres", database="postgres")
    heroku.psql(
        """
        revoke app from pgforce;
        do $$ declare it record; begin
            for it in select c.oid::regclass as name, relkind from pg_class c
                where relnamespace = 'salesforce'::regnamespace and relkind in ('r', 'v')
            loop execute format('alter %s %s owner to heroku_owner',
                case it.relkind when 'v' then 'view' else 'table' end, it.name); end loop;
            for it in select oid::regprocedure as name from pg_proc where pronamespace = 'salesforce'::regnamespace
            loop execute format('alter function %s owner to heroku_owner', it.name); end loop;
        end $$;
        alter schema salesforce owner to heroku_owner;
        grant usage on schema salesforce to app;
        grant select, insert, update, delete on all tables in schema salesforce to app;
        grant usage on all sequences in schema salesforce to app;
        """,
        role="postgres",
    )
    yield heroku
    heroku.psql("drop owned by heroku_owner cascade", role="postgres")
    cluster.psql("drop role heroku_owner", role="postgres", database="postgres")


def everything(database):
    """What adopting would change: relations with their owners, functions, triggers, slots."""
    return [
        database.query(sql, role="postgres") for sql in (
            "select relname::text, relowner::regrole::text from pg_class"
            " where relnamespace = 'salesforce'::regnamespace order by 1",
            "select oid::regprocedure::text from pg_proc where pronamespace = 'salesforce'::regnamespace order by 1",
            "select tgname::text from pg_trigger where not tgisinternal order by 1",
            "select slot_name::text from pg_replication_slots where database = current_database()",
        )
    ]


def test_tables_of_another_role_are_taken_over_once_we_may_and_stay_its_own(pgforce, heroku_owner, sandbox):
    database = heroku_owner
    anna = sandbox.create("Contact", LastName="Anna")
    database.query("set xmlbinary = hex;"
                   "insert into salesforce.contact (sfid, lastname, systemmodstamp) values (%s, 'Anna',"
                   " (now() at time zone 'UTC') - interval '1 day')", [anna], role="postgres")
    before = everything(database)
    done = pgforce.run("adopt", "-", "--yes", stdin=FILE, expect=CONFIG)
    assert "belongs to heroku_owner" in done.stderr
    # What it says is what helps, word for word.
    statement = done.stderr.split("as a superuser, ")[1].split(";")[0]
    assert everything(database) == before
    # One table of a third role is enough to refuse it.
    database.query(statement, role="postgres")
    database.query("alter table salesforce.contact owner to postgres", role="postgres")
    assert "belongs to postgres" in pgforce.run("adopt", "-", "--yes", stdin=FILE, expect=CONFIG).stderr
    database.query("alter table salesforce.contact owner to heroku_owner", role="postgres")
    assert everything(database) == before

    pgforce.run("adopt", "-", "--yes", stdin=FILE)
    sync = adopted(pgforce, database, sandbox)
    sync.start("archive", "push", "pull")
    sync.query("insert into salesforce.contact (lastname) values ('Bea')")
    eventually(lambda: sync.value("select sfid from salesforce.contact where lastname = 'Bea'"))
    sandbox.update("Contact", anna, LastName="Annabel")
    eventually(lambda: sync.value("select lastname from salesforce.contact where sfid = %s", [anna]) == "Annabel")
    owner = "select relowner::regrole::text from pg_class where oid = 'salesforce.contact'::regclass"
    assert sync.value(owner) == "heroku_owner"
    # Its life goes on: altered, emptied and read again, dropped.
    sync.pgforce.run("mapping", "edit", "Contact", "--field", "Phone")
    sync.wait_until_loaded()
    sync.pgforce.run("mapping", "reload", "Contact", "--destructive", "--yes")
    eventually(lambda: sync.query("select lastname from salesforce.contact order by 1") == [("Annabel",), ("Bea",)])
    sync.wait_until_loaded()
    sync.pgforce.run("mapping", "delete", "Contact", "--yes")
    assert sync.value("select to_regclass('salesforce.contact')") is None


@pytest.mark.parametrize(
    "revoke, says",
    [
        ("revoke create on database {database} from pgforce, public, app", "create on the database"),
        ("alter role pgforce noreplication", "replication"),
    ],
    ids=["no schema of our own", "no slot"],
)
def test_what_is_not_allowed_is_said_before_anything_is_done(pgforce, heroku, revoke, says):
    heroku.query(revoke.format(database=heroku.name), role="postgres")
    before = everything(heroku)
    done = pgforce.run("adopt", "-", "--yes", stdin=FILE, expect=CONFIG)
    heroku.query("alter role pgforce replication", role="postgres")
    assert says in done.stderr.lower()
    assert everything(heroku) == before
