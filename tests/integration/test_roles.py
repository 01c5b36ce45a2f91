"""Three roles: who owns the schema, who syncs, who applies; and one that only reads. None is a superuser."""

import psycopg2
import pytest

from eventually import eventually
from sync import Sync, account


@pytest.fixture
def roles(cluster, database, pgforce):
    cluster.psql("create role schema_owner; create role reader login password 'reader'", role="postgres",
                 database="postgres")
    database.psql("create schema salesforce authorization schema_owner", role="postgres")
    yield
    pgforce.end()
    database.psql("drop owned by reader, schema_owner cascade", role="postgres")
    cluster.psql("drop role reader; drop role schema_owner", role="postgres", database="postgres")


def as_reader(database, sql):
    dsn = database.dsn("app").split("@")[1]
    with psycopg2.connect(f"postgresql://reader:reader@{dsn}") as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_the_owner_the_daemon_and_the_application_are_three(pgforce, database, sandbox, roles):
    pgforce.env["PGFORCE_READER_ROLE"] = "reader"
    printed = pgforce.run("setup", "--print-sql").stdout
    for words in ("alter role \"pgforce\" replication", "grant usage, create on schema salesforce",
                  '-- grant usage on schema "salesforce" to "app"', '-- grant select on all tables'):
        assert words in printed
    database.query("revoke create on schema salesforce from pgforce", role="postgres")
    assert "on the schema" in pgforce.run("setup", expect=78).stderr
    database.psql(printed, role="postgres")
    sync = Sync(pgforce, database, sandbox)
    sandbox.create("Account", Name="Acme")
    sync.load(account())
    sync.query("insert into salesforce.account (name, external_id__c) values ('Bolt', 'b')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    owner = "select nspowner::regrole::text from pg_namespace where nspname = 'salesforce'"
    assert sync.value(owner) == "schema_owner"

    # The reader sees the tables, those made after setup too, and the log.
    assert as_reader(database, "select count(*) from salesforce.account") == [(2,)]
    assert as_reader(database, "select count(*) from salesforce._trigger_log") == [(1,)]
    for statement in ("update salesforce.account set name = 'x' returning 1",
                      "insert into salesforce._trigger_log (state) values ('NEW') returning 1",
                      "delete from salesforce.account returning 1"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_reader(database, statement)


def test_the_application_may_add_to_the_log_and_change_states_but_not_delete(sync):
    sync.query("insert into salesforce._trigger_log (state, action) values ('IGNORED', 'UPDATE');"
               "insert into salesforce._trigger_log_archive (id, state) values (77, 'FAILED');"
               "update salesforce._trigger_log set state = 'IGNORED';"
               "update salesforce._trigger_log_archive set state = 'REQUEUED'")
    captured = sync.value("select salesforce.hc_capture_insert_from_row(hstore('id', '5'), 'account',"
                          " array[array['a', 'b']])")
    assert captured is not None
    assert sync.value("select salesforce.hc_capture_update_from_row(hstore('name', 'x'), 'account')") is None
    for table in ("_trigger_log", "_trigger_log_archive"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            sync.query(f"delete from salesforce.{table}")
    eventually(lambda: sync.query("select count(*) from salesforce._trigger_log") == [(2,)])


def test_nothing_needs_a_superuser_after_the_printed_statements(sync):
    assert sync.value("select rolsuper from pg_roles where rolname = 'pgforce'") is False
