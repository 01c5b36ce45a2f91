"""A record changed on both sides: which value wins, where the other one is kept, and that no side flip-flops."""

import json

import pytest

from eventually import eventually
from sync import account, export, nameless_account
from test_sandbox_users import add_user, sign_in

WAITING = "select count(*) from salesforce._trigger_log where state in ('NEW', 'PENDING')"
POLICIES = ["last-writer", "postgres", "salesforce"]


def conflicts(sync, *arguments):
    return json.loads(sync.pgforce.run("conflicts", *arguments, "--json").stdout)


def both_change_the_phone(sync, policy, *, first):
    """The organisation's side is changed first or last, by its clock. Neither knows of the other yet."""
    sync.load(account(conflict_policy=policy))
    sync.query("insert into salesforce.account (name, phone, industry) values ('Acme', '1', 'Energy')")
    sync.settled(1)
    sync.wait_for_polls()
    sync.roles["push"].stop()
    sync.roles["pull"].stop()
    [sfid] = [record["Id"] for record in sync.org.query("select Id from Account")]
    if first == "postgres":
        sync.query("update salesforce.account set phone = 'ours', industry = 'Banking'")
        sync.logged(2)
        sync.org.advance(10)
        sync.org.update("Account", sfid, Phone="theirs")
    else:
        sync.org.update("Account", sfid, Phone="theirs")
        sync.query(
            "update salesforce.account set phone = 'ours', industry = 'Banking'",
        )
        sync.logged(2)
        # As if it had been made ten seconds later.
        sync.query(
            "update salesforce._trigger_log set commit_time = commit_time + interval '10 s'"
            " where action = 'UPDATE'",
            role="pgforce",
        )
    return sfid


def expected_winner(policy, first):
    if policy == "last-writer":
        return "salesforce" if first == "postgres" else "postgres"
    return policy


@pytest.mark.parametrize("first", ["postgres", "salesforce"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("role", ["push", "pull"])
def test_the_policy_says_who_wins_and_the_loser_is_in_the_ledger(sync, policy, first, role):
    """Whichever role meets the two values first."""
    sfid = both_change_the_phone(sync, policy, first=first)
    winner = expected_winner(policy, first)
    sync.start(role)
    if role == "pull":
        eventually(lambda: conflicts(sync))
        sync.wait_for_polls()
        sync.start("push")
        sync.settled(2)
    else:
        sync.settled(2)
        sync.start("pull")
    phone = "ours" if winner == "postgres" else "theirs"
    expected = [(phone, "Banking")]
    eventually(lambda: sync.query("select phone, industry from salesforce.account") == expected)
    sync.wait_for_polls(2)
    assert sync.query("select phone, industry from salesforce.account") == expected
    found = sync.org.retrieve("Account", sfid)
    assert (found["Phone"], found["Industry"]) == expected[0]
    if (role, policy) == ("push", "postgres"):
        # What PostgreSQL overwrites anyhow is not read before.
        return
    [conflict] = conflicts(sync, "Account")
    assert (conflict["column"], conflict["winner"], conflict["policy"]) == ("phone", winner, policy)
    assert (conflict["base"], conflict["postgres"], conflict["salesforce"]) == ("1", "ours", "theirs")
    assert (conflict["sfid"], conflict["table"]) == (sfid, "account")
    assert "ours | theirs" in sync.pgforce.run("conflicts").stdout


def test_an_update_that_lost_all_its_fields_is_merged_and_says_why(sync):
    sfid = both_change_the_phone(sync, "salesforce", first="salesforce")
    sync.org.update("Account", sfid, Industry="Retail")
    sync.start("push", "pull")
    [_, (state, message)] = sync.settled(2, "state, sf_message")
    assert (state, "pgforce conflicts" in message) == ("MERGED", True)
    expected = [("theirs", "Retail")]
    eventually(lambda: sync.query("select phone, industry from salesforce.account") == expected)
    found = sync.org.retrieve("Account", sfid)
    assert (found["Phone"], found["Industry"]) == expected[0]
    assert sync.requests("PATCH", "/composite/sobjects") == []


def test_a_later_update_is_sent_although_an_earlier_one_lost(sync):
    sfid = both_change_the_phone(sync, "salesforce", first="postgres")
    sync.start("pull")
    eventually(lambda: sync.query("select phone from salesforce.account") == [("theirs",)])
    sync.query("update salesforce.account set phone = 'again'")
    sync.logged(3)
    sync.start("push")
    assert [state for _, state in sync.settled(3)] == ["SUCCESS"] * 3
    sync.wait_for_polls(2)
    assert sync.org.retrieve("Account", sfid)["Phone"] == "again"
    assert sync.query("select phone from salesforce.account") == [("again",)]
    assert len(conflicts(sync)) == 1


def test_a_record_whose_entries_somebody_is_at_is_read_later_and_nobody_is_waited_for(sync):
    """Push at an entry may want the row next, which the poll has locked: waiting would be a deadlock."""
    sync.load(account())
    sync.query("insert into salesforce.account (name, phone, industry) values ('Acme', '1', 'Energy')")
    sync.settled(1)
    sync.wait_for_polls()
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = 'ours'")
    sync.logged(2)
    holder = sync.database.connect("pgforce", autocommit=False)
    holder.cursor().execute("select from salesforce._trigger_log where state = 'NEW' for update")
    [sfid] = [record["Id"] for record in sync.org.query("select Id from Account")]
    sync.org.update("Account", sfid, Industry="Banking")
    sync.wait_for_polls()
    # As push does next; the row is held by nobody for long.
    holder.cursor().execute("select from salesforce.account for update")
    assert sync.value("select industry from salesforce.account") == "Energy"
    holder.commit()
    holder.close()
    eventually(lambda: sync.value("select industry from salesforce.account") == "Banking")
    assert sync.value("select phone from salesforce.account") == "ours"


def test_a_poll_looks_at_a_record_s_own_entries_however_many_wait(sync):
    sync.load(account())
    sync.query("insert into salesforce.account (name) select 'Account ' || n from generate_series(1, 50) n")
    sync.settled(50)
    sync.wait_for_polls()
    sync.roles["push"].stop()
    sync.roles["pull"].stop()
    sync.query("update salesforce.account set phone = 'ours'")
    sync.logged(100)
    sync.query(
        "insert into salesforce._trigger_log (state, action, table_name, record_id)"
        " select 'NEW', 'UPDATE', 'account', 1000000 + n from generate_series(1, 20000) n"
    )
    for record in sync.org.query("select Id from Account"):
        sync.org.update("Account", record["Id"], Industry="Banking")
    before = entries_read(sync)
    sync.start("pull")
    eventually(lambda: sync.value("select count(*) from salesforce.account where industry = 'Banking'") == 50)
    sync.roles["pull"].stop()
    # A few looks at all that waits, for a page as a whole, and not one for each record.
    assert entries_read(sync) - before < 500_000


def test_a_poll_merges_thousands_of_records_each_with_its_own_changes(sync):
    count = 2400
    sync.org.load("Account", count)
    sync.load(account(conflict_policy="postgres"))
    sync.roles["push"].stop()
    sync.roles["pull"].stop()
    ours = {1: "phone = 'ours'", 2: "industry = 'Fun'", 3: "phone = 'ours', industry = 'Fun'"}
    for rest, columns in ours.items():
        sync.query(f"update salesforce.account set {columns} where id % 4 = {rest}")
    sync.logged(count * 3 // 4)
    sync.org.advance(10)
    change_all(sync.org, Phone="theirs", AnnualRevenue=7)
    sync.start("pull")
    merged = "select count(*) from salesforce.account where annualrevenue = 7"
    eventually(lambda: sync.value(merged) == count)
    kinds = sync.query(
        "select id % 4, phone, industry = 'Fun', count(*) from salesforce.account group by 1, 2, 3 order by 1"
    )
    each = count // 4
    expected = [(0, "theirs", False), (1, "ours", False), (2, "theirs", True), (3, "ours", True)]
    assert kinds == [(*kind, each) for kind in expected]
    assert sync.value("select count(*) from pgforce.conflict", role="pgforce") == 2 * each
    # Not through all that is staged for each of the records. A session tells of it now and then.
    eventually(lambda: staged_rows_read(sync) > count)
    sync.wait_for_polls(2)
    read = staged_rows_read(sync)
    polls = sync.roles["pull"].log_text().count("pull: polled") + 1  # and the one under way
    assert read < 100 * count * polls


def change_all(org, **values):
    ids = [record["Id"] for record in org.query("select Id from Account")]
    for first in range(0, len(ids), 200):
        records = [{"attributes": {"type": "Account"}, "id": sfid, **values} for sfid in ids[first : first + 200]]
        answer = org.patch("composite/sobjects", {"records": records})
        assert all(each["success"] for each in answer.json)


def staged_rows_read(sync):
    return sync.value(
        "select coalesce(sum(seq_tup_read), 0)::bigint from pg_stat_all_tables where relname ~ '^pgforce_stage_'",
        role="postgres",
    )


def entries_read(sync):
    """Through indexes, by sessions that have told of it: those that have ended, and others now and then."""
    return sync.value(
        "select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = '_trigger_log'", role="postgres"
    )


def test_what_salesforce_has_already_is_not_sent_again(sync):
    sync.load(account())
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    [sfid] = [record["Id"] for record in sync.org.query("select Id from Account")]
    sync.roles["pull"].stop()
    sync.org.update("Account", sfid, Phone="2")
    sync.query("update salesforce.account set phone = '2'")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    assert sync.requests("PATCH", "/composite/sobjects") == []
    assert conflicts(sync) == []


def test_an_update_waits_while_salesforce_cannot_be_asked_what_it_has(sync):
    sync.map(account())
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    sync.org.fault({"match": {"path": "/query"}, "times": 2, "status": 503, "body": "busy"})
    sync.query("update salesforce.account set phone = '2'")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    assert sync.org.query("select Phone from Account")[0]["Phone"] == "2"


def test_an_update_that_is_sent_again_is_no_conflict_with_the_one_behind_it(sync):
    """Both change the same field. What Salesforce has is the value before the first."""
    sync.map(account(conflict_policy="salesforce"))
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    sync.org.fault({"match": {"method": "PATCH"}, "times": 3, "status": 503, "body": "busy"})
    sync.query("update salesforce.account set phone = '2'")
    eventually(lambda: sync.requests("PATCH", "/composite/sobjects"))
    sync.query("update salesforce.account set phone = '3'")
    assert sync.settled(3) == [("INSERT", "SUCCESS"), ("UPDATE", "SUCCESS"), ("UPDATE", "SUCCESS")]
    assert conflicts(sync) == []
    assert sync.org.query("select Phone from Account")[0]["Phone"] == "3"
    assert sync.value("select phone from salesforce.account") == "3"


@pytest.mark.parametrize("columns, write_ms", [("phone = 'ours'", 0), ("phone = 'ours', industry = 'Banking'", 9000)])
def test_a_record_read_before_push_met_a_newer_value_does_not_bring_the_oldest_back(sync, columns, write_ms):
    """The poll's answer is on its way while push looks, and ours loses; what else it changed may still be sent."""
    sync.load(account(conflict_policy="salesforce"))
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    sync.wait_for_polls()
    sfid = sync.value("select sfid from salesforce.account")
    sync.note_each("update", "new.phone::text")
    sync.org.fault({"match": {"path": "/composite/sobjects", "method": "PATCH"}, "delay_ms": write_ms})
    sync.org.fault({"match": {"path": "/queryAll"}, "delay_ms": 5000})
    # Taken: what the organisation has is in the answer, which waits.
    eventually(lambda: len(sync.org.faults()) == 1)
    sync.org.update("Account", sfid, Phone="theirs")
    sync.query("update salesforce.account set " + columns)
    eventually(lambda: conflicts(sync))
    eventually(lambda: sync.value("select phone from salesforce.account") == "theirs")
    sync.settled(2)
    assert {phone for (phone,) in sync.query("select value from public.seen")} == {"ours", "theirs"}


def test_an_unknown_policy_is_refused_by_import(sync):
    done = sync.pgforce.run(
        "import", "-", stdin=export(account(conflict_policy="newest")), expect=65
    )
    assert 'conflict_policy must be one of "last-writer", "postgres", "salesforce"' in done.stderr


def test_a_record_read_before_our_write_to_it_does_not_undo_it(sync):
    """The poll's answer is on its way while a newer value is written and answered."""
    sync.load(account())
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    sync.wait_for_polls()
    sync.note_each("update", "new.phone::text")
    sync.org.fault({"match": {"path": "/queryAll"}, "delay_ms": 3000})
    # Taken: what the organisation has is in the answer, which waits.
    eventually(lambda: sync.org.faults() == [])
    sync.query("update salesforce.account set phone = '2'")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    sync.wait_for_polls(2)
    assert {phone for (phone,) in sync.query("select value from public.seen")} == {"2"}
    assert sync.query("select phone from salesforce.account") == [("2",)]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_changed_in_salesforce_and_then_deleted_here_is_in_the_ledger(sync, policy):
    sync.load(account(conflict_policy=policy))
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1'), ('Bolt', '1')")
    sync.settled(2)
    sync.wait_for_polls()
    sync.roles["pull"].stop()
    sfid = sync.value("select sfid from salesforce.account where name = 'Acme'")
    sync.org.update("Account", sfid, Phone="theirs")
    sync.query("delete from salesforce.account")
    assert sync.settled(4)[2:] == [("DELETE", "SUCCESS")] * 2
    assert sync.org.query("select Id from Account") == []
    lost = [("theirs", "1", None, "postgres")] if policy == "last-writer" else []
    assert sync.query(
        "select salesforce_value, base_value, postgres_value, winner from pgforce.conflict"
        " where sfid = %s and column_name = 'phone'", [sfid], role="pgforce") == lost
    assert sync.value("select count(*) from pgforce.conflict", role="pgforce") == len(lost)


@pytest.mark.parametrize("policy", ["salesforce", "last-writer"])
def test_a_correction_after_a_refused_update_is_no_conflict(sync, policy):
    """The row kept the refused value, so the correction's `old` names what Salesforce never had."""
    sync.map(account(conflict_policy=policy))
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    sync.query("update salesforce.account set phone = '2', annualrevenue = -5")
    assert sync.settled(2)[1] == ("UPDATE", "FAILED")
    [record] = sync.org.query("select Id from Account")
    sync.org.update("Account", record["Id"], Website="moves.the.stamp.example")
    sync.query("update salesforce.account set phone = '3', annualrevenue = 5")
    assert sync.settled(3)[2] == ("UPDATE", "SUCCESS")
    assert sync.org.query("select Phone from Account")[0]["Phone"] == "3"
    assert json.loads(sync.pgforce.run("conflicts", "--json").stdout) == []


def test_a_poll_meets_a_correction_after_a_refused_update_without_a_conflict(sync):
    sync.load(account(conflict_policy="salesforce"))
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    sync.roles["pull"].stop()
    sync.query("update salesforce.account set phone = '2', annualrevenue = -5")
    assert sync.settled(2)[1] == ("UPDATE", "FAILED")
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = '3', annualrevenue = 5")
    sync.logged(3)
    [record] = sync.org.query("select Id from Account")
    sync.org.update("Account", record["Id"], Website="moves.the.stamp.example")
    sync.start("pull")
    sync.wait_for_polls()
    assert sync.query("select phone from salesforce.account") == [("3",)]
    sync.start("push")
    assert sync.settled(3)[2] == ("UPDATE", "SUCCESS")
    assert sync.org.query("select Phone from Account")[0]["Phone"] == "3"


def test_a_record_read_before_our_delete_of_it_does_not_come_back(sync):
    """The poll's answer is on its way while the record is deleted here and there."""
    sync.load(account())
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    sync.wait_for_polls()
    sync.note_each("insert", "new.name::text")
    sync.org.fault({"match": {"path": "/queryAll"}, "delay_ms": 3000})
    eventually(lambda: sync.org.faults() == [])
    sync.query("delete from salesforce.account")
    assert sync.settled(2)[1] == ("DELETE", "SUCCESS")
    sync.wait_for_polls(2)
    assert sync.query("select value from public.seen") == []
    assert sync.query("select name from salesforce.account") == []


@pytest.mark.parametrize("mapped", [account(), nameless_account()], ids=["keyed", "nameless"])
def test_a_row_deleted_while_its_insert_is_on_its_way_does_not_come_back(sync, mapped):
    """The record is there, and is polled, before the answer that tells its id; then it is deleted."""
    sync.load(mapped)
    sync.note_each("insert", "new.id::text")
    late = {"path": "/composite/sobjects"}
    sync.org.fault({"match": {"method": "POST", **late}, "delay_ms": 3000})
    sync.org.fault({"match": {"method": "DELETE", **late}, "delay_ms": 3000})
    sync.query(
        "insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')"
        if "upsert_field" in mapped["config"]
        else "insert into salesforce.account (name) values ('Acme')"
    )
    eventually(lambda: sync.org.query("select Id from Account"))
    sync.query("delete from salesforce.account")
    assert sync.settled(2) == [("INSERT", "SUCCESS"), ("DELETE", "SUCCESS")]
    sync.wait_for_polls(2)
    assert sync.value("select count(*) from public.seen") == 1
    assert sync.query("select name from salesforce.account") == []
    assert sync.org.query("select Id from Account") == []


def test_a_change_between_push_s_look_and_its_write_is_not_overwritten_unseen(sync):
    """Somebody else is at the record: the write carries a condition. Other records go together."""
    sync.map(account(conflict_policy="salesforce"))
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1'), ('Bolt', '1')")
    sync.settled(2)
    add_user(sync.org, "mia@sandbox.example")
    mia = sign_in(sync.org, "mia@sandbox.example")
    acme = sync.value("select sfid from salesforce.account where name = 'Acme'")

    def change(**fields):
        assert sync.org.patch(f"sobjects/Account/{acme}", fields, token=mia).status == 204

    change(Website="mia.is.here.example")
    sync.org.advance(2)  # that second is over
    sync.org.journal(clear=True)
    # Without its intent nothing is written.
    holder = sync.hold_deliveries("insert", 3, 4)
    sync.query("update salesforce.account set phone = 'ours'")
    # It has looked, and is about to write.
    eventually(lambda: sync.requests("GET", "/query"))
    change(Phone="theirs")
    holder.close()
    entries = sync.settled(4, "action, state, sfid")
    assert sorted(state for action, state, _ in entries if action == "UPDATE") == ["MERGED", "SUCCESS"]
    assert sync.org.retrieve("Account", acme)["Phone"] == "theirs"
    [lost] = conflicts(sync)
    assert (lost["sfid"], lost["postgres"], lost["salesforce"]) == (acme, "ours", "theirs")
    assert len(sync.requests("PATCH", "/composite/sobjects")) == 1
    assert [entry["status"] for entry in sync.requests("PATCH", "/sobjects/Account/")][-1] == 412


def overrule_during_the_look(sync, name, look_ms):
    """Answers whether the poll was quicker than the look's answer."""
    sync.query("insert into salesforce.account (name, phone) values (%s, '1')", [name])
    eventually(lambda: sync.value("select sfid from salesforce.account where name = %s", [name]))
    sync.wait_for_polls()
    sync.roles["pull"].stop()
    sync.org.journal(clear=True)
    sync.org.fault({"match": {"path": "/query"}, "delay_ms": look_ms})
    sync.query("update salesforce.account set phone = '2' where name = %s", [name])
    # Taken: what the organisation has is in the answer, which waits.
    eventually(lambda: sync.org.faults() == [])
    sync.query("update salesforce.account set phone = '3' where name = %s", [name])
    logged = ("select count(*) from salesforce._trigger_log l join salesforce.account a on a.id = l.record_id"
              " where l.action = 'UPDATE' and a.name = %s")
    eventually(lambda: sync.value(logged, [name]) == 2)
    sfid = sync.value("select sfid from salesforce.account where name = %s", [name])
    sync.org.update("Account", sfid, Phone="theirs")
    sync.start("pull")

    def written():
        return sync.requests("PATCH", "/composite/sobjects")

    eventually(lambda: written() or [met for met in conflicts(sync) if met["sfid"] == sfid])
    if not written():
        return True
    # Its second look must not take the next fault.
    eventually(lambda: sync.value(WAITING) == 0)
    return False


def test_an_update_that_a_poll_overrules_between_push_s_look_and_its_write_is_not_sent(sync):
    """Of two updates the first is being looked at when the poll meets the second."""
    sync.map(account(conflict_policy="salesforce"))
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    # On a busy machine the poll may be slow.
    name = next(
        str(look_ms) for look_ms in (4000, 20000, 50000) if overrule_during_the_look(sync, str(look_ms), look_ms)
    )
    eventually(lambda: sync.value(WAITING) == 0)
    assert [row["Phone"] for row in sync.org.rows("Account") if row["Name"] == name] == ["theirs"]
    assert sync.value("select phone from salesforce.account where name = %s", [name]) == "theirs"
    assert sync.requests("PATCH", "/composite/sobjects") == []
    met = conflicts(sync)[0]
    assert (met["winner"], met["postgres"], met["salesforce"]) == ("salesforce", "3", "theirs")


def test_a_record_that_another_has_just_changed_is_written_when_the_second_is_over(sync):
    sync.map(account(conflict_policy="salesforce"))
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    add_user(sync.org, "mia@sandbox.example")
    mia = sign_in(sync.org, "mia@sandbox.example")
    acme = sync.value("select sfid from salesforce.account")
    sync.org.journal(clear=True)
    sync.org.patch(f"sobjects/Account/{acme}", {"Website": "mia.is.here.example"}, token=mia)
    sync.query("update salesforce.account set phone = 'ours'")
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    assert sync.org.retrieve("Account", acme)["Phone"] == "ours"
    assert sync.requests("PATCH", "/composite/sobjects") == []
    assert conflicts(sync) == []


def test_a_refused_value_that_a_poll_overwrites_is_kept_in_the_ledger(sync):
    """Once, and only what the row still had of it."""
    sync.load(account())
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    sync.wait_for_polls()
    # A poll would say SYNCED.
    sync.roles["pull"].stop()
    sync.query("update salesforce.account set phone = '2', annualrevenue = -5")
    assert sync.settled(2)[1] == ("UPDATE", "FAILED")
    assert sync.query("select _hc_lastop from salesforce.account") == [("FAILED",)]
    sync.start("pull")
    [record] = sync.org.query("select Id from Account")
    sync.org.update("Account", record["Id"], Industry="Energy")
    eventually(lambda: sync.query("select industry from salesforce.account") == [("Energy",)])
    assert sync.query("select phone, annualrevenue, _hc_lastop, _hc_err from salesforce.account") == [
        ("1", None, "SYNCED", None)
    ]
    kept = {(c["column"], c["postgres"], c["salesforce"], c["winner"]) for c in conflicts(sync)}
    assert kept == {("phone", "2", "1", "salesforce"), ("annualrevenue", "-5", None, "salesforce")}
    sync.org.update("Account", record["Id"], Industry="Banking")
    eventually(lambda: sync.query("select industry from salesforce.account") == [("Banking",)])
    assert len(conflicts(sync)) == 2


@pytest.mark.parametrize("phone", ["'2'", "'2', annualrevenue = -5"])
def test_what_was_never_taken_of_a_deleted_row_is_nothing_that_salesforce_lost(sync, phone):
    """An update folded into the DELETE, and one that was refused before it."""
    sync.map(account(), poll_db_no_merge=False)
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, phone) values ('Acme', '1')")
    sync.settled(1)
    if "annualrevenue" not in phone:
        sync.roles["push"].stop()
    sync.query(f"update salesforce.account set phone = {phone}")
    if "annualrevenue" in phone:
        assert sync.settled(2)[1] == ("UPDATE", "FAILED")
    sync.query("delete from salesforce.account")
    sync.logged(3)
    if "annualrevenue" not in phone:
        sync.start("push")
    assert sync.settled(3)[2] == ("DELETE", "SUCCESS")
    assert sync.org.query("select Id from Account") == []
    assert conflicts(sync) == []


def test_a_merged_write_on_its_way_is_no_change_of_salesforces(sync):
    """A poll meets the values of two entries that went as one, before their answer, and a newer value waits."""
    sync.map(account(conflict_policy="salesforce"), poll_db_no_merge=False)
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    sync.query("insert into salesforce.account (name, phone) values ('A', '1')")
    sync.settled(1)
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = '2'")
    sync.query("update salesforce.account set name = 'B'")
    sync.logged(3)
    sync.org.fault({"match": {"method": "PATCH", "path": "/composite/sobjects"}, "delay_ms": 6000})
    sync.start("push")
    eventually(lambda: [row["Name"] for row in sync.org.rows("Account")] == ["B"])
    sync.query("update salesforce.account set name = 'C'")
    sync.logged(4)
    sync.wait_for_polls(2)
    assert sync.query("select name from salesforce.account") == [("C",)]
    sync.settled(4)
    assert [row["Name"] for row in sync.org.rows("Account")] == ["C"]
    assert sync.query("select count(*) from pgforce.conflict", role="pgforce") == [(0,)]
