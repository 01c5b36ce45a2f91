"""Writing what Salesforce has changed into tables that others use: nobody waits for it, and nothing of what may
happen to a transaction stops it."""

import datetime
import subprocess
import threading

import pytest
from cluster import give_to_server
from eventually import eventually
from sync import account, contact, mapping

FLAG = """
create table public.trouble (sqlstate text);
grant select on public.trouble to pgforce;
create function public.make_trouble() returns trigger language plpgsql as
$$
declare code text;
begin
    select sqlstate into code from public.trouble;
    if found and new.name = 'Trouble' then
        raise exception using errcode = code, message = 'made by the test';
    end if;
    return new;
end
$$;
"""
TRIGGER = """
create trigger trouble before insert or update on salesforce.account
for each row execute function public.make_trouble()
"""


def count(sync, condition="true", table="account"):
    return sync.value(f"select count(*) from salesforce.{table} where {condition}")


def refused(sync):
    return sync.query("select sfid, reason, attempts from pgforce.refused_record", role="pgforce")


def make_trouble(sync, sqlstate):
    sync.query(FLAG)
    sync.query("grant execute on function public.make_trouble() to pgforce")
    sync.query("insert into public.trouble values (%s)", [sqlstate])
    sync.query(TRIGGER, role="pgforce")


@pytest.mark.parametrize(
    "sqlstate",
    [
        pytest.param("40001", id="a serialization failure"),
        pytest.param("40P01", id="a deadlock"),
        pytest.param("53100", id="a full disk"),
        pytest.param("55P03", id="a lock"),
        pytest.param("57014", id="a cancelled statement"),
    ],
)
def test_what_is_the_worlds_fault_is_tried_again_until_it_is_over(sync, sqlstate):
    sync.org.create("Account", Name="Quiet")
    sync.load(account(), contact())
    make_trouble(sync, sqlstate)
    sync.org.create("Account", Name="Trouble")
    sync.org.create("Account", Name="Beside it")
    eventually(lambda: f"SQLSTATE {sqlstate}" in sync.roles["pull"].log_text())
    # Another mapping goes on.
    sync.org.create("Contact", LastName="Coyote")
    eventually(lambda: count(sync, table="contact") == 1)
    assert count(sync) == 1
    sync.query("delete from public.trouble")
    eventually(lambda: count(sync) == 3)
    assert refused(sync) == []
    assert sync.mapping_states() == {"DATA_SYNCED"}


# The real thing, where it can be had.

LEDGER = """
create table public.ledger (total integer);
insert into public.ledger values (0);
grant all on public.ledger to app;
create function public.add_up() returns trigger language plpgsql security definer as
$$ begin perform pg_advisory_xact_lock(7); update public.ledger set total = total + 1; return null; end $$;
create trigger add_up after update on salesforce.account for each row execute function public.add_up();
"""


def waiting(sync, application_name, event):
    found = sync.query(
        "select count(*) from pg_stat_activity where application_name like %s and wait_event = %s",
        [application_name, event],
        role="postgres",
    )
    return found[0][0] > 0


def test_a_deadlock_with_an_application_is_waited_out(sync):
    """The application has what a trigger of the table wants, and wants the row that pull has."""
    acme = sync.org.create("Account", Name="Acme", Phone="1", Industry="Energy")
    sync.load(account())
    sync.roles["push"].stop()
    sync.database.psql(LEDGER, role="postgres")
    # Who waits last finds the deadlock and gives in: that is to be pull.
    sync.database.psql("alter role app set deadlock_timeout = '10min'", role="postgres")
    gate = sync.database.connect("postgres")
    gate.cursor().execute("select pg_advisory_lock(7)")
    user = sync.database.connect(autocommit=False)
    cursor = user.cursor()
    cursor.execute("set application_name = 'the application'; update public.ledger set total = total")
    sync.org.update("Account", acme, Industry="Banking")
    eventually(lambda: waiting(sync, "pgforce pull%", "advisory"))
    update = threading.Thread(target=cursor.execute, args=["update salesforce.account set phone = 'ours'"])
    update.start()
    eventually(lambda: waiting(sync, "the application", "transactionid"))
    gate.close()
    eventually(lambda: "SQLSTATE 40P01" in sync.roles["pull"].log_text())
    update.join()
    user.commit()
    user.close()
    eventually(lambda: sync.query("select phone, industry from salesforce.account") == [("ours", "Banking")])
    sync.database.psql("alter role app reset deadlock_timeout", role="postgres")


@pytest.fixture
def small_disk(sync, scratch):
    """A disk of 8 MB for a tablespace, and a file that takes nearly all of it."""
    folder = scratch / f"disk-{sync.database.name}"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("a disk can be mounted by root alone, where the kernel lets him")
    give_to_server(folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_full_is_waited_for(sync, small_disk):
    sync.load(account())
    connection = sync.database.connect("postgres")
    connection.cursor().execute(f"create tablespace small_disk location '{small_disk}'")
    connection.cursor().execute("alter table salesforce.account set tablespace small_disk")
    connection.close()
    filler = small_disk / "filler"
    filler.write_bytes(bytes(7 * 1024 * 1024 + 512 * 1024))
    sync.org.load("Account", 5000)
    eventually(lambda: "SQLSTATE 53100" in sync.roles["pull"].log_text())
    filler.unlink()
    eventually(lambda: count(sync) == 5000)
    assert refused(sync) == []
    assert sync.mapping_states() == {"DATA_SYNCED"}
    sync.database.psql("alter table salesforce.account set tablespace pg_default", role="postgres")
    sync.database.psql("drop tablespace small_disk", role="postgres")


def test_a_row_that_a_users_trigger_refuses_is_recorded_and_the_others_go_on(sync):
    sync.load(account())
    make_trouble(sync, "P0001")
    for number in range(50):
        sync.org.create("Account", Name="Trouble" if number == 17 else f"Account {number}")
    eventually(lambda: count(sync) == 49)
    [(sfid, reason, _)] = eventually(lambda: refused(sync))
    assert "made by the test" in reason
    assert "the table does not take 1 records" in sync.pgforce.run("status").stdout
    # Only later reasons to look at it again: its time, and the next change.
    sync.query("delete from public.trouble")
    sync.query("update pgforce.refused_record set retry_at = now()", role="pgforce")
    eventually(lambda: count(sync, f"sfid = '{sfid}'") == 1)
    eventually(lambda: refused(sync) == [])


def test_a_known_row_that_a_users_constraint_refuses_is_recorded_and_the_others_go_on(sync):
    ids = [sync.org.create("Account", Name=f"Account {number}", Phone="1") for number in range(5)]
    sync.load(account())
    sync.query("alter table salesforce.account add constraint short check (length(phone) < 3)", role="pgforce")
    sync.roles["pull"].stop()
    for each in ids:
        sync.org.update("Account", each, Phone="123" if each == ids[2] else "2")
    sync.start("pull")
    [(sfid, reason, _)] = eventually(lambda: refused(sync))
    assert (sfid, '"short"' in reason) == (ids[2], True), reason
    eventually(lambda: count(sync, "phone = '2'") == 4)
    assert count(sync, "phone = '1'") == 1
    sync.query("alter table salesforce.account drop constraint short", role="pgforce")
    sync.query("update pgforce.refused_record set retry_at = now()", role="pgforce")
    eventually(lambda: count(sync, "phone = '123'") == 1)
    eventually(lambda: refused(sync) == [])


def test_a_refused_record_that_is_deleted_in_the_organisation_is_forgotten(sync):
    sync.load(account())
    make_trouble(sync, "P0001")
    trouble = sync.org.create("Account", Name="Trouble")
    eventually(lambda: refused(sync))
    sync.org.remove("Account", trouble)
    sync.query("update pgforce.refused_record set retry_at = now()", role="pgforce")
    eventually(lambda: refused(sync) == [])
    assert count(sync) == 0


def test_a_refused_record_whose_row_is_locked_is_not_forgotten(sync):
    acme = sync.org.create("Account", Name="Acme")
    sync.load(account())
    make_trouble(sync, "P0001")
    sync.org.update("Account", acme, Name="Trouble")
    eventually(lambda: refused(sync))
    # No poll reads it again by its time.
    mark = sync.mark()
    sync.org.advance(3600)
    eventually(lambda: sync.mark() > mark + datetime.timedelta(minutes=50))
    holder = sync.database.connect(autocommit=False)
    holder.cursor().execute("select from salesforce.account for update")
    sync.query("delete from public.trouble")
    sync.query("update pgforce.refused_record set retry_at = now()", role="pgforce")
    eventually(lambda: "held=1" in sync.roles["pull"].log_text())
    assert len(refused(sync)) == 1
    holder.rollback()
    holder.close()
    eventually(lambda: count(sync, "name = 'Trouble'") == 1)
    eventually(lambda: refused(sync) == [])


def test_a_reader_neither_waits_nor_sees_half_a_poll(sync):
    sync.org.load("Account", 100)
    sync.load(account())
    reader = sync.database.connect(autocommit=False)
    cursor = reader.cursor()
    cursor.execute("set transaction isolation level repeatable read")
    cursor.execute("select count(*) from salesforce.account")
    sync.org.load("Contact", 1)
    sync.org.create("Account", Name="New")
    eventually(lambda: count(sync) == 101)
    cursor.execute("select count(*) from salesforce.account")
    assert cursor.fetchall() == [(100,)]
    reader.rollback()
    reader.close()


def test_a_server_that_restarts_is_waited_for(sync):
    sync.org.create("Account", Name="Before")
    sync.map(account())
    # The whole daemon: the supervisor starts what the restart ended.
    sync.pgforce.start("run")
    sync.wait_until_loaded()
    sync.database.cluster.restart()
    sync.org.create("Account", Name="After")
    eventually(lambda: count(sync) == 2, deadline_s=60)


def test_columns_of_the_users_own_are_left_alone(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1")
    sync.load(account())
    sync.query("alter table salesforce.account add column mood text default 'fine'", role="pgforce")
    sync.query("update salesforce.account set mood = 'good'")
    sync.org.update("Account", acme, Phone="2")
    sync.org.create("Account", Name="Bolt")
    eventually(lambda: count(sync, "phone = '2'") == 1)
    eventually(lambda: count(sync) == 2)
    found = sync.query("select name, mood from salesforce.account order by name")
    assert found == [("Acme", "good"), ("Bolt", "fine")]


# Values that are too long.


@pytest.fixture
def narrow(sync):
    """A column of 20 characters, mapped when its field was no longer."""
    fields = [{"name": "Code__c", "type": "string", "length": 200}]
    sync.org.define({"name": "Project__c", "label": "Project", "fields": fields})
    sync.org.create("Project__c", Name="One", Code__c="short")
    sync.map(mapping("Project__c", "Name", "Code__c"), account())
    sync.query("alter table salesforce.project__c alter code__c type varchar(20)", role="pgforce")
    sync.query(
        "update pgforce.mapping_field set column_type = 'varchar(20)' where column_name = 'code__c'",
        role="pgforce",
    )
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    return sync


def create(sync, name, code):
    sync.org.create("Project__c", Name=name, Code__c=code)


def column_type(sync):
    return sync.value(
        "select format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = 'salesforce.project__c'::regclass and attname = 'code__c'"
    )


def test_a_value_that_is_too_long_widens_its_column(narrow):
    # Characters count, not bytes.
    create(narrow, "Fits", "ü" * 20)
    eventually(lambda: count(narrow, table="project__c") == 2)
    assert column_type(narrow) == "character varying(20)"
    create(narrow, "Long", "ü" * 60)
    eventually(lambda: count(narrow, "length(code__c) = 60", "project__c") == 1)
    assert column_type(narrow) == "character varying(255)"
    assert narrow.mapping_states() == {"DATA_SYNCED"}


def test_a_column_that_cannot_grow_refuses_the_rows_that_need_it(narrow):
    narrow.query("create view public.codes as select code__c from salesforce.project__c")
    create(narrow, "Long", "x" * 60)
    create(narrow, "Short", "x")
    eventually(lambda: count(narrow, "name = 'Short'", "project__c") == 1)
    [(_, reason, _)] = eventually(lambda: refused(narrow))
    assert "too long for column code__c" in reason
    assert column_type(narrow) == "character varying(20)"
    narrow.query("drop view public.codes")
    narrow.roles["pull"].stop()
    narrow.query("update pgforce.refused_record set retry_at = now()", role="pgforce")
    narrow.start("pull")
    eventually(lambda: count(narrow, "length(code__c) = 60", "project__c") == 1)


def test_a_column_that_waits_for_a_reader_to_grow_keeps_nobody_out(narrow):
    reader = narrow.database.connect(autocommit=False)
    reader.cursor().execute("select count(*) from salesforce.project__c")
    create(narrow, "Long", "x" * 60)
    eventually(lambda: "lock" in narrow.roles["pull"].log_text())
    other = narrow.database.connect()
    other.cursor().execute("set statement_timeout = '2s'; select count(*) from salesforce.project__c")
    other.close()
    reader.rollback()
    reader.close()
    eventually(lambda: count(narrow, "length(code__c) = 60", "project__c") == 1)


# Encrypted texts (Classic): who may not view them is told a mask.


def test_a_mask_replaces_what_was_written_is_never_sent_back_and_is_no_conflict(sync):
    fields = [{"name": "Secret__c", "type": "encryptedstring", "length": 175}]
    sync.org.define({"name": "Project__c", "label": "Project", "fields": fields})
    sync.org.post("/_sandbox/rules", {"view_encrypted": False})
    sync.load(mapping("Project__c", "Name", "Secret__c"))
    sync.query("insert into salesforce.project__c (name, secret__c) values ('One', 'plain text')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    mask = eventually(
        lambda: sync.value("select secret__c from salesforce.project__c where secret__c ~ '[*]'")
    )
    [stored] = sync.org.rows("Project__c")
    assert stored["Secret__c"] == "plain text"
    sync.query("update salesforce.project__c set name = 'Two'")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    [stored] = sync.org.rows("Project__c")
    assert (stored["Name"], stored["Secret__c"]) == ("Two", "plain text")
    # The mask stays, and comparing it starts nothing.
    sync.wait_for_polls(2)
    before = sync.query("select secret__c, xmin::text from salesforce.project__c")
    sync.wait_for_polls(2)
    assert sync.query("select secret__c, xmin::text from salesforce.project__c") == before
    assert before[0][0] == mask
    assert len(sync.entries()) == 2


def test_who_may_view_encrypted_texts_has_them_and_writes_them(sync):
    fields = [{"name": "Secret__c", "type": "encryptedstring", "length": 175, "showsLastFour": True}]
    sync.org.define({"name": "Project__c", "label": "Project", "fields": fields})
    sync.load(mapping("Project__c", "Name", "Secret__c"))
    there = sync.org.create("Project__c", Name="There", Secret__c="their secret")
    eventually(lambda: sync.query("select secret__c from salesforce.project__c") == [("their secret",)])
    sync.query("update salesforce.project__c set secret__c = 'our secret'")
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]
    sync.wait_for_polls(2)
    assert sync.query("select secret__c from salesforce.project__c") == [("our secret",)]
    # Stars alone are no mask where the field shows the last four characters.
    sync.query("update salesforce.project__c set secret__c = '********'")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    assert sync.org.retrieve("Project__c", there)["Secret__c"] == "********"
    # From now on it may not, and the mask that it is told shows the last four.
    sync.org.post("/_sandbox/rules", {"view_encrypted": False})
    sync.query("update salesforce.project__c set secret__c = 'new secret'")
    assert sync.settled(3)[2] == ("UPDATE", "SUCCESS")
    eventually(lambda: sync.query("select secret__c from salesforce.project__c") == [("******cret",)])
    sync.query("update salesforce.project__c set secret__c = '******cret', name = 'Here'")
    assert sync.settled(4)[3] == ("UPDATE", "SUCCESS")
    assert [row["Secret__c"] for row in sync.org.rows("Project__c")] == ["new secret"]


def conflicts(sync):
    return sync.value("select count(*) from pgforce.conflict", role="pgforce")


def test_a_secret_that_is_changed_before_its_mask_has_come_meets_no_conflict(sync):
    fields = [{"name": "Secret__c", "type": "encryptedstring", "length": 175}]
    sync.org.define({"name": "Project__c", "label": "Project", "fields": fields})
    sync.org.post("/_sandbox/rules", {"view_encrypted": False})
    sync.load(mapping("Project__c", "Name", "Secret__c"))
    sync.roles["pull"].stop()
    sync.query("insert into salesforce.project__c (name, secret__c) values ('One', 'first secret')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    sync.query("update salesforce.project__c set secret__c = 'second secret'")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    assert [row["Secret__c"] for row in sync.org.rows("Project__c")] == ["second secret"]
    # One that waits when the mask comes.
    sync.roles["push"].stop()
    sync.query("update salesforce.project__c set secret__c = 'third secret'")
    [stored] = sync.org.rows("Project__c")
    sync.org.update("Project__c", stored["Id"], Name="Two")
    sync.start("pull")
    eventually(lambda: sync.query("select name from salesforce.project__c") == [("Two",)])
    assert sync.query("select secret__c from salesforce.project__c") == [("third secret",)]
    sync.start("push")
    assert sync.settled(3)[2] == ("UPDATE", "SUCCESS")
    assert [row["Secret__c"] for row in sync.org.rows("Project__c")] == ["third secret"]
    assert conflicts(sync) == 0


def test_a_mask_that_an_application_writes_itself_is_not_sent(sync):
    fields = [{"name": "Secret__c", "type": "encryptedstring", "length": 175}]
    sync.org.define({"name": "Project__c", "label": "Project", "fields": fields})
    sync.org.post("/_sandbox/rules", {"view_encrypted": False})
    sync.load(mapping("Project__c", "Name", "Secret__c"))
    sync.roles["pull"].stop()  # a poll would write the mask before the application does
    sync.query("insert into salesforce.project__c (name, secret__c) values ('One', 'plain text')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    # With another value, alone, and of another record.
    sync.query("update salesforce.project__c set name = 'Two', secret__c = '****'")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    sync.query("update salesforce.project__c set secret__c = '**********'")
    assert sync.settled(3)[2] == ("UPDATE", "IGNORED")
    sync.query("insert into salesforce.project__c (name, secret__c) values ('Copy', '**********')")
    assert sync.settled(4)[3] == ("INSERT", "SUCCESS")
    stored = {row["Name"]: row["Secret__c"] for row in sync.org.rows("Project__c")}
    assert stored == {"Two": "plain text", "Copy": None}
