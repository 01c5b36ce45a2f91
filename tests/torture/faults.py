"""What falls on pgforce, by name. Each is drawn from the seed; none outlives calm()."""

import contextlib
import os
import signal

import psycopg2

from cluster import run_as_server
from eventually import eventually
from stepped_clock import DAY, HOUR, YEAR
from world import ROLES

COLLECTIONS = {"path": "/composite/sobjects"}
HTML = {"body": "<html><body>Down for maintenance</body></html>", "content_type": "text/html"}
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
BUSY = [{"message": "ConcurrentRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
TROUBLE = [{"message": "An unexpected error occurred.", "errorCode": "UNKNOWN_EXCEPTION"}]
ANSWERS = {
    "not executed, cut": {"drop": "before"},
    "executed, answer lost": {"drop": "after"},
    "executed, late": {"delay_ms": 1500},
    "401": {"status": 401, "body": EXPIRED},
    "403 busy": {"status": 403, "body": BUSY},
    "429": {"status": 429, "body": BUSY, "headers": {"Retry-After": "1"}},
    "500": {"status": 500, "body": TROUBLE},
    "503": {"status": 503, "body": "busy"},
    "503 page": {"status": 503, **HTML},
    "200 page": {"status": 200, **HTML},
    "half a body": {"status": 200, "body": '[{"success":true,"id":"001', "content_type": "application/json"},
}
PLACES = [COLLECTIONS, COLLECTIONS, {"path": "/query"}, {"method": "POST", **COLLECTIONS}, {"path": "/deleted"}]
BULK_PLACES = [{"path": "/jobs/ingest"}, {"path": "/jobs/query"}, {"path": "/batches"}, {"path": "Results"}]
OBJECTS = ("Account", "Contact", "Lead")
# The server's WAL is in files of one MB here: a file may be that long, so only tables cannot grow. With half of it the
# WAL itself cannot be written, which stops the server.
TABLES_FULL, WAL_FULL = 1024 * 1024, 512 * 1024
SLOT = "pgforce_salesforce"
# A BUG of pgforce's, and death by a signal: no operator's command ends so.
NEVER = (70, *range(-64, 0))


class Faults:
    def __init__(self, world, random):
        self.world = world
        self.random = random
        self.counts = {}
        self.stopped = []  # pids
        self.commands = []
        self.problems = []

    def strike(self):
        """One fault, by a draw of the seed."""
        acts = [
            *[self.break_an_answer] * 8,
            *[self.kill_a_role] * 4,
            self.kill_the_supervisor,
            *[self.terminate_a_back_end] * 3,
            *[self.cut_connections] * 2,
            self.stall_connections,
            self.expire_sessions,
            self.step_the_clock,
            self.change_a_table,
            self.stop_a_role_for_a_moment,
            self.answer_twice,
            self.cut_the_organisation,
        ]
        plan = self.world.plan
        if plan.is_bulk:
            acts += [self.break_a_bulk_answer] * 3 + [self.fail_a_job]
        if plan.listens:
            acts += [self.disturb_events] * 3
        if plan.is_operated:
            acts += [self.operate] * 5
        if plan.is_disk_full:
            acts += [self.fill_the_disk] * 3
        if plan.sets_clocks:
            acts += [self.set_a_clock] * 8
        act = self.random.choice(acts)
        act()

    def count(self, name):
        self.counts[name] = self.counts.get(name, 0) + 1

    def break_an_answer(self):
        self._break(PLACES, "answer")

    def break_a_bulk_answer(self):
        self._break(BULK_PLACES, "bulk")

    def _break(self, places, what):
        name = self.random.choice(list(ANSWERS))
        times = self.random.choice([1, 1, 2, 5])
        self.world.org.fault({"match": self.random.choice(places), "times": times, **ANSWERS[name]})
        self.count(f"{what}: {name}")

    def fail_a_job(self):
        self._door("bulk", {"fail_after": self.random.randint(0, 20)}, "fail a job")

    def disturb_events(self):
        """Events that are only announced, forgotten, repeated or lost."""
        act, body = self.random.choice(
            [
                ("gap", {"object": self.random.choice(OBJECTS), "next": 3}),
                ("overflow", {"object": self.random.choice(OBJECTS)}),
                ("forget", {}),
                ("expire", {}),
                ("repeat", {"count": 5}),
            ]
        )
        self._door(f"events/{act}", body, f"events: {act}")

    def _door(self, path, body, name):
        answer = self.world.org.post(f"/_sandbox/{path}", body)
        assert answer.status < 300, (path, answer.body)
        self.count(name)

    def answer_twice(self):
        self.world.gateway.repeat(self.random.choice([1, 2, 5]))
        self.count("answer twice")

    def cut_the_organisation(self):
        if self.random.random() < 0.3:
            self.world.gateway.stall()
        else:
            self.world.gateway.cut_after(self.random.randint(1, 5000))
        self.count("cut the organisation")

    def operate(self):
        """An operator's command, in the background: it may have to wait for what the users hold."""
        name = self.random.choice(OBJECTS)
        arguments = self.random.choice(
            [
                ["mapping", "edit", "Account", "--field", "Industry"],
                ["mapping", "edit", "Account", "--without", "Industry", "--yes"],
                ["mapping", "reload", name, "--in-place"],
                ["mapping", "abort", name],
                ["mapping", "refresh", name],
                ["resume", name],
                ["pause"],
                ["resume"],
            ]
        )
        self.commands.append(self.world.pgforce.start(*arguments))
        self.count(" ".join(arguments[:2] if arguments[0] == "mapping" else arguments[:1]))

    def _end_operations(self):
        """The commands have ended as commands may, and what they stopped goes on."""
        for command in self.commands:
            code = command.wait(60)
            if code in NEVER and "File too large" not in command.log_text():
                self.problems.append(f"an operator's command ended with {code}: {command.log}")
        self.commands.clear()
        for name in ("", *OBJECTS):
            self.world.pgforce.run("resume", *filter(None, [name]), expect=None)

    def fill_the_disk(self):
        """No file of the server's may grow beyond a limit, from the point of view of pgforce's sessions."""
        limit = WAL_FULL if self.random.random() < 0.2 else TABLES_FULL
        self._limit_files(limit)
        self.count("fill the disk" if limit == TABLES_FULL else "fill the disk of the WAL")

    def _limit_files(self, limit=-1):
        with contextlib.suppress(psycopg2.Error):
            pids = self.world.query(
                "select pid from pg_stat_activity where usename = 'pgforce' or %s", [limit < 0], role="postgres"
            )
            # New sessions are children of the first process and have its limit; without WAL none could begin.
            if limit != WAL_FULL:
                pids.append((self.world.cluster.pid(),))
            value = "unlimited" if limit < 0 else limit
            # As who runs the server: to root of a container it may be forbidden.
            commands = [f"prlimit --pid {pid} --fsize={value}:" for (pid,) in pids]
            run_as_server(["sh", "-c", "; ".join(commands)], check=False)

    def kill_a_role(self):
        role = self.random.choice(ROLES)
        pid = self.world.role_pids().get(role)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.count(f"kill {role}")

    def stop_a_role_for_a_moment(self):
        """SIGSTOP; it goes on at the next calm."""
        pid = self.world.role_pids().get(self.random.choice(ROLES))
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.stopped.append(pid)
            self.count("stop a role")

    def kill_the_supervisor(self):
        self.world.supervisor.kill()
        self.world.start_supervisor()
        self.count("kill the supervisor")

    def terminate_a_back_end(self):
        """Any of pgforce's, the walsender among them."""
        with contextlib.suppress(psycopg2.Error):
            rows = self.world.query(
                "select pid from pg_stat_activity where usename = 'pgforce' and datname = current_database()"
                " order by backend_start",
                role="postgres",
            )
            if rows:
                [pid] = self.random.choice(rows)
                self.world.query("select pg_terminate_backend(%s)", [pid], role="postgres")
                self.count("terminate a back end")

    def crash_the_server(self):
        self.world.cluster.immediate_stop()
        self.world.cluster.start()
        self.count("stop PostgreSQL at once")

    def cut_connections(self):
        if self.random.random() < 0.5:
            self.world.proxy.cut()
        else:
            self.world.proxy.cut_after(self.random.randint(1, 5000))
        self.count("cut the connections")

    def stall_connections(self):
        """They stay open and silent until the next calm."""
        self.world.proxy.stall()
        self.count("stall the connections")

    def expire_sessions(self):
        self.world.org.expire_sessions()
        self.count("expire the sessions")

    def step_the_clock(self):
        self.world.org.advance(self.random.choice([1, 30, 600, 3600]))
        self.count("step the organisation's clock")

    def set_a_clock(self):
        """pgforce's or the server's, until the next calm."""
        name, clock = self.random.choice([("our", self.world.clock), ("the server's", self.world.cluster.clock)])
        clock.set(self.random.choice([-1, 1]) * self.random.choice([HOUR, DAY, YEAR]))
        self.count(f"set {name} clock")

    def change_a_table(self):
        """DDL of a user, under load; pgforce's columns stay."""
        table = self.random.choice(["account", "contact", "lead"])
        with contextlib.suppress(psycopg2.Error):
            self.world.query(
                f"set lock_timeout = '300ms'; alter table salesforce.{table}"
                " add column if not exists note_of_theirs text;"
                f" alter table salesforce.{table} drop column note_of_theirs",
                role="postgres",
            )
            self.count("change a table")

    def drop_the_slot(self):
        """By somebody who may, while it is read."""

        def drop():
            with contextlib.suppress(psycopg2.Error):
                self.world.query(
                    "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s",
                    [SLOT],
                    role="postgres",
                )
                self.world.query("select pg_drop_replication_slot(%s)", [SLOT], role="postgres")
                return True
            return False

        eventually(drop)
        self.count("drop the slot")

    def calm(self):
        """All that can be taken back is."""
        self.world.org.clear_faults()
        self.world.proxy.resume()
        self.world.gateway.resume()
        if self.world.plan.sets_clocks:
            self.world.clock.set(0)
            self.world.cluster.clock.set(0)
        # Also one whose supervisor was killed meanwhile: only awake it notices.
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped.clear()
        self.world.wait_for_server()
        self._limit_files()
        if not self.world.supervisor.is_running():
            self.world.start_supervisor()
        if self.world.plan.is_operated:
            self._end_operations()
