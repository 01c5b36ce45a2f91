"""Creates without a unique identifier whose answer is lost, where the mapping has them leave a trace."""

import re
from pathlib import Path

import pytest

from eventually import eventually
from sandbox import BUILD
from sync import mapping, nameless_account
from test_sandbox_metadata import soap

COLLECTIONS = "/composite/sobjects"
COMPOSITE = "/composite"
# Hits of a failpoint that are tried.
HITS = 3
SHIPPED = Path(__file__).resolve().parents[2] / "docs" / "deploy" / "salesforce"


def deploy(sync, package, object_name):
    """What is shipped for the organisation's administrator, through the Metadata API."""
    text = (SHIPPED / package / "objects" / f"{object_name}.object").read_text()
    kind, inner = re.search("<(Custom[A-Za-z]+) [^>]*>(.*)</Custom", text, re.DOTALL).groups()
    name = object_name
    if object_name == "Account":
        kind, inner = "CustomField", re.search("<fields>(.*)</fields>", inner, re.DOTALL)[1]
        inner = inner.replace("<fullName>", "<fullName>Account.")
        name = ""
    said = soap(
        sync.org,
        f'<createMetadata><metadata xsi:type="{kind}">{name and f"<fullName>{name}</fullName>"}{inner}'
        "</metadata></createMetadata>",
    )
    assert "<success>true</success>" in said, said


def add_receipts(sync):
    deploy(sync, "receipt", "Pgforce_Receipt__c")


def marked(**options):
    return nameless_account(lost_create="marker", marker_field="Site", **options)


def accounts(sync):
    return sync.org.query("select Id, Name, Site from Account order by Name")


def bound(sync):
    return {sfid for (sfid,) in sync.query("select sfid from salesforce.account")}


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_create_is_found_by_its_marker(sync, drop):
    sync.map(marked())
    sync.start("archive", "push")
    # By content it could be this one.
    sync.org.create("Account", Name="Acme", Phone="1")
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": drop})
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1'), ('Acme', '1')")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    markers = {record["Id"]: record["Site"] for record in accounts(sync)}
    assert len(markers) == 3
    ours = {sfid for sfid, marker in markers.items() if marker is not None}
    assert bound(sync) == ours
    assert len({markers[sfid] for sfid in ours}) == 2


def receipted(**options):
    return nameless_account(lost_create="receipt", **options)


def receipts(sync):
    return sync.org.query("select Id, Key__c, Record_Id__c from Pgforce_Receipt__c order by Record_Id__c")


@pytest.fixture
def receipting(sync):
    """Accounts without a unique identifier, whose creates leave receipts."""
    add_receipts(sync)
    sync.map(receipted())
    return sync


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_create_is_made_once_by_its_receipt_and_nothing_is_waited_for(receipting, drop):
    sync = receipting
    sync.start("archive", "push", env={"PGFORCE_DOUBT_QUARANTINE_S": "3600"})
    sync.org.create("Account", Name="Acme", Phone="1")
    sync.org.fault({"match": {"method": "POST", "path": COMPOSITE}, "drop": drop})
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1'), ('Acme', '1')")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    assert len(accounts(sync)) == 3
    assert bound(sync) == {receipt["Record_Id__c"] for receipt in receipts(sync)}
    assert len(bound(sync)) == 2


def test_a_create_that_was_done_after_it_was_looked_for_is_undone_when_it_is_repeated(receipting):
    sync = receipting
    sync.start("archive", "push")
    sync.org.fault({"match": {"method": "POST", "path": COMPOSITE}, "drop": "after"})
    # The look comes too early to see it.
    nothing = {"totalSize": 0, "done": True, "records": []}
    sync.org.fault({"match": {"path": "/query"}, "status": 200, "body": nothing})
    sync.query("insert into salesforce.account (name) values ('Acme'), ('Bolt')")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    assert [entry["dropped"] for entry in sync.requests("POST", COMPOSITE)] == [True, False]
    assert {record["Id"] for record in accounts(sync)} == bound(sync)
    assert len(accounts(sync)) == len(receipts(sync)) == 2


def test_a_refused_record_keeps_no_other_back(receipting):
    sync = receipting
    sync.start("archive")
    sync.query(
        "insert into salesforce.account (name, annualrevenue)"
        " select 'A' || lpad(i::text, 2, '0'), case when i in (3, 7) then -1 else i end"
        " from generate_series(1, 20) i"
    )
    sync.logged(20)
    sync.start("push")
    entries = sync.settled(20, "state, coalesce(sf_message, '')")
    assert [i for i, (state, _) in enumerate(entries, 1) if state != "SUCCESS"] == [3, 7]
    assert "Annual revenue cannot be negative" in entries[2][1]
    assert len(accounts(sync)) == len(receipts(sync)) == 18
    # All at once, and again without those two.
    assert len(sync.requests("POST", COMPOSITE)) == 2


def test_a_step_that_is_refused_as_one_is_halved_until_each_goes_alone(receipting):
    """As of an organisation that would not know a reference into a collection."""
    sync = receipting
    sync.start("archive")
    sync.query("insert into salesforce.account (name) select 'A' || i from generate_series(1, 5) i")
    sync.logged(5)
    halted = [{"errorCode": "PROCESSING_HALTED", "message": "The transaction was rolled back"}]
    unknown = [{"errorCode": "INVALID_REFERENCE", "message": "Invalid reference specified: r0[0].id"}]
    steps = [
        {"body": body, "httpHeaders": {}, "httpStatusCode": 400, "referenceId": name}
        for name, body in (("r0", halted), ("r1", unknown))
    ]
    # Five, then three groups of two, two and one: the last of them is taken.
    sync.org.fault({"match": {"method": "POST", "path": COMPOSITE}, "status": 200, "body": {"compositeResponse": steps}})
    sync.start("push")
    assert sync.settled(5) == [("INSERT", "SUCCESS")] * 5
    assert len(accounts(sync)) == len(receipts(sync)) == 5
    assert len(sync.requests("POST", COMPOSITE)) == 2


def test_a_record_that_a_unique_field_of_another_refuses_fails(receipting):
    """The unique field is not the mapping's identifier."""
    sync = receipting
    sync.map(mapping("Account", "Name", "External_Id__c", lost_create="receipt"))
    sync.org.create("Account", Name="Other", External_Id__c="E-1")
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'E-1')")
    [(state, message)] = sync.settled(1, "state, sf_message")
    assert (state, message.split(":")[0]) == ("FAILED", "DUPLICATE_VALUE")
    assert (bound(sync), receipts(sync)) == ({None}, [])


def test_whose_receipts_may_not_be_made_is_told_so(receipting):
    sync = receipting
    sync.start("archive", "push")
    refused = [{"errorCode": "INSUFFICIENT_ACCESS_OR_READONLY", "message": "entity type cannot be inserted: Receipt"}]
    halted = [{"errorCode": "PROCESSING_HALTED", "message": "The transaction was rolled back"}]
    steps = [
        {"body": body, "httpHeaders": {}, "httpStatusCode": 400, "referenceId": name}
        for name, body in (("r0", halted), ("r1", refused))
    ]
    sync.org.fault({"match": {"method": "POST", "path": COMPOSITE}, "status": 200, "body": {"compositeResponse": steps}})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    [(state, message)] = sync.settled(1, "state, sf_message")
    assert (state, "entity type cannot be inserted: Receipt" in message) == ("FAILED", True)
    assert accounts(sync) == []


@pytest.mark.parametrize("point", ["commit_before", "commit_after", "request_before", "request_after"])
@pytest.mark.parametrize("chosen", ["receipt", "marker"])
def test_a_push_that_dies_anywhere_makes_each_record_once(sync, chosen, point):
    if chosen == "receipt":
        add_receipts(sync)
    sync.map(receipted() if chosen == "receipt" else marked())
    sync.start("archive")
    sync.pgforce.binary = BUILD / "bin" / "pgforce-failpoints"
    for hit in range(1, HITS + 1):
        sync.query("insert into salesforce.account (name) values ('Acme'), ('Acme')")
        sync.logged(2 * hit)
        victim = sync.start("push", env={"FAILPOINT": f"{point}:{hit}"})
        eventually(lambda victim=victim: not victim.is_running() or all_done(sync))
        if not victim.is_running():
            assert victim.wait() == -9, victim.log_text()
            sync.start("push")
        assert sync.settled(2 * hit) == [("INSERT", "SUCCESS")] * (2 * hit)
        sync.roles["push"].stop()
    assert {record["Id"] for record in accounts(sync)} == bound(sync)
    assert len(accounts(sync)) == 2 * HITS
    assert any(child.wait() == -9 for child in sync.pgforce.started if not child.is_running())


def all_done(sync):
    return sync.value("select count(*) from salesforce._trigger_log where state in ('NEW', 'PENDING')") == 0
