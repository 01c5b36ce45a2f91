"""Health by HTTP: probes, figures as JSON and for Prometheus, and what the doctor finds."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from api import Api
from eventually import eventually
from sync import account, mapping

TOKEN = "an-administrators-token"


@pytest.fixture
def api(sync):
    sync.map(account())
    return Api(sync.pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN)


def series(api):
    """{'name{label="x"}': value} of a scrape."""
    lines = api.get("/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line[0] != "#"}


def add(sync, number):
    sync.query("insert into salesforce.account (name, external_id__c) values ('Ada', %s)", [str(number)])


def test_ready_means_that_changes_go_through(api, sync):
    archive = sync.start("archive")
    for path in ("/readyz", "/healthz"):
        eventually(lambda p=path: api.get(p).status == 200)
        assert api.get(path).json == {"status": "ready", "reasons": []}
    archive.kill()
    eventually(lambda: "nobody reads the slot" in str(api.get("/readyz").json["reasons"]))
    sync.query("select pg_drop_replication_slot('pgforce_salesforce')", role="postgres")
    answer = api.get("/healthz")
    assert answer.status == 503 and "the slot is missing" in answer.json["reasons"]


def test_an_archive_that_lives_and_does_not_move_is_not_ready(sync, database):
    sync.map(account())
    # So that what waits to be sent is no reason.
    sync.pgforce.run("pause")
    sync.start("archive")
    api = Api(sync.pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN, PGFORCE_STALLED_S="0")
    eventually(lambda: api.get("/readyz").status == 200)
    holder = database.connect("postgres", autocommit=False)
    try:
        holder.cursor().execute("lock table salesforce._trigger_log in access exclusive mode")
        sync.query("insert into salesforce.account (name) select repeat('x', 80)"
                   " from generate_series(1, 20000)")
        eventually(lambda: "the archive makes no progress" in str(api.get("/readyz").json["reasons"]))
    finally:
        holder.close()
    eventually(lambda: api.get("/readyz").status == 200)


def test_changes_that_nobody_sends_are_not_through(sync):
    sync.map(account())
    sync.start("archive")
    api = Api(sync.pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN, PGFORCE_STALLED_S="0")
    eventually(lambda: api.get("/readyz").status == 200)
    add(sync, 1)
    eventually(lambda: "nobody sends them" in str(api.get("/readyz").json["reasons"]))
    sync.pgforce.run("pause")
    eventually(lambda: api.get("/readyz").status == 200)
    sync.pgforce.run("resume")
    assert api.get("/readyz").status == 503
    sync.start("push")
    eventually(lambda: api.get("/readyz").status == 200)


def test_the_figures_follow_what_happens(api, sync):
    before = series(api)
    assert before["pgforce_up"] == 1 and before['pgforce_role_up{role="archive"}'] == 0
    assert before['pgforce_slot_wal_status{status="reserved"}'] == 1
    sync.start("archive")
    add(sync, 1)
    sync.query("update salesforce.account set phone = '1'")
    sync.query("delete from salesforce.account")
    sync.logged(3)

    def counted():
        # What was counted in the last second is stored with what comes next.
        add(sync, counted.next)
        counted.next += 1
        now = series(api)
        assert now.get('pgforce_changes_total{op="update"}') == now.get('pgforce_changes_total{op="delete"}') == 1
        return now

    counted.next = 2
    now = eventually(counted)
    assert now['pgforce_changes_total{op="insert"}'] >= 1
    assert now['pgforce_role_up{role="archive"}'] == 1
    assert now["pgforce_commit_to_archive_seconds_count"] == now["pgforce_transactions_total"] >= 3
    assert (now['pgforce_commit_to_archive_seconds_bucket{le="+Inf"}']
            == now["pgforce_commit_to_archive_seconds_count"])
    assert now["pgforce_archived_lsn_bytes"] > before["pgforce_archived_lsn_bytes"]
    assert now["pgforce_slot_restart_lag_bytes"] > 0
    assert api.get("/status").json["reasons"] == [] and now["pgforce_ready"] == 1
    assert now['pgforce_rows{state="NEW"}'] >= 1 and now["pgforce_oldest_pending_seconds"] > 0
    assert now['pgforce_mappings{state="INITIAL"}'] == 1 and now['pgforce_state{state="IDLE"}'] == 1


def test_a_write_that_has_to_be_tried_again_is_counted(api, sync):
    sync.load(account())
    sync.org.fault({"match": {"method": "POST", "path": "/composite/sobjects"}, "status": 503, "times": 2})
    add(sync, 1)
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert series(api)["pgforce_retries_total"] == 2


def test_the_scrape_is_in_the_format_of_prometheus(api, sync):
    """Its rules, one by one: each metric has a HELP and a TYPE once, before its series, which stand
    together; counters end in _total; units are base units; a histogram's buckets only grow."""
    sync.start("archive")
    add(sync, 1)
    sync.logged(1)
    answer = api.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    kinds, seen, current = {}, [], None
    for line in answer.text.splitlines():
        head = re.fullmatch(r"# (HELP|TYPE) (pgforce_[a-z_]+) (.+)", line)
        if head and head[1] == "HELP":
            assert head[2] not in seen
            seen.append(head[2])
            current = head[2]
        elif head:
            assert head[2] == current and head[3] in ("gauge", "counter", "histogram")
            kinds[current] = head[3]
        else:
            found = re.fullmatch(r'(pgforce_[a-z_]+?)(_bucket|_sum|_count)?(\{[a-z]+="[^"\\]*"\})? \S+', line)
            assert found and (found[1] == current or found[1] + (found[2] or "") == current), line
            float(line.rsplit(" ", 1)[1])
    assert kinds["pgforce_commit_to_archive_seconds"] == "histogram"
    for name, kind in kinds.items():
        assert (kind == "counter") == name.endswith("_total"), name
        assert not re.search(r"(_ms|_milliseconds|_kb|_mb|_minutes)$", name)
    buckets = [v for k, v in series(api).items() if k.startswith("pgforce_commit_to_archive_seconds_bucket")]
    assert buckets == sorted(buckets) and len(buckets) == 10


ALERTS = Path(__file__).resolve().parents[2] / "docs" / "deploy" / "alerts.yaml"


def test_prometheus_own_tool_takes_the_scrape_and_the_alerts(api, sync):
    """By promtool where it is (the long form of the tests brings it); that each alert asks for what is there, always."""
    sync.start("archive", "housekeeper")
    add(sync, 1)
    late = {"pgforce_retention_last_success_timestamp_seconds", "pgforce_reconnects_total", "pgforce_decoded_bytes_total"}
    there = eventually(lambda: late <= (s := series(api)).keys() and s)
    assert there["pgforce_reconnects_total"] == 1
    named = set(re.findall(r"\bpgforce_[a-z_]+", ALERTS.read_text()))
    # Nothing limits what the slot retains here, and then the server does not say how much is left.
    assert named - {name.split("{")[0] for name in there} == {"pgforce_slot_safe_wal_bytes"}
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if promtool is None:
        return
    for arguments, text in ((["check", "metrics"], api.get("/metrics").text), (["check", "rules", ALERTS], None)):
        done = subprocess.run([promtool, *arguments], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "error" not in done.stderr, done.stdout + done.stderr


def test_the_status_is_the_same_by_http_and_on_the_command_line(api, sync):
    by_http = api.get("/status").json
    printed = json.loads(sync.pgforce.run("status", "--json").stdout)
    assert by_http.keys() == printed.keys()
    assert by_http["slot"]["name"] == printed["slot"]["name"] == "pgforce_salesforce"
    assert not by_http["is_ready"] and by_http["reasons"] == printed["reasons"]
    assert api.get("/status", token="").status == 401
    assert api.get("/metrics", token="").status == 401


def test_a_scrape_has_an_answer_while_the_database_is_away(api, cluster):
    cluster.stop()
    # A token of the configuration is known without the database.
    text = api.get("/metrics").text
    assert "pgforce_up 0" in text and "pgforce_build_info{version=" in text
    cluster.start()
    eventually(lambda: "pgforce_up 1" in api.get("/metrics").text)


def test_validations_are_fetched_when_they_are_ready(api, sync):
    sync.map(mapping("Lead", "Company"))
    [connection] = api.get("/connections").json["results"]
    path = f"/api/v3/connections/{connection['id']}/validations"
    answer = api.post(path)
    assert answer.status == 202
    result = answer.json["result_url"]
    assert result.startswith(connection["detail_url"])
    result = result[len(connection["region_url"]):]

    def ready():
        answer = api.get(result)
        assert answer.status in (200, 202)
        return answer.json if answer.status == 200 else None

    report = eventually(ready)
    [warning] = [w for w in report["warnings"] if w["rule_id"] == "MUST_RUN_ROLES"]
    assert {"display_name", "message", "rule_id", "status"} <= warning.keys()
    lead = report["mappings"]["Lead"]
    assert "SHOULD_HAVE_UNIQUE_IDENTIFIER" in [w["rule_id"] for w in lead["warnings"]]
    assert {"MUST_USE_RECENT_API_VERSION"} <= {p["rule_id"] for p in report["passes"]}
    assert {"SHOULD_HAVE_LOG_DRAIN"} <= {s["rule_id"] for s in report["skips"]}
    assert api.get(path + "/unknown").status == 404
    assert api.get(result).json == report


def test_a_mappings_validations_are_answered_at_once(api, sync):
    sync.query("alter table salesforce.account replica identity nothing", role="postgres")
    [connection] = api.get("/api/v3/connections?deep=true").json["results"]
    [account_mapping] = connection["mappings"]
    answer = api.get(f"/api/v3/mappings/{account_mapping['id']}/validations")
    assert answer.status == 200
    [error] = answer.json["errors"]
    assert error["rule_id"] == "MUST_HAVE_REPLICA_IDENTITY" and error["status"] == "FAILED"
    assert error["remedy"] == "ALTER TABLE salesforce.account REPLICA IDENTITY FULL;"
    assert api.get("/api/v3/mappings/nowhere/validations").status == 404
