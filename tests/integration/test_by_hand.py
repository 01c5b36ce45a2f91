"""What people write into the log or over a row's sfid: it is sent if it can be, and else fails alone."""

import json

import pytest

from eventually import eventually
from sync import account, contact


@pytest.fixture
def pushing(sync):
    sync.map(account(), contact(access="read_only"))
    sync.start("archive", "push")
    return sync


def write(sync, **columns):
    names = ", ".join(f'"{name}"' for name in columns)
    return sync.value(
        f"insert into salesforce._trigger_log ({names}) values ({', '.join(['%s'] * len(columns))}) returning id",
        list(columns.values()),
    )


def insert_two(sync):
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1'), ('Bolt', 'A-2')")
    sync.settled(2)


def record_names(sync):
    return [record["Name"] for record in sync.org.query("select Name from Account order by Name")]


def entry_of(sync, entry_id):
    [found] = sync.entries("state, sf_message", f"id = {entry_id}")
    return found


NO_TABLE = "pgforce: no mapping has a table of this name"
NO_ACTION = "pgforce: the action is none of INSERT, UPDATE and DELETE"


@pytest.mark.parametrize(
    "columns, message",
    [
        ({}, NO_TABLE),
        ({"table_name": "nothing", "action": "INSERT", "record_id": 1}, NO_TABLE),
        ({"table_name": "account"}, NO_ACTION),
        ({"table_name": "account", "action": "UPSERT", "record_id": 1}, NO_ACTION),
        ({"table_name": "account", "action": "INSERT", "record_id": 1, "values": "=>"}, "pgforce: the entry's values"),
        ({"table_name": "account", "action": "UPDATE", "record_id": 1, "values": '"name"=>"x"'}, "has no sfid"),
    ],
)
def test_an_entry_that_no_request_can_be_made_of_fails_and_holds_up_nobody(pushing, columns, message):
    sync = pushing
    entry = write(sync, state="NEW", **columns)
    sync.query("insert into salesforce.account (name) values ('Fine')")
    assert sync.settled(2, "state")[1] == ("SUCCESS",)
    state, said = entry_of(sync, entry)
    assert state == "FAILED"
    assert message in said


def test_an_entry_of_a_mapping_that_is_just_being_made_is_sent(sync):
    """Push has read the mappings before this one was made, and meets its entries all the same."""
    sync.map(account())
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    for turn in range(3):
        sync.pgforce.run("mapping", "create", "Contact", "--field", "LastName", "--access", "read_write")
        sync.query("insert into salesforce.contact (lastname) values ('Coyote')")
        eventually(lambda: sync.entries("state", "table_name = 'contact'") == [("SUCCESS",)])
        sync.query("delete from salesforce._trigger_log where table_name = 'contact'", role="pgforce")
        sync.pgforce.run("mapping", "abort", "Contact")
        sync.pgforce.run("mapping", "delete", "Contact", "--yes")


@pytest.mark.parametrize("action", ["UPDATE", "DELETE"])
def test_an_sfid_that_is_no_id_fails_its_own_row_alone(pushing, action):
    """An application has written over it: neither Salesforce nor the query before the write can take it."""
    sync = pushing
    insert_two(sync)
    sync.query("update salesforce.account set sfid = 'garbage' where name = 'Acme'")
    sync.settled(3)
    if action == "DELETE":
        sync.query("delete from salesforce.account")
    else:
        sync.query("update salesforce.account set phone = '1'")
    entries = sync.settled(5, "record_id, state, sf_message")[3:]
    assert sorted(entries) == [(1, "FAILED", "pgforce: the row's sfid is no id of Salesforce's"), (2, "SUCCESS", None)]
    assert sync.roles["push"].is_running()
    if action == "UPDATE":
        said = sync.query("select _hc_lastop, _hc_err from salesforce.account order by id")
        assert [row[0] for row in said] == ["FAILED", "UPDATED"]
        assert json.loads(said[0][1])["src"] == "pgforce"


def test_an_sfid_that_is_no_id_does_not_stop_a_reload(sync):
    """No record of Salesforce's has it, so the row goes as those do whose records are gone."""
    sync.load(account())
    sync.query("insert into salesforce.account (name) values ('Acme'), ('Bolt')")
    sync.settled(2)
    sync.query("update salesforce.account set sfid = 'garbage' where name = 'Acme'")
    sync.settled(3)
    sync.pgforce.run("mapping", "reload", "Account", "--wait")
    assert sync.query("select name from salesforce.account where sfid = 'garbage'") == []
    assert sync.query("select name from salesforce.account order by name") == [("Acme",), ("Bolt",)]


def test_requeue_is_new_at_once(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name, annualrevenue) values ('Acme', -5)")
    assert sync.settled(1) == [("INSERT", "FAILED")]
    sync.query("update salesforce.account set annualrevenue = 5")
    sync.settled(2)
    sync.query("update salesforce._trigger_log set state = 'REQUEUE' where id = 1")
    # Without being woken, the role looks again after 30 s.
    eventually(lambda: sync.entries("state", "id = 1") == [("SUCCESS",)], 15)
    assert [r["AnnualRevenue"] for r in sync.org.query("select AnnualRevenue from Account")] == [5]


@pytest.mark.parametrize("is_merged", [False, True])
def test_an_insert_captured_again_of_a_row_that_has_its_record_makes_no_second(sync, is_merged):
    sync.map(account(upsert=None), poll_db_no_merge=not is_merged)
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    sfid = sync.value("select sfid from salesforce.account")
    sync.org.update("Account", sfid, Phone="2", Industry="Energy")
    sync.query("select salesforce.hc_capture_insert_from_row(public.hstore(t.*), 'account',"
               " array['industry']::text[]) from salesforce.account t")
    # Without a pause between the two steps, and without the column that was left out.
    eventually(lambda: sync.entries("action, state, sfid")[1] == ("INSERT", "SUCCESS", sfid), 15)
    [record] = sync.org.query("select Id, Phone, Industry from Account")
    assert (record["Id"], record["Phone"], record["Industry"]) == (sfid, "1", "Energy")
    assert sync.value("select sfid from salesforce.account") == sfid


def test_of_an_entry_made_by_hand_only_mapped_writable_columns_are_sent(pushing):
    sync = pushing
    values = '"name"=>"Acme", "sfid"=>"001000000000009AAA", "systemmodstamp"=>"2020-01-01", "nosuch"=>"1",' \
             ' "isdeleted"=>"t", "website"=>"acme.example"'
    write(sync, state="NEW", action="INSERT", table_name="account", record_id=77, values=values)
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    [record] = sync.org.query("select Name, IsDeleted, Website from Account")
    assert (record["Name"], record["IsDeleted"], record["Website"]) == ("Acme", False, None)


@pytest.mark.parametrize("way", ["NEW", "REQUEUE", "captured again", "written"])
def test_of_a_read_only_mapping_nothing_is_sent_that_a_hand_has_touched(pushing, way):
    sync = pushing
    sync.query("insert into salesforce.contact (lastname) values ('Coyote')")
    assert sync.settled(1) == [("INSERT", "READONLY")]
    if way == "captured again":
        sync.query("select salesforce.hc_capture_insert_from_row(public.hstore(t.*), 'contact')"
                   " from salesforce.contact t")
    elif way == "written":
        write(sync, state="NEW", action="INSERT", table_name="contact", record_id=1, values='"lastname"=>"x"')
    else:
        sync.query("update salesforce._trigger_log set state = %s", [way])
    told = ("FAILED", "pgforce: the mapping is read-only")
    eventually(lambda: sync.entries("state, sf_message")[-1] == told, 15)
    assert sync.org.query("select Id from Contact") == []
    assert sync.value("select _hc_err from salesforce.contact") is None


def test_what_was_captured_before_a_mapping_became_read_only_is_sent_once(sync):
    sync.map(account())
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.logged(1)
    sync.map(account(access="read_only"))
    sync.start("push")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert record_names(sync) == ["Acme"]


def test_a_row_of_which_nothing_can_be_written_does_not_wait_for_ever(pushing):
    sync = pushing
    insert_two(sync)
    sync.query("update salesforce.account set isdeleted = true where name = 'Acme'")
    assert sync.settled(3, "state, sf_message")[2] == (
        "IGNORED", "pgforce: none of the changed columns can be written to Salesforce")
    assert sync.query("select _hc_lastop, _hc_err from salesforce.account order by id") == [
        ("SYNCED", None), ("INSERTED", None)]


def test_what_is_of_no_mapping_any_more_does_not_stop_a_retry_of_the_others(sync):
    sync.map(account(), contact())
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, annualrevenue) values ('Broke', -5);"
               " insert into salesforce.contact (firstname) values ('Wile')")
    assert sync.settled(2, "state") == [("FAILED",)] * 2
    write(sync, state="FAILED")
    sync.pgforce.run("mapping", "delete", "Account", "--yes")
    assert len(json.loads(sync.pgforce.run("errors", "--json").stdout)) == 3
    assert json.loads(sync.pgforce.run("retry", "--all-failed", "--json").stdout) == {"requeued": 1, "rowless": 2}
    assert json.loads(sync.pgforce.run("ignore", "--all-failed", "--json").stdout)["ignored"] >= 2
