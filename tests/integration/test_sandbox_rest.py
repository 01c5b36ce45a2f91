"""What REST has beyond rows and queries: conditions, relationships, trees, graphs, search, XML."""

from urllib.parse import quote

import pytest


def refusal(answer, status, code):
    assert (answer.status, answer.json[0]["errorCode"]) == (status, code), answer.body
    return answer.json[0]["message"]


@pytest.fixture
def account(sandbox):
    return sandbox.create("Account", Name="Acme", Phone="555")


# ---- conditions ----


def test_an_etag_tells_whether_a_row_has_changed(sandbox, account):
    url = f"sobjects/Account/{account}"
    first = sandbox.get(url)
    tag = first.headers["ETag"]
    assert tag.startswith('"') and tag.endswith('"')
    assert first.headers["Last-Modified"].endswith("GMT")
    same = sandbox.get(url, headers={"If-None-Match": tag})
    assert (same.status, same.body) == (304, b"")
    assert sandbox.patch(url, {"Phone": "1"}, headers={"If-Match": tag}).status == 204
    stale = sandbox.patch(url, {"Phone": "2"}, headers={"If-Match": tag})
    assert (stale.status, stale.body) == (412, b"")
    assert sandbox.get(url, headers={"If-Match": tag}).status == 412
    assert sandbox.get(url, headers={"If-None-Match": tag}).status == 200
    assert sandbox.retrieve("Account", account)["Phone"] == "1"
    assert sandbox.patch(url, {}, headers={"If-Match": "garbled"}).status == 400
    packed = sandbox.get(url, headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    assert packed.endswith('-gzip"')
    assert sandbox.get(url, headers={"If-None-Match": packed}).status == 304


def test_only_accounts_have_etags(sandbox):
    contact = sandbox.create("Contact", LastName="L")
    assert sandbox.get(f"sobjects/Contact/{contact}").headers["ETag"] is None


def test_moments_have_whole_seconds_in_conditions(sandbox, account):
    url = f"sobjects/Account/{account}"
    modified = sandbox.get(url).headers["Last-Modified"]
    assert sandbox.get(url, headers={"If-Modified-Since": modified}).status == 304
    assert sandbox.patch(url, {"Phone": "1"}, headers={"If-Unmodified-Since": modified}).status == 204
    sandbox.advance(10)
    sandbox.update("Account", account, Phone="2")
    assert sandbox.get(url, headers={"If-Modified-Since": modified}).status == 200
    assert sandbox.get(url, headers={"If-Unmodified-Since": modified}).status == 412
    assert sandbox.patch(url, {"Phone": "3"}, headers={"If-Unmodified-Since": modified}).status == 412


def test_descriptions_are_sent_again_only_when_they_changed(sandbox):
    for url in ("sobjects", "sobjects/Account/describe"):
        first = sandbox.get(url)
        since = {"If-Modified-Since": first.headers["Last-Modified"]}
        assert sandbox.get(url, headers=since).status == 304
    sandbox.advance(60)
    sandbox.define({"name": "Account", "fields": [{"name": "New__c", "type": "string"}]})
    assert sandbox.get("sobjects/Account/describe", headers=since).status == 200


def test_a_post_may_stand_for_a_patch(sandbox, account):
    assert sandbox.post(f"sobjects/Account/{account}?_HttpMethod=PATCH", {"Phone": "9"}).status == 204
    assert sandbox.retrieve("Account", account)["Phone"] == "9"


# ---- relationships ----


def test_friendly_urls_lead_to_parents_and_children(sandbox, account):
    contact = sandbox.create("Contact", LastName="L", AccountId=account)
    parent = sandbox.get(f"sobjects/Contact/{contact}/Account").json
    assert (parent["Id"], parent["attributes"]["type"]) == (account, "Account")
    assert sandbox.get(f"sobjects/Contact/{contact}/Account?fields=Phone").json["Phone"] == "555"
    children = sandbox.get(f"sobjects/Account/{account}/Contacts").json
    assert (children["totalSize"], children["records"][0]["Id"]) == (1, contact)
    assert "LastName" in children["records"][0]
    assert sandbox.patch(f"sobjects/Contact/{contact}/Account", {"Phone": "1"}).status == 204
    assert sandbox.retrieve("Account", account)["Phone"] == "1"
    assert sandbox.get(f"sobjects/Contact/{contact}/ReportsTo").status == 404
    assert sandbox.get(f"sobjects/Contact/{contact}/Nothing").status == 404


# ---- trees and graphs ----


def test_a_tree_is_created_whole(sandbox):
    record = {
        "attributes": {"type": "Account", "referenceId": "a1"},
        "Name": "Top",
        "Contacts": {
            "records": [
                {"attributes": {"type": "Contact", "referenceId": "c1"}, "LastName": "One"},
                {"attributes": {"type": "Contact", "referenceId": "c2"}, "LastName": "Two"},
            ]
        },
    }
    answer = sandbox.post("composite/tree/Account", {"records": [record]})
    assert (answer.status, answer.json["hasErrors"]) == (201, False)
    ids = {result["referenceId"]: result["id"] for result in answer.json["results"]}
    assert list(ids) == ["a1", "c1", "c2"]
    rows = sandbox.query("SELECT AccountId FROM Contact")
    assert {row["AccountId"] for row in rows} == {ids["a1"]}


def test_a_tree_with_a_mistake_leaves_nothing(sandbox):
    records = [
        {
            "attributes": {"type": "Account", "referenceId": "a"},
            "Name": "Top",
            "Contacts": {"records": [{"attributes": {"type": "Contact", "referenceId": "c"}}]},
        }
    ]
    answer = sandbox.post("composite/tree/Account", {"records": records})
    assert (answer.status, answer.json["hasErrors"]) == (400, True)
    [result] = answer.json["results"]
    assert result["referenceId"] == "c"
    assert result["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert sandbox.query("SELECT Id FROM Account") == []


def test_each_graph_stands_or_falls_alone(sandbox):
    def graph(name, *nodes):
        return {"graphId": name, "compositeRequest": list(nodes)}

    def node(name, body, url="Account"):
        return {
            "method": "POST",
            "url": f"/services/data/v60.0/sobjects/{url}",
            "referenceId": name,
            "body": body,
        }

    answer = sandbox.post(
        "composite/graph",
        {
            "graphs": [
                graph(
                    "good",
                    node("a", {"Name": "Kept"}),
                    node("c", {"LastName": "L", "AccountId": "@{a.id}"}, "Contact"),
                ),
                graph("bad", node("b", {"Name": "Gone"}), node("d", {}, "Contact")),
            ]
        },
    ).json
    assert [(each["graphId"], each["isSuccessful"]) for each in answer["graphs"]] == [
        ("good", True),
        ("bad", False),
    ]
    statuses = [
        each["httpStatusCode"]
        for each in answer["graphs"][1]["graphResponse"]["compositeResponse"]
    ]
    assert statuses == [400, 400]
    assert [row["Name"] for row in sandbox.query("SELECT Name FROM Account")] == ["Kept"]


# ---- recent, limits ----


def test_recent_items_are_the_latest_first(sandbox):
    ids = [sandbox.create("Account", Name=name) for name in "ABC"]
    sandbox.retrieve("Account", ids[0])
    assert [row["Id"] for row in sandbox.get("recent?limit=2").json] == [ids[0], ids[2]]
    sandbox.remove("Account", ids[2])
    items = sandbox.get("sobjects/Account").json["recentItems"]
    assert [row["Name"] for row in items] == ["A", "B"]


def test_limits_are_complete_and_count(sandbox):
    before = sandbox.get("limits").json
    assert {"DataStorageMB", "DailyBulkApiBatches", "HourlyPublishedPlatformEvents"} <= set(before)
    assert all({"Max", "Remaining"} <= set(limit) for limit in before.values())
    sandbox.post("jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"})
    after = sandbox.get("limits").json
    assert (
        after["DailyBulkV2QueryJobs"]["Remaining"]
        == before["DailyBulkV2QueryJobs"]["Remaining"] - 1
    )


# ---- search ----


@pytest.fixture
def people(sandbox):
    sandbox.create("Account", Name="Acme Rockets", Phone="555-1234", Industry="Energy")
    sandbox.create("Account", Name="Rocket & Sons", Website="https://acme.example")
    sandbox.create("Contact", LastName="Acmeson", Email="joe@rockets.example")
    return sandbox


@pytest.mark.parametrize(
    "statement, found",
    [
        ("FIND {acme} RETURNING Account(Name)", ["Acme Rockets", "Rocket & Sons"]),
        ("FIND {acme} IN NAME FIELDS RETURNING Account(Name)", ["Acme Rockets"]),
        ("FIND {acme} RETURNING Account(Name), Contact(Name)", ["Acme Rockets", "Rocket & Sons", "Acmeson"]),
        ("FIND {555*34} IN PHONE FIELDS RETURNING Account(Name)", ["Acme Rockets"]),
        ("FIND {rockets} IN EMAIL FIELDS RETURNING Contact(Name), Account(Name)", ["Acmeson"]),
        ("FIND {acme AND rockets} RETURNING Account(Name)", ["Acme Rockets"]),
        ("FIND {rocket AND NOT acme} IN NAME FIELDS RETURNING Account(Name)", ["Rocket & Sons"]),
        ('FIND {"rocket & sons" OR nothing} RETURNING Account(Name)', ["Rocket & Sons"]),
        ("FIND {rocket} RETURNING Account(Name WHERE Industry = 'Energy')", ["Acme Rockets"]),
        ("FIND {rocket} RETURNING Account(Name ORDER BY Name DESC LIMIT 1)", ["Rocket & Sons"]),
        ("FIND {rocket} RETURNING Account(Name ORDER BY Name) LIMIT 1", ["Acme Rockets"]),
        ("FIND {o'x} RETURNING Account(Name)", []),
    ],
)
def test_sosl_finds(people, statement, found):
    answer = people.get("search?q=" + quote(statement))
    assert answer.status == 200, answer.body
    assert [row["Name"] for row in answer.json["searchRecords"]] == found


@pytest.mark.parametrize(
    "statement, code",
    [
        ("FIND acme", "MALFORMED_SEARCH"),
        ("FIND {acme", "MALFORMED_SEARCH"),
        ("LOOK {acme}", "MALFORMED_SEARCH"),
        ("FIND {acme} RETURNING Account(Name", "MALFORMED_SEARCH"),
        ("FIND {acme} RETURNING Account(Nope__c)", "INVALID_FIELD"),
        ("FIND {acme} RETURNING Nope__c", "INVALID_TYPE"),
        ("FIND {acme} RETURNING Account nonsense", "MALFORMED_SEARCH"),
    ],
)
def test_bad_sosl_is_refused(people, statement, code):
    refusal(people.get("search?q=" + quote(statement)), 400, code)


def test_a_search_needs_no_sosl(people):
    found = people.get("parameterizedSearch?q=acme&sobject=Account&fields=Name&in=NAME").json
    assert [row["Name"] for row in found["searchRecords"]] == ["Acme Rockets"]
    found = people.post(
        "parameterizedSearch",
        {"q": "acme", "sobjects": [{"name": "Contact", "fields": ["Name"]}]},
    ).json
    assert [row["Name"] for row in found["searchRecords"]] == ["Acmeson"]


# ---- XML ----


def test_records_are_counted_by_object(sandbox):
    sandbox.load("Lead", 3)
    sandbox.remove("Account", sandbox.create("Account", Name="Gone"))
    counts = sandbox.get("limits/recordCount?sObjects=Lead,account").json["sObjects"]
    assert {each["name"]: each["count"] for each in counts} == {"Lead": 3, "Account": 0}
    everything = sandbox.get("limits/recordCount").json["sObjects"]
    assert {"name": "Organization", "count": 1} in everything


def test_a_path_may_end_in_the_form_that_is_wanted(sandbox):
    account = sandbox.create("Account", Name="A", External_Id__c="a.xml")
    for path in ("/services/data", "sobjects/Account/describe", f"sobjects/Account/{account}"):
        assert sandbox.get(f"{path}.json").json == sandbox.get(path).json
    row = sandbox.get(f"sobjects/Account/{account}.xml")
    assert row.headers["Content-Type"] == "application/xml;charset=UTF-8"
    assert b"<Name>A</Name>" in row.body
    # What an external id ends in is its own.
    assert sandbox.get("sobjects/Account/External_Id__c/a.xml").json["Id"] == account
    assert sandbox.get("sobjects/Account/describe.txt").status == 404


def test_rows_come_and_go_in_xml_where_asked(sandbox):
    headers = {"Accept": "application/xml", "Content-Type": "application/xml"}
    made = sandbox.post(
        "sobjects/Account",
        b"<?xml version='1.0'?><Account><Name>A &amp; B</Name><Phone></Phone></Account>",
        headers=headers,
    )
    assert (made.status, made.headers["Content-Type"]) == (201, "application/xml;charset=UTF-8")
    assert b"<success>true</success>" in made.body
    account = sandbox.query("SELECT Id FROM Account")[0]["Id"]
    row = sandbox.get(f"sobjects/Account/{account}?fields=Name,Phone", headers=headers).body.decode()
    assert f'<Account type="Account" url="/services/data/v60.0/sobjects/Account/{account}">' in row
    assert "<Name>A &amp; B</Name>" in row and '<Phone xsi:nil="true"/>' in row
    error = sandbox.post("sobjects/Account", b"<Account></Account>", headers=headers)
    assert error.status == 400
    assert b"<Errors><Error><message>Required fields are missing: [Name]</message>" in error.body
    assert sandbox.get("limits").headers["Content-Type"].startswith("application/json")


def test_a_form_is_no_body_of_a_data_resource(sandbox):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = sandbox.request("POST", "sobjects/Account", b"Name=A", headers=headers)
    assert (answer.status, answer.json[0]["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert sandbox.query("SELECT Id FROM Account") == []


def test_uri_and_headers_together_have_a_limit(sandbox):
    path = "query?q=SELECT+Id+FROM+Account&x=" + "a" * 9000
    assert sandbox.get(path).status == 200
    assert sandbox.get(path, headers={"X-Long": "b" * 9000}).status == 431
    assert sandbox.get(path + "a" * 9000).status == 414


def test_records_are_indented_on_request(sandbox):
    account = sandbox.create("Account", Name="A")
    plain = sandbox.get(f"sobjects/Account/{account}")
    pretty = sandbox.get(f"sobjects/Account/{account}", headers={"X-PrettyPrint": "1"})
    assert b"\n" not in plain.body and pretty.body.startswith(b'{\n  "attributes"')
    assert pretty.json == plain.json


def test_what_there_is_none_of_is_an_empty_list(sandbox):
    assert sandbox.get("tabs").json == []
    assert sandbox.get("sobjects/Account/quickActions").json == []
    assert sandbox.get("sobjects/Account/describe/layouts").json["layouts"] == []
    assert sandbox.get("sobjects/Account/listviews").json["size"] == 0
    assert sandbox.get("sobjects/Nope/describe/layouts").status == 404
    assert sandbox.get("composite").json["tree"] == "/services/data/v60.0/composite/tree"


def test_a_misspelt_from_is_named_where_it_stands(sandbox):
    answer = sandbox.query_page("SELECT Id FORM Account")
    message = answer.json[0]["message"]
    assert answer.status == 400
    assert message.endswith("ERROR at Row:1:Column:11\nunexpected token: 'FORM'")
