"""Creates without a unique identifier whose answer is lost, where the mapping has them leave a trace."""

import json
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
    """Those that are removed by now, too."""
    return sync.org.query_all("select Id, Key__c, Record_Id__c from Pgforce_Receipt__c order by Record_Id__c")


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


def traces(sync):
    return sync.query("select is_resent, doubles from pgforce.trace", role="pgforce")


def age_traces(sync):
    """As if what was sent had been sent two days ago."""
    sync.query("update pgforce.trace set sent_at = sent_at - interval '2 days', looked_at = null", role="pgforce")


def live_receipts(sync):
    return sync.org.query("select Id from Pgforce_Receipt__c")


def restart_push(sync):
    """It tidies up at its start."""
    sync.roles["push"].stop()
    sync.start("push")


def test_receipts_are_removed_when_nothing_waits_for_them(receipting):
    sync = receipting
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    # One is lost and sent again: its first attempt may still come.
    sync.org.fault({"match": {"method": "POST", "path": COMPOSITE}, "drop": "before"})
    sync.query("insert into salesforce.account (name) values ('Lost')")
    sync.settled(2)
    restart_push(sync)
    eventually(lambda: traces(sync) == [(True, None)])
    assert len(live_receipts(sync)) == 1 and len(receipts(sync)) == 2
    age_traces(sync)
    restart_push(sync)
    eventually(lambda: traces(sync) == [])
    assert live_receipts(sync) == []
    assert len(accounts(sync)) == 2


def test_receipts_that_cannot_be_removed_hold_up_nothing(receipting):
    sync = receipting
    refused = [{"success": False, "errors": [{"statusCode": "INSUFFICIENT_ACCESS_OR_READONLY", "message": "no"}]}]
    sync.org.fault({"match": {"method": "DELETE", "path": COLLECTIONS}, "status": 200, "body": refused, "times": 9})
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    restart_push(sync)
    eventually(lambda: any("cannot tidy up after creates" in role.log_text() for role in sync.pgforce.started))
    sync.query("insert into salesforce.account (name) values ('Bolt')")
    sync.settled(2)
    sync.org.clear_faults()
    sync.query("update pgforce.trace set looked_at = null", role="pgforce")
    restart_push(sync)
    eventually(lambda: traces(sync) == [])
    assert live_receipts(sync) == []


def doubles_told(sync):
    told = json.loads(sync.pgforce.run("doctor", "--offline", "--json", expect=None).stdout)
    return [w["message"] for w in told["mappings"]["Account"]["warnings"] if w["rule_id"] == "SHOULD_HAVE_ONE_RECORD"]


def test_a_second_record_of_a_late_attempt_is_told_and_never_deleted(sync):
    sync.map(marked())
    sync.database.psql("create rule keep as on delete to pgforce.trace do instead nothing", role="postgres")
    sync.start("archive", "push")
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "before"})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    [record] = accounts(sync)
    # What was given up is done after all, before anybody has looked for it.
    late = sync.org.create("Account", Name="Acme", Site=record["Site"])
    sync.database.psql("drop rule keep on pgforce.trace", role="postgres")
    age_traces(sync)
    restart_push(sync)
    eventually(lambda: traces(sync) == [(True, sorted([record["Id"], late]))])
    [told] = doubles_told(sync)
    assert late in told and record["Id"] in told
    assert len(accounts(sync)) == 2 and bound(sync) == {record["Id"]}
    # An operator has put it in order.
    sync.org.remove("Account", late)
    age_traces(sync)
    restart_push(sync)
    eventually(lambda: traces(sync) == [])
    assert doubles_told(sync) == []


def test_of_two_records_with_its_marker_a_row_takes_one_and_the_other_is_told(sync):
    sync.map(marked())
    sync.start("archive", "push", env={"PGFORCE_DOUBT_QUARANTINE_S": "0"})
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "after", "times": 2})
    # The look after the first attempt comes too early to see it.
    nothing = {"totalSize": 0, "done": True, "records": []}
    sync.org.fault({"match": {"path": "/query"}, "status": 200, "body": nothing})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    found = {record["Id"] for record in accounts(sync)}
    assert len(found) == 2 and len(bound(sync) & found) == 1
    age_traces(sync)
    restart_push(sync)
    eventually(lambda: traces(sync) == [(True, sorted(found))])


MARKED = ["edit", "Account", "--lost-create", "marker"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "needs a marker_field"),
        (["--marker-field", "Nothing__c"], "does not exist"),
        (["--marker-field", "Description"], "no text of at least 32"),
        (["--marker-field", "Sic"], "no text of at least 32"),
        (["--marker-field", "Phone"], "is among the fields"),
        (["--marker-field", "No name"], "is no API name"),
    ],
)
def test_a_field_that_cannot_be_a_marker_is_refused_by_name(sync, options, words):
    sync.map(nameless_account())
    said = sync.pgforce.run("mapping", *MARKED, *options, expect=65).stderr
    assert words in said
    assert "lost_create" not in sync.pgforce.run("export").stdout


def test_receipts_are_wanted_only_where_the_organisation_can_hold_them(sync):
    sync.map(nameless_account())
    said = sync.pgforce.run("mapping", "edit", "Account", "--lost-create", "receipt", expect=65).stderr
    assert "Pgforce_Receipt__c, which is not there" in said and "docs/deploy/salesforce" in said
    add_receipts(sync)
    sync.pgforce.run("mapping", "edit", "Account", "--lost-create", "receipt")
    exported = json.loads(sync.pgforce.run("export").stdout)
    assert exported["mappings"][0]["config"]["lost_create"] == "receipt"
    assert rule(sync, "MUST_LEAVE_TRACES")[0] == "passes"
    # It loses them again.
    gone = "<type>CustomObject</type><fullNames>Pgforce_Receipt__c</fullNames>"
    assert "<success>true</success>" in soap(sync.org, f"<deleteMetadata>{gone}</deleteMetadata>")
    level, message = rule(sync, "MUST_LEAVE_TRACES")
    assert (level, "which is not there" in message) == ("errors", True)


def rule(sync, rule_id):
    """The doctor's word on it."""
    told = json.loads(sync.pgforce.run("doctor", "--json", expect=None).stdout)["mappings"]["Account"]
    [found] = [(level, item.get("message")) for level in told for item in told[level] if item["rule_id"] == rule_id]
    return found


def test_the_unique_identifier_that_is_shipped_protects_creates(sync):
    deploy(sync, "identifier", "Account")
    sync.map(mapping("Account", "Name", "Pgforce_Id__c", upsert="Pgforce_Id__c"))
    sync.query(
        "alter table salesforce.account alter column pgforce_id__c set default gen_random_uuid()::text", role="pgforce"
    )
    sync.start("archive", "push")
    sync.org.fault({"match": {"method": "POST", "path": COLLECTIONS}, "drop": "after"})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert {record["Id"] for record in accounts(sync)} == bound(sync)
    assert len(bound(sync)) == 1


def test_a_poll_takes_no_record_for_new_that_a_create_may_have_made(receipting):
    sync = receipting
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    sync.roles["pull"].stop()
    sync.org.fault({"match": {"method": "POST", "path": COMPOSITE}, "drop": "after"})
    # The look comes too early to see it, and the repetition has to wait.
    nothing = {"totalSize": 0, "done": True, "records": []}
    sync.org.fault({"match": {"path": "/query"}, "status": 200, "body": nothing})
    busy = [{"errorCode": "SERVER_UNAVAILABLE", "message": "Try later"}]
    wait = {"status": 503, "body": busy, "headers": {"Retry-After": "3600"}}
    sync.org.fault({"match": {"method": "POST", "path": COMPOSITE}, **wait})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    waits = "select state, retry_at > now() + interval '1 minute' from pgforce.delivery"
    eventually(lambda: sync.query(waits, role="pgforce") == [("RETRY", True)])
    sync.start("pull")
    sync.wait_for_polls()
    assert sync.query("select name, sfid from salesforce.account") == [("Acme", None)]
    sync.query("update pgforce.delivery set retry_at = now()", role="pgforce")
    restart_push(sync)
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    [record] = accounts(sync)
    sync.wait_for_polls()
    assert sync.query("select name, sfid from salesforce.account") == [("Acme", record["Id"])]


def late(sync):
    """The first attempt of a create that was given up, done now."""
    [(key,)] = sync.query("select trace from pgforce.trace where is_resent", role="pgforce")
    receipt = {"attributes": {"type": "Pgforce_Receipt__c"}, "Key__c": key, "Record_Id__c": "@{r0.id}"}
    base = f"/services/data/v{sync.org.version}"
    steps = [
        {"method": "POST", "url": f"{base}/sobjects/Account", "referenceId": "r0", "body": {"Name": "Acme"}},
        {"method": "POST", "url": f"{base}/composite/sobjects", "referenceId": "r1",
         "body": {"allOrNone": True, "records": [receipt]}},
    ]  # fmt: skip
    return sync.org.post("composite", {"allOrNone": True, "compositeRequest": steps}).json["compositeResponse"]


def test_a_first_attempt_that_is_done_after_its_repetition_is_undone(receipting):
    sync = receipting
    sync.start("archive", "push")
    sync.org.fault({"match": {"method": "POST", "path": COMPOSITE}, "drop": "before"})
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    done = late(sync)
    assert done[0]["httpStatusCode"] == 400
    assert done[1]["body"][0]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
    assert {record["Id"] for record in accounts(sync)} == bound(sync)
    assert len(bound(sync)) == 1
