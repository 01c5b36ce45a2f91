"""For the tests of what the stream survives: an archive that is started again whenever it fails for now, as
the supervisor does; a load with a record of what it did; and what the server says of the slot."""

import contextlib
import threading

import psycopg2
import pytest

from eventually import eventually
from sync import account

SLOT = "pgforce_salesforce"

# Made by triggers in the writers' own transactions: what the log has to hold.
TRUTH = """
create table public.truth (action text, record_id integer, txid bigint);
create function public.tell_truth() returns trigger language plpgsql security definer as $$
begin
    insert into public.truth values (tg_op, coalesce(new.id, old.id), txid_current());
    return null;
end $$;
create trigger truth after insert or update or delete on salesforce.account
    for each row execute function public.tell_truth();
grant select on public.truth to app;
"""

DIFFERENCES = """
with told as (select action, record_id, txid from public.truth),
     logged as (select action, record_id, txid from salesforce._trigger_log)
(select 'missing', * from (select * from told except all select * from logged) as missing)
union all
(select 'too many', * from (select * from logged except all select * from told) as surplus)
limit 10
"""

IN_ORDER = """
select array_agg(id order by id) is not distinct from array_agg(id order by commit_lsn, seq),
       count(*) = count(distinct (commit_lsn, seq))
from salesforce._trigger_log
"""


class Archive:
    """`pgforce archive`, started again when it has failed for now (3, 6, 75). Any other end fails the test."""

    def __init__(self, sync, env=None):
        self.sync = sync
        self.env = env
        self.children = []
        self.start()

    @property
    def child(self):
        return self.children[-1]

    def start(self):
        self.children.append(self.sync.pgforce.start("archive", env=self.env))

    def tend(self):
        if self.child.is_running():
            return
        code = self.child.wait()
        if code not in (3, 6, 75, -9):
            pytest.fail(f"the archive ended with {code}:\n{self.child.log_text()[-2000:]}")
        self.start()

    def until(self, check, deadline_s=60):
        """Waits for a fact while the archive is tended."""

        def tended():
            self.tend()
            return check()

        return eventually(tended, deadline_s)

    def kill(self):
        if self.child.is_running():
            self.child.kill()

    def log_text(self):
        return "".join(child.log_text() for child in self.children)

    def streams(self):
        """Waits until it reads its slot; answers the walsender's process."""
        # Not one that an archive killed before has left behind for a moment.
        self.until(lambda: "streaming slot=" in self.child.log_text())
        return self.until(lambda: walsender(self.sync))


class Load:
    """Writers of accounts, each transaction with a savepoint rolled back; they outlive the server."""

    def __init__(self, sync, writers=2):
        self._sync = sync
        self._is_over = threading.Event()
        self.commits = 0
        self._threads = [
            threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(writers)
        ]
        for thread in self._threads:
            thread.start()

    def _write(self, number):
        while not self._is_over.is_set():
            with contextlib.suppress(psycopg2.Error):
                connection = self._sync.database.connect(autocommit=False)
                with contextlib.closing(connection), connection.cursor() as cursor:
                    while not self._is_over.is_set():
                        self._transact(cursor, number)
                        connection.commit()
                        self.commits += 1
            self._is_over.wait(0.05)

    def _transact(self, cursor, number):
        cursor.execute(
            "insert into salesforce.account (name, phone)"
            " select 'Account ' || n, 'before' from generate_series(1, 4) n returning id"
        )
        first = cursor.fetchone()[0]
        cursor.execute("savepoint a; insert into salesforce.account (name) values ('undone')")
        cursor.execute("rollback to savepoint a")
        cursor.execute("update salesforce.account set phone = %s where id = %s", [str(number), first])
        cursor.execute("delete from salesforce.account where id = %s", [first + 1])

    def goes_on(self, commits=20):
        """Waits until so many transactions more have been committed."""
        goal = self.commits + commits
        eventually(lambda: self.commits >= goal)

    def end(self):
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def map_with_truth(sync):
    sync.map(account())
    sync.query(TRUTH, role="postgres")


@contextlib.contextmanager
def loaded(sync):
    """Accounts mapped, the truth told, and writers at work."""
    map_with_truth(sync)
    load = Load(sync)
    try:
        yield load
    finally:
        load.end()


def assert_nothing_lost_or_repeated(sync, archive):
    """Waits until all that was written is in the log, and compares entry by entry."""
    archive.until(
        lambda: sync.query(
            "select (select count(*) from public.truth) <="
            " (select count(*) from salesforce._trigger_log)"
        )
        == [(True,)]
    )
    assert sync.query(DIFFERENCES) == []
    assert sync.query(IN_ORDER) == [(True, True)]


def walsender(sync):
    """The process that reads the slot for us, or None."""
    return sync.value(
        "select active_pid from pg_replication_slots where slot_name = %s", [SLOT], role="postgres"
    )


def sink_backend(sync):
    """The process that writes the log for us, or None."""
    return sync.value(
        "select pid from pg_stat_activity where application_name = 'pgforce archive'"
        " and datname = current_database() and backend_type = 'client backend'"
        " order by backend_start desc limit 1",
        role="postgres",
    )


def slot(sync, columns):
    [row] = sync.query(
        f"select {columns} from pg_replication_slots where slot_name = %s", [SLOT], role="postgres"
    )
    return row


def wait_until_slot_is_free(sync):
    """The server lets go of it a moment after its reader has ended."""
    eventually(lambda: slot(sync, "active") == (False,))


def progress(sync, column="commit_end_lsn"):
    return sync.value(f"select {column} from pgforce.progress", role="pgforce")


def insert(sync, count=1, name="Acme"):
    sync.query(
        "insert into salesforce.account (name) select %s from generate_series(1, %s)", [name, count]
    )


def log_size(sync):
    return sync.value("select count(*) from salesforce._trigger_log")


@contextlib.contextmanager
def locked_log(sync):
    """Nobody writes to the log meanwhile."""
    connection = sync.database.connect("postgres", autocommit=False)
    connection.cursor().execute("lock table salesforce._trigger_log in share mode")
    try:
        yield connection
    finally:
        connection.close()


def is_blocked(sync):
    """Whether a session of the database waits for a lock."""
    return sync.value(
        "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock'"
        " and datname = current_database()",
        role="postgres",
    )


GAP, CONFIG = 4, 78


def end_for_good(sync, message, code=GAP):
    """Starts the archive, which must refuse with this code and say this; answers its log."""
    child = sync.pgforce.start("archive")
    assert child.wait() == code, child.log_text()
    assert message in child.log_text()
    return child.log_text()
