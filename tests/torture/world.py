"""What is tortured: a database, an organisation, and pgforce's supervisor between them, behind a network that
can be broken. One world per seed, in a cluster that all share."""

import contextlib
import os
import re
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE.parent / "dev")]

import psycopg2  # noqa: E402
from cluster import BUILD, Cluster  # noqa: E402, F401
from eventually import eventually  # noqa: E402
from programs import Pgforce  # noqa: E402
from proxy import Proxy  # noqa: E402
from sandbox import Sandbox  # noqa: E402
from stepped_clock import SteppedClock  # noqa: E402

# Records of accounts and contacts are known by a key; leads have none, so nothing but care keeps a lost
# answer from making a second one.
TABLES = {
    "account": ("Account", "external_id__c", ("name", "phone")),
    "contact": ("Contact", "external_id__c", ("firstname", "lastname")),
    "lead": ("Lead", "company", ("firstname", "lastname")),
}
ROLES = ("archive", "push", "pull", "listen", "housekeeper", "watch")
# What others than pgforce committed, and what anybody did.
ORACLE_SLOT, WITNESS_SLOT = "oracle", "witness"

# Written by the users in their own transactions: what was committed. The log is not asked.
LEDGER = """
create table public.ledger (id bigserial, token text, txid bigint default txid_current(),
    action text, table_name text, record_id integer);
grant select, insert on public.ledger to app;
grant usage on sequence public.ledger_id_seq to app;
"""

# Tables of more than a MB whose room stays unused: what is written to them makes them grow, which a limit on the size
# of files then forbids.
BLOAT = """
do $$
declare
    name text;
begin
    foreach name in array array['_trigger_log', 'account', 'contact', 'lead'] loop
        execute format('alter table salesforce.%I set (autovacuum_enabled = off)', name);
        begin
            execute format('insert into salesforce.%I (%s) select md5(n::text)'
                ' from generate_series(1, 14000) n', name, case name when '_trigger_log' then '"values"'
                when 'account' then 'name' else 'lastname' end);
            raise exception using errcode = 'P0001';
        exception when raise_exception then null;
        end;
    end loop;
end $$;
"""


def field_of(column):
    """The organisation's name of a column."""
    names = {"external_id__c": "External_Id__c", "firstname": "FirstName", "lastname": "LastName"}
    return names.get(column, column.capitalize())


class Gateway(Proxy):
    """In front of the organisation, which then gives the gateway's address for its own."""

    def __init__(self, port):
        super().__init__(port)
        self.replace(f"127.0.0.1:{port}".encode(), f"127.0.0.1:{self.port}".encode())


class World:
    def __init__(self, cluster, name, folder, plan):
        self.cluster = cluster
        self.name = name
        self.folder = Path(folder)
        self.plan = plan
        self.org = Sandbox(self.folder)
        self.proxy = Proxy(cluster.port)
        self.clock = SteppedClock(self.folder)
        self.gateway = None
        self.supervisor = None
        self.pgforce = None

    def start(self):
        self.cluster.create_database(self.name)
        self.org.start()
        self.gateway = Gateway(urlsplit(self.org.url).port)
        url = urlsplit(self.cluster.dsn("pgforce", self.name))
        through_proxy = url._replace(netloc=url.netloc.replace(str(url.port), str(self.proxy.port)))
        env = {
            "PGFORCE_DATABASE_URL": through_proxy.geturl(),
            "PGFORCE_SCHEMA": "salesforce",
            "PGFORCE_APP_ROLE": "app",
            "PGFORCE_LOG_LEVEL": "debug",
            "PGFORCE_SF_LOGIN_URL": f"http://127.0.0.1:{self.gateway.port}",
            "PGFORCE_SF_CLIENT_ID": self.org.client_id,
            "PGFORCE_SF_CLIENT_SECRET": self.org.client_secret,
            "PGFORCE_DOUBT_QUARANTINE_S": "2",
            **self.plan.environment(),
            **(self.clock.environment() if self.plan.sets_clocks else {}),
        }
        self.pgforce = Pgforce(self, env, self.folder)
        self.pgforce.set_up()
        self.pgforce.run("import", "-", stdin=self.plan.export())
        self.query(LEDGER, role="postgres")
        # The server's own plugin and a slot of its own: the second opinion on what was committed, and when.
        for slot in (ORACLE_SLOT, WITNESS_SLOT):
            self.query("select pg_create_logical_replication_slot(%s, 'test_decoding')", [slot], "postgres")
        if self.plan.is_disk_full:
            self.query(BLOAT, role="postgres")
        self.start_supervisor()
        eventually(lambda: self.mapping_states() == {"DATA_SYNCED"}, 60)

    def stop(self):
        if self.pgforce is not None:
            self.pgforce.end()
        self.proxy.close()
        if self.gateway is not None:
            self.gateway.close()
        self.org.stop()
        self.wait_for_server()
        for (gid,) in self.prepared():
            self.autocommit("rollback prepared %s", [gid])
        self.cluster.drop_database(self.name)

    # Database: the same two words that pgforce's runner expects

    def query(self, sql, parameters=None, role="app"):
        return self.cluster.query(sql, parameters, role, self.name)

    def psql(self, script, role="app"):
        return self.cluster.psql(script, role, self.name)

    def connect(self, role="app", autocommit=False):
        return self.cluster.connect(role, self.name, autocommit)

    def value(self, sql, parameters=None, role="app"):
        rows = self.query(sql, parameters, role)
        return rows[0][0] if rows else None

    def autocommit(self, sql, parameters=None, role="app"):
        connection = self.connect(role, autocommit=True)
        try:
            connection.cursor().execute(sql, parameters)
        finally:
            connection.close()

    def prepared(self):
        return self.query("select gid from pg_prepared_xacts where database = current_database() order by gid")

    def wait_for_server(self):
        """Starts it where it is down, and waits while it recovers."""
        if not self.cluster.is_running():
            self.cluster.start()
        eventually(lambda: self.query("select 1"), 60)

    def mapping_states(self):
        return {row[0] for row in self.query("select state from pgforce.mapping", role="pgforce")}

    # Processes

    def start_supervisor(self):
        self.supervisor = self.pgforce.start("run")

    def role_pids(self):
        """The roles that the supervisor runs now, by name."""
        found = {}
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                stat = Path(entry.path, "stat").read_text(encoding="ascii", errors="replace")
                if int(stat.rpartition(")")[2].split()[1]) == self.supervisor.pid:
                    command = Path(entry.path, "cmdline").read_bytes().split(b"\0")
                    # Empty while it ends; the supervisor's own before it has become a role.
                    if len(command) > 1 and command[1] != b"run":
                        found[command[1].decode()] = int(entry.name)
        return found

    def log_text(self):
        return "".join(child.log_text() for child in self.pgforce.started)

    def polls(self):
        return dict(self.query("select mapping_id, polled_at from pgforce.watermark", role="pgforce"))

    def has_logged(self, *words):
        return any(all(word in line for word in words) for line in self.log_text().splitlines())

    def wait_for_polls(self, deadline_s):
        before = self.polls()
        eventually(lambda: all(at != before[which] for which, at in self.polls().items()), deadline_s)


class Watcher:
    """Looks at pgforce five times a second, whatever happens to it: what may only grow, and what may not."""

    def __init__(self, world):
        self.world = world
        self.problems = []
        self.peak_rss_kb = {}
        self.peak_wal_bytes = 0
        self._last = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self):
        self._is_over.set()
        self._thread.join()

    def _watch(self):
        while not self._is_over.wait(0.2):
            self._look_at_memory()
            # Dead while the server is.
            with contextlib.suppress(psycopg2.Error):
                self._look_at_progress()

    def _look_at_memory(self):
        for role, pid in self.world.role_pids().items():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
                peak = re.search(r"VmHWM:\s+(\d+)", status)
                if peak:
                    self.peak_rss_kb[role] = max(self.peak_rss_kb.get(role, 0), int(peak[1]))

    def _look_at_progress(self):
        [progress] = self.world.query(
            "select commit_end_lsn - '0/0'::pg_lsn from pgforce.progress", role="pgforce"
        )
        marks = self.world.query(
            "select mapping_id, extract(epoch from changes_up_to) from pgforce.watermark", role="pgforce"
        )
        for name, now in [("progress", progress[0]), *marks]:
            before = self._last.get(name)
            if before is not None and now is not None and now < before:
                self.problems.append(f"{name} went back from {before} to {now}")
            self._last[name] = now if now is not None else before
        [(confirmed, retained)] = self.world.query(
            "select confirmed_flush_lsn - '0/0'::pg_lsn, pg_current_wal_lsn() - restart_lsn"
            " from pg_replication_slots where slot_name = 'pgforce_salesforce'",
            role="postgres",
        ) or [(None, None)]
        # The progress is read first, so it is the older of the two: ask again before judging.
        if confirmed is not None and confirmed > progress[0]:
            later = self.world.value(
                "select commit_end_lsn - '0/0'::pg_lsn from pgforce.progress", role="pgforce"
            )
            if confirmed > later:
                self.problems.append(f"the slot is confirmed up to {confirmed}, the log holds {later}")
        self.peak_wal_bytes = max(self.peak_wal_bytes, int(retained or 0))
