"""What the polls cannot see: all records compared with their rows, and what differs repaired."""

import json

from eventually import eventually
from sync import account, mapping

LONG_AGO = "2024-05-01T10:00:00.000+0000"
EXTRA = "001000000000ZZZAAA"


def old_account(number):
    """As it is in the organisation, from long before every watermark."""
    return {"Id": f"00100000000{number:04d}AAA", "Name": f"Old {number}", "SystemModstamp": LONG_AGO}


def load(sync, *mappings, count=3):
    """Loads old records."""
    sync.org.insert("Account", *[old_account(number) for number in range(count)])
    sync.map(*(mappings or [account(polling_seconds=600)]))
    sync.start("archive", "pull")
    sync.wait_until_loaded()


def repair(sync, *options, code=0):
    done = sync.pgforce.run("repair", "Account", "--json", *options, expect=code)
    answer = json.loads(done.stdout)
    return {name: answer[name] for name in ("checked", "missing", "extra", "stale", "calculated")}


def rows(sync):
    return sync.query("select name, systemmodstamp::text from salesforce.account order by sfid")


def spoil(sync):
    """One row lost, one that no record has, one with old contents: mishaps, not changes, so under an origin
    that is not captured."""
    sync.database.psql(
        f"""
        select pg_replication_origin_session_setup('pgforce_push_salesforce');
        delete from salesforce.account where name = 'Old 0';
        update salesforce.account set name = 'Older', systemmodstamp = '2024-01-01' where name = 'Old 1';
        insert into salesforce.account (name, sfid, systemmodstamp) values ('Ghost', '{EXTRA}', '2024-01-01');
        """,
        role="postgres",
    )


SPOILT = {"checked": 3, "missing": 1, "extra": 1, "stale": 1, "calculated": 0}
CLEAN = {"checked": 3, "missing": 0, "extra": 0, "stale": 0, "calculated": 0}


def test_missing_extra_and_stale_rows_are_found_and_repaired(sync):
    load(sync)
    whole = rows(sync)
    assert repair(sync) == CLEAN
    spoil(sync)
    assert repair(sync) == SPOILT
    assert rows(sync) == whole
    assert repair(sync) == CLEAN
    assert "missing=1 extra=1 stale=1" in sync.roles["pull"].log_text()


def test_a_value_that_was_changed_under_the_same_stamp_is_found_and_repaired(sync):
    load(sync)
    whole = rows(sync)
    sync.database.psql(
        "set session_replication_role = replica;"
        "select pg_replication_origin_session_setup('pgforce_push_salesforce');"
        "update salesforce.account set name = 'Spoilt' where name = 'Old 1';",
        role="postgres",
    )
    found = {**CLEAN, "stale": 1}
    assert repair(sync, "--dry-run", code=5) == found
    assert repair(sync) == found
    assert rows(sync) == whole
    assert repair(sync) == CLEAN


def test_values_of_local_changes_that_wait_or_were_refused_are_no_drift(sync):
    load(sync)
    sync.query("update salesforce.account set phone = '1', annualrevenue = -5 where name = 'Old 1'")
    assert repair(sync, "--dry-run") == CLEAN
    assert repair(sync) == CLEAN
    sync.start("push")
    assert sync.settled(1) == [("UPDATE", "FAILED")]
    assert repair(sync) == CLEAN
    assert sync.value("select phone from salesforce.account where name = 'Old 1'") == "1"


def test_a_record_deleted_for_good_without_a_trace_is_found(sync):
    load(sync, account())
    sync.org.purge(old_account(1)["Id"])
    sync.wait_for_polls(2)
    assert [name for name, _ in rows(sync)] == ["Old 0", "Old 1", "Old 2"]
    assert repair(sync) == {"checked": 2, "missing": 0, "extra": 1, "stale": 0, "calculated": 0}
    assert [name for name, _ in rows(sync)] == ["Old 0", "Old 2"]


def test_a_dry_run_changes_nothing_and_tells_by_its_exit_code(sync):
    load(sync)
    assert repair(sync, "--dry-run") == CLEAN
    spoil(sync)
    before = rows(sync)
    assert repair(sync, "--dry-run", code=5) == SPOILT
    assert rows(sync) == before


def test_what_is_repaired_is_not_sent_back(sync):
    load(sync)
    spoil(sync)
    spoilt = sync.log_is_quiet_after("update salesforce.account set phone = '1' where name = 'Old 2'")
    repair(sync)
    after = sync.log_is_quiet_after("update salesforce.account set phone = '2' where name = 'Old 2'")
    assert after == spoilt + 1


def test_what_the_next_poll_will_bring_is_no_drift(sync):
    load(sync)
    sync.org.create("Account", Name="New")
    sync.org.update("Account", old_account(1)["Id"], Phone="2")
    assert repair(sync, "--dry-run") == {**CLEAN, "checked": 4}


def test_a_comparison_runs_by_itself_in_its_interval(sync):
    sync.org.insert("Account", *[old_account(number) for number in range(3)])
    sync.map(account(polling_seconds=600))
    sync.start("archive")
    sync.start("pull", env={"PGFORCE_DRIFT_INTERVAL_S": "1"})
    sync.wait_until_loaded()
    whole = rows(sync)
    spoil(sync)
    eventually(lambda: rows(sync) == whole)


def compare_soon(sync):
    """As if the minutes were over after which what was held is compared again."""
    sync.query(
        "with past as (update pgforce.drift set finished_at = now() - interval '11 minutes' where held > 0"
        " returning mapping_id)"
        " select pg_notify('salesforce.pgforce_mapping', 'repair') from past", role="pgforce")


def test_a_difference_whose_row_is_locked_is_repaired_when_it_is_free(sync):
    load(sync)
    whole = rows(sync)
    spoil(sync)
    with sync.database.connect(autocommit=False) as holder:
        holder.cursor().execute("select from salesforce.account where name = 'Older' for update")
        assert repair(sync) == SPOILT
        told = sync.pgforce.run("repair", "Account").stdout
        assert "1 stale" in told and "1 of them wait: somebody is at their rows" in told
        holder.rollback()
    compare_soon(sync)
    eventually(lambda: rows(sync) == whole)
    assert repair(sync) == CLEAN


def test_a_row_that_is_locked_while_a_new_column_is_filled_has_its_value_in_the_end(sync):
    sync.org.insert("Account", *[{**old_account(number), "Site": "Oslo"} for number in range(3)])
    sync.map(account())
    sync.start("archive", "pull")
    sync.wait_until_loaded()
    sync.org.fault({"match": {"path": "/query"}, "status": 503, "body": "busy", "times": 1000000})
    sync.pgforce.run("mapping", "edit", "Account", "--field", "Site")
    eventually(lambda: sync.mapping_states() == {"RESYNC"})
    filled = "select count(*) from salesforce.account where site = 'Oslo'"
    with sync.database.connect(autocommit=False) as holder:
        holder.cursor().execute("select from salesforce.account where name = 'Old 1' for update")
        sync.org.clear_faults()
        sync.wait_until_loaded()
        assert sync.value(filled) == 2
        holder.rollback()
    compare_soon(sync)
    eventually(lambda: sync.value(filled) == 3)


def test_a_comparison_that_was_killed_goes_on_where_it_was(sync):
    sync.org.load("Account", 20_500)
    sync.map(account(polling_seconds=600))
    pull = sync.start("pull", env={"PGFORCE_BULK_READ_ABOVE": "1000000"})
    sync.wait_until_loaded(60)
    # The second range is on its way for a long time.
    sync.org.fault({"match": {"path": "/query"}, "skip": 5, "delay_ms": 60000})
    sync.query(
        "insert into pgforce.drift (mapping_id, asked_at) select id, now() from pgforce.mapping"
        " on conflict (mapping_id) do update set asked_at = now(), finished_at = now();"
        " select pg_notify('salesforce.pgforce_mapping', 'repair')",
        role="pgforce",
    )
    first = eventually(lambda: sync.value("select after_id from pgforce.drift", role="pgforce"))
    pull.kill()
    # The next one must not meet it, where this one was too quick to.
    sync.org.clear_faults()
    sync.org.journal(clear=True)
    sync.start("pull")
    eventually(
        lambda: sync.query(
            "select checked, missing, stale from pgforce.drift where finished_at is not null",
            role="pgforce",
        )
        == [(20_500, 0, 0)]
    )
    ranges = [str(entry) for entry in sync.requests("GET", "/query") if "limit 10000" in str(entry)]
    assert f"Id > '{first}'" in ranges[0]


def test_a_view_that_is_emptied_in_part_is_held_though_each_range_alone_would_not_be(sync):
    """Two ranges lack 900 records each: of 21,000 that is less than 5 % each, and more together."""
    records = [{"Id": f"0010000000{n:05d}AAA", "Name": "Old", "SystemModstamp": LONG_AGO} for n in range(21_000)]
    for start in range(0, len(records), 3000):
        sync.org.insert("Account", *records[start : start + 3000])
    sync.map(account(polling_seconds=600))
    sync.start("archive", "pull")
    sync.wait_until_loaded()
    for start in (0, 15_000):
        sync.org.purge(*[record["Id"] for record in records[start : start + 900]])
    assert repair(sync) == {**CLEAN, "checked": 19_200, "extra": 1800}
    held = "select count(*), min(sfid), max(sfid) from pgforce.held_deletion"
    assert sync.query(held, role="pgforce") == [(900, records[15_000]["Id"], records[15_899]["Id"])]
    assert sync.value("select count(*) from salesforce.account") == 20_100
    # One more, of the first range, is no reason to forget those that wait; what comes next waits too.
    sync.org.purge(records[901]["Id"])
    assert repair(sync)["extra"] == 1
    assert sync.query(held, role="pgforce")[0][0] == 900
    assert sync.value("select count(*) from salesforce.account") == 20_099
    # At once, however long the polls wait.
    sync.pgforce.run("mapping", "confirm", "Account")
    eventually(lambda: sync.value("select count(*) from salesforce.account") == 19_199)


def test_a_comparison_reads_each_row_by_its_index_and_none_for_other_ranges(sync):
    sync.org.load("Account", 40_000)
    sync.map(account(polling_seconds=600))
    sync.start("archive", "pull")
    sync.wait_until_loaded()

    def read():
        [found] = sync.query(
            "select seq_tup_read, idx_tup_fetch from pg_stat_user_tables where relname = 'account'"
        )
        return found

    # The load's own statements are in the statistics a second later at most: after those of the comparison.
    assert repair(sync) == {**CLEAN, "checked": 40_000}
    eventually(lambda: read()[1] >= 40_000)
    before = read()
    assert repair(sync) == {**CLEAN, "checked": 40_000}
    eventually(lambda: read()[1] >= before[1] + 40_000)
    assert read()[0] == before[0]


def test_a_formula_follows_its_parent_though_no_stamp_moves(sync):
    sync.org.define(
        {"name": "Contact", "fields": [
            {"name": "Label__c", "type": "string", "calculatedFormula": "Account.Name & ' / ' & LastName"}]}
    )  # fmt: skip
    acme = sync.org.create("Account", Name="Acme", External_Id__c="A-1")
    coyote = sync.org.create("Contact", LastName="Coyote", AccountId=acme)
    sync.org.create("Contact", LastName="Runner")
    contact = mapping("Contact", "LastName", "Label__c", polling_seconds=600)
    contact["config"]["calculated_seconds"] = 1
    sync.map(contact)
    sync.start("archive", "pull")
    sync.wait_until_loaded()
    stamp = sync.org.retrieve("Contact", coyote)["SystemModstamp"]
    sync.org.update("Account", acme, Name="Bolt")
    eventually(
        lambda: sync.query("select label__c from salesforce.contact where sfid = %s", [coyote])
        == [("Bolt / Coyote",)]
    )
    assert sync.org.retrieve("Contact", coyote)["SystemModstamp"] == stamp
    assert sync.log_is_quiet_after("insert into salesforce.contact (lastname) values ('local')") == 0


def test_a_roll_up_whose_stamp_stood_still_is_followed(sync):
    sync.org.post("/_sandbox/rules", {"rollup_stamps": False})
    sync.org.define([
        {"name": "Order__c", "fields": []},
        {"name": "Line__c", "fields": [
            {"name": "Order__c", "type": "reference", "referenceTo": ["Order__c"],
             "relationshipName": "Order__r", "childRelationshipName": "Lines__r", "cascadeDelete": True}]},
    ])  # fmt: skip
    sync.org.define(
        {"name": "Order__c", "fields": [
            {"name": "Lines__c", "type": "int", "summaryOperation": "count",
             "summaryForeignKey": "Line__c.Order__c"}]}
    )  # fmt: skip
    order = sync.org.create("Order__c")
    orders = mapping("Order__c", "Lines__c", polling_seconds=600)
    orders["config"]["calculated_seconds"] = 1
    sync.map(orders)
    sync.start("archive", "pull")
    sync.wait_until_loaded()
    sync.org.create("Line__c", Order__c=order)
    eventually(lambda: sync.query("select lines__c from salesforce.order__c") == [(1,)])


def test_a_parents_key_that_changed_arrives_with_the_next_comparison(sync):
    acme = sync.org.create("Account", Name="Acme", External_Id__c="A-1")
    sync.org.create("Contact", LastName="Coyote", AccountId=acme)
    sync.map(mapping("Contact", "LastName", "Account__External_Id__c", polling_seconds=600))
    sync.start("archive", "pull")
    sync.wait_until_loaded()
    sync.org.update("Account", acme, External_Id__c="A-2")
    sync.pgforce.run("repair", "Contact")
    assert sync.query("select account__external_id__c from salesforce.contact") == [("A-2",)]


def test_a_repair_of_what_is_not_mapped_is_refused(sync):
    sync.map(account())
    assert "not mapped" in sync.pgforce.run("repair", "Contact", expect=65).stderr
    assert "one object" in sync.pgforce.run("repair", "Account", "Contact", expect=64).stderr
