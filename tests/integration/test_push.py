"""From _trigger_log to Salesforce: every change once, in order, and what came of it in the log."""

import json
import re

import psycopg2
import pytest

from eventually import eventually
from sync import account, contact, mapping, nameless_account
from test_sandbox_object_add import add
from test_sandbox_users import add_user, sign_in

COLLECTIONS = "/composite/sobjects"


@pytest.fixture
def pushing(sync):
    """Accounts and contacts, logged and pushed."""
    sync.map(account(), contact())
    sync.start("archive", "push")
    return sync


def records(sync, name="Account", fields="Id, Name, External_Id__c"):
    return sync.org.query(f"select {fields} from {name} order by Name")


def is_under_way(sync):
    """The one INSERT has been sent, and perhaps answered: who is held up for a while sees no PENDING."""
    return sync.entries() in ([("INSERT", "PENDING")], [("INSERT", "SUCCESS")])


def names(sync):
    return [record["Name"] for record in records(sync)]


def test_an_insert_an_update_and_a_delete_reach_the_organisation(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name, phone, external_id__c) values ('Acme', '1', 'A')")
    [(_, state, message, sf_result, processed)] = sync.settled(
        1, "action, state, sf_message, sf_result, processed_at is not null and processed_tx is not null"
    )
    assert (state, message, sf_result, processed) == ("SUCCESS", None, None, True)
    [(sfid, lastop, error)] = sync.query("select sfid, _hc_lastop, _hc_err from salesforce.account")
    assert (lastop, error) == ("INSERTED", None)
    assert sync.org.retrieve("Account", sfid)["Phone"] == "1"

    sync.query("update salesforce.account set phone = null, industry = 'Energy'")
    sync.settled(2)
    found = sync.org.retrieve("Account", sfid)
    assert (found["Phone"], found["Industry"], found["Name"]) == (None, "Energy", "Acme")
    assert sync.query("select _hc_lastop, _hc_err from salesforce.account") == [("UPDATED", None)]

    sync.query("delete from salesforce.account")
    assert sync.settled(3, "action, state, sfid")[2] == ("DELETE", "SUCCESS", sfid)
    assert records(sync) == []


def test_only_what_changed_is_sent(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    [(sfid,)] = sync.query("select sfid from salesforce.account")
    # Changed over there, and not yet known here.
    sync.org.update("Account", sfid, Phone="2")
    sync.query("update salesforce.account set industry = 'Energy'")
    sync.settled(2)
    assert sync.org.retrieve("Account", sfid)["Phone"] == "2"


def test_what_the_answers_write_to_the_tables_is_not_captured(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    assert sync.log_is_quiet_after("insert into salesforce.contact (lastname) values ('Coyote')") == 1


def test_every_type_arrives_as_salesforce_writes_it(sync):
    sync.map(
        mapping(
            "Invoice__c",
            *("Amount__c", "Tax_Rate__c", "Quantity__c", "Status__c", "Tags__c", "Due_Date__c"),
            *("Paid_At__c", "Is_Paid__c", "Pick_Up__c", "Contact_Email__c", "Notes__c"),
            "External_Id__c",
            upsert="External_Id__c",
        )
    )
    sync.start("archive", "push")
    sync.query(
        r"""insert into salesforce.invoice__c (amount__c, tax_rate__c, quantity__c, status__c, tags__c,
                due_date__c, paid_at__c, is_paid__c, pick_up__c, contact_email__c, notes__c,
                external_id__c)
            values (1234.5, 19, 3, 'Sent', 'Urgent;Export', '2026-02-28', '2026-03-01 12:34:56.789',
                true, '23:59:59', 'a@b.example', E'one "two" \\ three\n漢字 🚀', 'I-1')"""
    )
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    found = sync.org.retrieve("Invoice__c", sync.value("select sfid from salesforce.invoice__c"))
    expected = {
        "Amount__c": 1234.5,
        "Tax_Rate__c": 19,
        "Quantity__c": 3,
        "Status__c": "Sent",
        "Tags__c": "Urgent;Export",
        "Due_Date__c": "2026-02-28",
        "Paid_At__c": "2026-03-01T12:34:56.000+0000",
        "Is_Paid__c": True,
        "Pick_Up__c": "23:59:59.000Z",
        "Contact_Email__c": "a@b.example",
        "Notes__c": 'one "two" \\ three\n漢字 🚀',
        "External_Id__c": "I-1",
    }
    assert {name: found[name] for name in expected} == expected


def test_the_parts_of_a_compound_field_are_written_each(sync):
    sync.map(mapping("Account", "Name", "BillingStreet", "BillingCity", "BillingLatitude", "BillingLongitude"))
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, billingstreet, billingcity, billinglatitude, billinglongitude)"
               " values ('Acme', E'1 Main St\\nFloor 2', 'Paris', 48.8566, -2.3522)")
    sync.settled(1)
    sync.query("update salesforce.account set billingcity = 'Lyon', billinglatitude = null")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    [found] = sync.org.query("select BillingAddress from Account")
    address = found["BillingAddress"]
    assert (address["street"], address["city"]) == ("1 Main St\nFloor 2", "Lyon")
    assert (address["latitude"], address["longitude"]) == (None, -2.3522)


def test_an_empty_text_is_null_over_there_and_then_here(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name, phone, industry) values ('Acme', '', 'Energy')")
    sync.settled(1)
    assert sync.query("select phone, industry from salesforce.account") == [(None, "Energy")]
    sync.query("update salesforce.account set industry = ''")
    sync.settled(2)
    assert records(sync, fields="Phone, Industry")[0]["Industry"] is None
    assert sync.query("select phone, industry from salesforce.account") == [(None, None)]
    # What the answer cleared is no change of the application's.
    assert sync.log_is_quiet_after("insert into salesforce.contact (lastname) values ('Coyote')") == 2


@pytest.mark.parametrize("first", ["account", "contact"])
def test_a_parent_and_its_child_may_come_in_one_transaction_in_any_order(pushing, first):
    sync = pushing
    inserts = {
        "account": "insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1');",
        "contact": "insert into salesforce.contact (lastname, external_id__c, account__external_id__c)"
        " values ('Coyote', 'C-1', 'A-1');",
    }
    second = "contact" if first == "account" else "account"
    sync.query(inserts[first] + inserts[second])
    assert sync.settled(2, "state") == [("SUCCESS",)] * 2
    [found] = sync.org.query("select LastName, Account.Name from Contact")
    assert found["Account"]["Name"] == "Acme"


def test_a_child_can_lose_its_parent(pushing):
    sync = pushing
    sync.query(
        "insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1');"
        "insert into salesforce.contact (lastname, account__external_id__c) values ('Coyote', 'A-1')"
    )
    sync.settled(2)
    sync.query("update salesforce.contact set account__external_id__c = null")
    assert sync.settled(3)[2] == ("UPDATE", "SUCCESS")
    [found] = sync.org.query("select LastName, AccountId from Contact")
    assert found["AccountId"] is None


def test_a_refused_write_says_why_and_holds_up_nobody_else(pushing):
    sync = pushing
    sync.query(
        "insert into salesforce.account (name, annualrevenue)"
        " values ('Fine', 1), ('Broke', -5), ('Fine too', 2)"
    )
    entries = sync.settled(3, "state, sf_message")
    assert [state for state, _ in entries] == ["SUCCESS", "FAILED", "SUCCESS"]
    assert entries[1][1] == "FIELD_CUSTOM_VALIDATION_EXCEPTION: Annual revenue cannot be negative"
    [(lastop, sfid, error)] = sync.query(
        "select _hc_lastop, sfid, _hc_err from salesforce.account where name = 'Broke'"
    )
    assert (lastop, sfid) == ("FAILED", None)
    assert json.loads(error) == {"op": "INSERT", "src": "SFDC", "msg": entries[1][1]}
    assert names(sync) == ["Fine", "Fine too"]


def test_a_refused_update_leaves_the_record_and_the_next_success_clears_the_error(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    sync.query("update salesforce.account set annualrevenue = -5")
    assert sync.settled(2)[1] == ("UPDATE", "FAILED")
    assert sync.query("select _hc_lastop, _hc_err::json ->> 'op' from salesforce.account") == [
        ("FAILED", "UPDATE")
    ]
    sync.query("update salesforce.account set annualrevenue = 5")
    assert sync.settled(3)[2] == ("UPDATE", "SUCCESS")
    assert sync.query("select _hc_lastop, _hc_err from salesforce.account") == [("UPDATED", None)]


def test_an_update_of_a_record_whose_insert_was_refused_points_to_it(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name, annualrevenue) values ('Broke', -5)")
    sync.settled(1)
    sync.query("update salesforce.account set phone = '1'")
    [_, (state, message)] = sync.settled(2, "state, sf_message")
    assert state == "FAILED"
    assert "INSERT (entry 1) failed" in message
    assert names(sync) == []


def test_an_entry_set_back_to_new_is_sent_at_once(pushing):
    sync = pushing
    a_foreign_record = {
        "Name": "First come",
        "External_Id__c": "A-1",
        "CreatedById": "005000000000009AAA",
    }
    sync.org.insert("Account", a_foreign_record)
    taken = records(sync)[0]["Id"]
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    [(state, message)] = sync.settled(1, "state, sf_message")
    assert (state, message) == (
        "FAILED",
        "the external id is taken by a record that is not this row's",
    )
    assert sync.value("select sfid from salesforce.account") is None

    sync.org.remove("Account", taken)
    sync.query("update salesforce._trigger_log set state = 'NEW'")
    # Without being woken, the role looks again after 30 s.
    eventually(lambda: sync.entries() == [("INSERT", "SUCCESS")], deadline_s=25)
    assert names(sync) == ["Acme"]
    assert sync.value("select _hc_err from salesforce.account") is None


def test_an_entry_that_a_user_dismisses_is_never_sent(sync):
    sync.map(account())
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('No'), ('Yes')")
    sync.logged(2)
    sync.query("update salesforce._trigger_log set state = 'IGNORED' where id = 1")
    sync.start("push")
    assert sync.settled(2, "state") == [("IGNORED",), ("SUCCESS",)]
    assert names(sync) == ["Yes"]


def test_the_changes_of_a_read_only_mapping_are_never_sent(sync):
    sync.map(account(access="read_only"), contact())
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name) values ('Acme');"
               " insert into salesforce.contact (lastname) values ('Coyote')")
    assert sync.settled(2, "state") == [("READONLY",), ("SUCCESS",)]
    assert names(sync) == []


# The network and the organisation misbehave.


def test_a_create_whose_answer_was_lost_makes_no_second_record(pushing):
    sync = pushing
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "after"})
    sync.query(
        "insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1'), ('Bolt', 'A-2')"
    )
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    found = {record["External_Id__c"]: record["Id"] for record in records(sync)}
    assert len(records(sync)) == 2
    assert dict(sync.query("select external_id__c, sfid from salesforce.account")) == found
    assert [entry["dropped"] for entry in sync.requests("POST", COLLECTIONS)] == [True]


def test_a_create_that_never_arrived_is_sent_again(pushing):
    sync = pushing
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "before"})
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert names(sync) == ["Acme"]


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_create_without_a_unique_identifier_is_found_by_its_content(sync, drop):
    sync.map(nameless_account())
    sync.start("archive", "push")
    sync.org.create("Account", Name="Acme", Phone="other")
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": drop})
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1'), ('Acme', '1')")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    found = {record["Id"] for record in records(sync) if record["Id"]}
    assert len(found) == 3
    bound = {sfid for (sfid,) in sync.query("select sfid from salesforce.account")}
    assert len(bound) == 2 and bound < found


def test_a_row_deleted_while_its_insert_is_unanswered_leaves_nothing_though_the_log_lags(pushing):
    """The answer comes before the deletion is logged: the row is gone, and with it its sfid."""
    sync = pushing
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "delay_ms": 2000})
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    eventually(lambda: is_under_way(sync))
    sync.roles["archive"].stop()
    sync.query("delete from salesforce.account")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    sync.start("archive")
    assert sync.settled(2)[1] == ("DELETE", "SUCCESS")
    assert records(sync) == []


def test_an_insert_of_a_key_that_a_record_has_takes_it_over_only_where_that_is_wanted(sync):
    sync.map(account())
    add_user(sync.org, "mia@sandbox.example")
    hers = {"Name": "Old", "External_Id__c": "E-1", "Phone": "1", "Industry": "Energy"}
    mia = sign_in(sync.org, "mia@sandbox.example")
    there = sync.org.post("sobjects/Account", hers, token=mia).json["id"]
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'E-1')")
    assert sync.settled(1) == [("INSERT", "FAILED")]
    sync.pgforce.run("mapping", "edit", "Account", "--adopt-existing")
    sync.pgforce.run("retry", "--all-failed")
    assert sync.settled(2) == [("INSERT", "REQUEUED"), ("INSERT", "SUCCESS")]
    sync.query("insert into salesforce.account (name, external_id__c) values ('Bolt', 'E-2'), ('Core', null)")
    assert sync.settled(4)[2:] == [("INSERT", "SUCCESS")] * 2
    assert sync.query("select sfid from salesforce.account where name = 'Acme'") == [(there,)]
    found = sync.org.query("select Name, Phone, Industry from Account order by Name")
    assert [(record["Name"], record["Phone"], record["Industry"]) for record in found] == [
        ("Acme", "1", "Energy"), ("Bolt", None, None), ("Core", None, None)
    ]


def test_a_record_that_our_user_made_long_before_is_not_taken_for_the_insert(sync):
    sync.map(account())
    sync.org.advance(-3600)
    sync.org.create("Account", Name="Old", External_Id__c="E-1")
    sync.org.advance(3600)
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'E-1')")
    assert sync.settled(1) == [("INSERT", "FAILED")]


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_take_over_is_done_once(sync, drop):
    sync.map(account(adopt_existing=True))
    sync.org.create("Account", Name="Old", External_Id__c="E-1", Phone="1")
    sync.start("archive", "push")
    sync.org.fault({"match": {"method": "PATCH", "path": COLLECTIONS}, "drop": drop})
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'E-1')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    [found] = sync.org.query("select Name, Phone from Account")
    assert (found["Name"], found["Phone"]) == ("Acme", "1")


@pytest.mark.parametrize(
    "lost_create, states, count",
    [("fail", ["FAILED"], 1), ("resend", ["SUCCESS"], 2), ("refuse", ["FAILED"], 0)],
)
def test_a_mapping_chooses_what_becomes_of_a_lost_create_without_a_unique_identifier(
    sync, lost_create, states, count
):
    sync.map(nameless_account(lost_create=lost_create))
    sync.start("archive", "push")
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "after"})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert [state for (state,) in sync.settled(1, "state")] == states
    assert len(records(sync)) == count


def test_a_lost_create_that_several_records_may_be_is_left_to_a_person(sync):
    sync.map(nameless_account())
    sync.start("archive", "push")
    sync.org.create("Account", Name="Acme")
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "after"})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    [(state, message)] = sync.settled(1, "state, sf_message")
    assert (state, "several Salesforce records may be this row" in message) == ("FAILED", True)
    assert sync.query("select sfid from salesforce.account") == [(None,)]


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_create_with_a_null_unique_identifier_is_found_by_its_content(pushing, drop):
    sync = pushing
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": drop})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    [record] = records(sync)
    assert sync.query("select sfid from salesforce.account") == [(record["Id"],)]


def test_a_lost_update_and_a_lost_delete_are_done_once_and_settled(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    sync.settled(1)
    sync.org.fault({"match": {"method": "PATCH", "path": COLLECTIONS}, "drop": "after"})
    sync.query("update salesforce.account set phone = '1'")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    assert records(sync, fields="Phone")[0]["Phone"] == "1"
    sync.org.fault({"match": {"method": "DELETE", "path": COLLECTIONS}, "drop": "after"})
    sync.query("delete from salesforce.account")
    assert sync.settled(3)[2] == ("DELETE", "SUCCESS")
    assert records(sync) == []


@pytest.mark.parametrize("drop", ["before", "after"])
def test_lost_creates_whose_identifiers_no_query_can_hold_at_once_are_found(pushing, drop):
    """Too long together for one address; and one with a character that SOQL has no literal for."""
    sync = pushing
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": drop})
    sync.query("insert into salesforce.account (name, external_id__c)"
               " select 'n' || n, n || repeat('漢', 60) from generate_series(1, 60) n"
               " union all select 'odd', E'A\\x012'")
    assert set(sync.settled(61, "state")) == {("SUCCESS",)}
    assert len(records(sync)) == 61
    assert sync.value("select count(distinct sfid) from salesforce.account") == 61


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_create_with_a_number_as_its_identifier_is_found(sync, drop):
    fields = ("--field", "Code__c:double(18,0),unique,external-id", "--field", "Price__c:currency(16,2)")
    assert add("Plan__c", *fields, "--url", sync.org.url).returncode == 0
    sync.map(mapping("Plan__c", "Code__c", "Price__c", upsert="Code__c"))
    sync.start("archive", "push")
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": drop})
    sync.query("insert into salesforce.plan__c (code__c, price__c) values (1, 2.5), (3000000000000000, 3)")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    found = {record["Code__c"]: record["Id"] for record in sync.org.query("select Id, Code__c from Plan__c")}
    assert dict(sync.query("select code__c, sfid from salesforce.plan__c")) == found


def test_a_write_in_doubt_holds_up_its_own_record_only(sync):
    sync.map(nameless_account())
    sync.start("archive", "push", env={"PGFORCE_DOUBT_QUARANTINE_S": "3600"})
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "before"})
    sync.query("insert into salesforce.account (name) values ('Lost')")
    eventually(lambda: sync.entries() == [("INSERT", "PENDING")])
    sync.query("update salesforce.account set phone = '1'")
    sync.query("insert into salesforce.account (name) values ('Fine')")
    eventually(lambda: sync.entries("state", "id = 3") == [("SUCCESS",)])
    assert sync.entries() == [("INSERT", "PENDING"), ("UPDATE", "NEW"), ("INSERT", "SUCCESS")]
    assert names(sync) == ["Fine"]


def test_an_organisation_that_is_unavailable_is_asked_again(pushing):
    sync = pushing
    sync.org.fault(
        {
            "match": {"method": "POST", "path": COLLECTIONS},
            "status": 503,
            "body": [{"errorCode": "SERVER_UNAVAILABLE", "message": "Try later"}],
        }
    )
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert [entry["status"] for entry in sync.requests("POST", COLLECTIONS)][0] == 503
    assert names(sync) == ["Acme"]


def test_what_is_to_be_sent_again_is_told_apart_from_what_is_done(pushing):
    sync = pushing
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "status": 503, "body": "busy"})
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    sync.settled(1)
    told = [line for line in sync.roles["push"].log_text().splitlines() if " pushed " in line]
    assert [re.search(r"rows=1 failed=0 unsettled=(\d)", line).group(1) for line in told] == ["1", "0"]


def test_an_answer_in_html_is_no_answer(pushing):
    sync = pushing
    sync.org.fault(
        {
            "match": {"method": "POST", "path": COLLECTIONS},
            "status": 200,
            "body": "<html><body>We are down for maintenance</body></html>",
        }
    )
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert names(sync) == ["Acme"]


def test_an_expired_session_is_renewed_and_nothing_fails(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    sync.org.expire_sessions()
    sync.query("insert into salesforce.account (name) values ('Bolt')")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    assert [entry["status"] for entry in sync.requests("POST", COLLECTIONS)] == [200, 401, 200]
    assert sync.roles["push"].is_running()


def test_a_record_that_is_locked_for_a_moment_is_tried_again(pushing):
    sync = pushing
    locked = {"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "busy",
                                            "fields": []}]}
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "status": 200, "body": [locked]})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert names(sync) == ["Acme"]


def test_a_record_deleted_over_there_can_be_deleted_here_but_not_updated(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name) values ('Acme'), ('Bolt')")
    sync.settled(2)
    for (sfid,) in sync.query("select sfid from salesforce.account"):
        sync.org.remove("Account", sfid)
    sync.query("update salesforce.account set phone = '1' where name = 'Acme';"
               " delete from salesforce.account where name = 'Bolt'")
    entries = sync.settled(4, "action, state, sf_message")[2:]
    assert [entry[:2] for entry in entries] == [("UPDATE", "FAILED"), ("DELETE", "SUCCESS")]
    assert entries[0][2].startswith("ENTITY_IS_DELETED")


def test_a_request_refused_for_one_record_is_halved_until_that_one_stands_alone(pushing):
    sync = pushing
    refusal = [{"errorCode": "JSON_PARSER_ERROR", "message": "Cannot deserialize instance of double"}]
    # The whole, the half, the quarter ... down to the record itself.
    sync.org.fault(
        {"match": {"method": "POST", "path": COLLECTIONS}, "times": 1, "status": 400, "body": refusal}
    )
    sync.org.fault(
        {"match": {"method": "POST", "path": COLLECTIONS}, "times": 1, "status": 400, "body": refusal}
    )
    sync.org.fault(
        {"match": {"method": "POST", "path": COLLECTIONS}, "skip": 1, "times": 1, "status": 400, "body": refusal}
    )
    sync.query("insert into salesforce.account (name) select 'Account ' || n from generate_series(1, 4) n")
    entries = sync.settled(4, "state, sf_message")
    assert sorted(state for state, _ in entries) == ["FAILED", "SUCCESS", "SUCCESS", "SUCCESS"]
    [message] = [message for state, message in entries if state == "FAILED"]
    assert "JSON_PARSER_ERROR" in message
    assert len(names(sync)) == 3


def test_a_field_that_the_organisation_lacks_makes_the_entries_wait(pushing):
    sync = pushing
    refusal = [{"errorCode": "INVALID_FIELD", "message": "No such column 'Gone__c' on sobject of type Account"}]
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "status": 400, "body": refusal})
    sync.query("insert into salesforce.account (name) select 'Account ' || n from generate_series(1, 4) n")
    eventually(
        lambda: set(sync.entries("state, sf_message like '%INVALID_FIELD%'")) == {("NEW", True)}
    )
    assert sync.value(
        "select min(retry_at - sent_at) > interval '20 s' from pgforce.delivery", role="pgforce"
    )
    assert len(sync.requests("POST", COLLECTIONS)) == 1
    for command, told in (
        (["mapping", "show", "Account"], "4 wait to be tried again: INVALID_FIELD"),
        (["status"], "4 writes wait to be tried again: INVALID_FIELD"),
    ):
        printed = sync.pgforce.run(*command).stdout
        assert told in printed
        assert "No such column 'Gone__c'" in printed
    shown = json.loads(sync.pgforce.run("mapping", "show", "Account", "--json").stdout)
    assert shown["waiting_writes"]["count"] == 4


# Order and size.


def test_five_hundred_rows_of_one_transaction_go_in_three_requests(pushing):
    sync = pushing
    sync.query(
        "insert into salesforce.account (name, external_id__c)"
        " select 'Account ' || n, 'A-' || n from generate_series(1, 500) n"
    )
    states = sync.settled(500, "state")
    assert set(states) == {("SUCCESS",)}
    sizes = [entry["records"] for entry in sync.requests("POST", COLLECTIONS)]
    assert sorted(sizes) == [100, 200, 200]
    assert sync.value("select count(distinct sfid) from salesforce.account") == 500
    assert len(records(sync)) == 500


def test_two_updates_of_one_record_are_sent_in_their_order(sync):
    sync.map(account())
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = '1', industry = 'Energy'")
    sync.query("update salesforce.account set phone = '2'")
    sync.logged(3)
    sync.start("push")
    assert sync.settled(3)[1:] == [("UPDATE", "SUCCESS")] * 2
    [found] = records(sync, fields="Phone, Industry")
    assert (found["Phone"], found["Industry"]) == ("2", "Energy")


def test_an_update_made_before_its_insert_was_answered_follows_it(pushing):
    sync = pushing
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "delay_ms": 1500})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    eventually(lambda: is_under_way(sync))
    sync.query("update salesforce.account set phone = '1'")
    assert sync.settled(2) == [("INSERT", "SUCCESS"), ("UPDATE", "SUCCESS")]
    [found] = records(sync, fields="Name, Phone")
    assert (found["Name"], found["Phone"]) == ("Acme", "1")


def test_a_row_deleted_before_its_insert_was_answered_leaves_no_record(pushing):
    sync = pushing
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "delay_ms": 1500})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    eventually(lambda: is_under_way(sync))
    sync.query("delete from salesforce.account")
    assert sync.settled(2, "state") == [("SUCCESS",)] * 2
    assert records(sync) == []


def test_a_row_made_and_deleted_in_one_transaction_leaves_no_record(pushing):
    sync = pushing
    sync.query("begin; insert into salesforce.account (name) values ('Acme');"
               " delete from salesforce.account; commit")
    sync.settled(2)
    assert records(sync) == []


def test_a_row_that_an_application_holds_locked_gets_its_answer_when_it_is_free(sync):
    sync.map(account(), contact())
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.logged(1)
    holder = sync.database.connect(autocommit=False)
    holder.cursor().execute("select from salesforce.account for update")
    sync.start("push")
    eventually(
        lambda: sync.value(
            "select count(*) from pg_stat_activity where application_name = 'pgforce push'"
            " and wait_event_type = 'Lock'",
            role="postgres",
        )
        == 1
    )
    holder.rollback()
    holder.close()
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert sync.value("select _hc_lastop from salesforce.account") == "INSERTED"


def test_a_second_push_waits_until_the_first_is_dead(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    first = sync.roles["push"]
    second = sync.start("push")
    sync.query("insert into salesforce.account (name) values ('Bolt')")
    sync.settled(2)
    assert first.is_running() and second.is_running()
    assert "pushed" not in second.log_text()
    first.kill()
    sync.query("insert into salesforce.account (name) values ('Cog')")
    sync.settled(3)
    assert names(sync) == ["Acme", "Bolt", "Cog"]


def test_different_records_are_sent_beside_each_other(pushing):
    sync = pushing
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "delay_ms": 4000, "times": 2})
    sync.query(
        "insert into salesforce.account (name, external_id__c)"
        " select 'Account ' || n, 'A-' || n from generate_series(1, 400) n"
    )
    eventually(lambda: len(records(sync)) == 400)
    assert set(sync.entries("state")) == {("PENDING",)}
    assert set(sync.settled(400, "state")) == {("SUCCESS",)}


def test_the_option_says_how_many_requests_are_on_their_way_at_once(sync):
    sync.map(account())
    sync.start("archive", "push", env={"PGFORCE_PUSH_PARALLEL": "1"})
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "delay_ms": 500, "times": 3})
    sync.query(
        "insert into salesforce.account (name, external_id__c)"
        " select 'Account ' || n, 'A-' || n from generate_series(1, 600) n"
    )
    seen = set()

    def is_over():
        [(waiting, done)] = sync.query(
            "select count(*) filter (where state = 'PENDING'), count(*) filter (where state = 'SUCCESS')"
            " from salesforce._trigger_log"
        )
        seen.add(waiting)
        return done == 600

    eventually(is_over)
    assert max(seen) <= 200


def test_four_thousand_writes_in_doubt_delay_no_other(sync):
    sync.map(nameless_account())
    sync.start("archive", "push", env={"PGFORCE_DOUBT_QUARANTINE_S": "3600"})
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "before", "times": 21})
    sync.query("insert into salesforce.account (name) select 'Lost ' || n from generate_series(1, 4001) n")
    eventually(
        lambda: sync.value(
            "select count(*) from pgforce.delivery where state = 'IN_DOUBT' and retry_at > now()",
            role="pgforce",
        )
        == 4001
    )
    sync.query("insert into salesforce.account (name) values ('Fine')")
    eventually(lambda: sync.entries("state", "id = 4002") == [("SUCCESS",)])
    assert names(sync) == ["Fine"]


def test_an_application_may_not_make_two_rows_of_one_unique_identifier(sync):
    sync.load(account())
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")


@pytest.mark.parametrize("late", ["DELETE", "PATCH"])
def test_a_key_that_is_used_again_is_free_before_its_new_row_is_sent(sync, late):
    """The DELETE itself is not done at once, or waits behind an UPDATE that is not."""
    sync.load(account())
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    sync.settled(1)
    sync.org.fault({"match": {"method": late}, "times": 100000, "status": 503, "body": "busy"})
    sync.query("update salesforce.account set phone = '1'")
    if late == "PATCH":
        eventually(lambda: sync.value("select count(*) from pgforce.delivery", role="pgforce"))
    else:
        sync.settled(2)
    sync.query(
        "delete from salesforce.account;"
        "insert into salesforce.account (name, external_id__c) values ('Bolt', 'A-1')"
    )
    sync.logged(4)
    sync.org.clear_faults()
    assert sync.settled(4)[2:] == [("DELETE", "SUCCESS"), ("INSERT", "SUCCESS")]
    [record] = sync.org.query("select Id, Name, External_Id__c from Account")
    assert (record["Name"], record["External_Id__c"]) == ("Bolt", "A-1")
    sync.wait_for_polls()
    assert sync.query("select name, sfid from salesforce.account") == [("Bolt", record["Id"])]


@pytest.mark.parametrize("merges", [False, True])
@pytest.mark.parametrize("is_behind", [False, True])
def test_a_key_that_an_update_sets_free_is_used_again_after_it(sync, is_behind, merges):
    """The UPDATE is not done at once, or waits behind another that is not."""
    sync.map(account(), poll_db_no_merge=not merges)
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    sync.settled(1)
    sync.org.fault({"match": {"method": "PATCH"}, "times": 100000, "status": 503, "body": "busy"})
    if is_behind:
        sync.query("update salesforce.account set phone = '1'")
        eventually(lambda: sync.value("select count(*) from pgforce.delivery", role="pgforce"))
    sync.query(
        "update salesforce.account set external_id__c = 'A-2';"
        "insert into salesforce.account (name, external_id__c) values ('Bolt', 'A-1')"
    )
    count = 4 if is_behind else 3
    sync.logged(count)
    sync.org.clear_faults()
    found = sync.settled(count)
    assert found[-1] == ("INSERT", "SUCCESS")
    assert {state for _, state in found} <= {"SUCCESS", "MERGED"}
    wanted = [(row["Name"], row["External_Id__c"], row["Id"]) for row in records(sync)]
    assert [row[:2] for row in wanted] == [("Acme", "A-2"), ("Bolt", "A-1")]
    assert sync.query("select name, external_id__c, sfid from salesforce.account order by name") == wanted


@pytest.mark.parametrize("merges", [False, True])
def test_two_records_can_change_their_unique_identifiers_with_each_other(sync, merges):
    sync.map(account(), poll_db_no_merge=not merges)
    sync.start("archive", "push")
    sync.query(
        "insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1'), ('Bolt', 'A-2')"
    )
    sync.settled(2)
    sync.roles["push"].stop()
    for name, key in (("Acme", "A-3"), ("Bolt", "A-1"), ("Acme", "A-2")):
        sync.query("update salesforce.account set external_id__c = %s where name = %s", [key, name])
    sync.logged(5)
    sync.start("push")
    states = {state for _, state in sync.settled(5)}
    if not merges:  # merged, they are two changes, neither of which can come first
        assert states == {"SUCCESS"}
        assert [(row["Name"], row["External_Id__c"]) for row in records(sync)] == [("Acme", "A-2"), ("Bolt", "A-1")]
    else:
        assert "FAILED" in states
        assert "DUPLICATE_VALUE" in sync.value(
            "select sf_message from salesforce._trigger_log where state = 'FAILED' limit 1"
        )


def killed_before_its_answer(sync, values):
    """A new account is made, and push dies before the answer has come. Answers its id."""
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "delay_ms": 20000})
    sync.query(f"insert into salesforce.account {values}")
    [record] = eventually(lambda: sync.org.query("select Id from Account"))
    sync.roles["push"].kill()
    return record["Id"]


@pytest.mark.parametrize("mapped", [account(), nameless_account()], ids=["keyed", "nameless"])
def test_a_lost_create_whose_record_somebody_deletes_is_not_made_again(sync, mapped):
    """The row is deleted, as the deletion policy wants it."""
    sync.load(mapped)
    is_keyed = "upsert_field" in mapped["config"]
    made = killed_before_its_answer(
        sync, "(name, external_id__c) values ('Acme', 'A-1')" if is_keyed else "(name) values ('Acme')"
    )
    sync.org.remove("Account", made)
    sync.start("push", env={"PGFORCE_DOUBT_QUARANTINE_S": "0"})
    assert sync.settled(1, "state, sfid") == [("SUCCESS", made)]
    eventually(lambda: sync.query("select id from salesforce.account") == [])
    assert [row["Id"] for row in sync.org.rows("Account")] == [made]


def test_a_lost_create_whose_record_somebody_changes_is_left_to_a_person(sync):
    sync.map(nameless_account())
    sync.start("archive", "push")
    made = killed_before_its_answer(sync, "(name, phone) values ('Acme', '1')")
    sync.org.advance(2)
    sync.org.update("Account", made, Phone="2")
    sync.start("push", env={"PGFORCE_DOUBT_QUARANTINE_S": "0"})
    [(state, message)] = sync.settled(1, "state, sf_message")
    assert (state, "may be this row's" in message, made in message) == ("FAILED", True, True)
    assert len(records(sync)) == 1


def test_a_deleted_record_of_another_row_is_not_taken_for_that_of_a_lost_create(sync):
    """Of one unique identifier, made here and deleted here a moment ago."""
    sync.load(account())
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    sync.settled(1)
    sync.query("delete from salesforce.account")
    sync.settled(2)
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "before"})
    sync.query("insert into salesforce.account (name, external_id__c) values ('Bolt', 'A-1')")
    assert sync.settled(3)[2] == ("INSERT", "SUCCESS")
    sync.wait_for_polls()
    [record] = records(sync)
    assert sync.query("select name, sfid from salesforce.account") == [("Bolt", record["Id"])]


def test_a_record_of_another_row_that_still_has_the_key_is_not_taken_for_the_insert(pushing):
    """The UPDATE that was to set it free was refused."""
    sync = pushing
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    sync.settled(1)
    sync.query("update salesforce.account set external_id__c = 'A-2', annualrevenue = -5")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Bolt', 'A-1')")
    assert sync.settled(3)[1:] == [("UPDATE", "FAILED"), ("INSERT", "FAILED")]
    assert names(sync) == ["Acme"]
    assert sync.value("select count(*) from salesforce.account where sfid is not null") == 1


def test_what_came_of_a_request_is_stored_while_another_is_without_an_answer(sync):
    sync.map(account())
    sync.start("archive")
    sync.query(
        "insert into salesforce.account (name, external_id__c)"
        " select 'Account ' || n, 'A-' || n from generate_series(1, 600) n"
    )
    sync.logged(600)
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "delay_ms": 110000})
    sync.start("push")
    count = "select state, count(*)::integer from salesforce._trigger_log group by state order by state"
    eventually(lambda: sync.query(count) == [("PENDING", 200), ("SUCCESS", 400)])
    assert sync.value("select count(*) from salesforce.account where sfid is not null") == 400


def test_an_undelete_before_a_lost_delete_is_read_back_is_undone(sync):
    """Nothing tells it from a DELETE that was not done."""
    sync.load(account())
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    [(_, sfid)] = sync.settled(1, "state, sfid")
    sync.org.fault({"match": {"method": "DELETE", "path": COLLECTIONS}, "delay_ms": 20000})
    sync.query("delete from salesforce.account")
    eventually(lambda: records(sync) == [])
    sync.roles["push"].kill()
    sync.org.undelete(sfid)
    sync.wait_for_polls()
    assert sync.query("select id from salesforce.account") == []
    sync.start("push")
    assert sync.settled(2)[1] == ("DELETE", "SUCCESS")
    assert records(sync) == []
    sync.wait_for_polls()
    assert sync.query("select id from salesforce.account") == []
