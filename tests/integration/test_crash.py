"""Killed at any moment, pgforce goes on where it was: two thousand changes make two thousand entries and
two thousand records, never one more or less."""

import os
import random
import re
import signal

import pytest

from eventually import eventually
from sync import account, nameless_account

CHANGES = 2000
PER_TRANSACTION = 50


def insert(sync, first):
    """One transaction of new accounts, numbered from first."""
    sync.query(
        "insert into salesforce.account (name, phone, external_id__c)"
        " select 'Account ' || n, 'before', 'A-' || n from generate_series(%s, %s) n"
        if has_key(sync)
        else "insert into salesforce.account (name, phone)"
        " select 'Account ' || n, 'before' from generate_series(%s, %s) n",
        [first, first + PER_TRANSACTION - 1],
    )


def has_key(sync):
    return sync.value(
        "select count(*) from information_schema.columns"
        " where table_schema = 'salesforce' and table_name = 'account'"
        " and column_name = 'external_id__c'"
    )


def change_in_steps(sync, interrupt):
    """Two thousand inserts in forty transactions; interrupt(step) is called after each."""
    for step in range(CHANGES // PER_TRANSACTION):
        insert(sync, step * PER_TRANSACTION + 1)
        interrupt(step)


def assert_everything_once(sync, states=("SUCCESS",)):
    entries = sync.settled(CHANGES, deadline_s=60)
    assert set(entries) == {("INSERT", state) for state in states}
    logged = sync.query(
        "select count(distinct record_id), count(distinct (commit_lsn, seq)),"
        " count(distinct \"values\"::public.hstore operator(public.->) 'name'),"
        " array_agg(record_id order by id) = array_agg(record_id order by commit_lsn, seq)"
        " from salesforce._trigger_log"
    )
    assert logged == [(CHANGES, CHANGES, CHANGES, True)]
    theirs = sync.org.query("select Id, Name, Phone from Account")
    assert len(theirs) == CHANGES
    ours = sync.query("select sfid, name, phone from salesforce.account")
    assert {(record["Id"], record["Name"], record["Phone"]) for record in theirs} == set(ours)
    assert {name for _, name, _ in ours} == {f"Account {n + 1}" for n in range(CHANGES)}
    assert {phone for _, _, phone in ours} == {"before"}


def is_sending(sync):
    return sync.query("select 1 from pgforce.delivery where state = 'SENDING'", role="pgforce")


def is_through(sync):
    """There are entries, and each is settled."""
    return sync.query(
        "select 1 from salesforce._trigger_log having count(*) > 0"
        " and count(*) filter (where state in ('NEW', 'PENDING')) = 0"
    )


def kill_and_restart(sync, role):
    if role == "push":
        # While a request is under way: its answer will be lost.
        eventually(lambda: is_sending(sync) or is_through(sync))
    sync.roles[role].kill()
    sync.start(role)


# Slow answers, so that there is time to kill between a request and its answer.
SLOW = {"match": {"method": "POST", "path": "/composite/sobjects"}, "times": 1000, "delay_ms": 200}


@pytest.mark.parametrize("mapped", [account(), nameless_account()], ids=["keyed", "nameless"])
@pytest.mark.parametrize("role", ["archive", "push", "pull"])
def test_a_role_killed_again_and_again_loses_and_repeats_nothing(sync, role, mapped):
    sync.load(mapped)
    sync.org.fault(SLOW)
    moments = random.Random(f"{role} {has_key(sync)}").sample(range(40), 8)

    def interrupt(step):
        if step in moments:
            kill_and_restart(sync, role)

    change_in_steps(sync, interrupt)
    assert_everything_once(sync)
    sync.wait_for_polls(2)
    assert_everything_once(sync)
    if role == "push":
        logs = [child.log_text() for child in sync.pgforce.started]
        assert any("found writes without an answer" in log for log in logs)


def children_of(pid):
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/stat", encoding="ascii", errors="replace") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                found.append(int(entry.name))
    return found


def roles_started(run):
    """The last process of each role that the supervisor has started."""
    return dict(re.findall(r"started role=(\w+) pid=(\d+)", run.log_text()))


def whole_family(run):
    """The supervisor's children, once each role that it has started is there."""
    children = children_of(run.pid)
    return children if len(children) == len(roles_started(run)) else None


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_killed_supervisor_takes_its_roles_with_it_and_the_next_goes_on(sync):
    sync.map(account())
    sync.start("run")
    sync.wait_until_loaded()
    sync.org.fault(SLOW)

    def interrupt(step):
        if step % 15 == 7:
            run = sync.roles["run"]
            children = eventually(lambda: whole_family(run))
            run.kill()
            eventually(lambda: all(is_gone(pid) for pid in children))
            sync.start("run")
            again = sync.roles["run"]
            eventually(lambda: len(children_of(again.pid)) == len(children))

    change_in_steps(sync, interrupt)
    assert_everything_once(sync)
    assert sync.roles["run"].stop() == 0


def test_the_supervisor_starts_a_killed_role_again(sync):
    sync.map(account())
    run = sync.start("run")
    sync.wait_until_loaded()
    started = roles_started(run)
    assert {"archive", "pull", "push"} <= set(started)

    def interrupt(step):
        if step == 10:
            for pid in started.values():
                os.kill(int(pid), signal.SIGKILL)

    change_in_steps(sync, interrupt)
    assert_everything_once(sync)
    eventually(lambda: all(roles_started(run)[role] != pid for role, pid in started.items()))


def test_a_server_that_stops_at_once_loses_and_repeats_nothing(sync, cluster):
    sync.map(account())
    sync.start("run")
    sync.wait_until_loaded()
    sync.org.fault(SLOW)

    def interrupt(step):
        if step == 20:
            cluster.immediate_stop()
            cluster.start()

    change_in_steps(sync, interrupt)
    assert_everything_once(sync)


def test_updates_and_deletes_survive_a_killed_push(sync):
    sync.load(account())
    change_in_steps(sync, lambda step: None)
    sync.settled(CHANGES, deadline_s=60)
    sync.org.fault({**SLOW, "match": {"path": "/composite/sobjects"}})
    for remainder in range(8):
        sync.query("update salesforce.account set phone = 'after' where id %% 8 = %s and id %% 2 = 0",
                   [remainder])
        sync.query("delete from salesforce.account where id %% 8 = %s and id %% 2 = 1", [remainder])
        kill_and_restart(sync, "push")
    entries = sync.settled(2 * CHANGES, deadline_s=60)
    assert {state for _, state in entries} == {"SUCCESS"}
    theirs = sync.org.query("select Id, Name, Phone from Account")
    ours = sync.query("select sfid, name, phone from salesforce.account")
    assert len(theirs) == CHANGES // 2
    assert {(record["Id"], record["Name"], record["Phone"]) for record in theirs} == set(ours)
    assert {phone for _, _, phone in ours} == {"after"}
