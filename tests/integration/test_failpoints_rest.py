"""Killed between two durable effects: what listens, keeps house, loads and sends by Bulk; commands that change a
mapping; and whoever renews a login whose refresh token is good once."""

import itertools
import os

import pytest

from cluster import BUILD
from eventually import eventually
from sandbox import Sandbox
from sync import account, mapping
from test_failpoints import COMMITS, REQUESTS, Users
from test_login import connected, key_file, log_in_by_web  # noqa: F401

LONG = "PGFORCE_LONG" in os.environ
EVERYWHERE = (*COMMITS, *REQUESTS)
ROWS = 60


def arm(sync):
    sync.pgforce.binary = BUILD / "bin" / "pgforce-failpoints"


def start_to_die(sync, role, point, hit):
    """The role, about to die; the one before it has stopped."""
    if role in sync.roles:
        sync.roles[role].end()
    return sync.start(role, env={"FAILPOINT": f"{point}:{hit}"})


def survive(sync, role, victim, is_done):
    """Waits until it has died or all is done. Answers whether it died; then another one works."""
    eventually(lambda: not victim.is_running() or is_done(), 60)
    if victim.is_running():
        return False
    assert victim.wait() == -9, victim.log_text()
    sync.start(role)
    return True


def die_at(sync, role, point, hits, users):
    """Answers how often it died."""
    deaths = 0
    for hit in hits:
        victim = start_to_die(sync, role, point, hit)
        users.act()
        deaths += survive(sync, role, victim, users.is_settled)
        if victim.is_running():
            users.act()
            deaths += survive(sync, role, victim, users.is_settled)
        eventually(users.is_settled, 60)
    return deaths


@pytest.mark.parametrize("point", EVERYWHERE)
def test_who_listens_may_die_at_any_step(sync, point):
    heard = account()
    heard["config"]["sf_notify_enabled"] = True
    sync.load(heard)
    arm(sync)
    sync.start("listen")
    hits = range(1, 31) if LONG else (1, 3, 5)
    assert die_at(sync, "listen", point, hits, Users(sync))


@pytest.mark.parametrize("point", COMMITS)
def test_who_keeps_house_may_die_at_any_step(sync, point):
    sync.pgforce.env["PGFORCE_ARCHIVE_AFTER_S"] = "0"
    sync.load(account())
    arm(sync)
    sync.start("housekeeper")
    hits = range(1, 31) if LONG else (1, 2, 4)
    assert die_at(sync, "housekeeper", point, hits, Users(sync))
    moved = "select count(*) from salesforce._trigger_log_archive"
    eventually(lambda: sync.value("select count(*) from salesforce._trigger_log") == 0, 200)
    assert sync.value(moved) == sync.value(f"select count(distinct id) from ({moved.replace('count(*)', 'id')}) a")


class ManyUsers(Users):
    """They change several rows at a time, so that push makes a job of each kind of change."""

    def act(self):
        self.rounds += 1
        prefix = f"B{self.rounds}-"
        self.sync.query(
            "insert into salesforce.account (name, phone, external_id__c)"
            " select %s || n, 'new', %s || n from generate_series(1, 6) n",
            [prefix, prefix],
        )
        self.expected |= {f"{prefix}{n}": (f"{prefix}{n}", "new") for n in range(1, 7)}
        self.entries += 6
        if self.rounds > 1:
            before = f"B{self.rounds - 1}-"
            self.sync.query(
                "update salesforce.account set phone = 'changed' where external_id__c like %s", [f"{before}%"]
            )
            self.expected |= {f"{before}{n}": (f"{before}{n}", "changed") for n in range(1, 7)}
            self.entries += 6


@pytest.mark.parametrize("point", EVERYWHERE)
def test_who_sends_by_bulk_may_die_between_any_two_steps_of_a_job(sync, point):
    """Created, uploaded, closed, asked for, its three results read."""
    sync.pgforce.env["PGFORCE_BULK_THRESHOLD"] = "5"
    sync.load(account())
    arm(sync)
    hits = range(1, 31) if LONG else (4, 7, 11)
    assert die_at(sync, "push", point, hits, ManyUsers(sync))
    assert [entry for entry in sync.requests("POST", "/jobs/ingest") if entry["path"].endswith("/jobs/ingest")]


@pytest.mark.parametrize("point", EVERYWHERE)
def test_who_loads_may_die_at_any_step(sync, point):
    """From the request for the job to the page that is stored last, into an empty table each time."""
    sync.pgforce.env["PGFORCE_BULK_READ_ABOVE"] = "20"
    sync.org.post("/_sandbox/bulk", {"page_rows": 10})
    sync.org.load("Account", ROWS)
    sync.load(account())
    arm(sync)
    records = sorted(record["Id"] for record in sync.org.query("select Id from Account"))
    deaths = 0

    def is_loaded():
        rows = [row[0] for row in sync.query("select sfid from salesforce.account order by sfid")]
        return rows == records and sync.mapping_states() == {"DATA_SYNCED"}

    for hit in range(1, 41) if LONG else (3, 6, 12):
        sync.roles["pull"].stop()
        sync.pgforce.run("mapping", "reload", "Account", "--destructive", "--yes")
        victim = start_to_die(sync, "pull", point, hit)
        deaths += survive(sync, "pull", victim, is_loaded)
        eventually(is_loaded, 60)
    assert deaths


def columns(sync):
    return {
        row[0]
        for row in sync.query(
            "select attname from pg_attribute where attrelid = to_regclass('salesforce.account') and attnum > 0"
            " and not attisdropped"
        )
    }


@pytest.mark.parametrize("point", COMMITS)
def test_a_command_that_changes_a_mapping_may_die_at_any_step_and_is_repeated(sync, point):
    """Until it comes through: so at each of its steps. The same command again ends what it began."""
    sync.org.create("Account", Name="theirs", Industry="Energy")
    sync.load(mapping("Account", "Name"))
    arm(sync)
    edits = (["--field", "Industry"], True), (["--without", "Industry", "--yes"], False)
    for options, is_there in edits if LONG else edits[:1]:
        for hit in itertools.count(1):
            command = ("mapping", "edit", "Account", *options)
            died = sync.pgforce.run(*command, env={"FAILPOINT": f"{point}:{hit}"}, expect=None)
            assert died.returncode in (0, -9), died.stderr
            sync.pgforce.run(*command)
            eventually(lambda is_there=is_there: ("industry" in columns(sync)) == is_there)
            sync.wait_until_loaded()
            assert is_there is False or sync.query("select industry from salesforce.account") == [("Energy",)]
            if died.returncode == 0:
                break
            # Back to where it began, for the next step.
            undo = edits[1][0] if is_there else edits[0][0]
            sync.pgforce.run("mapping", "edit", "Account", *undo)
            sync.wait_until_loaded()
        assert hit > 1, "it never died"
    sync.query("insert into salesforce.account (name) values ('ours')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]


@pytest.mark.parametrize("point", EVERYWHERE)
def test_who_renews_a_login_may_die_at_any_step(connected, database, logs, point):  # noqa: F811
    """The new refresh token is stored before it is used. Only who dies between Salesforce's answer and that loses it,
    for then nobody has it; the next one says what is to be done."""
    with Sandbox(logs, "--rotate-refresh-tokens") as org:
        connected.env["PGFORCE_SF_LOGIN_URL"] = org.url
        log_in_by_web(connected, org)
        connected.binary = BUILD / "bin" / "pgforce-failpoints"
        for hit in itertools.count(1):
            died = connected.run("objects", env={"FAILPOINT": f"{point}:{hit}"}, expect=None)
            assert died.returncode in (0, -9), died.stderr
            if died.returncode == 0:
                break
            again = connected.run("objects", expect=None)
            if again.returncode != 0:
                assert (point, again.returncode) in (("request_after", 78), ("commit_before", 78)), again.stderr
                assert "pgforce login" in again.stderr
                connected.binary = BUILD / "bin" / "pgforce"
                log_in_by_web(connected, org)
                connected.binary = BUILD / "bin" / "pgforce-failpoints"
        assert hit > 1, "it never died"
