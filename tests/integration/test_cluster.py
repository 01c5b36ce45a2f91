"""The ground of all other tests: the scratch cluster and its helpers do what they rely on."""

import subprocess

import psycopg2
import pytest

import process
from cluster import Cluster
from eventually import eventually


def test_each_database_is_fresh_and_pgforce_may_make_schemas_in_it(database):
    assert database.query("select count(*) from pg_namespace where nspname = 'salesforce'") == [(0,)]
    database.query("create schema salesforce", role="pgforce")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.query("create table salesforce.account (id integer)")


def test_a_role_needs_its_password(database):
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(database.dsn("pgforce"), password="wrong")


def test_pgforce_is_no_superuser_but_may_replicate(database):
    found = database.query("select rolsuper, rolreplication from pg_roles where rolname = 'pgforce'")
    assert found == [(False, True)]


def test_what_was_committed_survives_a_crash_and_what_was_not_does_not(cluster, database):
    database.query("create table kept (x integer); insert into kept values (1)")
    open_transaction = database.connect(autocommit=False)
    open_transaction.cursor().execute("insert into kept values (2)")
    cluster.immediate_stop()
    cluster.start()
    assert eventually(lambda: database.query("select x from kept")) == [(1,)]


def test_dropping_a_database_drops_its_slots_and_our_origins(cluster, database):
    cluster.create_database("other")
    cluster.query(
        """select pg_create_logical_replication_slot('pgforce_other', 'test_decoding');
           select pg_replication_origin_create('pgforce_push_other')""",
        database="other",
    )
    cluster.drop_database("other")
    left = cluster.query(
        """select slot_name::text from pg_replication_slots
           union all select roname from pg_replication_origin
           union all select datname::text from pg_database where datname = 'other'"""
    )
    assert left == []


def test_eventually_fails_at_its_deadline_with_the_last_answer():
    with pytest.raises(AssertionError, match="the last answer was 0"):
        eventually(lambda: 0, deadline_s=0.1)


def test_a_folder_closed_to_the_servers_user_will_do_too(scratch):
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)
    cluster = Cluster(closed / "cluster")
    cluster.start()
    try:
        assert Cluster(closed / "cluster").query("select 1") == [(1,)]
    finally:
        cluster.remove()
    assert sorted(path.name for path in (closed / "cluster").rglob("*")) == ["log", "postgresql.log"]


def test_only_the_process_we_started_is_stopped():
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    started = process.start_time(child.pid)
    try:
        assert process.stop(child.pid, started - 1)
        assert process.is_running(child.pid, started)
        assert process.stop(child.pid, started)
        assert not process.is_running(child.pid, started)
    finally:
        child.communicate()
