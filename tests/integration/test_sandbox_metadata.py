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


SUMMARY = {"type": "Summary", "label": "Sum", "summaryForeignKey": "Line__c.Order__c"}


@pytest.fixture
def lines(sandbox):
    """An order with four lines."""
    link = {"type": "MasterDetail", "label": "Order", "referenceTo": "Order__c"}
    stages = {"valueSetDefinition": {"value": [{"fullName": name} for name in ("Open", "Done")]}}
    sandbox.define([{"name": "Order__c"}, {"name": "Line__c"}])
    for name, metadata in (
        ("Order__c", {**link, "relationshipName": "Lines"}),
        ("Price__c", {"type": "Currency", "precision": 16, "scale": 2}),
        ("Stage__c", {"type": "Picklist", "valueSet": stages}),
        ("Sent__c", {"type": "Date"}),
        ("Note__c", {"type": "Text", "length": 40}),
        ("Paid__c", {"type": "Checkbox", "defaultValue": "false"}),
    ):
        answer = make(sandbox, f"Line__c.{name}", **{"label": name, **metadata})
        assert answer.status == 201, answer.body
    order = sandbox.create("Order__c", Name="O")
    for price, stage, sent, note, paid in (
        (10, "Open", "2026-01-31", 'A "big" one', True),
        (3, "Done", "2025-01-31", "small", False),
        (7, "Done", None, None, False),
        (20, None, "2026-06-30", "BIG", True),
    ):
        row = {"Price__c": price, "Stage__c": stage, "Sent__c": sent, "Note__c": note}
        sandbox.create("Line__c", Order__c=order, Paid__c=paid, **row)
    return sandbox


def total(sandbox, items):
    """The prices of the lines that meet the conditions."""
    items = [dict(zip(("field", "operation", "value"), item)) for item in items]
    answer = make(
        sandbox,
        "Order__c.Total__c",
        **SUMMARY,
        summaryOperation="sum",
        summarizedField="Line__c.Price__c",
        summaryFilterItems=items,
    )
    assert answer.status == 201, answer.body
    return sandbox.query("SELECT Total__c FROM Order__c")[0]["Total__c"]


@pytest.mark.parametrize(
    "items, expected",
    [
        ([], 40),
        ([("Line__c.Stage__c", "equals", "Open,Done")], 20),
        ([("Line__c.Stage__c", "notEqual", "Done")], 30),
        ([("Line__c.Price__c", "greaterOrEqual", "7"), ("Line__c.Price__c", "lessThan", "20")], 17),
        ([("Line__c.Sent__c", "greaterThan", "2026-01-31")], 20),
        ([("Line__c.Note__c", "contains", '"Big"')], 10),
        ([("Line__c.Note__c", "startsWith", "b")], 20),
        ([("Line__c.Paid__c", "equals", "True")], 30),
    ],
)
def test_a_summary_field_sums_up_what_meets_its_conditions(lines, items, expected):
    assert total(lines, items) == expected


def test_a_summary_field_is_told_as_it_was_made(lines):
    total(lines, [("Line__c.Stage__c", "equals", "Done")])
    (row,) = lines.query(
        "SELECT Id FROM CustomField WHERE DeveloperName = 'Total' "
        "AND EntityDefinition.QualifiedApiName = 'Order__c'"
    )
    told = lines.get(f"tooling/sobjects/CustomField/{row['Id']}").json["Metadata"]
    assert (told["type"], told["summaryOperation"]) == ("Summary", "sum")
    assert told["summaryFilterItems"] == [
        {"field": "Line__c.Stage__c", "operation": "equals", "value": "Done"}
    ]


@pytest.mark.parametrize(
    "metadata, words",
    [
        ({}, "summaryOperation"),
        ({"summaryOperation": "sum", "summarizedField": "Line__c.No__c"}, "no field Line__c.No__c"),
        (
            {
                "summaryOperation": "count",
                "summaryFilterItems": {"field": "Price__c", "operation": "contains", "value": "1"},
            },
            "operation contains is not supported",
        ),
        (
            {
                "summaryOperation": "count",
                "summaryFilterItems": {"field": "Price__c", "operation": "equals", "value": "x"},
            },
            "no value of type currency",
        ),
    ],
)
def test_a_summary_field_that_is_wrong_is_refused(lines, metadata, words):
    answer = make(lines, "Order__c.Total__c", **SUMMARY, **metadata)
    assert answer.status == 400 and words in answer.json[0]["message"], answer.body


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
