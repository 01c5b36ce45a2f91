"""Formula fields, validation rules and roll-up summaries of the sandbox's organisation."""

import json
from datetime import datetime, timedelta

import pytest

from eventually import eventually
from sandbox import Sandbox
from test_sandbox_events import listen

ORDER = {
    "name": "Order__c",
    "fields": [
        {"name": "Account__c", "type": "reference", "referenceTo": ["Account"],
         "relationshipName": "Account__r", "childRelationshipName": "Orders__r"},
        {"name": "Net__c", "type": "currency", "precision": 16, "scale": 2},
        {"name": "Tax__c", "type": "percent", "precision": 5, "scale": 2},
        {"name": "Due__c", "type": "date"},
        {"name": "Stage__c", "type": "picklist", "picklistValues": ["New", "Paid"]},
        {"name": "Gross__c", "type": "currency", "precision": 18, "scale": 2,
         "calculatedFormula": "Net__c * (1 + Tax__c)"},
        {"name": "Label__c", "type": "string",
         "calculatedFormula": "Account__r.Name & ' of ' & Account__r.Owner.LastName"},
        {"name": "Late__c", "type": "boolean",
         "calculatedFormula": "AND(NOT(ISPICKVAL(Stage__c, 'Paid')), Due__c < TODAY())"},
        {"name": "Reminder__c", "type": "date", "calculatedFormula": "Due__c + 7"},
        {"name": "Size__c", "type": "string",
         "calculatedFormula": "IF(Gross__c >= 100, 'large', 'small')"},
    ],
}  # fmt: skip


@pytest.fixture
def orders(sandbox):
    sandbox.define(ORDER)
    return sandbox


def refusal(answer, status, code):
    assert (answer.status, answer.json[0]["errorCode"]) == (status, code), answer.body
    return answer.json[0]


def definition_error(sandbox, definition):
    answer = sandbox.post("/_sandbox/objects", definition)
    assert answer.status == 400, answer.body
    return answer.json["error"]


def with_formula(formula, kind="string"):
    return {"name": "Bad__c", "fields": [
        {"name": "F__c", "type": kind, "calculatedFormula": formula}]}  # fmt: skip


def test_a_formula_is_right_wherever_a_row_is_read(orders):
    account = orders.create("Account", Name="Acme")
    order = orders.create("Order__c", Account__c=account, Net__c=100, Tax__c=19, Due__c="2020-01-31")
    row = orders.retrieve("Order__c", order)
    assert (row["Gross__c"], row["Label__c"], row["Late__c"]) == (119.0, "Acme of Admin", True)
    assert (row["Reminder__c"], row["Size__c"]) == ("2020-02-07", "large")
    (selected,) = orders.query("SELECT Gross__c, Label__c FROM Order__c WHERE Label__c = 'ACME of Admin'")
    assert (selected["Gross__c"], selected["Label__c"]) == (119.0, "Acme of Admin")
    (retrieved,) = orders.post(
        "composite/sobjects/Order__c", {"ids": [order], "fields": ["Size__c", "Late__c"]}
    ).json
    assert (retrieved["Size__c"], retrieved["Late__c"]) == ("large", True)


def test_formulas_filter_sort_and_group(orders):
    for net in (10, 30, 20, 300):
        orders.create("Order__c", Net__c=net)
    rows = orders.query("SELECT Net__c FROM Order__c WHERE Size__c = 'small' ORDER BY Gross__c DESC")
    assert [row["Net__c"] for row in rows] == [30, 20, 10]
    rows = orders.query("SELECT Size__c, SUM(Gross__c) s FROM Order__c GROUP BY Size__c ORDER BY Size__c")
    assert [(row["Size__c"], row["s"]) for row in rows] == [("large", 300), ("small", 60)]


def test_a_parents_change_shows_without_a_stamp(orders):
    account = orders.create("Account", Name="Before")
    order = orders.create("Order__c", Account__c=account)
    before = orders.retrieve("Order__c", order)
    orders.advance(60)
    orders.update("Account", account, Name="After")
    after = orders.retrieve("Order__c", order)
    assert after["Label__c"] == "After of Admin"
    assert after["SystemModstamp"] == before["SystemModstamp"]
    (child,) = orders.query("SELECT (SELECT Label__c FROM Orders__r) FROM Account")
    assert child["Orders__r"]["records"][0]["Label__c"] == "After of Admin"


def test_formulas_follow_the_organisations_clock(orders):
    order = orders.create("Order__c", Due__c="2090-01-01")
    assert orders.retrieve("Order__c", order)["Late__c"] is False
    orders.advance(80 * 365 * 86400)
    assert orders.retrieve("Order__c", order)["Late__c"] is True


def test_blank_numbers_are_zero_unless_the_formula_says_otherwise(sandbox):
    fields = [{"name": "N__c", "type": "double"},
              {"name": "Zero__c", "type": "double", "calculatedFormula": "N__c + 1"},
              {"name": "Kept__c", "type": "double", "calculatedFormula": "N__c + 1",
               "formulaTreatBlanksAs": "BlankAsBlank"},
              {"name": "Broken__c", "type": "double", "calculatedFormula": "1 / N__c"},
              {"name": "Text__c", "type": "string", "calculatedFormula": "'<' & Name__c & '>'"},
              {"name": "Name__c", "type": "string"}]  # fmt: skip
    sandbox.define({"name": "Blank__c", "fields": fields})
    row = sandbox.retrieve("Blank__c", sandbox.create("Blank__c"))
    assert [row[name] for name in ("Zero__c", "Kept__c", "Broken__c", "Text__c")] == [1, None, None, "<>"]


def test_describe_tells_and_writes_are_refused(orders):
    fields = {field["name"]: field for field in orders.get("sobjects/Order__c/describe").json["fields"]}
    gross = fields["Gross__c"]
    assert gross["calculated"] and gross["calculatedFormula"] == "Net__c * (1 + Tax__c)"
    assert gross["formulaTreatNullNumberAsZero"] is True
    assert not gross["createable"] and not gross["updateable"]
    assert fields["Label__c"]["length"] == 1300
    answer = orders.post("sobjects/Order__c", {"Gross__c": 1})
    assert refusal(answer, 400, "INVALID_FIELD_FOR_INSERT_UPDATE")["fields"] == ["Gross__c"]


@pytest.mark.parametrize(
    "formula, kind, words",
    [
        ("VLOOKUP(Name)", "string", "line 1, character 1: the function VLOOKUP is not known"),
        ("1 +\n  Nothing__c", "double", "line 2, character 3: Nothing__c: Bad__c has no Nothing__c"),
        ("Name + 1", "string", "+ does not take (text, number); it takes (number, number)"),
        ("Owner.ProfileId.X", "string", "User has no ProfileId"),
        ("IF(true, 1, 'a')", "double", "IF does not take (checkbox, number, text)"),
        ("1", "string", "it gives a number where a text is wanted"),
        ("F__c & 'x'", "string", "names itself"),
        ("ISCHANGED(Name)", "boolean", "for validation rules only"),
        ("$Profile.Name", "string", "there is $User"),
        ("(1", "double", "it ends where an operator or ) is expected"),
    ],
)
def test_a_wrong_formula_is_refused_and_nothing_of_it_stays(sandbox, formula, kind, words):
    assert words in definition_error(sandbox, with_formula(formula, kind))
    assert sandbox.get("sobjects/Bad__c/describe").status == 404
    sandbox.define(with_formula("'mended'"))
    assert sandbox.retrieve("Bad__c", sandbox.create("Bad__c"))["F__c"] == "mended"


def test_rules_see_the_record_as_it_would_be_and_as_it_was(sandbox):
    rules = [
        {"errorConditionFormula": "AND(ISCHANGED(Site), NOT(ISNEW()), PRIORVALUE(Site) = 'locked')",
         "errorMessage": "Locked", "errorDisplayField": "Site"},
        {"errorConditionFormula": "AND(ISNEW(), ISPICKVAL(Rating, 'Cold'))", "errorMessage": "No cold ones"},
        {"errorConditionFormula": "Parent.Name = 'closed'", "errorMessage": "Closed"},
        {"errorConditionFormula": "true", "errorMessage": "Never", "active": False},
        {"errorConditionFormula": "LEN(Site) > 10 || NumberOfEmployees < 1", "errorMessage": "Too much"},
    ]  # fmt: skip
    sandbox.define({"name": "Account", "validationRules": rules})
    account = sandbox.create("Account", Name="A", Site="locked", Rating="Hot")
    sandbox.update("Account", account, Site="locked", Rating="Cold")
    code = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    path = f"sobjects/Account/{account}"
    error = refusal(sandbox.patch(path, {"Site": "open"}), 400, code)
    assert (error["message"], error["fields"]) == ("Locked", ["Site"])
    answer = sandbox.post("sobjects/Account", {"Name": "B", "Rating": "Cold"})
    assert refusal(answer, 400, code)["message"] == "No cold ones"
    parent = sandbox.create("Account", Name="closed")
    answer = sandbox.patch(path, {"ParentId": parent, "NumberOfEmployees": 0})
    assert [error["message"] for error in answer.json] == ["Closed", "Too much"]


def due_day(sandbox):
    today = datetime.fromisoformat(sandbox.get("/_sandbox/clock").json["now"][:10])
    return f"{today + timedelta(30):%Y-%m-%d}"


def test_a_default_formula_fills_what_an_insert_leaves_out(sandbox):
    fields = [{"name": "Due__c", "type": "date", "defaultValueFormula": "TODAY() + 30"},
              {"name": "By__c", "type": "string", "defaultValueFormula": "UPPER($User.LastName)"},
              {"name": "Rate__c", "type": "percent", "scale": 1, "defaultValueFormula": "0.125"}]  # fmt: skip
    sandbox.define({"name": "Task__c", "fields": fields})
    days = [due_day(sandbox)]
    row = sandbox.retrieve("Task__c", sandbox.create("Task__c"))
    days.append(due_day(sandbox))
    assert row["Due__c"] in days and (row["By__c"], row["Rate__c"]) == ("ADMIN", 12.5)
    row = sandbox.retrieve("Task__c", sandbox.create("Task__c", By__c="me", Due__c=None))
    assert (row["Due__c"], row["By__c"]) == (None, "me")
    described = {field["name"]: field for field in sandbox.get("sobjects/Task__c/describe").json["fields"]}
    assert described["Due__c"]["defaultValueFormula"] == "TODAY() + 30"
    assert described["Due__c"]["defaultedOnCreate"] and described["Due__c"]["createable"]
    bad = {"name": "Task__c", "fields": [{"name": "Bad__c", "defaultValueFormula": "Name"}]}
    assert "a default reads no field of the record" in definition_error(sandbox, bad)


def test_formulas_from_files_may_name_what_comes_later(tmp_path):
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    files[0].write_text(json.dumps(ORDER | {"fields": ORDER["fields"] + [
        {"name": "Code__c", "type": "string", "calculatedFormula": "Account__r.Code__c"}]}))
    files[1].write_text(json.dumps({"name": "Account", "fields": [{"name": "Code__c"}]}))
    with Sandbox(tmp_path, "--objects", files[0], "--objects", files[1]) as sandbox:
        account = sandbox.create("Account", Name="A", Code__c="A-1")
        order = sandbox.create("Order__c", Account__c=account)
        assert sandbox.retrieve("Order__c", order)["Code__c"] == "A-1"


def test_formulas_name_formulas_through_parents_as_deep_as_allowed(sandbox):
    depth = 6
    fields = [{"name": "Text__c"}, {"name": "F1__c", "calculatedFormula": "'1' & Up__r.Text__c & Owner.LastName"},
              {"name": "Up__c", "type": "reference", "referenceTo": ["Deep__c"], "relationshipName": "Up__r"}]  # fmt: skip
    for level in range(2, depth + 2):
        formula = f"Up__r.F{level - 1}__c & Up__r.Up__r.Text__c & '{level}'"
        fields.append({"name": f"F{level}__c", "calculatedFormula": formula})
    assert "more than 6 deep" in definition_error(sandbox, {"name": "Deep__c", "fields": fields})
    sandbox.define({"name": "Deep__c", "fields": fields[:-1]})
    parent = None
    for level in range(depth):
        parent = sandbox.create("Deep__c", Up__c=parent, Text__c=f"t{level}")
    query = "SELECT Up__r.F5__c FROM Deep__c WHERE ((((F6__c LIKE '%t36')))) ORDER BY F6__c"
    (row,) = sandbox.query(query)
    assert row["Up__r"]["F5__c"] == "1Admin2t03t14t25"
    assert sandbox.retrieve("Deep__c", parent)["F6__c"] == "1Admin2t03t14t25t36"


def test_bulk_queries_and_owners_of_several_kinds(orders):
    case = {"name": "Case", "fields": [
        {"name": "Who__c", "calculatedFormula": "Owner:User.LastName & ' for ' & $User.Username"}]}  # fmt: skip
    orders.define(case)
    orders.create("Case", Subject="x")
    job = orders.post("jobs/query", {"operation": "query", "query": "SELECT Who__c FROM Case"}).json["id"]
    eventually(lambda: orders.get(f"jobs/query/{job}").json["state"] == "JobComplete")
    lines = orders.get(f"jobs/query/{job}/results").body.decode().split()
    assert lines == ['"Who__c"', '"Admin', "for", 'admin@sandbox.example"']


LINE = {
    "name": "Line__c",
    "fields": [
        {"name": "Order__c", "type": "reference", "referenceTo": ["Order__c"], "cascadeDelete": True,
         "relationshipName": "Order__r", "childRelationshipName": "Lines__r"},
        {"name": "Price__c", "type": "currency", "precision": 16, "scale": 2},
        {"name": "Pieces__c", "type": "int"},
        {"name": "Sent__c", "type": "date"},
        {"name": "Cost__c", "type": "currency", "calculatedFormula": "Price__c * Pieces__c"},
    ],
}  # fmt: skip
KEY = {"summaryForeignKey": "Line__c.Order__c"}
SUMS = {
    "name": "Order__c",
    "fields": [
        {"name": "Lines__c", "type": "int", "summaryOperation": "count", **KEY},
        {"name": "Total__c", "type": "currency", "summaryOperation": "sum",
         "summarizedField": "Line__c.Cost__c", **KEY},
        {"name": "First__c", "type": "date", "summaryOperation": "min",
         "summarizedField": "Line__c.Sent__c", **KEY},
        {"name": "Dear__c", "type": "int", "summaryOperation": "count",
         "summaryFilter": "Price__c >= 10", **KEY},
        {"name": "Average__c", "type": "double", "scale": 1, "calculatedFormula": "Total__c / Lines__c"},
    ],
}  # fmt: skip


@pytest.fixture
def sums(sandbox):
    sandbox.define([ORDER, LINE, SUMS])
    return sandbox


def sums_of(sandbox, order):
    (row,) = sandbox.query_all(
        f"SELECT Lines__c, Total__c, First__c, Dear__c FROM Order__c WHERE Id = '{order}'"
    )
    return [row[name] for name in ("Lines__c", "Total__c", "First__c", "Dear__c")]


def test_rollups_follow_whatever_happens_to_the_details(sums):
    order, other = sums.create("Order__c"), sums.create("Order__c")
    assert sums_of(sums, order) == [0, 0.0, None, 0]
    one = sums.create("Line__c", Order__c=order, Price__c=0.1, Pieces__c=1, Sent__c="2026-02-01")
    two = sums.create("Line__c", Order__c=order, Price__c=0.2, Pieces__c=1, Sent__c="2026-01-01")
    assert sums_of(sums, order) == [2, 0.3, "2026-01-01", 0]
    sums.update("Line__c", two, Price__c=10)
    assert sums_of(sums, order) == [2, 10.1, "2026-01-01", 1]
    assert sums.retrieve("Order__c", order)["Average__c"] == 5.1
    sums.update("Line__c", two, Order__c=other)
    assert sums_of(sums, order) == [1, 0.1, "2026-02-01", 0]
    assert sums_of(sums, other) == [1, 10.0, "2026-01-01", 1]
    sums.remove("Line__c", one)
    assert sums_of(sums, order) == [0, 0.0, None, 0]
    sums.undelete(one)
    assert sums_of(sums, order) == [1, 0.1, "2026-02-01", 0]
    sums.purge(one)
    assert sums_of(sums, order) == [0, 0.0, None, 0]
    sums.remove("Order__c", other)
    assert sums_of(sums, other) == [1, 10.0, "2026-01-01", 1]
    sums.undelete(other)
    assert sums_of(sums, other) == [1, 10.0, "2026-01-01", 1]
    sums.post("/_sandbox/snapshot", {"name": "s"})
    sums.create("Line__c", Order__c=other, Price__c=1, Pieces__c=1)
    sums.post("/_sandbox/restore", {"name": "s"})
    assert sums_of(sums, other) == [1, 10.0, "2026-01-01", 1]
    rows = sums.query("SELECT Id FROM Order__c WHERE Total__c > 1 ORDER BY Lines__c")
    assert [row["Id"] for row in rows] == [other]


def test_a_merge_moves_what_is_summed_up(sandbox):
    link = {"type": "reference", "referenceTo": ["Account"], "cascadeDelete": True,
            "relationshipName": "Account__r", "childRelationshipName": "Visits__r"}  # fmt: skip
    sandbox.define(
        [
            {"name": "Visit__c", "fields": [{"name": "Account__c", **link}]},
            {
                "name": "Account",
                "fields": [
                    {"name": "Visits__c", "type": "int", "summaryOperation": "count",
                     "summaryForeignKey": "Visit__c.Account__c"},
                ],
            },
        ]
    )  # fmt: skip
    winner, loser = (sandbox.create("Account", Name=name) for name in "AB")
    for account in (winner, loser, loser):
        sandbox.create("Visit__c", Account__c=account)
    merged = sandbox.post("/_sandbox/merge", {"winner": winner, "losers": [loser]})
    assert merged.status == 200, merged.body
    rows = sandbox.query_all("SELECT Id, Visits__c FROM Account ORDER BY Name")
    assert {row["Id"]: row["Visits__c"] for row in rows}[winner] == 3


def test_a_rollup_moves_the_masters_stamp_unless_told_not_to(sums):
    order = sums.create("Order__c")
    first = sums.retrieve("Order__c", order)
    sums.advance(60)
    line = sums.create("Line__c", Order__c=order, Price__c=1, Pieces__c=1)
    second = sums.retrieve("Order__c", order)
    assert second["SystemModstamp"] > first["SystemModstamp"]
    assert second["LastModifiedDate"] == first["LastModifiedDate"]
    sums.advance(60)
    sums.update("Line__c", line, Name="nothing that counts")
    assert sums.retrieve("Order__c", order)["SystemModstamp"] == second["SystemModstamp"]
    assert sums.post("/_sandbox/rules", {"rollup_stamps": False}).json["rollup_stamps"] is False
    sums.update("Line__c", line, Price__c=2)
    third = sums.retrieve("Order__c", order)
    assert (third["Total__c"], third["SystemModstamp"]) == (2.0, second["SystemModstamp"])


def test_a_change_event_tells_a_rollups_new_value(sums):
    order = sums.create("Order__c")
    listener = listen(sums, "/data/Order__ChangeEvent")
    line = sums.create("Line__c", Order__c=order, Price__c=3, Pieces__c=2)
    (change,) = listener.changes()
    assert (change["Total__c"], change["Lines__c"]) == (6.0, 1)
    head = change["ChangeEventHeader"]
    assert (head["changeType"], head["recordIds"]) == ("UPDATE", [order])
    assert sorted(head["changedFields"]) == ["LastModifiedDate", "Lines__c", "Total__c"]
    sums.update("Line__c", line, Name="nothing that counts")
    sums.load("Order__c", 1)
    assert listener.changes() == []


def test_a_rollup_is_calculated_and_read_only(sums):
    described = sums.get("sobjects/Order__c/describe").json["fields"]
    (total,) = [field for field in described if field["name"] == "Total__c"]
    assert total["calculated"] and total["calculatedFormula"] is None
    answer = sums.post("sobjects/Order__c", {"Total__c": 1})
    refusal(answer, 400, "INVALID_FIELD_FOR_INSERT_UPDATE")


def test_a_rollup_added_later_counts_what_is_there_and_goes_on_after_a_restart(tmp_path):
    with Sandbox(tmp_path, "--data", tmp_path / "org.db") as sandbox:
        sandbox.define([ORDER, LINE])
        order = sandbox.create("Order__c")
        sandbox.create("Line__c", Order__c=order, Price__c=1, Pieces__c=1)
        sandbox.define(SUMS)
        assert sums_of(sandbox, order) == [1, 1.0, None, 0]
        sandbox.create("Line__c", Order__c=order, Price__c=2, Pieces__c=1)
    with Sandbox(tmp_path, "--data", tmp_path / "org.db") as sandbox:
        assert sums_of(sandbox, order) == [2, 3.0, None, 0]
        sandbox.create("Line__c", Order__c=order, Price__c=30, Pieces__c=1)
        assert sums_of(sandbox, order) == [3, 33.0, None, 1]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"summaryOperation": "avg"}, '"summaryOperation" is count, sum, min or max'),
        ({"summaryForeignKey": "Order__c"}, '"summaryForeignKey" names'),
        ({"summaryForeignKey": "Contact.ReportsToId"}, "is no master-detail to Order__c"),
        ({"summarizedField": "Line__c.Name"}, '"summarizedField" names a number of Line__c'),
        ({"summaryFilter": "Nothing__c = 1"}, "Line__c has no Nothing__c"),
        ({"calculatedFormula": "1"}, 'a roll-up has no "calculatedFormula"'),
    ],
)
def test_a_wrong_rollup_is_refused_with_a_remedy(sums, change, words):
    field = SUMS["fields"][1] | {"name": "Bad__c"} | change
    assert words in definition_error(sums, {"name": "Order__c", "fields": [field]})
    names = [field["name"] for field in sums.get("sobjects/Order__c/describe").json["fields"]]
    assert "Bad__c" not in names
