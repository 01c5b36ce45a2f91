"""One call of the C library's fails, or the process dies at it, once in each run: an allocation, a socket, a file, a
wait. The process goes on, or ends with a code that its supervisor takes for a passing failure, and then another run of
it ends the work: each change once in the log, both sides equal."""

import http.client
import itertools
import json
import os
import re
import signal
import ssl
import subprocess
from pathlib import Path

import pytest

import calls
from api import Answer, Api
from eventually import eventually
from programs import Pgforce
from sync import Sync, account, contact, export, mapping
from test_failpoints import Users
from test_listen import listening
from test_login import connected, key_file  # noqa: F401
from test_service import Manager
from test_tail import tail  # noqa: F401
from test_tls import Authority
from test_watch import Webhook

LONG = "PGFORCE_LONG" in os.environ
# Each round has a point in each role.
ROUNDS = 50 if LONG else 5
POINTS_PER_COMMAND = 200 if LONG else 3
POINTS_PER_KIND = 200 if LONG else 2  # of requests

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
        eventually(lambda: self.sync.entries() == [] and listening(self.sync), 200)
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


def points_of(name, counts, drawn, count=POINTS_PER_COMMAND):
    """The points to try in a process of this name; those of a replay are another's or just one."""
    if calls.ONLY:
        of, point = calls.ONLY.split("/")
        return [point] if of == name else []
    return [drawn.draw(counts) for _ in range(count)]


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


@pytest.fixture
def quiet(sync):
    """Rows on both sides and entries in the log; nobody works any more."""
    sync.load(account())
    sync.org.create("Account", Name="theirs")
    sync.query("insert into salesforce.account (name) values ('ours'), ('and ours')")
    sync.settled(2)
    eventually(lambda: sync.value("select count(*) from salesforce.account") == 3)
    for role in sync.roles.values():
        role.stop()
    return sync


def test_a_command_in_which_a_call_fails_tells_the_whole_truth_or_that_it_failed(quiet, tmp_path):
    plan = export(account())
    drawn = calls.Points()
    for name, command in READERS.items():
        counts = tmp_path / f"{name}.counts"
        whole = quiet.pgforce.run(*command, stdin=plan, env=calls.counting(counts), expect=None)
        assert whole.returncode in (0, 1, 10), whole.stderr
        for point in points_of(name, calls.read_counts(counts), drawn):
            done = quiet.pgforce.run(*command, stdin=plan, env=calls.environment(point), expect=None)
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


# ---- serve ----

TOKEN = "a-token-for-tests-0123456789"
C, ACCOUNT, CONTACT = "/api/v3/connections/{connection}", "/api/v3/mappings/{Account}", "/api/v3/mappings/{Contact}"
WANTED = json.loads(export(account()))

# Calls of every kind: method, path, body. LINES is a GET of a stream.
ASKED = {
    "pages": [
        ("GET", "/"), ("GET", "/dashboard/app.js"), ("GET", "/dashboard/style.css"), ("GET", "/livez"),
        ("POST", "/login", {"token": TOKEN}), ("GET", "/session"), ("POST", "/logout"), ("GET", "/nothing"),
    ],
    "facts": [
        ("GET", "/readyz"), ("GET", "/status"), ("GET", "/metrics"), ("GET", "/connections"), ("POST", "/auth/my-app"),
        ("GET", "/api/v3/connections?deep=true"), ("GET", "/api/v3/apps/my-app"), ("GET", C),
        ("GET", C + "/mappings"), ("GET", ACCOUNT), ("GET", ACCOUNT + "/errors"), ("GET", C + "/errors"),
        ("GET", C + "/notifications"), ("GET", C + "/statistics"), ("GET", C + "/tables/account/rows"),
        ("GET", C + "/log"), ("GET", C + "/tail"), ("LINES", C + "/tail?after=0"), ("GET", C + "/tokens"),
    ],
    "commands": [
        ("GET", C + "/actions/export"), ("POST", C + "/actions/plan", WANTED), ("GET", C + "/schemas"),
        ("GET", C + "/schemas/Account"), ("GET", ACCOUNT + "/validations"), ("GET", C + "/validations"),
        ("GET", C + "/schema-diff?target_version=60.0"), ("POST", C + "/authorize_url", {}),
    ],
    "changes": [
        ("PATCH", C, {"name": "other"}), ("GET", C), ("POST", C + "/actions/pause"), ("GET", C),
        ("POST", C + "/actions/resume"), ("GET", C), ("PATCH", C, {"name": "test"}), ("POST", C + "/actions/restart"),
        ("POST", C + "/mappings", contact()), ("PATCH", CONTACT, {"config": {"sf_polling_seconds": 1200}}),
        ("GET", CONTACT), ("POST", CONTACT + "/actions/count"), ("DELETE", CONTACT), ("GET", C + "/mappings"),
        ("POST", C + "/actions/import", WANTED), ("POST", ACCOUNT + "/actions/reload", {}),
        ("POST", ACCOUNT + "/actions/abort"), ("GET", ACCOUNT), ("POST", C + "/actions/retry", {"all": True}),
        ("POST", C + "/actions/ignore", {"all": True}), ("POST", C + "/notifications/acknowledge"),
    ],
}
# What is gone the first time is not there the second.
ALSO = {"DELETE": 404}


def own_address():
    """Of this process alone, so that it can be listened on again."""
    pid = os.getpid()
    return f"127.{1 + (pid >> 16)}.{pid >> 8 & 255}.{pid & 255}:8181"


class Server(Api):
    """`pgforce serve`, started again where it has ended."""

    def __init__(self, sync, entries, **env):
        self.sync = sync
        self.entries = entries
        self.token = TOKEN
        self.is_tls = "PGFORCE_API_CERTIFICATE_FILE" in env
        self.env = {"PGFORCE_API_TOKEN": TOKEN, "PGFORCE_API_ADDRESS": own_address(), "PGFORCE_APP_NAME": "my-app", **env}
        self.host, self.port = own_address().split(":")
        self.ids = {"connection": sync.value("select uuid::text from pgforce.connection", role="pgforce")}

    def start(self, env):
        self.role = self.sync.pgforce.start("serve", env={**self.env, **env})
        eventually(lambda: self.ask("GET", "/livez") or not self.role.is_running())

    def tend(self, point):
        if not self.role.is_running():
            calls.assert_end(point, self.role.wait(), self.role.log_text())
            self.start({})

    def stop(self, point):
        os.kill(self.role.pid, signal.SIGTERM)
        calls.assert_end(point, self.role.wait(), self.role.log_text(), (0,))

    def read_lines(self, path):
        stream = self.stream(path, "application/x-ndjson")
        if stream.status == 200:
            lines = [stream.readline() for _ in range(self.entries)]
            if b"" in lines:
                raise ConnectionResetError("a stream has no end")
            stream.read = lambda: b"".join(lines)
        return Answer(stream)

    def ask(self, method, path, body=None):
        """None: the connection was closed before the answer was whole."""
        rows = self.sync.query("select object_name, uuid::text from pgforce.mapping", role="pgforce")
        self.ids.update(rows)
        path = path.format(**self.ids)
        try:
            if method == "LINES":
                return self.read_lines(path)
            return self.call(method, path, body, headers={"Accept-Encoding": "gzip"})
        except (http.client.HTTPException, ConnectionError, ssl.SSLError):
            return None

    def answer(self, request, whole, point):
        """Asks until the answer is as it was when nothing failed; one that is not, and does not say so, is an error."""
        found = []

        def check():
            self.tend(point)
            found.append(facts(self.ask(*request)))
            is_repeat = len(found) > 1 and found[-1] and found[-1][0] == ALSO.get(request[0])
            if found[-1] == whole or is_repeat:
                return True
            if found[-1] and found[-1][0] < 500:
                pytest.fail(f"PGFORCE_POINT={point} {request[:2]}: {found}, not {whole}")
            return False

        try:
            eventually(check)
        except AssertionError as error:
            raise AssertionError(f"PGFORCE_POINT={point} {request[:2]}: {found[-1]}") from error


def facts(answer):
    """What two answers to the same call have in common, whenever it is made."""
    if answer is None:
        return None
    text = re.sub(r"[0-9a-f]{8}-[-0-9a-f]{27}|[\w%~-]{40,}", "#", answer.text)
    return answer.status, sorted(answer.headers.keys()), told("", text)


@pytest.mark.parametrize("kind", [*ASKED, "tls"])
def test_a_request_in_which_a_call_fails_is_answered_whole_or_not_taken_for_it(quiet, tmp_path, kind):
    asked, env = ASKED.get(kind, ASKED["pages"]), {}
    if kind == "tls":
        certificate, key = Authority(tmp_path, "ours").sign("localhost")
        env = {"PGFORCE_API_CERTIFICATE_FILE": str(certificate), "PGFORCE_API_KEY_FILE": str(key)}
    server = Server(quiet, entries=2, **env)
    counts = tmp_path / "serve.counts"
    whole = []
    # Some only come again as they were from the second time on.
    for env in ({}, calls.counting(counts)):
        server.start(env)
        whole = [facts(server.ask(*request)) for request in asked]
        server.stop("serve")
    for point in points_of(f"serve-{kind}", calls.read_counts(counts), calls.Points(), POINTS_PER_KIND):
        server.start(calls.environment(point))
        for request, answer in zip(asked, whole):
            server.answer(request, answer, f"serve-{kind}/{point}")
        server.stop(f"serve-{kind}/{point}")


# ---- watch ----

WATCHES = 4  # at once: a round of theirs takes seconds
CAUSE = "MUST_BE_MAPPABLE Account"


class Watched:
    """A schema, its watch, which is started again where it has ended, and whom that tells."""

    def __init__(self, pgforce, database, sandbox, folder):
        folder.mkdir()
        self.schema = folder.name
        self.heard = folder / "heard"
        self.sync = Sync(Pgforce(database, {**pgforce.env, "PGFORCE_SCHEMA": self.schema}, folder), database, sandbox)
        self.sync.map(account())
        self.webhook = Webhook(self.note)
        self.env = {"PGFORCE_NOTIFY_URL": self.webhook.url, "PGFORCE_NOTIFY_COMMAND": f"tee -a {self.heard}"}

    def query(self, sql):
        return self.sync.query(sql, [self.schema], role="pgforce")

    def note(self, body):
        """Whether what is told now had been stored as told."""
        times = self.query("select told_at, told_resolved_at from pgforce.notification where schema_name = %s"
                           f" and id = {int(body['id'])}")
        return {"is_repeat": times[0][body["state"] == "resolved"] is not None}

    def begin(self, point, env):
        self.point = point
        self.query("delete from pgforce.notification where schema_name = %s")
        self.heard.write_text("")
        self.webhook.told.clear()
        self.start(env)
        self.set_state("SYSTEM_ERROR")

    def start(self, env):
        self.child = self.sync.pgforce.start("watch", env={**self.env, **env})

    def set_state(self, state):
        self.query(f"update pgforce.mapping set state = '{state}' where schema_name = %s")

    def tend(self):
        if not self.child.is_running():
            self.judge()
            self.start({})

    def judge(self, also=()):
        calls.assert_end(f"watch/{self.point}", self.child.wait(), self.child.log_text(), also)
        if "secret-of-the-hook" in self.child.log_text():
            pytest.fail(f"PGFORCE_POINT=watch/{self.point} tells the webhook's secret")

    def has_told(self, *states):
        """Each once, or again where it was not stored that it was told."""
        self.tend()
        told = [item for item in self.webhook.told if item["cause"] == CAUSE]
        order = [state for state, _ in itertools.groupby(item["state"] for item in told)]
        if any(item["is_repeat"] for item in told) or order != list(states)[: len(order)]:
            pytest.fail(f"PGFORCE_POINT=watch/{self.point}: {told}")
        return order == list(states)

    def is_stored(self):
        return self.query("select told_at is not null and told_resolved_at is not null from pgforce.notification"
                          f" where schema_name = %s and cause = '{CAUSE}'") == [(True,)]

    def end(self):
        os.kill(self.child.pid, signal.SIGTERM)
        self.judge(also=(0,))


@pytest.fixture
def watched(pgforce, database, sandbox, tmp_path):
    made = [Watched(pgforce, database, sandbox, tmp_path / f"watched{n}") for n in range(WATCHES)]
    yield made
    for each in made:
        each.webhook.close()
        each.sync.pgforce.end()


def run_watches(watched):
    for each in watched:
        eventually(lambda each=each: each.has_told("began"))
        each.set_state("DATA_SYNCED")
    for each in watched:
        eventually(lambda each=each: each.has_told("began", "resolved") and each.is_stored())
        assert each.heard.read_text().count(f'"cause": "{CAUSE}"') >= 2
        each.end()


def test_an_alert_is_told_once_though_a_call_fails_on_the_way(watched, tmp_path):
    counts = tmp_path / "watch.counts"
    watched[0].begin(None, calls.counting(counts))
    run_watches(watched[:1])
    points = points_of("watch", calls.read_counts(counts), calls.Points())
    for first in range(0, len(points), WATCHES):
        batch = list(zip(watched, points[first : first + WATCHES]))
        for each, point in batch:
            each.begin(point, calls.environment(point))
        run_watches([each for each, _ in batch])


# ---- the supervisor ----

SUPERVISED = (*ROLES, "watch", "serve")


def members(session):
    """The processes of a session: their states and roles, by their ids."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            words = (folder / "cmdline").read_text(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session:
            found[int(folder.name)] = (fields[0], words[1] if len(words) > 1 else "")
    return found


class Daemon:
    """`pgforce run`, started again where it has ended, as its service manager does."""

    def __init__(self, sync, folder):
        self.sync = sync
        self.manager = Manager(str(folder / "notify"))
        self.env = {**self.manager.env, "PGFORCE_API_ADDRESS": own_address(), "PGFORCE_API_TOKEN": TOKEN}

    def start(self, env):
        self.child = self.sync.pgforce.start("run", env={**self.env, **env})

    def judge(self, point, also=()):
        calls.assert_end(f"run/{point}", self.child.wait(), self.child.log_text(), also)
        # Its roles end with it, also where it could not tell them.
        eventually(lambda: members(self.child.pid) == {})

    def survive(self, point, env):
        self.manager.forget()
        self.start(env)
        self.runs_all(point, lambda: "READY=1" in self.manager.listen())
        self.kill_one()
        self.runs_all(point, lambda: True)
        os.kill(self.child.pid, signal.SIGTERM)
        self.judge(point, (0,))

    def kill_one(self):
        for pid, (_, role) in members(self.child.pid).items():
            if role == "housekeeper":
                os.kill(pid, signal.SIGKILL)
                eventually(lambda pid=pid: pid not in members(self.child.pid))

    def runs_all(self, point, and_more):
        """Each role once, and no dead ones."""

        def check():
            if not self.child.is_running():
                self.judge(point)
                self.start({})
            found = members(self.child.pid).values()
            roles = sorted(role for _, role in found)
            return roles == sorted([*SUPERVISED, "run"]) and "Z" not in dict(found) and and_more()

        try:
            eventually(check)
        except AssertionError as error:
            raise AssertionError(f"PGFORCE_POINT=run/{point}: {members(self.child.pid)}") from error


def test_a_supervisor_in_which_a_call_fails_starts_all_roles_and_leaves_none_behind(sync, tmp_path):
    sync.map(account())
    daemon = Daemon(sync, tmp_path)
    counts = tmp_path / "run.counts"
    daemon.survive(None, calls.counting(counts))
    for point in points_of("run", calls.read_counts(counts), calls.Points()):
        daemon.survive(point, calls.environment(point))
