"""Records that are gone from the organisation: reported, merged, undeleted, or just out of sight."""

import json

import pytest
from eventually import eventually
from sync import account, contact


def count(sync, condition="true", table="account"):
    return sync.value(f"select count(*) from salesforce.{table} where {condition}")


def names(sync):
    return [name for (name,) in sync.query("select name from salesforce.account order by name")]


def held(sync):
    return sync.query("select count(*) from pgforce.held_deletion", role="pgforce")[0][0]


def calls(sync):
    return [entry["path"].rsplit("/v60.0/")[-1] for entry in sync.org.journal() if "oauth" not in entry["path"]]


def test_a_poll_that_finds_nothing_costs_two_calls_and_writes_nothing_to_the_table(sync):
    sync.org.load("Account", 20)
    sync.load(account())
    sync.wait_for_polls(1)
    before = sync.query("select ctid::text, xmin::text from salesforce.account order by id")
    sync.roles["pull"].stop()
    sync.org.journal(clear=True)
    sync.start("pull")
    sync.wait_for_polls(3)
    sync.roles["pull"].stop()
    # At its start, and each hour, the role looks at the object's fields.
    found = [path for path in calls(sync) if not path.endswith("/describe")]
    assert set(found) == {"queryAll", "sobjects/Account/deleted/"}
    assert abs(found.count("queryAll") - found.count("sobjects/Account/deleted/")) <= 1
    assert sync.query("select ctid::text, xmin::text from salesforce.account order by id") == before


@pytest.mark.parametrize("options", [{"filter": "Name LIKE 'Old%'"}, {"sf_notify_enabled": True}], ids=str)
def test_a_poll_that_finds_nothing_costs_two_calls_with_a_filter_and_while_listening(sync, options):
    old = {"SystemModstamp": "2024-05-01T10:00:00.000+0000"}
    sync.org.insert("Account", *[{"Id": f"00100000000{n:04d}AAA", "Name": f"Old {n}", **old} for n in range(3)])
    mapped = account()
    mapped["config"].update(options)
    sync.load(mapped)
    sync.wait_for_polls(1)
    sync.roles["pull"].stop()
    sync.org.journal(clear=True)
    # A comparison of all records is due in a day.
    sync.start("pull", env={"PGFORCE_DRIFT_INTERVAL_S": "86400"})
    sync.wait_for_polls(3)
    sync.roles["pull"].stop()
    found = [path for path in calls(sync) if not path.endswith("/describe")]
    assert set(found) == {"queryAll", "sobjects/Account/deleted/"}
    assert abs(found.count("queryAll") - found.count("sobjects/Account/deleted/")) <= 1


def test_the_watermark_is_what_salesforce_has_covered(sync):
    sync.load(account())
    sync.wait_for_polls(1)
    before = sync.mark()
    sync.org.advance(1200)
    eventually(lambda: sync.mark() > before)
    behind = sync.value(
        "select deletes_up_to - changes_up_to from pgforce.watermark", role="pgforce"
    )
    assert behind.total_seconds() >= 0


def test_the_mark_of_deletions_goes_on_while_creates_wait(sync):
    gone = sync.org.create("Account", Name="A")
    sync.load(account())
    sync.roles["push"].stop()
    sync.query("insert into salesforce.account (name) values ('Waits')")
    sync.logged(1)
    mark = "select deletes_up_to from pgforce.watermark"
    before = sync.value(mark, role="pgforce")
    sync.org.remove("Account", gone)
    eventually(lambda: names(sync) == ["Waits"])
    sync.org.advance(3600)
    eventually(lambda: (sync.value(mark, role="pgforce") - before).total_seconds() > 3000)
    assert sync.entries() == [("INSERT", "NEW")]


def test_a_deletion_that_only_get_deleted_tells_is_done_here_too(sync):
    gone = sync.org.create("Account", Name="A")
    kept = sync.org.create("Account", Name="B")
    sync.load(account())
    sync.org.purge(gone)
    told = {
        # The second one is alive: it was undeleted.
        "deletedRecords": [
            {"id": gone, "deletedDate": "2026-01-31T00:00:00.000+0000"},
            {"id": kept, "deletedDate": "2026-01-31T00:00:00.000+0000"},
        ],
        "earliestDateAvailable": "2020-01-01T00:00:00.000+0000",
        "latestDateCovered": "2020-01-02T00:00:00.000+0000",
    }
    sync.org.fault({"match": {"path": "/deleted"}, "status": 200, "body": told})
    eventually(lambda: names(sync) == ["B"])


def test_a_record_that_was_deleted_and_undeleted_between_two_polls_stays(sync):
    first = sync.org.create("Account", Name="A")
    sync.load(account())
    [(row_id,)] = sync.query("select id from salesforce.account")
    sync.roles["pull"].stop()
    sync.org.remove("Account", first)
    sync.org.undelete(first)
    sync.org.advance(180)
    sync.start("pull")
    sync.wait_for_polls(2)
    assert sync.query("select id, name from salesforce.account") == [(row_id, "A")]


def test_the_losers_of_a_merge_go_and_their_children_follow_the_winner(sync):
    winner = sync.org.create("Account", Name="Winner")
    loser = sync.org.create("Account", Name="Loser")
    sync.org.create("Contact", LastName="Child", AccountId=loser)
    mapped = contact()
    mapped["config"]["fields"]["AccountId"] = {}
    sync.load(account(), mapped)
    sync.org.post("/_sandbox/merge", {"winner": winner, "losers": [loser]})
    eventually(lambda: names(sync) == ["Winner"])
    eventually(
        lambda: sync.query("select accountid from salesforce.contact") == [(winner,)]
    )


def test_a_deleted_records_row_is_kept_where_the_mapping_says_so(sync):
    first = sync.org.create("Account", Name="A")
    sync.org.create("Account", Name="B")
    mapped = account()
    mapped["config"]["delete_policy"] = "keep"
    sync.load(mapped)
    sync.org.remove("Account", first)
    eventually(lambda: count(sync, "isdeleted") == 1)
    kept = sync.query("select sfid, name, xmin::text from salesforce.account where isdeleted")
    assert kept[0][:2] == (first, "A")
    sync.wait_for_polls(2)
    assert sync.query("select sfid, name, xmin::text from salesforce.account where isdeleted") == kept
    sync.org.undelete(first)
    eventually(lambda: count(sync, "not isdeleted") == 2)


def test_reported_deletions_are_applied_however_many(sync):
    sync.org.load("Account", 300)
    sync.load(account())
    ids = [record["Id"] for record in sync.org.query("select Id from Account limit 250")]
    for start in range(0, 250, 200):
        sync.org.delete("composite/sobjects?ids=" + ",".join(ids[start : start + 200]))
    eventually(lambda: count(sync) == 50)


def test_reported_deletions_wait_too_where_the_operator_wants_it(sync):
    sync.pgforce.env["PGFORCE_CONFIRM_ALL_DELETIONS"] = "on"
    sync.org.load("Account", 300)
    sync.load(account())
    ids = [record["Id"] for record in sync.org.query("select Id from Account limit 250")]
    sync.roles["pull"].stop()
    for start in range(0, 250, 200):
        sync.org.delete("composite/sobjects?ids=" + ",".join(ids[start : start + 200]))
    sync.start("pull")
    eventually(lambda: held(sync) == 250)
    sync.org.create("Account", Name="The rest goes on")
    eventually(lambda: count(sync) == 301)
    said = sync.value("select state_description from pgforce.mapping", role="pgforce")
    assert "250 deletions wait" in said
    assert "250 deletions confirmed" in sync.pgforce.run("mapping", "confirm", "account").stdout
    eventually(lambda: count(sync) == 51)
    eventually(lambda: held(sync) == 0)
    eventually(lambda: sync.query("select state_description from pgforce.mapping", role="pgforce") == [(None,)])


@pytest.fixture
def emptied(sync):
    """An organisation whose records are out of sight after a pause longer than deletions are kept."""
    sync.org.load("Account", 300)
    sync.load(account())
    sync.wait_for_polls(1)
    sync.roles["pull"].stop()
    sync.org.post("/_sandbox/snapshot", {"name": "full"})
    ids = [record["Id"] for record in sync.org.query("select Id from Account limit 290")]
    for start in range(0, 290, 100):
        sync.org.purge(*ids[start : start + 100])
    sync.query(
        "update pgforce.watermark set deletes_up_to = now() - interval '20 days'", role="pgforce"
    )
    return sync


def test_a_view_that_is_emptied_deletes_nothing_before_it_is_confirmed(emptied):
    emptied.start("pull")
    eventually(lambda: held(emptied) == 290)
    shown = json.loads(emptied.pgforce.run("mapping", "show", "Account", "--json").stdout)
    assert shown["held_deletions"] == 290
    assert "\nAccount: 290 deletions wait" in emptied.pgforce.run("status").stdout
    assert count(emptied) == 300
    emptied.org.create("Account", Name="The rest goes on")
    eventually(lambda: count(emptied) == 301)
    emptied.pgforce.run("mapping", "confirm", "Account")
    eventually(lambda: count(emptied) == 11)
    eventually(lambda: held(emptied) == 0)


def test_records_that_come_back_into_sight_are_not_deleted_even_when_confirmed(emptied):
    emptied.start("pull")
    eventually(lambda: held(emptied) == 290)
    emptied.org.post("/_sandbox/restore", {"name": "full"})
    emptied.pgforce.run("mapping", "confirm", "Account")
    eventually(lambda: held(emptied) == 0)
    assert count(emptied) == 300


def test_a_few_records_that_are_absent_after_a_long_pause_are_removed(sync):
    sync.org.load("Account", 300)
    sync.load(account())
    sync.wait_for_polls(1)
    sync.roles["pull"].stop()
    ids = [record["Id"] for record in sync.org.query("select Id from Account limit 10")]
    sync.org.purge(*ids)
    sync.query(
        "update pgforce.watermark set deletes_up_to = now() - interval '20 days'", role="pgforce"
    )
    sync.start("pull")
    eventually(lambda: count(sync) == 290)
    assert held(sync) == 0


def test_a_reload_removes_rows_whose_records_are_gone(sync):
    sync.org.load("Account", 30)
    sync.load(account())
    sync.roles["pull"].stop()
    [(kept,)] = sync.query("select min(id) from salesforce.account")
    ids = [record["Id"] for record in sync.org.query("select Id from Account order by Id desc limit 5")]
    sync.org.purge(*ids)
    sync.pgforce.run("mapping", "reload", "Account")
    sync.start("pull")
    sync.wait_until_loaded()
    assert count(sync) == 25
    assert sync.query("select min(id) from salesforce.account") == [(kept,)]
