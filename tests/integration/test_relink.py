"""pgforce relink: a schema moves to a refreshed sandbox, where every record has another id."""

import json

import pytest

from eventually import eventually
from sandbox import Sandbox
from sync import contact, account, nameless_account

OLD = "00D000000000001EAA"


def make(org, *keys, **more):
    return {key: org.create("Account", Name=key, External_Id__c=key, **more) for key in keys}


def leave(sync):
    """The roles end, and the organisation that was is another one: a sandbox that has been refreshed."""
    for role in sync.roles.values():
        role.stop()
    sync.query("update pgforce.connection set organization_id = %s", [OLD], role="pgforce")


@pytest.fixture
def refreshed(logs):
    """An organisation of the same objects; its ids begin anew, and so mean other records."""
    folder = logs / "refreshed"
    folder.mkdir()
    with Sandbox(folder) as org:
        yield org


def rows(sync, columns="id, external_id__c, sfid"):
    return sync.query(f"select {columns} from salesforce.account order by id")


def move(sync, org):
    sync.org = org
    sync.pgforce.env["PGFORCE_SF_LOGIN_URL"] = org.url


def test_rows_keep_their_id_and_find_their_record_by_the_unique_identifier(sync, refreshed):
    make(sync.org, "a", "b", "gone")
    sync.load(account())
    before = {key: row_id for row_id, key, _ in rows(sync)}
    leave(sync)
    entries = len(sync.entries("id"))
    made = make(refreshed, "new", "b", "a")
    move(sync, refreshed)
    assert "relink" in sync.pgforce.run("objects", expect=78).stderr
    said = sync.pgforce.run("relink", "--yes")
    assert "3 rows: keep their id, found anew by External_Id__c" in said.stderr
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    after = {key: (row_id, sfid) for row_id, key, sfid in rows(sync)}
    assert {key: after[key][0] for key in before} == before
    assert {key: sfid for key, (_, sfid) in after.items()} == {**made, "gone": None}
    sync.query("update salesforce.account set phone = '42' where external_id__c = 'a'")
    eventually(
        lambda: [r["External_Id__c"] for r in refreshed.rows("Account") if r["Phone"] == "42"] == ["a"]
    )
    assert [row[0] for row in sync.entries("action")][entries:] == ["UPDATE"]


def test_what_waits_is_sent_where_it_can_be_and_given_up_where_not(sync, refreshed):
    make(sync.org, "a")
    sync.load(account())
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = '1'")
    sync.query("insert into salesforce.account (name, external_id__c) values ('mine', 'mine')")
    sync.logged(2)
    leave(sync)
    make(refreshed, "a")
    move(sync, refreshed)
    plan = sync.pgforce.run("relink", "--yes", "--json")
    (entry,) = json.loads(plan.stdout)["mappings"]
    assert (entry["way"], entry["waiting"], entry["given_up"]) == ("match", 2, 1)
    assert sync.entries() == [("UPDATE", "IGNORED"), ("INSERT", "NEW")]
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    eventually(lambda: sync.entries() == [("UPDATE", "IGNORED"), ("INSERT", "SUCCESS")])
    assert sorted(r["External_Id__c"] for r in refreshed.rows("Account")) == ["a", "mine"]
    assert rows(sync, "phone") == [(None,), (None,)]


def test_without_a_unique_identifier_the_table_is_loaded_anew(sync, refreshed):
    make(sync.org, "a", "b")
    sync.load(nameless_account(), contact())
    leave(sync)
    refreshed.create("Account", Name="c")
    move(sync, refreshed)
    said = sync.pgforce.run("relink", "--yes").stderr
    assert "Account" in said
    assert "REMOVED and loaded anew" in said
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    assert sync.query("select name from salesforce.account") == [("c",)]


def test_nothing_is_done_unasked_or_beside_running_roles_or_for_the_same_organisation(sync, refreshed):
    make(sync.org, "a")
    sync.load(account())
    assert "nothing to do" in sync.pgforce.run("relink").stdout
    before = rows(sync)
    sync.query("update pgforce.connection set organization_id = %s", [OLD], role="pgforce")
    sync.pgforce.run("relink", expect=64)
    assert "stop pgforce first" in sync.pgforce.run("relink", "--yes", expect=78).stderr
    assert rows(sync) == before
    assert sync.value("select organization_id from pgforce.connection", role="pgforce") == OLD


def test_a_login_for_the_new_organisation_is_stored_before_the_move(sync, refreshed, tmp_path):
    key = tmp_path / "key"
    key.write_text("5f" * 32)
    key.chmod(0o600)
    sync.pgforce.env["PGFORCE_SECRET_KEY_FILE"] = str(key)
    make(sync.org, "a")
    sync.load(account())
    leave(sync)
    make(refreshed, "a")
    move(sync, refreshed)
    sync.pgforce.run("login", "--client-credentials", expect=78)
    sync.pgforce.run("login", "--client-credentials", "--relink")
    assert "relink" in sync.pgforce.run("objects", expect=78).stderr
    sync.pgforce.run("relink", "--yes")
    sync.pgforce.run("objects")
