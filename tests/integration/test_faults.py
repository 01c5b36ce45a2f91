"""Faults that no other story has: no connection, no descriptor, no name, another password."""

import pytest

from eventually import eventually
from programs import Pgforce
from sync import account, export
from test_bad_input import UNREACHABLE, refused, restrict_role

TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'pgforce'"


def begin(sync):
    sync.map(account())
    supervisor = sync.start("run")
    sync.query("insert into salesforce.account (name) values ('before')")
    sync.settled(1)
    return supervisor


def test_a_role_that_has_no_connection_left_goes_on_when_it_has_one(sync):
    supervisor = begin(sync)
    sync.query("alter role pgforce connection limit 0", role="postgres")
    try:
        sync.query(TERMINATE, role="postgres")
        eventually(lambda: "too many connections" in supervisor.log_text())
        sync.query("insert into salesforce.account (name) values ('meanwhile')")
    finally:
        sync.query("alter role pgforce connection limit -1", role="postgres")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    assert "parked" not in supervisor.log_text()


def test_a_password_changed_in_mid_run_parks_the_roles_and_loses_nothing(sync):
    supervisor = begin(sync)
    password = sync.database.dsn("pgforce").split(":")[2].split("@")[0]
    sync.query("alter role pgforce password 'another'", role="postgres")
    try:
        sync.query(TERMINATE, role="postgres")
        eventually(lambda: "parked" in supervisor.log_text() and "authentication" in supervisor.log_text())
        sync.query("insert into salesforce.account (name) values ('meanwhile')")
        supervisor.stop()
    finally:
        sync.query(f"alter role pgforce password '{password}'", role="postgres")
    sync.start("run")
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2


@pytest.mark.parametrize("role", ["archive", "push", "pull"])
def test_a_role_without_descriptors_ends_cleanly_and_the_next_goes_on(sync, role, tmp_path):
    sync.map(account())
    for other in ("archive", "push", "pull"):
        if other != role:
            sync.start(other)
    poor = Pgforce(sync.database, sync.pgforce.env, tmp_path / "poor")
    poor.folder.mkdir()
    poor.binary = tmp_path / "poor" / "pgforce"
    # A sanitizer that looks for leaks needs descriptors itself, and waits for ever for what it cannot open.
    leaks = "export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0"
    for count in (4, 5):
        poor.binary.write_text(f'#!/bin/sh\n{leaks}\nulimit -n {count}\nexec {sync.pgforce.binary} "$@"\n')
        poor.binary.chmod(0o755)
        code = poor.start(role).wait()
        assert code in (3, 75, 78, 127), (count, code)
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.start(role)
    assert sync.settled(1) == [("INSERT", "SUCCESS")]


def test_a_host_without_an_address_is_told(sync):
    refused(sync.pgforce, "import", "-", code=UNREACHABLE, stdin=export(account()),
            env={"PGFORCE_SF_LOGIN_URL": "https://nowhere.invalid"}, says=["nowhere.invalid"])


SHORT_OF_TIME = ("statement_timeout = '100ms'", "lock_timeout = 1", "idle_in_transaction_session_timeout = 1",
                 "default_transaction_read_only = on", "default_transaction_deferrable = on",
                 "synchronous_commit = off")  # fmt: skip


def test_a_role_whose_settings_leave_it_no_time_and_no_writes_works_all_the_same(sync):
    """As an administrator sets them for all roles. They hold for the first statement of a session, which sets
    pgforce's own: should that take too long, the role is started again."""
    acme = sync.org.create("Account", Name="Acme")
    sync.map(account())
    for setting in SHORT_OF_TIME:
        restrict_role(sync.database, setting)
    supervisor = sync.start("run")
    sync.wait_until_loaded()
    sync.query("update salesforce.account set phone = '1'")
    sync.query("insert into salesforce.account (name) select 'Ours' from generate_series(1, 200)")
    assert sync.settled(201) == [("UPDATE", "SUCCESS")] + [("INSERT", "SUCCESS")] * 200
    sync.org.update("Account", acme, Phone="2")
    eventually(lambda: sync.value("select phone from salesforce.account where sfid = %s", [acme]) == "2")
    assert "parked" not in supervisor.log_text()
