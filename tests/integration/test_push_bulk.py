"""Long runs of one action on one object go by Bulk API 2.0 jobs."""

import pytest

from eventually import eventually
from sync import account, contact, mapping, nameless_account

JOBS = "/jobs/ingest"
COLLECTIONS = "/composite/sobjects"
FEW = {"PGFORCE_BULK_THRESHOLD": "5"}
ROWS = 12
INSERT = (
    "insert into salesforce.account (name, phone, external_id__c)"
    f" select 'Account ' || n, n, 'A-' || n from generate_series(1, {ROWS}) n"
)


@pytest.fixture
def bulky(sync):
    """Accounts; five changes of a kind are a job."""
    sync.map(account())
    sync.start("archive", "push", env=FEW)
    return sync


def switch(sync, **switches):
    answer = sync.org.post("/_sandbox/bulk", switches)
    assert answer.status == 200, answer.body


def jobs(sync):
    """The jobs that were made."""
    return [entry for entry in sync.requests("POST", JOBS) if entry["path"].endswith(JOBS)]


def is_whole(sync):
    """Every row has its own record, and there is no other."""
    found = {record["External_Id__c"]: record["Id"] for record in
             sync.org.query("select Id, External_Id__c from Account")}
    rows = dict(sync.query("select external_id__c, sfid from salesforce.account"))
    assert len(sync.org.query("select Id from Account")) == len(rows)
    return found == rows


def test_a_long_run_of_inserts_is_one_job(bulky):
    sync = bulky
    sync.query(INSERT)
    assert sync.settled(ROWS) == [("INSERT", "SUCCESS")] * ROWS
    assert is_whole(sync)
    assert len(jobs(sync)) == 1
    assert sync.requests("POST", COLLECTIONS) == []
    assert sync.query("select distinct _hc_lastop from salesforce.account") == [("INSERTED",)]
    eventually(lambda: sync.value("select count(*) from pgforce.bulk_job", role="pgforce") == 0)
    assert sync.value("select count(*) from pgforce.delivery", role="pgforce") == 0


def test_a_short_run_goes_by_requests(bulky):
    sync = bulky
    sync.query(INSERT + " limit 4")
    sync.settled(4)
    assert jobs(sync) == []
    assert is_whole(sync)


def test_records_without_a_unique_identifier_go_by_requests(sync):
    sync.map(nameless_account())
    sync.start("archive", "push", env=FEW)
    sync.query("insert into salesforce.account (name) select n from generate_series(1, 12) n")
    sync.settled(ROWS)
    assert jobs(sync) == []


def test_a_row_without_its_unique_identifier_sends_the_run_by_requests(bulky):
    sync = bulky
    sync.query(INSERT + "; insert into salesforce.account (name) values ('No key')")
    assert set(sync.settled(ROWS + 1, "state")) == {("SUCCESS",)}
    assert jobs(sync) == []


@pytest.mark.parametrize("features", [{"disable_bulk_writes": True}, {"poll_db_no_merge": False}])
def test_flags_that_forbid_jobs_are_respected(sync, features):
    sync.map(account(), **features)
    sync.start("archive", "push", env=FEW)
    sync.query(INSERT)
    assert set(sync.settled(ROWS, "state")) == {("SUCCESS",)}
    assert jobs(sync) == []


def test_every_type_arrives_by_a_job_too(sync):
    fields = ("Amount__c", "Tax_Rate__c", "Quantity__c", "Status__c", "Tags__c", "Due_Date__c",
              "Paid_At__c", "Is_Paid__c", "Pick_Up__c", "Contact_Email__c", "Notes__c")
    sync.map(mapping("Invoice__c", *fields, "External_Id__c", upsert="External_Id__c"))
    sync.start("archive", "push", env={"PGFORCE_BULK_THRESHOLD": "2"})
    sync.query(
        r"""insert into salesforce.invoice__c (amount__c, tax_rate__c, quantity__c, status__c, tags__c,
                due_date__c, paid_at__c, is_paid__c, pick_up__c, contact_email__c, notes__c,
                external_id__c)
            values (1234.56, 19, 3, 'Sent', 'Urgent;Export', '2026-02-28', '2026-03-01 12:34:56.789',
                true, '23:59:59', 'a@b.example', E'one, "two" \\ three\r\n漢字 🚀 ', 'I-1'),
                (null, null, null, null, '', null, null, false, null, null, '', 'I-2')"""
    )
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    assert len(jobs(sync)) == 1
    found = sync.org.retrieve(
        "Invoice__c", sync.value("select sfid from salesforce.invoice__c where external_id__c = 'I-1'")
    )
    expected = {
        "Amount__c": 1234.56,
        "Tax_Rate__c": 19,
        "Quantity__c": 3,
        "Status__c": "Sent",
        "Tags__c": "Urgent;Export",
        "Due_Date__c": "2026-02-28",
        "Paid_At__c": "2026-03-01T12:34:56.000+0000",
        "Is_Paid__c": True,
        "Pick_Up__c": "23:59:59.000Z",
        "Contact_Email__c": "a@b.example",
        "External_Id__c": "I-1",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["Notes__c"].split() == ["one,", '"two"', "\\", "three", "漢字", "🚀"]


def test_each_refused_row_of_a_job_says_why(bulky):
    sync = bulky
    sync.query(
        "insert into salesforce.account (name, annualrevenue, external_id__c)"
        " select n, case when n % 3 = 0 then -5 else n end, 'A-' || n from generate_series(1, 12) n"
    )
    entries = sync.settled(ROWS, "record_id % 3 = 0, state, sf_message")
    refusal = "FIELD_CUSTOM_VALIDATION_EXCEPTION: Annual revenue cannot be negative"
    assert set(entries) == {(False, "SUCCESS", None), (True, "FAILED", refusal)}
    assert len(jobs(sync)) == 1


def test_children_of_one_job_find_their_parents(sync):
    sync.map(account(), contact())
    sync.start("archive", "push", env=FEW)
    sync.query(
        INSERT + ";insert into salesforce.contact (lastname, external_id__c, account__external_id__c)"
        " select n, 'C-' || n, 'A-' || n from generate_series(1, 12) n"
    )
    assert set(sync.settled(2 * ROWS, "state")) == {("SUCCESS",)}
    found = sync.org.query("select External_Id__c, Account.External_Id__c from Contact")
    assert len(found) == ROWS
    for record in found:
        assert record["Account"]["External_Id__c"] == record["External_Id__c"].replace("C", "A")
    assert len(jobs(sync)) == 2


# Jobs that take their time, break, or are lost.


def test_others_go_on_while_a_job_works(bulky):
    sync = bulky
    switch(sync, stuck=True)
    sync.query(INSERT)
    eventually(lambda: len(jobs(sync)) == 1)
    sync.query("insert into salesforce.account (name, external_id__c) values ('Fine', 'F')")
    eventually(lambda: sync.entries("state", "state = 'SUCCESS'") == [("SUCCESS",)])
    assert set(sync.entries("state", f"id <= {ROWS}")) == {("PENDING",)}
    sync.query("update salesforce.account set phone = 'new' where external_id__c = 'A-1'")
    switch(sync, stuck=False)
    assert set(sync.settled(ROWS + 2, "state")) == {("SUCCESS",)}
    assert sync.org.query("select Phone from Account where External_Id__c = 'A-1'")[0]["Phone"] == "new"


def test_a_crash_resumes_the_job_and_does_not_repeat_it(bulky):
    sync = bulky
    switch(sync, stuck=True)
    sync.query(INSERT)
    eventually(lambda: len(sync.requests("PATCH", JOBS)) == 1)
    sync.roles["push"].kill()
    switch(sync, stuck=False)
    sync.start("push", env=FEW)
    assert set(sync.settled(ROWS, "state")) == {("SUCCESS",)}
    assert len(jobs(sync)) == 1
    assert is_whole(sync)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_answer_of_any_step_doubles_nothing(bulky, method, drop):
    sync = bulky
    sync.org.fault({"match": {"method": method, "path": JOBS}, "drop": drop})
    sync.query(INSERT)
    assert set(sync.settled(ROWS, "state")) == {("SUCCESS",)}
    assert is_whole(sync)


def test_rows_that_a_broken_job_left_are_sent_again(bulky):
    sync = bulky
    switch(sync, fail_after=5)
    sync.query(INSERT)
    assert set(sync.settled(ROWS, "state")) == {("SUCCESS",)}
    assert is_whole(sync)


def test_results_in_any_order_find_their_rows(bulky):
    sync = bulky
    switch(sync, shuffle=True)
    sync.query(INSERT)
    sync.settled(ROWS)
    assert is_whole(sync)


def test_an_object_that_bulk_refuses_goes_by_requests(bulky):
    sync = bulky
    refusal = [{"errorCode": "INVALIDENTITY", "message": "not supported by the Bulk API"}]
    sync.org.fault({"match": {"method": "POST", "path": JOBS}, "status": 400, "body": refusal})
    sync.query(INSERT)
    assert set(sync.settled(ROWS, "state")) == {("SUCCESS",)}
    assert len(sync.requests("POST", COLLECTIONS)) == 1
    assert is_whole(sync)


def test_a_job_that_salesforce_has_forgotten_is_read_back(bulky):
    sync = bulky
    sync.org.fault({"match": {"method": "GET", "path": JOBS}, "status": 404,
                    "body": [{"errorCode": "NOT_FOUND", "message": "gone"}]})
    sync.query(INSERT)
    assert set(sync.settled(ROWS, "state")) == {("SUCCESS",)}
    assert is_whole(sync)


# Updates and deletes: a job cannot look before it writes.


@pytest.mark.parametrize("policy", ["postgres", "last-writer"])
def test_updates_and_deletes_go_by_jobs_only_where_postgresql_wins(sync, policy):
    sync.map(account(conflict_policy=policy))
    sync.start("archive", "push", env=FEW)
    sync.query(INSERT)
    sync.settled(ROWS)
    sync.query("update salesforce.account set phone = null, industry = 'Energy'")
    assert set(sync.settled(2 * ROWS, "state")) == {("SUCCESS",)}
    found = sync.org.query("select Phone, Industry, Name from Account")
    assert {(record["Phone"], record["Industry"]) for record in found} == {(None, "Energy")}
    sync.query("delete from salesforce.account")
    assert set(sync.settled(3 * ROWS, "state")) == {("SUCCESS",)}
    assert sync.org.query("select Id from Account") == []
    assert len(jobs(sync)) == (3 if policy == "postgres" else 1)
