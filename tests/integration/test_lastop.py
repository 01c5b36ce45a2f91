"""What a row says of itself in _hc_lastop and _hc_err always agrees with the log."""

import json

import pytest

from eventually import eventually
from sync import account, mapping


@pytest.fixture
def mapped(sync):
    sync.map(account())
    return sync


@pytest.fixture
def pushing(mapped):
    mapped.start("archive", "push")
    return mapped


def marks(sync):
    return sync.query("select _hc_lastop, _hc_err from salesforce.account order by id")


def lastop(sync, where="true"):
    return sync.value(f"select _hc_lastop from salesforce.account where {where}")


def says(sync, expected):
    return eventually(lambda: lastop(sync) == expected)


def insert(sync, name="'Acme'", lastop="null"):
    """As from Salesforce: not to be sent."""
    sync.query(
        "select pg_replication_origin_session_setup('pgforce_load_salesforce');"
        " insert into salesforce.account (name, sfid, _hc_lastop)"
        f" values ({name}, '001000000000001AAA', {lastop})",
        role="postgres",
    )


def test_a_loaded_row_says_nothing_until_it_is_changed(sync):
    sync.org.create("Account", Name="Acme")
    sync.load(account())
    assert marks(sync) == [(None, None)]
    # A poll would say SYNCED.
    for role in ("push", "pull"):
        sync.roles[role].stop()
    sync.query("update salesforce.account set name = 'Acme 2'")
    says(sync, "PENDING")
    assert sync.entries() == [("UPDATE", "NEW")]
    sync.start("push")
    says(sync, "UPDATED")


def test_a_row_inserted_with_null_says_pending_when_it_is_logged(mapped):
    mapped.start("archive")
    mapped.query("insert into salesforce.account (name, _hc_lastop, _hc_err)"
                 " values ('a', null, null), ('b', 'SYNCED', 'mine'), ('c', default, null)")
    eventually(lambda: marks(mapped) == [("PENDING", None)] * 3)
    assert mapped.entries() == [("INSERT", "NEW")] * 3


def test_an_updated_row_says_pending_and_makes_no_second_entry(mapped):
    insert(mapped, lastop="'SYNCED'")
    mapped.start("archive")
    mapped.query("update salesforce.account set phone = '1'")
    says(mapped, "PENDING")
    assert mapped.log_is_quiet_after("update salesforce.account set phone = '2'") == 1


def test_an_update_that_changes_nothing_leaves_the_mark(mapped):
    insert(mapped, lastop="'SYNCED'")
    mapped.start("archive")
    mapped.query("update salesforce.account set name = name")
    mapped.query("insert into salesforce.account (name, _hc_lastop) values ('b', null)")
    eventually(lambda: lastop(mapped, "name = 'b'") == "PENDING")
    assert lastop(mapped, "name = 'Acme'") == "SYNCED"
    assert mapped.entries() == [("UPDATE", "IGNORE"), ("INSERT", "NEW")]


def test_a_read_only_table_is_not_marked(sync):
    sync.map(account(access="read_only"))
    insert(sync, lastop="'SYNCED'")
    sync.start("archive")
    assert sync.log_is_quiet_after("update salesforce.account set name = 'Acme 2'") == 0
    sync.map(account())
    sync.query("insert into salesforce.account (name, _hc_lastop) values ('b', null)")
    eventually(lambda: lastop(sync, "name = 'b'") == "PENDING")
    assert lastop(sync, "name = 'Acme 2'") == "SYNCED"


def test_failed_and_failed_again_and_mended(pushing):
    pushing.query("insert into salesforce.account (phone, external_id__c) values ('1', 'A-1')")
    for count in (1, 2):
        pushing.settled(1)
        [(mark, text)] = marks(pushing)
        assert mark == "FAILED"
        assert set(json.loads(text)) == {"op", "src", "msg"}
        assert (json.loads(text)["op"], json.loads(text)["src"]) == ("INSERT", "SFDC")
        processed = pushing.value("select processed_at from salesforce._trigger_log")
        pushing.query("update salesforce._trigger_log set state = 'NEW'")
        eventually(lambda processed=processed: pushing.value(
            "select processed_at > %s and state = 'FAILED' from salesforce._trigger_log",
            [processed],
        ))
    pushing.query("update salesforce.account set name = 'Acme'")
    pushing.settled(2)
    pushing.query("select salesforce.hc_capture_insert_from_row(public.hstore(t.*), 'account')"
                  " from salesforce.account t")
    eventually(lambda: marks(pushing) == [("INSERTED", None)])


def test_an_error_text_of_any_length_is_kept(mapped):
    kind = mapped.value("select format_type(atttypid, atttypmod) from pg_attribute"
                        " where attrelid = 'salesforce.account'::regclass and attname = '_hc_err'")
    assert kind == "text"


def test_an_answer_to_an_older_change_does_not_hide_a_newer_one(mapped):
    mapped.start("archive")
    mapped.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    mapped.logged(1)
    holder = mapped.hold_deliveries("update or delete", 1, 2)
    mapped.start("push")
    eventually(lambda: mapped.entries() == [("INSERT", "PENDING")])
    # While the INSERT is under way; the UPDATE's own answer is held back too.
    mapped.query("update salesforce.account set phone = '1'")
    mapped.logged(2)
    holder.cursor().execute("select pg_advisory_unlock(1)")
    eventually(lambda: mapped.entries() == [("INSERT", "SUCCESS"), ("UPDATE", "PENDING")])
    assert marks(mapped) == [("PENDING", None)]
    holder.close()
    says(mapped, "UPDATED")


def test_a_row_that_its_writer_still_holds_stalls_nothing_and_is_marked_later(mapped):
    insert(mapped, lastop="'SYNCED'")
    mapped.start("archive")
    holder = mapped.database.connect(autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute("update salesforce.account set phone = '1'")
        holder.commit()
        cursor.execute("select from salesforce.account for update")
        # Everything else goes on.
        mapped.query("insert into salesforce.account (name, _hc_lastop) values ('b', null)")
        eventually(lambda: lastop(mapped, "name = 'b'") == "PENDING")
        mapped.logged(2)
        before = lastop(mapped, "name = 'Acme'")
        holder.commit()
    holder.close()
    assert before in ("SYNCED", "PENDING")
    eventually(lambda: lastop(mapped, "name = 'Acme'") == "PENDING")


def test_a_table_that_is_being_changed_stalls_nothing(mapped):
    insert(mapped, lastop="'SYNCED'")
    archive = mapped.start("archive")
    holder = mapped.database.connect("pgforce", autocommit=False)
    archive.kill()
    mapped.query("update salesforce.account set phone = '1'")
    with holder.cursor() as cursor:
        cursor.execute("lock table salesforce.account in access exclusive mode")
        mapped.start("archive")
        mapped.logged(1)
        holder.rollback()
    holder.close()
    says(mapped, "PENDING")


def test_marks_are_made_after_a_crash_between_the_log_and_the_row(mapped):
    insert(mapped, lastop="'SYNCED'")
    archive = mapped.start("archive")
    holder = mapped.database.connect(autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute("select from salesforce.account for no key update")
        cursor.execute("update salesforce.account set phone = '1'")
        holder.commit()
        cursor.execute("select from salesforce.account for no key update")
        mapped.logged(1)
        archive.kill()
        holder.rollback()
    holder.close()
    mapped.start("archive")
    says(mapped, "PENDING")


def test_a_users_trigger_does_not_fire_for_a_mark(mapped):
    insert(mapped, lastop="'SYNCED'")
    mapped.query("""
        create table public.fired (at timestamptz default clock_timestamp());
        create function public.fire() returns trigger language plpgsql security definer as
            'begin insert into public.fired default values; return new; end';
        create trigger fire before update on salesforce.account
            for each row execute function public.fire()""", role="postgres")
    mapped.start("archive")
    mapped.query("update salesforce.account set phone = '1'")
    says(mapped, "PENDING")
    assert mapped.value("select count(*) from public.fired", role="postgres") == 1


def test_a_row_that_refuses_its_mark_stops_neither_the_log_nor_other_rows(mapped):
    insert(mapped, lastop="'SYNCED'")
    mapped.query("alter table salesforce.account add check (phone is null or _hc_lastop <> 'PENDING')",
                 role="pgforce")
    archive = mapped.start("archive")
    mapped.query("begin; update salesforce.account set phone = '1';"
                 " insert into salesforce.account (name, _hc_lastop) values ('b', null); commit")
    eventually(lambda: lastop(mapped, "name = 'b'") == "PENDING")
    assert mapped.logged(2) == [("UPDATE", "NEW"), ("INSERT", "NEW")]
    assert "cannot mark rows as PENDING" in archive.log_text()
    assert lastop(mapped, "name = 'Acme'") == "SYNCED"


def test_many_rows_at_once_are_all_marked(mapped):
    mapped.start("archive")
    mapped.query("insert into salesforce.account (name, _hc_lastop)"
                 " select 'n' || i, null from generate_series(1, 5000) i")
    eventually(lambda: mapped.query("select distinct _hc_lastop from salesforce.account")
               == [("PENDING",)])
    assert len(mapped.entries("id")) == 5000


def test_a_table_that_changes_between_two_marks_is_marked_still(mapped):
    insert(mapped, lastop="'SYNCED'")
    mapped.start("archive")
    mapped.query("update salesforce.account set phone = '1'")
    says(mapped, "PENDING")
    mapped.query("alter table salesforce.account add column mine text, alter column phone type text",
                 role="pgforce")
    mapped.query("update salesforce.account set _hc_lastop = 'SYNCED', phone = '2'")
    says(mapped, "PENDING")


def test_a_row_that_refused_its_mark_takes_the_next(mapped):
    insert(mapped, lastop="'SYNCED'")
    mapped.query("alter table salesforce.account add check (phone = '2' or _hc_lastop <> 'PENDING')",
                 role="pgforce")
    archive = mapped.start("archive")
    mapped.query("update salesforce.account set phone = '1'")
    mapped.logged(1)
    eventually(lambda: "cannot mark rows as PENDING" in archive.log_text())
    mapped.query("update salesforce.account set phone = '2'")
    says(mapped, "PENDING")


def test_inbound_changes_say_synced(sync):
    created = sync.org.create("Account", Name="Acme")
    sync.load(mapping("Account", "Name", "Phone"))
    sync.org.update("Account", created, Phone="1")
    says(sync, "SYNCED")


def test_a_row_with_a_value_too_large_to_be_captured_says_so(mapped):
    sync = mapped
    sync.start("archive")
    sync.query("alter table salesforce.account add column essay text", role="postgres")
    # Compressed, it is small; as text it is over 64 MB.
    sync.query("insert into salesforce.account (name, essay) values ('big', repeat('x', 70000000)), ('Acme', null)")
    eventually(
        lambda: sync.query("select name, _hc_lastop from salesforce.account order by name")
        == [("Acme", "PENDING"), ("big", "FAILED")]
    )
    assert json.loads(sync.value("select _hc_err from salesforce.account where name = 'big'")) == {
        "op": "INSERT",
        "src": "pgforce",
        "msg": "pgforce: the value of essay is larger than max_value_bytes and was not captured",
    }
    # What comes after it is to be sent.
    sync.query("update salesforce.account set name = 'large' where name = 'big'")
    eventually(lambda: lastop(sync, "name = 'large'") == "PENDING")
    assert sync.value("select _hc_err from salesforce.account where name = 'large'") is None


def test_a_row_too_large_to_be_captured_says_so_although_the_archive_died_while_it_was_locked(mapped):
    sync = mapped
    sync.query("alter table salesforce.account add column essay text", role="postgres")
    sync.query("insert into salesforce.account (name, essay) values ('big', repeat('x', 70000000))")
    holder = sync.database.connect(autocommit=False)
    holder.cursor().execute("select from salesforce.account for update")
    archive = sync.start("archive")
    assert sync.logged(1) == [("INSERT", "FAILED")]
    archive.kill()
    holder.rollback()
    holder.close()
    sync.start("archive")
    eventually(lambda: lastop(sync) == "FAILED")
    assert "max_value_bytes" in sync.value("select _hc_err from salesforce.account")
