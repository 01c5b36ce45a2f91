"""One call of the C library's fails, or the process dies at it, once in each run: an allocation, a socket, a file, a
wait. The process goes on, or ends with a code that its supervisor takes for a passing failure, and then another run of
it ends the work: each change once in the log, both sides equal."""

import json
import os
import re
import signal
import subprocess

import pytest

import calls
from eventually import eventually
from sync import account, export, mapping
from test_failpoints import Users
from test_listen import listening
from test_login import connected, key_file  # noqa: F401
from test_tail import tail  # noqa: F401

LONG = "PGFORCE_LONG" in os.environ
# Each round has a point in each role.
ROUNDS = 50 if LONG else 5
POINTS_PER_COMMAND = 200 if LONG else 3

ROLES = ("archive", "push", "pull", "listen", "housekeeper")


class Crew:
    """The roles, each with a call of its own that fails; a role that has ended is started again."""

    def __init__(self, sync, folder):
        self.sync = sync
        self.folder = folder
        self.users = Users(sync)
        self.points = {}

    def start(self, role, env):
        self.sync.start(role, env=env)

    def count_calls(self):
        for role in ROLES:
            self.start(role, calls.counting(self.folder / f"{role}.counts"))
        self.sync.wait_until_loaded()
        for _ in range(3):
            self.users.act()
            eventually(self.users.is_settled)
        # Those for whom nobody waits have worked, too.
        eventually(lambda: self.sync.entries() == [] and listening(self.sync))
        self.stop()
        return {role: calls.read_counts(self.folder / f"{role}.counts") for role in ROLES}

    def survive(self, points):
        self.points = points
        for role in ROLES:
            self.start(role, calls.environment(points[role]) if role in points else {})
        self.users.act()
        self.until_settled()
        self.stop()

    def until_settled(self):
        def check():
            self.tend()
            return self.users.is_settled()

        try:
            eventually(check, 120)
        except AssertionError as error:
            raise AssertionError(f"not settled: {self.points}") from error

    def tend(self):
        for role in ROLES:
            child = self.sync.roles[role]
            if not child.is_running():
                self.judge(role, child)
                self.start(role, {})

    def judge(self, role, child, also=()):
        point = f"{role}/{self.points[role]}" if child.env.get("FAILCALL") else role
        try:
            code = child.wait()
        except subprocess.TimeoutExpired:
            pytest.fail(f"PGFORCE_POINT={point} does not end: {self.points}")
        calls.assert_end(point, code, child.log_text(), also)

    def stop(self):
        for role in ROLES:
            if self.sync.roles[role].is_running():
                os.kill(self.sync.roles[role].pid, signal.SIGTERM)
        for role in ROLES:
            self.judge(role, self.sync.roles[role], also=(0, -signal.SIGTERM))


def rounds(counts):
    if calls.ONLY:
        role, point = calls.ONLY.split("/")
        return [{role: point}]
    points = calls.Points()
    return [{role: points.draw(counts[role]) for role in ROLES} for _ in range(ROUNDS)]


def test_a_role_in_which_a_call_fails_or_which_dies_at_one_loses_and_repeats_nothing(sync, tmp_path):
    sync.pgforce.env["PGFORCE_ARCHIVE_AFTER_S"] = "0"
    heard = account()
    heard["config"]["sf_notify_enabled"] = True
    sync.map(heard)
    crew = Crew(sync, tmp_path)
    for points in rounds(crew.count_calls()):
        crew.survive(points)


def points_of(name, counts, drawn):
    """The points to try in a process of this name; those of a replay are another's or just one."""
    if calls.ONLY:
        of, point = calls.ONLY.split("/")
        return [point] if of == name else []
    return [drawn.draw(counts) for _ in range(POINTS_PER_COMMAND)]


def told(name, text):
    """What a command says, without what differs from run to run: positions, times, how much WAL there is."""
    if name == "status":
        return [line.split()[:1] for line in text.splitlines()]
    return re.sub(r"[0-9A-F]+/[0-9A-F]+|\d+", "#", text)


# What operators read. Not doctor: what it could not find out is a finding.
READERS = {
    "status": ("status",),
    "list": ("mapping", "list"),
    "show": ("mapping", "show", "Account"),
    "objects": ("objects", "count"),
    "fields": ("fields", "Account", "--json"),
    "export": ("export", "--json"),
    "plan": ("plan", "-"),
    "errors": ("errors",),
    "conflicts": ("conflicts", "--json"),
    "recover": ("recover",),
    "check": ("--check-config",),
}


def test_a_command_in_which_a_call_fails_tells_the_whole_truth_or_that_it_failed(sync, tmp_path):
    sync.load(account())
    sync.org.create("Account", Name="theirs")
    sync.query("insert into salesforce.account (name) values ('ours')")
    sync.settled(1)
    eventually(lambda: sync.value("select count(*) from salesforce.account") == 2)
    for role in sync.roles.values():
        role.stop()
    plan = export(account())
    drawn = calls.Points()
    for name, command in READERS.items():
        counts = tmp_path / f"{name}.counts"
        whole = sync.pgforce.run(*command, stdin=plan, env=calls.counting(counts), expect=None)
        assert whole.returncode in (0, 1, 10), whole.stderr
        for point in points_of(name, calls.read_counts(counts), drawn):
            done = sync.pgforce.run(*command, stdin=plan, env=calls.environment(point), expect=None)
            calls.assert_end(f"{name}/{point}", done.returncode, done.stderr, (whole.returncode,))
            if done.returncode == whole.returncode:
                assert told(name, done.stdout) == told(name, whole.stdout), f"PGFORCE_POINT={name}/{point}"


# What operators change: each with what tells that it is done, and what undoes it.
WRITERS = {
    "setup": (("setup",), "select to_regclass('pgforce.progress') is not null", None),
    "import": (
        ("import", "-"),
        "select count(*) = 1 and to_regclass('salesforce.account') is not null from pgforce.mapping",
        ("mapping", "delete", "Account", "--yes"),
    ),
    "edit": (
        ("mapping", "edit", "Account", "--field", "Industry"),
        "select count(*) = 1 from pg_attribute where attrelid = 'salesforce.account'::regclass"
        " and attname = 'industry' and not attisdropped",
        ("mapping", "edit", "Account", "--without", "Industry", "--yes"),
    ),
    "login": (("login", "--client-credentials"), "select count(*) = 1 from pgforce.credential", ("logout",)),
}


def test_a_command_in_which_a_call_fails_has_done_its_work_or_ends_it_when_it_is_given_again(
    connected, database, tmp_path  # noqa: F811
):
    drawn = calls.Points()
    mapped = export(mapping("Account", "Name", upsert=None))
    for name, (command, done_sql, undo) in WRITERS.items():
        counts = tmp_path / f"{name}.counts"
        connected.run(*command, stdin=mapped, env=calls.counting(counts))
        counts = calls.read_counts(counts)
        every_death = calls.every_death(counts) if LONG and not calls.ONLY else []
        for point in points_of(name, counts, drawn) + every_death:
            if undo:
                connected.run(*undo)
                assert database.query(done_sql, role="postgres") == [(False,)]
            done = connected.run(*command, stdin=mapped, env=calls.environment(point), expect=None)
            calls.assert_end(f"{name}/{point}", done.returncode, done.stderr, (0,))
            if done.returncode != 0:
                connected.run(*command, stdin=mapped)
            assert database.query(done_sql, role="postgres") == [(True,)], f"PGFORCE_POINT={name}/{point}"


def printed_ids(out):
    """Of the whole lines: the last may be torn where its writer died."""
    return [json.loads(line)["after"]["id"] for line in out.read_text().splitlines(True) if line.endswith("\n")]


def test_a_tail_in_which_a_call_fails_misses_nothing_when_it_is_read_on(tail, database, tmp_path):  # noqa: F811
    keep = ("tail", "-S", "kept", "--format", "json", "-n")
    tail.run(*keep, "--create-slot", "-E", position(database))
    counts = tmp_path / "tail.counts"
    tried = None
    for number in range(1 + POINTS_PER_COMMAND):
        database.query("insert into t select %s + n from generate_series(1, 3) n", [3 * number])
        reading = (*keep, "-f", str(tail.out), "-E", position(database))
        if number == 0:
            tail.run(*reading, env=calls.counting(counts))
            tried = iter(points_of("tail", calls.read_counts(counts), calls.Points()))
        else:
            point = next(tried, None)
            if point is None:
                break
            done = tail.run(*reading, env=calls.environment(point), expect=None)
            calls.assert_end(f"tail/{point}", done.returncode, done.stderr, (0,))
            if done.returncode != 0:
                tail.run(*reading)
        assert sorted({int(i) for i in printed_ids(tail.out)}) == list(range(1, 3 * number + 4))
    tail.run("tail", "-S", "kept", "--drop-slot")


def position(database):
    return database.query("select pg_current_wal_insert_lsn()::text")[0][0]
