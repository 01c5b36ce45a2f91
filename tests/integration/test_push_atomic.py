"""What one transaction changed is written to Salesforce all or none, with PGFORCE_PUSH_ATOMIC=on."""

import pytest

from eventually import eventually
from sync import account, contact, mapping, nameless_account

ATOMIC = {"PGFORCE_PUSH_ATOMIC": "on", "PGFORCE_DOUBT_QUARANTINE_S": "0"}
FAMILY = (
    "insert into salesforce.contact (lastname, external_id__c, account__external_id__c)"
    " values ('Child', 'C-1', 'A-1');"
    "insert into salesforce.account (name, external_id__c{column}) values ('Parent', 'A-1'{value})"
)


@pytest.fixture
def atomic(sync):
    """Accounts and contacts; what is changed is in the log before the push starts."""
    sync.map(account(), contact())
    sync.start("archive")
    return sync


def in_one(sync, *statements):
    sync.query(";".join(statements))


def push(sync):
    return sync.start("push", env=ATOMIC)


def family(column="", value=""):
    return FAMILY.format(column=column, value=value)


def calls(sync):
    """The last parts of the addresses that were written to."""
    return [
        entry["path"].split("/")[-1]
        for entry in sync.org.journal()
        if "/composite" in entry["path"] and entry["method"] != "GET"
    ]


def names(sync, object_name):
    return [row["Name"] for row in sync.org.query(f"select Name from {object_name} order by Name")]


def test_a_transaction_over_two_tables_is_one_call_parents_first(atomic):
    sync = atomic
    in_one(sync, family())
    sync.logged(2)
    push(sync)
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    assert calls(sync) == ["composite"]
    found = sync.org.query("select LastName, Account.Name from Contact")
    assert [(row["LastName"], row["Account"]["Name"]) for row in found] == [("Child", "Parent")]
    assert sync.value("select sfid from salesforce.contact") is not None
    assert sync.query("select _hc_lastop from salesforce.account") == [("INSERTED",)]


def test_a_record_made_and_changed_and_one_made_and_deleted_in_one_transaction(atomic):
    sync = atomic
    in_one(
        sync,
        "insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1'), ('Bolt', 'A-2')",
        "update salesforce.account set phone = '7' where name = 'Acme'",
        "delete from salesforce.account where name = 'Bolt'",
    )
    sync.logged(4)
    push(sync)
    assert sync.settled(4, "state") == [("SUCCESS",)] * 4
    assert calls(sync) == ["composite"]
    found = sync.org.query("select Id, Name, Phone from Account")
    assert [(row["Name"], row["Phone"]) for row in found] == [("Acme", "7")]
    assert sync.query("select sfid, _hc_lastop from salesforce.account") == [
        (found[0]["Id"], "UPDATED")
    ]


def test_one_refused_record_leaves_nothing_of_its_transaction(atomic):
    sync = atomic
    in_one(sync, family(", annualrevenue", ", -5"))
    sync.logged(2)
    push(sync)
    (_, child), (parent_id, parent) = (
        (row[0], row[1:]) for row in sync.settled(2, "id, state, sf_message")
    )
    assert parent[0] == child[0] == "FAILED"
    assert parent[1].startswith("FIELD_CUSTOM_VALIDATION_EXCEPTION")
    assert f"entry {parent_id}: " in child[1] and parent[1] in child[1]
    assert names(sync, "Account") == names(sync, "Contact") == []
    assert sync.query("select _hc_lastop from salesforce.contact") == [("FAILED",)]


def test_a_transaction_refused_and_set_back_goes_again_as_one(atomic):
    sync = atomic
    in_one(sync, family(", annualrevenue", ", -5"))
    sync.logged(2)
    push(sync)
    sync.settled(2)
    sync.query("update salesforce.account set annualrevenue = 5")
    sync.settled(3)
    sync.query("update salesforce._trigger_log set state = 'NEW' where action = 'INSERT'")
    eventually(lambda: sync.entries("state")[:2] == [("SUCCESS",)] * 2)
    assert names(sync, "Account") == ["Parent"]
    assert len(sync.org.query("select Id from Contact")) == 1


def test_an_update_and_a_delete_are_undone_with_a_refused_insert(atomic):
    sync = atomic
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Bolt', 'A-2')")
    push(sync)
    sync.settled(2)
    in_one(
        sync,
        "update salesforce.account set phone = '7' where name = 'Acme'",
        "delete from salesforce.account where name = 'Bolt'",
        "insert into salesforce.account (name, annualrevenue) values ('Cog', -5)",
    )
    assert [row[0] for row in sync.settled(5, "state")[2:]] == ["FAILED"] * 3
    found = sync.org.query("select Name, Phone from Account order by Name")
    assert [(row["Name"], row["Phone"]) for row in found] == [("Acme", None), ("Bolt", None)]


def test_an_update_refused_undoes_the_record_made_before_it(atomic):
    sync = atomic
    in_one(
        sync,
        "insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')",
        "update salesforce.account set annualrevenue = -5",
    )
    sync.logged(2)
    push(sync)
    insert, update = sync.settled(2, "state, sf_message")
    assert insert[0] == update[0] == "FAILED"
    assert "entry 2" in insert[1] and update[1].startswith("FIELD_CUSTOM_VALIDATION_EXCEPTION")
    assert names(sync, "Account") == []


@pytest.mark.parametrize("drop", ["before", "after"])
@pytest.mark.parametrize("accounts", [account, nameless_account])
def test_a_lost_answer_is_read_back_for_the_whole(sync, drop, accounts):
    sync.map(accounts(), mapping("Contact", "LastName", "External_Id__c", upsert="External_Id__c"))
    sync.start("archive")
    in_one(
        sync,
        "insert into salesforce.account (name) values ('Acme')",
        "update salesforce.account set phone = '7'",
        "insert into salesforce.contact (lastname, external_id__c) values ('Child', 'C-1')",
    )
    sync.logged(3)
    sync.org.fault({"match": {"method": "POST", "path": "/composite"}, "drop": drop})
    push(sync)
    assert sync.settled(3, "state") == [("SUCCESS",)] * 3
    found = sync.org.query("select Id, Name, Phone from Account")
    assert [(row["Name"], row["Phone"]) for row in found] == [("Acme", "7")]
    assert sync.query("select sfid from salesforce.account") == [(found[0]["Id"],)]
    assert len(sync.org.query("select Id from Contact")) == 1
    assert len(calls(sync)) == (1 if drop == "after" else 2)


def test_a_crash_before_the_answer_is_stored_doubles_nothing(atomic):
    sync = atomic
    in_one(sync, family())
    sync.logged(2)
    sync.org.fault({"match": {"method": "POST", "path": "/composite"}, "delay_ms": 30000})
    role = push(sync)
    # Received, and not answered.
    eventually(lambda: calls(sync) == ["composite"])
    assert sync.entries("state") == [("PENDING",)] * 2
    role.kill()
    eventually(lambda: names(sync, "Account") == ["Parent"])
    push(sync)
    assert sync.settled(2, "state") == [("SUCCESS",)] * 2
    assert names(sync, "Account") == ["Parent"]
    assert len(sync.org.query("select Id from Contact")) == 1


def test_a_transaction_that_the_organisation_was_busy_for_is_sent_again_whole(atomic):
    sync = atomic
    in_one(sync, family())
    sync.logged(2)
    sync.org.fault({"match": {"method": "POST", "path": "/composite"}, "status": 503})
    push(sync)
    assert sync.settled(2, "state") == [("SUCCESS",)] * 2
    assert names(sync, "Account") == ["Parent"]


def test_changes_of_a_record_in_three_transactions_keep_their_order(atomic):
    sync = atomic
    in_one(sync, family())
    for phone in "12":
        in_one(
            sync,
            f"update salesforce.account set phone = '{phone}'",
            f"update salesforce.contact set email = '{phone}@example.com'",
        )
    sync.query("update salesforce.account set phone = '3'")
    sync.logged(7)
    push(sync)
    assert sync.settled(7, "state") == [("SUCCESS",)] * 7
    assert [row["Phone"] for row in sync.org.query("select Phone from Account")] == ["3"]
    assert [row["Email"] for row in sync.org.query("select Email from Contact")] == ["2@example.com"]
    assert len([path for path in calls(sync) if path == "composite"]) == 3


@pytest.mark.parametrize("is_edited", [False, True])
def test_a_record_changed_twice_in_one_transaction_meets_what_salesforce_has_once(sync, is_edited):
    sync.map(account(conflict_policy="salesforce"))
    sync.start("archive")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    role = push(sync)
    sync.settled(1)
    role.stop()
    if is_edited:
        sync.org.update("Account", sync.value("select sfid from salesforce.account"), Phone="9")
    in_one(
        sync,
        "update salesforce.account set phone = '1'",
        "update salesforce.account set phone = '2'",
        "insert into salesforce.account (name, external_id__c) values ('Bolt', 'A-2')",
    )
    sync.logged(4)
    push(sync)
    states = [row[0] for row in sync.settled(4, "state")[1:]]
    assert states == (["MERGED"] * 2 if is_edited else ["SUCCESS"] * 2) + ["SUCCESS"]
    found = sync.org.query("select Phone from Account order by Name")
    assert [row["Phone"] for row in found] == ["9" if is_edited else "2", None]
    count = sync.value("select count(*) from pgforce.conflict", role="pgforce")
    assert (count > 0) == is_edited


def test_a_transaction_behind_a_failed_insert_is_not_sent_in_part(atomic):
    sync = atomic
    sync.query("insert into salesforce.account (name, annualrevenue) values ('Acme', -5)")
    push(sync)
    sync.settled(1)
    in_one(
        sync,
        "update salesforce.account set phone = '7'",
        "insert into salesforce.contact (lastname) values ('Child')",
    )
    found = sync.settled(3, "state, sf_message")[1:]
    assert [state for state, _ in found] == ["FAILED"] * 2
    assert "INSERT (entry 1) failed" in found[0][1] and "entry 2" in found[1][1]
    assert sync.org.query("select Id from Contact") == []


def test_hundreds_of_records_go_by_collections_and_are_undone_with_one(atomic):
    sync = atomic
    rows = (
        "insert into salesforce.account (name, external_id__c, annualrevenue) select n, 'A-' || n,"
        " case n when {bad} then -5 end from generate_series({first}, {last}) n"
    )
    people = (
        "insert into salesforce.contact (lastname, account__external_id__c)"
        " select n, 'A-' || n from generate_series({first}, {last}) n"
    )
    in_one(sync, rows.format(bad=0, first=1, last=250), people.format(first=1, last=250))
    in_one(sync, rows.format(bad=399, first=301, last=400), people.format(first=301, last=400))
    sync.logged(700)
    push(sync)
    states = [row[0] for row in sync.settled(700, "state")]
    assert states == ["SUCCESS"] * 500 + ["FAILED"] * 200
    assert len(sync.org.query("select Id from Account")) == 250
    assert len(sync.org.query("select Id from Contact where Account.Name != null")) == 250
    assert calls(sync) == ["composite"] * 2


def test_a_transaction_too_large_for_one_call_goes_in_the_ordinary_way(atomic):
    sync = atomic
    sync.query(
        "insert into salesforce.account (name, external_id__c)"
        " select n, 'A-' || n from generate_series(1, 1100) n"
    )
    sync.logged(1100)
    role = push(sync)
    assert set(sync.settled(1100, "state")) == {("SUCCESS",)}
    assert "composite" not in calls(sync)
    assert "does not fit one call" in role.log_text()


def test_the_merged_algorithm_is_refused(sync):
    sync.map(account(), poll_db_no_merge=False)
    role = push(sync)
    assert role.wait() == 78
    assert "poll_db_no_merge" in role.log_text()


@pytest.mark.parametrize("more", [0, 40])
@pytest.mark.parametrize("frees", ["delete from", "update"])
def test_a_key_that_is_used_again_in_one_transaction(atomic, frees, more):
    sync = atomic
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    sync.logged(1)
    push(sync)
    sync.settled(1)
    sync.org.journal(clear=True)
    change = "set external_id__c = 'A-2'" if frees == "update" else ""
    in_one(
        sync,
        "insert into salesforce.account (name, external_id__c)"
        f" select 'More', 'M-' || n from generate_series(1, {more}) n",
        f"{frees} salesforce.account {change} where name = 'Acme'",
        "insert into salesforce.account (name, external_id__c) values ('Bolt', 'A-1')",
    )
    assert {state for (state,) in sync.settled(more + 3, "state")} == {"SUCCESS"}
    assert calls(sync) == ["composite"]
    wanted = [("Acme", "A-2")] if frees == "update" else []
    assert [
        (row["Name"], row["External_Id__c"])
        for row in sync.org.query("select Name, External_Id__c from Account where Name <> 'More' order by Name")
    ] == wanted + [("Bolt", "A-1")]
