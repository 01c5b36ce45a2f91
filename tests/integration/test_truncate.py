"""TRUNCATE of a mapped table: ignored, a reason to stop, or a deletion, as its mapping says."""

import pytest

from eventually import eventually
from sync import account, contact, export


def with_policy(policy, made=account, **options):
    entry = made(**options)
    entry["config"]["truncate_policy"] = policy
    return entry


def truncate(sync, tables="salesforce.account"):
    sync.query(f"truncate {tables}", role="postgres")


def truncations(sync):
    return sync.query("select policy, state, record_count from pgforce.truncation order by id",
                      role="pgforce")


def names(sync):
    return [r["Name"] for r in sync.org.query("select Name from Account order by Name")]


def fill(sync, count):
    """Rows that Salesforce has too."""
    sync.query("insert into salesforce.account (name, external_id__c)"
               f" select 'n' || i, 'A-' || i from generate_series(1, {count}) i")
    sync.settled(count)


@pytest.fixture
def deleting(sync):
    sync.map(with_policy("delete"))
    sync.start("archive", "push")
    return sync


def test_by_default_it_is_told_counted_and_ignored(sync):
    sync.map(account(), contact())
    archive = sync.start("archive", "push")
    fill(sync, 2)
    truncate(sync, "salesforce.account, salesforce.contact")
    sync.query("insert into salesforce.account (name) values ('new')")
    sync.settled(3)
    assert names(sync) == ["n1", "n2", "new"]
    assert truncations(sync) == [("ignore", "IGNORED", None)] * 2
    assert sync.roles["archive"].log_text().count("ignored TRUNCATE") == 2
    assert archive.is_running()
    assert sync.value("select count(*) from pg_trigger where tgname like 'pgforce%'") == 0


def test_fail_stops_the_mapping_alone_until_it_is_dismissed(sync):
    sync.map(with_policy("fail"), contact())
    sync.start("archive", "push")
    fill(sync, 1)
    truncate(sync)
    sync.query("insert into salesforce.account (name) values ('new')")
    sync.query("insert into salesforce.contact (lastname) values ('Coyote')")
    eventually(lambda: ("contact", "SUCCESS") in sync.entries("table_name, state"))
    assert sync.entries("table_name, state")[1] == ("account", "NEW")
    assert "TRUNCATE stops the mapping" in sync.roles["archive"].log_text()
    status = sync.pgforce.run("status").stdout
    assert "STOPPED" in status and "account" in status
    assert "not known" in sync.pgforce.run("truncations", "--delete", "1", expect=64).stderr
    sync.pgforce.run("truncations", "--dismiss", "1")
    sync.settled(3)
    assert names(sync) == ["n1", "new"]
    assert sync.pgforce.run("truncations").stdout == ""


def test_delete_deletes_what_was_in_the_table_and_nothing_else(deleting):
    deleting.org.create("Account", Name="theirs")
    fill(deleting, 3)
    deleting.query("begin; truncate salesforce.account; rollback", role="postgres")
    deleting.query("begin; insert into salesforce.account (name) values ('never sent');"
                   " truncate salesforce.account;"
                   " insert into salesforce.account (name, external_id__c) values ('n1', 'A-1');"
                   " commit", role="postgres")
    entries = deleting.settled(9, "action, state, sfid is null, old is null")
    assert [entry[0] for entry in entries[3:]] == ["INSERT"] + ["DELETE"] * 4 + ["INSERT"]
    assert names(deleting) == ["n1", "theirs"]
    assert truncations(deleting) == [("delete", "DELETED", 3)]
    assert deleting.query("select count(*) from pgforce.truncated_row", role="pgforce") == [(0,)]


def test_many_records_are_deleted_only_on_an_operators_word(deleting):
    fill(deleting, 101)
    truncate(deleting)
    eventually(lambda: truncations(deleting) == [("delete", "WAITING", 101)])
    deleting.query("insert into salesforce.account (name) values ('new')")
    deleting.settled(102)
    assert len(names(deleting)) == 102
    assert "WAITING" in deleting.pgforce.run("truncations").stdout
    deleting.pgforce.run("truncations", "--delete", "1")
    deleting.settled(203)
    assert names(deleting) == ["new"]
    deleting.pgforce.run("truncations", "--delete", "1", expect=64)


def test_an_operator_may_let_the_records_live(deleting):
    fill(deleting, 101)
    truncate(deleting)
    eventually(lambda: truncations(deleting) == [("delete", "WAITING", 101)])
    deleting.pgforce.run("truncations", "--dismiss", "1")
    deleting.query("insert into salesforce.account (name) values ('new')")
    deleting.settled(102)
    assert len(names(deleting)) == 102
    assert deleting.query("select count(*) from pgforce.truncated_row", role="pgforce") == [(0,)]


def test_a_hundred_records_do_not_wait_and_a_second_truncate_finds_nothing(deleting):
    fill(deleting, 100)
    deleting.query("begin; truncate salesforce.account; truncate salesforce.account; commit",
                   role="postgres")
    deleting.settled(200)
    assert names(deleting) == []
    assert [row[:2] for row in truncations(deleting)] == [("delete", "DELETED")] * 2


def test_without_the_trigger_the_records_are_unknown_and_the_mapping_stops(deleting):
    fill(deleting, 1)
    deleting.query("drop trigger pgforce_note_truncate on salesforce.account", role="pgforce")
    truncate(deleting)
    eventually(lambda: truncations(deleting) == [("delete", "STOPPED", None)])
    assert names(deleting) == ["n1"]


def test_the_policy_can_be_changed(sync):
    sync.map(with_policy("delete"))
    triggers = "select count(*) from pg_trigger where tgname = 'pgforce_note_truncate'"
    assert sync.value(triggers) == 1
    sync.map(with_policy("ignore"))
    assert sync.value(triggers) == 0
    sync.map(with_policy("delete"))
    assert sync.value(triggers) == 1


def test_a_policy_that_does_not_exist_is_refused(sync):
    refused = sync.pgforce.run("import", "-", stdin=export(with_policy("explode")), expect=65)
    assert "truncate_policy" in refused.stderr


def test_a_read_only_mapping_deletes_nothing(sync):
    sync.org.create("Account", Name="theirs")
    sync.load(with_policy("delete", access="read_only"))
    truncate(sync)
    eventually(lambda: truncations(sync) == [("delete", "IGNORED", 1)])
    assert names(sync) == ["theirs"]


def test_a_truncate_that_asks_not_to_be_captured_is_not(sync):
    sync.map(with_policy("delete"))
    sync.start("archive", "push", env={"PGFORCE_ALLOW_CAPTURE_OFF": "on"})
    fill(sync, 1)
    sync.query("begin; select salesforce.pgforce_capture_off(); truncate salesforce.account; commit",
               role="postgres")
    sync.query("insert into salesforce.account (name) values ('new')")
    sync.settled(2)
    assert truncations(sync) == []
    assert names(sync) == ["n1", "new"]


def test_a_crash_after_the_truncate_repeats_nothing(deleting):
    fill(deleting, 5)
    deleting.roles["archive"].kill()
    truncate(deleting)
    deleting.start("archive").kill()
    deleting.start("archive")
    deleting.settled(10)
    assert names(deleting) == []
    assert truncations(deleting) == [("delete", "DELETED", 5)]
