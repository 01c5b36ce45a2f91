"""A scratch server for the benchmarks, and what its processes cost."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from psycopg2.extensions import make_dsn

import process
from cluster import BUILD, Cluster, ClusterError, give_to_server, server_program

PLUGIN = BUILD / "plugin" / "pgforce.so"
NOTHING = BUILD / "plugin" / "pgforce_bench_nothing.so"
LIBRARIES = "pgoutput, test_decoding, wal2json, decoderbufs, pgforce, pgforce_bench_nothing"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
DEADLINE_S = 600

SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "40GB",
    "min_wal_size": "1GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "jit": "off",
    "log_min_messages": "warning",
    "output_plugin_libraries": LIBRARIES,
}


def run_pgforce(program, arguments, env, stdin=None):
    """What a command prints; ClusterError with its own words when it fails."""
    done = subprocess.run([program, *arguments], input=stdin, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"pgforce {arguments[0]} failed: {done.stderr}")
    return done.stdout


class Server(Cluster):
    """A cluster with the settings of a benchmark; all is done as the superuser."""

    @classmethod
    @contextlib.contextmanager
    def scratch(cls, **settings):
        """One in a folder of its own, removed at the end."""
        folder = Path(tempfile.mkdtemp(prefix="pgforce-bench-", dir="/tmp"))
        folder.chmod(0o755)
        server = cls(folder, PLUGIN)
        try:
            server.start()
            server.configure({**SETTINGS, **settings})
            yield server
        finally:
            server.remove()
            shutil.rmtree(folder)

    def configure(self, settings):
        shutil.copy(NOTHING, self.lib)
        known = {name for name, in self.query("select name from pg_settings")}
        lines = []
        for name, value in settings.items():
            # A list is given as a list: one string would be one library's name.
            shown = value if name == "output_plugin_libraries" else f"'{value}'"
            if name in known:
                lines.append(f"alter system set {name} = {shown};\n")
        self.psql("".join(lines))
        self.restart()

    def enable_tls(self):
        key, certificate = self.data / "server.key", self.data / "server.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
            + ["-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        key.chmod(0o600)
        for path in (key, certificate):
            give_to_server(path)
        self.psql("alter system set ssl = on;")
        self.reload()

    def conninfo(self, transport="unix", role="postgres"):
        ways = {
            "unix": {"host": self._state["home"]},
            "tcp": {"host": "127.0.0.1", "sslmode": "disable"},
            "tls": {"host": "127.0.0.1", "sslmode": "require"},
        }
        return make_dsn(self.dsn(role), **ways[transport])

    def value(self, sql, parameters=None):
        return self.query(sql, parameters)[0][0]

    def position(self):
        return self.value("select pg_current_wal_insert_lsn()::text")

    def bytes_between(self, from_lsn, to_lsn):
        return int(self.value("select pg_wal_lsn_diff(%s, %s)", [to_lsn, from_lsn]))

    def drop_slot(self, name):
        """A walsender whose client has gone takes a moment to notice."""
        wait_until(
            lambda: self.value(
                "select not exists (select from pg_replication_slots where slot_name = %s and active)",
                [name],
            ),
            f"slot {name} is free",
        )
        self.query("select pg_drop_replication_slot(%s)", [name])

    def pgbench(self, *arguments, synchronous_commit="on"):
        """Runs pgbench and answers what it printed."""
        argv = [server_program("pgbench"), "-n", "-M", "prepared", *arguments, self.conninfo()]
        env = process.environment(PGOPTIONS=f"-c synchronous_commit={synchronous_commit}")
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(f"pgbench failed: {done.stdout}{done.stderr}")
        return done.stdout


def wait_until(is_true, what, deadline_s=DEADLINE_S):
    deadline = time.monotonic() + deadline_s
    while not is_true():
        if time.monotonic() > deadline:
            raise ClusterError(f"after {deadline_s} s it is still not true that {what}")
        time.sleep(0.02)


def cpu_s(pid):
    """CPU seconds of a process, user and system."""
    return sum(_stat(pid)[11:13]) / TICKS_PER_S


def _stat(pid):
    """The numbers of /proc/PID/stat from the third field on; the state's letter is 0."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return [0, *map(int, file.read().rpartition(")")[2].split()[1:])]


def tree_cpu_s(postmaster):
    """CPU seconds of a server's processes, those that have ended included."""
    while True:
        children = _children(postmaster)
        total = sum(_stat(postmaster)[11:15]) + sum(map(sum, children.values()))
        # One that ended meanwhile would be missed, or counted twice.
        if _children(postmaster).keys() == children.keys():
            return total / TICKS_PER_S


def _children(postmaster):
    """{process id: ticks of CPU, user and system}."""
    found = {}
    for name in os.listdir("/proc"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if name.isdigit() and (stat := _stat(name))[1] == postmaster:
                found[name] = stat[11:13]
    return found


def peak_mb(pid):
    """The most memory a process has had."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    raise ClusterError(f"process {pid} has no VmHWM")
