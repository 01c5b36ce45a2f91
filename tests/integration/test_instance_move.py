"""An organisation moves to another instance: the token address names the new host from then on, and the old
host answers as one that has the organisation no longer."""

import os

import pytest

from eventually import eventually
from proxy import Proxy
from sync import account
from test_listen import heard, listening

PAGE = b"<html>URL No Longer Exists</html>"


def answer(line, *headers, body=b""):
    headers = [line, *headers, b"Content-Length: %d" % len(body), b"Connection: close"]
    return b"HTTP/1.1 " + b"\r\n".join(headers) + b"\r\n\r\n" + body


# The first two in every run of the tests.
OLD_HOSTS = {
    "a redirect": answer(b"301 Moved Permanently", b"Location: https://new.example/"),
    "nobody": None,
    "a page": answer(b"404 Not Found", b"Content-Type: text/html", body=PAGE),
    "no route": answer(b"420 Unused"),
    "no session": answer(b"401 Unauthorized", b"Content-Type: application/json",
                         body=b'[{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]'),
}  # fmt: skip


@pytest.fixture
def old(sandbox):
    """The first instance: a door to the organisation."""
    proxy = Proxy(int(sandbox.url.rpartition(":")[2]))
    proxy.url = f"http://127.0.0.1:{proxy.port}"
    yield proxy
    proxy.close()


def token_names(sync, instance_url, **changes):
    """From now on the token address answers with this instance."""
    sync.org.clear_faults()
    body = {**sync.org.login().json, "instance_url": instance_url, **changes}
    sync.org.fault({"match": {"path": "/oauth2/token"}, "times": 100000, "status": 200, "body": body})


@pytest.mark.parametrize("says", list(OLD_HOSTS)[: None if "PGFORCE_LONG" in os.environ else 2])
def test_the_roles_follow_to_the_new_instance(sync, old, says):
    token_names(sync, old.url)
    acme = sync.org.create("Account", Name="Acme", Phone="1")
    sync.map(heard(polling_seconds=1))
    supervisor = sync.start("run")
    sync.wait_until_loaded()
    eventually(lambda: listening(sync))
    # The organisation moves.
    token_names(sync, sync.org.url)
    heard_at = listening(sync, "subscribed_at")
    if OLD_HOSTS[says] is None:
        old.close()
    else:
        old.say(OLD_HOSTS[says])
        old.cut()
    sync.query("insert into salesforce.account (name) values ('Bolt')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    sync.org.update("Account", acme, Phone="2")
    eventually(lambda: sync.value("select phone from salesforce.account where sfid = %s", [acme]) == "2")
    eventually(lambda: listening(sync) and listening(sync, "subscribed_at") > heard_at)
    assert len(sync.org.query("select Id from Account")) == 2
    assert sync.mapping_states() == {"DATA_SYNCED"}
    # None of them had to be started again.
    assert "parked" not in supervisor.log_text() and ": ended" not in supervisor.log_text()


def test_an_instance_of_another_organisation_is_sent_nothing(sync, old):
    token_names(sync, old.url)
    sync.map(account())
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    other = sync.org.login().json["id"].replace("/00D", "/00X")
    token_names(sync, sync.org.url, id=other)
    old.say(OLD_HOSTS["a redirect"])
    old.cut()
    sync.org.journal(clear=True)
    sync.query("insert into salesforce.account (name) values ('Bolt')")
    eventually(lambda: "the organisation has changed from" in sync.roles["push"].log_text())
    assert sync.requests("POST", "/composite") == [] and sync.requests("POST", "/sobjects") == []
    assert sync.entries("state") != [("SUCCESS",)] * 2
    # It was a mistake: the write goes on.
    old.say(None)
    eventually(lambda: sync.entries("state") == [("SUCCESS",)] * 2)
