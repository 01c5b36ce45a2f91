"""What the stream survives, and where it stops rather than lose a change."""

import contextlib
import os
import random
import signal
import threading

import psycopg2.extras
import pytest

from eventually import eventually
from proxy import Proxy
from survival import (
    CONFIG,
    GAP,
    SLOT,
    Archive,
    assert_nothing_lost_or_repeated,
    end_for_good,
    insert,
    is_blocked,
    loaded,
    locked_log,
    log_size,
    progress,
    sink_backend,
    slot,
    wait_until_slot_is_free,
    walsender,
)
from sync import account


@pytest.fixture
def proxy(cluster):
    proxy = Proxy(cluster.port)
    yield proxy
    proxy.close()


@pytest.fixture
def impatient(sync, database):
    """The server gives up a receiver that it has not heard of for four seconds."""
    database.query("alter role pgforce set wal_sender_timeout = '4s'", role="postgres")
    yield
    database.query("alter role pgforce reset wal_sender_timeout", role="postgres")


def through(proxy, database):
    """The environment of a pgforce that reaches the database through the proxy."""
    return {
        "PGFORCE_DATABASE_URL": database.dsn("pgforce").replace(
            f":{database.cluster.port}/", f":{proxy.port}/"
        )
    }


# Interruptions


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_restarted_in_mid_stream_loses_and_repeats_nothing(sync, cluster, mode):
    with loaded(sync) as load:
        archive = Archive(sync)
        archive.streams()
        load.goes_on()
        cluster.restart(mode)
        load.goes_on()
    assert_nothing_lost_or_repeated(sync, archive)


def test_a_fast_shutdown_of_the_server_does_not_wait_for_an_idle_position_of_ours(sync, cluster):
    """It waits until all it sent is confirmed, up to wal_sender_timeout: a minute, by default."""
    sync.map(account())
    archive = Archive(sync)
    walsender_pid = archive.streams()
    insert(sync)
    archive.until(lambda: log_size(sync) == 1)
    sync.query("create table public.of_no_interest (id int)", role="postgres")
    eventually(
        lambda: sync.value(
            "select sent_lsn > flush_lsn from pg_stat_replication where pid = %s",
            [walsender_pid],
            role="postgres",
        )
    )
    cluster.stop("fast", deadline_s=20)
    assert archive.child.wait() == 75


def test_a_server_that_crashes_again_and_again_repeats_nothing_though_its_slot_goes_back(sync, cluster):
    with loaded(sync) as load:
        archive = Archive(sync)
        for _ in range(3):
            archive.streams()
            load.goes_on()
            cluster.immediate_stop()
            cluster.start()
        load.goes_on()
    assert_nothing_lost_or_repeated(sync, archive)


@pytest.mark.parametrize("find", [walsender, sink_backend], ids=["walsender", "writer"])
def test_a_session_of_the_archive_terminated_on_the_server_loses_nothing(sync, find):
    with loaded(sync) as load:
        archive = Archive(sync)
        for _ in range(3):
            archive.streams()
            load.goes_on()
            pid = archive.until(lambda: find(sync))
            sync.query("select pg_terminate_backend(%s, 10000)", [pid], role="postgres")
        load.goes_on()
    assert_nothing_lost_or_repeated(sync, archive)


def test_an_archive_stopped_or_killed_many_times_loses_and_repeats_nothing(sync):
    with loaded(sync) as load:
        archive = Archive(sync)
        for round_number in range(12):
            archive.streams()
            load.goes_on(3)
            if round_number % 2 == 0:
                archive.kill()
            else:
                assert archive.child.stop() == 0
                archive.start()
            archive.tend()
    assert_nothing_lost_or_repeated(sync, archive)


def test_the_slot_is_never_confirmed_beyond_the_stored_progress(sync):
    beyond = []
    is_over = threading.Event()

    def sample():
        # The slot first: progress that is read later can only be further on.
        with contextlib.closing(sync.database.connect("postgres")) as connection:
            with connection.cursor() as cursor:
                while not is_over.is_set():
                    cursor.execute(
                        "select confirmed_flush_lsn from pg_replication_slots where slot_name = %s",
                        [SLOT],
                    )
                    confirmed = cursor.fetchone()[0]
                    cursor.execute(
                        "select commit_end_lsn, %s::pg_lsn > commit_end_lsn from pgforce.progress",
                        [confirmed],
                    )
                    stored, is_beyond = cursor.fetchone()
                    samples.append(confirmed)
                    if is_beyond:
                        beyond.append((confirmed, stored))

    samples = []
    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        with loaded(sync) as load:
            archive = Archive(sync)
            for _ in range(5):
                archive.streams()
                load.goes_on()
                archive.kill()
                archive.tend()
            archive.until(lambda: len(set(samples)) > 5)
        assert_nothing_lost_or_repeated(sync, archive)
    finally:
        is_over.set()
        sampler.join()
    assert beyond == []


# The network


def test_a_network_cut_anywhere_in_the_stream_loses_and_repeats_nothing(sync, database, proxy):
    places = random.Random("network").sample(range(500, 200_000), 10)
    with loaded(sync) as load:
        archive = Archive(sync, through(proxy, database))
        for place in places:
            archive.streams()
            proxy.cut_after(place)
            child = archive.child
            archive.until(lambda child=child: not child.is_running())
            archive.tend()
        load.goes_on()
    assert_nothing_lost_or_repeated(sync, archive)


def test_a_network_that_is_silent_is_noticed_and_nothing_is_lost(sync, database, proxy, impatient):
    sync.map(account())
    archive = Archive(sync, through(proxy, database))
    archive.streams()
    insert(sync)
    archive.until(lambda: log_size(sync) == 1)
    # Confirmed, it waits for the server and for nothing else.
    eventually(lambda: slot(sync, "confirmed_flush_lsn")[0] == progress(sync))
    proxy.stall()
    insert(sync)
    assert archive.child.wait() == 75
    assert "the server has been silent" in archive.child.log_text()
    # What the stalled connections held goes with them.
    proxy.cut()
    archive.until(lambda: log_size(sync) == 2)


def test_a_network_that_comes_back_in_time_costs_nothing(sync, database, proxy):
    sync.map(account())
    archive = Archive(sync, through(proxy, database))
    archive.streams()
    proxy.stall()
    insert(sync)
    proxy.resume()
    archive.until(lambda: log_size(sync) == 1)
    assert len(archive.children) == 1


def test_a_slow_network_is_no_reason_to_be_disconnected(sync, database, proxy, impatient):
    sync.map(account())
    archive = Archive(sync, through(proxy, database))
    pid = archive.streams()
    proxy.throttle(60_000)
    # Longer on its way than the server's patience.
    insert(sync, 3000, "x" * 100)
    archive.until(lambda: log_size(sync) == 3000)
    assert walsender(sync) == pid
    assert len(archive.children) == 1


def test_a_door_that_is_closed_for_a_while_is_knocked_at_again(sync, database, proxy):
    sync.map(account())
    archive = Archive(sync, through(proxy, database))
    archive.streams()
    proxy.refuse()
    proxy.cut()
    assert archive.child.wait() == 75
    insert(sync)
    archive.start()
    assert archive.child.wait() == 3
    proxy.refuse(False)
    archive.until(lambda: log_size(sync) == 1)


def tcp_timers(port, remote_port):
    """Of the connections from port to remote_port: (kind of timer, seconds left)."""
    found = []
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            here, there = (int(address.split(":")[1], 16) for address in fields[1:3])
            if (here, there) == (port, remote_port):
                kind, left = fields[5].split(":")
                found.append((int(kind, 16), int(left, 16) / os.sysconf("SC_CLK_TCK")))
    return found


def test_a_peer_that_has_vanished_is_found_within_minutes_by_both_sides(sync, cluster):
    archive = Archive(sync)
    archive.streams()
    ports = sync.query(
        "select client_port from pg_stat_activity where pid = any(%s)",
        [[sink_backend(sync), walsender(sync)]],
        role="postgres",
    )
    assert len(ports) == 2
    for (port,) in ports:
        for ends in ((port, cluster.port), (cluster.port, port)):
            # 2 is the kernel's keepalive timer; 1 is a retransmission, for a moment.
            [(_, left)] = eventually(lambda ends=ends: [t for t in tcp_timers(*ends) if t[0] == 2])
            assert left <= 60


# A sink that takes its time


def test_the_server_hears_from_us_while_the_log_cannot_be_written(sync, impatient):
    sync.map(account())
    archive = Archive(sync)
    pid = archive.streams()
    with locked_log(sync) as connection:
        insert(sync)
        with connection.cursor() as cursor:

            def heard():
                cursor.execute(
                    "select reply_time > now() + '5 s' from pg_stat_get_wal_senders() where pid = %s",
                    [pid],
                )
                return cursor.fetchone() == (True,)

            # now() is when the transaction of the lock began.
            eventually(heard, deadline_s=9)
    archive.until(lambda: log_size(sync) == 1)
    assert walsender(sync) == pid
    assert len(archive.children) == 1


def test_a_log_that_stays_locked_makes_the_archive_come_back_and_lose_nothing(sync, impatient):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    with locked_log(sync):
        insert(sync)
        assert archive.child.wait() == 75
        assert "lock timeout" in archive.child.log_text()
    archive.until(lambda: log_size(sync) == 1)


# The slot


def other_reader(sync):
    """Another program that reads our slot and confirms nothing."""
    connection = psycopg2.connect(
        sync.database.dsn("postgres"),
        connection_factory=psycopg2.extras.LogicalReplicationConnection,
    )
    connection.cursor().start_replication(slot_name=SLOT)
    return connection


def test_a_slot_that_another_process_reads_is_waited_for_and_the_process_is_named(sync):
    sync.map(account())
    other = other_reader(sync)
    insert(sync)
    archive = Archive(sync)
    eventually(lambda: "waiting for the slot" in archive.child.log_text())
    assert f"active for PID {other.get_backend_pid()}" in archive.child.log_text()
    other.close()
    archive.until(lambda: log_size(sync) == 1)
    assert len(archive.children) == 1


def test_a_slot_that_the_server_has_given_up_stops_the_archive_with_a_clear_word(
    sync, cluster, server_setting
):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    insert(sync)
    archive.until(lambda: log_size(sync) == 1)
    server_setting("max_slot_wal_keep_size", "16MB")
    os.kill(archive.child.pid, signal.SIGSTOP)
    for _ in range(4):
        insert(sync)
        cluster.psql("select pg_switch_wal()")
    cluster.psql("checkpoint")
    eventually(lambda: slot(sync, "wal_status") == ("lost",))
    os.kill(archive.child.pid, signal.SIGCONT)
    assert archive.child.wait() in (GAP, 75)
    end_for_good(sync, "max_slot_wal_keep_size")
    # The four were on their way when the archive was stopped, and how far it gets then is not said.
    logged = log_size(sync)
    assert 1 <= logged <= 5
    # What the message says to do is what helps.
    assert "changes may have been lost" in sync.pgforce.run("setup", expect=GAP).stderr
    sync.pgforce.run("setup", "--accept-gap")
    archive.start()
    insert(sync)
    archive.until(lambda: log_size(sync) == logged + 1)


def test_a_dropped_slot_stops_the_archive_and_is_never_replaced_in_silence(sync):
    sync.map(account())
    archive = Archive(sync)
    pid = archive.streams()
    os.kill(archive.child.pid, signal.SIGSTOP)
    sync.query("select pg_terminate_backend(%s, 10000)", [pid], role="postgres")
    sync.query("select pg_drop_replication_slot(%s)", [SLOT], role="postgres")
    os.kill(archive.child.pid, signal.SIGCONT)
    assert archive.child.wait() in (GAP, 75)
    end_for_good(sync, "the replication slot is missing")
    assert "is missing" in sync.pgforce.run("setup", expect=GAP).stderr


def test_a_slot_dropped_and_made_again_is_told_from_the_old_one(sync):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    assert archive.child.stop() == 0
    wait_until_slot_is_free(sync)
    insert(sync)
    sync.query("select pg_drop_replication_slot(%s)", [SLOT], role="postgres")
    sync.query(
        "select pg_create_logical_replication_slot(%s, 'pgforce')", [SLOT], role="postgres"
    )
    end_for_good(sync, "the slot has been confirmed up to")
    assert log_size(sync) == 0


def test_a_slot_that_somebody_advanced_stops_the_archive(sync):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    assert archive.child.stop() == 0
    wait_until_slot_is_free(sync)
    insert(sync)
    sync.query(
        "select pg_replication_slot_advance(%s, pg_current_wal_lsn())", [SLOT], role="postgres"
    )
    log = end_for_good(sync, "the slot has been confirmed up to")
    assert slot(sync, "confirmed_flush_lsn")[0] in log
    assert progress(sync) in log


def test_a_slot_of_another_plugin_is_refused(sync):
    sync.query("select pg_drop_replication_slot(%s)", [SLOT], role="postgres")
    sync.query(
        "select pg_create_logical_replication_slot(%s, 'test_decoding')", [SLOT], role="postgres"
    )
    end_for_good(sync, "belongs to another database or another plugin (test_decoding)", CONFIG)


def test_another_server_is_refused(sync):
    sync.query("update pgforce.progress set system_identifier = '7'", role="pgforce")
    end_for_good(sync, "this is another server")


def test_a_new_timeline_alone_is_told_and_accepted(sync):
    sync.map(account())
    sync.query("update pgforce.progress set timeline = 7", role="pgforce")
    archive = Archive(sync)
    insert(sync)
    archive.until(lambda: log_size(sync) == 1)
    assert "the server has a new timeline" in archive.child.log_text()
    assert progress(sync, "timeline") == 1


def test_storing_a_new_timeline_never_takes_the_progress_back(sync):
    sync.map(account())
    sync.query("update pgforce.progress set timeline = 7", role="pgforce")
    connection = sync.database.connect("pgforce", autocommit=False)
    with contextlib.closing(connection), connection.cursor() as cursor:
        # Another archive stores while this one starts.
        cursor.execute(
            "update pgforce.progress set commit_end_lsn = pg_current_wal_lsn()"
            " returning commit_end_lsn"
        )
        stored = cursor.fetchone()[0]
        archive = Archive(sync)
        eventually(lambda: "the server has a new timeline" in archive.child.log_text())
        eventually(lambda: is_blocked(sync))
        connection.commit()
    eventually(lambda: progress(sync, "timeline") == 1)
    assert sync.value("select commit_end_lsn >= %s from pgforce.progress", [stored], role="pgforce")


def test_the_slot_stays_when_the_archive_stops(sync):
    archive = Archive(sync)
    archive.streams()
    assert archive.child.stop() == 0
    wait_until_slot_is_free(sync)
    assert slot(sync, "temporary") == (False,)


# What others write


def distance(sync, column):
    return slot(sync, f"(pg_current_wal_lsn() - {column})::bigint")[0]


def write_elsewhere(cluster, database, size_mb):
    """Random text, so that it is as large in the WAL."""
    cluster.query(
        "create table if not exists public.filler (text text);"
        " insert into public.filler select string_agg(md5(random()::text), '')"
        " from generate_series(1, %s), generate_series(1, 64) part group by part",
        [size_mb * 512],
        database=database,
    )


IDLE_BYTES = 1024 * 1024


@pytest.mark.parametrize("where", ["another database", "a table that is not mapped"])
def test_an_idle_stream_keeps_its_slot_within_a_megabyte(sync, cluster, where):
    sync.map(account())
    archive = Archive(sync)
    archive.streams()
    begin = sync.value("select pg_current_wal_lsn()", role="postgres")
    name = "postgres" if where == "another database" else sync.database.name
    try:
        for _ in range(5):
            write_elsewhere(cluster, name, 2)
            # A checkpoint says from where on decoding could start again; the server itself says so
            # every quarter of a minute.
            cluster.psql("checkpoint")
            eventually(lambda: distance(sync, "confirmed_flush_lsn") < IDLE_BYTES + 64 * 1024)
        assert distance(sync, "restart_lsn") < 5 * IDLE_BYTES
        assert distance(sync, f"'{begin}'::pg_lsn") > 9 * IDLE_BYTES
    finally:
        cluster.query("drop table public.filler", database=name)
    assert len(archive.children) == 1


def test_empty_and_filtered_transactions_leave_no_trace_and_move_the_slot(sync):
    sync.map(account())
    sync.query("create table public.other (x integer)")
    archive = Archive(sync)
    archive.streams()
    before = slot(sync, "confirmed_flush_lsn")[0]
    for n in range(50):
        sync.query("insert into public.other values (%s)", [n])
        sync.query("select txid_current()")
        sync.query("begin; insert into salesforce.account (name) values ('undone'); rollback")
    insert(sync)
    archive.until(lambda: log_size(sync) == 1)
    eventually(lambda: slot(sync, f"confirmed_flush_lsn > '{before}'") == (True,))


def test_the_archive_refuses_to_be_a_synchronous_standby(sync, cluster, server_setting):
    server_setting("synchronous_standby_names", "*")
    log = end_for_good(sync, "synchronous_standby_names", CONFIG)
    assert SLOT in log
