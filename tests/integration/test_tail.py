"""pgforce tail and pgforce decode: what they print, when they end, and that nothing is lost in silence."""

import datetime
import json
import os
import pty
import signal
import subprocess

import pytest

import process
from eventually import eventually
from programs import Pgforce

BIG_ROWS = 60_000
GAP = 4


@pytest.fixture
def tail(database, logs):
    """pgforce for this test's database, without an organisation, and one table to change."""
    env = {"PGFORCE_DATABASE_URL": database.dsn("pgforce"), "PGFORCE_SCHEMA": "salesforce"}
    pgforce = Pgforce(database, env, logs)
    pgforce.out = logs / "out"
    database.query("create table t (id integer primary key, name text, secret text)")
    database.query("grant select on t to pgforce")
    yield pgforce
    pgforce.end()


def start(tail, *arguments, env=None):
    """Starts it with its output in tail.out, and waits until it streams."""
    child = tail.start("tail", "-f", str(tail.out), *arguments, env=env)
    eventually(lambda: "streaming" in child.log_text() or not child.is_running())
    assert child.is_running(), child.log_text()
    return child


def printed(tail):
    """Whole lines: the last one may be being written."""
    text = tail.out.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def open_pipe(tail, *arguments):
    """Starts it with its output in a pipe that the test reads, or does not."""
    read_end, write_end = os.pipe()
    log = open(tail.folder / "pipe.log", "ab")
    child = subprocess.Popen(
        [tail.binary, "tail", *arguments],
        env=process.environment(**tail.env),
        stdin=subprocess.DEVNULL,
        stdout=write_end,
        stderr=log,
    )
    os.close(write_end)
    log.close()
    eventually(lambda: "streaming" in (tail.folder / "pipe.log").read_text())
    return child, os.fdopen(read_end, "r")


def insert_big(database):
    database.query("insert into t select i, repeat('x', 100) from generate_series(1, %s) i", [BIG_ROWS])


def test_rows_are_printed_as_one_object_per_line(database, tail):
    child = start(tail, "--format", "json")
    database.query("insert into t values (1, 'Acme', null)")
    database.query("update t set id = 2, name = 'Acme Ltd'")
    database.query("delete from t")
    database.query("truncate t")
    eventually(lambda: len(printed(tail)) == 4)
    assert child.stop() == 0
    insert, update, delete, truncate = printed(tail)
    assert insert["after"] == {"id": "1", "name": "Acme", "secret": None}
    assert (update["before"], update["after"]["name"]) == ({"id": "1"}, "Acme Ltd")
    assert delete["before"] == {"id": "2"}
    assert [line["op"] for line in printed(tail)] == ["insert", "update", "delete", "truncate"]
    assert (truncate["schema"], truncate["table"], truncate["seq"]) == ("public", "t", 1)
    assert insert["commit_time"].endswith("Z") and "/" in insert["lsn"] and insert["xid"] > 0


def test_text_shows_what_an_update_changed_and_cannot_harm_a_terminal(database, tail):
    database.query("alter table t replica identity full")
    database.query("insert into t values (1, 'Acme', 'same')")
    child = start(tail)
    database.query("update t set name = E'\\x1b[31mred'")
    eventually(lambda: tail.out.read_text().endswith("\n"))
    assert child.stop() == 0
    line = tail.out.read_text()
    assert line.endswith('update public.t id=1 name: Acme → "\\x1b[31mred"\n')


def test_what_is_filtered_or_redacted_is_not_printed(database, tail):
    database.query("create table other (id integer primary key)")
    database.query("grant select on other to pgforce")
    child = start(tail, "--format", "json", "--table", "public.*", "--exclude", "oth*",
                  "--op", "insert,update", "--redact", "T.Secret", "--redact", "mispelt")
    database.query("insert into other values (1)")
    database.query("insert into t values (1, 'Acme', 'hidden')")
    database.query("delete from t")
    database.query("insert into t values (2, 'last', 'hidden')")
    eventually(lambda: len(printed(tail)) == 2)
    assert child.stop() == 0
    assert [line["after"]["secret"] for line in printed(tail)] == ["[redacted]"] * 2
    assert "hidden" not in tail.out.read_text()
    assert "mispelt" in child.log_text() and "Secret" not in child.log_text()


def test_a_protobuf_file_is_one_batch_that_decode_prints(database, tail):
    for number in (1, 2):
        child = start(tail, "--format", "protobuf", "-S", "kept", "--create-slot", "--if-not-exists")
        before = tail.out.stat().st_size
        database.query("insert into t values (%s, 'Acme')", [number])
        eventually(lambda: tail.out.stat().st_size > before)
        assert child.stop() == 0
    lines = [json.loads(line) for line in tail.run("decode", str(tail.out)).stdout.splitlines()]
    assert [line["after"]["id"] for line in lines] == ["1", "2"]
    envelope = tail.run("decode", str(tail.out), "--format", "debezium").stdout.splitlines()[0]
    assert json.loads(envelope)["payload"]["after"]["id"] == 1
    torn = tail.folder / "torn"
    torn.write_bytes(tail.out.read_bytes()[:-3])
    done = tail.run("decode", str(torn), expect=65)
    assert "cut inside" in done.stderr and len(done.stdout.splitlines()) == 2
    tail.run("tail", "-S", "kept", "--drop-slot")


def test_a_kept_slot_goes_on_where_the_last_run_ended(database, tail):
    start(tail, "--format", "json", "-S", "kept", "--create-slot").stop()
    database.query("insert into t values (1)")
    first = start(tail, "--format", "json", "-S", "kept")
    eventually(lambda: len(printed(tail)) == 1)
    assert first.stop() == 0
    database.query("insert into t values (2)")
    second = start(tail, "--format", "json", "-S", "kept")
    eventually(lambda: len(printed(tail)) == 2)
    assert second.stop() == 0
    assert [line["after"]["id"] for line in printed(tail)] == ["1", "2"]
    tail.run("tail", "-S", "kept", "--create-slot", expect=78)
    tail.run("tail", "-S", "kept", "--drop-slot")
    assert "--create-slot" in tail.run("tail", "-S", "kept", expect=78).stderr


def test_the_stream_ends_where_it_was_told_to(database, tail):
    start(tail, "--format", "json", "-S", "kept", "--create-slot").stop()
    database.query("insert into t values (1)")
    end = database.query("select pg_current_wal_insert_lsn()::text")[0][0]
    database.query("insert into t values (2)")
    done = tail.run("tail", "--format", "json", "-S", "kept", "-E", end)
    assert [json.loads(line)["after"]["id"] for line in done.stdout.splitlines()] == ["1"]
    tail.run("tail", "-S", "kept", "--drop-slot")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "xml"],
        ["--nonsense"],
        ["-nX"],
        ["--stats=5"],
        ["-E"],
        ["-E", "12"],
        ["-S", "Not A Slot"],
        ["--create-slot"],
        ["--op", "upsert"],
        ["--table", "a.b.c"],
        ["--since", "-1h", "-S", "kept"],
        ["--since", "-1h", "--op", "truncate"],
        ["--until", "now", "--follow"],
        ["--follow", "-n"],
        ["--redact", ""],
        ["stray"],
    ],
)
def test_a_wrong_command_line_is_one_clear_line(tail, arguments):
    done = tail.run("tail", *arguments, expect=64)
    assert done.stdout == ""
    assert done.stderr.startswith("pgforce: ") and done.stderr.count("\n") == 1


def test_an_origin_that_is_not_there_is_a_mistake(tail):
    assert "no_such" in tail.run("tail", "--origin", "no_such", expect=64).stderr


def test_libpq_finds_the_server_without_our_variable(database, tail):
    parts = database.dsn("pgforce").removeprefix("postgresql://")
    credentials, _, rest = parts.partition("@")
    address, _, name = rest.partition("/")
    env = {
        "PGFORCE_DATABASE_URL": "",
        "PGUSER": credentials.partition(":")[0],
        "PGPASSWORD": credentials.partition(":")[2],
        "PGHOST": address.partition(":")[0],
        "PGPORT": address.partition(":")[2],
        "PGDATABASE": name,
    }
    assert start(tail, env=env).stop() == 0
    del env["PGDATABASE"]
    assert start(tail, "-d", name, env=env).stop() == 0


def test_a_closed_pipe_ends_it_quietly(database, tail):
    child, pipe = open_pipe(tail, "--format", "json")
    database.query("insert into t values (1)")
    assert json.loads(pipe.readline())["after"]["id"] == "1"
    pipe.close()
    assert child.wait(30) == 0
    assert "ERROR" not in (tail.folder / "pipe.log").read_text()


def test_output_that_cannot_be_written_is_told(database, tail):
    child = tail.start("tail", "-f", "/dev/full", "--follow")
    eventually(lambda: "streaming" in child.log_text())
    database.query("insert into t values (1)")
    assert child.wait() == 75
    assert "No space left" in child.log_text()


def test_told_to_stop_it_ends_with_the_transaction(database, tail):
    child, pipe = open_pipe(tail, "--format", "json")
    insert_big(database)
    assert json.loads(pipe.readline())["seq"] == 1
    child.send_signal(signal.SIGTERM)
    database.query("insert into t values (0)")
    last = json.loads(pipe.readlines()[-1])
    assert last["seq"] == BIG_ROWS
    assert child.wait(30) == 0


def walsender_pid(database):
    rows = database.query("select active_pid from pg_replication_slots where temporary"
                          " and database = current_database()", role="postgres")
    return rows[0][0]


def test_a_transaction_that_does_not_end_is_left_after_a_while(database, tail):
    child, pipe = open_pipe(tail, "--format", "json")
    database.query("insert into t select i, repeat('x', 500) from generate_series(1, 100000) i")
    assert json.loads(pipe.readline())["seq"] == 1
    walsender = walsender_pid(database)
    os.kill(walsender, signal.SIGSTOP)
    try:
        child.send_signal(signal.SIGTERM)
        last = pipe.readlines()[-1]
        assert child.wait(30) == 0
    finally:
        os.kill(walsender, signal.SIGCONT)
    assert 1 < json.loads(last)["seq"] < 100000
    assert "stopped inside a transaction" in (tail.folder / "pipe.log").read_text()


def test_a_reader_that_pauses_does_not_lose_the_slot(database, tail):
    database.query("alter role pgforce set wal_sender_timeout = '12s'", role="postgres")
    try:
        child, pipe = open_pipe(tail, "--format", "json")
    finally:
        database.query("alter role pgforce reset wal_sender_timeout", role="postgres")
    insert_big(database)
    assert json.loads(pipe.readline())["seq"] == 1
    walsender = walsender_pid(database)
    confirmed = "select reply_time from pg_stat_replication where pid = %s and reply_time is not null"
    first = eventually(lambda: database.query(confirmed, [walsender], role="postgres"))
    eventually(lambda: database.query(confirmed, [walsender], role="postgres") > first)
    database.query("insert into t values (0)")
    child.send_signal(signal.SIGTERM)
    assert json.loads(pipe.readlines()[-1])["seq"] == BIG_ROWS
    assert child.wait(30) == 0


def test_a_second_signal_ends_it_at_once(database, tail):
    child, pipe = open_pipe(tail, "--format", "json")
    insert_big(database)
    assert json.loads(pipe.readline())["seq"] == 1
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    assert child.wait(30) < 0
    pipe.close()


def end_walsender(database):
    eventually(lambda: database.query(
        "select pg_terminate_backend(active_pid) from pg_replication_slots"
        " where database = current_database() and active_pid is not null"
        " and slot_name <> 'pgforce_salesforce'", role="postgres"))


def test_a_lost_temporary_slot_is_a_failure_for_now(database, tail):
    child = start(tail)
    end_walsender(database)
    assert child.wait() == 75


def test_following_a_lost_temporary_slot_is_a_gap_and_a_new_one(database, tail):
    child = start(tail, "--format", "json", "--follow")
    database.query("insert into t values (1)")
    eventually(lambda: len(printed(tail)) == 1)
    end_walsender(database)
    eventually(lambda: child.log_text().count("streaming") == 2)
    database.query("insert into t values (2)")
    eventually(lambda: len(printed(tail)) == 3)
    assert child.stop() == 0
    insert, gap, later = printed(tail)
    assert [insert["op"], gap["op"], later["op"]] == ["insert", "gap", "insert"]
    assert gap["from_lsn"] >= insert["lsn"] and "temporary slot was lost" in gap["reason"]


def test_a_kept_slot_survives_the_connection(database, tail):
    child = start(tail, "--format", "json", "-S", "kept", "--create-slot")
    end_walsender(database)
    database.query("insert into t values (1)")
    eventually(lambda: len(printed(tail)) == 1)
    assert child.stop() == 0
    assert printed(tail)[0]["op"] == "insert"
    tail.run("tail", "-S", "kept", "--drop-slot")


def test_a_dropped_slot_is_a_gap_and_a_clear_stop(database, tail):
    child = start(tail, "--format", "json", "-S", "kept", "--create-slot")
    database.query("insert into t values (1)")
    eventually(lambda: len(printed(tail)) == 1)

    def drop():
        """Between two connections of the child's, which come every two seconds."""
        database.query("select pg_terminate_backend(active_pid) from pg_replication_slots"
                       " where slot_name = 'kept' and active_pid is not null", role="postgres")
        return database.query("select pg_drop_replication_slot('kept') from pg_replication_slots"
                              " where slot_name = 'kept' and not active", role="postgres")

    eventually(drop)
    assert child.wait() == GAP
    assert printed(tail)[-1]["op"] == "gap"
    assert "has been dropped" in child.log_text()


def test_whom_a_new_slot_waits_for_is_told(database, tail):
    session = database.connect(autocommit=False)
    with session.cursor() as cursor:
        cursor.execute("insert into t values (1)")
        cursor.execute("select pg_backend_pid()")
        pid = cursor.fetchone()[0]
        child = tail.start("tail", "-f", str(tail.out))
        eventually(lambda: f"process {pid}, user app" in child.log_text())
    session.commit()
    session.close()
    eventually(lambda: "streaming" in child.log_text())
    assert child.stop() == 0


def test_waiting_for_a_new_slot_can_be_stopped(database, tail):
    session = database.connect(autocommit=False)
    with session.cursor() as cursor:
        cursor.execute("insert into t values (1)")
        child = tail.start("tail", "-f", str(tail.out))
        eventually(lambda: "waiting for older transactions" in child.log_text())
        assert child.stop() == 0
    session.close()


def run_in_terminal(tail, database, env):
    """What it prints on a terminal for one insert."""
    leader, terminal = pty.openpty()
    log = open(tail.folder / "terminal.log", "wb")
    child = subprocess.Popen(
        [tail.binary, "tail"],
        env=process.environment(**{**tail.env, **env}),
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=log,
    )
    log.close()
    os.close(terminal)
    eventually(lambda: "streaming" in (tail.folder / "terminal.log").read_text())
    database.query("insert into t values ((select count(*) from t))")
    line = os.read(leader, 4096)
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0
    os.close(leader)
    return line


def test_colour_is_for_terminals_that_want_it(database, tail):
    assert b"\x1b[32minsert" in run_in_terminal(tail, database, {"TERM": "xterm"})
    assert b"\x1b" not in run_in_terminal(tail, database, {"TERM": "xterm", "NO_COLOR": "1"})
    assert b"\x1b" not in run_in_terminal(tail, database, {"TERM": "dumb"})


@pytest.fixture
def mapped(database, tail):
    """A mapped table, as an import would have made it, and the archive role."""
    tail.set_up()
    database.query(
        """create table salesforce.account (id serial primary key, sfid varchar(18), name text,
                                            _hc_lastop varchar(32), _hc_err text);
           alter table salesforce.account replica identity full;
           insert into pgforce.mapping (schema_name, object_name, table_name, access, config)
           values ('salesforce', 'Account', 'account', 'read_write', '{}')""",
        role="pgforce",
    )
    archive = tail.start("archive")
    eventually(lambda: "streaming" in archive.log_text())
    return archive


def add_account(database, name):
    database.query("insert into salesforce.account (name) values (%s)", [name], role="pgforce")


def test_the_log_is_read_for_mapped_tables(database, tail, mapped):
    add_account(database, "Acme")
    database.query("insert into t values (1)")
    database.query("update salesforce.account set name = 'Acme Ltd'", role="pgforce")
    database.query("delete from salesforce.account", role="pgforce")
    done = tail.run("tail", "--format", "json", "--since", "-1h")
    insert, update, delete = [json.loads(line) for line in done.stdout.splitlines()]
    assert (insert["op"], insert["after"]["name"], insert["seq"]) == ("insert", "Acme", 1)
    assert update["before"]["name"] == "Acme" and update["after"]["name"] == "Acme Ltd"
    assert delete["before"] == update["after"] and "after" not in delete
    assert "mapped tables only" in done.stderr
    again = tail.run("tail", "--format", "json", "--since", insert["lsn"])
    assert [json.loads(line)["op"] for line in again.stdout.splitlines()] == ["update", "delete"]
    until = tail.run("tail", "--format", "json", "--until", insert["lsn"], "--since", "0/1")
    assert [json.loads(line)["op"] for line in until.stdout.splitlines()] == ["insert"]


def test_what_the_log_cannot_answer_is_a_usage_error(database, tail, mapped):
    add_account(database, "Acme")
    tail.run("tail", "--since", "-1h")
    assert "public.t" in tail.run("tail", "--since", "-1h", "--table", "public.t", expect=64).stderr
    assert "neither" in tail.run("tail", "--since", "yesteryear", expect=64).stderr
    add_account(database, "Bolt")
    tail.run("tail", "--since", "-1h")
    database.query("delete from salesforce._trigger_log where id = (select min(id) from"
                   " salesforce._trigger_log)", role="pgforce")
    assert "no longer kept" in tail.run("tail", "--since", "-1h", expect=64).stderr


def test_log_and_stream_are_joined_without_a_seam(database, tail, mapped):
    for number in range(50):
        add_account(database, f"before {number}")
    child = tail.start("tail", "-f", str(tail.out), "--format", "json", "--since", "-1h", "--follow")
    for number in range(200):
        add_account(database, f"during {number}")
    eventually(lambda: "streaming" in child.log_text())
    add_account(database, "after")
    eventually(lambda: printed(tail) and printed(tail)[-1]["after"]["name"] == "after")
    assert child.stop() == 0
    names = [line["after"]["name"] for line in printed(tail)]
    assert names == [f"before {n}" for n in range(50)] + [f"during {n}" for n in range(200)] + ["after"]
    ids = [int(line["after"]["id"]) for line in printed(tail)]
    assert ids == sorted(ids)


def test_with_the_log_a_lost_slot_leaves_no_gap(database, tail, mapped):
    child = tail.start("tail", "-f", str(tail.out), "--format", "json", "--since", "-1h", "--follow")
    eventually(lambda: "streaming" in child.log_text())
    end_walsender(database)
    add_account(database, "meanwhile")
    eventually(lambda: child.log_text().count("streaming") == 2)
    add_account(database, "later")
    eventually(lambda: len(printed(tail)) == 2)
    assert child.stop() == 0
    assert [line["after"]["name"] for line in printed(tail)] == ["meanwhile", "later"]


def test_the_join_survives_a_server_restart(cluster, database, tail, mapped):
    child = tail.start("tail", "-f", str(tail.out), "--format", "json", "--since", "-1h", "--follow")
    eventually(lambda: "streaming" in child.log_text())
    add_account(database, "before")
    mapped.stop()
    cluster.restart()
    eventually(lambda: add_account(database, "meanwhile") or True)
    tail.start("archive")
    eventually(lambda: child.log_text().count("streaming") == 2)
    add_account(database, "later")
    eventually(lambda: len(printed(tail)) == 3)
    assert child.stop() == 0
    assert [line["after"]["name"] for line in printed(tail)] == ["before", "meanwhile", "later"]


def test_our_own_bookkeeping_is_shown_only_when_it_is_asked_for(database, tail, mapped):
    watched = start(tail, "--format", "json")
    add_account(database, "Acme")
    eventually(lambda: database.query("select id from salesforce._trigger_log", role="pgforce"))
    # Behind the archive's own transaction: once this is printed, that would be too.
    database.query("insert into t values (1)")
    eventually(lambda: printed(tail) and printed(tail)[-1]["table"] == "t")
    assert watched.stop() == 0
    assert {line["table"] for line in printed(tail)} == {"account", "t"}

    tail.out.unlink()
    asked = start(tail, "--format", "json", "--table", "salesforce._trigger_log")
    add_account(database, "Bolt")
    eventually(lambda: [line["table"] for line in printed(tail)] == ["_trigger_log"])
    commit_time = datetime.datetime.fromisoformat(printed(tail)[0]["commit_time"])
    now = datetime.datetime.now(datetime.timezone.utc)
    assert abs(now - commit_time) < datetime.timedelta(hours=1), "not the time an origin hides"
    assert asked.stop() == 0


def test_the_archives_slot_is_not_for_others(tail, mapped):
    assert mapped.is_running()
    done = tail.run("tail", "-S", "pgforce_salesforce", expect=64)
    assert "pgforce archive" in done.stderr
