"""What a service manager hears: sd_notify's datagrams on a socket that the test listens on."""

import contextlib
import os
import signal
import socket
import time

import pytest

from eventually import eventually
from sync import account


class Manager:
    """What systemd is to a Type=notify service."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name.replace("@", "\0", 1))
        self.env = {"NOTIFY_SOCKET": name}
        self.said = []

    def listen(self, quiet_s=0.2, longest_s=20):
        """Everything said until it was quiet for so long, line by line."""
        end = time.monotonic() + longest_s
        self.socket.settimeout(quiet_s)
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < end:
                self.said += self.socket.recv(65536).decode().splitlines()
        return self.said

    def forget(self):
        self.listen()
        self.said = []


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@pgforce-{os.getpid()}")
    yield manager
    manager.socket.close()


def test_ready_comes_with_the_stream_then_position_and_life_and_at_last_the_end(sync, manager):
    sync.map(account())
    daemon = sync.pgforce.start("run", env=manager.env)
    eventually(lambda: "READY=1" in manager.listen())
    assert "streaming slot=" in daemon.log_text()
    manager.forget()
    sync.query("insert into salesforce.account (name, external_id__c) values ('Ada', 'a-1')")
    eventually(lambda: {"WATCHDOG=1"} < set(manager.listen()))
    eventually(lambda: any(line.startswith("STATUS=archived up to ") and "behind" in line
                           for line in manager.listen()))
    assert "STOPPING=1" not in manager.listen()
    assert daemon.stop() == 0
    assert "STOPPING=1" in manager.listen()


def test_a_role_alone_speaks_for_itself(sync, manager):
    sync.map(account())
    archive = sync.pgforce.start("archive", env=manager.env)
    eventually(lambda: {"READY=1", "WATCHDOG=1"} <= set(manager.listen()))
    # A role that is no service's heart says nothing.
    manager.forget()
    assert archive.stop() == 0
    manager.forget()
    sync.pgforce.start("housekeeper", env=manager.env)
    assert manager.listen() == []


def test_an_archive_that_does_not_move_is_not_alive(sync, database, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    sync.map(account())
    daemon = sync.pgforce.start("run", env=manager.env)
    eventually(lambda: "READY=1" in manager.listen())
    pid = int(next(line for line in daemon.log_text().splitlines()
                   if "role=archive" in line).rsplit("pid=", 1)[1])
    os.kill(pid, signal.SIGSTOP)
    try:
        # What it said before it stopped is passed on up to a second later; after that there is silence,
        # for longer than the interval of a second in which it speaks.
        def is_silent():
            manager.forget()
            return "WATCHDOG=1" not in manager.listen(quiet_s=3)

        eventually(is_silent)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: "WATCHDOG=1" in manager.listen())
    manager.socket.close()


def test_a_daemon_whose_archive_is_parked_is_up_for_the_other_roles_and_says_why(sync, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    sync.map(account())
    sync.query("select pg_drop_replication_slot('pgforce_salesforce')", role="postgres")
    daemon = sync.pgforce.start("run", env=manager.env)
    eventually(lambda: any("archive is parked" in line for line in manager.listen()))
    said = manager.listen()
    assert said.index("READY=1") == said.index("STATUS=archive is parked: its log says why") - 1
    assert daemon.is_running() and "streaming slot=" not in daemon.log_text()
    manager.socket.close()


def test_a_standby_is_ready_when_it_stands_by(sync, tmp_path):
    sync.map(account())
    sync.start("archive")
    eventually(lambda: sync.value("select active from pg_replication_slots", role="postgres"))
    manager = Manager(str(tmp_path / "notify"))
    sync.pgforce.start("archive", env=manager.env)
    eventually(lambda: {"READY=1", "STATUS=stands by"} <= set(manager.listen()))
    manager.socket.close()
