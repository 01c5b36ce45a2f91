"""What is over leaves the log for the archive, day by day, and the archive's old days go."""

import psycopg2
import pytest

from eventually import eventually
from sync import account

NOW = {"PGFORCE_ARCHIVE_AFTER_S": "0"}


@pytest.fixture
def mapped(sync):
    sync.map(account())
    return sync


def write(sync, **columns):
    """An entry made by hand; what is not given is as in an entry that is a week old and settled."""
    values = {
        "created_at": "now() - interval '7 days'",
        "processed_at": "now() - interval '6 days'",
        "state": "'SUCCESS'",
        "action": "'UPDATE'",
        "table_name": "'account'",
        "record_id": "1",
        **columns,
    }
    return sync.value(
        f"insert into salesforce._trigger_log ({', '.join(values)}, updated_at)"
        f" values ({', '.join(values.values())}, null) returning id"
    )


def ids(sync, table="_trigger_log"):
    return [row[0] for row in sync.query(f"select id from salesforce.{table} order by id")]


def archived(sync):
    return ids(sync, "_trigger_log_archive")


def days(sync):
    return [
        row[0]
        for row in sync.query(
            "select substring(inhrelid::regclass::text from '[0-9]{8}')"
            " from pg_inherits where inhparent = 'salesforce._trigger_log_archive'::regclass"
            " order by 1",
            role="pgforce",
        )
    ]


def day(sync, back):
    return sync.value(f"select to_char((now() at time zone 'UTC')::date - {back}, 'YYYYMMDD')")


def has_table(sync, of_day):
    return sync.value("select to_regclass(%s)", [f"pgforce.salesforce_archive_{of_day}"],
                      role="pgforce") is not None


def keep_house(sync, env=None):
    """One round: all that was due when it began is moved when it answers."""
    last = write(sync, record_id="0")
    housekeeper = sync.start("housekeeper", env=env)
    eventually(lambda: last in archived(sync))
    # What it says when a round is over.
    eventually(lambda: "archived settled entries" in housekeeper.log_text())
    assert housekeeper.stop() == 0
    return last


def test_what_has_been_settled_for_a_day_moves_and_all_else_stays(mapped):
    settled = ["IGNORE", "READONLY", "SUCCESS", "MERGED", "IGNORED", "FAILED", "REQUEUED"]
    old = [write(mapped, state=f"'{state}'") for state in settled]
    kept = [write(mapped, state=f"'{state}'") for state in ("NEW", "PENDING", "REQUEUE")]
    kept.append(write(mapped, processed_at="now() - interval '23 hours'"))
    last = keep_house(mapped)
    assert archived(mapped) == [*old, last]
    assert ids(mapped) == kept


def test_an_archived_entry_is_what_it_was_in_the_log(mapped):
    mapped.start("archive", "push")
    mapped.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    mapped.settled(1)
    columns = "l::text"
    [before] = mapped.query(f"select {columns} from salesforce._trigger_log l")
    keep_house(mapped, NOW)
    assert mapped.query(f"select {columns} from salesforce._trigger_log_archive l where id = 1") == [
        before
    ]


def test_the_options_say_when_entries_move_and_how_long_they_stay(mapped):
    young = write(mapped, created_at="now()", processed_at="now()")
    mapped.start("housekeeper", env={"PGFORCE_ARCHIVE_AFTER_S": "0", "PGFORCE_ARCHIVE_KEEP_DAYS": "1"})
    eventually(lambda: young in archived(mapped))
    assert mapped.pgforce.run("housekeeper", env={"PGFORCE_ARCHIVE_KEEP_DAYS": "0"}, expect=78)


def test_an_entry_moves_only_with_nothing_on_its_way(mapped):
    on_its_way = write(mapped, state="'IGNORED'", record_id="7")
    mapped.query(
        "insert into pgforce.delivery (schema_name, log_id, mapping_id, record_id, action, state)"
        f" values ('salesforce', {on_its_way}, 1, 7, 'UPDATE', 'SENDING')",
        role="pgforce",
    )
    keep_house(mapped)
    assert ids(mapped) == [on_its_way]


def test_what_was_settled_by_hand_while_it_waited_is_forgotten_and_moves(mapped):
    waiting = write(mapped, state="'IGNORED'", record_id="7")
    mapped.query(
        "insert into pgforce.delivery (schema_name, log_id, mapping_id, record_id, action, state)"
        f" values ('salesforce', {waiting}, 1, 7, 'UPDATE', 'RETRY')",
        role="pgforce",
    )
    keep_house(mapped)
    assert waiting in archived(mapped)
    assert mapped.query("select count(*) from pgforce.delivery", role="pgforce") == [(0,)]


def test_an_insert_stays_until_all_that_follows_it_is_settled(mapped):
    insert = write(mapped, action="'INSERT'", record_id="7", sfid="'001000000000001AAA'")
    follower = write(mapped, state="'PENDING'", record_id="7")
    keep_house(mapped)
    assert ids(mapped) == [insert, follower]
    mapped.query(f"update salesforce._trigger_log set state = 'FAILED' where id = {follower}")
    keep_house(mapped)
    assert ids(mapped) == []


def test_an_entry_that_somebody_holds_is_left_and_not_waited_for(mapped):
    held = write(mapped)
    holder = mapped.database.connect(autocommit=False)
    holder.cursor().execute("update salesforce._trigger_log set state = 'NEW' where id = %s", [held])
    keep_house(mapped)
    assert ids(mapped) == [held]
    holder.commit()
    holder.close()
    keep_house(mapped)
    assert mapped.entries("id, state") == [(held, "NEW")]


def test_entries_go_to_the_day_they_were_made_on(mapped):
    midnight = "((now() at time zone 'UTC')::date - 600)::timestamp at time zone 'UTC'"
    written = [write(mapped, created_at=f"{midnight} - interval '1 microsecond'"),
               write(mapped, created_at=midnight)]
    assert keep_house(mapped, {"PGFORCE_ARCHIVE_KEEP_DAYS": "3650"})
    found = mapped.query("select id, (select relname::text from pg_class where oid = a.tableoid)"
                         " from salesforce._trigger_log_archive a"
                         " where id = any(%s) order by id", [written], role="pgforce")
    assert found == [(written[0], f"salesforce_archive_{day(mapped, 601)}"),
                     (written[1], f"salesforce_archive_{day(mapped, 600)}")]


def test_entries_without_a_possible_time_are_archived_under_today(mapped):
    written = [write(mapped, created_at="null", processed_at="null"),
               write(mapped, created_at="'-infinity'"),
               write(mapped, created_at="'1970-01-01'")]
    keep_house(mapped)
    assert mapped.query("select count(*) from salesforce._trigger_log_archive where id = any(%s)"
                        " and created_at > now() - interval '1 hour'", [written]) == [(3,)]


def test_days_are_ready_a_week_ahead_from_setup_on(mapped):
    expected = [day(mapped, back) for back in range(1, -8, -1)]
    assert days(mapped) == expected
    mapped.query("insert into salesforce._trigger_log_archive (id, state) values (1, 'FAILED')")
    keep_house(mapped)
    assert set(days(mapped)) == {*expected, day(mapped, 7)}


def test_days_that_are_too_old_are_dropped(mapped):
    old = write(mapped, created_at="now() - interval '40 days'",
                processed_at="now() - interval '39 days'")
    late = write(mapped, created_at="now() - interval '50 days'",
                 processed_at="now() - interval '30 days'")
    keep_house(mapped)
    assert old not in archived(mapped)
    assert late in archived(mapped)
    assert day(mapped, 40) not in days(mapped)
    assert day(mapped, 50) in days(mapped)
    assert not has_table(mapped, day(mapped, 40))


def test_a_day_that_is_being_read_is_dropped_later(mapped):
    keep_house(mapped, {"PGFORCE_ARCHIVE_KEEP_DAYS": "3650"})
    old = write(mapped, created_at="now() - interval '40 days'",
                processed_at="now() - interval '39 days'")
    keep_house(mapped, {"PGFORCE_ARCHIVE_KEEP_DAYS": "3650"})
    reader = mapped.database.connect(autocommit=False)
    cursor = reader.cursor()
    cursor.execute("select id from salesforce._trigger_log_archive where id = %s", [old])
    assert cursor.fetchall() == [(old,)]
    housekeeper = mapped.start("housekeeper")
    eventually(lambda: "is dropped later" in housekeeper.log_text())
    # Others read and write the archive meanwhile.
    assert len(archived(mapped)) > 0
    reader.commit()
    reader.close()
    housekeeper.kill()
    keep_house(mapped)
    assert day(mapped, 40) not in days(mapped)
    assert not has_table(mapped, day(mapped, 40))


def test_killed_in_the_middle_it_loses_and_doubles_nothing(mapped):
    mapped.query(
        "insert into salesforce._trigger_log (created_at, processed_at, state, action, table_name,"
        " record_id) select now() - interval '3 days', now() - interval '2 days', 'SUCCESS',"
        " 'UPDATE', 'account', i from generate_series(1, 30000) i"
    )
    for _ in range(3):
        before = len(archived(mapped))
        housekeeper = mapped.start("housekeeper")
        eventually(lambda before=before: len(archived(mapped)) > before or before == 30000)
        housekeeper.kill()
        assert mapped.query("select count(*), count(distinct id) from ("
                            "select id from salesforce._trigger_log union all"
                            " select id from salesforce._trigger_log_archive) e") == [(30000, 30000)]


def test_a_second_housekeeper_is_refused(mapped):
    moved = write(mapped)
    first = mapped.start("housekeeper")
    # It works, so it has the origin.
    eventually(lambda: moved in archived(mapped))
    with pytest.raises(psycopg2.errors.ObjectInUse):
        mapped.query("select pg_replication_origin_session_setup('pgforce_housekeeper_salesforce')",
                     role="postgres")
    assert first.stop() == 0


def test_capture_goes_on_while_entries_move(mapped):
    mapped.start("archive", "housekeeper", env=NOW)
    mapped.query("insert into salesforce.account (name) select 'n' || i from generate_series(1, 50) i")
    eventually(lambda: len(ids(mapped)) == 50)


def test_an_archived_failure_copied_back_by_hand_is_sent(mapped):
    mapped.start("archive", "push")
    mapped.query("insert into salesforce.account (phone, external_id__c) values ('1', 'A-1')")
    assert mapped.settled(1) == [("INSERT", "FAILED")]
    keep_house(mapped, NOW)
    assert ids(mapped) == []
    [failed] = mapped.query("select id from salesforce._trigger_log_archive where state = 'FAILED'")
    mapped.query("update salesforce.account set name = 'Acme'")
    mapped.settled(1)
    mapped.query(
        "insert into salesforce._trigger_log (txid, created_at, state, action, table_name, record_id,"
        ' "values") select txid, created_at, \'NEW\', action, table_name, record_id,'
        " (\"values\"::public.hstore operator(public.||) 'name=>Acme')::text"
        " from salesforce._trigger_log_archive where id = %s", failed)
    mapped.query("update salesforce._trigger_log_archive set state = 'REQUEUED' where id = %s", failed)
    eventually(lambda: ("INSERT", "SUCCESS") in mapped.entries())
    assert [r["Name"] for r in mapped.org.query("select Name from Account")] == ["Acme"]


def test_tail_reads_what_has_moved_beside_what_has_not(mapped):
    mapped.start("archive")
    mapped.query("insert into salesforce.account (name) values ('first')")
    mapped.query("insert into salesforce.account (name) values ('second')")
    mapped.logged(2)
    mapped.query("update salesforce._trigger_log set state = 'IGNORED' where id = 1")
    keep_house(mapped, NOW)
    assert ids(mapped) == [2]
    printed = mapped.pgforce.run("tail", "--since", "-1h", "--until", "now").stdout
    assert [printed.count("first"), printed.count("second")] == [1, 1]
    assert printed.index("first") < printed.index("second")


def test_look_ups_in_the_archive_use_an_index_whatever_its_size(mapped):
    # All of one day, at whatever hour this runs.
    noon = "(current_date + 3 + time '12:00')"
    mapped.query(
        "insert into salesforce._trigger_log_archive (id, created_at, state, action, table_name,"
        f" record_id, commit_lsn, seq) select i, {noon} - i * interval '1 second', 'SUCCESS', 'UPDATE',"
        " 'account', i, '0/0'::pg_lsn + i, 1 from generate_series(1, 20000) i"
    )
    mapped.query("analyze salesforce._trigger_log_archive", role="pgforce")
    for where in ("id = 77", "record_id = 77", "commit_lsn = '0/4D'",
                  f"created_at > {noon} - interval '10 seconds'",
                  "state = 'FAILED' and table_name = 'account'"):
        plan = "\n".join(row[0] for row in mapped.query(
            f"explain select * from salesforce._trigger_log_archive where {where}"))
        assert "Seq Scan on salesforce_archive_" + day(mapped, -3) not in plan, plan


def test_nobody_who_captures_sends_or_polls_looks_into_the_archive_whatever_its_size(sync):
    def looks():
        return sync.value("select sum(seq_scan + coalesce(idx_scan, 0)) from pg_stat_all_tables"
                          " where relid in (select inhrelid from pg_inherits"
                          " where inhparent = 'salesforce._trigger_log_archive'::regclass)", role="postgres")

    # A session tells its counts when it ends.
    gone = ("select count(*) from pg_stat_activity where usename = 'pgforce'"
            " and datname = current_database()")
    eventually(lambda: sync.value(gone, role="postgres") == 0)
    made = looks()  # to make the days
    sync.load(account())
    sync.query("insert into salesforce.account (name, annualrevenue) values ('Acme', 1), ('Broke', -5)")
    sync.settled(2)
    sync.query("update salesforce.account set phone = '1', annualrevenue = 2")
    sync.settled(4)
    sync.query("update salesforce._trigger_log set state = 'NEW' where state = 'FAILED'")
    sync.settled(4)
    sync.query("delete from salesforce.account")
    sync.settled(6)
    sync.wait_for_polls()
    # What a session has counted is told when it ends.
    for role in ("push", "pull", "archive"):
        assert sync.roles[role].stop() == 0
    before = looks()
    assert archived(sync) == []
    eventually(lambda: looks() > before)
    assert before == made


def test_a_conflict_is_forgotten_when_the_archive_would_be_unless_its_entry_waits(mapped):
    sync = mapped
    waiting = write(sync, state="'NEW'", processed_at="null")
    settled = write(sync, created_at="now()", processed_at="now()")
    for name, entry, days in (("old", settled, 32), ("new", settled, 30), ("held", waiting, 32)):
        sync.query(
            "insert into pgforce.conflict (schema_name, object_name, table_name, column_name, log_id,"
            " winner, policy, detected_at) values ('salesforce', 'Account', 'account', %s, %s,"
            " 'postgres', 'postgres', now() - make_interval(days => %s))",
            [name, entry, days],
            role="pgforce",
        )
    sync.start("housekeeper")

    def names():
        return sync.query("select column_name from pgforce.conflict order by 1", role="pgforce")

    eventually(lambda: names() == [("held",), ("new",)])
