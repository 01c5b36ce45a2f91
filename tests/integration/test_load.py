"""The first load of large objects, by the Bulk API: whole, resumed where it was, and not in the way."""

import json
import re

import pytest
from eventually import eventually
from sync import account, contact, mapping, nameless_account


@pytest.fixture
def bulk(sync):
    """Whatever has more than a hundred records is read by Bulk, a thousand a page."""
    sync.pgforce.env["PGFORCE_BULK_READ_ABOVE"] = "100"
    sync.org.post("/_sandbox/bulk", {"page_rows": 1000})
    return sync


def count(sync, condition="true", table="account"):
    return sync.value(f"select count(*) from salesforce.{table} where {condition}")


def pages(sync):
    return sync.requests("GET", "/results")


def nothing_to_read_again(sync):
    """Polls read the last minutes again: what is there by now is older."""
    sync.org.advance(3600)


def assert_equal(sync, columns=("Id", "Name", "Phone", "Industry", "AnnualRevenue", "External_Id__c")):
    """Our rows are theirs, each once, as the sandbox tells them by REST."""
    theirs = sync.org.query(f"select {', '.join(columns)} from Account")
    names = ["sfid" if column == "Id" else column.lower() for column in columns]
    ours = sync.query(f"select {', '.join(names)} from salesforce.account")
    assert len(ours) == len(theirs)
    assert sorted(map(str, ours)) == sorted(
        str(tuple(record[column] for column in columns)) for record in theirs
    )


def progress(sync):
    return sync.query("select rows_done, rows_total from pgforce.load", role="pgforce")


def test_a_large_object_is_loaded_by_bulk_and_gets_its_indexes_afterwards(bulk):
    bulk.org.load("Account", 5500)
    gone = bulk.org.create("Account", Name="Gone")
    bulk.org.remove("Account", gone)
    bulk.org.create("Account", Name='one "two",\r\nthree\n漢字 🚀 \\N', Phone="\\")
    nothing_to_read_again(bulk)
    bulk.load(account())
    assert_equal(bulk)
    assert len(pages(bulk)) == 6
    eventually(lambda: bulk.requests("DELETE", "/jobs/query"))
    assert count(bulk, "_hc_lastop is not null") == 0
    indexes = bulk.query(
        "select indexname from pg_indexes where schemaname = 'salesforce' and tablename = 'account'"
    )
    assert {name for (name,) in indexes} == {
        *("account_pkey", "hcu_idx_account_sfid", "hc_idx_account_systemmodstamp"),
        "hcu_idx_account_external_id__c",
    }
    assert progress(bulk) == []
    # Nothing of it is sent back, and what comes afterwards is not missed.
    before = bulk.log_is_quiet_after("insert into salesforce.account (name) values ('local')")
    assert before == 0
    bulk.org.create("Account", Name="Later")
    eventually(lambda: count(bulk, "name = 'Later'") == 1)


def test_pages_of_wide_rows_have_fewer_of_them(sync):
    """The first page tells how wide they are: 64 MB of these are some 32,000."""
    sync.pgforce.env["PGFORCE_BULK_READ_ABOVE"] = "100"
    sync.org.insert("Account", *[{"Name": f"Wide {n}", "Description": "x" * 2000} for n in range(2100)])
    nothing_to_read_again(sync)
    sync.load(mapping("Account", "Name", "Description"))
    assert count(sync, "length(description) = 2000") == 2100
    asked = [int(re.search(r"maxRecords\W+(\d+)", str(entry)).group(1)) for entry in pages(sync)]
    assert asked[0] == 2000
    assert [30_000 < rows < 33_000 for rows in asked[1:]] == [True], asked


def test_rows_appear_as_they_arrive_and_the_progress_is_stored(bulk):
    bulk.org.load("Account", 3500)
    bulk.map(account())
    bulk.org.fault({"match": {"path": "/results"}, "skip": 2, "delay_ms": 60000})
    bulk.start("pull")
    eventually(lambda: count(bulk) == 2000)
    assert progress(bulk) == [(2000, 3500)]
    assert bulk.mapping_states() == {"RELOAD_TABLE"}
    for verb in (["status"], ["mapping", "show", "Account"]):
        assert "Account is being loaded: 2000 of 3500 rows" in bulk.pgforce.run(*verb).stdout
    loads = json.loads(bulk.pgforce.run("status", "--json").stdout)["loads"]
    shown = json.loads(bulk.pgforce.run("mapping", "show", "Account", "--json").stdout)["load"]
    assert loads["Account"] == shown
    assert (shown["rows_done"], shown["rows_total"]) == (2000, 3500)
    assert shown["remaining_s"] == (1500 // shown["rows_per_second"] if shown["rows_per_second"] else None)


def test_a_killed_load_goes_on_with_the_next_page_and_loads_none_twice(bulk):
    bulk.org.load("Account", 5500)
    nothing_to_read_again(bulk)
    bulk.map(account())
    bulk.org.fault({"match": {"path": "/results"}, "skip": 2, "delay_ms": 60000})
    pull = bulk.start("pull")
    eventually(lambda: count(bulk) == 2000)
    pull.kill()
    before = set(bulk.query("select sfid, xmin::text, ctid::text from salesforce.account"))
    bulk.org.clear_faults()
    bulk.org.journal(clear=True)
    bulk.start("archive", "pull")
    bulk.wait_until_loaded()
    assert before < set(bulk.query("select sfid, xmin::text, ctid::text from salesforce.account"))
    assert_equal(bulk)
    assert len(pages(bulk)) == 4
    assert not bulk.requests("POST", "/jobs/query")


def test_a_page_that_is_shorter_than_announced_is_refused_and_read_again(bulk):
    bulk.org.load("Account", 2500)
    body = '"Id","Name"\n'
    bulk.org.fault(
        {
            "match": {"path": "/results"},
            "status": 200,
            "body": body,
            "content_type": "text/csv",
            "headers": {"Sforce-NumberOfRecords": "1000", "Sforce-Locator": "null"},
        }
    )
    bulk.load(account())
    assert_equal(bulk)


def test_a_page_that_breaks_off_is_read_again(bulk):
    bulk.org.load("Account", 2500)
    bulk.org.fault({"match": {"path": "/results"}, "skip": 1, "drop": "after"})
    bulk.load(account())
    assert_equal(bulk)
    assert not bulk.query("select sfid from salesforce.account group by sfid having count(*) > 1")


def test_a_token_that_ends_during_the_load_is_renewed(bulk):
    bulk.org.load("Account", 4500)
    bulk.map(account())
    bulk.org.fault({"match": {"path": "/results"}, "delay_ms": 1500})
    bulk.start("archive", "pull")
    eventually(lambda: bulk.requests("POST", "/jobs/query"))
    bulk.org.expire_sessions()
    bulk.wait_until_loaded()
    assert_equal(bulk)


def test_a_job_that_fails_or_is_forgotten_is_begun_anew_and_no_row_is_there_twice(bulk):
    bulk.org.load("Account", 3500)
    bulk.map(account())
    bulk.org.fault({"match": {"path": "/results"}, "skip": 1, "delay_ms": 60000})
    pull = bulk.start("pull")
    eventually(lambda: count(bulk) == 1000)
    pull.kill()
    bulk.org.clear_faults()
    job = bulk.value("select job_id from pgforce.load", role="pgforce")
    bulk.org.delete(f"jobs/query/{job}")
    bulk.start("archive", "pull")
    bulk.wait_until_loaded()
    assert_equal(bulk)


def test_rows_inserted_here_and_sent_while_the_load_runs_are_there_once(bulk):
    bulk.org.load("Account", 1500)
    bulk.map(account())
    bulk.org.fault({"match": {"method": "POST", "path": "/jobs/query"}, "delay_ms": 3000})
    bulk.start("archive", "push", "pull")
    eventually(lambda: bulk.requests("GET", "/query"))
    bulk.query(
        "insert into salesforce.account (name, external_id__c)"
        " select 'Ours', 'ours-' || n from generate_series(1, 20) n"
    )
    bulk.settled(20)
    bulk.wait_until_loaded()
    bulk.wait_for_polls(2)
    assert count(bulk, "name = 'Ours'") == 20
    assert count(bulk, "name = 'Ours' and _hc_lastop is not null") == 20
    assert_equal(bulk)


def test_a_row_whose_own_insert_is_in_doubt_when_the_load_ends_is_there_once(bulk):
    """Nothing but its content tells its record from the others, and the load has brought that too."""
    bulk.org.load("Account", 1500)
    bulk.map(nameless_account())
    # The job does not begin; what is made meanwhile is in its result.
    bulk.org.post("/_sandbox/bulk", {"stuck": True, "page_rows": 1000})
    bulk.org.fault({"match": {"method": "POST", "path": "/composite/sobjects"}, "delay_ms": 60000})
    bulk.start("archive", "push", "pull")
    eventually(lambda: bulk.requests("POST", "/jobs/query"))
    bulk.query("insert into salesforce.account (name) values ('Ours')")
    eventually(lambda: len(bulk.org.rows("Account")) == 1501)
    # Done there, and never answered.
    bulk.roles["push"].kill()
    bulk.org.post("/_sandbox/bulk", {"stuck": False, "page_rows": 1000})
    eventually(lambda: "the load ends when an INSERT" in bulk.roles["pull"].log_text())
    assert count(bulk, "name = 'Ours'") == 2
    bulk.org.clear_faults()
    bulk.start("push")
    bulk.wait_until_loaded()
    assert bulk.settled(1) == [("INSERT", "SUCCESS")]
    [record] = bulk.org.query("select Id from Account where Name = 'Ours'")
    assert bulk.query("select sfid from salesforce.account where name = 'Ours'") == [(record["Id"],)]
    assert count(bulk) == 1501


def test_others_are_polled_while_a_load_runs(bulk):
    bulk.org.load("Account", 2500)
    bulk.load(contact())
    bulk.org.post("/_sandbox/bulk", {"stuck": True, "page_rows": 1000})
    bulk.map(account(), contact())
    eventually(lambda: bulk.requests("POST", "/jobs/query"))
    bulk.org.create("Contact", LastName="Coyote")
    eventually(lambda: count(bulk, table="contact") == 1)
    assert "RELOAD_TABLE" in bulk.mapping_states()
    bulk.org.post("/_sandbox/bulk", {"stuck": False, "page_rows": 1000})
    bulk.wait_until_loaded()
    assert_equal(bulk)


def test_what_bulk_does_not_take_is_loaded_by_rest(bulk):
    bulk.org.load("Account", 2500)
    refusal = {"errorCode": "INVALIDENTITY", "message": "Entity 'Account' is not supported by the Bulk API."}
    bulk.org.fault(
        {"match": {"method": "POST", "path": "/jobs/query"}, "status": 400, "body": [refusal]}
    )
    nothing_to_read_again(bulk)
    bulk.load(account())
    assert_equal(bulk)
    assert not pages(bulk)


def test_a_row_that_a_users_constraint_refuses_leaves_the_others_alone_and_is_tried_again(bulk):
    bulk.org.load("Account", 1500)
    bulk.org.create("Account", Name="Refused")
    bulk.map(account())
    bulk.query("alter table salesforce.account add constraint no check (name <> 'Refused')", role="pgforce")
    bulk.start("archive", "pull")
    bulk.wait_until_loaded(60)
    assert count(bulk) == 1500
    found = bulk.query("select reason from pgforce.refused_record", role="pgforce")
    assert len(found) == 1 and "violates check constraint" in found[0][0]
    bulk.query("alter table salesforce.account drop constraint no", role="pgforce")
    bulk.query("update pgforce.refused_record set retry_at = now()", role="pgforce")
    eventually(lambda: count(bulk, "name = 'Refused'") == 1)
    eventually(lambda: bulk.query("select sfid from pgforce.refused_record", role="pgforce") == [])


def test_many_changes_at_once_are_polled_by_bulk(bulk):
    bulk.load(account())
    bulk.org.load("Account", 3000)
    eventually(lambda: count(bulk) == 3000)
    assert bulk.requests("POST", "/jobs/query")
    assert count(bulk, "_hc_lastop = 'SYNCED'") == 3000
    assert_equal(bulk)


# Pages of a poll by Bulk, two of them on their way at once.


@pytest.fixture
def paged(sync):
    """Three accounts that are loaded; each poll reads them again by Bulk, a record a page, in the order of their
    making. The first page has nothing that is to be written: from the second on there are two on their way."""
    sync.pgforce.env["PGFORCE_BULK_READ_ABOVE"] = "1"
    sync.org.post("/_sandbox/bulk", {"page_rows": 1})
    sync.org.remove("Account", sync.org.create("Account", Name="Gone"))
    sync.ids = [sync.org.create("Account", Name=n, Phone="1", External_Id__c=n) for n in "ABC"]
    sync.load(account())
    return sync


def rows(sync, columns):
    return sync.query(f"select {columns} from salesforce.account order by name")


def test_local_changes_that_the_log_does_not_have_yet_are_overwritten_by_none_of_two_pages(paged):
    paged.roles["push"].stop()
    paged.roles["archive"].stop()
    paged.query("update salesforce.account set phone = 'ours' where name <> 'C'")
    for each in paged.ids:
        paged.org.update("Account", each, Industry="Banking")
    holding = """select count(*) from pg_stat_activity where application_name in ('pgforce pull', 'pgforce load')
        and backend_xid is not null and state = 'idle in transaction'"""
    eventually(lambda: paged.query(holding, role="postgres") == [(2,)])
    paged.start("archive")
    merged = [("ours", "Banking"), ("ours", "Banking"), ("1", "Banking")]
    eventually(lambda: rows(paged, "phone, industry") == merged)
    paged.start("push")
    assert paged.settled(2) == [("UPDATE", "SUCCESS")] * 2
    theirs = [paged.org.retrieve("Account", each) for each in paged.ids]
    assert [(found["Phone"], found["Industry"]) for found in theirs] == merged


def test_pages_that_wait_for_each_other_are_read_again_one_by_one(paged):
    """B has a change of its own and so is judged by itself; it gets the key that C, of the next page, had."""
    paged.roles["push"].stop()
    paged.query("update salesforce.account set phone = 'ours' where name = 'B'")
    paged.logged(1)
    paged.roles["pull"].stop()
    paged.org.update("Account", paged.ids[2], External_Id__c="X")
    paged.org.update("Account", paged.ids[1], External_Id__c="C")
    paged.start("pull")
    eventually(lambda: "lock timeout" in paged.roles["pull"].log_text())

    def are_equal():
        # Alone, the key is still taken when B comes: refused, and read again later.
        paged.query("update pgforce.refused_record set retry_at = now()", role="pgforce")
        return rows(paged, "phone, external_id__c") == [("1", "A"), ("ours", "C"), ("1", "X")]

    eventually(are_equal)
    paged.start("push")
    assert paged.settled(1) == [("UPDATE", "SUCCESS")]
    assert paged.org.retrieve("Account", paged.ids[1])["Phone"] == "ours"
