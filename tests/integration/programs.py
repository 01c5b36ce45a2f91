"""pgforce as a test runs it: commands to their end, roles in the background."""

import signal
import subprocess
import urllib.parse
from pathlib import Path

import process
from cluster import BUILD


SECRETS = ("PGFORCE_SF_CLIENT_SECRET", "PGFORCE_SF_PASSWORD", "PGFORCE_SF_REFRESH_TOKEN", "PGFORCE_SF_ACCESS_TOKEN",
           "PGFORCE_SECRET_KEY", "PGFORCE_API_TOKEN")
SHORTEST_SECRET = 12  # what is shorter may be a word of a message


def assert_no_secret(env, where, text):
    """Of all that any test makes pgforce write or answer: none of the secrets that it was given stands in it."""
    secrets = {name: env.get(name) or "" for name in SECRETS}
    secrets["the database's password"] = urllib.parse.urlsplit(env.get("PGFORCE_DATABASE_URL", "")).password or ""
    told = [name for name, secret in secrets.items() if len(secret) >= SHORTEST_SECRET and secret in text]
    assert told == [], f"{where} has a secret: {told}"


class Background:
    """A role of pgforce in the background; its log is a file of its own."""

    def __init__(self, argv, env, log):
        self.log = Path(log)
        self.env = env
        self._child = process.start(argv, log, env)

    @property
    def pid(self):
        return self._child.pid

    def is_running(self):
        return self._child.poll() is None

    def log_text(self):
        return self.log.read_text(errors="replace")

    def wait(self, deadline_s=90):
        """Waits for its own end; answers the exit code, negative for a signal."""
        return self._child.wait(deadline_s)

    def stop(self, deadline_s=90):
        """As an operator stops it. Answers the exit code; not stopping in time is a failure."""
        self._child.send_signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def kill(self):
        """As a crash: no chance to finish anything."""
        self._child.kill()
        return self.wait()

    def end(self):
        """At the end of a test: whatever state it is in, afterwards it is gone."""
        if self.is_running():
            process.stop(self.pid, process.start_time(self.pid), deadline_s=10)
        self.wait()
        assert_no_secret(self.env, self.log.name, self.log_text())


class Pgforce:
    """Runs the binary against one database and one organisation."""

    def __init__(self, database, env, folder):
        self.binary = BUILD / "bin" / "pgforce"
        self.database = database
        self.env = env
        self.folder = Path(folder)
        self.started = []

    def run(self, *arguments, expect=0, stdin=None, env=None, deadline_s=60):
        """Runs a command to its end and answers it (.stdout, .stderr). Another exit code than expect
        fails the test; None expects any."""
        env = process.environment(**{**self.env, **(env or {})})
        done = subprocess.run(
            [self.binary, *arguments],
            env=env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
        assert expect is None or done.returncode == expect, (
            f"pgforce {' '.join(map(str, arguments))} ended with {done.returncode}, not {expect}:\n"
            f"{done.stdout}{done.stderr}"
        )
        assert_no_secret(env, " ".join(["pgforce", *map(str, arguments)]), done.stdout + done.stderr)
        return done

    def start(self, *arguments, env=None):
        """Starts a role in the background: start("archive")."""
        log = self.folder / f"{len(self.started)}-{arguments[0]}.log"
        child = Background(
            [self.binary, *arguments], process.environment(**{**self.env, **(env or {})}), log
        )
        self.started.append(child)
        return child

    def set_up(self):
        """What an administrator does once: the superuser's part, then ours."""
        self.database.psql(self.run("setup", "--print-superuser-sql").stdout, role="postgres")
        self.run("setup")

    def end(self):
        for child in reversed(self.started):
            child.end()
