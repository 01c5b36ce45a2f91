#!/usr/bin/python3
"""A scratch PostgreSQL cluster in one folder, for ./dev up, the integration tests and the benchmarks.

It never touches the system's clusters. PostgreSQL refuses to run as root, so for root the server runs
as the user postgres. The folder holds:

    pg/            the data directory
    lib/           the output plugin; the server looks here first
    log/           postgresql.log
    cluster.json   port, home and the passwords of the three roles (mode 600)

The server's socket is in a home of its own, a short path below /tmp: a socket's path may have only 107
bytes. Where the user postgres may not enter the folder (pytest's and mktemp's have mode 700), pg/, lib/
and postgresql.log are there too, and the folder has links to them.

Three roles: postgres (superuser), pgforce (LOGIN REPLICATION, owns what pgforce makes) and app (the
application's; owns its database).
"""

import argparse
import json
import os
import pwd
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg2

import process

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PGFORCE_BUILD", ROOT / "build")).resolve()
ROLES = ("postgres", "pgforce", "app")
SERVER_USER = "postgres"

HBA = """\
local all all scram-sha-256
local replication all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
host replication all ::1/128 scram-sha-256
"""

CONF = """\
# An address that the machine lacks is left out with a warning.
listen_addresses = '127.0.0.1, ::1'
unix_socket_directories = '{sockets}'
port = {port}
wal_level = logical
max_wal_senders = 20
# Up to PostgreSQL 17 this bounds the active replication origins too.
max_replication_slots = 40
max_prepared_transactions = 10
shared_buffers = 64MB
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
dynamic_library_path = '{lib}:$libdir'
"""


class ClusterError(Exception):
    """Something the reader can act on; the message says how."""


def server_program(name):
    """The full path of a server program: of the PG_CONFIG in the environment, of Debian 12, or in PATH."""
    config = os.environ.get("PG_CONFIG")
    if config is None:
        debian = "/usr/lib/postgresql/15/bin/pg_config"
        config = debian if os.path.exists(debian) else "pg_config"
    done = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
    return f"{done.stdout.strip()}/{name}"


def run_as_server(argv, check=True, **options):
    """Runs argv as the user who may run a server, without the caller's PG* variables."""
    if os.geteuid() == 0:
        argv = ["runuser", "-u", SERVER_USER, "--", *argv]
    env = process.environment()
    done = subprocess.run(argv, cwd="/", env=env, capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise ClusterError(f"{' '.join(map(str, argv))} failed: {done.stdout}{done.stderr}")
    return done


def give_to_server(path):
    if os.geteuid() == 0:
        user = pwd.getpwnam(SERVER_USER)
        os.chown(path, user.pw_uid, user.pw_gid)


def free_port():
    """A port nobody listens on, below the range from which the kernel serves outgoing connections:
    it must still be free after a restart."""
    for _ in range(1000):
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise ClusterError("no free port between 20000 and 32000 on 127.0.0.1")


class Cluster:
    """One cluster. The folder may be new, or hold one that an earlier process made."""

    def __init__(self, folder, plugin=None, clock=None):
        self.folder = Path(folder).resolve()
        self.clock = clock  # a SteppedClock that the server goes by
        self.plugin = Path(plugin) if plugin else None
        self._state_file = self.folder / "cluster.json"
        self._state = None
        if self._state_file.exists():
            self._state = json.loads(self._state_file.read_text())

    @property
    def data(self):
        return Path(self._state["base"]) / "pg"

    @property
    def lib(self):
        return Path(self._state["base"]) / "lib"

    @property
    def log(self):
        return Path(self._state["base"]) / "log" / "postgresql.log"

    # Life

    def start(self):
        """Starts the server; makes it first in a new folder."""
        if self._state is None:
            self._make()
        else:
            self._start_server()

    def stop(self, mode="fast", deadline_s=120):
        if self.is_running():
            self._pg_ctl("stop", "-m", mode, "-t", str(deadline_s))

    def immediate_stop(self):
        """As a crash: no checkpoint, the next start recovers from the log."""
        self.stop("immediate")

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def reload(self):
        self._pg_ctl("reload")

    def remove(self):
        """Stops the server and removes all but the log. Also what a start left that did not end well."""
        if self._state is None:
            return
        self.immediate_stop()
        kept_log = self.folder / "log" / "postgresql.log"
        if kept_log.is_symlink() and self.log.exists():
            kept_log.unlink()
            shutil.copy(self.log, kept_log)
        for path in (self.folder / "pg", self.folder / "lib"):
            if path.is_symlink():
                path.unlink()
            shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self._state["home"], ignore_errors=True)
        self._state_file.unlink(missing_ok=True)
        self._state = None

    def is_running(self):
        return self._state is not None and self._pg_ctl("status", check=False).returncode == 0

    def pid(self):
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    # Talking to it

    @property
    def port(self):
        return self._state["port"]

    def dsn(self, role, database="app"):
        password = self._state["passwords"][role]
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, role="postgres", database="app", autocommit=True):
        connection = psycopg2.connect(self.dsn(role, database))
        connection.autocommit = autocommit
        return connection

    def query(self, sql, parameters=None, role="postgres", database="app"):
        """Runs statements in one transaction; answers the rows of the last one, or None."""
        connection = psycopg2.connect(self.dsn(role, database))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def psql(self, script, role="postgres", database="app"):
        """Feeds a script to psql, for what needs psql's own commands or statements outside a
        transaction. Answers what it printed."""
        argv = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.dsn(role, database)]
        env = process.environment()
        done = subprocess.run(argv, env=env, input=script, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(f"psql as {role} failed: {done.stderr}")
        return done.stdout

    def create_database(self, name):
        """A database as an application's owner would make it, in which pgforce may make schemas."""
        connection = self.connect(database="postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute(f'create database "{name}" owner app')
                cursor.execute(f'grant connect, create on database "{name}" to pgforce')
        finally:
            connection.close()

    def drop_database(self, name):
        """Drops the database, its slots and all pgforce's origins. Origins belong to the whole cluster,
        so no other database may be in use by pgforce."""
        self.query(
            """select pg_terminate_backend(pid, 10000)
               from pg_stat_activity
               where datname = %s and pid <> pg_backend_pid()""",
            [name],
            database="postgres",
        )
        connection = self.connect(database="postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
                    " where database = %s",
                    [name],
                )
                cursor.execute(
                    "select pg_replication_origin_drop(roname) from pg_replication_origin"
                    " where roname like 'pgforce%'"
                )
                cursor.execute(f'drop database if exists "{name}" with (force)')
        finally:
            connection.close()

    # How it is made

    def _make(self):
        home = tempfile.mkdtemp(prefix="pgforce-", dir="/tmp")
        self._state = {
            "port": free_port(),
            "home": home,
            "base": str(self.folder),
            "passwords": {role: secrets.token_hex(16) for role in ROLES},
        }
        try:
            self._lay_folders()
            self._write_state()
            self._make_data()
            self._start_server(is_port_free_to_change=True)
            self._make_roles()
            self.create_database("app")
        except BaseException:
            self.remove()
            raise

    def _lay_folders(self):
        home = Path(self._state["home"])
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        home.chmod(0o755)
        give_to_server(home)
        (self.folder / "log").mkdir(exist_ok=True)
        if run_as_server(["test", "-x", str(self.folder)], check=False).returncode != 0:
            self._state["base"] = str(home)
            (home / "log").mkdir()
            (self.folder / "log/postgresql.log").unlink(missing_ok=True)
            for name in ("pg", "lib", "log/postgresql.log"):
                (self.folder / name).symlink_to(home / name)
        self.data.mkdir(mode=0o700)
        self.lib.mkdir()
        self.log.touch()
        give_to_server(self.data)
        give_to_server(self.log)
        if self.plugin is not None:
            shutil.copy(self.plugin, self.lib / "pgforce.so")
            (self.lib / "pgforce.so").chmod(0o755)

    def _make_data(self):
        self._initdb()
        (self.data / "pg_hba.conf").write_text(HBA)
        password = self._state["passwords"]["postgres"]
        # A single-user server sets the first password, so that no door is ever open without one.
        run_as_server(
            [server_program("postgres"), "--single", "-j", "-D", str(self.data), "postgres"],
            input=f"alter role postgres password '{password}'\n;\n\n",
        )

    def _initdb(self):
        """initdb takes a second or more: its result is kept as a tar file in the build folder."""
        version = run_as_server([server_program("postgres"), "--version"]).stdout.split()[2]
        template = BUILD / f"initdb-{version}-{os.geteuid()}.tar"
        if template.exists():
            subprocess.run(["tar", "-xpf", template, "-C", self.data], check=True)
            return
        # -A reject: nobody gets in until pg_hba.conf is ours.
        run_as_server(
            [server_program("initdb"), "-D", str(self.data), "-U", "postgres", "-A", "reject"]
            + ["--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
        )
        if os.access(BUILD, os.W_OK):
            scratch = template.with_suffix(f".{os.getpid()}")
            subprocess.run(["tar", "-cpf", scratch, "-C", self.data, "."], check=True)
            scratch.rename(template)

    def _start_server(self, is_port_free_to_change=False):
        attempts = 5 if is_port_free_to_change else 1
        while True:
            self._write_conf()
            start = self._pg_ctl("start", "-l", str(self.log), check=False)
            attempts -= 1
            if start.returncode == 0:
                return
            tail = "".join(self.log.read_text(errors="replace").splitlines(True)[-15:])
            if attempts == 0 or "Address already in use" not in tail:
                raise ClusterError(f"PostgreSQL did not start in {self.data}:\n{start.stderr}{tail}")
            self._state["port"] = free_port()
            self._write_state()

    def _write_conf(self):
        """In a file of our own, included last; what ALTER SYSTEM sets still comes after it."""
        lib = str(self.lib).replace("'", "''")
        conf = CONF.format(port=self.port, sockets=self._state["home"], lib=lib)
        described = run_as_server([server_program("postgres"), "--describe-config"]).stdout
        # Servers without this setting refuse to start when their file names it.
        if any(line.startswith("output_plugin_libraries\t") for line in described.splitlines()):
            conf += "output_plugin_libraries = 'pgoutput, test_decoding, pgforce'\n"
        (self.data / "pgforce.conf").write_text(conf)
        give_to_server(self.data / "pgforce.conf")
        include = "include 'pgforce.conf'\n"
        main = self.data / "postgresql.conf"
        if not main.read_text().endswith(include):
            with open(main, "a", encoding="utf-8") as file:
                file.write(include)

    def _make_roles(self):
        passwords = self._state["passwords"]
        self.query(
            """create role pgforce login replication password %s;
               create role app login password %s""",
            [passwords["pgforce"], passwords["app"]],
            database="postgres",
        )

    def _write_state(self):
        self._state_file.touch(mode=0o600)
        self._state_file.write_text(json.dumps(self._state, indent=4) + "\n")

    def _pg_ctl(self, *arguments, check=True):
        environment = self.clock.environment() if self.clock else {}
        argv = ["env", *[f"{name}={value}" for name, value in environment.items()]]
        argv += [server_program("pg_ctl"), "-D", str(self.data), "-w", "-t", "120", "-s", *arguments]
        return run_as_server(argv, check=check)


def main():
    parser = argparse.ArgumentParser(prog="cluster.py", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("start", help="make or start a cluster; print where it is")
    start.add_argument("--dir", required=True)
    start.add_argument("--plugin", help="the pgforce.so to install in it")
    stop = verbs.add_parser("stop", help="stop it")
    stop.add_argument("--dir", required=True)
    stop.add_argument("--remove", action="store_true", help="remove all but its log")
    arguments = parser.parse_args()
    try:
        if arguments.verb == "start":
            cluster = Cluster(arguments.dir, arguments.plugin)
            cluster.start()
            for role in ROLES:
                print(f"export {role.upper()}_URL='{cluster.dsn(role)}'")
        elif arguments.remove:
            Cluster(arguments.dir).remove()
        else:
            Cluster(arguments.dir).stop()
    except ClusterError as error:
        sys.exit(f"cluster.py: {error}")


if __name__ == "__main__":
    main()
