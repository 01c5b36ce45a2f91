"""The standard objects of the sandbox organisation: what they are, and what saving them implies."""

import base64

import pytest
from sandbox import Sandbox

STANDARD = (
    "Account Contact Lead Opportunity OpportunityLineItem Product2 Pricebook2 PricebookEntry Case Task "
    "Event Campaign CampaignMember User Organization RecordType Attachment Profile UserRole Group "
    "PermissionSet"
).split()


def describe(sandbox, name):
    answer = sandbox.get(f"sobjects/{name}/describe")
    assert answer.status == 200, answer.body
    return answer.json


def fields_of(sandbox, name):
    return {field["name"]: field for field in describe(sandbox, name)["fields"]}


def refusal(answer):
    assert answer.status == 400, answer.body
    return answer.json[0]["errorCode"], answer.json[0]["message"]


def test_every_standard_object_describes_itself_and_can_be_queried(sandbox):
    listed = {each["name"]: each for each in sandbox.get("sobjects").json["sobjects"]}
    for name in STANDARD:
        prefix = listed[name]["keyPrefix"]
        assert len(prefix) == 3 and describe(sandbox, name)["keyPrefix"] == prefix
        assert sandbox.query_page(f"SELECT FIELDS(ALL) FROM {name} LIMIT 200").status == 200
    prefixes = [each["keyPrefix"] for each in listed.values()]
    assert len(set(prefixes)) == len(prefixes)


def test_every_reference_leads_to_an_object_that_lists_it_as_a_child(sandbox):
    listed = [each["name"] for each in sandbox.get("sobjects").json["sobjects"]]
    children = {
        name: {(c["childSObject"], c["field"]) for c in describe(sandbox, name)["childRelationships"]}
        for name in listed
    }
    for name in listed:
        for field in fields_of(sandbox, name).values():
            for parent in field["referenceTo"]:
                assert (name, field["name"]) in children[parent]


def test_an_address_is_made_of_its_parts(sandbox):
    account = sandbox.create("Account", Name="A", BillingCity="Paris", BillingLatitude=48.85)
    address = sandbox.retrieve("Account", account)["BillingAddress"]
    assert (address["city"], address["latitude"], address["longitude"]) == ("Paris", 48.85, None)


def test_only_records_that_go_to_the_recycle_bin_have_a_field_for_it(sandbox):
    assert "IsDeleted" in fields_of(sandbox, "Account")
    assert "IsDeleted" not in fields_of(sandbox, "User")
    assert refusal(sandbox.query_page("SELECT IsDeleted FROM Profile"))[0] == "INVALID_FIELD"


def test_the_user_has_the_profile_of_an_administrator(sandbox):
    [user] = sandbox.query("SELECT Profile.Name, Profile.PermissionsModifyAllData FROM User WHERE Alias = 'admin'")
    assert user["Profile"]["Name"] == "System Administrator"
    before = sandbox.query("SELECT Id FROM Profile")
    sandbox.reset()
    assert sandbox.query("SELECT Id FROM Profile") == before


def test_the_stage_sets_probability_and_forecast_unless_they_are_given(sandbox):
    made = sandbox.create("Opportunity", Name="O", StageName="Prospecting", CloseDate="2026-05-03")
    row = sandbox.retrieve("Opportunity", made)
    assert (row["Probability"], row["ForecastCategoryName"]) == (10, "Pipeline")
    assert (row["IsClosed"], row["FiscalYear"], row["FiscalQuarter"]) == (False, 2026, 2)
    assert row["Fiscal"] == "2026 2"
    sandbox.update("Opportunity", made, Probability=35)
    sandbox.update("Opportunity", made, StageName="Prospecting", Name="O2")
    assert sandbox.retrieve("Opportunity", made)["Probability"] == 35
    sandbox.update("Opportunity", made, StageName="Closed Won")
    row = sandbox.retrieve("Opportunity", made)
    assert (row["Probability"], row["IsClosed"], row["IsWon"]) == (100, True, True)
    assert row["ForecastCategory"] == "Closed"


def test_a_case_knows_when_it_was_closed(sandbox):
    case = sandbox.create("Case", Subject="S")
    assert sandbox.retrieve("Case", case)["ClosedDate"] is None
    sandbox.update("Case", case, Status="Closed")
    row = sandbox.retrieve("Case", case)
    assert row["IsClosed"] and row["ClosedDate"] == row["LastModifiedDate"]
    sandbox.update("Case", case, Status="Working")
    assert sandbox.retrieve("Case", case)["ClosedDate"] is None


def test_a_task_knows_its_account_and_whether_it_is_done(sandbox):
    account = sandbox.create("Account", Name="A")
    task = sandbox.create("Task", Subject="Call", WhatId=account, Status="Completed")
    row = sandbox.retrieve("Task", task)
    assert row["IsClosed"] and row["AccountId"] == account and row["CompletedDateTime"]
    [row] = sandbox.query("SELECT TYPEOF What WHEN Account THEN Name END FROM Task")
    assert row["What"]["Name"] == "A"


def test_an_attachment_is_read_at_the_address_of_its_body(sandbox):
    account = sandbox.create("Account", Name="A")
    body = base64.b64encode(b"hello\0there").decode()
    made = sandbox.create(
        "Attachment", ParentId=account, Name="a.txt", Body=body, ContentType="text/plain"
    )
    row = sandbox.retrieve("Attachment", made)
    assert row["BodyLength"] == 11
    assert row["Body"] == f"/services/data/v60.0/sobjects/Attachment/{made}/Body"
    answer = sandbox.get(row["Body"])
    assert (answer.body, answer.headers["Content-Type"]) == (b"hello\0there", "text/plain")
    sandbox.remove("Account", account)
    assert sandbox.query("SELECT Id FROM Attachment") == []
    bad = sandbox.post("sobjects/Attachment", {"ParentId": account, "Name": "a", "Body": "?!"})
    assert refusal(bad)[0] == "JSON_PARSER_ERROR"


@pytest.mark.parametrize(
    ("name", "parent"),
    [("CampaignMember", "Campaign"), ("OpportunityLineItem", "Opportunity"), ("CaseComment", "Case")],
)
def test_details_go_with_their_master(sandbox, name, parent):
    links = [f for f in fields_of(sandbox, name).values() if f["cascadeDelete"]]
    assert parent in [each for link in links for each in link["referenceTo"]]


# ---- record types ----

TYPES = {
    "name": "Account",
    "recordTypes": [
        {"developerName": "Old", "name": "Old", "active": False},
        {"developerName": "Customer", "name": "A customer"},
        {"developerName": "Supplier"},
    ],
}


def test_an_object_without_record_types_has_only_the_master(sandbox):
    [master] = describe(sandbox, "Account")["recordTypeInfos"]
    assert (master["master"], master["recordTypeId"]) == (True, "012000000000000AAA")
    assert "RecordTypeId" not in fields_of(sandbox, "Account")


def test_a_record_is_of_the_type_it_names_or_of_the_default(sandbox):
    sandbox.define(TYPES)
    infos = {each["developerName"]: each for each in describe(sandbox, "Account")["recordTypeInfos"]}
    assert list(infos) == ["Old", "Customer", "Supplier", "Master"]
    assert [name for name in infos if infos[name]["defaultRecordTypeMapping"]] == ["Customer"]
    supplier = infos["Supplier"]["recordTypeId"]
    sandbox.create("Account", Name="one")
    two = sandbox.create("Account", Name="two", RecordTypeId=supplier)
    rows = sandbox.query("SELECT RecordType.DeveloperName FROM Account ORDER BY Name")
    assert [row["RecordType"]["DeveloperName"] for row in rows] == ["Customer", "Supplier"]
    sandbox.update("Account", two, RecordTypeId="012000000000000AAA")
    assert sandbox.retrieve("Account", two)["RecordTypeId"] is None
    for wrong in (infos["Old"]["recordTypeId"], supplier[:14] + "zAAA"):
        answer = sandbox.post("sobjects/Account", {"Name": "x", "RecordTypeId": wrong[:15]})
        assert refusal(answer)[0] == "INVALID_CROSS_REFERENCE_KEY"
    sandbox.reset()
    assert len(sandbox.query("SELECT Id FROM RecordType WHERE SobjectType = 'Account'")) == 3


def test_record_types_stay_over_a_restart(tmp_path):
    with Sandbox(tmp_path, "--data", tmp_path / "org.db") as org:
        org.define(TYPES)
        before = org.query("SELECT Id FROM RecordType")
    with Sandbox(tmp_path, "--data", tmp_path / "org.db") as org:
        assert org.query("SELECT Id FROM RecordType") == before and len(before) == 3


# ---- currencies ----


def test_an_organisation_with_one_currency_has_no_field_for_it(sandbox):
    assert "CurrencyIsoCode" not in fields_of(sandbox, "Account")
    assert refusal(sandbox.query_page("SELECT Id FROM CurrencyType"))[0] == "INVALID_TYPE"


def test_with_several_currencies_every_record_has_one(tmp_path):
    with Sandbox(tmp_path, "--currencies", "CHF,EUR=0.95") as org:
        rows = org.query("SELECT IsoCode, ConversionRate, IsCorporate FROM CurrencyType")
        assert [(r["IsoCode"], r["ConversionRate"], r["IsCorporate"]) for r in rows] == [
            ("CHF", 1, True),
            ("EUR", 0.95, False),
        ]
        one = org.create("Opportunity", Name="O", StageName="Prospecting", CloseDate="2026-01-01")
        two = org.create("Invoice__c", CurrencyIsoCode="EUR")
        assert org.retrieve("Opportunity", one)["CurrencyIsoCode"] == "CHF"
        assert org.retrieve("Invoice__c", two)["CurrencyIsoCode"] == "EUR"
        bad = org.post("sobjects/Account", {"Name": "A", "CurrencyIsoCode": "XXX"})
        assert refusal(bad)[0] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
        [user] = org.query("SELECT DefaultCurrencyIsoCode FROM User WHERE Alias = 'admin'")
        assert user["DefaultCurrencyIsoCode"] == "CHF"


@pytest.mark.parametrize("text", ["", "eur", "USD=2", "USD,EUR=0", "USD,EUR=x", "USD,,EUR", "USDX"])
def test_a_list_of_currencies_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(RuntimeError):
        Sandbox(tmp_path, "--currencies", text).start()
    assert "is no list of currencies" in (tmp_path / "sandbox.log").read_text()


@pytest.mark.parametrize(
    "definition, key",
    [
        ({"validations": []}, "validations"),
        ({"fields": [{"name": "A__c", "lenght": 5}]}, "lenght"),
        ({"fields": [{"name": "A__c", "picklistValues": [{"text": "x"}]}]}, "text"),
        ({"validationRules": [{"formula": "TRUE"}]}, "formula"),
        ({"recordTypes": [{"label": "x"}]}, "label"),
    ],
)
def test_a_key_that_no_definition_has_is_refused_by_name(sandbox, definition, key):
    answer = sandbox.post("/_sandbox/objects", {"name": "Thing__c", **definition})
    assert answer.status == 400
    assert f'there is no key "{key}"' in answer.json["error"]
    assert sandbox.get("sobjects/Thing__c").status == 404
