"""How the sandbox's organisation behaves on request: locks, hidden fields, masks, duplicates, merges."""

import pytest

from eventually import eventually


def set_rules(sandbox, **rules):
    answer = sandbox.post("/_sandbox/rules", rules)
    assert answer.status == 200, answer.body
    return answer.json


def row_fault(sandbox, **fault):
    answer = sandbox.post("/_sandbox/row-faults", fault)
    assert answer.status == 200, answer.body


def refusal(answer, status, code):
    assert (answer.status, answer.json[0]["errorCode"]) == (status, code), answer.body
    return answer.json[0]["message"]


def test_chosen_rows_are_locked_so_many_times(sandbox):
    first, second = (sandbox.create("Account", Name=name) for name in "AB")
    row_fault(sandbox, id=first[:15], times=2)
    records = [{"attributes": {"type": "Account"}, "id": each, "Phone": "1"} for each in (first, second)]
    results = sandbox.patch("composite/sobjects", {"records": records}).json
    assert [result["success"] for result in results] == [False, True]
    error = results[0]["errors"][0]
    assert error["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert error["message"].endswith(first)
    refusal(sandbox.delete(f"sobjects/Account/{first}"), 400, "UNABLE_TO_LOCK_ROW")
    sandbox.remove("Account", first)


def test_a_failing_trigger_meets_a_value(sandbox):
    row_fault(
        sandbox,
        object="Account",
        field="Name",
        value="bad",
        code="CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        message="T: execution of BeforeInsert caused by: UNABLE_TO_LOCK_ROW",
        times=1,
    )
    sandbox.create("Account", Name="good")
    answer = sandbox.post("sobjects/Account", {"Name": "Bad"})
    assert "UNABLE_TO_LOCK_ROW" in refusal(answer, 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY")
    sandbox.create("Account", Name="Bad")
    assert sandbox.get("/_sandbox/row-faults").json == {"row_faults": []}
    assert sandbox.post("/_sandbox/row-faults", {"times": 1}).status == 400


def test_validation_rules_can_be_switched_off(sandbox):
    sandbox.define(
        {
            "name": "Account",
            "validationRules": [
                {"errorConditionFormula": 'Phone = "1"', "errorMessage": "No ones"}
            ],
        }
    )
    refusal(
        sandbox.post("sobjects/Account", {"Name": "A", "Phone": "1"}),
        400,
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    )
    assert set_rules(sandbox, validation=False)["validation"] is False
    sandbox.create("Account", Name="A", Phone="1")
    set_rules(sandbox, validation=True)
    refusal(
        sandbox.post("sobjects/Account", {"Name": "A", "Phone": "1"}),
        400,
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    )


def test_a_hidden_field_is_not_there(sandbox):
    account = sandbox.create("Account", Name="A", Phone="1")
    hidden = [{"object": "Account", "field": "Phone"}]
    assert set_rules(sandbox, hide=hidden)["hidden"] == hidden
    fields = [field["name"] for field in sandbox.get("sobjects/Account/describe").json["fields"]]
    assert "Phone" not in fields and "Name" in fields
    refusal(sandbox.query_page("SELECT Phone FROM Account"), 400, "INVALID_FIELD")
    refusal(sandbox.query_page("SELECT Id FROM Account WHERE Phone = '1'"), 400, "INVALID_FIELD")
    refusal(sandbox.query_page("SELECT Account.Phone FROM Contact"), 400, "INVALID_FIELD")
    refusal(sandbox.patch(f"sobjects/Account/{account}", {"Phone": "2"}), 400, "INVALID_FIELD")
    assert "Phone" not in sandbox.retrieve("Account", account)
    set_rules(sandbox, show=hidden)
    assert sandbox.retrieve("Account", account)["Phone"] == "1"
    assert sandbox.post("/_sandbox/rules", {"hide": [{"object": "X", "field": "Y"}]}).status == 400


def test_encrypted_text_is_masked_for_who_may_not_see_it(sandbox):
    sandbox.define(
        {
            "name": "Account",
            "fields": [
                {"name": "Secret__c", "type": "encryptedstring", "length": 100},
                {"name": "Card__c", "type": "encryptedstring", "showsLastFour": True},
            ],
        }
    )
    account = sandbox.create("Account", Name="A", Secret__c="open", Card__c="1234567890")
    described = {
        field["name"]: field for field in sandbox.get("sobjects/Account/describe").json["fields"]
    }
    assert (described["Secret__c"]["encrypted"], described["Secret__c"]["maskType"]) == (True, "all")
    assert described["Card__c"]["maskType"] == "lastFour"
    assert described["Secret__c"]["filterable"] is False
    assert sandbox.retrieve("Account", account)["Secret__c"] == "open"
    set_rules(sandbox, view_encrypted=False)
    row = sandbox.retrieve("Account", account)
    assert (row["Secret__c"], row["Card__c"]) == ("****", "******7890")
    job = sandbox.post(
        "jobs/query", {"operation": "query", "query": "SELECT Secret__c FROM Account"}
    ).json
    eventually(lambda: sandbox.get(f"jobs/query/{job['id']}").json["state"] == "JobComplete")
    assert sandbox.get(f"jobs/query/{job['id']}/results").body == b'"Secret__c"\n"****"\n'


def test_duplicates_are_found_and_may_be_allowed(sandbox):
    rule = {"object": "Account", "fields": ["Name", "Phone"]}
    assert sandbox.post("/_sandbox/duplicate-rules", rule).status == 200
    first = sandbox.create("Account", Name="A", Phone="1")
    sandbox.create("Account", Name="A", Phone="2")
    same = {"Name": "a", "Phone": "1"}
    answer = sandbox.post("sobjects/Account", same)
    assert refusal(answer, 400, "DUPLICATES_DETECTED") == "Use one of these records?"
    result = answer.json[0]["duplicateResult"]
    assert (result["allowSave"], result["duplicateRuleEntityType"]) == (True, "Account")
    (found,) = result["matchResults"]
    (match,) = found["matchRecords"]
    assert (found["size"], match["record"]["Id"]) == (1, first)
    assert match["record"]["attributes"]["url"].endswith(f"v60.0/sobjects/Account/{first}")
    allowed = {"Sforce-Duplicate-Rule-Header": "allowSave=true; runAsCurrentUser=true"}
    account = sandbox.post("sobjects/Account", same, headers=allowed).json["id"]
    sandbox.update("Account", account, Fax="3")
    assert sandbox.delete("/_sandbox/duplicate-rules").status == 204
    strict = {**rule, "allow_save": False, "message": "Never"}
    sandbox.post("/_sandbox/duplicate-rules", strict)
    answer = sandbox.post("sobjects/Account", same, headers=allowed)
    assert refusal(answer, 400, "DUPLICATES_DETECTED") == "Never"
    assert sandbox.post("/_sandbox/duplicate-rules", {"object": "Account"}).status == 400


def test_a_merge_moves_children_and_leaves_a_trace(sandbox):
    winner, loser, third = (sandbox.create("Account", Name=name) for name in "ABC")
    contact = sandbox.create("Contact", LastName="L", AccountId=loser)
    sandbox.advance(10)
    answer = sandbox.post("/_sandbox/merge", {"winner": winner, "losers": [loser, third]})
    assert answer.status == 200, answer.body
    assert sandbox.retrieve("Contact", contact)["AccountId"] == winner
    rows = sandbox.query_all("SELECT Id, IsDeleted, MasterRecordId FROM Account ORDER BY Name")
    assert [(row["IsDeleted"], row["MasterRecordId"]) for row in rows] == [
        (False, None),
        (True, winner),
        (True, winner),
    ]
    again = sandbox.post("/_sandbox/merge", {"winner": winner, "losers": [loser]})
    refusal(again, 404, "ENTITY_IS_DELETED")
    assert sandbox.post("/_sandbox/merge", {"winner": winner, "losers": []}).status == 400
    itself = sandbox.post("/_sandbox/merge", {"winner": winner, "losers": [winner]})
    refusal(itself, 400, "INVALID_CROSS_REFERENCE_KEY")


def test_rows_can_be_stamped_before_they_are_seen(sandbox):
    before = sandbox.create("Account", Name="Before")
    set_rules(sandbox, commit_lag_s=30)
    after = sandbox.create("Account", Name="After")
    rows = sandbox.query("SELECT Id FROM Account ORDER BY SystemModstamp")
    assert [row["Id"] for row in rows] == [after, before]


def test_pages_of_a_query_can_be_smaller_than_asked(sandbox):
    sandbox.load("Account", 12)
    set_rules(sandbox, page_rows=5)
    page = sandbox.query_page("SELECT Id FROM Account").json
    assert (len(page["records"]), page["totalSize"], page["done"]) == (5, 12, False)
    assert len(sandbox.query("SELECT Id FROM Account")) == 12


def test_a_collection_has_ten_chunks_and_no_id_twice(sandbox):
    def record(name):
        return {"attributes": {"type": name}, "Name": "A", "LastName": "L"}

    mixed = [record("Account" if index % 2 else "Lead") for index in range(11)]
    answer = sandbox.post("composite/sobjects", {"records": mixed})
    refusal(answer, 400, "LIMIT_EXCEEDED")
    assert sandbox.post("composite/sobjects", {"records": mixed[:10]}).status == 200

    account = sandbox.create("Account", Name="A")
    records = [
        {"attributes": {"type": "Account"}, "id": each, "Phone": "1"}
        for each in (account, account[:15])
    ]
    results = sandbox.patch("composite/sobjects", {"records": records}).json
    assert [result["success"] for result in results] == [True, False]
    assert results[1]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
    results = sandbox.delete(f"composite/sobjects?ids={account},{account}").json
    assert [result["success"] for result in results] == [True, False]


def test_reset_puts_everything_back(sandbox):
    set_rules(sandbox, validation=False, commit_lag_s=5, page_rows=3, view_encrypted=False)
    row_fault(sandbox, object="Account", field="Name", value="x")
    sandbox.reset()
    rules = sandbox.get("/_sandbox/rules").json
    assert (rules["validation"], rules["view_encrypted"]) == (True, True)
    assert (rules["commit_lag_s"], rules["page_rows"]) == (0, 0)
    assert sandbox.get("/_sandbox/row-faults").json == {"row_faults": []}


@pytest.mark.parametrize("body", [{"jwt_certificate": "nonsense"}, {"show": [{}]}])
def test_a_mistaken_rule_is_refused(sandbox, body):
    assert sandbox.post("/_sandbox/rules", body).status == 400


def hold(sandbox, **lock):
    answer = sandbox.post("/_sandbox/locks", lock)
    assert answer.status == 200, answer.body
    return answer.json["locks"]


def test_a_locked_record_and_its_children_are_refused_for_so_many_requests(sandbox):
    account = sandbox.create("Account", Name="A")
    contact = sandbox.create("Contact", LastName="C", AccountId=account)
    hold(sandbox, id=account, requests=3)
    answer = sandbox.patch(f"sobjects/Account/{account}", {"Phone": "1"})
    assert refusal(answer, 400, "UNABLE_TO_LOCK_ROW").endswith(f"1 records: {account}")
    # One request that meets it twice has met it once; what does not meet it does not count.
    sandbox.create("Contact", LastName="Apart")
    children = [
        {"attributes": {"type": "Contact"}, "LastName": name, "AccountId": account} for name in "DE"
    ]
    results = sandbox.post("composite/sobjects", {"records": children}).json
    codes = [result["errors"][0]["statusCode"] for result in results]
    assert codes == ["UNABLE_TO_LOCK_ROW"] * 2
    refusal(sandbox.patch(f"sobjects/Contact/{contact}", {"Phone": "1"}), 400, "UNABLE_TO_LOCK_ROW")
    assert sandbox.get("/_sandbox/locks").json == {"locks": []}
    sandbox.update("Account", account, Phone="1")
    sandbox.update("Contact", contact, Phone="1")


def test_a_lock_may_last_for_a_time_and_be_released(sandbox):
    account = sandbox.create("Account", Name="A")
    locks = hold(sandbox, id=account[:15], ms=600000)
    assert locks[0]["id"] == account and 0 < locks[0]["ms"] <= 600000
    for _ in range(5):
        refusal(sandbox.delete(f"sobjects/Account/{account}"), 400, "UNABLE_TO_LOCK_ROW")
    assert sandbox.delete("/_sandbox/locks").status == 204
    hold(sandbox, id=account, ms=1)
    eventually(lambda: sandbox.patch(f"sobjects/Account/{account}", {"Phone": "1"}).status == 204)
    for wrong in ({"id": "x", "ms": 1}, {"id": account}, {"id": account, "requests": 0}):
        assert sandbox.post("/_sandbox/locks", wrong).status == 400


def test_an_emptied_bin_is_told_by_nobody(sandbox):
    now = sandbox.get("/_sandbox/clock").json["now"]
    account = sandbox.create("Account", Name="A")
    sandbox.remove("Account", account)
    path = f"sobjects/Account/deleted?start={now[:10]}T00:00:00Z&end=2100-01-01T00:00:00Z"
    assert [each["id"] for each in sandbox.get(path).json["deletedRecords"]] == [account]
    assert sandbox.post("/_sandbox/bin/empty").status == 200
    answer = sandbox.get(path).json
    assert answer["deletedRecords"] == []
    assert answer["earliestDateAvailable"][:15] >= now[:15]
    assert sandbox.query_all("SELECT Id FROM Account") == []


def test_a_time_keeps_its_milliseconds(sandbox):
    sandbox.define({"name": "Account", "fields": [{"name": "At__c", "type": "time"}]})
    for given, kept in (
        ("18:30:00.123Z", "18:30:00.123Z"),
        ("18:30:00.5Z", "18:30:00.500Z"),
        ("00:30:00.007+01:00", "23:30:00.007Z"),
    ):
        account = sandbox.create("Account", Name="A", At__c=given)
        assert sandbox.retrieve("Account", account)["At__c"] == kept
    soql = "SELECT Id FROM Account WHERE At__c = 18:30:00.123Z"
    assert len(sandbox.query(soql)) == 1
