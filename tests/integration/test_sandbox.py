"""The sandbox organisation, seen as a client of Salesforce sees it."""

import gzip
import http.client
import json
import socket
import subprocess
from urllib.parse import quote

import pytest

from eventually import eventually
from sandbox import BUILD, TOKEN, Sandbox

FIELD_ATTRIBUTES = set("""
    aggregatable aiPredictionField autoNumber byteLength calculated calculatedFormula
    cascadeDelete caseSensitive compoundFieldName controllerName createable custom defaultValue
    defaultValueFormula defaultedOnCreate dependentPicklist deprecatedAndHidden digits
    displayLocationInDecimal encrypted externalId extraTypeInfo filterable filteredLookupInfo
    formulaTreatNullNumberAsZero groupable highScaleNumber htmlFormatted idLookup inlineHelpText
    label length mask maskType name nameField namePointing nillable permissionable picklistValues
    polymorphicForeignKey precision queryByDistance referenceTargetField referenceTo
    relationshipName relationshipOrder restrictedDelete restrictedPicklist scale
    searchPrefilterable soapType sortable type unique updateable writeRequiresMasterRead
""".split())


def refusal(answer, status, code):
    """The first error of a refused call, after checking its status and code."""
    assert answer.status == status, answer.body
    assert answer.json[0]["errorCode"] == code
    return answer.json[0]


def row_refusal(result, code):
    assert result["success"] is False
    assert result["errors"][0]["statusCode"] == code
    return result["errors"][0]


def accounts(*names):
    return [{"attributes": {"type": "Account"}, "Name": name} for name in names]


def names(rows):
    return [row["Name"] for row in rows]


# ---- sessions ----


def test_every_grant_opens_a_session_that_works(sandbox):
    for grant in (
        {"grant_type": "client_credentials"},
        {"grant_type": "password", "username": sandbox.username, "password": sandbox.password},
        {"grant_type": "refresh_token", "refresh_token": sandbox.refresh_token},
    ):
        answer = sandbox.login(
            client_id=sandbox.client_id, client_secret=sandbox.client_secret, **grant
        )
        assert answer.status == 200
        assert answer.json["instance_url"] == sandbox.url
        assert sandbox.get("limits", token=answer.json["access_token"]).status == 200


@pytest.mark.parametrize(
    "change, error",
    [
        ({"client_id": "x"}, "invalid_client_id"),
        ({"client_secret": "x"}, "invalid_client"),
        ({"grant_type": "x"}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "invalid_grant"),
        ({"grant_type": "refresh_token"}, "invalid_grant"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, "invalid_grant"),
    ],
)
def test_a_wrong_grant_is_refused_by_name(sandbox, change, error):
    grant = {
        "grant_type": "client_credentials",
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
    }
    answer = sandbox.login(**{**grant, **change})
    assert (answer.status, answer.json["error"]) == (400, error)


def test_an_expired_or_unknown_session_is_401(sandbox):
    token = sandbox.login().json["access_token"]
    sandbox.expire_sessions()
    refusal(sandbox.get("limits", token=token), 401, "INVALID_SESSION_ID")
    refusal(sandbox.get("limits", token="nonsense"), 401, "INVALID_SESSION_ID")
    refusal(
        sandbox.get("limits", headers={"Authorization": "Basic eA=="}), 401, "INVALID_AUTH_HEADER"
    )
    assert sandbox.get("limits").status == 200


def test_a_revoked_session_ends_and_an_idle_one_too(sandbox):
    token = sandbox.login().json["access_token"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"token={quote(token)}".encode()
    assert sandbox.post("/services/oauth2/revoke", body, headers=form).status == 200
    assert sandbox.post("/services/oauth2/revoke", body, headers=form).status == 400
    refusal(sandbox.get("limits", token=token), 401, "INVALID_SESSION_ID")

    token = sandbox.login().json["access_token"]
    sandbox.advance(3 * 3600)
    refusal(sandbox.get("limits", token=token), 401, "INVALID_SESSION_ID")


def test_identity_says_who_it_is(sandbox):
    identity = sandbox.get("/services/oauth2/userinfo").json
    assert sandbox.get(identity["id"].removeprefix(sandbox.url)).json == identity
    user = sandbox.retrieve("User", identity["user_id"])
    assert user["Username"] == sandbox.username
    refused = sandbox.get("/services/oauth2/userinfo", token="x")
    assert (refused.status, refused.body) == (403, b"Bad_OAuth_Token")


# ---- resources ----


def test_versions_are_listed_without_a_session_and_paths_forgive_slashes(sandbox):
    versions = sandbox.get("//services/data/", token="x").json
    assert "51.0" in [version["version"] for version in versions]
    assert sandbox.get("//services//data/v51.0/limits/").status == 200
    refusal(sandbox.get("/services/data/v99.0/limits"), 404, "NOT_FOUND")
    refusal(sandbox.get("nowhere"), 404, "NOT_FOUND")
    refusal(sandbox.delete("limits"), 405, "METHOD_NOT_ALLOWED")


def test_describe_has_every_attribute_of_every_field(sandbox):
    listed = {row["name"]: row for row in sandbox.get("sobjects").json["sobjects"]}
    assert {"Account", "Contact", "Invoice__c"} <= set(listed)
    account = sandbox.get("sobjects/Account/describe").json
    assert {key: account[key] for key in listed["Account"]} == listed["Account"]
    fields = {field["name"]: field for field in account["fields"]}
    for field in account["fields"]:
        assert set(field) == FIELD_ATTRIBUTES, field["name"]
    external = fields["External_Id__c"]
    assert external["externalId"] and external["unique"] and external["idLookup"]
    assert fields["Name"]["length"] == 255 and not fields["Name"]["nillable"]
    assert fields["OwnerId"]["referenceTo"] == ["User"]
    assert fields["BillingCity"]["compoundFieldName"] == "BillingAddress"
    children = {
        (child["childSObject"], child["relationshipName"]) for child in account["childRelationships"]
    }
    assert {("Contact", "Contacts"), ("Invoice__c", "Invoices__r")} <= children


def test_usage_is_counted_once_a_call_and_limited(sandbox):
    def usage():
        return int(sandbox.get("limits").headers["Sforce-Limit-Info"].split("=")[1].split("/")[0])

    first = usage()
    assert usage() == first + 1
    sandbox.post("/_sandbox/limits", {"used": 100, "max": 100})
    error = refusal(sandbox.get("limits"), 403, "REQUEST_LIMIT_EXCEEDED")
    assert error["message"] == "TotalRequests Limit exceeded."


def test_answers_and_requests_may_be_gzipped(sandbox):
    body = gzip.compress(json.dumps({"Name": "Zipped"}).encode())
    answer = sandbox.post("sobjects/Account", body, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    assert answer.status == 201
    packed = sandbox.get("sobjects", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body)) == sandbox.get("sobjects").json
    torn = sandbox.post("sobjects/Account", body[:-9], headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    assert torn.status == 400


def test_what_the_sf_command_asks_first_is_answered(sandbox):
    who = sandbox.get("/services/oauth2/userinfo").json
    user = sandbox.get(f"/services/data/v51.0/sobjects/User/{who['user_id']}").json
    assert user["Username"] == who["preferred_username"]
    refusal(sandbox.query_page("SELECT Id FROM ScratchOrgInfo limit 1"), 400, "INVALID_TYPE")
    (org,) = sandbox.query("SELECT Name, InstanceName, IsSandbox, TrialExpirationDate, "
                           "NamespacePrefix, OrganizationType FROM Organization")  # fmt: skip
    assert org["IsSandbox"] is False
    asked = sandbox.get("//services/data/v66.0/tooling/query?q=SELECT+Id+FROM+SandboxProcess")
    refusal(asked, 400, "INVALID_TYPE")
    soql = quote("SELECT Id, Owner.Name FROM Account")
    columns = sandbox.get(f"query?q={soql}&columns=true").json
    assert columns["entityName"] == "Account" and columns["idSelected"]
    assert columns["columnMetadata"][1]["joinColumns"][0]["columnName"] == "Name"


# ---- single records ----


def test_a_record_lives_and_dies(sandbox):
    answer = sandbox.post("sobjects/Account", {"Name": " Acme ", "AnnualRevenue": "5"})
    record_id = answer.json["id"]
    assert answer.status == 201
    assert answer.headers["Location"].endswith(f"/sobjects/Account/{record_id}")
    record = sandbox.retrieve("Account", record_id[:15])
    assert (record["Id"], record["Name"]) == (record_id, "Acme")
    assert (record["AnnualRevenue"], record["IsDeleted"]) == (5.0, False)
    assert record["attributes"]["url"].endswith(record_id)

    sandbox.advance(60)
    sandbox.update("Account", record_id, Name="Acme 2", Phone="")
    changed = sandbox.retrieve("Account", record_id)
    assert (changed["Name"], changed["Phone"]) == ("Acme 2", None)
    assert changed["SystemModstamp"] > record["SystemModstamp"]
    assert changed["CreatedDate"] == record["CreatedDate"]

    sandbox.remove("Account", record_id)
    refusal(sandbox.get(f"sobjects/Account/{record_id}"), 404, "NOT_FOUND")
    refusal(sandbox.delete(f"sobjects/Account/{record_id}"), 404, "ENTITY_IS_DELETED")
    refusal(sandbox.patch(f"sobjects/Account/{record_id}", {}), 404, "ENTITY_IS_DELETED")


@pytest.mark.parametrize(
    "name, fields, code, message",
    [
        ("Account", {}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]"),
        ("Account", {"Name": "x" * 256}, "STRING_TOO_LONG", "(max length=255)"),
        ("Account", {"Name": "x", "Nope": 1}, "INVALID_FIELD", "No such column 'Nope'"),
        ("Account", {"Name": "x", "CreatedDate": "2026-01-01T00:00:00Z"},
         "INVALID_FIELD_FOR_INSERT_UPDATE", "CreatedDate"),
        ("Account", {"Name": "x", "AnnualRevenue": "many"}, "JSON_PARSER_ERROR", "currency"),
        ("Account", {"Name": "x", "AnnualRevenue": 1e30}, "NUMBER_OUTSIDE_VALID_RANGE", ""),
        ("Account", {"Name": "x", "AnnualRevenue": -1}, "FIELD_CUSTOM_VALIDATION_EXCEPTION",
         "Annual revenue cannot be negative"),
        ("Account", {"Name": "x", "ParentId": "003dL0000000001QAA"}, "MALFORMED_ID",
         "id value of incorrect type: 003dL0000000001QAA"),
        ("Account", {"Name": "x", "ParentId": "001dL00000zzzzz"}, "INVALID_CROSS_REFERENCE_KEY", ""),
        ("Contact", {"LastName": "x", "Email": "nobody"}, "INVALID_EMAIL_ADDRESS", "nobody"),
        ("Contact", {"LastName": "x", "Birthdate": "2026-02-30"}, "JSON_PARSER_ERROR", "date"),
        ("Contact", {"LastName": "x", "Account": {"External_Id__c": "A-1"}}, "INVALID_FIELD",
         "Foreign key external ID: a-1 not found for field External_Id__c in entity Account"),
        ("Invoice__c", {"Status__c": "Lost"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Lost"),
        ("Organization", {}, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", ""),
    ],
)  # fmt: skip
def test_a_bad_record_is_refused_with_salesforces_code(sandbox, name, fields, code, message):
    assert message in refusal(sandbox.post(f"sobjects/{name}", fields), 400, code)["message"]


def test_external_ids_are_unique_and_find_records(sandbox):
    path = "sobjects/Account/External_Id__c/" + quote("A/1 é", safe="")
    created = sandbox.patch(path, {"Name": "First"})
    assert (created.status, created.json["created"]) == (201, True)
    updated = sandbox.patch(path, {"Name": "Second"})
    assert (updated.status, updated.json["created"]) == (200, False)
    assert updated.json["id"] == created.json["id"]
    assert sandbox.get(path).json["Name"] == "Second"

    error = refusal(
        sandbox.post("sobjects/Account", {"Name": "x", "External_Id__c": "a/1 É".lower()}),
        400,
        "DUPLICATE_VALUE",
    )
    assert error["message"].endswith("record with id: " + created.json["id"][:15])
    contact = sandbox.create("Contact", LastName="x", Account={"External_Id__c": "A/1 é"})
    assert sandbox.retrieve("Contact", contact)["AccountId"] == created.json["id"]
    assert sandbox.delete(path).status == 204
    assert sandbox.get(path).status == 404
    refusal(sandbox.patch("sobjects/Account/Phone/1", {"Name": "x"}), 404, "NOT_FOUND")


def test_an_ambiguous_external_id_answers_300(sandbox):
    sandbox.insert("Account", *[{"Name": "x", "External_Id__c": "twice"}] * 2)
    answer = sandbox.patch("sobjects/Account/External_Id__c/twice", {"Name": "y"})
    assert (answer.status, len(answer.json)) == (300, 2)
    assert names(sandbox.query("SELECT Name FROM Account")) == ["x", "x"]


def test_names_numbers_and_formulas_are_made(sandbox):
    contact = sandbox.create("Contact", FirstName="Ada", LastName="Byron")
    assert sandbox.retrieve("Contact", contact)["Name"] == "Ada Byron"
    invoice = sandbox.create("Invoice__c", Amount__c=100, Tax_Rate__c=20)
    record = sandbox.retrieve("Invoice__c", invoice)
    assert record["Name"].startswith("INV-0") and record["Total__c"] == 120.0
    assert (record["Status__c"], record["Is_Paid__c"]) == ("Draft", False)


def test_a_stale_if_unmodified_since_is_412(sandbox):
    account = sandbox.create("Account", Name="x")
    stamp = sandbox.get(f"sobjects/Account/{account}").headers["Last-Modified"]
    headers = {"If-Unmodified-Since": stamp}
    path = f"sobjects/Account/{account}"
    assert sandbox.patch(path, {"Name": "y"}, headers=headers).status == 204
    sandbox.advance(5)
    sandbox.update("Account", account, Name="z")
    assert sandbox.patch(path, {"Name": "y"}, headers=headers).status == 412


# ---- deleting ----


def test_deleting_an_account_takes_its_contacts_and_undelete_brings_them_back(sandbox):
    account = sandbox.create("Account", Name="x")
    contact = sandbox.create("Contact", LastName="c", AccountId=account)
    invoice = sandbox.create("Invoice__c", Account__c=account)
    sandbox.remove("Account", account)
    assert sandbox.query("SELECT Id FROM Contact") == []
    deleted = sandbox.query_all("SELECT Id FROM Contact WHERE IsDeleted = true")
    assert [row["Id"] for row in deleted] == [contact]
    assert sandbox.retrieve("Invoice__c", invoice)["Account__c"] is None
    refused = sandbox.post("sobjects/Contact", {"LastName": "d", "AccountId": account})
    assert refused.json[0]["errorCode"] == "ENTITY_IS_DELETED"

    sandbox.undelete(account)
    assert sandbox.retrieve("Contact", contact)["AccountId"] == account
    sandbox.purge(account)
    assert sandbox.query_all("SELECT Id FROM Account") == []


def test_updated_and_deleted_tell_what_changed_in_a_window(sandbox):
    kept = sandbox.create("Account", Name="kept")
    gone = sandbox.create("Account", Name="gone")
    sandbox.remove("Account", gone)
    sandbox.advance(120)
    now = sandbox.get("/_sandbox/clock").json["now"]
    sandbox.advance(-86400)
    start = sandbox.get("/_sandbox/clock").json["now"]
    sandbox.advance(86400)
    window = f"start={quote(start)}&end={quote(now)}"
    updated = sandbox.get(f"sobjects/Account/updated/?{window}").json
    assert updated["ids"] == [kept]
    assert updated["latestDateCovered"] == now[:17] + "00.000+0000"
    deleted = sandbox.get(f"sobjects/Account/deleted?{window}").json
    assert [row["id"] for row in deleted["deletedRecords"]] == [gone]
    assert deleted["earliestDateAvailable"] < start
    same = f"start={quote(now)}&end={quote(now)}"
    refusal(sandbox.get(f"sobjects/Account/updated?{same}"), 400, "INVALID_REPLICATION_DATE")


# ---- SOQL ----


@pytest.fixture
def people(sandbox):
    acme = sandbox.create("Account", Name="Acme", AnnualRevenue=10, BillingCity="Paris")
    sandbox.create("Account", Name="Beta", AnnualRevenue=20)
    sandbox.create("Account", Name="gamma", Industry="Energy")
    sandbox.create("Contact", LastName="One", AccountId=acme, HasOptedOutOfEmail=True)
    sandbox.create("Contact", LastName="O'Two", AccountId=acme)
    sandbox.create("Contact", LastName="100%", FirstName="Per_cent")
    sandbox.create("Invoice__c", Tags__c="Urgent;Export", Account__c=acme)
    sandbox.create("Invoice__c", Tags__c="Export")
    return sandbox


@pytest.mark.parametrize(
    "rest, expected",
    [
        ("FROM Account ORDER BY Name", ["Acme", "Beta", "gamma"]),
        ("FROM Account ORDER BY Name DESC LIMIT 1", ["gamma"]),
        ("FROM Account ORDER BY Name LIMIT 5 OFFSET 2", ["gamma"]),
        ("FROM Account ORDER BY AnnualRevenue", ["gamma", "Acme", "Beta"]),
        ("FROM Account ORDER BY AnnualRevenue DESC", ["gamma", "Beta", "Acme"]),
        ("FROM Account ORDER BY AnnualRevenue DESC NULLS LAST", ["Beta", "Acme", "gamma"]),
        ("FROM Account WHERE Name = 'ACME'", ["Acme"]),
        ("FROM Account WHERE Name != 'acme' ORDER BY Name", ["Beta", "gamma"]),
        ("FROM Account WHERE AnnualRevenue != 10 ORDER BY Name", ["Beta", "gamma"]),
        ("FROM Account WHERE NOT (AnnualRevenue > 10) ORDER BY Name", ["Acme", "gamma"]),
        ("FROM Account WHERE NOT AnnualRevenue = 10 AND Name LIKE '%a' ORDER BY Name",
         ["Beta", "gamma"]),
        ("FROM Account WHERE AnnualRevenue = null", ["gamma"]),
        ("FROM Account WHERE AnnualRevenue <> null AND Name = ''", []),
        ("FROM Account WHERE AnnualRevenue >= 10 AND AnnualRevenue < 20", ["Acme"]),
        ("FROM Account WHERE (Name = 'Beta' OR Name = 'gamma') AND Industry = 'Energy'", ["gamma"]),
        ("FROM Account WHERE Name IN ('acme', 'beta') ORDER BY Name", ["Acme", "Beta"]),
        ("FROM Account WHERE Name NOT IN ('acme', 'beta')", ["gamma"]),
        ("FROM Account WHERE Industry NOT IN ('Energy') ORDER BY Name", ["Acme", "Beta"]),
        ("FROM Account WHERE Industry IN (null, 'Energy') AND Name > 'b'  ORDER BY Name",
         ["Beta", "gamma"]),
        ("FROM Account WHERE Id IN (SELECT AccountId FROM Contact)", ["Acme"]),
        ("FROM Account WHERE Id NOT IN (SELECT AccountId FROM Contact WHERE LastName = 'One') "
         "ORDER BY Name", ["Beta", "gamma"]),
        ("FROM Account WHERE CreatedDate = TODAY AND CreatedDate = LAST_N_DAYS:1 AND Name < 'b'",
         ["Acme"]),
        ("FROM Account WHERE CreatedDate != TODAY", []),
        ("FROM Account WHERE CreatedDate > 2020-01-31T10:20:30+01:00 AND Name LIKE 'a_m%'",
         ["Acme"]),
        ("FROM Contact WHERE LastName = 'O\\'Two'", ["O'Two"]),
        ("FROM Contact WHERE LastName LIKE '%\\%'", ["Per_cent 100%"]),
        ("FROM Contact WHERE FirstName LIKE 'Per\\_%'", ["Per_cent 100%"]),
        ("FROM Contact WHERE FirstName LIKE 'P\\_r%'", []),
        ("FROM Contact WHERE HasOptedOutOfEmail = true", ["One"]),
        ("FROM Contact WHERE Account.BillingCity = 'Paris' AND Account.Owner.LastName = 'Admin' "
         "ORDER BY Name", ["O'Two", "One"]),
        ("FROM Contact WHERE Account.Name = null", ["Per_cent 100%"]),
        ("FROM Contact c WHERE c.LastName = 'One'", ["One"]),
        ("FROM Invoice__c WHERE Tags__c INCLUDES ('Urgent;Export', 'Internal')", ["INV-00001"]),
        ("FROM Invoice__c WHERE Tags__c EXCLUDES ('Urgent')", ["INV-00002"]),
        ("FROM Invoice__c WHERE Account__r.Name = 'Acme'", ["INV-00001"]),
    ],
)  # fmt: skip
def test_soql_selects(people, rest, expected):
    assert names(people.query(f"SELECT Name {rest}")) == expected


def test_parents_children_and_aggregates_have_salesforces_shape(people):
    (row,) = people.query("select name, account.name, ACCOUNT.owner.Name from contact "
                          "where lastname = 'One'")  # fmt: skip
    assert list(row) == ["attributes", "Name", "Account"]
    assert row["Account"]["Name"] == "Acme" and row["Account"]["Owner"]["Name"] == "Ada Admin"
    assert row["Account"]["attributes"]["type"] == "Account"
    (orphan,) = people.query("SELECT Account.Name FROM Contact WHERE LastName = '100%'")
    assert orphan["Account"] is None
    acme, beta = people.query("SELECT Name, (SELECT LastName FROM Contacts ORDER BY LastName), "
                              "BillingAddress FROM Account WHERE Name < 'c' ORDER BY Name")  # fmt: skip
    assert [child["LastName"] for child in acme["Contacts"]["records"]] == ["O'Two", "One"]
    assert acme["BillingAddress"]["city"] == "Paris"
    assert (beta["Contacts"], beta["BillingAddress"]) == (None, None)
    page = people.query_page("SELECT COUNT() FROM Contact").json
    assert (page["totalSize"], page["records"]) == (3, [])
    (total,) = people.query("SELECT COUNT(Id), MAX(AnnualRevenue) most FROM Account")
    assert (total["expr0"], total["most"]) == (3, 20.0)
    groups = people.query("SELECT AccountId, COUNT(Id) n FROM Contact GROUP BY AccountId "
                          "ORDER BY COUNT(Id)")  # fmt: skip
    assert [group["n"] for group in groups] == [1, 2]
    (whole,) = people.query("SELECT FIELDS(ALL) FROM Account WHERE Name = 'Beta' LIMIT 1")
    assert whole == people.retrieve("Account", whole["Id"])


@pytest.mark.parametrize(
    "soql, code, message",
    [
        ("", "MALFORMED_QUERY", "SOQL statements cannot be empty or null"),
        ("SELECT Id, Nope__c FROM Account", "INVALID_FIELD",
         "\nSELECT Id, Nope__c FROM Account\n           ^\nERROR at Row:1:Column:12\n"
         "No such column 'Nope__c' on entity 'Account'."),
        ("SELECT Id FROM ScratchOrgInfo", "INVALID_TYPE",
         "sObject type 'ScratchOrgInfo' is not supported."),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE Name = 'x' AND Name = 'y' OR Name = 'z'", "MALFORMED_QUERY",
         "unexpected token: 'OR'"),
        ("SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WHERE CreatedDate > '2026-01-01T00:00:00Z'", "INVALID_FIELD",
         "value of filter criterion for field 'CreatedDate' must be of type dateTime and should "
         "not be enclosed in quotes"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Account WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR",
         "invalid ID field: x"),
        ("SELECT Id FROM Account WHERE " + "(" * 200 + "Name = 'x'" + ")" * 200, "MALFORMED_QUERY",
         "unexpected token: '('"),
        ("SELECT Nope.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Nope'"),
        ("SELECT Id FROM Account LIMIT -1", "MALFORMED_QUERY", "unexpected token: '-1'"),
        ("SELECT Id FROM Account; DROP TABLE Account", "MALFORMED_QUERY", "unexpected token: ';'"),
    ],
)  # fmt: skip
def test_bad_soql_is_refused_with_the_place(sandbox, soql, code, message):
    assert message in refusal(sandbox.query_page(soql), 400, code)["message"]


def test_what_is_not_utf8_is_refused_in_words(sandbox):
    answer = sandbox.get("query?q=SELECT+Id,%FF+FROM+Account")
    assert "?" in refusal(answer, 400, "MALFORMED_QUERY")["message"]
    refusal(sandbox.get("sobjects/Account/External_Id__c/%FF"), 404, "NOT_FOUND")
    account = sandbox.create("Account", Name="x")
    fields = quote("Id FROM User LIMIT 1 --")
    refusal(sandbox.get(f"sobjects/Account/{account}?fields={fields}"), 400, "INVALID_FIELD")
    long_name = "é" * 300
    refused = refusal(sandbox.post("sobjects/Account", {"Name": long_name}), 400, "STRING_TOO_LONG")
    assert "max length=255" in refused["message"]


def test_a_long_where_is_no_trouble(sandbox):
    sandbox.create("Account", Name="n599")
    condition = " OR ".join(f"Name = 'n{i}'" for i in range(600))
    assert names(sandbox.query(f"SELECT Name FROM Account WHERE {condition}")) == ["n599"]


def test_pages_hold_still_and_can_be_fetched_again(sandbox):
    sandbox.load("Contact", 450)
    headers = {"Sforce-Query-Options": "batchSize=1"}
    soql = "SELECT Id FROM Contact ORDER BY Id"
    first = sandbox.query_page(soql, headers=headers).json
    assert (first["totalSize"], first["done"], len(first["records"])) == (450, False, 200)
    second = sandbox.get(first["nextRecordsUrl"], headers=headers).json
    for row in second["records"]:
        sandbox.remove("Contact", row["Id"])
    assert sandbox.get(first["nextRecordsUrl"], headers=headers).json == second
    third = sandbox.get(second["nextRecordsUrl"], headers=headers).json
    assert third["done"] and "nextRecordsUrl" not in third
    rows = first["records"] + second["records"] + third["records"]
    assert len({row["Id"] for row in rows}) == 450
    sandbox.post("/_sandbox/queries/expire")
    refusal(sandbox.get(first["nextRecordsUrl"]), 400, "INVALID_QUERY_LOCATOR")


# ---- collections and composite ----


def test_a_collection_answers_record_by_record(sandbox):
    body = {"records": accounts("a", "", "c")}
    results = sandbox.post("composite/sobjects", body).json
    assert [result["success"] for result in results] == [True, False, True]
    assert row_refusal(results[1], "REQUIRED_FIELD_MISSING")["fields"] == ["Name"]
    ids = [results[0]["id"], results[2]["id"]]

    update = [{"attributes": {"type": "Account"}, "id": ids[0], "Name": "a2"},
              {"attributes": {"type": "Account"}, "id": "001dL00000zzzzz", "Name": "z"},
              {"attributes": {"type": "Account"}, "Name": "z"},
              {"attributes": {"type": "Nope"}, "id": ids[1]}]  # fmt: skip
    results = sandbox.patch("composite/sobjects", {"records": update}).json
    assert results[0] == {"id": ids[0], "success": True, "errors": []}
    row_refusal(results[1], "INVALID_CROSS_REFERENCE_KEY")
    row_refusal(results[2], "MISSING_ARGUMENT")
    row_refusal(results[3], "INVALID_TYPE")

    unknown = "001dL00000zzzzzIAA"
    retrieved = sandbox.post("composite/sobjects/Account",
                             {"ids": [ids[1], unknown, ids[0]], "fields": ["Name"]}).json  # fmt: skip
    assert (retrieved[0]["Name"], retrieved[1], retrieved[2]["Name"]) == ("c", None, "a2")
    results = sandbox.delete(f"composite/sobjects?ids={ids[0]},{ids[0]},{ids[1]}").json
    assert [result["success"] for result in results] == [True, False, True]
    row_refusal(results[1], "ENTITY_IS_DELETED")


def test_all_or_none_keeps_nothing(sandbox):
    body = {"allOrNone": True, "records": accounts("a", "", "c")}
    results = sandbox.post("composite/sobjects", body).json
    row_refusal(results[0], "ALL_OR_NONE_OPERATION_ROLLED_BACK")
    row_refusal(results[1], "REQUIRED_FIELD_MISSING")
    assert sandbox.rows("Account") == []


def test_a_collection_upserts_by_external_id(sandbox):
    def upsert(*pairs):
        records = [
            {"attributes": {"type": "Account"}, "External_Id__c": key, "Name": name}
            for key, name in pairs
        ]
        path = "composite/sobjects/Account/External_Id__c"
        return sandbox.patch(path, {"records": records}).json

    assert [row["created"] for row in upsert(("a", "A"), ("b", "B"))] == [True, True]
    results = upsert(("a", "A2"), ("c", "C"), (None, "D"))
    assert [row.get("created") for row in results] == [False, True, None]
    assert names(sandbox.query("SELECT Name FROM Account ORDER BY Name")) == ["A2", "B", "C"]


def test_more_than_200_records_are_refused_whole(sandbox):
    answer = sandbox.post("composite/sobjects", {"records": accounts(*["x"] * 201)})
    error = refusal(answer, 400, "EXCEEDED_ID_LIMIT")
    assert "cannot submit more than 200 records" in error["message"]
    assert sandbox.rows("Account") == []


def test_composite_refers_to_earlier_answers_and_rolls_back(sandbox):
    root = f"/services/data/v{sandbox.version}/sobjects"

    def run(last_name):
        calls = [
            {"method": "POST", "url": f"{root}/Account", "referenceId": "a",
             "body": {"Name": "Acme"}},
            {"method": "POST", "url": f"{root}/Contact", "referenceId": "c",
             "body": {"LastName": last_name, "AccountId": "@{a.id}"}},
            {"method": "GET", "url": f"{root}/Contact/@{{c.id}}?fields=AccountId",
             "referenceId": "r"},
        ]  # fmt: skip
        body = {"allOrNone": True, "compositeRequest": calls}
        return sandbox.post("composite", body).json["compositeResponse"]

    answers = run("")
    assert [answer["httpStatusCode"] for answer in answers] == [400, 400, 404]
    assert answers[0]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert sandbox.rows("Account") == []
    answers = run("Doe")
    assert [answer["httpStatusCode"] for answer in answers] == [201, 201, 200]
    assert answers[2]["body"]["AccountId"] == answers[0]["body"]["id"]


def test_a_batch_runs_independent_calls(sandbox):
    calls = [{"method": "GET", "url": "v60.0/limits"}, {"method": "GET", "url": "v60.0/nowhere"}]
    answer = sandbox.post("composite/batch", {"batchRequests": calls}).json
    assert [result["statusCode"] for result in answer["results"]] == [200, 404]
    assert answer["hasErrors"]


# ---- the door ----


def test_a_fault_answers_so_many_times_and_then_no_more(sandbox):
    sandbox.fault({
        "match": {"method": "POST", "path": "/sobjects/Account"}, "times": 2, "skip": 1,
        "status": 503, "body": "<html>down</html>", "headers": {"Retry-After": "7"},
    })  # fmt: skip
    answers = [sandbox.post("sobjects/Account", {"Name": f"{i}"}) for i in range(4)]
    assert [answer.status for answer in answers] == [201, 503, 503, 201]
    assert answers[1].headers["Content-Type"].startswith("text/html")
    assert answers[1].headers["Retry-After"] == "7"
    assert names(sandbox.rows("Account")) == ["0", "3"]


def test_a_dropped_connection_may_come_before_or_after_the_work(sandbox):
    for drop in ("before", "after"):
        sandbox.fault({"match": {"method": "POST"}, "drop": drop})
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            sandbox.post("sobjects/Account", {"Name": drop})
    assert names(sandbox.rows("Account")) == ["after"]
    journal = [(entry["path"], entry["dropped"]) for entry in sandbox.journal()]
    assert journal == [(f"/services/data/v{sandbox.version}/sobjects/Account", True)] * 2


def test_a_delayed_answer_does_not_hold_up_the_others(sandbox):
    sandbox.fault({"match": {"path": "/limits"}, "delay_ms": 600000})
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        slow.sendall(
            f"GET /services/data/v60.0/limits HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {sandbox.token}\r\n\r\n".encode()
        )
        eventually(sandbox.journal)
        assert sandbox.get("sobjects").status == 200
        slow.setblocking(False)
        with pytest.raises(BlockingIOError):
            slow.recv(1)
    assert sandbox.stop() == 0


def test_a_mistaken_fault_is_refused(sandbox):
    assert sandbox.post("/_sandbox/faults", {"staus": 503}).status == 400
    assert sandbox.post("/_sandbox/faults", {"drop": "sometimes"}).status == 400


def test_the_journal_tells_what_was_received(sandbox):
    sandbox.post("composite/sobjects", {"records": accounts("a", "b")})
    sandbox.query("SELECT Id FROM Account")
    first, second = sandbox.journal(clear=True)
    assert (first["method"], first["status"], first["records"]) == ("POST", 200, 2)
    assert second["query"] == {"q": "SELECT Id FROM Account"}
    assert sandbox.journal() == []


def test_objects_can_be_added_and_widened_at_run_time(sandbox):
    sandbox.define({"name": "Thing__c", "fields": [
        {"name": "Size__c", "type": "double", "precision": 5, "scale": 2},
        {"name": "Account__c", "type": "reference", "referenceTo": ["Account"],
         "relationshipName": "Account__r", "childRelationshipName": "Things__r"},
    ]})  # fmt: skip
    account = sandbox.create("Account", Name="x")
    thing = sandbox.create("Thing__c", Size__c=1.239, Account__c=account)
    assert sandbox.retrieve("Thing__c", thing)["Size__c"] == 1.24
    assert sandbox.retrieve("Thing__c", thing)["Name"] == thing
    sandbox.define({"name": "Thing__c", "fields": [{"name": "Extra__c"}],
                    "validationRules": [{"errorConditionFormula": "Size__c > 100",
                                         "errorMessage": "Too big"}]})  # fmt: skip
    sandbox.update("Thing__c", thing, Extra__c="more")
    refusal(
        sandbox.patch(f"sobjects/Thing__c/{thing}", {"Size__c": 101}),
        400,
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    )
    (row,) = sandbox.query("SELECT (SELECT Extra__c FROM Things__r) FROM Account")
    assert row["Things__r"]["records"][0]["Extra__c"] == "more"
    for bad in ({"name": "a b"}, {"name": "X__c", "fields": [{"name": "F", "type": "blob"}]}):
        assert sandbox.post("/_sandbox/objects", bad).status == 400


def test_the_data_file_keeps_rows_objects_and_numbers(tmp_path):
    sandbox = Sandbox(tmp_path, "--data", tmp_path / "org.db")
    with sandbox:
        sandbox.define({"name": "Thing__c", "fields": [{"name": "Extra__c"}]})
        first = sandbox.create("Thing__c", Extra__c="kept")
    more = tmp_path / "more.json"
    more.write_text(json.dumps([{"name": "Earlier__c"}]))
    sandbox.options += ("--objects", more)
    with sandbox:
        assert sandbox.retrieve("Thing__c", first)["Extra__c"] == "kept"
        assert sandbox.create("Thing__c") != first
        sandbox.reset()
        assert sandbox.rows("Thing__c") == []
        assert len(sandbox.rows("User")) == 2


def test_it_refuses_what_it_must_not_do(tmp_path):
    def run(*options):
        command = [BUILD / "bin" / "pgforce-sandbox", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)

    assert run("--help").returncode == 0
    assert run("--nope").returncode == 64
    assert run("--listen", "0.0.0.0:0").returncode == 1
    assert "loopback" in run("--listen", "0.0.0.0:0").stderr
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    assert run("--listen", "127.0.0.1:0", "--objects", bad).returncode == 1


def test_a_connection_serves_many_requests_and_chunked_bodies(sandbox):
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=90)
    headers = {"Authorization": f"OAuth {TOKEN}"}
    path = f"/services/data/v{sandbox.version}/sobjects/Account"
    connection.request("POST", path, iter([b'{"Na', b'me":"x"}']), headers, encode_chunked=True)
    answer = connection.getresponse()
    record_id = json.loads(answer.read())["id"]
    peer = connection.sock.getsockname()
    connection.request("DELETE", f"{path}/{record_id}", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (204, b"")
    connection.request("GET", path, headers=headers)
    assert connection.getresponse().status == 200
    assert connection.sock.getsockname() == peer
    connection.close()
