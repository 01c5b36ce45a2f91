"""What other change streams are known to get wrong, told of the log: hard transactions, hard values, tables
that change, rights that go, and roles with hostile settings."""

import contextlib
import os
import re
import signal
import threading

import pytest

from cluster import run_as_server, server_program
from eventually import eventually
from survival import (
    GAP,
    Archive,
    assert_nothing_lost_or_repeated,
    end_for_good,
    insert,
    is_blocked,
    locked_log,
    log_size,
    map_with_truth,
    progress,
)
from sync import account, contact, mapping, nameless_account

NAME = "\"values\"::public.hstore operator(public.->) 'name'"

# Transactions


def test_a_prepared_transaction_is_logged_once_when_it_is_committed(sync, prepared):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    prepared(
        "kept",
        "insert into salesforce.account (name) values ('kept'); savepoint a;"
        " insert into salesforce.account (name) values ('undone'); rollback to a",
    )
    prepared("given up", "insert into salesforce.account (name) values ('given up')")
    assert sync.log_is_quiet_after("insert into salesforce.account (name) values ('first')") == 0
    archive.kill()
    archive.tend()
    sync.database.psql("rollback prepared 'given up'; commit prepared 'kept';")
    sync.query("insert into salesforce.account (name) values ('last')")
    archive.until(lambda: log_size(sync) >= 3)
    assert sync.entries(NAME) == [("first",), ("kept",), ("last",)]


@pytest.fixture
def prepared(database):
    """Prepares a transaction; none is left behind."""

    def prepare(name, statements):
        database.psql(f"begin; {statements}; prepare transaction '{name}';")

    yield prepare
    for (name,) in database.query("select gid from pg_prepared_xacts", role="postgres"):
        database.psql(f"rollback prepared '{name}';", role="postgres")


def test_a_transaction_of_many_rows_is_logged_with_little_memory(sync):
    rows = 2_000_000 if os.environ.get("PGFORCE_LONG") else 200_000
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    insert(sync, rows)
    archive.until(lambda: log_size(sync) >= rows, deadline_s=900)
    assert sync.query(
        "select count(*), count(distinct record_id), count(distinct (commit_lsn, seq)),"
        " array_agg(id order by id) = array_agg(id order by seq) from salesforce._trigger_log"
    ) == [(rows, rows, rows, True)]
    # The sanitizers' own memory is not the archive's.
    assert "ASAN_OPTIONS" in os.environ or peak_memory_kb(archive.child.pid) < 64 * 1024
    assert len(archive.children) == 1


def peak_memory_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1))


def test_a_transaction_that_was_cut_in_its_middle_is_logged_whole_afterwards(sync):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    insert(sync, 20_000)
    # Some of it has come when the archive dies; none of it stays.
    eventually(lambda: "xact" in str(sink_state(sync)) or log_size(sync))
    archive.kill()
    archive.until(lambda: log_size(sync) >= 20_000)
    assert sync.query(
        "select count(*), count(distinct record_id) from salesforce._trigger_log"
    ) == [(20_000, 20_000)]


def sink_state(sync):
    """'in xact' once the archive has opened its transaction; None when it has none."""
    return sync.value(
        "select 'in xact' from pg_stat_activity where application_name = 'pgforce archive'"
        " and xact_start is not null and datname = current_database()",
        role="postgres",
    )


def test_a_new_slot_waits_for_open_transactions_and_says_for_which(pgforce, database, prepared):
    database.psql(pgforce.run("setup", "--print-superuser-sql").stdout, role="postgres")
    database.query("create table public.other (x integer)")
    prepared("forgotten", "insert into public.other values (1)")
    setup = pgforce.start("setup")
    eventually(lambda: "waiting for older transactions" in setup.log_text())
    assert "prepared transaction 'forgotten' of app" in setup.log_text()
    database.psql("rollback prepared 'forgotten';")
    assert setup.wait() == 0


# Tables that change


def test_a_table_altered_between_two_changes_of_a_transaction_is_logged_as_it_was_at_each(sync):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    sync.query(
        "begin;"
        " insert into salesforce.account (name) values ('before');"
        " alter table salesforce.account add column extra integer default 7;"
        " insert into salesforce.account (name) values ('with');"
        " alter table salesforce.account drop column extra;"
        " insert into salesforce.account (name) values ('after');"
        " commit",
        role="postgres",
    )
    archive.until(lambda: log_size(sync) >= 3)
    found = sync.entries(f"{NAME}, \"values\"::public.hstore operator(public.->) 'extra'")
    assert found == [("before", None), ("with", "7"), ("after", None)]
    keys = sync.entries("\"values\"::public.hstore operator(public.?) 'extra'")
    assert keys == [(False,), (True,), (False,)]


def test_rows_changed_while_nobody_read_are_logged_under_the_columns_of_their_time(sync):
    sync.map(account())
    change = "insert into salesforce.account (name, phone, industry) values ('Acme', 'a', 'b')"
    columns = "\"values\"::public.hstore operator(public.->) array['phone', 'industry', 'tel', 'age']"
    for statement in (
        change,
        "alter table salesforce.account add column age text default 'old'",
        change,
        "alter table salesforce.account rename column phone to swapped;"
        " alter table salesforce.account rename column industry to phone;"
        " alter table salesforce.account rename column swapped to industry",
        change,
        "alter table salesforce.account alter column age drop default,"
        " alter column age type integer using 3, alter column age set default 4",
        change,
        "alter table salesforce.account drop column age;"
        " alter table salesforce.account rename column phone to tel",
        "insert into salesforce.account (name, tel, industry) values ('Acme', 'a', 'b')",
    ):
        sync.query(statement, role="postgres")
    archive = Archive(sync)
    archive.until(lambda: log_size(sync) >= 5)
    assert sync.entries(columns) == [
        (["a", "b", None, None],),
        (["a", "b", None, "old"],),
        (["a", "b", None, "old"],),
        (["a", "b", None, "4"],),
        ([None, "b", "a", None],),
    ]


SENT_ALL = """
select sent_lsn >= pg_current_wal_insert_lsn() from pg_stat_replication
where application_name = 'pgforce_salesforce'
"""


def test_a_mapping_whose_commit_waits_for_a_standby_is_not_missed(sync, server_setting):
    """A commit is in the stream before other sessions see it, and long before where it waits for a
    standby."""
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    connection = sync.database.connect("pgforce", autocommit=False)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("set local synchronous_commit = off")
        cursor.execute("create table salesforce.lead (like salesforce.account including all)")
        cursor.execute("alter table salesforce.lead replica identity full")
        cursor.execute("grant all on salesforce.lead to app")
        cursor.execute(
            "insert into pgforce.mapping (schema_name, object_name, table_name, access, config)"
            " values ('salesforce', 'Lead', 'lead', 'read_write', '{}')"
        )
        server_setting("synchronous_standby_names", "absent")
        commit = waiting_commit(sync, connection)
        # The commit has been decoded: its end has been sent.
        eventually(lambda: sync.value(SENT_ALL, role="postgres"))
        server_setting("synchronous_standby_names", "")
        commit.join()
    sync.query("insert into salesforce.lead (name) values ('Acme')")
    archive.until(lambda: log_size(sync) >= 1)
    assert sync.entries("table_name") == [("lead",)]


def test_the_answer_to_an_insert_finds_the_row_though_the_commit_is_not_over_yet(sync, server_setting):
    """The answer may come back within the moment between a COMMIT's record, which is in the stream at
    once, and its end, when others see the row. A server process that is stopped makes that moment long."""
    sync.map(nameless_account())
    # No pull: a poll after the answer would say SYNCED.
    sync.start("archive", "push")
    eventually(lambda: "streaming" in sync.roles["archive"].log_text())
    connection = sync.database.connect(autocommit=False)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("insert into salesforce.account (name) values ('Acme')")
        server_setting("synchronous_standby_names", "absent")
        commit = waiting_commit(sync, connection)
        os.kill(connection.info.backend_pid, signal.SIGSTOP)
        try:
            server_setting("synchronous_standby_names", "")
            eventually(
                lambda: "waits for the end of COMMITs" in sync.roles["archive"].log_text()
                or sync.entries("state") == [("SUCCESS",)]
            )
        finally:
            os.kill(connection.info.backend_pid, signal.SIGCONT)
        commit.join()
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    [record] = sync.org.query("select Id from Account")
    assert sync.query("select sfid, _hc_lastop from salesforce.account") == [(record["Id"], "INSERTED")]


def waiting_commit(sync, connection):
    """Commits in the background; answers when the server waits with it."""
    # The checkpointer tells the others that somebody is to be waited for.
    sync.database.psql("checkpoint", role="postgres")
    connection.cursor().execute("set local synchronous_commit = on")
    thread = threading.Thread(target=connection.commit, daemon=True)
    thread.start()
    eventually(
        lambda: sync.value(
            "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and pid = %s",
            [connection.info.backend_pid],
            role="postgres",
        )
    )
    return thread


# Values

BIG = "string_agg(md5(random()::text), '')"


def test_a_large_value_that_was_left_alone_is_neither_null_nor_a_mark(sync):
    sync.map(mapping("Account", "Name", "Description"))
    Archive(sync)
    sync.query(
        f"insert into salesforce.account (name, description) select 'Acme', {BIG}"
        " from generate_series(1, 900)"
    )
    big = sync.value("select description from salesforce.account")
    sync.query("update salesforce.account set name = 'left alone'")
    sync.query("update salesforce.account set id = id + 1000")
    sync.query(f"update salesforce.account set description = (select {BIG} from generate_series(1, 900))")
    bigger = sync.value("select description from salesforce.account")
    sync.query("update salesforce.account set description = null")
    sync.query("update salesforce.account set name = 'still null'")
    sync.query("delete from salesforce.account")
    column = "::public.hstore operator(public.->) 'description'"
    is_key = "\"values\"::public.hstore operator(public.?) 'description'"
    found = sync.logged(7, f'action, old{column}, "values"{column}, {is_key}')
    assert found == [
        ("INSERT", None, big, True),
        ("UPDATE", big, None, False),
        ("UPDATE", big, None, False),
        ("UPDATE", big, bigger, True),
        ("UPDATE", bigger, None, True),
        ("UPDATE", None, None, False),
        ("DELETE", None, None, None),
    ]


def test_a_value_that_is_too_large_fails_alone_and_says_why(sync):
    sync.map(account())
    archive = Archive(sync)
    sync.query("alter table salesforce.account add column essay text", role="postgres")
    # Compressed, it is small; as text it is over 64 MB.
    sync.query("insert into salesforce.account (name, essay) values ('big', repeat('x', 70000000))")
    sync.query("update salesforce.account set name = 'renamed'")
    sync.query("update salesforce.account set essay = 'short'")
    archive.until(lambda: log_size(sync) >= 3, deadline_s=60)
    reason = (
        "pgforce: the value of essay is larger than max_value_bytes and was not captured"
    )
    assert sync.entries('action, state, sf_message, length("values") < 1000') == [
        ("INSERT", "FAILED", reason, True),
        ("UPDATE", "NEW", None, True),
        ("UPDATE", "NEW", None, True),
    ]
    assert sync.entries('"values"', "action = 'UPDATE'") == [
        ('"name"=>"renamed"',),
        ('"essay"=>"short"',),
    ]
    assert len(archive.children) == 1


def test_secrets_and_values_are_in_no_log_line(sync, cluster):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    insert(sync, 3, "Canary")
    archive.until(lambda: log_size(sync) == 3)
    cluster.restart("immediate")
    archive.until(lambda: len(archive.children) > 1)
    password = re.search(r"pgforce:(\w+)@", sync.database.dsn("pgforce")).group(1)
    assert password not in archive.log_text()
    assert "Canary" not in archive.log_text()


# Rights


def test_select_taken_away_in_mid_stream_stops_the_archive_and_what_came_before_is_logged(sync):
    sync.map(account(), contact())
    archive = Archive(sync)
    archive.streams()
    insert(sync)
    archive.until(lambda: log_size(sync) == 1)
    sync.query("revoke select on salesforce.account from pgforce", role="postgres")
    # Only a change that would be withheld is a reason to stop.
    sync.query("insert into salesforce.contact (lastname) values ('Coyote')")
    archive.until(lambda: log_size(sync) == 2)
    insert(sync)
    assert archive.child.wait() == GAP
    assert "salesforce.account are withheld" in archive.child.log_text()
    stopped_at = progress(sync)
    sync.query("grant select on salesforce.account to pgforce", role="postgres")
    insert(sync)
    # The rights count that were in force at the change.
    end_for_good(sync, "salesforce.account are withheld")
    assert (log_size(sync), progress(sync)) == (2, stopped_at)
    sync.pgforce.run("setup")
    end_for_good(sync, "salesforce.account are withheld")
    # What the message says to do is what helps.
    sync.pgforce.run("setup", "--accept-gap")
    archive.start()
    insert(sync, 1, "afterwards")
    archive.until(lambda: log_size(sync) == 3)
    assert sync.entries(NAME) == [("Acme",), (None,), ("afterwards",)]


def test_what_was_committed_before_a_withheld_change_is_logged_though_read_with_it(sync):
    sync.map(account(), contact())
    insert(sync)
    sync.query("insert into salesforce.contact (lastname) values ('Coyote')")
    sync.query("revoke select on salesforce.account from pgforce", role="postgres")
    insert(sync)
    end_for_good(sync, "salesforce.account are withheld")
    assert sync.entries("table_name") == [("account",), ("contact",)]


def test_select_taken_away_and_given_back_without_a_change_between_costs_nothing(sync):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    sync.query("revoke select on salesforce.account from pgforce", role="postgres")
    sync.query("grant select on salesforce.account to pgforce", role="postgres")
    insert(sync)
    archive.until(lambda: log_size(sync) == 1)
    assert len(archive.children) == 1


# Roles

HOSTILE = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "search_path": "nowhere",
    "client_encoding": "LATIN1",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "serializable",
    "statement_timeout": "2s",
    "idle_in_transaction_session_timeout": "500ms",
    "idle_session_timeout": "500ms",
    "row_security": "off",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "xmloption": "document",
}


@pytest.fixture
def role_settings(database):
    changed = []

    def change(settings):
        for name, value in settings.items():
            changed.append(name)
            value = value if name == "search_path" or "," in value else f"'{value}'"
            database.query(f"alter role pgforce set {name} = {value}", role="postgres")

    yield change
    for name in changed:
        database.query(f"alter role pgforce reset {name}", role="postgres")


def test_a_role_with_hostile_settings_logs_the_same_text(sync, role_settings):
    sync.map(mapping("Account", "Name", "AnnualRevenue"))
    sync.query(
        "alter table salesforce.account add day date, add at timestamptz, add span interval,"
        " add bytes bytea, add list text[], add ratio float8",
        role="postgres",
    )
    role_settings(HOSTILE)
    archive = Archive(sync)
    archive.streams()
    started = len(archive.children)
    statement = (
        "insert into salesforce.account (name, ratio, day, at, span, bytes, list)"
        " values (%s, 0.1::float8 + 0.2, '2026-02-28', '2026-03-01 12:34:56.789+00',"
        " '1 year -3 days 04:05:06', %s, array['NULL', null])"
    )
    for count in (1, 2):
        sync.query(statement, ["Grün 漢 \\ '", b"\x00\xff"])
        archive.until(lambda count=count: log_size(sync) >= count)
        # Longer than a session of the role may be idle.
        eventually(lambda: (idle_ms(sync) or 0) > 1000)
    written = sync.query(
        "select (public.hstore(t) operator(public.-) array['_hc_lastop', '_hc_err'])::text"
        " from salesforce.account t order by id"
    )
    assert sync.entries('"values"') == written
    assert "2026-03-01 12:34:56.789+00" in written[0][0]
    assert len(archive.children) == started


def idle_ms(sync):
    """For how long the archive's writer has done nothing."""
    return sync.value(
        "select extract(epoch from clock_timestamp() - state_change) * 1000 from pg_stat_activity"
        " where application_name = 'pgforce archive' and datname = current_database()",
        role="postgres",
    )


def test_a_role_that_does_not_wait_for_its_commits_is_safe_all_the_same(
    sync, cluster, role_settings, server_setting
):
    """What the archive has confirmed is on the disk, and not only in the server's memory."""
    sync.map(account())
    # Nobody else writes the WAL out in its stead.
    server_setting("wal_writer_delay", "10s")
    role_settings({"synchronous_commit": "off"})
    archive = Archive(sync)
    archive.streams()
    # One after the other, so that most COMMITs of the archive do not wait for the disk.
    connection = sync.database.connect()
    with contextlib.closing(connection), connection.cursor() as cursor:
        for _ in range(20):
            cursor.execute("insert into salesforce.account (name) values ('Acme')")
    archive.until(lambda: log_size(sync) == 20)
    archive.until(
        lambda: sync.value(
            """select s.confirmed_flush_lsn >= p.commit_end_lsn
               from pg_replication_slots s, pgforce.progress p where s.slot_name = p.slot_name""",
            role="postgres",
        )
    )
    archive.kill()
    cluster.restart("immediate")
    assert log_size(sync) == 20


# Very old servers


@pytest.fixture
def old_server(cluster):
    """One that has used up its transaction numbers three times."""
    cluster.stop()
    run_as_server([server_program("pg_resetwal"), "-e", "3", "-D", str(cluster.data)])
    cluster.start()


def test_transaction_numbers_are_those_of_txid_current_also_after_four_thousand_million(
    old_server, sync
):
    map_with_truth(sync)
    archive = Archive(sync)
    archive.streams()
    # Transactions that begin after the archive's own are in the same batch.
    with locked_log(sync):
        insert(sync)
        eventually(lambda: is_blocked(sync))
        for _ in range(3):
            insert(sync)
    assert_nothing_lost_or_repeated(sync, archive)
    assert sync.value("select min(txid) >= 3 * 2::bigint ^ 32 from salesforce._trigger_log")
