"""The life of a mapping: what operators ask for, and that every way of the table of states can be gone."""

import json

import pytest

from eventually import eventually
from sync import account, contact, export, mapping, nameless_account

USAGE, CONFIG = 64, 78


def ways(sync):
    """The table of ways as the program prints it: (event, by, froms, to)."""
    text = sync.pgforce.run("mapping", "states").stdout
    table = text.split("| event | by | from | to |\n|---|---|---|---|\n")[1].split("\n\n")[0]
    for line in table.splitlines():
        event, by, froms, to = [cell.strip() for cell in line.strip("|").split("|")]
        yield event, by, {name.strip("` ") for name in froms.split(",")}, to.strip("`")


def states(sync):
    text = sync.pgforce.run("mapping", "states").stdout.split("\n\n")[0]
    return [line.split("`")[1] for line in text.splitlines()[2:]]


def put(sync, state):
    """A mapping of Account, loaded, in a state."""
    sync.query("delete from pgforce.mapping; drop table if exists salesforce.account", role="pgforce")
    sync.map(account())
    sync.query("update pgforce.mapping set state = %s", [state], role="pgforce")
    sync.query("insert into pgforce.watermark (mapping_id, is_loaded) select id, true from pgforce.mapping",
               role="pgforce")


@pytest.mark.parametrize(
    "event, command",
    [
        ("abort", ["mapping", "abort", "account"]),
        ("reload", ["mapping", "reload", "Account"]),
        ("resume, loaded before", ["resume", "Account"]),
        ("delete", ["mapping", "delete", "Account", "--yes"]),
    ],
)
def test_a_verb_goes_from_the_states_of_the_table_and_from_no_other(sync, event, command):
    froms, to = next((froms, to) for name, _, froms, to in ways(sync) if name == event)
    all_states = states(sync)
    assert len(all_states) == 13
    for state in all_states:
        put(sync, state)
        if state in froms:
            sync.pgforce.run(*command)
            assert sync.mapping_states() == (set() if to == "gone" else {to})
        else:
            done = sync.pgforce.run(*command, expect=CONFIG)
            assert "Account is " + state in done.stderr
            assert sync.mapping_states() == {state}


def test_what_is_mapped_is_listed_and_shown(sync):
    sync.map(account(), contact(access="read_only"))
    listed = json.loads(sync.pgforce.run("mapping", "list", "--json").stdout)
    assert [(one["object_name"], one["access"], one["state"]) for one in listed] == [
        ("Account", "read_write", "INITIAL"),
        ("Contact", "read_only", "INITIAL"),
    ]
    assert "Contact" in sync.pgforce.run("mapping", "list").stdout
    shown = json.loads(sync.pgforce.run("mapping", "show", "ACCOUNT", "--json").stdout)
    assert shown["counts"] == {"db": 0, "pending": 0, "errors": 0}
    assert {"name": "External_Id__c", "column": "external_id__c"}.items() <= next(
        field for field in shown["fields"] if field["name"] == "External_Id__c").items()
    text = sync.pgforce.run("mapping", "show", "Account").stdout
    assert "external_id__c" in text and "waits for its first load" in text
    done = sync.pgforce.run("mapping", "show", "Nowhere", expect=CONFIG)
    assert "Nowhere is not mapped" in done.stderr


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["mapping"], "usage"),
        (["mapping", "remove", "Account"], 'unknown verb "remove"'),
        (["mapping", "list", "Account"], "usage: pgforce mapping list"),
        (["mapping", "delete"], "usage: pgforce mapping delete OBJECT"),
        (["mapping", "delete", "Account"], "add --yes"),
        (["mapping", "delete", "Account", "--force"], "unknown option --force"),
        (["mapping", "delete", "Account", "--yes=no"], "takes no value"),
        (["mapping", "reload", "Account", "--destructive"], "add --yes"),
        (["pause", "Account"], "usage: pgforce pause"),
    ],
)
def test_a_wrong_verb_changes_nothing(sync, arguments, says):
    sync.map(account())
    assert says in sync.pgforce.run(*arguments, expect=USAGE).stderr
    assert sync.mapping_states() == {"INITIAL"}


def test_a_deleted_mapping_takes_its_table_and_pending_writes_along(sync):
    sync.load(nameless_account(), contact())
    sync.roles["push"].stop()
    sync.query("insert into salesforce.account (name) values ('Acme');"
               "insert into salesforce.contact (lastname) values ('Ann')")
    sync.logged(2)
    sync.pgforce.run("mapping", "delete", "Account", "--yes")
    assert sync.entries("table_name") == [("contact",)]
    assert sync.value("select to_regclass('salesforce.account')") is None
    sync.start("push")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    # The others go on, and the object can be mapped again.
    sync.org.create("Contact", LastName="Bea")
    eventually(lambda: sync.value("select count(*) from salesforce.contact") == 2)
    sync.map(nameless_account())
    sync.wait_until_loaded()


def test_a_deleted_mapping_may_leave_its_table(sync):
    sync.org.create("Account", Name="Acme")
    sync.load(nameless_account())
    sync.pgforce.run("mapping", "delete", "Account", "--keep-table", "--yes")
    assert sync.query("select name from salesforce.account") == [("Acme",)]
    assert sync.mapping_states() == set()


def test_a_table_in_use_is_waited_for_and_then_its_user_named(sync):
    sync.map(account())
    with sync.database.connect(autocommit=False) as holder, holder.cursor() as cursor:
        cursor.execute("set application_name = 'report'; select * from salesforce.account")
        done = sync.pgforce.run("mapping", "delete", "Account", "--yes", expect=75)
        for words in ("changed nothing", "salesforce.account is locked", "user app", "report"):
            assert words in done.stderr
        # Whoever came meanwhile was let through.
        assert sync.query("select count(*) from salesforce.account") == [(0,)]
    sync.pgforce.run("mapping", "delete", "Account", "--yes")


def test_a_reload_in_place_keeps_ids_and_pending_writes(sync):
    sync.org.create("Account", Name="Acme")
    sync.load(nameless_account())
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = '123'")
    sync.logged(1)
    before = sync.query("select id, name, phone from salesforce.account")
    sync.org.create("Account", Name="Bolt")
    sync.pgforce.run("mapping", "reload", "Account")
    eventually(lambda: sync.value("select count(*) from salesforce.account") == 2)
    sync.wait_until_loaded()
    assert before[0] in sync.query("select id, name, phone from salesforce.account")
    sync.start("push")
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]


def test_a_destructive_reload_begins_anew(sync):
    sync.org.create("Account", Name="Acme")
    sync.load(nameless_account())
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = '123'")
    sync.logged(1)
    old_id = sync.value("select id from salesforce.account")
    sync.pgforce.run("mapping", "reload", "Account", "--destructive", "--yes")
    eventually(lambda: sync.query("select id > %s, name, phone from salesforce.account", [old_id])
               == [(True, "Acme", None)])
    sync.wait_until_loaded()
    assert sync.entries() == []
    sync.start("push")
    # Emptying the table was our own doing: nothing of it is sent.
    sync.query("update salesforce.account set phone = '456'")
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]


def test_an_abort_stops_a_load_that_waits_for_the_organisation(sync):
    sync.org.create("Account", Name="Acme")
    sync.org.fault({"match": {"path": "/query"}, "delay_ms": 20000, "times": 1})
    sync.map(nameless_account())
    sync.start("archive", "pull")
    eventually(lambda: sync.mapping_states() == {"RELOAD_TABLE"})
    sync.pgforce.run("mapping", "abort", "Account")
    # Long before the organisation would have answered.
    eventually(lambda: "stopped reading, as asked" in sync.roles["pull"].log_text(), deadline_s=10)
    assert sync.mapping_states() == {"ABORTED"}
    description = sync.value("select state_description from pgforce.mapping", role="pgforce")
    assert "while it was RELOAD_TABLE" in description
    # The others are read meanwhile.
    sync.map(contact())
    eventually(lambda: sync.mapping_states() == {"ABORTED", "DATA_SYNCED"})
    assert sync.value("select count(*) from salesforce.account") == 0
    sync.pgforce.run("resume", "Account")
    sync.wait_until_loaded()
    assert sync.value("select count(*) from salesforce.account") == 1


def test_an_abort_stops_a_load_that_waits_for_a_lock(sync):
    sync.org.create("Account", Name="Acme")
    sync.map(nameless_account())
    with sync.database.connect(autocommit=False) as holder, holder.cursor() as cursor:
        cursor.execute("lock table salesforce.account")
        sync.start("archive", "pull")
        waiting = "select count(*) from pg_locks where not granted and relation = 'salesforce.account'::regclass"
        eventually(lambda: sync.value(waiting) > 0)
        sync.pgforce.run("mapping", "abort", "Account")
        eventually(lambda: "stopped reading, as asked" in sync.roles["pull"].log_text(), deadline_s=8)
        assert sync.mapping_states() == {"ABORTED"}


def test_a_paused_connection_logs_but_neither_reads_nor_sends(sync):
    sync.load(nameless_account())
    assert "paused" in sync.pgforce.run("pause").stdout
    assert sync.value("select state from pgforce.connection", role="pgforce") == "PAUSED"
    before = len(sync.org.journal())
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.logged(1) == [("INSERT", "NEW")]
    # A role that starts while it is paused is paused too.
    sync.roles["push"].stop()
    sync.roles["pull"].stop()
    sync.start("push", "pull")
    sync.log_is_quiet_after("insert into salesforce.account (name) values ('Bolt')")
    paths = [one["path"] for one in sync.org.journal()[before:] if "/oauth2/" not in one["path"]]
    assert [path for path in paths if "/query" in path or "/composite" in path] == []
    sync.org.create("Account", Name="Core")
    sync.pgforce.run("resume")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    eventually(lambda: sync.value("select count(*) from salesforce.account") == 3)
    assert sync.value("select state from pgforce.connection", role="pgforce") == "IDLE"


def test_credentials_that_are_refused_show_in_the_connections_state(sync):
    def state():
        return sync.value("select state from pgforce.connection", role="pgforce")

    assert state() == "NEW"
    sync.map(account())
    assert state() == "IDLE"
    sync.pgforce.run("push", expect=CONFIG, env={"PGFORCE_SF_CLIENT_SECRET": "wr0ng-s3cret"})
    assert state() == "UNAUTHORIZED"
    sync.start("push")
    eventually(lambda: state() == "IDLE")
