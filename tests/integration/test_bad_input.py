"""Whatever is wrong is said in one line that names the remedy, with the documented exit code, and nothing
is changed or lost."""

import json
import socket

import psycopg2
import pytest
from psycopg2 import extras

from cluster import BUILD, Cluster
from conftest import Database
from eventually import eventually
from programs import Pgforce
from survival import wait_until_slot_is_free
from sync import account, contact, export, mapping

UNREACHABLE, GAP, HELD, USAGE, DATA, RETRY, CONFIG = 3, 4, 6, 64, 65, 75, 78

# Everything pgforce makes, but for how far it has come.
STATE = """
select 'relation', relnamespace::regnamespace::text || '.' || relname, ''
    from pg_class where relnamespace in (select oid from pg_namespace where nspname in
    ('salesforce', 'pgforce'))
union all select 'slot', slot_name::text, coalesce(plugin::text, '') from pg_replication_slots
    where database = current_database()
union all select 'origin', roname, '' from pg_replication_origin where roname like 'pgforce%'
order by 1, 2
"""


def state(database):
    found = database.query(STATE, role="postgres")
    if database.query("select to_regclass('pgforce.mapping') is not null", role="postgres")[0][0]:
        found += database.query("select * from pgforce.mapping order by id", role="postgres")
        found += database.query("select mapping_id, column_name, column_type from pgforce.mapping_field"
                                " order by 1, 2", role="postgres")
    return found


def refused(pgforce, *arguments, code=CONFIG, says=(), **options):
    """Runs a command that must be refused in one line that says all these, and change nothing."""
    before = state(pgforce.database)
    done = pgforce.run(*arguments, expect=code, **options)
    lines = done.stderr.splitlines()
    complaints = [line for line in lines if line.startswith("pgforce: ") or " ERROR " in line]
    assert len(complaints) == 1, done.stderr
    for words in says:
        assert words in complaints[0], complaints[0]
    assert done.stdout == ""
    assert state(pgforce.database) == before
    return complaints[0]


def without(pgforce, *names):
    """pgforce, as if its operator had forgotten these variables."""
    env = {name: value for name, value in pgforce.env.items() if name not in names}
    return Pgforce(pgforce.database, env, pgforce.folder)


# The command line and the environment.


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["imprt"], ['unknown command "imprt"', "pgforce --help"]),
        ([], ["pgforce --help"]),
        (["import"], ["usage: pgforce import FILE"]),
        (["push", "now"], ["usage: pgforce push"]),
    ],
)
def test_a_wrong_command_line_is_wrong_usage(pgforce, arguments, says):
    done = pgforce.run(*arguments, expect=USAGE)
    assert len(done.stderr.splitlines()) == 1
    for words in says:
        assert words in done.stderr


def test_an_unknown_variable_is_refused_by_name(pgforce):
    env = {"PGFORCE_DATABSE_URL": "postgresql://x"}
    refused(pgforce, "status", env=env, says=["PGFORCE_DATABSE_URL", "pgforce --help"])


@pytest.mark.parametrize(
    "name, value",
    [
        ("PGFORCE_SCHEMA", "Sales Force"),
        ("PGFORCE_SCHEMA", "s" * 41),
        ("PGFORCE_LOG_LEVEL", "loud"),
        ("PGFORCE_LOG_FORMAT", "xml"),
        ("PGFORCE_DOUBT_QUARANTINE_S", "-1"),
        ("PGFORCE_DOUBT_QUARANTINE_S", "10 minutes"),
    ],
)
def test_a_wrong_value_of_a_variable_is_refused_with_what_it_should_be(pgforce, name, value):
    refused(pgforce, "status", env={name: value}, says=[name, value, "it should be"])


@pytest.mark.parametrize("command", ["setup", "status", "archive", "push", "pull"])
def test_no_database_is_named(pgforce, command):
    refused(
        without(pgforce, "PGFORCE_DATABASE_URL"),
        command,
        says=["PGFORCE_DATABASE_URL is not set", "postgresql://"],
    )


def test_no_way_to_sign_in_is_named(sync):
    names = [name for name in sync.pgforce.env if name.startswith("PGFORCE_SF_")]
    for command in (["push"], ["pull"], ["import", "-"]):
        refused(without(sync.pgforce, *names), *command, stdin=export(account()), says=["PGFORCE_SF_"])


def test_a_secret_may_be_a_file_but_not_both(sync, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(sync.pgforce.env["PGFORCE_SF_CLIENT_SECRET"] + "\n")
    by_file = without(sync.pgforce, "PGFORCE_SF_CLIENT_SECRET")
    env = {"PGFORCE_SF_CLIENT_SECRET_FILE": str(secret)}
    by_file.run("import", "-", stdin=export(account()), env=env)
    refused(sync.pgforce, "push", env=env, says=["PGFORCE_SF_CLIENT_SECRET_FILE", "drop one"])
    missing = {"PGFORCE_SF_CLIENT_SECRET_FILE": "/nowhere/secret"}
    refused(by_file, "push", env=missing, says=["/nowhere/secret", "PGFORCE_SF_CLIENT_SECRET_FILE"])


# The mapping file.


@pytest.mark.parametrize(
    "text, says",
    [
        ("", ["not JSON", "line 1"]),
        ('{\n "mappings": [,]}', ["not JSON", "line 2"]),
        ("[]", ['"mappings" is missing', "Heroku"]),
        ('{"mappings": {}}', ['"mappings" is missing']),
        ('{"mappings": [], "version": 2}', ['"version" is not 1']),
        ("\x00\x01", ["not JSON"]),
    ],
)
def test_a_malformed_mapping_file_is_wrong_data(sync, text, says):
    refused(sync.pgforce, "import", "-", code=DATA, stdin=text, says=says)


def test_all_wrong_values_of_a_mapping_file_are_told_at_once(sync):
    wrong = export(
        {"object_name": "Account", "config": {"access": "write_only", "fields": {"Name": {}}}},
        {"object_name": "Contact", "config": {"sf_polling_seconds": 0, "fields": {"LastName": {}}}},
        {"config": {"fields": {}}},
    )
    done = sync.pgforce.run("import", "-", expect=DATA, stdin=wrong)
    for words in ("mappings[0] (Account)", "access", "mappings[1] (Contact)", "sf_polling_seconds",
                  "mappings[2]", "object_name"):
        assert words in done.stderr
    assert sync.mapping_states() == set()


def test_all_unknown_objects_and_fields_are_told_at_once_and_nothing_is_imported(sync):
    before = state(sync.database)
    wrong = export(
        account(),
        mapping("Nowhere__c", "Name"),
        mapping("Contact", "LastName", "Nmae", "Account__Nothing__c"),
        mapping("Invoice__c", "Amount__c", upsert="Nokey__c"),
        mapping("Account", "Name"),
    )
    done = sync.pgforce.run("import", "-", expect=DATA, stdin=wrong)
    for words in ("nothing was imported", "Nowhere__c", "Contact.Nmae", "Contact.Account__Nothing__c",
                  "Nokey__c", "Account is there twice"):
        assert words in done.stderr
    assert state(sync.database) == before


def test_a_mapping_file_that_cannot_be_read(sync):
    refused(sync.pgforce, "import", "/nowhere/mapping.json",
            says=["/nowhere/mapping.json", "No such file"])


def test_tables_that_are_there_already_are_named_and_left_alone(sync):
    sync.query(
        "create table salesforce.account (mine integer); insert into salesforce.account values (1);"
        "create view salesforce.contact as select 1 as mine",
        role="postgres",
    )
    before = state(sync.database)
    done = sync.pgforce.run("import", "-", expect=CONFIG,
                            stdin=export(account(), contact(), mapping("Invoice__c", "Amount__c")))
    for table in ("salesforce.account", "salesforce.contact"):
        assert f"{table} exists already and was not made by pgforce: rename or drop it" in done.stderr
    assert state(sync.database) == before
    assert sync.value("select mine from salesforce.account", role="postgres") == 1


# The database.


def test_a_wrong_password(pgforce):
    url = pgforce.env["PGFORCE_DATABASE_URL"].split("@")[1]
    env = {"PGFORCE_DATABASE_URL": f"postgresql://pgforce:wr0ng-passw0rd@{url}"}
    for command in ("setup", "status", "archive", "push", "pull"):
        line = refused(
            pgforce, command, env=env, says=["password authentication failed", "PGFORCE_DATABASE_URL"]
        )
        assert "wr0ng-passw0rd" not in line


def test_a_database_that_does_not_exist(pgforce):
    url = pgforce.env["PGFORCE_DATABASE_URL"].rpartition("/")[0]
    env = {"PGFORCE_DATABASE_URL": f"{url}/nowhere"}
    refused(pgforce, "setup", env=env, says=['"nowhere" does not exist', "PGFORCE_DATABASE_URL"])


def test_a_server_that_does_not_answer_may_answer_later(pgforce):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        env = {"PGFORCE_DATABASE_URL": f"postgresql://x@127.0.0.1:{nobody.getsockname()[1]}/x"}
        refused(pgforce, "status", env=env, code=UNREACHABLE, says=["cannot connect to PostgreSQL"])


@pytest.mark.parametrize("command", ["archive", "push", "pull", "status"])
def test_setup_was_not_run(pgforce, command):
    refused(pgforce, command, says=["pgforce setup"])


def test_import_before_setup(pgforce):
    refused(pgforce, "import", "-", stdin=export(account()), says=["pgforce setup"])


def test_a_superuser_has_not_run_what_setup_prints(pgforce):
    refused(pgforce, "setup", says=["missing:", "--print-superuser-sql"])


def test_setup_may_be_run_again_and_changes_nothing(sync):
    sync.map(account())
    before = state(sync.database)
    sync.pgforce.run("setup")
    sync.map(account())
    assert state(sync.database) == before


def test_a_database_set_up_by_a_newer_version(sync):
    sync.query("insert into pgforce.migration (version) values (99)", role="postgres")
    refused(sync.pgforce, "setup", says=["newer pgforce", "99", "install"])


def test_a_schema_set_up_by_a_newer_version(sync):
    sync.query("update pgforce.connection set version = 99", role="postgres")
    refused(sync.pgforce, "setup", says=["newer pgforce", "99", "install"])


def prepare(pgforce):
    """The superuser's part of setup alone."""
    statements = pgforce.run("setup", "--print-superuser-sql").stdout
    pgforce.database.psql(statements, role="postgres")


def restrict_role(database, setting):
    """For this database only, so that it goes with it."""
    database.query(f'alter role pgforce in database "{database.name}" set {setting}', role="postgres")


def test_a_plugin_that_the_server_does_not_allow(database, pgforce):
    prepare(pgforce)
    restrict_role(database, "output_plugin_libraries = pgoutput")
    done = pgforce.run("setup", expect=CONFIG)
    for words in ("output_plugin_libraries", "ALTER ROLE", "pgforce"):
        assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    restrict_role(database, "output_plugin_libraries = pgforce")
    pgforce.run("setup")


def test_a_plugin_that_is_not_installed(database, pgforce):
    prepare(pgforce)
    restrict_role(database, "dynamic_library_path = '$libdir'")
    done = pgforce.run("setup", expect=CONFIG)
    assert "install pgforce.so" in done.stderr and "pkglibdir" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    restrict_role(database, "dynamic_library_path to default")
    pgforce.run("setup")


def test_a_role_that_lost_its_replication_right(sync):
    sync.map(account())
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.query("alter role pgforce noreplication", role="postgres")
    try:
        refused(sync.pgforce, "archive", says=["ALTER ROLE", "REPLICATION"])
        refused(sync.pgforce, "setup", says=["REPLICATION", "--print-superuser-sql"])
    finally:
        sync.query("alter role pgforce replication", role="postgres")
    sync.start("archive")
    assert sync.logged(1) == [("INSERT", "NEW")]


@pytest.fixture(scope="module")
def other_cluster(scratch):
    """A server whose own settings a test may change."""
    cluster = Cluster(scratch / "other", BUILD / "plugin" / "pgforce.so")
    cluster.start()
    yield cluster
    cluster.remove()


@pytest.fixture
def elsewhere(other_cluster, sandbox, logs):
    """A database there, and pgforce for it; afterwards the server has its first settings again."""
    database = Database(other_cluster, "elsewhere")
    other_cluster.create_database(database.name)
    env = {
        "PGFORCE_DATABASE_URL": database.dsn("pgforce"),
        "PGFORCE_APP_ROLE": "app",
        "PGFORCE_SF_LOGIN_URL": sandbox.url,
        "PGFORCE_SF_CLIENT_ID": sandbox.client_id,
        "PGFORCE_SF_CLIENT_SECRET": sandbox.client_secret,
    }
    pgforce = Pgforce(database, env, logs)
    yield pgforce
    pgforce.end()
    other_cluster.psql("alter system reset all", role="postgres")
    other_cluster.restart("immediate")
    other_cluster.drop_database(database.name)


def test_a_server_with_wal_level_replica(elsewhere, other_cluster):
    other_cluster.psql("alter system set wal_level = replica", role="postgres")
    other_cluster.restart()
    prepare(elsewhere)
    refused(elsewhere, "setup", says=["wal_level is replica", "ALTER SYSTEM SET wal_level", "restart"])


@pytest.mark.parametrize("names", ["*", "pgforce_salesforce", 'ANY 1 (standby1, "*")'])
def test_a_server_that_would_make_us_a_synchronous_standby(elsewhere, other_cluster, names):
    elsewhere.set_up()
    # Else the commits of this test itself would wait for ever.
    other_cluster.psql("alter role all set synchronous_commit = local", role="postgres")
    other_cluster.psql(f"alter system set synchronous_standby_names = '{names}'", role="postgres")
    other_cluster.reload()
    database = elsewhere.database
    shown = "show synchronous_standby_names"
    eventually(lambda: database.query(shown, role="postgres") == [(names,)])
    for command in ("setup", "archive"):
        refused(elsewhere, command, says=["synchronous_standby_names", "standby", "pgforce_salesforce"])


# The slot.


def hold_slot(sync):
    """Another process that reads our slot."""
    holder = psycopg2.connect(
        sync.database.dsn("pgforce"),
        connection_factory=extras.LogicalReplicationConnection,
        options="-c wal_sender_timeout=0",
    )
    holder.cursor().start_replication("pgforce_salesforce", decode=False)
    return holder


def test_a_slot_that_another_process_holds_is_waited_for_and_then_left_for_later(sync):
    sync.map(account())
    holder = hold_slot(sync)
    archive = sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert archive.wait() == HELD
    lines = [line for line in archive.log_text().splitlines() if " ERROR " in line]
    assert len(lines) == 1
    for words in ("pgforce_salesforce", "is active for PID", "stop the other process"):
        assert words in lines[0]
    assert sync.entries() == []
    # Once it is free, nothing is missing.
    archive = sync.start("archive")
    eventually(lambda: "waiting for the slot" in archive.log_text())
    holder.close()
    assert sync.logged(1) == [("INSERT", "NEW")]


def lose_the_slot(sync):
    sync.map(account())
    sync.query("insert into salesforce.account (name) values ('logged')")
    archive = sync.start("archive")
    sync.logged(1)
    archive.stop()
    sync.query("insert into salesforce.account (name) values ('lost')")
    wait_until_slot_is_free(sync)


def assert_gap_can_be_accepted(sync):
    sync.pgforce.run("setup", "--accept-gap")
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('after')")
    assert sync.logged(2) == [("INSERT", "NEW")] * 2


def test_a_dropped_slot_is_a_gap_that_is_never_passed_in_silence(sync):
    lose_the_slot(sync)
    sync.query("select pg_drop_replication_slot('pgforce_salesforce')", role="postgres")
    for command in ("archive", "setup"):
        refused(sync.pgforce, command, code=GAP, says=["may have been lost", "slot is missing", "--accept-gap"])
    assert_gap_can_be_accepted(sync)


def test_a_slot_that_somebody_advanced_is_a_gap(sync):
    lose_the_slot(sync)
    sync.query("select pg_replication_slot_advance('pgforce_salesforce', pg_current_wal_lsn())",
               role="postgres")
    for command in ("archive", "setup"):
        refused(sync.pgforce, command, code=GAP, says=["may have been lost", "confirmed up to", "--accept-gap"])
    assert_gap_can_be_accepted(sync)


def test_a_slot_of_another_plugin_is_not_ours(sync):
    lose_the_slot(sync)
    sync.query("select pg_drop_replication_slot('pgforce_salesforce')", role="postgres")
    sync.query("select pg_create_logical_replication_slot('pgforce_salesforce', 'test_decoding')",
               role="postgres")
    refused(sync.pgforce, "archive", says=["test_decoding", "drop it"])


def test_progress_of_another_server_is_a_gap(sync):
    lose_the_slot(sync)
    sync.query("update pgforce.progress set system_identifier = '1'", role="postgres")
    refused(sync.pgforce, "archive", code=GAP, says=["another server", "--accept-gap"])


def test_a_missing_origin_is_made_again_by_setup(sync):
    sync.map(account())
    sync.query("select pg_replication_origin_drop('pgforce_push_salesforce')", role="postgres")
    refused(sync.pgforce, "push", says=["pgforce_push_salesforce", "pgforce setup"])
    refused(sync.pgforce, "archive", says=["pgforce setup"])
    sync.pgforce.run("setup")
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]


# The organisation.


@pytest.mark.parametrize("command", [["import", "-"], ["push"], ["pull"]])
def test_a_wrong_client_secret(sync, command):
    line = refused(
        sync.pgforce,
        *command,
        stdin=export(account()),
        env={"PGFORCE_SF_CLIENT_SECRET": "wr0ng-s3cret"},
        says=["PGFORCE_SF_CLIENT_SECRET", "invalid_client"],
    )
    assert "wr0ng-s3cret" not in line


@pytest.mark.parametrize("url", ["salesforce", "ftp://127.0.0.1", "http://example.com"])
def test_a_login_url_that_is_none(sync, url):
    refused(sync.pgforce, "push", env={"PGFORCE_SF_LOGIN_URL": url},
            says=["PGFORCE_SF_LOGIN_URL must be https://"])


def test_a_login_url_at_which_nobody_answers(sync):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        env = {"PGFORCE_SF_LOGIN_URL": f"http://127.0.0.1:{nobody.getsockname()[1]}"}
        refused(sync.pgforce, "push", env=env, code=UNREACHABLE, says=["PGFORCE_SF_LOGIN_URL"])


@pytest.mark.parametrize("status, code", [(200, RETRY), (404, CONFIG), (503, RETRY)])
def test_an_organisation_that_answers_in_html(sync, status, code):
    fault = {"match": {"path": "/oauth2/token"}, "status": status, "body": "<html>Hello</html>"}
    sync.org.fault(fault)
    refused(sync.pgforce, "import", "-", code=code, stdin=export(account()),
            says=["none of Salesforce's", "PGFORCE_SF_LOGIN_URL"])


def test_a_page_instead_of_a_session_stops_no_role_for_good(sync):
    """As an organisation in maintenance answers, with status 200."""
    sync.map(account())
    sync.org.fault({"match": {"path": "/oauth2/token"}, "times": 8, "status": 200, "body": "<html>Back soon</html>"})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.start("run")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    eventually(lambda: sync.mapping_states() == {"DATA_SYNCED"})


def test_an_organisation_that_answers_in_html_when_asked_for_its_objects(sync):
    sync.org.fault({"match": {"path": "/describe"}, "status": 200, "body": "<html>Hello</html>"})
    refused(sync.pgforce, "import", "-", code=CONFIG, stdin=export(account()),
            says=["answered HTML", "right address"])
    sync.map(account())


def test_the_credentials_of_another_organisation(sync):
    sync.map(account())
    sync.query("update pgforce.connection set organization_id = '00D000000000009AAA'", role="postgres")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    for command in (["push"], ["pull"], ["import", "-"]):
        refused(sync.pgforce, *command, stdin=export(account(), contact()),
                says=["belongs to organisation 00D000000000009AAA", "PGFORCE_SF_LOGIN_URL"])
    assert sync.org.query("select Id from Account") == []


def test_a_supervisor_with_nothing_that_can_run_says_so(pgforce):
    done = pgforce.run("run", expect=CONFIG)
    assert "every role is parked" in done.stderr
    assert done.stderr.count("pgforce setup") >= 3


def test_status_needs_no_organisation(sync):
    sync.map(account())
    sync.org.stop()
    done = sync.pgforce.run("status")
    assert "Account" in done.stdout and "pgforce_salesforce" in done.stdout
    assert "nobody reads it" in done.stdout


def test_log_lines_are_json_when_asked(sync):
    archive = sync.start("archive", env={"PGFORCE_LOG_FORMAT": "json"})
    eventually(lambda: "streaming" in archive.log_text())
    archive.stop()
    lines = [json.loads(line) for line in archive.log_text().splitlines()]
    assert "pgforce_salesforce" in lines[0].values()
