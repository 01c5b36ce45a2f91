"""While the database or the organisation is away nobody is busy, and soon after it is back all is as before."""

import os
import re
import signal
import threading
import time

import pytest

from eventually import eventually
from proxy import Proxy
from sync import account
from test_instance_move import token_names
from test_stream_survival import through

# Seconds of each outage whose share of a processor is measured; only in the long form.
OUTAGE_S = 60
# Those that notice at once that a session has gone: the others may have nothing to do for a minute.
ROLES = ("archive", "push", "pull")


@pytest.fixture
def database_door(database):
    proxy = Proxy(database.cluster.port)
    yield proxy
    proxy.close()


@pytest.fixture
def org_door(sandbox):
    proxy = Proxy(int(sandbox.url.rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.fixture
def running(sync, database, database_door, org_door):
    """All roles, which reach both sides through doors."""
    url = f"http://127.0.0.1:{org_door.port}"
    token_names(sync, url)
    sync.org.create("Account", Name="Acme")
    sync.map(account())
    supervisor = sync.start("run", env={**through(database_door, database), "PGFORCE_SF_LOGIN_URL": url})
    sync.wait_until_loaded()
    return supervisor


def all_is_well(sync):
    """Both ways are open again."""
    before = len(sync.entries())
    sync.query("update salesforce.account set phone = gen_random_uuid()::text")
    assert {state for (state,) in sync.settled(before + 1, "state")} == {"SUCCESS"}
    [record] = sync.org.rows("Account")
    sync.org.update("Account", record["Id"], Name=f"Acme {before}")
    eventually(lambda: sync.value("select name from salesforce.account") == f"Acme {before}")
    assert sync.mapping_states() == {"DATA_SYNCED"}


def delays(supervisor, role):
    """Of a role that ended: after how many milliseconds it was started again, each time."""
    found = re.findall(rf"ended role={role} .* restart_in_ms=(\d+)", supervisor.log_text())
    return [int(delay) for delay in found]


def test_a_database_that_is_away_is_asked_less_and_less(sync, running, database_door):
    database_door.refuse()
    database_door.cut()
    asked = database_door.asked
    eventually(lambda: all(len(delays(running, role)) >= 4 for role in ROLES))
    database_door.refuse(False)
    for role in ROLES:
        found = delays(running, role)
        # Doubled, less at most a quarter.
        assert all(later >= 1.5 * earlier - 1 for earlier, later in zip(found, found[1:], strict=False)), (role, found)
    ends = running.log_text().count(": ended role=")
    # Each start wants a few connections; the role watch goes on and looks every three seconds.
    assert database_door.asked - asked <= 6 * ends + 60
    all_is_well(sync)


def pauses(supervisor):
    """Between the polls that failed, in seconds."""
    lines = [line for line in supervisor.log_text().splitlines() if "pull: could not read" in line]
    times = [line.split()[0].rstrip("Z").rpartition("T")[2].split(":") for line in lines]
    seconds = [int(hour) * 3600 + int(minute) * 60 + float(second) for hour, minute, second in times]
    return [later - earlier for earlier, later in zip(seconds, seconds[1:], strict=False) if later > earlier]


def test_an_organisation_that_is_away_is_asked_less_and_less(sync, running, org_door):
    org_door.refuse()
    org_door.cut()
    asked = org_door.asked
    sync.query("update salesforce.account set phone = '1'")
    eventually(lambda: len(pauses(running)) >= 3)
    org_door.refuse(False)
    # 1, 2, 4 seconds: a loaded machine makes them longer, never shorter.
    assert [pause >= wanted for pause, wanted in zip(pauses(running), (0.9, 1.9, 3.9), strict=False)] == [True] * 3
    assert org_door.asked - asked <= 60
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]
    all_is_well(sync)
    assert "parked" not in running.log_text()


# How much of a processor


def cpu_s(supervisor):
    """All that the supervisor, its children and those that have ended have used."""
    ticks = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(pid) == supervisor.pid:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == supervisor.pid:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def flap(doors, is_over):
    is_open = True
    while not is_over.wait(1):
        is_open = not is_open
        for door in doors:
            door.refuse(not is_open)
            if not is_open:
                door.cut()
    for door in doors:
        door.refuse(False)


def outage(sync, name, database_door, org_door):
    """Begins it, and answers what ends it."""
    if name == "silent organisation":
        os.kill(sync.org.process.pid, signal.SIGSTOP)
        return lambda: os.kill(sync.org.process.pid, signal.SIGCONT)
    if name == "both flap":
        is_over = threading.Event()
        thread = threading.Thread(target=flap, args=((database_door, org_door), is_over))
        thread.start()
        return lambda: (is_over.set(), thread.join())
    door = database_door if name == "no database" else org_door
    door.refuse()
    door.cut()
    return lambda: door.refuse(False)


if "PGFORCE_LONG" in os.environ:

    @pytest.mark.parametrize("name", ["nothing", "no database", "no organisation", "silent organisation", "both flap"])
    def test_nobody_is_busy_while_a_peer_is_away(sync, running, database_door, org_door, name):
        end = (lambda: None) if name == "nothing" else outage(sync, name, database_door, org_door)
        try:
            asked, used = database_door.asked + org_door.asked, cpu_s(running)
            time.sleep(OUTAGE_S)
            used, asked = cpu_s(running) - used, database_door.asked + org_door.asked - asked
        finally:
            end()
        print(f"\n{name}: {100 * used / OUTAGE_S:.2f} % of a processor, {asked} connections in {OUTAGE_S} s")
        assert used < 0.05 * OUTAGE_S
        all_is_well(sync)
