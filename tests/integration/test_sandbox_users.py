"""Several users of the sandbox's organisation: what each may see, do, and how often."""

import pytest

from eventually import eventually

PASSWORD = "sandbox-password"


def refusal(answer, status, code):
    assert (answer.status, answer.json[0]["errorCode"]) == (status, code), answer.body
    return answer.json[0]["message"]


def add_user(sandbox, username, **settings):
    answer = sandbox.post("/_sandbox/users", {"username": username, **settings})
    assert answer.status == 200, answer.body
    return answer.json["id"]


def sign_in(sandbox, username, password=PASSWORD):
    answer = sandbox.login(
        grant_type="password",
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        username=username,
        password=password,
    )
    assert answer.status == 200, answer.body
    return answer.json["access_token"]


def names(answer):
    assert answer.status == 200, answer.body
    return [record["Name"] for record in answer.json["records"]]


@pytest.fixture
def rita(sandbox):
    """Signs in as a user with these settings, and answers the token."""

    def make(**settings):
        add_user(sandbox, "rita@sandbox.example", first_name="Rita", last_name="Reader", **settings)
        return sign_in(sandbox, "rita@sandbox.example")

    return make


def test_a_second_user_is_somebody_else(sandbox, rita):
    token = rita()
    who = sandbox.get("/services/oauth2/userinfo", token=token).json
    assert (who["username"], who["name"]) == ("rita@sandbox.example", "Rita Reader")
    account = sandbox.post("sobjects/Account", {"Name": "Hers"}, token=token).json["id"]
    row = sandbox.retrieve("Account", account)
    assert row["OwnerId"] == row["CreatedById"] == row["LastModifiedById"] == who["user_id"]
    assert sandbox.query(f"SELECT Owner.Name FROM Account WHERE Id = '{account}'")[0]["Owner"][
        "Name"
    ] == "Rita Reader"
    sandbox.update("Account", account, Phone="1")
    row = sandbox.retrieve("Account", account)
    assert row["OwnerId"] == who["user_id"] != row["LastModifiedById"]


def test_a_wrong_password_and_a_wrong_setting_are_refused(sandbox):
    add_user(sandbox, "pia@sandbox.example", password="own")
    answer = sandbox.login(
        grant_type="password",
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        username="pia@sandbox.example",
        password=PASSWORD,
    )
    assert (answer.status, answer.json["error"]) == (400, "invalid_grant")
    assert sign_in(sandbox, "pia@sandbox.example", "own")
    for wrong in (
        {"username": "nobody"},
        {"username": "a@b", "colour": "red"},
        {"username": "a@b", "objects": {"Nope": {}}},
        {"username": "a@b", "objects": {"Account": {"fly": True}}},
        {"username": "a@b", "fields": {"Account.Nope": "hidden"}},
        {"username": "a@b", "fields": {"Account.Phone": "pink"}},
        {"username": "a@b", "daily_requests": -1},
        {"username": sandbox.username},
    ):
        assert sandbox.post("/_sandbox/users", wrong).status == 400, wrong
    assert [user["username"] for user in sandbox.get("/_sandbox/users").json["users"]] == [
        sandbox.username,
        "user@sandbox.example",
        "pia@sandbox.example",
    ]


def test_a_field_may_be_hidden_from_one_user_only(sandbox, rita):
    account = sandbox.create("Account", Name="A", Phone="1", Fax="2")
    token = rita(fields={"Account.Phone": "hidden", "Account.Fax": "read"})
    fields = {f["name"]: f for f in sandbox.get("sobjects/Account/describe", token=token).json["fields"]}
    assert "Phone" not in fields
    assert (fields["Fax"]["createable"], fields["Fax"]["updateable"]) == (False, False)
    refusal(sandbox.query_page("SELECT Phone FROM Account", token=token), 400, "INVALID_FIELD")
    query = {"operation": "query", "query": "SELECT Phone FROM Account"}
    refusal(sandbox.post("jobs/query", query, token=token), 400, "INVALID_FIELD")
    assert "Phone" not in sandbox.get(f"sobjects/Account/{account}", token=token).json
    answer = sandbox.patch(f"sobjects/Account/{account}", {"Fax": "3"}, token=token)
    refusal(answer, 400, "INVALID_FIELD_FOR_INSERT_UPDATE")
    # The administrator sees and writes as before.
    assert sandbox.retrieve("Account", account)["Phone"] == "1"
    sandbox.update("Account", account, Fax="3")


def test_an_object_may_be_hidden_from_one_user_only(sandbox, rita):
    account = sandbox.create("Account", Name="A")
    sandbox.create("Contact", LastName="C", AccountId=account)
    token = rita(objects={"Contact": {"read": False}})
    everything = sandbox.get("sobjects", token=token).json["sobjects"]
    assert "Contact" not in [each["name"] for each in everything]
    assert sandbox.get("sobjects/Contact/describe", token=token).status == 404
    refusal(sandbox.query_page("SELECT Id FROM Contact", token=token), 400, "INVALID_TYPE")
    soql = "SELECT Id, (SELECT Id FROM Contacts) FROM Account"
    refusal(sandbox.query_page(soql, token=token), 400, "INVALID_TYPE")
    job = {"object": "Contact", "operation": "insert"}
    refusal(sandbox.post("jobs/ingest", job, token=token), 400, "INVALIDENTITY")
    assert len(sandbox.query("SELECT Id FROM Contact")) == 1


def test_rights_to_write_are_each_their_own(sandbox, rita):
    account = sandbox.create("Account", Name="A")
    token = rita(objects={"Account": {"create": False, "edit": False, "delete": False}})
    described = sandbox.get("sobjects/Account/describe", token=token).json
    assert [described[right] for right in ("createable", "updateable", "deletable")] == [False] * 3
    code = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    refusal(sandbox.post("sobjects/Account", {"Name": "B"}, token=token), 400, code)
    refusal(sandbox.patch(f"sobjects/Account/{account}", {"Name": "B"}, token=token), 400, code)
    answer = sandbox.delete(f"sobjects/Account/{account}", token=token)
    refusal(answer, 403, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert names(sandbox.query_page("SELECT Name FROM Account", token=token)) == ["A"]


def test_sharing_empties_a_view_and_the_rows_come_back(sandbox, rita):
    account = sandbox.create("Account", Name="Not hers")
    sandbox.create("Contact", LastName="C", AccountId=account)
    token = rita(objects={"Account": {"view_all": False}})
    assert names(sandbox.query_page("SELECT Name FROM Account", token=token)) == []
    count = sandbox.query_page("SELECT COUNT() FROM Account", token=token).json
    assert count["totalSize"] == 0
    assert sandbox.get(f"sobjects/Account/{account}", token=token).status == 404
    row = sandbox.query_page("SELECT AccountId, Account.Name FROM Contact", token=token).json
    assert (row["records"][0]["AccountId"], row["records"][0]["Account"]) == (account, None)
    window = "start=2000-01-01T00:00:00Z&end=2100-01-01T00:00:00Z"
    now = sandbox.get("/_sandbox/clock").json["now"]
    window = f"start={now[:10]}T00:00:00Z&end=2100-01-01T00:00:00Z"
    assert sandbox.get(f"sobjects/Account/updated?{window}", token=token).json["ids"] == []
    record = {"attributes": {"type": "Account"}, "id": account, "Phone": "1"}
    result = sandbox.patch("composite/sobjects", {"records": [record]}, token=token).json[0]
    assert result["errors"][0]["statusCode"] == "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"
    contact = {"LastName": "D", "AccountId": account}
    answer = sandbox.post("sobjects/Contact", contact, token=token)
    refusal(answer, 400, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY")
    hers = sandbox.post("sobjects/Account", {"Name": "Hers"}, token=token).json["id"]
    assert names(sandbox.query_page("SELECT Name FROM Account", token=token)) == ["Hers"]
    answer = sandbox.post("sobjects/Contact", {**contact, "AccountId": hers}, token=token)
    assert answer.status == 201, answer.body
    add_user(sandbox, "rita@sandbox.example")
    assert len(names(sandbox.query_page("SELECT Name FROM Account", token=token))) == 2


def test_encrypted_text_is_for_who_may_view_it(sandbox):
    sandbox.define(
        {"name": "Account", "fields": [{"name": "Secret__c", "type": "encryptedstring"}]}
    )
    sandbox.create("Account", Name="A", Secret__c="open")
    soql = "SELECT Secret__c FROM Account"
    token = sign_in(sandbox, "user@sandbox.example")
    assert sandbox.query(soql)[0]["Secret__c"] == "open"
    assert sandbox.query_page(soql, token=token).json["records"][0]["Secret__c"] == "****"
    for asker in (sandbox.token, token):
        answer = sandbox.query_page("SELECT Id FROM Account WHERE Secret__c = 'open'", token=asker)
        message = refusal(answer, 400, "INVALID_FIELD")
        assert "can not be filtered in a query call" in message


def test_a_bulk_job_runs_as_who_made_it(sandbox, rita):
    token = rita(objects={"Account": {"view_all": False}})
    sandbox.create("Account", Name="Not hers")
    job = sandbox.post("jobs/ingest", {"object": "Account", "operation": "insert"}, token=token).json
    path = f"jobs/ingest/{job['id']}"
    headers = {"Content-Type": "text/csv"}
    sandbox.request("PUT", path + "/batches", b"Name\nHers\n", headers=headers, token=token)
    sandbox.patch(path, {"state": "UploadComplete"}, token=token)
    eventually(lambda: sandbox.get(path, token=token).json["state"] == "JobComplete")
    row = sandbox.query("SELECT CreatedById FROM Account WHERE Name = 'Hers'")[0]
    assert row["CreatedById"] == job["createdById"] != sandbox.get("/services/oauth2/userinfo").json["user_id"]
    job = sandbox.post(
        "jobs/query", {"operation": "query", "query": "SELECT Name FROM Account"}, token=token
    ).json
    eventually(lambda: sandbox.get(f"jobs/query/{job['id']}").json["state"] == "JobComplete")
    assert sandbox.get(f"jobs/query/{job['id']}/results").body == b'"Name"\n"Hers"\n'


def test_a_user_has_a_daily_limit_of_his_own(sandbox, rita):
    token = rita(daily_requests=2)
    for _ in range(2):
        assert sandbox.get("limits", token=token).status == 200
    message = refusal(sandbox.get("limits", token=token), 403, "REQUEST_LIMIT_EXCEEDED")
    assert message == "TotalRequests Limit exceeded."
    assert sandbox.get("limits").status == 200
    sandbox.advance(86400)
    assert sandbox.get("limits", token=sign_in(sandbox, "rita@sandbox.example")).status == 200


def test_too_many_logins_are_refused_for_an_hour(sandbox, rita):
    rita(logins_per_hour=1)
    answer = sandbox.login(
        grant_type="password",
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        username="rita@sandbox.example",
        password=PASSWORD,
    )
    assert (answer.status, answer.json["error"]) == (400, "rate_limit_exceeded")
    sandbox.advance(3600)
    assert sign_in(sandbox, "rita@sandbox.example")


def set_limits(sandbox, **limits):
    answer = sandbox.post("/_sandbox/limits", limits)
    assert answer.status == 200, answer.body
    return answer.json


def test_the_limits_tell_of_one_app_too(sandbox):
    set_limits(sandbox, used=18, max=5000, app={"name": "sync", "used": 16, "max": 250})
    answer = sandbox.get("limits")
    told = answer.headers["Sforce-Limit-Info"]
    assert told == "api-usage=19/5000; per-app-api-usage=17/250(appName=sync)"
    daily = answer.json["DailyApiRequests"]
    assert daily == {"Max": 5000, "Remaining": 4981, "sync": {"Max": 250, "Remaining": 233}}
    set_limits(sandbox, app={"name": "sync", "used": 250, "max": 250})
    refusal(sandbox.get("limits"), 403, "REQUEST_LIMIT_EXCEEDED")
    set_limits(sandbox, app=None)
    assert sandbox.get("limits").headers["Sforce-Limit-Info"] == "api-usage=20/5000"


def test_a_day_gives_the_requests_back(sandbox):
    set_limits(sandbox, used=10, max=10)
    message = refusal(sandbox.get("limits"), 403, "REQUEST_LIMIT_EXCEEDED")
    assert message == "TotalRequests Limit exceeded."
    sandbox.advance(86400)
    assert sandbox.get("limits").headers["Sforce-Limit-Info"] == "api-usage=1/10"


def test_concurrent_requests_are_refused_so_many_times(sandbox):
    set_limits(sandbox, concurrent=2)
    for _ in range(2):
        message = refusal(sandbox.get("limits"), 403, "REQUEST_LIMIT_EXCEEDED")
        assert message == "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    assert sandbox.get("limits").status == 200


def test_bulk_jobs_have_daily_limits(sandbox):
    set_limits(
        sandbox,
        limits={
            "DailyBulkV2QueryJobs": {"max": 1, "used": 0},
            "DailyBulkApiBatches": {"max": 0, "used": 0},
        },
    )
    query = {"operation": "query", "query": "SELECT Id FROM Account"}
    assert sandbox.post("jobs/query", query).status == 200
    refusal(sandbox.post("jobs/query", query), 400, "LIMIT_EXCEEDED")
    insert = {"object": "Account", "operation": "insert"}
    refusal(sandbox.post("jobs/ingest", insert), 400, "EXCEEDEDQUOTA")
    assert sandbox.get("limits").json["DailyBulkV2QueryJobs"] == {"Max": 1, "Remaining": 0}
    assert sandbox.post("/_sandbox/limits", {"used": "many"}).status == 400


def test_users_are_kept_with_the_data(tmp_path):
    from sandbox import Sandbox

    options = ("--data", str(tmp_path / "org.db"))
    with Sandbox(tmp_path, *options) as org:
        add_user(org, "kim@sandbox.example", fields={"Account.Phone": "hidden"})
    with Sandbox(tmp_path, *options) as org:
        token = sign_in(org, "kim@sandbox.example")
        refusal(org.query_page("SELECT Phone FROM Account", token=token), 400, "INVALID_FIELD")
        org.post("/_sandbox/snapshot", {"name": "s"})
        org.reset()
        assert org.get("limits", token=token).status == 401
        org.post("/_sandbox/restore", {"name": "s"})
        assert sign_in(org, "kim@sandbox.example")
