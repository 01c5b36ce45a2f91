"""A day's installation in one folder: a server, an organisation in a file, and pgforce with all its roles. Whoever
comes with the same folder later finds it as it was left, also when the one before was killed. The programs are copied
there, so that a day is of one build."""

import json
import shutil
import sys
import time
from pathlib import Path

import process
from cluster import BUILD, ROOT, ClusterError
from server import LIBRARIES, PLUGIN, Server, run_pgforce

sys.path.insert(0, str(ROOT / "tests" / "integration"))

from sandbox import Sandbox  # noqa: E402

PROGRAMS = ("pgforce", "pgforce-sandbox")
SLOT = "pgforce_salesforce"
ARCHIVE_AFTER_S = 60
# As a server comes, but for its memory, and for vacuuming: the day's dead rows come within minutes.
SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
    "output_plugin_libraries": LIBRARIES,
}


class Stand:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self._running_file = self.folder / "running.json"
        self.server = Server(self.folder, PLUGIN)
        self.sandbox = Sandbox(
            self.folder,
            *("--data", self.folder / "org.sqlite", "--log-level", "warning"),
            program=self.folder / "bin" / "pgforce-sandbox",
        )
        self._daemon = None

    def start(self, install):
        """install(stand) is called once in a folder's life, before pgforce runs."""
        self._stop_left_over()
        self._copy_programs()
        if not self.server.is_running():
            self.server.start()
        self.sandbox.start()
        self._note_running("sandbox", self.sandbox.process.pid)
        if not (self.folder / "installed").exists():
            self.server.configure(SETTINGS)
            self.server.psql(self.pgforce("setup", "--print-superuser-sql"))
            self.pgforce("setup")
            install(self)
            (self.folder / "installed").touch()
        self._daemon = process.start([self._pgforce, "run"], self.folder / "pgforce.log", self._environment())
        self._note_running("pgforce", self._daemon.pid)
        self.wait_until(lambda: self.walsender() is not None, "the archive streams")

    @property
    def _pgforce(self):
        return self.folder / "bin" / "pgforce"

    def _copy_programs(self):
        """The last to come tells that all are there."""
        if self._pgforce.exists():
            return
        self._pgforce.parent.mkdir(exist_ok=True)
        for name in reversed(PROGRAMS):
            copy = self._pgforce.with_name(name + ".new")
            shutil.copy2(BUILD / "bin" / name, copy)
            copy.replace(self._pgforce.with_name(name))

    def stop(self):
        self._stop_left_over()
        if self._daemon is not None:
            self._daemon.wait()
        if self.sandbox.process is not None:
            self.sandbox.stop()
        if self.server.is_running():
            self.server.stop()

    def pgforce(self, *arguments, stdin=None):
        return run_pgforce(self._pgforce, arguments, self._environment(), stdin)

    def start_client(self, name, argv):
        """A program that makes changes; it is stopped with the rest."""
        child = process.start(argv, self.folder / f"{name}.log", process.environment())
        self._note_running(name, child.pid)
        return child

    def roles(self):
        """{name: process id}, of the supervisor too."""
        found = {"supervisor": self._daemon.pid}
        children = Path(f"/proc/{self._daemon.pid}/task/{self._daemon.pid}/children").read_text(encoding="ascii")
        for pid in map(int, children.split()):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[command[1].decode()] = pid
        return found

    def walsender(self):
        return self.server.value(
            "select min(active_pid) from pg_replication_slots where slot_name = %s", [SLOT]
        )

    def check_alive(self):
        if self._daemon.poll() is not None:
            raise ClusterError(f"pgforce ended: see {self.folder / 'pgforce.log'}")

    def wait_until(self, is_true, what, deadline_s=3600):
        """Looks once a second: whatever is waited for has other work to do than to answer."""
        deadline_s += time.monotonic()
        while not is_true():
            self.check_alive()
            if time.monotonic() > deadline_s:
                raise ClusterError(f"it is still not true that {what}; all is left in {self.folder}")
            time.sleep(1)

    def _environment(self):
        return process.environment(
            PGFORCE_DATABASE_URL=self.server.dsn("pgforce"),
            PGFORCE_APP_ROLE="app",
            PGFORCE_SF_LOGIN_URL=self.sandbox.url,
            PGFORCE_SF_CLIENT_ID=self.sandbox.client_id,
            PGFORCE_SF_CLIENT_SECRET=self.sandbox.client_secret,
            PGFORCE_ARCHIVE_AFTER_S=str(ARCHIVE_AFTER_S),
        )

    def _note_running(self, name, pid):
        running = self._running()
        running[name] = [pid, process.start_time(pid)]
        self._running_file.write_text(json.dumps(running) + "\n")

    def _running(self):
        return json.loads(self._running_file.read_text()) if self._running_file.exists() else {}

    def _stop_left_over(self):
        """What this run, or one that was killed, has started; the last first."""
        for pid, started in reversed(self._running().values()):
            process.stop(pid, started)
        self._running_file.unlink(missing_ok=True)
