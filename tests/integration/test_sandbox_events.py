"""The sandbox organisation's events, seen as a CometD client sees them."""

import http.client
import itertools
import json
import re
import threading
from pathlib import Path

import pytest

from eventually import eventually
from sandbox import TOKEN, Sandbox

VERSION = "60.0"
CHANGES = "/data/ChangeEvents"
ACCOUNTS = "/data/AccountChangeEvent"
HELD_MS = 110000
ROOT = Path(__file__).resolve().parents[2]


class Listener:
    """One CometD client: long polling by plain HTTP, one connection per request."""

    def __init__(self, sandbox, token=TOKEN):
        self.port = int(sandbox.url.rsplit(":", 1)[1])
        self.token = token
        self.ids = itertools.count(1)
        self.client_id = None

    def post(self, *messages, path=f"/cometd/{VERSION}"):
        """The messages that come back."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"OAuth {self.token}", "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(messages), headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 200, (answer.status, body)
        return json.loads(body)

    def message(self, channel, **members):
        message = {"channel": channel, "id": str(next(self.ids)), **members}
        if self.client_id is not None:
            message.setdefault("clientId", self.client_id)
        return message

    def handshake(self):
        (reply,) = self.post(
            self.message(
                "/meta/handshake",
                version="1.0",
                minimumVersion="1.0",
                supportedConnectionTypes=["long-polling"],
                ext={"replay": True},
            )
        )
        self.client_id = reply.get("clientId")
        return reply

    def subscription(self, channel, replay=-1):
        return self.message(
            "/meta/subscribe", subscription=channel, ext={"replay": {channel: replay}}
        )

    def subscribe(self, channel, replay=-1):
        (reply,) = self.post(self.subscription(channel, replay))
        return reply

    def connection(self, timeout_ms=None):
        advice = {} if timeout_ms is None else {"advice": {"timeout": timeout_ms}}
        return self.message("/meta/connect", connectionType="long-polling", **advice)

    def connect(self, timeout_ms=0):
        """The events that have come, after checking that the connect is well."""
        *events, reply = self.post(self.connection(timeout_ms))
        assert reply["successful"], reply
        assert reply["channel"] == "/meta/connect"
        return events

    def changes(self):
        return [event["data"]["payload"] for event in self.connect()]

    def wait(self):
        """Begins a connect that is held; its events come from .result()."""
        return Held(self)


class Held:
    """A connect in a thread of its own."""

    def __init__(self, listener):
        self.answer = None
        self.thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self.thread.start()

    def _run(self, listener):
        self.answer = listener.post(listener.connection())

    def result(self):
        self.thread.join(60)
        assert self.answer is not None, "the connect is still held"
        return self.answer


@pytest.fixture
def listener(sandbox):
    return listen(sandbox)


def listen(sandbox, *channels, replay=-1):
    listener = Listener(sandbox)
    listener.handshake()
    listener.connect()
    for channel in channels:
        assert listener.subscribe(channel, replay)["successful"]
    return listener


def state(sandbox):
    return sandbox.get("/_sandbox/events").json


def is_waiting(sandbox, listener):
    clients = {each["clientId"]: each for each in state(sandbox)["clients"]}
    return clients[listener.client_id]["waiting"]


def header(change):
    return change["ChangeEventHeader"]


def act(sandbox, action, **body):
    answer = sandbox.post(f"/_sandbox/events/{action}", body)
    assert answer.status == 200, answer.body


def accounts(*names):
    return [{"attributes": {"type": "Account"}, "Name": name} for name in names]


# ---- Bayeux ----


def test_a_handshake_says_what_the_server_can(sandbox):
    reply = Listener(sandbox).handshake()
    assert reply["successful"] is True
    assert reply["ext"] == {"replay": True, "payload.format": True}
    assert reply["supportedConnectionTypes"] == ["long-polling"]
    assert (reply["version"], reply["id"]) == ("1.0", "1")
    assert len(reply["clientId"]) == 28


def test_a_connect_is_held_until_an_event_comes(sandbox):
    listener = listen(sandbox, ACCOUNTS)
    held = listener.wait()
    eventually(lambda: is_waiting(sandbox, listener))
    sandbox.create("Account", Name="Acme")
    event, reply = held.result()
    assert event["channel"] == ACCOUNTS
    assert event["data"]["payload"]["Name"] == "Acme"
    assert reply["advice"] == {"interval": 0, "timeout": HELD_MS, "reconnect": "retry"}
    assert reply["clientId"] == listener.client_id


def test_a_held_connect_ends_when_its_time_is_over(listener):
    assert listener.connect(timeout_ms=50) == []


def test_a_newer_connect_sends_the_older_one_back(sandbox, listener):
    held = listener.wait()
    eventually(lambda: is_waiting(sandbox, listener))
    assert listener.connect() == []
    (reply,) = held.result()
    assert reply["successful"] is True


def test_an_event_is_not_lost_with_a_held_connect_that_was_replaced(sandbox):
    listener = listen(sandbox, ACCOUNTS)
    held = listener.wait()
    eventually(lambda: is_waiting(sandbox, listener))
    newer = listener.wait()
    assert len(held.result()) == 1
    sandbox.create("Account", Name="Acme")
    assert len(newer.result()) == 2


def test_several_messages_share_a_post(listener):
    replies = listener.post(listener.connection(timeout_ms=0), listener.subscription(ACCOUNTS))
    assert [reply["channel"] for reply in replies] == ["/meta/connect", "/meta/subscribe"]
    assert all(reply["successful"] for reply in replies)
    replies = listener.post(
        listener.message("/meta/unsubscribe", subscription=ACCOUNTS),
        listener.message("/meta/disconnect"),
    )
    assert all(reply["successful"] for reply in replies)


def test_a_connect_with_company_is_never_held(listener):
    assert len(listener.post(listener.connection(), listener.subscription(ACCOUNTS))) == 2


def test_the_kind_of_message_may_stand_in_the_path(sandbox):
    listener = Listener(sandbox)
    (reply,) = listener.post(
        listener.message("/meta/handshake", supportedConnectionTypes=["long-polling"]),
        path=f"/cometd/{VERSION}/handshake",
    )
    assert reply["successful"] is True


def test_every_client_hears_of_every_event(sandbox):
    listeners = [listen(sandbox, ACCOUNTS) for _ in range(3)]
    polls = [listener.wait() for listener in listeners]
    for listener in listeners:
        eventually(lambda: is_waiting(sandbox, listener))
    sandbox.create("Account", Name="Acme")
    assert [poll.result()[0]["data"]["payload"]["Name"] for poll in polls] == ["Acme"] * 3


def test_an_unsubscribed_channel_is_silent(sandbox):
    listener = listen(sandbox, ACCOUNTS)
    listener.post(listener.message("/meta/unsubscribe", subscription=ACCOUNTS))
    sandbox.create("Account", Name="Acme")
    assert listener.connect() == []


def test_a_disconnected_or_unknown_client_must_shake_hands_again(sandbox, listener):
    listener.post(listener.message("/meta/disconnect"))
    (reply,) = listener.post(listener.connection(0))
    assert (reply["successful"], reply["error"]) == (False, "403::Unknown client")
    assert reply["advice"]["reconnect"] == "handshake"


def test_the_door_makes_a_waiting_client_unknown(sandbox, listener):
    held = listener.wait()
    eventually(lambda: is_waiting(sandbox, listener))
    act(sandbox, "forget")
    (reply,) = held.result()
    assert reply["error"] == "403::Unknown client"


def test_a_session_that_is_no_more_is_refused(sandbox):
    stranger = Listener(sandbox, token="00Dxx!nonsense")
    reply = stranger.handshake()
    assert (reply["successful"], reply["error"]) == (False, "403::Handshake denied")
    assert reply["ext"]["sfdc"]["failureReason"] == "401::Authentication invalid"
    assert reply["advice"]["reconnect"] == "none"

    listener = Listener(sandbox, token=sandbox.login().json["access_token"])
    listener.handshake()
    listener.connect()
    held = listener.wait()
    eventually(lambda: is_waiting(sandbox, listener))
    sandbox.expire_sessions()
    (reply,) = listener.post(listener.connection(0))
    assert reply["error"] == "401::Authentication invalid"
    assert reply["advice"]["reconnect"] == "none"
    assert is_waiting(sandbox, listener)
    act(sandbox, "forget")
    assert held.result()[0]["error"] == "401::Authentication invalid"


@pytest.mark.parametrize(
    "channel",
    ["/data/NopeChangeEvent", "/topic/Nope", "/u/nope", "/event/Nope__e", "/data/*", "nonsense"],
)
def test_a_channel_that_is_not_there_is_refused(listener, channel):
    reply = listener.subscribe(channel)
    assert reply["successful"] is False
    assert reply["error"] == (
        f"400::The channel you requested to subscribe to does not exist {{{channel}}}"
    )


def test_a_client_may_not_publish(listener):
    (reply,) = listener.post(listener.message(ACCOUNTS, data={}))
    assert (reply["successful"], reply["error"][:4]) == (False, "403:")


def test_an_upgrade_to_websocket_is_refused_at_once(sandbox):
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
    }
    assert sandbox.get(f"/cometd/{VERSION}", headers=headers).status == 400


def test_a_version_without_replay_is_refused(sandbox):
    assert sandbox.post("/cometd/36.0", []).status == 400
    assert sandbox.post("/cometd/x", []).status == 400
    assert sandbox.post(f"/cometd/{VERSION}", b"{").status == 400


# ---- replay ----


def test_a_subscription_begins_where_it_is_asked_to(sandbox):
    for name in "ABC":
        sandbox.create("Account", Name=name)
    first = listen(sandbox, ACCOUNTS, replay=-2)
    events = first.connect()
    assert [event["data"]["payload"]["Name"] for event in events] == list("ABC")
    ids = [event["data"]["event"]["replayId"] for event in events]
    assert ids == sorted(set(ids))
    later = listen(sandbox, ACCOUNTS, replay=ids[0])
    assert [change["Name"] for change in later.changes()] == ["B", "C"]
    assert listen(sandbox, ACCOUNTS, replay=-1).changes() == []


def test_a_replay_id_is_not_valid_for_ever(sandbox):
    sandbox.create("Account", Name="A")
    (event,) = listen(sandbox, ACCOUNTS, replay=-2).connect()
    replay_id = event["data"]["event"]["replayId"]
    sandbox.advance(71 * 3600)
    assert listen(sandbox, ACCOUNTS, replay=replay_id).connect() == []
    sandbox.advance(2 * 3600)
    listener = listen(sandbox)
    reply = listener.subscribe(ACCOUNTS, replay_id)
    assert reply["error"] == (
        f"400::The replayId {{{replay_id}}} you provided was invalid.  Please provide a valid ID, "
        "-2 to replay all events, or -1 to replay only new events."
    )
    assert listener.subscribe(ACCOUNTS, -2)["successful"]
    assert listener.connect() == []


def test_the_door_expires_every_replay_id(sandbox):
    sandbox.create("Account", Name="A")
    last = state(sandbox)["lastReplayId"]
    listener = listen(sandbox)
    assert listener.subscribe(ACCOUNTS, last)["successful"]
    act(sandbox, "expire")
    assert listener.subscribe(ACCOUNTS, last)["error"].startswith("400::The replayId")
    assert listener.subscribe(ACCOUNTS, last + 1)["error"].startswith("400::The replayId")


def test_events_outlive_a_restart(tmp_path):
    options = ("--data", tmp_path / "data")
    with Sandbox(tmp_path, *options) as sandbox:
        sandbox.create("Account", Name="Acme")
        before = state(sandbox)["lastReplayId"]
    with Sandbox(tmp_path, *options) as sandbox:
        assert [change["Name"] for change in listen(sandbox, ACCOUNTS, replay=-2).changes()] == [
            "Acme"
        ]
        sandbox.create("Account", Name="Bolt")
        assert state(sandbox)["lastReplayId"] > before


def test_the_door_tells_events_twice(sandbox):
    listener = listen(sandbox, ACCOUNTS)
    sandbox.create("Account", Name="Acme")
    first = listener.connect()
    act(sandbox, "repeat", count=1)
    assert listener.connect() == first


# ---- change events ----


def test_a_change_event_has_the_header_that_it_should(sandbox):
    listener = listen(sandbox, CHANGES)
    record_id = sandbox.post(
        "sobjects/Account",
        {"Name": "Acme"},
        headers={"Sforce-Call-Options": "client=mysync, defaultNamespace=x"},
    ).json["id"]
    (event,) = listener.connect()
    assert event["channel"] == CHANGES
    assert re.fullmatch(r"[\w-]{22}", event["data"]["schema"])
    head = header(event["data"]["payload"])
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", head.pop("transactionKey"))
    assert head.pop("commitTimestamp") > 1_600_000_000_000
    assert head.pop("commitNumber") > 0
    user = sandbox.get("/services/oauth2/userinfo").json["user_id"]
    assert head == {
        "entityName": "Account",
        "recordIds": [record_id],
        "changeType": "CREATE",
        "changeOrigin": "com/salesforce/api/rest/60.0;client=mysync",
        "sequenceNumber": 1,
        "commitUser": user,
        "nulledFields": [],
        "diffFields": [],
        "changedFields": [],
    }


def test_a_new_record_is_told_with_all_it_has(sandbox):
    listener = listen(sandbox, "/data/ContactChangeEvent")
    account = sandbox.create("Account", Name="Acme")
    sandbox.create(
        "Contact",
        FirstName="Ada",
        LastName="Love",
        AccountId=account,
        MailingCity="Rome",
        Birthdate="1990-12-10",
    )
    (change,) = listener.changes()
    assert change["Name"] == {"FirstName": "Ada", "LastName": "Love"}
    assert change["MailingAddress"] == {"City": "Rome"}
    assert (change["AccountId"], change["Birthdate"]) == (account, "1990-12-10")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", change["CreatedDate"])
    for absent in ("Id", "SystemModstamp", "IsDeleted", "MailingCity", "FirstName", "Email"):
        assert absent not in change


def test_an_update_is_told_with_what_has_changed(sandbox):
    record = sandbox.create("Contact", FirstName="Ada", LastName="Love", Email="a@example.com")
    listener = listen(sandbox, CHANGES)
    sandbox.update("Contact", record, FirstName="Eva", LastName="Love", Email=None)
    (change,) = listener.changes()
    head = header(change)
    assert (head["changeType"], head["recordIds"]) == ("UPDATE", [record])
    assert sorted(head["changedFields"]) == ["Email", "LastModifiedDate", "Name.FirstName"]
    assert head["nulledFields"] == ["Email"]
    assert change["Name"] == {"FirstName": "Eva"}
    assert change["Email"] is None
    assert set(change) == {"ChangeEventHeader", "Name", "Email", "LastModifiedDate"}


def test_a_deletion_takes_its_children_and_brings_them_back(sandbox):
    account = sandbox.create("Account", Name="Acme")
    contact = sandbox.create("Contact", LastName="Love", AccountId=account)
    listener = listen(sandbox, CHANGES)
    sandbox.remove("Account", account)
    changes = listener.changes()
    assert [(header(each)["changeType"], header(each)["recordIds"]) for each in changes] == [
        ("DELETE", [account]),
        ("DELETE", [contact]),
    ]
    assert [set(each) for each in changes] == [{"ChangeEventHeader"}] * 2
    assert len({header(each)["transactionKey"] for each in changes}) == 1
    assert [header(each)["sequenceNumber"] for each in changes] == [1, 2]
    sandbox.undelete(account)
    restored = listener.changes()
    assert {(header(each)["changeType"], *header(each)["recordIds"]) for each in restored} == {
        ("UNDELETE", account),
        ("UNDELETE", contact),
    }
    assert {each["Name"] if isinstance(each["Name"], str) else "" for each in restored} == {
        "Acme",
        "",
    }


def test_a_hard_deletion_is_not_told(sandbox):
    record = sandbox.create("Account", Name="Acme")
    listener = listen(sandbox, CHANGES)
    sandbox.purge(record)
    assert listener.changes() == []


def test_records_that_change_alike_in_one_call_share_an_event(sandbox):
    listener = listen(sandbox, ACCOUNTS)
    results = sandbox.post(
        "composite/sobjects", {"records": accounts("Same", "Same", "Other", "Same")}
    ).json
    ids = [result["id"] for result in results]
    changes = listener.changes()
    assert [header(each)["recordIds"] for each in changes] == [ids[:2], [ids[2]], [ids[3]]]
    assert [header(each)["sequenceNumber"] for each in changes] == [1, 2, 3]


def test_what_is_rolled_back_is_not_told(sandbox):
    listener = listen(sandbox, CHANGES)
    body = {"allOrNone": True, "records": [*accounts("A"), {"attributes": {"type": "Account"}}]}
    assert sandbox.post("composite/sobjects", body).json[0]["success"] is False
    assert sandbox.post("sobjects/Account", {}).status == 400
    assert listener.changes() == []
    body["allOrNone"] = False
    sandbox.post("composite/sobjects", body)
    assert [change["Name"] for change in listener.changes()] == ["A"]


def test_the_amount_that_follows_an_opportunitys_products_is_told(sandbox):
    product = sandbox.create("Product2", Name="P", IsActive=True)
    (book,) = sandbox.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true")
    entry = sandbox.create(
        "PricebookEntry", Pricebook2Id=book["Id"], Product2Id=product, UnitPrice=10, IsActive=True
    )
    deal = sandbox.create("Opportunity", Name="O", StageName="Open", CloseDate="2026-01-01")
    listener = listen(sandbox, "/data/OpportunityChangeEvent")
    line = sandbox.create(
        "OpportunityLineItem", OpportunityId=deal, PricebookEntryId=entry, Quantity=2, UnitPrice=10
    )
    (change,) = listener.changes()
    assert (change["Amount"], change["TotalOpportunityQuantity"]) == (20, 2)
    assert header(change)["recordIds"] == [deal]
    assert header(change)["changedFields"] == [
        "Amount",
        "TotalOpportunityQuantity",
        "LastModifiedDate",
    ]
    sandbox.update("OpportunityLineItem", line, UnitPrice=15)
    (change,) = listener.changes()
    assert (change["Amount"], "TotalOpportunityQuantity" in change) == (30, False)
    sandbox.update("OpportunityLineItem", line, Description="nothing to add up")
    assert listener.changes() == []


def test_several_changes_of_a_record_in_one_call_are_one_event(sandbox):
    listener = listen(sandbox, ACCOUNTS)
    account = f"/services/data/v{VERSION}/sobjects/Account"
    steps = [
        ("POST", account, "a", {"Name": "First"}),
        ("PATCH", f"{account}/@{{a.id}}", "b", {"Name": "Last"}),
        ("POST", account, "c", {"Name": "Brief"}),
        ("DELETE", f"{account}/@{{c.id}}", "d", None),
    ]
    body = {
        "allOrNone": True,
        "compositeRequest": [
            {"method": method, "url": url, "referenceId": name, **({"body": body} if body else {})}
            for method, url, name, body in steps
        ],
    }
    answers = sandbox.post("composite", body).json["compositeResponse"]
    assert [answer["httpStatusCode"] for answer in answers] == [201, 204, 201, 204]
    (change,) = listener.changes()
    assert (header(change)["changeType"], change["Name"]) == ("CREATE", "Last")


def test_a_custom_object_has_a_channel_of_its_own(sandbox):
    listener = listen(sandbox, "/data/Invoice__ChangeEvent")
    sandbox.create("Account", Name="Acme")
    sandbox.create("Invoice__c", Amount__c=10, Tax_Rate__c=20)
    (change,) = listener.changes()
    assert header(change)["entityName"] == "Invoice__c"
    assert change["Amount__c"] == 10.0
    assert "Total__c" not in change


def test_capture_is_switched_per_object_by_definition_and_by_the_door(sandbox):
    sandbox.define({"name": "Quiet__c", "changeEvents": False, "fields": []})
    listener = listen(sandbox, CHANGES)
    sandbox.create("Quiet__c", Name="x")
    assert listener.changes() == []
    act(sandbox, "capture", object="Quiet__c", enabled=True)
    act(sandbox, "capture", object="Account", enabled=False)
    sandbox.create("Quiet__c", Name="y")
    sandbox.create("Account", Name="z")
    assert [header(each)["entityName"] for each in listener.changes()] == ["Quiet__c"]


def test_a_bulk_job_is_told_with_its_own_origin(sandbox):
    listener = listen(sandbox, ACCOUNTS)
    client = {"Sforce-Call-Options": "client=loader"}
    job = sandbox.post(
        "jobs/ingest", {"object": "Account", "operation": "insert"}, headers=client
    ).json["id"]
    path = f"jobs/ingest/{job}"
    csv = {"Content-Type": "text/csv"}
    sandbox.request("PUT", f"{path}/batches", b"Name,Phone\nA,1\nB,2\n", headers=csv)
    sandbox.patch(path, {"state": "UploadComplete"})
    eventually(lambda: sandbox.get(path).json["state"] == "JobComplete")
    changes = listener.changes()
    assert [change["Name"] for change in changes] == ["A", "B"]
    assert {header(change)["changeOrigin"] for change in changes} == {
        "com/salesforce/api/bulkapi/60.0;client=loader"
    }


def test_the_door_makes_gaps_and_overflow(sandbox):
    listener = listen(sandbox, ACCOUNTS)
    act(sandbox, "gap", object="Account", next=1)
    ids = [sandbox.create("Account", Name=name) for name in ("A", "B")]
    gap, change = listener.changes()
    assert (header(gap)["changeType"], header(gap)["recordIds"]) == ("GAP_CREATE", ids[:1])
    assert set(gap) == {"ChangeEventHeader"}
    assert header(change)["changeType"] == "CREATE"

    act(sandbox, "gap", object="Account", changeType="GAP_UPDATE", recordIds=["001*"])
    act(sandbox, "overflow", object="Account")
    gap, overflow = listener.changes()
    assert (header(gap)["changeType"], header(gap)["recordIds"]) == ("GAP_UPDATE", ["001*"])
    assert header(overflow)["changeType"] == "GAP_OVERFLOW"
    assert header(overflow)["recordIds"] == ["000000000000000AAA"]
    assert sandbox.post("/_sandbox/events/gap", {"object": "Nope"}).status == 400
    assert sandbox.post("/_sandbox/events/nope").status == 404


def test_an_event_that_would_be_too_large_is_a_gap(sandbox):
    names = [f"Text{number}__c" for number in range(9)]
    fields = [{"name": name, "type": "textarea", "length": 131072} for name in names]
    sandbox.define({"name": "Wide__c", "fields": fields})
    listener = listen(sandbox, CHANGES)
    sandbox.create("Wide__c", **{name: "x" * 131072 for name in names})
    (change,) = listener.changes()
    assert header(change)["changeType"] == "GAP_CREATE"
    assert set(change) == {"ChangeEventHeader"}


def test_a_composite_call_cannot_hold_a_connect(sandbox, listener):
    step = {"method": "POST", "url": f"/cometd/{VERSION}", "referenceId": "a"}
    body = {"compositeRequest": [{**step, "body": [listener.connection()]}]}
    (answer,) = sandbox.post("composite", body).json["compositeResponse"]
    assert answer["httpStatusCode"] >= 400


def test_a_stop_ends_a_held_connect(sandbox, listener):
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=60)
    headers = {"Authorization": f"OAuth {TOKEN}"}
    message = json.dumps([listener.connection()])
    connection.request("POST", f"/cometd/{VERSION}", message, headers)
    eventually(lambda: is_waiting(sandbox, listener))
    assert sandbox.stop() == 0
    connection.close()


def test_a_long_backlog_comes_in_order_and_whole(sandbox):
    listener = listen(sandbox, ACCOUNTS)
    wanted = [f"A{number}" for number in range(2200)]
    for first in range(0, len(wanted), 200):
        sandbox.post("composite/sobjects", {"records": accounts(*wanted[first : first + 200])})
    got = []
    while changes := listener.changes():
        got += [change["Name"] for change in changes]
    assert got == wanted


# ---- PushTopics, generic streaming, platform events ----


def make_topic(sandbox, name, query, **members):
    return sandbox.create("PushTopic", Name=name, Query=query, ApiVersion=60.0, **members)


def test_a_push_topic_tells_of_records_that_meet_its_query(sandbox):
    make_topic(sandbox, "Big", "SELECT Id, Name, CreatedDate FROM Account WHERE AnnualRevenue > 10")
    listener = listen(sandbox, "/topic/Big")
    sandbox.create("Account", Name="Small", AnnualRevenue=1)
    record = sandbox.create("Account", Name="Large", AnnualRevenue=100)
    (event,) = listener.connect()
    assert event["channel"] == "/topic/Big"
    sobject = event["data"]["sobject"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", sobject.pop("CreatedDate"))
    assert sobject == {"Id": record, "Name": "Large"}
    about = event["data"]["event"]
    assert about["type"] == "created" and about["replayId"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", about["createdDate"])

    sandbox.update("Account", record, Phone="1")
    assert listener.connect() == []
    sandbox.update("Account", record, AnnualRevenue=200)
    sandbox.remove("Account", record)
    sandbox.undelete(record)
    events = [event["data"] for event in listener.connect()]
    assert [event["event"]["type"] for event in events] == ["updated", "deleted", "undeleted"]
    assert events[1]["sobject"] == {"Id": record}


@pytest.mark.parametrize(
    "fields, heard", [("All", 3), ("Select", 1), ("Where", 1), ("Referenced", 2)]
)
def test_a_push_topic_watches_the_fields_it_is_told_to(sandbox, fields, heard):
    make_topic(
        sandbox,
        "Watch",
        "SELECT Id, Name FROM Account WHERE AnnualRevenue > 0",
        NotifyForFields=fields,
        NotifyForOperationCreate=False,
    )
    listener = listen(sandbox, "/topic/Watch")
    record = sandbox.create("Account", Name="A", AnnualRevenue=1)
    sandbox.update("Account", record, Name="B")
    sandbox.update("Account", record, AnnualRevenue=2)
    sandbox.update("Account", record, Phone="1")
    assert len(listener.connect()) == heard


@pytest.mark.parametrize(
    "query",
    [
        "SELECT Name FROM Account",
        "SELECT Id FROM Nope",
        "SELECT Id, Nope FROM Account",
        "SELECT Id FROM Account ORDER BY Name",
        "SELECT Id FROM Account LIMIT 1",
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "nonsense",
    ],
)
def test_a_push_topic_that_cannot_work_is_refused(sandbox, query):
    body = {"Name": "Bad", "Query": query, "ApiVersion": 60.0}
    assert sandbox.post("sobjects/PushTopic", body).status == 400


def test_an_inactive_push_topic_is_silent(sandbox):
    topic = make_topic(sandbox, "Quiet", "SELECT Id FROM Account")
    listener = listen(sandbox, "/topic/Quiet")
    sandbox.update("PushTopic", topic, IsActive=False)
    sandbox.create("Account", Name="A")
    assert listener.connect() == []


def test_generic_streaming_carries_what_a_client_pushes(sandbox):
    channel = sandbox.create("StreamingChannel", Name="/u/notes")
    listener = listen(sandbox, "/u/notes")
    path = f"sobjects/StreamingChannel/{channel}/push"
    answer = sandbox.post(path, {"pushEvents": [{"payload": 'say "hi"', "userIds": []}]})
    assert answer.json == [{"fanoutCount": -1, "userOnlineStatus": {}}]
    (event,) = listener.connect()
    assert event["data"]["payload"] == 'say "hi"'
    assert event["data"]["event"]["replayId"] > 0
    assert sandbox.get(path).json["ChannelName"] == "/u/notes"
    assert sandbox.post(path, {"pushEvents": []}).status == 400
    assert sandbox.post(path.replace(channel, channel[:-4] + "zzzz"), {}).status == 404


def test_a_platform_event_is_told_and_not_kept(sandbox):
    sandbox.define(
        {"name": "Alarm__e", "fields": [{"name": "Text__c", "type": "string", "length": 80}]}
    )
    listener = listen(sandbox, "/event/Alarm__e", CHANGES)
    sandbox.create("Alarm__e", Text__c="fire")
    (event,) = listener.connect()
    assert event["channel"] == "/event/Alarm__e"
    assert event["data"]["payload"]["Text__c"] == "fire"
    assert sandbox.rows("Alarm__e") == []


# ---- the door ----


def test_a_snapshot_is_brought_back(sandbox):
    kept = sandbox.create("Account", Name="Kept")
    assert sandbox.post("/_sandbox/snapshot", {"name": "before"}).status == 200
    gone = sandbox.create("Account", Name="Gone")
    sandbox.update("Account", kept, Name="Changed")
    sandbox.define({"name": "Late__c", "fields": []})
    sandbox.create("Late__c", Name="x")
    sandbox.advance(3600)
    last = state(sandbox)["lastReplayId"]
    for _ in range(2):
        assert sandbox.post("/_sandbox/restore", {"name": "before"}).status == 200
        assert [row["Name"] for row in sandbox.rows("Account")] == ["Kept"]
        assert sandbox.rows("Late__c") == []
        assert sandbox.get("/_sandbox/clock").json["offset_seconds"] == 0
    assert len(listen(sandbox, CHANGES, replay=-2).changes()) == 1
    assert sandbox.create("Account", Name="New") == gone
    assert state(sandbox)["lastReplayId"] == last + 1
    assert sandbox.post("/_sandbox/restore", {"name": "never"}).status == 400


def test_a_fault_with_a_rate_meets_the_same_share_of_calls_each_time(sandbox):
    def statuses():
        sandbox.fault({"match": {}, "rate": 0.3, "seed": 7, "times": 1000, "status": 503})
        got = [sandbox.get("limits").status for _ in range(100)]
        sandbox.clear_faults()
        return got

    first = statuses()
    assert first == statuses()
    assert 15 < first.count(503) < 45
    assert sandbox.post("/_sandbox/faults", {"rate": 2}).status == 400


def test_the_doors_page_lists_every_call_and_the_state(sandbox):
    sandbox.create("Account", Name="Acme")
    sandbox.fault({"match": {"path": "/a<b"}, "status": 503})
    answer = sandbox.get("/_sandbox/")
    page = answer.body.decode()
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "/a&lt;b" in page and "/a<b" not in page
    assert f"/services/data/v{VERSION}/sobjects/Account" in page
    routes = (ROOT / "src/sandbox/routes.c").read_text()
    guide = (ROOT / "docs/sandbox.md").read_text()
    for method, path in re.findall(r'\{"(\w+)", "(_sandbox/[^"{]+)', routes):
        assert path in page, path
        assert path in guide, path


def test_a_custom_channel_tells_of_its_members(sandbox):
    act(sandbox, "channel", channel="Sales__chn", objects=["Account"])
    channel = "/data/Sales__chn"
    listener = listen(sandbox, channel)
    sandbox.create("Contact", LastName="Not a member")
    sandbox.create("Account", Name="Member")
    (message,) = [each for each in listener.connect() if each["channel"] == channel]
    assert message["data"]["payload"]["Name"] == "Member"
    act(sandbox, "channel", channel="Sales__chn", objects=["Contact"])
    names = [change.get("Name") for change in listen(sandbox, channel, replay=-2).changes()]
    assert names == [{"LastName": "Not a member"}]
    assert not listener.subscribe("/data/None__chn")["successful"]
    for wrong in ({"channel": "x", "objects": []}, {"channel": "A__chn", "objects": ["No"]}):
        assert sandbox.post("/_sandbox/events/channel", wrong).status == 400
