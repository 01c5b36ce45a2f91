"""The life of a mapping: what operators ask for. The ways between its states are test_states.py's."""

import json

import pytest

from eventually import eventually
from sync import account, contact, export, mapping, nameless_account

USAGE, CONFIG = 64, 78


def test_what_is_mapped_is_listed_and_shown(sync):
    sync.map(account(), contact(access="read_only"))
    listed = json.loads(sync.pgforce.run("mapping", "list", "--json").stdout)
    assert [(one["object_name"], one["access"], one["state"]) for one in listed] == [
        ("Account", "read_write", "INITIAL"),
        ("Contact", "read_only", "INITIAL"),
    ]
    assert "Contact" in sync.pgforce.run("mapping", "list").stdout
    shown = json.loads(sync.pgforce.run("mapping", "show", "ACCOUNT", "--json").stdout)
    assert shown["counts"] == {"db": 0, "sf": None, "pending": 0, "errors": 0}
    assert {"name": "External_Id__c", "column": "external_id__c"}.items() <= next(
        field for field in shown["fields"] if field["name"] == "External_Id__c").items()
    text = sync.pgforce.run("mapping", "show", "Account").stdout
    assert "external_id__c" in text and "waits for its first load" in text
    done = sync.pgforce.run("mapping", "show", "Nowhere", expect=65)
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
    sync.org.fault({"match": {"path": "/query"}, "delay_ms": 200000, "times": 1})
    sync.map(nameless_account())
    sync.start("archive", "pull")
    eventually(lambda: sync.mapping_states() == {"RELOAD_TABLE"})
    sync.pgforce.run("mapping", "abort", "Account")
    # Long before the organisation would have answered.
    eventually(lambda: "stopped reading, as asked" in sync.roles["pull"].log_text())
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
        eventually(lambda: "stopped reading, as asked" in sync.roles["pull"].log_text())
        assert "could not read" not in sync.roles["pull"].log_text()
        assert sync.mapping_states() == {"ABORTED"}


def test_a_paused_connection_logs_but_neither_reads_nor_sends(sync):
    sync.load(nameless_account())
    assert "paused" in sync.pgforce.run("pause").stdout
    assert sync.value("select state from pgforce.connection", role="pgforce") == "PAUSED"
    # A role that starts while it is paused is paused too; what was under way before may have gone on.
    sync.roles["push"].stop()
    sync.roles["pull"].stop()
    before = len(sync.org.journal())
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.logged(1) == [("INSERT", "NEW")]
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


# Creating and editing.


def config_of(sync, name):
    return json.loads(sync.pgforce.run("mapping", "show", name, "--json").stdout)["config"]


def columns_of(sync, table):
    return {
        name
        for (name,) in sync.query(
            "select attname::text from pg_attribute where attrelid = %s::regclass and attnum > 0"
            " and not attisdropped",
            [f"salesforce.{table}"],
        )
    }


def indexes_of(sync, table):
    found = sync.query("select indexname::text from pg_indexes where schemaname = 'salesforce'"
                       " and tablename = %s", [table])
    return {name for (name,) in found}


def test_a_mapping_is_created_with_the_usual_fields(sync):
    sync.org.create("Account", Name="Acme", Phone="1")
    sync.start("archive", "pull")
    done = sync.pgforce.run("mapping", "create", "Account", "--field", "Phone,Industry", "--without", "Name",
                            "--access=read_write", "--unique-id", "External_Id__c", "--index", "Phone",
                            "--polling", "1", "--notify")
    assert "create table" in done.stdout
    assert config_of(sync, "Account") == {
        "access": "read_write", "sf_notify_enabled": True, "sf_polling_seconds": 1,
        "sf_max_daily_api_calls": 30000, "upsert_field": "External_Id__c",
        "fields": {name: {} for name in ("Id", "SystemModstamp", "IsDeleted", "CreatedDate", "Phone",
                                         "Industry", "External_Id__c")},
        "indexes": {"Id": {"unique": True}, "SystemModstamp": {"unique": False},
                    "Phone": {"unique": False}, "External_Id__c": {"unique": True}},
    }
    sync.wait_until_loaded()
    assert sync.query("select phone from salesforce.account") == [("1",)]
    assert {"hc_idx_account_phone", "hcu_idx_account_external_id__c"} <= indexes_of(sync, "account")
    again = sync.pgforce.run("mapping", "create", "Account", expect=CONFIG)
    assert "is mapped already" in again.stderr


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["Nowhere__c"], "Nowhere__c does not exist in the organisation"),
        (["Account", "--field", "Nmae"], "Account.Nmae does not exist"),
        (["Account", "--access", "write_only"], "config.access must be"),
        (["Account", "--unique-id", "Phone"], "is not a unique external id"),
        (["Account", "--filter", "Name = 'a' limit 5"], "config.filter: at character 12"),
        (["Account", "--filter", "Nowhere__c = 'a'"], "the filter does not work"),
        (["Account", "--index", "Name:unique"], "cannot be unique"),
    ],
)
def test_what_cannot_be_created_is_refused_and_nothing_is_there(sync, arguments, says):
    assert says in sync.pgforce.run("mapping", "create", *arguments, expect=65).stderr
    assert sync.mapping_states() == set()
    assert sync.value("select to_regclass('salesforce.account')") is None


def test_an_edit_alters_the_table_in_place_and_fills_new_columns(sync):
    for name in ("Acme", "Bolt"):
        sync.org.create("Account", Name=name, Phone="1", Industry="Energy")
    sync.load(mapping("Account", "Name", "Industry"))
    before = sync.query("select id, name from salesforce.account order by id")
    done = sync.pgforce.run("mapping", "edit", "Account", "--field", "Phone", "--without", "Industry", "--yes",
                            "--index", "Phone")
    assert "add column" in done.stdout and "drop column" in done.stdout
    columns = columns_of(sync, "account")
    assert "phone" in columns and "industry" not in columns
    eventually(lambda: sync.query("select distinct phone from salesforce.account") == [("1",)])
    sync.wait_until_loaded()
    assert sync.query("select id, name from salesforce.account order by id") == before
    assert "hc_idx_account_phone" in indexes_of(sync, "account")
    assert "nothing to do" in sync.pgforce.run("mapping", "edit", "Account", "--field", "Phone").stdout
    # What is captured from now on knows the new column.
    sync.query("update salesforce.account set phone = '2' where name = 'Acme'")
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]
    sync.pgforce.run("mapping", "edit", "Account", "--no-index", "Phone")
    assert "hc_idx_account_phone" not in indexes_of(sync, "account")


def test_polls_go_on_while_new_columns_are_filled_and_the_filling_undoes_nothing(sync):
    """Three pages; the second and the third are held back. What changes while the second is, is here before the
    third is, and stays."""
    sync.org.load("Account", 5000)
    sync.load(mapping("Account", "Name"))
    # Polls have nothing to read again.
    sync.org.advance(7200)
    sync.wait_for_polls()
    first, last = sync.query("select min(sfid), max(sfid) from salesforce.account")[0]
    sync.org.fault({"match": {"path": "/query/"}, "delay_ms": 15000, "times": 1})
    sync.org.fault({"match": {"path": "/query/"}, "delay_ms": 100000, "times": 1})
    sync.pgforce.run("mapping", "edit", "Account", "--field", "Phone")
    # The first page has been filled.
    eventually(lambda: sync.value("select phone from salesforce.account where sfid = %s", [first]))
    for sfid in (first, last):
        sync.org.update("Account", sfid, Name="changed", Phone="new")
    eventually(lambda: sync.value("select count(*) from salesforce.account where name = 'changed' and phone = 'new'") == 2)
    added = sync.org.create("Account", Name="added", Phone="7")
    # The third page has not come yet.
    assert sync.mapping_states() == {"RESYNC"}
    assert sync.value("select count(*) from salesforce.account where phone is null") > 900
    # Nobody waits for it: the filling goes on where it was.
    sync.roles["pull"].kill()
    sync.org.clear_faults()
    sync.start("pull")
    sync.wait_until_loaded(60)
    assert sync.value("select count(*) from salesforce.account where phone is null") == 0
    assert sync.query("select name, phone from salesforce.account where sfid in (%s, %s)", [first, last]) == [
        ("changed", "new")] * 2
    eventually(lambda: sync.query("select name, phone from salesforce.account where sfid = %s", [added])
               == [("added", "7")])
    assert sync.value("select count(*) from salesforce.account") == 5001
    unfilled = "select count(*) from pgforce.mapping_field where not is_filled"
    assert sync.value(unfilled, role="pgforce") == 0
    assert sync.entries() == []


def test_polls_go_on_though_new_columns_cannot_be_filled(sync):
    sync.org.load("Account", 300)
    sync.load(mapping("Account", "Name"))
    sync.org.advance(7200)
    sync.wait_for_polls()
    sync.roles["pull"].stop()
    sync.org.fault({"match": {"method": "POST", "path": "/jobs/query"}, "times": 100000, "status": 503, "body": "busy"})
    sync.pgforce.run("mapping", "edit", "Account", "--field", "Phone")
    sync.start("pull", env={"PGFORCE_BULK_READ_ABOVE": "100"})
    sync.org.create("Account", Name="added", Phone="7")
    eventually(lambda: sync.query("select phone from salesforce.account where name = 'added'") == [("7",)])
    assert sync.mapping_states() == {"RESYNC"}
    sync.org.clear_faults()
    sync.wait_until_loaded(60)
    assert sync.value("select count(*) from salesforce.account where phone is null") == 0


def test_what_was_captured_is_sent_though_the_mapping_became_read_only(sync):
    sync.load(nameless_account())
    sync.roles["push"].stop()
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.logged(1)
    sync.pgforce.run("mapping", "edit", "Account", "--access", "read_only")
    sync.query("insert into salesforce.account (name) values ('Bolt')")
    assert sync.logged(2) == [("INSERT", "NEW"), ("INSERT", "READONLY")]
    sync.start("push")
    assert sync.settled(2) == [("INSERT", "SUCCESS"), ("INSERT", "READONLY")]
    assert [one["Name"] for one in sync.org.query("select Name from Account")] == ["Acme"]


def test_objects_and_fields_say_what_can_be_mapped(sync):
    objects = {one["name"]: one for one in json.loads(sync.pgforce.run("objects", "--json").stdout)}
    assert objects["Account"]["is_mappable"] and objects["Account"]["reason"] is None
    found = json.loads(sync.pgforce.run("objects", "accoun", "--json").stdout)
    assert {"Account"} <= {one["name"] for one in found} and "Contact" not in {one["name"] for one in found}
    fields = {one["name"]: one for one in json.loads(sync.pgforce.run("fields", "Contact", "--json").stdout)}
    assert fields["LastName"]["is_required"] and fields["Id"]["column"] == "sfid"
    assert fields["Account__External_Id__c"]["column"] == "account__external_id__c"
    assert "compound" in fields["MailingAddress"]["reason"] or not fields["MailingAddress"]["is_mappable"]
    assert "LastName" in sync.pgforce.run("fields", "contact").stdout
    assert "no object Nowhere" in sync.pgforce.run("fields", "Nowhere", expect=CONFIG).stderr


# Orphans.


def test_what_the_organisation_lacks_is_kept_and_works_once_it_is_there(sync):
    wanted = export(account(), mapping("Later__c", "Name", "Key__c", upsert="Key__c"))
    sync.pgforce.run("import", "-", stdin=wanted, expect=65)
    assert sync.mapping_states() == set()
    sync.pgforce.run("import", "-", "--allow-missing", stdin=wanted)
    shown = json.loads(sync.pgforce.run("mapping", "show", "Later__c", "--json").stdout)
    assert shown["state"] == "SYSTEM_ERROR" and "Later__c does not exist" in shown["state_description"]
    assert [one["object_name"] for one in json.loads(sync.pgforce.run("mapping", "orphans", "--json").stdout)
            ] == ["Later__c"]
    exported = json.loads(sync.pgforce.run("export").stdout)
    assert exported["mappings"] == sorted(json.loads(wanted)["mappings"], key=lambda one: one["object_name"])
    again = sync.pgforce.run("plan", "-", "--allow-missing", stdin=wanted)
    assert "nothing to do" in again.stdout
    # The roles live with it.
    sync.start("archive", "push", "pull")
    eventually(lambda: sync.mapping_states() == {"DATA_SYNCED", "SYSTEM_ERROR"})
    key = {"name": "Key__c", "type": "string", "length": 40, "externalId": True, "unique": True}
    sync.org.define({"objects": [{"name": "Later__c", "label": "Later", "fields": [key]}]})
    sync.org.create("Later__c", Name="now", Key__c="1")
    sync.pgforce.run("resume")
    eventually(lambda: sync.mapping_states() == {"DATA_SYNCED"})
    assert sync.query("select name, key__c from salesforce.later__c") == [("now", "1")]
    sync.query("insert into salesforce.later__c (name, key__c) values ('new', '2')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]


def test_orphans_are_removed_on_request(sync):
    sync.pgforce.run("import", "-", "--allow-missing", stdin=export(account(), mapping("Later__c", "Name")))
    assert "add --yes" in sync.pgforce.run("mapping", "orphans", "--remove", expect=USAGE).stderr
    sync.pgforce.run("mapping", "orphans", "--remove", "--yes")
    assert [one["object_name"] for one in json.loads(sync.pgforce.run("mapping", "list", "--json").stdout)
            ] == ["Account"]
    assert json.loads(sync.pgforce.run("mapping", "orphans", "--json").stdout) == []


# Files.


def test_apply_prunes_only_when_asked_and_after_showing(sync):
    both = export(account(), contact())
    one = export(mapping("Account", "Name", upsert=None))
    sync.pgforce.run("apply", "-", stdin=both)
    done = sync.pgforce.run("apply", "-", stdin=one)
    assert {"phone", "industry"} <= columns_of(sync, "account") and "drop" not in done.stdout
    planned = sync.pgforce.run("plan", "-", "--prune", "--json", stdin=one, expect=10)
    steps = [(step["action"], step["object_name"]) for step in json.loads(planned.stdout)["steps"]]
    assert ("drop column", "Account") in steps and ("delete mapping", "Contact") in steps
    refused = sync.pgforce.run("apply", "-", "--prune", stdin=one, expect=USAGE)
    assert "delete mapping" in refused.stderr and "--yes" in refused.stderr
    assert sync.value("select to_regclass('salesforce.contact')") is not None
    sync.pgforce.run("apply", "-", "--prune", "--yes", stdin=one)
    assert sync.value("select to_regclass('salesforce.contact')") is None
    assert "phone" not in columns_of(sync, "account")
    assert "nothing to do" in sync.pgforce.run("plan", "-", "--prune", stdin=one).stdout


def test_a_plan_tells_what_there_is_to_load_and_changes_nothing(sync):
    sync.org.load("Account", 2500)
    planned = sync.pgforce.run("plan", "-", "--json", stdin=export(account()), expect=10)
    plan = json.loads(planned.stdout)
    assert (plan["records"], plan["api_calls"], plan["created"]) == (2500, 3, 1)
    steps = [(step["action"], step["detail"]) for step in plan["steps"] if step["object_name"] == "Account"]
    assert "name varchar(255)" in steps[0][1] and "11 columns" in steps[0][1]
    assert [step[0] for step in steps] == ["create table", *["create index"] * 3, "load"]
    # Many records are read by Bulk, with fewer calls.
    planned = sync.pgforce.run("plan", "-", "--json", stdin=export(account()), expect=10,
                               env={"PGFORCE_BULK_READ_ABOVE": "1000"})
    assert json.loads(planned.stdout)["api_calls"] == 6
    assert sync.mapping_states() == set()


def test_a_plan_names_what_stands_in_the_way_and_apply_makes_views_again_only_when_asked(sync):
    sync.map(mapping("Account", "Name", "Phone", "Industry"))
    sync.query("create view salesforce.mine as select name, phone from salesforce.account", role="pgforce")
    wanted = export(mapping("Account", "Name", "Industry", filter="Name != 'x'"))
    sync.org.create("Account", Name="a")

    def steps(*options):
        planned = sync.pgforce.run("plan", "-", "--prune", "--json", *options, stdin=wanted, expect=10).stdout
        plan = json.loads(planned)
        assert (plan["records"], plan["api_calls"]) == (1, 2)
        return {step["action"]: step["detail"] for step in plan["steps"]}

    assert "salesforce.mine" in steps()["blocked by"]
    assert "filter" in " ".join(steps()) and "drop column" in steps()
    refused = sync.pgforce.run("apply", "-", "--prune", "--yes", stdin=wanted, expect=CONFIG)
    assert "salesforce.mine" in refused.stderr and "--recreate-views" in refused.stderr
    # A view that shows what is gone cannot be made again: nothing is changed.
    sync.pgforce.run("apply", "-", "--prune", "--yes", "--recreate-views", stdin=wanted, expect=CONFIG)
    assert "phone" in columns_of(sync, "account") and sync.query("select * from salesforce.mine", role="pgforce") == []
    sync.query("drop view salesforce.mine", role="pgforce")
    sync.pgforce.run("apply", "-", "--prune", "--yes", stdin=wanted)
    assert sync.pgforce.run("plan", "-", "--prune", stdin=wanted).stdout == "nothing to do\n"


def test_applying_the_same_file_twice_does_nothing_the_second_time_at_once_or_later(sync, tmp_path):
    file = tmp_path / "mappings.json"
    file.write_text(export(account(), contact()))
    both = [sync.pgforce.start("apply", str(file)), sync.pgforce.start("apply", str(file))]
    assert [one.wait(60) for one in both] == [0, 0]
    texts = sorted(one.log_text().splitlines()[-1] for one in both)
    assert texts == ["0 created, 0 changed, 0 deleted, 2 unchanged", "2 created, 0 changed, 0 deleted, 0 unchanged"]
    done = sync.pgforce.run("apply", str(file))
    assert done.stdout.splitlines()[-1] == "0 created, 0 changed, 0 deleted, 2 unchanged"
    assert sync.pgforce.run("plan", str(file), "--prune").stdout == "nothing to do\n"


def test_a_reload_in_place_removes_rows_that_the_organisation_does_not_have(sync):
    for name in ("Acme", "Bolt"):
        sync.org.create("Account", Name=name)
    sync.load(nameless_account())
    # As an earlier load left them.
    ghosts = ("select pg_replication_origin_session_setup('pgforce_load_salesforce');"
              "insert into salesforce.account (name, sfid) values ('ghost', '001000000000000AAA'),"
              " ('ghost', '001zzzzzzzzzzzzAAA')")
    # The load's own session has the origin for a moment longer.
    eventually(lambda: sync.query(ghosts, role="pgforce") is None)
    sync.wait_for_polls()
    assert sync.value("select count(*) from salesforce.account") == 4
    sync.pgforce.run("mapping", "reload", "Account")
    eventually(lambda: sync.query("select name from salesforce.account order by 1") == [("Acme",), ("Bolt",)])


def test_a_filter_maps_a_part_of_the_records_and_never_deletes_in_the_organisation(sync):
    energy = sync.org.create("Account", Name="Acme", Industry="Energy")
    media = sync.org.create("Account", Name="Bolt", Industry="Media")

    def names():
        return [name for (name,) in sync.query("select name from salesforce.account order by 1")]

    sync.start("archive", "push", "pull")
    sync.pgforce.run("mapping", "create", "Account", "--field=Industry", "--access=read_write", "--polling=1",
                     "--filter", "Industry = 'Energy' OR Name LIKE 'Z%'")
    sync.wait_until_loaded()
    assert names() == ["Acme"]
    # One comes in, one leaves.
    sync.org.update("Account", media, Industry="Energy")
    eventually(lambda: names() == ["Acme", "Bolt"])
    sync.org.update("Account", energy, Industry="Media")
    eventually(lambda: names() == ["Bolt"])
    # A local row outside the filter is sent, and goes with a poll after that.
    sync.query("insert into salesforce.account (name, industry) values ('Core', 'Media')")
    eventually(lambda: names() == ["Bolt"])
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    found = sync.org.query("select Name from Account order by Name")
    assert [one["Name"] for one in found] == ["Acme", "Bolt", "Core"]
    # A deletion there is one here.
    sync.org.remove("Account", media)
    eventually(lambda: names() == [])
    # Without the filter all come; with another one those outside it go.
    sync.pgforce.run("mapping", "edit", "Account", "--no-filter")
    eventually(lambda: names() == ["Acme", "Core"])
    sync.pgforce.run("mapping", "edit", "Account", "--filter", "Name = 'Core'")
    eventually(lambda: names() == ["Core"])
    assert sync.logged(1) == [("INSERT", "SUCCESS")]


def test_counts_plans_and_comparisons_go_by_the_filter(sync):
    for name, industry in (("a", "Energy"), ("b", "Energy"), ("c", "Energy"), ("d", "Media"), ("e", "Media")):
        sync.org.create("Account", Name=name, Industry=industry)

    def names():
        return [name for (name,) in sync.query("select name from salesforce.account order by 1")]

    # The field is not mapped, and brackets keep an OR to itself.
    wanted = export(mapping("Account", "Name", filter="Industry = 'Energy' OR Name = 'z'"))
    planned = json.loads(sync.pgforce.run("plan", "-", "--json", stdin=wanted, expect=10).stdout)
    assert planned["records"] == 3
    sync.load(mapping("Account", "Name", filter="Industry = 'Energy' OR Name = 'z'"))
    assert names() == ["a", "b", "c"]
    assert json.loads(sync.pgforce.run("mapping", "count", "Account", "--json").stdout)["count"] == 3
    assert json.loads(sync.pgforce.run("mapping", "show", "Account", "--json").stdout)["counts"]["sf"] == 3
    sync.org.advance(7200)
    sync.wait_for_polls()
    assert "nothing" in sync.pgforce.run("repair", "Account", "--dry-run").stdout.lower()
    # As an earlier filter left it: one that is too much, and one that is not there.
    media = sync.org.query("select Id from Account where Name = 'd'")[0]["Id"]
    sync.query("select pg_replication_origin_session_setup('pgforce_load_salesforce');"
               f"insert into salesforce.account (name, sfid, systemmodstamp) values ('d', '{media}', '2024-01-01');"
               "delete from salesforce.account where name = 'a'", role="pgforce")
    assert names() == ["b", "c", "d"]
    sync.pgforce.run("repair", "Account", "--dry-run", expect=5)
    sync.pgforce.run("repair", "Account")
    eventually(lambda: names() == ["a", "b", "c"])
    assert len(sync.org.query("select Id from Account")) == 5
    assert sync.entries() == []


def test_a_row_that_left_the_filter_is_gone_though_a_change_of_it_waits(sync):
    energy = sync.org.create("Account", Name="Acme", Industry="Energy")
    sync.load(mapping("Account", "Name", "Phone", filter="Industry = 'Energy'"))
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = '5'")
    sync.logged(1)
    sync.org.update("Account", energy, Industry="Media")
    sync.start("push")
    # It is sent, because it was captured; and the row goes.
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]
    eventually(lambda: sync.query("select 1 from salesforce.account") == [])
    assert sync.org.retrieve("Account", energy)["Phone"] == "5"
    # Coming back, it is a row again.
    sync.org.update("Account", energy, Industry="Energy")
    eventually(lambda: sync.query("select name, phone from salesforce.account") == [("Acme", "5")])
    assert len(sync.entries()) == 1


def test_another_filter_is_heeded_while_the_load_reads(sync):
    sync.org.load("Account", 2500)
    kept = sync.org.create("Account", Name="Kept")
    sync.org.fault({"match": {"path": "/query/"}, "delay_ms": 8000, "times": 1})
    sync.map(mapping("Account", "Name"))
    sync.start("archive", "pull")
    eventually(lambda: sync.value("select count(*) from salesforce.account") > 0)
    sync.pgforce.run("mapping", "edit", "Account", "--filter", "Name = 'Kept'")
    # So many rows at once would wait for a confirmation, were it not asked for.
    eventually(lambda: sync.query("select sfid from salesforce.account") == [(kept,)], 60)
    sync.wait_until_loaded()


def test_waiting_tells_how_far_it_is(sync):
    sync.org.load("Account", 30)
    sync.start("archive", "pull")
    done = sync.pgforce.run("mapping", "create", "Account", "--wait")
    assert all(line.startswith("Account: ") for line in done.stderr.splitlines()) and done.stderr
    assert sync.mapping_states() == {"DATA_SYNCED"}
    sync.org.fault({"match": {"path": "/query"}, "delay_ms": 20000, "times": 1})
    waiting = sync.pgforce.start("mapping", "reload", "Account", "--wait")
    eventually(lambda: "RELOAD_TABLE" in waiting.log_text())
    sync.pgforce.run("mapping", "abort", "Account")
    assert waiting.wait() == CONFIG
    assert "Account is ABORTED: aborted by an operator" in waiting.log_text()
    sync.pgforce.run("mapping", "reload", "Account", "--wait")
    assert sync.value("select count(*) from salesforce.account") == 30


@pytest.mark.parametrize("keeps", [[], ["--keep-table"]], ids=["", "keeping its table"])
def test_a_mapping_deleted_while_its_write_is_on_its_way_tells_what_was_sent(sync, keeps):
    sync.load(nameless_account(), contact())
    sync.org.fault({"match": {"method": "POST", "path": "/composite"}, "times": 1, "delay_ms": 15000})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    eventually(lambda: sync.query("select 1 from pgforce.delivery where state = 'SENDING'", role="pgforce"))
    sync.query("insert into salesforce.account (name) values ('Bolt')")
    sync.logged(2)
    sync.pgforce.run("mapping", "delete", "Account", "--yes", *keeps)
    # What was not sent is forgotten, what was is told, and what came of it when the answer comes.
    [(message,)] = sync.entries("sf_message")
    assert "Salesforce may have it" in message
    [(state, sfid)] = eventually(lambda: sync.entries("state, sfid", "state = 'SUCCESS'"))
    assert [(one["Id"], one["Name"]) for one in sync.org.query("select Id, Name from Account")] == [(sfid, "Acme")]
    assert sync.query("select 1 from pgforce.delivery", role="pgforce") == []
    # The others go on.
    sync.query("insert into salesforce.contact (lastname) values ('Ann')")
    eventually(lambda: sync.entries("table_name, state") == [("account", "SUCCESS"), ("contact", "SUCCESS")])
    assert sync.roles["push"].is_running()


def test_an_answer_lost_after_its_mapping_was_deleted_leaves_nothing_in_doubt(sync):
    sync.load(nameless_account(), contact())
    sync.org.fault({"match": {"method": "POST", "path": "/composite"}, "times": 1, "delay_ms": 15000, "drop": "after"})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    eventually(lambda: sync.query("select 1 from pgforce.delivery where state = 'SENDING'", role="pgforce"))
    sync.pgforce.run("mapping", "delete", "Account", "--yes")
    sync.query("insert into salesforce.contact (lastname) values ('Ann')")
    eventually(lambda: ("contact", "SUCCESS") in sync.entries("table_name, state"))
    [(state, message)] = sync.entries("state, sf_message", "table_name = 'account'")
    assert sync.query("select 1 from pgforce.delivery", role="pgforce") == []
    assert state == "FAILED" and message
    assert "account" in sync.pgforce.run("errors").stdout


@pytest.mark.parametrize(
    "name, kind",
    [
        ("Big__b", "a big object"),
        ("Told__e", "a platform event"),
        ("Far__x", "an external object"),
        ("Help__kav", "a knowledge article"),
    ],
)
def test_an_object_whose_kind_has_no_table_is_refused_with_the_reason(sync, name, kind):
    sync.org.define({"name": name, "fields": [{"name": "Name", "type": "string", "length": 80}]})
    told = sync.pgforce.run("mapping", "create", name, "--field", "Name", expect=65).stderr
    assert f"{name} is {kind}" in told
    assert sync.query("select count(*) from pgforce.mapping", role="pgforce") == [(0,)]
    assert sync.value("select count(*) from pg_tables where schemaname = 'salesforce' and tablename like '%\\_\\_%'") == 0
