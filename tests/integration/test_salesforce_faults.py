"""What an organisation does to a client that is at work: it takes away rights and sessions, is in maintenance, or
has the API switched off. Nothing is lost, other mappings go on, and when it is over all goes on."""

from eventually import eventually
from sync import account, contact


def error(code, message="no"):
    return [{"errorCode": code, "message": message}]


def refuse(sync, **answer):
    sync.org.fault({"match": {"path": "/services/data"}, "times": 100000, **answer})


def names(sync):
    return [name for (name,) in sync.query("select name from salesforce.account order by name")]


def their_names(sync):
    return sorted(row["Name"] for row in sync.org.rows("Account"))


def loaded(sync):
    sync.map(account(), contact())
    supervisor = sync.start("run")
    sync.wait_until_loaded()
    return supervisor


def test_a_maintenance_is_waited_out(sync):
    supervisor = loaded(sync)
    refuse(sync, status=503, body="<html>Down for maintenance</html>", content_type="text/html")
    sync.query("insert into salesforce.account (name) values ('Ours')")
    sync.org.insert("Account", {"Name": "Theirs"})
    eventually(lambda: sync.entries("state, sf_message is not null") == [("NEW", True)])
    eventually(lambda: "could not read" in supervisor.log_text())
    assert sync.mapping_states() == {"DATA_SYNCED"}
    sync.org.clear_faults()
    eventually(lambda: names(sync) == their_names(sync) == ["Ours", "Theirs"])
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert "parked" not in supervisor.log_text()


def test_an_api_that_is_switched_off_stops_the_writing_and_loses_nothing(sync):
    supervisor = loaded(sync)
    refuse(sync, status=403, body=error("API_DISABLED_FOR_ORG", "API is not enabled for this Organization"))
    sync.query("insert into salesforce.account (name) values ('Ours')")
    eventually(lambda: "parked: an operator must act role=push" in supervisor.log_text())
    assert "the organisation takes no writes: API_DISABLED_FOR_ORG" in supervisor.log_text()
    eventually(lambda: sync.mapping_states() == {"SYSTEM_ERROR"})
    assert sync.entries("state") == [("NEW",)]
    sync.org.clear_faults()
    eventually(lambda: sync.mapping_states() == {"DATA_SYNCED"})
    supervisor.stop()
    # Else it would be tried again in half a minute.
    sync.query("update pgforce.delivery set retry_at = now()", role="pgforce")
    sync.start("run")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    assert their_names(sync) == ["Ours"]


RITA = {"username": "rita@sandbox.example", "password": "a-password-of-hers"}


def rights(sync, **account_rights):
    answer = sync.org.post("/_sandbox/users", {**RITA, "objects": {"Account": account_rights}})
    assert answer.status == 200, answer.body


def test_rights_that_are_taken_away_stop_their_object_alone(sync):
    rights(sync)
    sync.pgforce.env.update(PGFORCE_SF_USERNAME=RITA["username"], PGFORCE_SF_PASSWORD=RITA["password"])
    sync.org.insert("Account", {"Name": "Acme", "Phone": "1"})
    supervisor = loaded(sync)
    # To write.
    rights(sync, edit=False)
    sync.query("update salesforce.account set phone = '2'")
    [(state, told)] = sync.settled(1, "state, sf_message")
    assert state == "FAILED" and "does not support update" in told
    rights(sync)
    sync.query("update salesforce.account set phone = '3'")
    assert sync.settled(2, "state")[1] == ("SUCCESS",)
    assert sync.org.rows("Account")[0]["Phone"] == "3"
    # To read: the rows stay, and the other objects go on.
    rights(sync, read=False)
    state = "select state from pgforce.mapping where object_name = 'Account'"
    eventually(lambda: sync.value(state, role="pgforce") == "SYSTEM_ERROR")
    sync.org.insert("Contact", {"LastName": "Theirs"})
    eventually(lambda: sync.value("select count(*) from salesforce.contact") == 1)
    assert names(sync) == ["Acme"]
    rights(sync)
    sync.org.insert("Account", {"Name": "Bolt"})
    eventually(lambda: names(sync) == ["Acme", "Bolt"])
    eventually(lambda: sync.mapping_states() == {"DATA_SYNCED"})
    assert "parked" not in supervisor.log_text()


SCRIPT = (
    "insert into salesforce.account (name, external_id__c) values ('Acme', '{}')",
    "update salesforce.account set phone = '2'",
    "delete from salesforce.account",
)
REVOKED = {"status": 401, "body": error("INVALID_SESSION_ID", "Session expired or invalid")}


def test_a_session_revoked_at_any_request_costs_one_retry_of_it(sync):
    sync.map(account())
    sync.start("archive", "push")
    sync.org.journal(clear=True)
    requests = 1
    index = 0
    while index < requests:
        sync.org.fault({"match": {"path": "/services/data"}, "skip": index, **REVOKED})
        for number, change in enumerate(SCRIPT, len(SCRIPT) * index + 1):
            sync.query(change.format(index))
            assert sync.settled(number)[-1][1] == "SUCCESS"
        sent = [(entry["method"], entry["path"], entry["status"]) for entry in sync.org.journal(clear=True)]
        calls = [call for call in sent if "oauth2" not in call[1]]
        # Refused once, a new token, the same again; and no other call twice.
        assert [call[2] for call in calls].count(401) == 1
        method, path, _ = calls[index]
        assert calls[index] == (method, path, 401) and calls[index + 1] == (method, path, 200)
        assert len(sent) - len(calls) <= (2 if index == 0 else 1)
        assert requests in (1, len(calls) - 1)
        requests = len(calls) - 1
        index += 1
    assert requests >= len(SCRIPT)
