"""What Salesforce refused: pgforce errors, retry and ignore."""

import json

import pytest

from eventually import eventually
from sync import account, contact

REFUSED = "insert into salesforce.account (name, annualrevenue, external_id__c) values ('Broke', -5, 'A-1')"


@pytest.fixture
def pushing(sync):
    sync.map(account(), contact())
    sync.start("archive", "push")
    return sync


def run_json(sync, *arguments):
    return json.loads(sync.pgforce.run(*arguments, "--json").stdout)


def refuse_one(sync):
    sync.query(REFUSED)
    [(log_id, state)] = sync.settled(1, "id, state")
    assert state == "FAILED"
    return log_id


def archive_by_hand(sync, log_id):
    """As the mover does a day later."""
    columns = (
        "id, txid, created_at, updated_at, processed_at, processed_tx, state, action, table_name, record_id,"
        ' sfid, old, "values", sf_result, sf_message, commit_lsn, seq, commit_time, origin'
    )
    sync.query(
        f"with moved as (delete from salesforce._trigger_log where id = {log_id} returning {columns})"
        f" insert into salesforce._trigger_log_archive ({columns}) select {columns} from moved",
        role="pgforce",
    )


def mend_quietly(sync):
    """The row is mended without a change that would be sent by itself."""
    sync.roles["push"].stop()
    sync.query("update salesforce.account set annualrevenue = 5")
    sync.logged(2)
    sync.query("delete from salesforce._trigger_log where action = 'UPDATE'", role="pgforce")
    sync.start("push")


def test_errors_lists_what_failed_with_salesforces_words(pushing):
    sync = pushing
    assert sync.pgforce.run("errors").stdout == "nothing has failed\n"
    log_id = refuse_one(sync)
    [failure] = run_json(sync, "errors", "Account")
    assert (failure["id"], failure["table"], failure["action"]) == (log_id, "account", "INSERT")
    assert "cannot be negative" in failure["message"]
    assert not failure["is_archived"]
    assert failure["message"] in sync.pgforce.run("errors").stdout
    assert run_json(sync, "errors", "Contact") == []
    archive_by_hand(sync, log_id)
    [failure] = run_json(sync, "errors")
    assert failure["is_archived"]


@pytest.mark.parametrize("is_archived", [False, True])
def test_retry_sends_the_row_as_it_is_now(pushing, is_archived):
    sync = pushing
    log_id = refuse_one(sync)
    mend_quietly(sync)
    if is_archived:
        archive_by_hand(sync, log_id)
    assert run_json(sync, "retry", "--id", str(log_id)) == {"requeued": 1, "rowless": 0}
    sync.settled(1 if is_archived else 2)
    assert sync.entries("action, state", f"id > {log_id}") == [("INSERT", "SUCCESS")]
    table = "_trigger_log_archive" if is_archived else "_trigger_log"
    assert sync.value(f"select state from salesforce.{table} where id = {log_id}") == "REQUEUED"
    [record] = sync.org.query("select Id, AnnualRevenue from Account")
    assert record["AnnualRevenue"] == 5
    assert sync.query("select sfid, _hc_lastop, _hc_err from salesforce.account") == [
        (record["Id"], "INSERTED", None)
    ]


@pytest.mark.parametrize("is_archived", [False, True])
def test_retry_of_merged_writes_sends_the_entry_itself(pushing, is_archived):
    sync = pushing
    sync.query(
        """update pgforce.connection set features = '{"poll_db_no_merge": false}'""", role="pgforce"
    )
    log_id = refuse_one(sync)
    # With the push role away, the change alone cannot send the INSERT again.
    sync.roles["push"].stop()
    sync.query("update salesforce.account set name = 'Mended', annualrevenue = 1")
    sync.logged(2)
    if is_archived:
        archive_by_hand(sync, log_id)
    assert run_json(sync, "retry", "--id", str(log_id))["requeued"] == 1
    sync.start("push")
    sync.settled(2)
    [(new_id, state)] = sync.entries("id, state", "action = 'INSERT'")
    assert state == "SUCCESS"
    assert (new_id == log_id) != is_archived
    assert [record["Name"] for record in sync.org.query("select Name from Account")] == ["Mended"]


def test_retry_of_a_refused_update_carries_only_what_it_carried(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name, phone, annualrevenue) values ('Acme', '1', 1)")
    sync.settled(1)
    sync.query("update salesforce.account set annualrevenue = -1")
    assert sync.settled(2)[1] == ("UPDATE", "FAILED")
    sfid = sync.value("select sfid from salesforce.account")
    sync.org.update("Account", sfid, Phone="2")
    sync.query("update salesforce.account set annualrevenue = 7")
    sync.settled(3)
    assert run_json(sync, "retry", "--all-failed")["requeued"] == 1
    sync.settled(4)
    found = sync.org.retrieve("Account", sfid)
    assert (found["AnnualRevenue"], found["Phone"]) == (7, "2")


def test_retry_of_a_refused_delete_sends_it_again(pushing):
    sync = pushing
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    sync.org.fault(
        {
            "match": {"method": "DELETE", "path": "/composite/sobjects"},
            "status": 200,
            "body": [
                {
                    "success": False,
                    "errors": [{"statusCode": "DELETE_FAILED", "message": "has cases", "fields": []}],
                }
            ],
        }
    )
    sync.query("delete from salesforce.account")
    assert sync.settled(2)[1] == ("DELETE", "FAILED")
    assert run_json(sync, "retry", "--all-failed") == {"requeued": 1, "rowless": 0}
    assert sync.settled(2)[1] == ("DELETE", "SUCCESS")
    assert sync.org.query("select Id from Account") == []


def test_retry_leaves_what_has_no_row_any_more_and_ignore_gives_it_up(pushing):
    sync = pushing
    log_id = refuse_one(sync)
    sync.query("delete from salesforce.account")
    sync.settled(2)
    assert run_json(sync, "retry", "--id", str(log_id)) == {"requeued": 0, "rowless": 1}
    assert run_json(sync, "ignore", "--id", str(log_id)) == {"ignored": 1}
    assert sync.value(f"select state from salesforce._trigger_log where id = {log_id}") == "IGNORED"
    assert run_json(sync, "errors") == []


def test_a_row_that_was_bound_meanwhile_is_not_created_again(pushing):
    sync = pushing
    log_id = refuse_one(sync)
    record = sync.org.create("Account", Name="Broke", External_Id__c="A-1")
    mend_quietly(sync)
    sync.query(f"update salesforce.account set sfid = '{record}'")
    sync.settled(2)
    run_json(sync, "retry", "--id", str(log_id))
    eventually(lambda: sync.org.retrieve("Account", record)["AnnualRevenue"] == 5)
    assert len(sync.org.query("select Id from Account")) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["retry", "--id", "x"],
        ["retry", "--id"],
        ["retry", "--json"],
        ["retry", "--id", "1", "--all-failed"],
        ["ignore", "--everything"],
        ["errors", "--all"],
    ],
)
def test_a_wrong_command_line_is_a_usage_error(sync, arguments):
    sync.pgforce.run(*arguments, expect=64)


def test_what_is_not_there_is_bad_data(pushing):
    assert "Nothing is not mapped" in pushing.pgforce.run("errors", "Nothing", expect=65).stderr
    assert "entry 4711 is not FAILED" in pushing.pgforce.run("retry", "--id", "4711", expect=65).stderr
    assert "entry 4711 is not FAILED" in pushing.pgforce.run("ignore", "--id", "4711", expect=65).stderr
