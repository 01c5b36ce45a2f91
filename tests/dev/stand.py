#!/usr/bin/python3
"""A whole pgforce in one folder: cluster, sandbox organisation and daemon (./dev up, ./dev down).

The folder holds, besides what cluster.py puts there:

    env             lines for a shell to source: where everything is, and every secret (mode 600)
    org.sqlite      the sandbox organisation's data
    jwt.key, .crt   what the JWT flow signs and checks with
    log/            one file per program
    *.pid           process ids; stand.json has their start times, so that a stranger is never stopped

`up` always begins afresh. `down` stops all and leaves the logs and the files; `down --purge` removes all
that `up` made.
"""

import argparse
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import process
from cluster import BUILD, ROOT, Cluster, ClusterError

PGFORCE = BUILD / "bin" / "pgforce"
SANDBOX = BUILD / "bin" / "pgforce-sandbox"
PLUGIN = BUILD / "plugin" / "pgforce.so"
FIXTURE = ROOT / "tests" / "fixtures" / "demo.json"
SLOT = "pgforce_salesforce"
JWT_KEY = "jwt.key"
JWT_CERTIFICATE = "jwt.crt"
DEADLINE_S = 60
# In the order in which they are stopped; the cluster comes last.
PROGRAMS = ("pgforce", "sandbox")


class StandError(Exception):
    """Something the reader can act on; the message says how."""


class Stand:
    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.log = self.folder / "log"
        self._state_file = self.folder / "stand.json"
        self._started = {}
        if self._state_file.exists():
            self._started = json.loads(self._state_file.read_text())
        self.cluster = Cluster(self.folder, PLUGIN)

    def up(self, seed=None):
        """Starts everything and answers the environment. seed(env) fills the organisation before the
        first load."""
        for program in (PGFORCE, SANDBOX, PLUGIN):
            if not program.exists():
                raise StandError(f"{program} is missing: run ./dev build")
        if self.is_running():
            raise StandError(f"{self.folder} is up already: ./dev down --dir {self.folder}")
        self._refuse_foreign_files()
        self.purge()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_state()
        try:
            self.cluster.start()
            (self.folder / "postgres.pid").write_text(f"{self.cluster.pid()}\n")
            env = self._cluster_env()
            env.update(self._start_sandbox())
            env.update(_daemon_env(env))
            env.update(_api_env())
            self._write_env(env)
            if seed is not None:
                seed(env)
            self._set_up(env)
            self._start_daemon(env)
            return env
        except BaseException:
            self.down()
            raise

    def down(self):
        """Stops what still runs, last started first. Harmless when nothing does."""
        for name in PROGRAMS:
            if name in self._started:
                pid, started = self._started.pop(name)
                if not process.stop(pid, started):
                    print(f"{name} did not stop by itself and was killed; see its log", file=sys.stderr)
                (self.folder / f"{name}.pid").unlink(missing_ok=True)
        self.cluster.stop()
        (self.folder / "postgres.pid").unlink(missing_ok=True)
        if self._state_file.exists():
            self._write_state()

    def purge(self):
        """Removes what `up` made, and the folder itself when nothing else is in it."""
        if not self._state_file.exists():
            return
        self.down()
        self.cluster.remove()
        shutil.rmtree(self.log, ignore_errors=True)
        for path in [self.folder / "env", *self.folder.glob("org.sqlite*"), *self.folder.glob("jwt.*")]:
            path.unlink(missing_ok=True)
        self._state_file.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def is_running(self):
        return self.cluster.is_running() or any(
            process.is_running(pid, started) for pid, started in self._started.values()
        )

    def _refuse_foreign_files(self):
        if self._state_file.exists():
            return
        for name in ("pg", "lib", "log", "env", "org.sqlite", "cluster.json"):
            if os.path.lexists(self.folder / name):
                raise StandError(
                    f"{self.folder / name} is not of an earlier ./dev up: choose an empty folder"
                )

    def _cluster_env(self):
        return {
            "PGFORCE": str(PGFORCE),
            "DATABASE_URL": self.cluster.dsn("app"),
            "PGFORCE_DATABASE_URL": self.cluster.dsn("pgforce"),
            "ADMIN_DATABASE_URL": self.cluster.dsn("postgres"),
        }

    def _start_sandbox(self):
        env = {
            "ORG_ACCESS_TOKEN": secrets.token_hex(24),
            "ORG_REFRESH_TOKEN": secrets.token_hex(24),
            "ORG_CLIENT_ID": secrets.token_hex(12),
            "ORG_CLIENT_SECRET": secrets.token_hex(24),
            "ORG_USERNAME": "admin@sandbox.example",
            "ORG_PASSWORD": secrets.token_hex(12),
        }
        port_file = self.folder / "sandbox.port"
        port_file.unlink(missing_ok=True)
        argv = [SANDBOX, "--listen", "127.0.0.1:0", "--port-file", port_file]
        argv += ["--data", self.folder / "org.sqlite"]
        argv += ["--jwt-cert", self._make_jwt_key()]
        for name, value in env.items():
            argv += ["--" + name.removeprefix("ORG_").lower().replace("_", "-"), value]
        self._start("sandbox", argv, process.environment())
        self._wait_for("sandbox", lambda: port_file.exists() and port_file.read_text().strip())
        port = port_file.read_text().strip()
        port_file.unlink()
        env["ORG_URL"] = f"http://127.0.0.1:{port}"
        env["ORG_JWT_KEY_FILE"] = str(self.folder / JWT_KEY)
        return env

    def _make_jwt_key(self):
        """For the JWT flow: the key is the client's, the certificate the organisation's."""
        key, certificate = self.folder / JWT_KEY, self.folder / JWT_CERTIFICATE
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
            + ["-subj", "/CN=pgforce", "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        key.chmod(0o600)
        return certificate

    def _set_up(self, env):
        statements = self._pgforce(env, "setup", "--print-superuser-sql")
        self.cluster.psql(statements)
        self._pgforce(env, "setup")
        self._pgforce(env, "import", str(FIXTURE))

    def _start_daemon(self, env):
        self._start("pgforce", [PGFORCE, "run"], process.environment(**env))
        self._wait_for("pgforce", self._is_slot_active)

    def _is_slot_active(self):
        rows = self.cluster.query(
            "select active from pg_replication_slots where slot_name = %s", [SLOT]
        )
        return rows == [(True,)]

    def _pgforce(self, env, *arguments):
        """Runs a command to its end; its messages go to log/setup.log, its output is answered."""
        with open(self.log / "setup.log", "ab") as errors:
            done = subprocess.run(
                [PGFORCE, *arguments],
                env=process.environment(**env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                check=False,
            )
        if done.returncode != 0:
            raise StandError(
                f"pgforce {' '.join(arguments)} ended with {done.returncode}:\n{self._tail('setup')}"
            )
        return done.stdout

    def _start(self, name, argv, env):
        child = process.start(argv, self.log / f"{name}.log", env)
        self._started[name] = [child.pid, process.start_time(child.pid)]
        self._write_state()
        (self.folder / f"{name}.pid").write_text(f"{child.pid}\n")

    def _wait_for(self, name, is_ready):
        deadline = time.monotonic() + DEADLINE_S
        while not is_ready():
            if not process.is_running(*self._started[name]):
                raise StandError(f"{name} ended:\n{self._tail(name)}")
            if time.monotonic() > deadline:
                raise StandError(f"{name} was not ready in {DEADLINE_S} s:\n{self._tail(name)}")
            time.sleep(0.05)

    def _tail(self, name):
        lines = (self.log / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])

    def _write_env(self, env):
        path = self.folder / "env"
        path.touch(mode=0o600)
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in env.items()]
        path.write_text("".join(lines))

    def _write_state(self):
        self._state_file.write_text(json.dumps(self._started) + "\n")


def _daemon_env(env):
    """What every pgforce command needs; PGFORCE_DATABASE_URL is there already."""
    return {
        "PGFORCE_SCHEMA": "salesforce",
        "PGFORCE_APP_ROLE": "app",
        "PGFORCE_SF_LOGIN_URL": env["ORG_URL"],
        "PGFORCE_SF_CLIENT_ID": env["ORG_CLIENT_ID"],
        "PGFORCE_SF_CLIENT_SECRET": env["ORG_CLIENT_SECRET"],
        # On loopback no lost request takes effect minutes later.
        "PGFORCE_DOUBT_QUARANTINE_S": "2",
    }


def _api_env():
    """The HTTP API on a free port, and what points Heroku Connect's own clients at it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    token = secrets.token_hex(24)
    return {
        "PGFORCE_API_ADDRESS": address,
        "PGFORCE_API_URL": f"http://{address}",
        "PGFORCE_API_TOKEN": token,
        "CONNECT_DISCOVERY_SERVER": f"http://{address}",
        "HEROKU_API_KEY": token,
    }


def main():
    parser = argparse.ArgumentParser(prog="./dev", description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("--dir", required=True)
    parser.add_argument("--purge", action="store_true")
    arguments = parser.parse_args()
    stand = Stand(arguments.dir)
    try:
        if arguments.verb == "up":
            stand.up()
            print(f"up: source {stand.folder}/env; logs in {stand.log}")
        elif arguments.purge:
            stand.purge()
        else:
            stand.down()
    except (StandError, ClusterError) as error:
        sys.exit(f"dev {arguments.verb}: {error}")


if __name__ == "__main__":
    main()
