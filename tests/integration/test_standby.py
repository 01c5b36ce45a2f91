"""Two daemons for one connection: one works, the other stands by and takes over. Two connections share a
database."""

import os
import signal

from eventually import eventually
from programs import Pgforce
from sync import account, export

WORKS = ("archive", "push", "pull", "listen", "housekeeper", "watch")


def turns(database, schema="salesforce"):
    """The roles that have a process with the turn."""
    return {row[0] for row in database.query(
        "select role from unnest(%s) as role where exists (select from pg_locks"
        " where locktype = 'advisory' and granted and classid = 1885824356"
        " and objid::bigint = hashtext(role || ' of ' || %s)::bigint & 4294967295)",
        [list(WORKS), schema], role="pgforce")}


def stood_by(daemon):
    return {role for role in WORKS if f"INFO {role}: stands by" in daemon.log_text()}


def test_the_second_daemon_waits_quietly_and_takes_over_when_the_first_is_killed(sync, database):
    sync.map(account())
    first = sync.pgforce.start("run")
    eventually(lambda: turns(database) == set(WORKS))
    second = sync.pgforce.start("run")
    eventually(lambda: stood_by(second) == set(WORKS))
    sync.query("insert into salesforce.account (name, external_id__c) values ('Ada', 'a-1')")
    sync.settled(1)
    assert " ended " not in second.log_text() and "ERROR" not in second.log_text()
    assert second.log_text().count("stands by") == len(WORKS)
    assert "process" in second.log_text().split("stands by")[1]

    os.kill(first.pid, signal.SIGKILL)
    sync.query("insert into salesforce.account (name, external_id__c) values ('Bob', 'a-2')")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    eventually(lambda: second.log_text().count("takes over") >= len(WORKS))
    assert len(sync.org.query("select Id from Account")) == 2
    assert second.stop() == 0


def test_a_standby_stops_at_once_when_it_is_told_to(sync, database):
    sync.start("archive")
    eventually(lambda: "archive" in turns(database))
    standby = sync.pgforce.start("archive")
    eventually(lambda: "stands by" in standby.log_text())
    assert standby.stop(deadline_s=20) == 0


def test_two_connections_share_a_database(sync, database, logs):
    folder = logs / "other"
    folder.mkdir()
    other = Pgforce(database, {**sync.pgforce.env, "PGFORCE_SCHEMA": "other"}, folder)
    try:
        other.run("setup")
        other.run("import", "-", stdin=export(account()))
        sync.map(account())
        for pgforce in (sync.pgforce, other):
            for role in ("archive", "push", "pull"):
                pgforce.start(role)
        database.query("insert into salesforce.account (name, external_id__c) values ('Ada', 'a-1')")
        for schema in ("salesforce", "other"):
            eventually(lambda s=schema: database.query(
                f"select name from {s}.account where sfid is not null") == [("Ada",)])
        database.query("update other.account set name = 'Eve'")
        eventually(lambda: database.query("select name from salesforce.account") == [("Eve",)])
        assert turns(database) == turns(database, "other") == set(WORKS[:3])
    finally:
        other.end()
