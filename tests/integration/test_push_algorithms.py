"""Ordered and merged: which entries go in one request, and what is sent when one goes again."""

import pytest

from eventually import eventually
from sync import account, mapping
from test_failures import archive_by_hand

COLLECTIONS = "/composite/sobjects"


@pytest.fixture
def merged(sync):
    """Accounts, by the merged algorithm; the changes come before the push."""
    sync.map(account(), poll_db_no_merge=False)
    sync.start("archive")
    return sync


@pytest.fixture
def ordered(sync):
    sync.map(account(), poll_db_no_merge=True)
    sync.start("archive", "push")
    return sync


def changed(sync, *statements):
    """Transactions of their own, all in the log before the push starts."""
    for statement in statements:
        sync.query(statement)
    sync.logged(len(statements))
    sync.start("push")


def accounts(sync, fields="Name, Phone, Industry"):
    return [
        tuple(record[name] for name in fields.split(", "))
        for record in sync.org.query(f"select {fields} from Account order by Name")
    ]


def writes(sync):
    return [entry["method"] for entry in sync.org.journal() if COLLECTIONS in entry["path"]]


def test_merged_sends_a_record_once_with_its_newest_values(merged):
    sync = merged
    changed(
        sync,
        "insert into salesforce.account (name, phone) values ('Acme', '1')",
        "update salesforce.account set phone = '2'",
        "update salesforce.account set phone = '3', industry = 'Energy'",
    )
    assert sync.settled(3) == [("INSERT", "SUCCESS"), ("UPDATE", "MERGED"), ("UPDATE", "MERGED")]
    assert accounts(sync) == [("Acme", "3", "Energy")]
    assert writes(sync) == ["POST"]
    assert sync.query("select _hc_lastop, _hc_err from salesforce.account") == [("INSERTED", None)]


def test_merged_updates_of_one_record_are_one_request(merged):
    sync = merged
    sync.start("push")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = '1', industry = 'Energy'")
    sync.query("update salesforce.account set phone = '2'")
    sync.logged(3)
    sync.start("push")
    assert sync.settled(3, "state") == [("SUCCESS",), ("SUCCESS",), ("MERGED",)]
    assert accounts(sync) == [("Acme", "2", "Energy")]
    assert writes(sync) == ["POST", "PATCH"]


def test_merged_sends_nothing_of_a_row_that_was_gone_before(merged):
    sync = merged
    changed(
        sync,
        "insert into salesforce.account (name) values ('Acme')",
        "update salesforce.account set phone = '2'",
        "delete from salesforce.account",
    )
    assert sync.settled(3, "state") == [("MERGED",), ("MERGED",), ("IGNORED",)]
    assert writes(sync) == []


def test_merged_sends_a_refused_insert_again_with_the_next_change(merged):
    sync = merged
    sync.start("push")
    sync.query("insert into salesforce.account (name, annualrevenue) values ('Acme', -5)")
    assert sync.settled(1) == [("INSERT", "FAILED")]
    sync.query("update salesforce.account set phone = '1'")
    assert sync.settled(2, "state") == [("FAILED",), ("FAILED",)]
    sync.query("update salesforce.account set annualrevenue = 5")
    assert sync.settled(3, "state") == [("SUCCESS",), ("FAILED",), ("MERGED",)]
    assert accounts(sync, "Name, Phone, AnnualRevenue") == [("Acme", "1", 5)]


def test_merged_does_not_double_a_record_whose_answer_was_lost(merged):
    sync = merged
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "after"})
    changed(
        sync,
        "insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')",
        "update salesforce.account set phone = '2'",
    )
    assert sync.settled(2)[0] == ("INSERT", "SUCCESS")
    assert accounts(sync) == [("Acme", "2", None)]


def test_ordered_is_what_a_file_without_the_flag_gets(sync):
    sync.map(account())
    sync.start("archive")
    changed(
        sync,
        "insert into salesforce.account (name, phone) values ('Acme', '1')",
        "update salesforce.account set phone = '2'",
    )
    assert sync.settled(2, "state") == [("SUCCESS",)] * 2
    assert writes(sync) == ["POST", "PATCH"]


def test_a_refused_insert_that_is_set_back_carries_the_row_as_it_is_now(ordered):
    sync = ordered
    sync.query("insert into salesforce.account (name, annualrevenue) values ('Acme', -5)")
    sync.settled(1)
    sync.query("update salesforce.account set annualrevenue = 5, phone = '1'")
    assert sync.settled(2)[1] == ("UPDATE", "FAILED")
    sync.query("update salesforce._trigger_log set state = 'NEW' where id = 1")
    eventually(lambda: sync.entries("state") == [("SUCCESS",), ("FAILED",)])
    assert accounts(sync, "Name, Phone, AnnualRevenue") == [("Acme", "1", 5)]


def test_an_update_that_is_set_back_does_not_undo_a_later_one(ordered):
    sync = ordered
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    sync.query("update salesforce.account set annualrevenue = -5, phone = '1', industry = 'Energy'")
    assert sync.settled(2)[1] == ("UPDATE", "FAILED")
    sync.query("update salesforce.account set annualrevenue = 5, phone = '2'")
    assert sync.settled(3)[2] == ("UPDATE", "SUCCESS")
    sync.query("update salesforce._trigger_log set state = 'NEW' where id = 2")
    eventually(lambda: sync.entries("state") == [("SUCCESS",)] * 3)
    assert accounts(sync, "Phone, Industry, AnnualRevenue") == [("2", "Energy", 5)]


def test_an_update_of_which_a_later_one_carries_all_is_merged_when_set_back(ordered):
    sync = ordered
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    sync.query("update salesforce.account set annualrevenue = -5")
    sync.settled(2)
    sync.query("update salesforce.account set annualrevenue = 5")
    sync.settled(3)
    sync.query("update salesforce._trigger_log set state = 'NEW' where id = 2")
    eventually(lambda: sync.entries("state") == [("SUCCESS",), ("MERGED",), ("SUCCESS",)])
    assert accounts(sync, "AnnualRevenue") == [(5,)]


def doubt(sync, statement):
    """The answer to an update is lost, and it was not done; push has stopped before it has read it back."""
    sync.org.fault({"match": {"method": "PATCH"}, "drop": "before", "times": 100})
    sync.query(statement)
    eventually(lambda: sync.query("select state from pgforce.delivery", role="pgforce") == [("IN_DOUBT",)])
    sync.roles["push"].stop()
    sync.org.clear_faults()


def note_intents(sync):
    """From now on public.seen has what is about to be sent."""
    sync.database.psql(
        """create table public.seen (body json);
        create function public.see() returns trigger language plpgsql as
            $$ begin insert into public.seen values (new.body); return null; end $$;
        grant all on public.seen to app, pgforce;
        create trigger see after insert or update on pgforce.delivery for each row
            when (new.state = 'SENDING') execute function public.see();""",
        role="postgres",
    )


@pytest.mark.parametrize("policy", ["last-writer", "salesforce"])
def test_an_update_in_doubt_leaves_to_a_newer_one_what_that_carries(sync, policy):
    """Neither side has a conflict with what Salesforce still has of the time before both."""
    sync.map(account(conflict_policy=policy), poll_db_no_merge=True)
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    doubt(sync, "update salesforce.account set phone = '2', industry = 'Energy'")
    sync.query("update salesforce.account set phone = '3'")
    sync.logged(3)
    note_intents(sync)
    sync.start("push")
    assert sync.settled(3)[1:] == [("UPDATE", "SUCCESS")] * 2
    assert accounts(sync) == [("Acme", "3", "Energy")]
    sent = [body for (body,) in sync.query("select body from public.seen")]
    assert [(body.get("Phone"), body.get("Industry")) for body in sent] == [(None, "Energy"), ("3", None)]
    assert sync.query("select count(*) from pgforce.conflict", role="pgforce") == [(0,)]
    assert sync.value("select phone from salesforce.account") == "3"


def test_an_update_in_doubt_of_which_a_newer_one_carries_all_is_merged(ordered):
    sync = ordered
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    doubt(sync, "update salesforce.account set phone = '2'")
    sync.query("update salesforce.account set phone = '3'")
    sync.logged(3)
    sync.org.journal(clear=True)
    sync.start("push")
    assert sync.settled(3, "state") == [("SUCCESS",), ("MERGED",), ("SUCCESS",)]
    assert accounts(sync, "Phone") == [("3",)]
    assert len([entry for entry in sync.org.journal() if entry["method"] == "PATCH"]) == 1


def test_an_update_that_is_set_back_leaves_to_one_that_waits_what_that_carries(ordered):
    """It would be refused once more, and nothing else of the record sent."""
    sync = ordered
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    sync.query("update salesforce.account set annualrevenue = -5, phone = '2'")
    assert sync.settled(2)[1] == ("UPDATE", "FAILED")
    sync.roles["push"].stop()
    sync.query("update salesforce.account set annualrevenue = 5")
    sync.logged(3)
    sync.query("update salesforce._trigger_log set state = 'NEW' where id = 2")
    sync.start("push")
    assert sync.settled(3, "state") == [("SUCCESS",)] * 3
    assert accounts(sync, "Phone, AnnualRevenue") == [("2", 5)]


HIERARCHY = mapping("Account", "Name", "Parent__External_Id__c", "External_Id__c", upsert="External_Id__c")


@pytest.mark.parametrize("merges", [False, True])
def test_records_that_point_to_each_other_go_in_two_steps(sync, merges):
    sync.map(HIERARCHY, poll_db_no_merge=not merges)
    sync.start("archive", "push")
    sync.query(
        "insert into salesforce.account (name, external_id__c, parent__external_id__c)"
        " values ('Acme', 'A-1', 'A-2'), ('Bolt', 'A-2', 'A-3'), ('Cog', 'A-3', 'A-1')"
    )
    assert sync.settled(3, "state") == [("SUCCESS",)] * 3
    found = sync.org.query("select Name, Parent.Name from Account order by Name")
    assert [(record["Name"], record["Parent"]["Name"]) for record in found] == [
        ("Acme", "Bolt"),
        ("Bolt", "Cog"),
        ("Cog", "Acme"),
    ]
    assert sync.query("select distinct _hc_lastop from salesforce.account") == [("INSERTED",)]


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_second_step_is_done_once(sync, drop):
    sync.map(HIERARCHY)
    sync.start("archive", "push")
    sync.org.fault({"match": {"method": "PATCH", "path": COLLECTIONS}, "drop": drop})
    sync.query(
        "insert into salesforce.account (name, external_id__c, parent__external_id__c)"
        " values ('Acme', 'A-1', 'A-2'), ('Bolt', 'A-2', 'A-1')"
    )
    assert sync.settled(2, "state") == [("SUCCESS",)] * 2
    found = sync.org.query("select Name, Parent.Name from Account order by Name")
    assert [record["Parent"]["Name"] for record in found] == ["Bolt", "Acme"]


REFUSAL = [{"success": False, "errors": [{"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "no", "fields": []}]}]
# As applications copy an archived entry back: all that Heroku Connect's table has, but its id.
COPY = """
insert into salesforce._trigger_log (txid, created_at, updated_at, processed_at, processed_tx, state, action,
    table_name, record_id, sfid, old, "values", sf_result, sf_message)
select txid, created_at, updated_at, processed_at, processed_tx, 'NEW', action,
    table_name, record_id, sfid, old, "values", sf_result, sf_message
from salesforce._trigger_log_archive where id = 2
"""


@pytest.mark.parametrize("merges", [False, True])
@pytest.mark.parametrize("way", ["set back", "retried", "retried from the archive", "copied from the archive"])
def test_no_way_of_trying_again_brings_a_value_of_the_past_back(sync, merges, way):
    sync.map(account(), poll_db_no_merge=not merges)
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '0')")
    sync.settled(1)
    sync.org.fault({"match": {"method": "PATCH", "path": COLLECTIONS}, "status": 200, "body": REFUSAL})
    sync.query("update salesforce.account set phone = '1', industry = 'Energy'")
    assert sync.settled(2, "state")[1] == ("FAILED",)
    sync.query("update salesforce.account set phone = '2'")
    assert sync.settled(3, "state")[2] == ("SUCCESS",)
    if "archive" in way:
        archive_by_hand(sync, 2)
    if way == "set back":
        sync.query("update salesforce._trigger_log set state = 'NEW' where id = 2")
    elif way == "copied from the archive":
        sync.query(COPY)
    else:
        sync.pgforce.run("retry", "--id", "2")
    eventually(lambda: accounts(sync, "Phone, Industry") == [("2", "Energy")])
    eventually(lambda: sync.query("select count(*) from salesforce._trigger_log where state in ('NEW', 'PENDING')")
               == [(0,)])
    assert accounts(sync, "Phone, Industry") == [("2", "Energy")]
