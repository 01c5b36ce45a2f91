"""The organisation's own definition changes under a mapping: the other fields go on."""

import json

import pytest

from eventually import eventually
from sync import mapping


def make_field(sync, name, **metadata):
    body = {"FullName": f"Account.{name}", "Metadata": {"label": name, **metadata}}
    answer = sync.org.post("tooling/sobjects/CustomField", body)
    assert answer.status == 201, answer.body
    return answer.json["id"]


def drop_field(sync, field_id):
    assert sync.org.delete(f"tooling/sobjects/CustomField/{field_id}").status == 204


def change_field(sync, field_id, **metadata):
    answer = sync.org.patch(f"tooling/sobjects/CustomField/{field_id}", {"Metadata": metadata})
    assert answer.status == 204, answer.body


def show(sync):
    return json.loads(sync.pgforce.run("mapping", "show", "Account", "--json").stdout)


def rows(sync, columns="name, rank__c"):
    return sync.query(f"select {columns} from salesforce.account order by sfid")


@pytest.fixture
def rank(sync):
    """A custom field, mapped and loaded; its id."""
    field_id = make_field(sync, "Rank__c", type="Text", length=10)
    sync.org.create("Account", Name="Acme", Rank__c="first")
    sync.load(mapping("Account", "Name", "Phone", "Rank__c", "External_Id__c", upsert="External_Id__c"))
    return field_id


def test_a_field_that_is_gone_is_named_and_the_others_go_on(sync, rank):
    drop_field(sync, rank)
    sync.org.create("Account", Name="Bolt")
    eventually(lambda: rows(sync) == [("Acme", "first"), ("Bolt", None)])
    eventually(lambda: "Rank__c" in (show(sync)["state_description"] or ""))
    found = show(sync)
    assert found["state"] == "DATA_SYNCED"
    assert found["organisation"]["missing"] == ["Rank__c"]
    assert "gone there   Rank__c" in sync.pgforce.run("mapping", "show", "Account").stdout
    assert "a field is gone" in sync.roles["pull"].log_text()


def test_writes_leave_out_a_field_that_is_gone(sync, rank):
    drop_field(sync, rank)
    eventually(lambda: show(sync)["organisation"]["missing"] == ["Rank__c"])
    sync.query("update salesforce.account set phone = '7', rank__c = 'second'")
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]
    assert sync.org.query("select Phone from Account")[0]["Phone"] == "7"


def test_a_field_that_is_back_is_filled_again(sync, rank):
    drop_field(sync, rank)
    eventually(lambda: show(sync)["organisation"]["missing"] == ["Rank__c"])
    make_field(sync, "Rank__c", type="Text", length=10)
    [(sfid,)] = rows(sync, "sfid")
    sync.org.update("Account", sfid, Rank__c="third")
    # The look is hourly; a role that starts looks at once.
    sync.roles["pull"].stop()
    sync.start("pull")
    eventually(lambda: rows(sync) == [("Acme", "third")])
    eventually(lambda: show(sync)["state"] == "DATA_SYNCED" and show(sync)["state_description"] is None)


def test_a_field_of_another_type_is_named_and_a_new_one_is_offered(sync, rank):
    change_field(sync, rank, type="Text", label="R", length=200)
    make_field(sync, "Later__c", type="Checkbox")
    sync.roles["pull"].stop()
    sync.start("pull")
    eventually(lambda: show(sync)["organisation"]["changed"] == ["Rank__c"])
    shown = sync.pgforce.run("mapping", "show", "Account").stdout
    assert "to refresh   Rank__c" in shown
    assert "Later__c" in next(line for line in shown.splitlines() if line.startswith("also there"))
    sync.pgforce.run("mapping", "refresh", "Account")
    assert sync.value(
        "select atttypmod - 4 from pg_attribute where attrelid = 'salesforce.account'::regclass"
        " and attname = 'rank__c'"
    ) == 200


def test_an_object_that_is_gone_is_an_error_of_its_mapping_alone(sync, rank):
    sync.org.fault({"match": {"path": "/describe"}, "times": 1000, "status": 404,
                    "body": [{"errorCode": "NOT_FOUND", "message": "gone"}]})  # fmt: skip
    sync.org.fault({"match": {"path": "/queryAll"}, "times": 1000, "status": 400,
                    "body": [{"errorCode": "INVALID_TYPE", "message": "sObject type 'Account'"}]})  # fmt: skip
    eventually(lambda: show(sync)["state"] == "SYSTEM_ERROR")
    sync.org.clear_faults()
    eventually(lambda: show(sync)["state"] == "DATA_SYNCED")
