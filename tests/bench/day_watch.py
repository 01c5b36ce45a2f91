"""Looks on while the day goes by: memory, latency, WAL, CPU. Of each hour the worst is kept."""

import contextlib
import threading
import time

import psycopg2

from day_stand import SLOT
from log_reader import Reader
from server import cpu_s

SAMPLE_S = 2
EVERY_NTH = 50  # entry whose latency is looked at
SHARES = (50, 95, 99)


class Watch:
    """From start to finish one hour. Its figures are a dictionary for JSON."""

    def __init__(self, stand):
        self._stand = stand
        self._connection = stand.server.connect()
        self._reader = _LatencyReader(stand.server)
        self._reader.start()
        self._answered_up_to = self._value("select now()")

    def begin_hour(self):
        self._began_s = time.monotonic()
        self._began_at = self._value("select pg_current_wal_insert_lsn()")
        self._cpu = self._cpu_s()
        self._reader.take()
        self._answers_ms = []
        self._memory_mb, self._most = {}, {}

    def run_until(self, is_over):
        next_s = time.monotonic()
        while not is_over():
            self._stand.check_alive()
            if time.monotonic() >= next_s:
                self._sample()
                next_s = time.monotonic() + SAMPLE_S
            time.sleep(0.1)
        self._sample()

    def end_hour(self):
        wal = self._value("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)::bigint", [self._began_at])
        return {
            "seconds": round(time.monotonic() - self._began_s, 1),
            "memory_mb": {name: round(most, 1) for name, most in sorted(self._memory_mb.items())},
            "logged_ms": _percentiles(self._reader.take()),
            "answered_ms": _percentiles(self._answers_ms),
            "answered": len(self._answers_ms),
            "wal_bytes": wal,
            "most": self._most,
            "cpu_s": {
                name: round(used - self._cpu[name], 2)
                for name, used in sorted(self._cpu_s().items())
                if name in self._cpu
            },
        }

    def close(self):
        self._reader.stop()
        self._connection.close()

    def processes(self):
        """{name: [process ids]}: pgforce's roles, and what works for them in the server."""
        found = {name: [pid] for name, pid in self._stand.roles().items()}
        for pid, name, kind in self._query(
            """select pid, application_name, backend_type from pg_stat_activity
               where application_name like 'pgforce%' and pid <> pg_backend_pid()"""
        ):
            role = name.removeprefix("pgforce ")
            label = "walsender" if kind == "walsender" else f"back end of {role}"
            found.setdefault(label, []).append(pid)
        found["organisation"] = [self._stand.sandbox.process.pid]
        return found

    def _sample(self):
        for name, pids in self.processes().items():
            self._memory_mb[name] = max(self._memory_mb.get(name, 0), sum(map(_own_memory_mb, pids)))
        [(retained, lag, log, waiting)] = self._query(
            """select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint,
                      pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn)::bigint,
                      pg_total_relation_size('salesforce._trigger_log'),
                      (select count(*) from salesforce._trigger_log where state in ('NEW', 'PENDING'))
               from pg_replication_slots where slot_name = %s""",
            [SLOT],
        )
        now = {"retained_bytes": retained, "lag_bytes": lag, "log_bytes": log, "waiting": waiting}
        self._most = {name: max(value, self._most.get(name, 0)) for name, value in now.items()}
        self._note_answers()

    def _note_answers(self):
        """Of what came back since the last look; an answer's time is a little older than its commit."""
        up_to = self._value("select now() - interval '5 seconds'")
        if up_to <= self._answered_up_to:
            return
        self._answers_ms += [
            ms
            for (ms,) in self._query(
                """select extract(epoch from processed_at - commit_time)::float8 * 1000
                   from salesforce._trigger_log
                   where processed_at > %s and processed_at <= %s and state = 'SUCCESS' and commit_time is not null""",
                [self._answered_up_to, up_to],
            )
        ]
        self._answered_up_to = up_to

    def _cpu_s(self):
        used = {}
        for name, pids in self.processes().items():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                used[name] = sum(map(cpu_s, pids))
        return used

    def _value(self, sql, parameters=None):
        return self._query(sql, parameters)[0][0]

    def _query(self, sql, parameters=None):
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()


class _LatencyReader(threading.Thread):
    """Notes when an entry could be read, as the role that pushes learns it."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self._reader = Reader(server)
        self._reader.skip()
        self._lock = threading.Lock()
        self._latencies_ms = []
        self._is_over = threading.Event()

    def run(self):
        with contextlib.suppress(psycopg2.Error):
            while not self._is_over.is_set():
                until_s = time.monotonic() + 1
                while time.monotonic() < until_s:
                    self._reader.read(0.2)
                found = self._reader.take_latencies_ms(EVERY_NTH)
                with self._lock:
                    self._latencies_ms += found

    def take(self):
        with self._lock:
            taken, self._latencies_ms = self._latencies_ms, []
        return taken

    def stop(self):
        self._is_over.set()
        self.join()
        self._reader.close()


def _percentiles(latencies_ms):
    ordered = sorted(latencies_ms)
    if not ordered:
        return {}
    return {f"p{share}": round(ordered[(len(ordered) - 1) * share // 100], 1) for share in SHARES}


def _own_memory_mb(pid):
    """What a process has for itself: neither the server's shared buffers nor a program's code."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) / 1024
    return 0
