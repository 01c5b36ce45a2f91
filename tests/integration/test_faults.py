"""Faults that no other story has: no connection, no descriptor, no name, another password."""

import pytest

from eventually import eventually
from programs import Pgforce
from sync import account, export
from test_bad_input import UNREACHABLE, refused

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
    for count in (4, 5):
        poor.binary.write_text(f'#!/bin/sh\nulimit -n {count}\nexec {sync.pgforce.binary} "$@"\n')
        poor.binary.chmod(0o755)
        code = poor.start(role).wait()
        assert code in (3, 75, 78, 127), (count, code)
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.start(role)
    assert sync.settled(1) == [("INSERT", "SUCCESS")]


def test_a_host_without_an_address_is_told(sync):
    refused(sync.pgforce, "import", "-", code=UNREACHABLE, stdin=export(account()),
            env={"PGFORCE_SF_LOGIN_URL": "https://nowhere.invalid"}, says=["nowhere.invalid"])
