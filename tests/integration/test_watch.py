"""The role watch: an operator is told once when something begins and once when it is over, and the slot
never fills the server's disk."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from eventually import eventually
from sync import account

GAP, CONFIG = 4, 78


class Webhook:
    """Takes what it is told, with what `note` adds to it; refuses the first few where a test wants that."""

    def __init__(self, note=lambda body: {}):
        webhook = self
        self.told = []
        self.refusals = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.refusals -= 1
                if webhook.refusals < 0:
                    webhook.told.append({**body, **note(body)})
                self.send_response(204 if webhook.refusals < 0 else 500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?key=secret-of-the-hook"

    def of(self, cause):
        return [told["state"] for told in self.told if told["cause"] == cause]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def webhook():
    webhook = Webhook()
    yield webhook
    webhook.close()


def stored(sync, cause):
    return sync.query(
        "select resolved_at is not null, told_at is not null, told_resolved_at is not null"
        " from pgforce.notification where cause = %s order by id", [cause], role="pgforce")


def break_mapping(sync, is_broken=True):
    sync.query("update pgforce.mapping set state = %s, state_description = 'the field Phone is gone'",
               ["SYSTEM_ERROR" if is_broken else "DATA_SYNCED"], role="pgforce")


def test_a_cause_is_told_once_and_its_end_once(sync, webhook):
    sync.map(account())
    watch = sync.start("watch", env={"PGFORCE_NOTIFY_URL": webhook.url})
    break_mapping(sync)
    cause = "MUST_BE_MAPPABLE Account"
    eventually(lambda: webhook.of(cause) == ["began"])
    [told] = [t for t in webhook.told if t["cause"] == cause]
    assert told["event_type"] == "mapping-error" and "Phone is gone" in told["message"]
    assert told["schema"] == "salesforce" and told["created_at"] and told["resolved_at"] is None
    # Seen again and again, and by another process, which has begun to tell: still the same cause.
    eventually(lambda: stored(sync, cause) == [(False, True, False)])
    watch.kill()
    sync.query("insert into salesforce._trigger_log (table_name, record_id, action, state, sf_message)"
               " values ('account', 1, 'INSERT', 'FAILED', 'no')")
    sync.start("watch", env={"PGFORCE_NOTIFY_URL": webhook.url})
    eventually(lambda: webhook.of("SHOULD_HAVE_NO_WRITE_ERRORS Account") == ["began"])
    assert webhook.of(cause) == ["began"]
    break_mapping(sync, False)
    eventually(lambda: webhook.of(cause) == ["began", "resolved"])
    eventually(lambda: stored(sync, cause) == [(True, True, True)])
    break_mapping(sync)
    eventually(lambda: webhook.of(cause) == ["began", "resolved", "began"])


def test_a_webhook_that_refuses_is_told_again_and_its_address_is_in_no_log(sync, webhook):
    sync.map(account())
    break_mapping(sync)
    webhook.refusals = 1
    watch = sync.start("watch", env={"PGFORCE_NOTIFY_URL": webhook.url})
    eventually(lambda: webhook.of("MUST_BE_MAPPABLE Account") == ["began"])
    assert "the webhook answered 500" in watch.log_text()
    assert "secret-of-the-hook" not in watch.log_text()


def test_a_command_gets_the_json_on_its_standard_input(sync, tmp_path):
    sync.map(account())
    break_mapping(sync)
    script = tmp_path / "tell"
    # Moved into its place when it is whole: what is read here is never half written.
    script.write_text(f"#!/bin/sh\nmkdir -p {tmp_path}/told\ncd {tmp_path}/told\ncat > $$.part && mv $$.part $$.$1.json\n")
    script.chmod(0o755)
    sync.start("watch", env={"PGFORCE_NOTIFY_COMMAND": f"{script}  loudly"})

    def told():
        return {json.loads(path.read_text())["cause"] for path in tmp_path.glob("told/*.loudly.json")}

    eventually(lambda: "MUST_BE_MAPPABLE Account" in told())
    eventually(lambda: stored(sync, "MUST_BE_MAPPABLE Account") == [(False, True, False)])


def test_a_command_that_cannot_be_run_is_said(sync):
    sync.map(account())
    break_mapping(sync)
    watch = sync.start("watch", env={"PGFORCE_NOTIFY_COMMAND": "/no/such/program"})
    eventually(lambda: "cannot run /no/such/program" in watch.log_text())
    assert stored(sync, "MUST_BE_MAPPABLE Account") == [(False, False, False)]
    other = sync.pgforce.start("watch", env={"PGFORCE_NOTIFY_URL": "http://example.com/hook"})
    assert other.wait() == CONFIG and "https://" in other.log_text()


def test_a_database_that_is_away_is_told_and_that_it_is_back(sync, cluster, webhook):
    sync.map(account())
    sync.start("watch", env={"PGFORCE_NOTIFY_URL": webhook.url})
    eventually(lambda: webhook.of("MUST_RUN_ROLES") == ["began"])
    cluster.stop()
    eventually(lambda: webhook.of("MUST_REACH_DATABASE") == ["began"])
    cluster.start()
    eventually(lambda: webhook.of("MUST_REACH_DATABASE") == ["began", "resolved"])
    eventually(lambda: stored(sync, "MUST_REACH_DATABASE") == [(True, True, True)])


def test_an_organisation_that_does_not_answer_is_told_and_that_it_answers_again(sync, webhook):
    sync.load(account())
    sync.start("watch", env={"PGFORCE_NOTIFY_URL": webhook.url, "PGFORCE_STALLED_S": "1"})
    sync.org.fault({"match": {"path": "/services/data"}, "times": 1000000, "status": 503, "body": "busy"})
    eventually(lambda: webhook.of("MUST_READ_MAPPINGS") == ["began"])
    [told] = [t for t in webhook.told if t["cause"] == "MUST_READ_MAPPINGS"]
    assert told["event_type"] == "salesforce-connection"
    assert "Account cannot be read since" in told["message"] and "503" in told["message"]
    assert re.search(r"Account .* cannot be read since .*503", sync.pgforce.run("status").stdout)
    sync.org.clear_faults()
    eventually(lambda: webhook.of("MUST_READ_MAPPINGS") == ["began", "resolved"])


def test_refused_writes_and_a_slot_that_retains_wal_are_told(sync, webhook):
    sync.map(account())
    sync.query("insert into salesforce._trigger_log (table_name, record_id, action, state, sf_message)"
               " values ('account', 1, 'INSERT', 'FAILED', 'no')")
    sync.start("watch", env={"PGFORCE_NOTIFY_URL": webhook.url, "PGFORCE_SLOT_WARNING_BYTES": "1"})
    eventually(lambda: webhook.of("MUST_NOT_RETAIN_WAL") == ["began"])
    eventually(lambda: webhook.of("SHOULD_HAVE_NO_WRITE_ERRORS Account") == ["began"])


def test_the_slot_is_given_up_before_the_disk_is_full(sync, webhook):
    sync.map(account())
    archive = sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Ada')")
    sync.logged(1)
    # Even where somebody reads it: it does not help that he does.
    watch = sync.start("watch", env={"PGFORCE_SLOT_GIVE_UP_BYTES": "1", "PGFORCE_NOTIFY_URL": webhook.url})
    eventually(lambda: sync.value("select count(*) from pg_replication_slots"
                                  " where slot_name = 'pgforce_salesforce'") == 0)
    archive.wait()
    watch.stop()
    archive = sync.start("archive")
    assert archive.wait() == GAP
    assert "PGFORCE_SLOT_GIVE_UP_BYTES" in archive.log_text() and "--accept-gap" in archive.log_text()
    [(reason, is_open)] = sync.query("select reason, to_lsn is null from pgforce.gap", role="pgforce")
    assert "more than PGFORCE_SLOT_GIVE_UP_BYTES allows" in reason and is_open

    sync.pgforce.run("setup", "--accept-gap")
    assert sync.query("select from_lsn < to_lsn, accepted_at is not null from pgforce.gap",
                      role="pgforce") == [(True, True)]
    assert sync.query("select count(*) from pgforce.drift where asked_at is not null",
                      role="pgforce") == [(1,)]
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Bob')")
    sync.logged(2)
