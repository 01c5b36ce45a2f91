"""What the dashboard looks into, as any client may: rows, the log, the tail, statistics, tokens."""

import json

import pytest

from api import Api
from eventually import eventually
from sync import account, contact

TOKEN = "a-token-for-tests-0123456789"


@pytest.fixture
def api(sync):
    sync.map(account())
    api = Api(sync.pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN)
    api.path = "/api/v3/connections/" + api.get("/api/v3/connections").json["results"][0]["id"]
    return api


def fail_writes(sync):
    sync.org.fault({"match": {"path": "composite"}, "status": 400,
                    "body": [{"errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "no"}]})


def test_a_session_says_whose_it_is(api, sync):
    assert api.get("/session").json == {"name": "PGFORCE_API_TOKEN", "role": "admin"}
    guest = sync.pgforce.run("token", "create", "guest", "viewer").stdout.strip()
    assert api.get("/session", token=guest).json == {"name": "guest", "role": "viewer"}
    assert api.get("/session", token="").status == 401


def test_rows_come_in_pages_by_id_as_text_and_cut(api, sync):
    sync.query("insert into salesforce.account (name, annualrevenue) select 'n' || n, 0.1 from generate_series(1, 5) n")
    sync.query("update salesforce.account set name = repeat('é', 255), _hc_lastop = 'FAILED' where id = 5")
    page = api.get(api.path + "/tables/account/rows?limit=3").json
    assert [row["id"] for row in page["results"]] == ["1", "2", "3"] and page["next"] == 3
    assert page["results"][0]["annualrevenue"] == "0.1" and page["results"][0]["phone"] is None
    assert set(page["columns"]) == set(page["results"][0]) >= {"id", "sfid", "_hc_lastop", "_hc_err"}
    page = api.get(api.path + "/tables/account/rows?limit=3&after=3").json
    assert [row["id"] for row in page["results"]] == ["4", "5"] and page["next"] is None
    assert [row["id"] for row in api.get(api.path + "/tables/account/rows?status=FAILED").json["results"]] == ["5"]
    assert [row["id"] for row in api.get(api.path + "/tables/account/rows?id=2").json["results"]] == ["2"]
    assert api.get(api.path + "/tables/account/rows?sfid=x").json["results"] == []


def test_long_values_are_cut(api, sync):
    sync.query("alter table salesforce.account alter name type text", role="postgres")
    sync.query("insert into salesforce.account (name) values (repeat('é', 600))")
    [row] = api.get(api.path + "/tables/account/rows").json["results"]
    assert row["name"] == "é" * 500 + "…"


@pytest.mark.parametrize("table", ["_trigger_log", "nowhere", "account%22%3B--", "pg_authid", "Account"])
def test_only_mapped_tables_can_be_read(api, table):
    assert api.get(f"{api.path}/tables/{table}/rows").status == 404


@pytest.mark.parametrize("query", ["tables/account/rows?after=x", "tables/account/rows?id=1%20or%201=1",
                                   "log?before=x", "log?record=1e9", "log?since=soon", "tail?after=x",
                                   "tail?after=99999999999999999999"])
def test_what_cannot_be_read_is_refused_and_the_next_call_works(api, query):
    answer = api.get(f"{api.path}/{query}")
    assert answer.status == 400 and answer.json["message"]
    assert api.get(f"{api.path}/log").status == 200


def test_the_log_is_read_backwards_and_chosen_from(api, sync):
    sync.start("archive")
    sync.query("insert into salesforce.account (name) select 'n' || n from generate_series(1, 5) n")
    sync.logged(5)
    page = api.get(api.path + "/log?limit=2").json
    assert [entry["id"] for entry in page["results"]] == [5, 4] and page["next"] == 4
    assert [entry["id"] for entry in api.get(api.path + "/log?limit=9&before=4").json["results"]] == [3, 2, 1]
    [entry] = api.get(api.path + "/log?record=3").json["results"]
    assert entry["action"] == "INSERT" and entry["table_name"] == "account" and entry["state"] == "NEW"
    assert entry["values"]["name"] == "n3" and entry["is_large"] is False and entry["created_at"].endswith("Z")
    for nothing in ("table=contact", "state=FAILED", "until=2001-01-01", "since=2999-01-01", "sfid=x", "archive=true"):
        assert api.get(f"{api.path}/log?{nothing}").json["results"] == [], nothing


def test_very_large_values_are_left_out_and_said_to_be(api, sync):
    sync.query("insert into salesforce._trigger_log (state, action, table_name, record_id, \"values\")"
               " values ('SUCCESS', 'INSERT', 'account', 1, '\"name\"=>\"' || repeat('x', 70000) || '\"')", role="postgres")
    [entry] = api.get(api.path + "/log").json["results"]
    assert entry["values"] is None and entry["is_large"] is True


def test_the_tail_goes_on_where_it_was(api, sync):
    sync.start("archive")
    assert api.get(api.path + "/tail").json == {"results": [], "next": 0}
    sync.query("insert into salesforce.account (name) values ('One'), ('Two')")
    sync.logged(2)
    page = api.get(api.path + "/tail?after=0").json
    assert [entry["id"] for entry in page["results"]] == [1, 2] and page["next"] == 2
    assert api.get(api.path + "/tail?after=2").json == {"results": [], "next": 2}
    # Without a place to begin: the newest.
    assert [entry["id"] for entry in api.get(api.path + "/tail?limit=1").json["results"]] == [2]
    assert api.get(api.path + "/tail?after=0&table=contact").json["results"] == []


EVENTS, LINES = "text/event-stream", "application/x-ndjson"
# What is sent where nothing else is for a while.
COMMENT = b":\n\n"


def add(sync, *names):
    for name in names:
        sync.query("insert into salesforce.account (name) values (%s)", [name])


def read_event(stream):
    """The next event: its number and its entry; comments and the rest are passed over."""
    number = None
    for line in stream:
        if line.startswith(b"id: "):
            number = int(line[4:])
        if line.startswith(b"data: "):
            return number, json.loads(line[6:])
    return None


def test_the_tail_is_a_stream_of_server_sent_events_for_who_asks_so(api, sync):
    sync.start("archive")
    add(sync, "One\n\nid: 9")
    sync.logged(1)
    stream = api.stream(api.path + "/tail", EVENTS)
    assert stream.headers["Content-Type"].startswith(EVENTS)
    assert stream.readline() == b"retry: 2000\n"
    number, entry = read_event(stream)
    assert number == 1 and entry["values"]["name"] == "One\n\nid: 9"
    # What comes later comes on the same answer.
    add(sync, "Two")
    number, entry = read_event(stream)
    assert number == 2 and entry["values"]["name"] == "Two"
    # Coming back, it goes on where it was.
    again = api.stream(api.path + "/tail?after=0", EVENTS, headers={"Last-Event-ID": "1"})
    assert read_event(again)[0] == 2


def test_the_tail_is_a_stream_of_json_lines_too_of_one_table_where_asked(api, sync):
    sync.map(contact())
    sync.start("archive")
    stream = api.stream(api.path + "/tail?after=0&table=account", LINES)
    assert stream.headers["Content-Type"].startswith(LINES)
    add(sync, "One")
    sync.query("insert into salesforce.contact (lastname) values ('Other')")
    sync.logged(2)
    add(sync, "Two")
    assert [json.loads(stream.readline())["values"]["name"] for _ in range(2)] == ["One", "Two"]


def test_a_stream_outlives_a_restart_of_the_database(api, sync, cluster):
    stream = api.stream(api.path + "/tail?after=0", EVENTS)
    assert stream.readline() == b"retry: 2000\n"
    cluster.stop()
    cluster.start()
    sync.start("archive")
    add(sync, "One")
    assert read_event(stream)[1]["values"]["name"] == "One"


def test_a_stream_ends_with_the_server_as_an_answer_ends(api, sync):
    stream = api.stream(api.path + "/tail", EVENTS)
    assert stream.readline() == b"retry: 2000\n"
    assert api.role.stop() == 0
    # An answer that was cut off would be an IncompleteRead.
    assert stream.read().replace(COMMENT, b"") == b"\n"


def test_streams_end_with_their_token_and_there_are_no_more_than_a_server_bears(api, sync):
    token = sync.pgforce.run("token", "create", "reader", "viewer").stdout.strip()
    streams = [api.stream(api.path + "/tail", EVENTS, token=token) for _ in range(16)]
    assert {stream.status for stream in streams} == {200}
    assert api.get(api.path + "/tail", headers={"Accept": EVENTS}).status == 503
    assert api.get(api.path + "/tail").status == 200
    sync.pgforce.run("token", "revoke", "reader")
    for stream in streams:
        assert stream.read().replace(COMMENT, b"") == b"retry: 2000\n\n"
    assert api.stream(api.path + "/tail", EVENTS).status == 200


def test_refused_entries_are_sent_again_or_given_up(api, sync):
    sync.start("archive", "push")
    fail_writes(sync)
    sync.query("insert into salesforce.account (name, external_id__c) values ('One', 'a-1')")
    sync.settled(1)
    for body in ({}, {"id": "1"}, {"all": "yes"}, {"id": 1, "all": True}):
        assert api.post(api.path + "/actions/retry", body).status == 400, body
    answer = api.post(api.path + "/actions/retry", {"id": 1})
    assert (answer.status, answer.json) == (200, {"requeued": 1, "rowless": 0})
    eventually(lambda: [state for _, state in sync.entries()] == ["REQUEUED", "SUCCESS"])
    assert api.post(api.path + "/actions/retry", {"id": 1}).status == 422
    assert api.post(api.path + "/actions/retry", {"mapping": "--all-failed"}).status == 422

    fail_writes(sync)
    sync.query("update salesforce.account set name = 'Two'")
    eventually(lambda: sync.entries()[-1][1] == "FAILED")
    assert api.post(api.path + "/actions/ignore", {"mapping": "Contact"}).status == 422
    assert api.post(api.path + "/actions/ignore", {"mapping": "account"}).json == {"ignored": 1}
    assert api.post(api.path + "/actions/ignore", {"all": True}).json == {"ignored": 0}
    assert sync.entries()[-1][1] == "IGNORED"


def test_statistics_tell_what_went_through(api, sync):
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, external_id__c) values ('One', 'a-1')")
    sync.settled(1)
    fail_writes(sync)
    sync.query("insert into salesforce.account (name, external_id__c) values ('Two', 'a-2')")
    sync.settled(2)
    statistics = api.get(api.path + "/statistics").json
    assert len(statistics["throughput"]) == 60
    total = {name: sum(minute[name] for minute in statistics["throughput"]) for name in ("captured", "sent", "failed")}
    assert total == {"captured": 2, "sent": 1, "failed": 1}
    assert set(statistics["api"]) == {"used", "max", "seen_at"}


def test_tokens_are_listed_without_what_they_are(api, sync):
    token = sync.pgforce.run("token", "create", "ci", "operator").stdout.strip()
    answer = api.get(api.path + "/tokens")
    assert [(each["name"], each["role"]) for each in answer.json["results"]] == [("ci", "operator")]
    assert token not in answer.text and "sha" not in answer.text
    assert api.get(api.path + "/tokens", token=token).status == 403


def test_the_answer_is_json_whatever_stands_in_the_rows(api, sync):
    sync.query("insert into salesforce.account (name) values (%s)", ['"\\</script>\x01\u2028'])
    [row] = json.loads(api.get(api.path + "/tables/account/rows").text)["results"]
    assert row["name"] == '"\\</script>\x01\u2028'
