"""Heroku Connect's functions that capture a row again, and states that an operator sets by hand."""

import psycopg2
import pytest

from eventually import eventually
from sync import account, contact

CALL = """
select salesforce.hc_capture_{action}_from_row(public.hstore(t.*), 'account'{columns})
from salesforce.account t
"""


def capture(sync, action, columns=None):
    """Answers the id of the new entry."""
    given = "" if columns is None else f", {columns}"
    return sync.value(CALL.format(action=action, columns=given))


def keys_of(sync, entry_id):
    return set(sync.value(
        'select public.akeys("values"::public.hstore) from salesforce._trigger_log where id = %s',
        [entry_id],
    ))


ALL_KEYS = {"id", "sfid", "name", "phone", "industry", "isdeleted", "annualrevenue", "external_id__c"}
ALL_KEYS |= {"systemmodstamp"}


@pytest.fixture
def mapped(sync):
    sync.map(account(), contact())
    return sync


@pytest.fixture
def row(mapped):
    mapped.query("insert into salesforce.account (name, phone, sfid, external_id__c)"
                 " values ('Acme', '1', '001000000000001AAA', 'A-1')")
    return mapped


def test_the_functions_have_heroku_connects_signatures(mapped):
    found = mapped.query(
        "select proname::text, pg_get_function_arguments(oid), prorettype::regtype::text, prosecdef,"
        " proconfig::text[]"
        " from pg_proc where pronamespace = 'salesforce'::regnamespace and proname like 'hc\\_%'"
        " order by 1"
    )
    path = ["search_path=salesforce, public, pg_temp"]
    head = "source_row {}hstore, table_name character varying, {} text[] DEFAULT ARRAY[]::text[]"
    [insert, update] = found
    assert insert[1] in (head.format("public.", "excluded_cols"), head.format("", "excluded_cols"))
    assert update[1] in (head.format("public.", "columns_to_include"),
                         head.format("", "columns_to_include"))
    assert [row[2:] for row in found] == [("integer", False, path)] * 2


def test_an_insert_captured_again_has_the_whole_row_and_no_sfid_of_its_own(row):
    entry = capture(row, "insert")
    assert row.entries("id, action, state, table_name, record_id, sfid, old, txid is null,"
                       " created_at is null, updated_at is null, commit_lsn, processed_at") == [
        (entry, "INSERT", "NEW", "account", 1, None, None, False, False, False, None, None)
    ]
    assert keys_of(row, entry) == ALL_KEYS


def test_columns_can_be_left_out_of_an_insert_but_never_id_and_sfid(row):
    entry = capture(row, "insert", "array['id', 'sfid', 'phone', 'nonsense']::text[]")
    assert keys_of(row, entry) == ALL_KEYS - {"phone"}


def test_an_update_captured_again_has_all_columns_or_those_named(row):
    everything = capture(row, "update")
    named = capture(row, "update", "array['phone', '_hc_err', 'nonsense']::text[]")
    assert keys_of(row, everything) == ALL_KEYS
    assert row.entries("id, action, state, record_id, sfid, old", f"id = {named}") == [
        (named, "UPDATE", "NEW", 1, "001000000000001AAA", None)
    ]
    assert keys_of(row, named) == {"phone"}


def test_arrays_of_two_dimensions_count_by_their_elements(row):
    columns = "array[['phone', 'name'], ['industry', 'id']]::text[]"
    assert keys_of(row, capture(row, "insert", columns)) == ALL_KEYS - {"phone", "name", "industry"}
    assert keys_of(row, capture(row, "update", columns)) == {"phone", "name", "industry", "id"}
    entry = row.value("select salesforce.hc_capture_update_from_row("
                      "public.hstore(array[['id', '7'], ['name', 'Acme 7']]), 'account')")
    assert row.entries("record_id, sfid, \"values\"", f"id = {entry}") == [
        (7, None, '"id"=>"7", "name"=>"Acme 7"')
    ]


def test_null_for_the_array_means_the_default(row):
    assert keys_of(row, capture(row, "insert", "null")) == ALL_KEYS
    assert keys_of(row, capture(row, "update", "null::text[]")) == ALL_KEYS


def test_a_row_without_an_id_is_not_captured(mapped):
    for action in ("insert", "update"):
        call = f"select salesforce.hc_capture_{action}_from_row(%s::public.hstore, 'account')"
        assert mapped.value(call, ["name=>Acme"]) is None
        assert mapped.value(call, ["id=>NULL"]) is None
        assert mapped.value(call, [None]) is None
    assert mapped.entries() == []


def test_the_functions_write_to_their_own_schemas_log_whatever_the_callers_path(row):
    connection = row.database.connect()
    with connection.cursor() as cursor:
        cursor.execute("create temporary table _trigger_log (like salesforce._trigger_log)")
        cursor.execute("set search_path = pg_temp, public")
        cursor.execute(CALL.format(action="insert", columns=""))
        cursor.execute("select count(*) from pg_temp._trigger_log")
        assert cursor.fetchone() == (0,)
    connection.close()
    assert row.entries() == [("INSERT", "NEW")]


def test_they_work_with_the_callers_rights(row):
    row.query("revoke insert on salesforce._trigger_log from app", role="pgforce")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        capture(row, "insert")


def test_the_application_sees_the_value_of_xmlbinary(mapped):
    connection = mapped.database.connect()
    with connection.cursor() as cursor:
        cursor.execute("select public.get_xmlbinary()")
        assert cursor.fetchone() == ("base64",)
        cursor.execute("set xmlbinary = 'hex'; select public.get_xmlbinary()")
        assert cursor.fetchone() == ("hex",)
    connection.close()


def test_a_get_xmlbinary_that_is_there_stays(pgforce, database):
    database.psql("create function public.get_xmlbinary() returns varchar language sql as"
                  " 'select ''mine''::varchar'", role="postgres")
    pgforce.set_up()
    assert database.query("select public.get_xmlbinary()") == [("mine",)]


def test_setup_makes_the_extension_itself(pgforce, database):
    database.psql(pgforce.run("setup", "--print-superuser-sql").stdout, role="postgres")
    database.psql("drop extension hstore", role="postgres")
    pgforce.run("setup")
    assert database.query("select count(*) from pg_extension where extname = 'hstore'") == [(1,)]


def test_an_hstore_in_another_schema_is_used_from_there(pgforce, database):
    database.psql("create schema ext; create extension hstore with schema ext;"
                  " grant usage on schema ext to public", role="postgres")
    pgforce.set_up()
    entry = "select salesforce.hc_capture_insert_from_row('id=>1, name=>Acme'::ext.hstore, 'account')"
    assert database.query(entry) == [(1,)]


# For the server, hstore is then not to be had: the view is of this database alone.
NO_HSTORE = """
set allow_system_table_mods = on;
create or replace view pg_catalog.pg_available_extensions as
    select name, default_version, null::text collate "C" as installed_version, comment
    from pg_available_extensions() where name <> 'hstore';
"""


def test_without_hstore_setup_says_so_and_goes_on(sync, pgforce, database):
    database.psql("drop extension hstore cascade;" + NO_HSTORE, role="postgres")
    database.psql(pgforce.run("setup", "--print-superuser-sql").stdout, role="postgres")
    assert "lacks the extension hstore" in pgforce.run("setup").stderr
    sync.map(account())
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.logged(1) == [("INSERT", "NEW")]
    assert sync.query("select count(*) from pg_proc where proname like 'hc_capture_%'") == [(0,)]


def records(sync):
    return sync.org.query("select Name, Phone from Account order by Name")


@pytest.fixture
def pushing(mapped):
    mapped.start("archive", "push")
    return mapped


def push_sleeps(sync):
    """Waits until push has nothing to do: from now on only a notification wakes it in time."""
    pid = sync.value("select pid from pg_stat_activity where application_name = 'pgforce push'"
                     " and datname = current_database()", role="postgres")
    idle = "select state_change < clock_timestamp() - interval '200 ms' from pg_stat_activity where pid = %s"
    eventually(lambda: sync.value(idle, [pid], role="postgres"))


# Well under the half minute after which push looks by itself.
AT_ONCE_S = 20


def test_a_failed_insert_captured_again_is_sent_as_the_row_is_now(pushing):
    pushing.query("insert into salesforce.account (phone, external_id__c) values ('1', 'A-1')")
    assert pushing.settled(1) == [("INSERT", "FAILED")]
    pushing.query("update salesforce.account set name = 'Acme'")
    pushing.settled(2)
    push_sleeps(pushing)
    entry = capture(pushing, "insert")
    pushing.query("update salesforce._trigger_log set state = 'REQUEUED' where action = 'INSERT'"
                  " and id <> %s", [entry])
    eventually(lambda: pushing.entries("state", f"id = {entry}") == [("SUCCESS",)], AT_ONCE_S)
    assert [(r["Name"], r["Phone"]) for r in records(pushing)] == [("Acme", "1")]
    assert pushing.value("select sfid from salesforce.account") is not None


def test_an_update_captured_again_sends_the_columns_named(pushing):
    pushing.query("insert into salesforce.account (name, phone, external_id__c)"
                  " values ('Acme', '1', 'A-1')")
    pushing.settled(1)
    [created] = pushing.org.query("select Id from Account")
    pushing.org.update("Account", created["Id"], Name="Theirs", Phone="2")
    push_sleeps(pushing)
    entry = capture(pushing, "update", "array['phone']::text[]")
    eventually(lambda: pushing.entries("state", f"id = {entry}") == [("SUCCESS",)], AT_ONCE_S)
    assert [(r["Name"], r["Phone"]) for r in records(pushing)] == [("Theirs", "1")]


def test_a_state_set_to_new_by_hand_is_sent_at_once(pushing):
    pushing.query("insert into salesforce.account (phone) values ('1')")
    assert pushing.settled(1) == [("INSERT", "FAILED")]
    pushing.query("update salesforce.account set name = 'Acme'")
    pushing.settled(2)
    push_sleeps(pushing)
    pushing.query("update salesforce._trigger_log set state = 'NEW' where action = 'INSERT'")
    eventually(lambda: ("INSERT", "SUCCESS") in pushing.entries(), AT_ONCE_S)


def test_a_state_set_to_ignored_by_hand_is_never_sent(mapped):
    mapped.start("archive")
    mapped.query("insert into salesforce.account (name) values ('Acme'), ('Bolt')")
    mapped.logged(2)
    mapped.query("update salesforce._trigger_log set state = 'IGNORED' where record_id = 1")
    mapped.start("push")
    assert mapped.settled(2) == [("INSERT", "IGNORED"), ("INSERT", "SUCCESS")]
    assert [r["Name"] for r in records(mapped)] == ["Bolt"]
