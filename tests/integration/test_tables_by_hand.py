"""Somebody alters, renames or drops a mapped table under the running roles: it is named, the other mappings go on,
and once it is put back both sides are equal again."""

import os

import pytest

from eventually import eventually
from sync import account, contact
from test_doctor import diagnose, found

ALTER = "alter table salesforce.account"

# What is done, what the doctor says, and what mends it; the first four in every run of the tests.
DAMAGES = {
    "renamed": (f"{ALTER} rename to kept", "MUST_HAVE_TABLE", "alter table salesforce.kept rename to account"),
    "column dropped": (f"{ALTER} drop column phone", "MUST_HAVE_COLUMNS", f"{ALTER} add column phone varchar(40)"),
    "column of another type": (f"{ALTER} alter phone type integer using phone::integer", "MUST_HAVE_COLUMN_TYPES",
                               f"{ALTER} alter phone type varchar(40)"),
    "identity nothing": (f"{ALTER} replica identity nothing", "MUST_HAVE_REPLICA_IDENTITY",
                         f"{ALTER} replica identity full"),
    "column renamed": (f"{ALTER} rename phone to telephone", "MUST_HAVE_COLUMNS",
                       f"{ALTER} rename telephone to phone"),
    "identity default": (f"{ALTER} replica identity default", "MUST_HAVE_REPLICA_IDENTITY",
                         f"{ALTER} replica identity full"),
    "identity an index": (f"{ALTER} replica identity using index account_pkey", "MUST_HAVE_REPLICA_IDENTITY",
                          f"{ALTER} replica identity full"),
    "index dropped": ("drop index salesforce.hcu_idx_account_sfid", "MUST_HAVE_INDEXES",
                      "create unique index hcu_idx_account_sfid on salesforce.account (sfid)"),
    "a view in its place": (f"{ALTER} rename to kept; create view salesforce.account as select * from salesforce.kept",
                            "MUST_HAVE_TABLE",
                            "drop view salesforce.account; alter table salesforce.kept rename to account"),
}  # fmt: skip


@pytest.fixture
def running(sync):
    """Accounts and contacts, loaded; an account's INSERT waits, for the organisation is busy."""
    sync.org.create("Account", Name="Acme", Phone="1")
    sync.map(account(), contact())
    supervisor = sync.start("run")
    sync.wait_until_loaded()
    sync.org.fault({"match": {"method": "POST", "path": "/composite"}, "times": 100000, "status": 503})
    sync.query("insert into salesforce.account (name, phone, external_id__c) values ('Waits', '2', 'w')")
    sync.logged(1)
    return supervisor


def rows(sync):
    return sync.query("select name, phone::text from salesforce.account order by name")


def records(sync):
    return sorted((record["Name"], record["Phone"]) for record in sync.org.query("select Name, Phone from Account"))


def assert_nobody_ended(supervisor):
    assert "parked" not in supervisor.log_text() and ": ended" not in supervisor.log_text()


def contacts_go_on(sync):
    sync.query("insert into salesforce.contact (lastname, external_id__c) values ('Local', 'c')")
    sync.org.create("Contact", LastName="Theirs")
    eventually(lambda: sync.value("select count(*) from salesforce.contact where sfid is not null") == 2)
    assert len(sync.org.query("select Id from Contact")) == 2


@pytest.mark.parametrize("name", list(DAMAGES)[: None if "PGFORCE_LONG" in os.environ else 4])
def test_what_is_altered_by_hand_is_named_and_mends_itself_when_it_is_put_back(sync, running, name):
    damage, rule, remedy = DAMAGES[name]
    sync.query(damage, role="pgforce")
    sync.org.clear_faults()
    contacts_go_on(sync)
    sync.org.create("Account", Name="Bolt", Phone="3")
    assert f"Account {rule}" in found(diagnose(sync.pgforce, "--offline"))
    if rule != "MUST_HAVE_TABLE":
        sync.query("update salesforce.account set name = 'Changed' where name = 'Acme'")
    sync.query(remedy, role="pgforce")
    eventually(lambda: len(records(sync)) == 3 and rows(sync) == records(sync))
    eventually(lambda: sync.mapping_states() == {"DATA_SYNCED"})
    assert_nobody_ended(running)
    eventually(lambda: {state for (state,) in sync.entries("state")} == {"SUCCESS"})


def test_a_deletion_that_names_no_record_fails_in_sight(sync, running):
    sync.org.clear_faults()
    sync.settled(1)
    sync.query(f"{ALTER} replica identity nothing", role="pgforce")
    sync.query("delete from salesforce.account where name = 'Acme'")
    [_, (action, state, told)] = sync.settled(2, "action, state, sf_message")
    assert (action, state) == ("DELETE", "FAILED") and "REPLICA IDENTITY" in told
    # The rest goes on.
    sync.query("insert into salesforce.account (name) values ('After')")
    assert sync.settled(3)[2] == ("INSERT", "SUCCESS")


def test_a_table_that_is_dropped_is_mapped_again(sync, running):
    sync.query("drop table salesforce.account", role="pgforce")
    sync.org.clear_faults()
    contacts_go_on(sync)
    # What had been captured is sent; after the next line it would not be.
    eventually(lambda: sync.entries("state", "table_name = 'account'") == [("SUCCESS",)])
    assert "Account MUST_HAVE_TABLE" in found(diagnose(sync.pgforce, "--offline"))
    sync.pgforce.run("mapping", "delete", "Account", "--yes")
    sync.map(account(), contact())
    # It has come back.
    eventually(lambda: rows(sync) == records(sync) and len(rows(sync)) == 2)
    sync.query("update salesforce.account set phone = '9'")
    eventually(lambda: {phone for _, phone in records(sync)} == {"9"})
    assert_nobody_ended(running)


FORGET = """
delete from pgforce.delivery where schema_name = 'salesforce';
delete from pgforce.trace where schema_name = 'salesforce';
delete from pgforce.connection where schema_name = 'salesforce';
"""


def test_a_schema_that_is_dropped_is_told_and_can_be_begun_anew(sync, running):
    sync.query("drop schema salesforce cascade", role="postgres")
    told = found(diagnose(sync.pgforce, "--offline"))
    assert {"MUST_BE_SET_UP", "Account MUST_HAVE_TABLE", "Contact MUST_HAVE_TABLE"} <= told
    running.stop()
    said = sync.pgforce.run("setup", expect=78).stderr
    assert "no _trigger_log any more" in said and "backup" in said
    exported = sync.pgforce.run("export").stdout
    # As operations.md says.
    sync.query(FORGET, role="pgforce")
    sync.pgforce.run("setup", "--accept-gap")
    sync.pgforce.run("import", "-", stdin=exported)
    sync.org.clear_faults()
    sync.start("run")
    sync.wait_until_loaded()
    sync.query("insert into salesforce.account (name, phone) values ('New', '5')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert rows(sync) == records(sync) == [("Acme", "1"), ("New", "5")]
