"""pgforce on a scratch server: one mapped table of 20 columns and the archive, without an organisation.

The table and its mapping are written as an import would have made them.
"""

import contextlib

import process
from cluster import BUILD, ClusterError
from server import cpu_s, peak_mb, run_pgforce, wait_until

PGFORCE = BUILD / "bin" / "pgforce"
SLOT = "pgforce_salesforce"
ROWS = 100_000

TABLE = """
create table salesforce.account (
    annualrevenue double precision,
    billingcity varchar(40),
    billingcountry varchar(80),
    billingpostalcode varchar(20),
    billingstreet varchar(255),
    createddate timestamp,
    description text,
    external_id__c varchar(36),
    industry varchar(255),
    isdeleted boolean,
    name varchar(255),
    numberofemployees integer,
    phone varchar(40),
    systemmodstamp timestamp,
    type varchar(255),
    website varchar(255),
    sfid varchar(18) collate "ucs_basic",
    id serial primary key,
    _hc_lastop varchar(32) default 'PENDING',
    _hc_err text
) with (fillfactor = 90);
create unique index hcu_idx_account_sfid on salesforce.account (sfid);
create index hc_idx_account_systemmodstamp on salesforce.account (systemmodstamp);
create unique index hcu_idx_account_external_id__c on salesforce.account (external_id__c);
"""

FILL = f"""
insert into salesforce.account
    (annualrevenue, billingcity, billingcountry, billingpostalcode, billingstreet, createddate,
     external_id__c, industry, isdeleted, name, numberofemployees, phone, systemmodstamp, type, website,
     sfid)
select n * 987.654, 'Townsville', 'Germany', lpad((n % 89999)::text, 5, '0'), n || ' Station Road',
       '2024-01-01', md5(n::text)::uuid::text, 'Energy', false, 'Company ' || n || ' Ltd.', n % 30000,
       '+49 30 ' || n, '2024-05-01', 'Customer', 'https://company' || n || '.example/',
       '001' || lpad(n::text, 15, '0')
from generate_series(1, {ROWS}) n;
"""

MAPPING = """
insert into pgforce.mapping (schema_name, object_name, table_name, state, access, config)
values ('salesforce', 'Account', 'account', 'DATA_SYNCED', 'read_write', '{}');
"""

# pgbench's scripts: one row each.
UPDATE = f"""\\set id random(1, {ROWS})
update salesforce.account set phone = '+49 30 ' || :id, systemmodstamp = now() where id = :id;
"""
INSERT = """\\set n random(1, 1000000000)
insert into salesforce.account
    (annualrevenue, billingcity, billingcountry, billingpostalcode, billingstreet, createddate,
     external_id__c, industry, isdeleted, name, numberofemployees, phone, systemmodstamp, type, website)
values (:n, 'Townsville', 'Germany', '12345', '1 Station Road', now(),
        gen_random_uuid()::text, 'Energy', false, 'Company of the bench', 17, '+49 30 1', now(),
        'Customer', 'https://company.example/');
"""


@contextlib.contextmanager
def installed(server):
    """Set up and mapped; the archive is not running yet, and does not outlive the context."""
    installation = Installation(server)
    try:
        installation.set_up()
        yield installation
    finally:
        installation.stop_archive()


class Installation:
    def __init__(self, server):
        self.server = server
        self._env = {
            "PGFORCE_DATABASE_URL": server.dsn("pgforce"),
            "PGFORCE_APP_ROLE": "app",
            "PGFORCE_LOG_LEVEL": "warning",
        }
        self._child = None

    def set_up(self):
        self.server.psql(self._pgforce("setup", "--print-superuser-sql"))
        self._pgforce("setup")
        self.server.psql("set role pgforce;" + TABLE + FILL + MAPPING)
        self.server.psql("analyze salesforce.account;")
        # The slot is older than the rows.
        self.catch_up()
        self.forget()

    def set_identity(self, identity):
        self.server.query(f"alter table salesforce.account replica identity {identity}")

    def start_archive(self):
        log = self.server.folder / "archive.log"
        env = process.environment(**self._env)
        self._child = process.start([PGFORCE, "archive"], log, env)

    def wait_for_archive(self):
        """Until it streams."""
        self.wait_until(self._walsender, "the archive streams")

    def stop_archive(self):
        if self._child is None:
            return
        process.stop(self._child.pid, process.start_time(self._child.pid))
        self._child.wait()
        self._child = None
        wait_until(lambda: self._walsender() is None, "the archive's slot is free")

    def cpu(self):
        """CPU seconds of each process that capture has."""
        return {
            "walsender": cpu_s(self._walsender()),
            "back end": cpu_s(self._back_end()),
            "archive": cpu_s(self._child.pid),
        }

    def peak_mb(self):
        return peak_mb(self._child.pid)

    def wait_until_logged(self, count):
        """Until the log's entry of this number is visible: ids are given one by one from 1."""
        connection = self.server.connect()
        cursor = connection.cursor()

        def is_there():
            cursor.execute("select exists (select from salesforce._trigger_log where id = %s)", [count])
            return cursor.fetchone()[0]

        self.wait_until(is_there, f"entry {count} is in the log")
        connection.close()

    def catch_up(self):
        """Brings the slot past all there is, so that the next start begins with what comes next."""
        self.start_archive()
        self.wait_for_archive()
        # With a checkpoint the server notes where decoding can begin.
        self.server.psql("checkpoint;")
        position = self.server.position()
        self.server.query("select pg_logical_emit_message(false, 'pgforce.barrier', '')")
        self.wait_until(
            lambda: self.server.value(
                "select commit_end_lsn >= %s from pgforce.progress", [position]
            ),
            "the progress has passed the barrier",
        )
        self.stop_archive()

    def forget(self):
        """Empties the log. What the table got is not taken back."""
        self.server.query("truncate salesforce._trigger_log restart identity")

    def wait_until(self, is_true, what):
        def is_true_while_alive():
            if self._child.poll() is not None:
                log = (self.server.folder / "archive.log").read_text(errors="replace")
                raise ClusterError(f"the archive ended:\n{log}")
            return is_true()

        wait_until(is_true_while_alive, what)

    def _walsender(self):
        return self.server.value(
            "select min(active_pid) from pg_replication_slots where slot_name = %s", [SLOT]
        )

    def _back_end(self):
        return self.server.value(
            """select min(pid) from pg_stat_activity
               where application_name = 'pgforce archive' and backend_type = 'client backend'"""
        )

    def _pgforce(self, *arguments):
        return run_pgforce(PGFORCE, arguments, process.environment(**self._env))
