"""A transaction that asks not to be captured: heeded by the archive where that is allowed, and only there."""

import json

import pytest

from eventually import eventually
from sync import account

OFF = "select salesforce.pgforce_capture_off()"
ALLOWED = {"PGFORCE_ALLOW_CAPTURE_OFF": "on"}
NAMES = "\"values\"::public.hstore operator(public.->) 'name'"


@pytest.fixture
def mapped(sync):
    sync.map(account())
    return sync


def insert(name):
    return f"insert into salesforce.account (name) values ('{name}')"


def test_what_follows_it_in_the_transaction_is_neither_logged_nor_sent(mapped):
    mapped.start("archive", "push", env=ALLOWED)
    mapped.query(f"{insert('before')}; {OFF}; {insert('left out')};"
                 " update salesforce.account set phone = '1'; delete from salesforce.account"
                 " where name = 'left out'")
    mapped.query(insert("next"))
    assert mapped.settled(2, NAMES) == [("before",), ("next",)]
    assert [r["Name"] for r in mapped.org.query("select Name from Account order by Name")] == [
        "before", "next"]
    assert mapped.value("select phone from salesforce.account where name = 'before'") == "1"
    assert "left out changes" in mapped.roles["archive"].log_text()


def test_it_is_off_by_default_and_says_so(mapped):
    archive = mapped.start("archive")
    mapped.query(f"{OFF}; {insert('logged')}")
    assert mapped.logged(1, NAMES) == [("logged",)]
    assert "PGFORCE_ALLOW_CAPTURE_OFF" in archive.log_text()


def test_a_wish_that_was_rolled_back_is_none(mapped):
    mapped.start("archive", env=ALLOWED)
    connection = mapped.database.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute(f"savepoint a; {OFF}; {insert('undone')}; rollback to savepoint a")
        cursor.execute(insert("logged"))
        connection.commit()
    connection.close()
    assert mapped.logged(1, NAMES) == [("logged",)]


def test_a_message_outside_the_transaction_or_of_another_schema_is_none(mapped):
    mapped.start("archive", env=ALLOWED)
    mapped.query("select pg_logical_emit_message(false, 'pgforce.capture_off', 'salesforce');"
                 " select pg_logical_emit_message(true, 'pgforce.capture_off', 'other');"
                 " select pg_logical_emit_message(true, 'pgforce.capture_off', '');"
                 f" {insert('logged')}")
    assert mapped.logged(1, NAMES) == [("logged",)]


def test_tail_shows_the_changes_and_the_message(mapped):
    tail = ("tail", "--slot", f"t_{mapped.database.name}", "--format", "json")
    mapped.pgforce.run(*tail, "--create-slot", "--endpos", "0/1")
    mapped.query(f"{OFF}; {insert('left out')}")
    end = mapped.value("select pg_current_wal_lsn()")
    lines = mapped.pgforce.run(*tail, "--endpos", end).stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert [line.get("prefix", line.get("table")) for line in found] == [
        "pgforce.capture_off", "account"]
    mapped.pgforce.run(*tail, "--drop-slot")


def test_any_user_of_the_schema_may_call_it(mapped):
    assert mapped.value("select has_function_privilege('salesforce.pgforce_capture_off()', 'execute')")
