"""What falls on pgforce, by name. Each is drawn from the seed; none outlives calm()."""

import contextlib
import os
import signal

import psycopg2

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


class Faults:
    def __init__(self, world, random):
        self.world = world
        self.random = random
        self.counts = {}

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
        ]
        act = self.random.choice(acts)
        act()

    def count(self, name):
        self.counts[name] = self.counts.get(name, 0) + 1

    def break_an_answer(self):
        name = self.random.choice(list(ANSWERS))
        match = self.random.choice(
            [COLLECTIONS, COLLECTIONS, {"path": "/query"}, {"method": "POST", **COLLECTIONS}, {"path": "/deleted"}]
        )
        times = self.random.choice([1, 1, 2, 5])
        self.world.org.fault({"match": match, "times": times, **ANSWERS[name]})
        self.count(f"answer: {name}")

    def kill_a_role(self, signal_number=signal.SIGKILL):
        role = self.random.choice(ROLES)
        pid = self.world.role_pids().get(role)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)
            self.count(f"kill {role}")

    def stop_a_role_for_a_moment(self):
        """SIGSTOP; it goes on at the next calm."""
        pid = self.world.role_pids().get(self.random.choice(ROLES))
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
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

    def calm(self):
        """All that can be taken back is."""
        self.world.org.clear_faults()
        self.world.proxy.resume()
        for pid in self.world.role_pids().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        if not self.world.cluster.is_running():
            self.world.cluster.start()
        if not self.world.supervisor.is_running():
            self.world.start_supervisor()
