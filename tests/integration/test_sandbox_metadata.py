"""Custom objects and fields that come while the organisation runs: the Metadata and Tooling APIs."""

import pytest
from sandbox import Sandbox

ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns="http://soap.sforce.com/2006/04/metadata"><soapenv:Header><SessionHeader>'
    "<sessionId>{}</sessionId></SessionHeader></soapenv:Header><soapenv:Body>{}</soapenv:Body>"
    "</soapenv:Envelope>"
)


def soap(sandbox, body, status=200):
    sent = ENVELOPE.format(sandbox.token, body).encode()
    answer = sandbox.request(
        "POST", "/services/Soap/m/60.0", sent, headers={"Content-Type": "text/xml"}
    )
    assert answer.status == status, answer.body
    return answer.body.decode()


def make(sandbox, full_name, **metadata):
    body = {"FullName": full_name, "Metadata": metadata}
    return sandbox.post("tooling/sobjects/CustomField", body)


def columns(sandbox, name):
    return [f["name"] for f in sandbox.get(f"sobjects/{name}/describe").json["fields"]]


def test_a_field_stays_as_it_was_changed_over_a_restart_and_stays_away_when_deleted(tmp_path):
    options = ("--data", tmp_path / "org.db")
    with Sandbox(tmp_path, *options) as org:
        kept = make(org, "Account.Kept__c", type="Text", label="K", length=10).json["id"]
        gone = make(org, "Account.Gone__c", type="Checkbox", label="G").json["id"]
        longer = {"Metadata": {"type": "Text", "label": "K2", "length": 20}}
        assert org.patch(f"tooling/sobjects/CustomField/{kept}", longer).status == 204
        account = org.create("Account", Name="A", Kept__c="x" * 20, Gone__c=True)
        assert org.delete(f"tooling/sobjects/CustomField/{gone}").status == 204
        assert "Gone__c" not in org.retrieve("Account", account)
    with Sandbox(tmp_path, *options) as org:
        assert org.retrieve("Account", account)["Kept__c"] == "x" * 20
        assert "Gone__c" not in columns(org, "Account")
        assert make(org, "Account.Gone__c", type="Checkbox", label="Back").status == 201
        assert org.retrieve("Account", account)["Gone__c"] is False


@pytest.mark.parametrize(
    ("full_name", "metadata", "code", "words"),
    [
        ("Account.Name", {"type": "Text"}, "FIELD_INTEGRITY_EXCEPTION", "ends in __c"),
        ("Nothing__c.A__c", {"type": "Text"}, "INVALID_CROSS_REFERENCE_KEY", "cannot be found"),
        ("Account.External_Id__c", {"type": "Text"}, "DUPLICATE_DEVELOPER_NAME", "already"),
        ("Account.A__c", {"type": "Summary"}, "FIELD_INTEGRITY_EXCEPTION", "Summary"),
        ("Account.A__c", {}, "FIELD_INTEGRITY_EXCEPTION", "(none)"),
        ("Account.A__c", {"type": "Lookup"}, "FIELD_INTEGRITY_EXCEPTION", "referenceTo"),
        (None, {"type": "Text"}, "REQUIRED_FIELD_MISSING", "FullName"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(sandbox, full_name, metadata, code, words):
    before = columns(sandbox, "Account")
    answer = make(sandbox, full_name, **metadata)
    assert (answer.status, answer.json[0]["errorCode"]) == (400, code)
    assert words in answer.json[0]["message"]
    assert columns(sandbox, "Account") == before


def test_a_field_keeps_the_kind_of_its_values(sandbox):
    field = make(sandbox, "Account.A__c", type="Text", label="A", length=10).json["id"]
    answer = sandbox.patch(
        f"tooling/sobjects/CustomField/{field}", {"Metadata": {"type": "Date", "label": "A"}}
    )
    assert answer.status == 400 and "Cannot change the type" in answer.json[0]["message"]


def test_an_object_that_others_refer_to_is_not_deleted(sandbox):
    fields = "<fullName>{}__c</fullName><label>L</label>"
    body = '<createMetadata><metadata xsi:type="CustomObject">{}{}</metadata></createMetadata>'
    assert "<success>true</success>" in soap(sandbox, body.format(fields.format("Top"), ""))
    link = (
        "<fields><fullName>Top__c</fullName><label>T</label><type>MasterDetail</type>"
        "<referenceTo>Top__c</referenceTo><relationshipName>Parts</relationshipName></fields>"
    )
    assert "<success>true</success>" in soap(sandbox, body.format(fields.format("Part"), link))
    delete = "<deleteMetadata><type>CustomObject</type><fullNames>{}__c</fullNames></deleteMetadata>"
    assert "referenced by Part__c.Top__c" in soap(sandbox, delete.format("Top"))
    top = sandbox.create("Top__c", Name="t")
    sandbox.create("Part__c", Name="p", Top__c=top)
    assert len(sandbox.query("SELECT Id, (SELECT Id FROM Parts__r) FROM Top__c")) == 1
    sandbox.remove("Top__c", top)
    assert sandbox.query("SELECT Id FROM Part__c") == []
    assert "<success>true</success>" in soap(sandbox, delete.format("Part"))
    assert "<success>true</success>" in soap(sandbox, delete.format("Top"))
    assert sandbox.get("sobjects/Top__c/describe").status == 404


def test_soap_that_is_none_is_a_fault(sandbox):
    assert "UNSUPPORTED_OPERATION" in soap(sandbox, "<deploy/>", 500)
    assert "INVALID_SESSION_ID" in soap(sandbox, "</nonsense>", 500)


def test_the_schema_can_be_queried(sandbox):
    [row] = sandbox.query(
        "SELECT Label, KeyPrefix FROM EntityDefinition WHERE QualifiedApiName = 'Account'"
    )
    assert (row["Label"], row["KeyPrefix"]) == ("Account", "001")
    rows = sandbox.query(
        "SELECT QualifiedApiName FROM FieldDefinition WHERE EntityDefinition.KeyPrefix = '001'"
    )
    assert {row["QualifiedApiName"] for row in rows} == set(columns(sandbox, "Account"))
