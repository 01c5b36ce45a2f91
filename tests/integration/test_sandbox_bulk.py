"""Bulk API 2.0 of the sandbox organisation, as its clients see it."""

import csv
import gzip
import io
import json

import pytest

from eventually import eventually

DELIMITERS = {
    "COMMA": ",",
    "TAB": "\t",
    "PIPE": "|",
    "SEMICOLON": ";",
    "CARET": "^",
    "BACKQUOTE": "`",
}
ENDED = ("JobComplete", "Failed", "Aborted")


class Bulk:
    """The few calls of a bulk client."""

    def __init__(self, sandbox):
        self.org = sandbox

    def wait(self, kind, job_id):
        def ended():
            job = self.org.get(f"jobs/{kind}/{job_id}").json
            return job if job["state"] in ENDED else None

        return eventually(ended)

    def query(self, soql, operation="query", **options):
        answer = self.org.post(
            "jobs/query", {"operation": operation, "query": soql, "contentType": "CSV", **options}
        )
        assert answer.status == 200, answer.body
        return self.wait("query", answer.json["id"])

    def results(self, job, **parameters):
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return self.org.get(f"jobs/query/{job['id']}/results?{query}", headers={"Accept": "text/csv"})

    def rows(self, soql, operation="query", **options):
        answer = self.results(self.query(soql, operation, **options))
        assert answer.status == 200, answer.body
        return list(csv.reader(io.StringIO(answer.body.decode(), newline="")))

    def open(self, operation, name="Account", **options):
        answer = self.org.post(
            "jobs/ingest", {"object": name, "operation": operation, "contentType": "CSV", **options}
        )
        assert answer.status == 200, answer.body
        return answer.json

    def upload(self, job, text):
        return self.org.request(
            "PUT",
            "/" + job["contentUrl"],
            text.encode(),
            headers={"Content-Type": "text/csv"},
        )

    def ingest(self, operation, text, name="Account", **options):
        job = self.open(operation, name, **options)
        assert self.upload(job, text).status == 201
        done = self.org.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
        assert (done.status, done.json["state"]) == (200, "UploadComplete")
        return self.wait("ingest", job["id"])

    def outcome(self, job, kind, delimiter=","):
        answer = self.org.get(f"jobs/ingest/{job['id']}/{kind}")
        assert answer.status == 200, answer.body
        return list(
            csv.DictReader(io.StringIO(answer.body.decode(), newline=""), delimiter=delimiter)
        )

    def switch(self, **switches):
        answer = self.org.post("/_sandbox/bulk", switches)
        assert answer.status == 200, answer.body
        return answer.json


@pytest.fixture
def bulk(sandbox):
    return Bulk(sandbox)


def refusal(answer, status, code):
    assert (answer.status, answer.json[0]["errorCode"]) == (status, code), answer.body
    return answer.json[0]["message"]


# ---- query ----


def test_a_query_job_says_what_salesforce_says(sandbox, bulk):
    created = sandbox.post(
        "jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"}
    ).json
    assert len(created["id"]) == 18 and created["id"].startswith("750")
    assert created["state"] == "UploadComplete"
    assert created["apiVersion"] == 60.0
    assert (created["object"], created["operation"]) == ("Account", "query")
    assert (created["lineEnding"], created["columnDelimiter"]) == ("LF", "COMMA")
    assert (created["concurrencyMode"], created["contentType"]) == ("Parallel", "CSV")
    assert "jobType" not in created
    job = bulk.wait("query", created["id"])
    assert (job["state"], job["jobType"], job["numberRecordsProcessed"]) == (
        "JobComplete",
        "V2Query",
        0,
    )
    assert job["isPkChunkingSupported"] is True and job["retries"] == 0
    answer = bulk.results(job)
    assert answer.body == b'"Id"\n'
    assert answer.headers["Sforce-Locator"] == "null"
    assert answer.headers["Sforce-NumberOfRecords"] == "0"


def test_values_are_written_as_the_bulk_api_writes_them(sandbox, bulk):
    parent = sandbox.create("Account", Name="Parent")
    sandbox.insert(
        "Account",
        {
            "Name": 'Say "hi", twice\nplease',
            "ParentId": parent,
            "AnnualRevenue": 12500000000,
            "NumberOfEmployees": 7,
            "CreatedDate": "2026-01-31T10:20:30Z",
        },
    )
    job = bulk.query(
        "SELECT Id, name, Parent.Name, AnnualRevenue, NumberOfEmployees, IsDeleted, CreatedDate, "
        "Owner.Username, Industry, Parent.AnnualRevenue FROM Account WHERE ParentId != null"
    )
    body = bulk.results(job).body.decode()
    header, row = body.split("\n", 1)
    assert header == (
        '"Id","Name","Parent.Name","AnnualRevenue","NumberOfEmployees","IsDeleted","CreatedDate",'
        '"Owner.Username","Industry","Parent.AnnualRevenue"'
    )
    assert row[20:] == (
        ',"Say ""hi"", twice\nplease","Parent","12500000000.0","7","false","2026-01-31T10:20:30.000Z",'
        '"admin@sandbox.example","",""\n'
    )


@pytest.mark.parametrize("name", DELIMITERS)
def test_every_delimiter_and_line_ending(sandbox, bulk, name):
    sandbox.create("Account", Name="A,;|^`\tB", Phone="1")
    for ending, text in (("LF", "\n"), ("CRLF", "\r\n")):
        job = bulk.query(
            "SELECT Name, Phone FROM Account", columnDelimiter=name, lineEnding=ending
        )
        assert (job["columnDelimiter"], job["lineEnding"]) == (name, ending)
        sign = DELIMITERS[name]
        assert bulk.results(job).body.decode() == (
            f'"Name"{sign}"Phone"{text}"A,;|^`\tB"{sign}"1"{text}'
        )


def test_pages_are_cut_by_max_records_and_fetched_again(sandbox, bulk):
    sandbox.load("Account", 25)
    job = bulk.query("SELECT Id, Name FROM Account")
    whole = bulk.results(job).body.decode().splitlines()
    assert len(whole) == 26
    rows, locator, pages = [], None, 0
    while locator != "null":
        parameters = {"maxRecords": 10, **({"locator": locator} if locator else {})}
        answer = bulk.results(job, **parameters)
        again = bulk.results(job, **parameters)
        assert again.body == answer.body
        lines = answer.body.decode().splitlines()
        assert lines[0] == whole[0]
        assert int(answer.headers["Sforce-NumberOfRecords"]) == len(lines) - 1
        locator = answer.headers["Sforce-Locator"]
        rows += lines[1:]
        pages += 1
    assert (pages, rows) == (3, whole[1:])
    assert bulk.results(job, maxRecords=10).headers["Sforce-Locator"] == "MTA"
    refusal(bulk.results(job, locator="bm9uZQ"), 400, "INVALID_QUERY_LOCATOR")
    refusal(bulk.results(job, locator="MTAw"), 400, "INVALID_QUERY_LOCATOR")


def test_result_pages_lead_to_every_row(sandbox, bulk):
    sandbox.load("Account", 65)
    job = bulk.query("SELECT Id FROM Account")
    url = f"jobs/query/{job['id']}/resultPages?maxRecords=10"
    rows, count = [], []
    while url:
        answer = sandbox.get(url).json
        for page in answer["resultPages"]:
            rows += sandbox.get(page["resultUrl"]).body.decode().splitlines()[1:]
        count.append(len(answer["resultPages"]))
        url = answer.get("nextRecordsUrl")
        assert answer["done"] is (url is None)
        if url:
            url += "&maxRecords=10"
    assert count == [5, 2]
    assert rows == bulk.results(job).body.decode().splitlines()[1:]


def test_query_all_sees_the_recycle_bin(sandbox, bulk):
    sandbox.remove("Account", sandbox.create("Account", Name="Gone"))
    assert bulk.rows("SELECT Name FROM Account") == [["Name"]]
    assert bulk.rows("SELECT Name, IsDeleted FROM Account", "queryAll")[1:] == [["Gone", "true"]]


def test_order_and_limit_are_kept_and_a_long_table_is_read_in_pieces(sandbox, bulk):
    sandbox.load("Account", 45000)
    rows = bulk.rows("SELECT Id FROM Account")
    assert len(rows) == 45001
    assert rows[1:] == sorted(rows[1:])
    last = bulk.rows("SELECT Id FROM Account ORDER BY Id DESC LIMIT 3")[1:]
    assert last == rows[:-4:-1]
    job = bulk.query("SELECT Id, Name FROM Account")
    packed = sandbox.get(
        f"jobs/query/{job['id']}/results", headers={"Accept-Encoding": "gzip"}
    )
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == bulk.results(job).body


def test_results_do_not_move_when_rows_change(sandbox, bulk):
    account = sandbox.create("Account", Name="Before")
    job = bulk.query("SELECT Name FROM Account")
    sandbox.update("Account", account, Name="After")
    assert bulk.results(job).body == b'"Name"\n"Before"\n'


@pytest.mark.parametrize(
    "soql, code",
    [
        ("SELECT Id FORM Account", "MALFORMED_QUERY"),
        ("SELECT Nope__c FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope__c", "INVALID_TYPE"),
        ("SELECT COUNT() FROM Account", "API_ERROR"),
        ("SELECT Name, COUNT(Id) FROM Account GROUP BY Name", "API_ERROR"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR"),
        ("SELECT BillingAddress FROM Account", "FUNCTIONALITY_NOT_ENABLED"),
        ("SELECT Id FROM Account LIMIT 10 OFFSET 2", "API_ERROR"),
        ("SELECT TYPEOF What WHEN Account THEN Name END FROM Task", "API_ERROR"),
    ],
)
def test_what_a_bulk_query_cannot_do_is_refused_at_once(sandbox, soql, code):
    refusal(sandbox.post("jobs/query", {"operation": "query", "query": soql}), 400, code)


def test_results_are_asked_for_at_the_right_time_and_version(sandbox, bulk):
    bulk.switch(stuck=True)
    job = sandbox.post("jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"}).json
    refusal(bulk.results(job), 400, "INVALIDJOBSTATE")
    eventually(lambda: sandbox.get(f"jobs/query/{job['id']}").json["state"] == "InProgress")
    refusal(sandbox.delete(f"jobs/query/{job['id']}"), 400, "INVALIDJOBSTATE")
    bulk.switch(stuck=False)
    job = bulk.wait("query", job["id"])
    assert job["state"] == "JobComplete"
    other = sandbox.get(f"/services/data/v58.0/jobs/query/{job['id']}/results")
    assert other.status == 409
    assert sandbox.get("jobs/query/750000000000001AAA").status == 404
    assert sandbox.delete(f"jobs/query/{job['id']}").status == 204
    assert sandbox.get(f"jobs/query/{job['id']}").status == 404


def test_a_query_job_can_be_aborted(sandbox, bulk):
    bulk.switch(stuck=True)
    job = sandbox.post("jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"}).json
    aborted = sandbox.patch(f"jobs/query/{job['id']}", {"state": "Aborted"})
    assert aborted.json["state"] == "Aborted"
    refusal(
        sandbox.patch(f"jobs/query/{job['id']}", {"state": "Aborted"}), 400, "INVALIDJOBSTATE"
    )


def test_jobs_are_listed_by_kind_and_forgotten_after_a_week(sandbox, bulk):
    for _ in range(3):
        bulk.query("SELECT Id FROM Account")
    bulk.open("insert")
    listed = sandbox.get("jobs/query").json
    assert (listed["done"], listed["nextRecordsUrl"], len(listed["records"])) == (True, None, 3)
    assert [job["jobType"] for job in sandbox.get("jobs/ingest").json["records"]] == ["V2Ingest"]
    assert sandbox.get("jobs/ingest?jobType=Classic").json["records"] == []
    sandbox.advance(8 * 24 * 3600)
    bulk.query("SELECT Id FROM Account")
    assert len(sandbox.get("jobs/query").json["records"]) == 1


def test_the_door_makes_pages_small_and_shuffles_rows(sandbox, bulk):
    sandbox.load("Account", 300)
    in_order = bulk.rows("SELECT Id FROM Account")
    assert bulk.switch(page_rows=100, shuffle=True)["page_rows"] == 100
    job = bulk.query("SELECT Id FROM Account")
    pages = []
    locator = ""
    while locator != "null":
        answer = bulk.results(job, **({"locator": locator} if locator else {}))
        pages.append(answer.body.decode().splitlines())
        locator = answer.headers["Sforce-Locator"]
    assert [len(page) for page in pages] == [101, 101, 101]
    rows = [row.strip('"') for page in pages for row in page[1:]]
    assert rows != [row[0] for row in in_order[1:]]
    assert sorted(rows) == [row[0] for row in in_order[1:]]


def test_pages_can_be_rendered_before_anyone_asks(sandbox, bulk):
    sandbox.load("Account", 10)
    question = {"operation": "query", "query": "SELECT Id FROM Account"}
    assert sandbox.post("/_sandbox/bulk/prepare", question).json == {"rows": 10}
    sandbox.load("Account", 10)
    assert bulk.query(question["query"])["numberRecordsProcessed"] == 10
    assert bulk.query(question["query"], lineEnding="CRLF")["numberRecordsProcessed"] == 20
    refusal(sandbox.post("/_sandbox/bulk/prepare", {"operation": "insert"}), 400, "INVALIDJOB")


# ---- ingest ----


def test_an_ingest_job_goes_through_its_states(sandbox, bulk):
    job = bulk.open("insert")
    assert job["state"] == "Open"
    assert job["contentUrl"] == f"services/data/v60.0/jobs/ingest/{job['id']}/batches"
    assert "jobType" not in job
    assert bulk.upload(job, "Name\nOne\n").body == b""
    refusal(bulk.upload(job, "Name\nTwo\n"), 400, "INVALIDJOBSTATE")
    refusal(sandbox.get(f"jobs/ingest/{job['id']}/successfulResults"), 400, "INVALIDJOBSTATE")
    refusal(sandbox.delete(f"jobs/ingest/{job['id']}"), 400, "INVALIDJOBSTATE")
    refusal(sandbox.patch(f"jobs/ingest/{job['id']}", {"state": "Odd"}), 400, "INVALIDJOBSTATE")
    sandbox.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    done = bulk.wait("ingest", job["id"])
    assert (done["state"], done["jobType"]) == ("JobComplete", "V2Ingest")
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (1, 0)
    assert {"apiActiveProcessingTime", "apexProcessingTime", "totalProcessingTime"} <= set(done)
    assert sandbox.delete(f"jobs/ingest/{job['id']}").status == 204


def test_results_tell_of_every_row_in_the_jobs_own_dialect(sandbox, bulk):
    job = bulk.ingest(
        "insert",
        'Name|Phone\r\n"A ""1"""|5\r\n|6\r\n',
        columnDelimiter="PIPE",
        lineEnding="CRLF",
    )
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (2, 1)
    account = sandbox.query("SELECT Id FROM Account")[0]["Id"]
    url = f"jobs/ingest/{job['id']}/"
    assert sandbox.get(url + "successfulResults").body.decode() == (
        f'"sf__Id"|"sf__Created"|"Name"|"Phone"\r\n"{account}"|"true"|"A ""1"""|"5"\r\n'
    )
    assert sandbox.get(url + "failedResults/").body.decode() == (
        '"sf__Id"|"sf__Error"|"Name"|"Phone"\r\n'
        '""|"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"|""|"6"\r\n'
    )
    assert sandbox.get(url + "unprocessedrecords").body.decode() == '"Name"|"Phone"\r\n'


def test_empty_cells_say_nothing_and_na_says_null(sandbox, bulk):
    account = sandbox.create("Account", Name="A", Phone="1", Fax="2", Industry="Energy")
    bulk.ingest("update", f'Id,Phone,Fax,Industry\n{account},,#N/A,"#N/A"\n')
    row = sandbox.retrieve("Account", account)
    assert (row["Phone"], row["Fax"], row["Industry"]) == ("1", None, None)


def test_upsert_creates_and_changes_by_external_id(sandbox, bulk):
    sandbox.create("Account", Name="Old", External_Id__c="X-1")
    job = bulk.ingest(
        "upsert",
        "External_Id__c,Name\nx-1,New\nX-2,Second\n,None\n",
        externalIdFieldName="External_Id__c",
    )
    assert job["externalIdFieldName"] == "External_Id__c"
    made = {row["Name"]: row["sf__Created"] for row in bulk.outcome(job, "successfulResults")}
    assert made == {"New": "false", "Second": "true"}
    failed = bulk.outcome(job, "failedResults")
    assert [row["sf__Error"].split(":")[0] for row in failed] == ["MISSING_ARGUMENT"]
    names = sandbox.query("SELECT Name FROM Account ORDER BY Name")
    assert [row["Name"] for row in names] == ["New", "Second"]


def test_parents_are_named_by_keys_of_their_own(sandbox, bulk):
    account = sandbox.create("Account", Name="P", External_Id__c="P-1")
    job = bulk.ingest(
        "insert",
        "LastName,Account.External_Id__c,User:Owner.Username\n"
        f"One,P-1,{sandbox.username}\nTwo,nope,\nThree,,\n",
        name="Contact",
    )
    assert job["numberRecordsFailed"] == 1
    error = bulk.outcome(job, "failedResults")[0]["sf__Error"]
    assert error.startswith("INVALID_FIELD:Foreign key external ID: nope not found")
    rows = sandbox.query("SELECT LastName, AccountId FROM Contact ORDER BY LastName")
    assert [(row["LastName"], row["AccountId"]) for row in rows] == [
        ("One", account),
        ("Three", None),
    ]
    one = sandbox.query("SELECT Id FROM Contact WHERE LastName = 'One'")[0]["Id"]
    bulk.ingest("update", f"Id,Account.External_Id__c\n{one},#N/A\n", name="Contact")
    assert sandbox.retrieve("Contact", one)["AccountId"] is None


def test_delete_fills_the_bin_and_hard_delete_does_not(sandbox, bulk):
    first, second = (sandbox.create("Account", Name=name) for name in "AB")
    bulk.ingest("delete", f"Id\n{first}\n")
    bulk.ingest("hardDelete", f"Id\n{second}\n")
    assert [row["Id"] for row in sandbox.query_all("SELECT Id FROM Account")] == [first]
    again = bulk.ingest("delete", f"Id\n{first}\n")
    failed = bulk.outcome(again, "failedResults")[0]
    assert (failed["sf__Id"], failed["sf__Error"]) == (
        first,
        "ENTITY_IS_DELETED:entity is deleted:--",
    )
    bulk.switch(hard_delete=False)
    answer = sandbox.post("jobs/ingest", {"object": "Account", "operation": "hardDelete"})
    refusal(answer, 400, "FEATURENOTENABLED")


def test_booleans_have_six_words(sandbox, bulk):
    words = ["true", "1", "yes", "FALSE", "0", "No"]
    lines = "".join(f"{word},{word}\n" for word in words)
    job = bulk.ingest("insert", "LastName,DoNotCall\n" + lines, name="Contact")
    assert job["numberRecordsFailed"] == 0
    rows = sandbox.query("SELECT LastName, DoNotCall FROM Contact")
    assert {row["LastName"]: row["DoNotCall"] for row in rows} == dict(
        zip(words, [True, True, True, False, False, False])
    )


@pytest.mark.parametrize(
    "operation, text, message",
    [
        ("insert", "Name,Foo__c\nA,1\n", "InvalidBatch : Field name not found : Foo__c"),
        ("insert", "Name\r\nA\r\n", "LineEnding is invalid on user data. Current LineEnding setting is LF"),
        ("insert", 'Name\nA"B\n', "Found unescaped quote"),
        ("insert", 'Name\n"A\n', "EOF reached before closing an opened quote"),
        ("insert", "Name\nA,B\n", "more fields than the header"),
        ("insert", "", "Records not found"),
        ("update", "Name\nA\n", "Id"),
        ("insert", "BillingAddress\nA\n", "Field name not found : BillingAddress"),
        ("insert", "Account.Name\nA\n", "Field name not found : Account.Name"),
    ],
)
def test_bad_data_fails_the_job_in_salesforces_words(bulk, operation, text, message):
    job = bulk.ingest(operation, text)
    assert job["state"] == "Failed"
    assert job["errorMessage"].startswith("InvalidBatch : ")
    assert message in job["errorMessage"]


def test_text_that_is_not_utf8_fails_the_job(sandbox, bulk):
    job = bulk.open("insert")
    sandbox.request(
        "PUT", "/" + job["contentUrl"], b"Name\nA\xff\n", headers={"Content-Type": "text/csv"}
    )
    sandbox.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    assert bulk.wait("ingest", job["id"])["state"] == "Failed"


@pytest.mark.parametrize(
    "body, code",
    [
        ({"operation": "insert", "object": "Nope__c"}, "INVALIDENTITY"),
        ({"operation": "paint", "object": "Account"}, "INVALIDJOB"),
        ({"operation": "upsert", "object": "Account"}, "INVALIDJOB"),
        (
            {"operation": "upsert", "object": "Account", "externalIdFieldName": "Phone"},
            "INVALIDJOB",
        ),
        ({"operation": "insert", "object": "Account", "contentType": "XML"}, "INVALIDJOB"),
        ({"operation": "insert", "object": "Account", "lineEnding": "CR"}, "INVALIDJOB"),
    ],
)
def test_a_bad_job_is_refused_by_code(sandbox, body, code):
    refusal(sandbox.post("jobs/ingest", body), 400, code)


def test_one_multipart_call_does_it_all(sandbox, bulk):
    job = json.dumps({"object": "Account", "operation": "insert", "contentType": "CSV"})
    body = (
        '--B\r\nContent-Type: application/json\r\nContent-Disposition: form-data; name="job"\r\n'
        f"\r\n{job}\r\n"
        '--B\r\nContent-Type: text/csv\r\nContent-Disposition: form-data; name="content"; '
        'filename="content"\r\n\r\nName\nWhole\n\r\n--B--\r\n'
    )
    answer = sandbox.request(
        "POST",
        "jobs/ingest",
        body.encode(),
        headers={"Content-Type": "multipart/form-data; boundary=B"},
    )
    assert (answer.status, answer.json["state"]) == (200, "UploadComplete")
    assert bulk.wait("ingest", answer.json["id"])["numberRecordsProcessed"] == 1
    assert [row["Name"] for row in sandbox.query("SELECT Name FROM Account")] == ["Whole"]


def test_a_job_that_fails_half_way_keeps_what_it_did(sandbox, bulk):
    bulk.switch(fail_after=250)
    names = [f"A{number}" for number in range(400)]
    job = bulk.ingest("insert", "Name\n" + "\n".join(names) + "\n")
    assert (job["state"], job["numberRecordsProcessed"]) == ("Failed", 250)
    assert job["errorMessage"]
    assert [row["Name"] for row in bulk.outcome(job, "successfulResults")] == names[:250]
    assert [row["Name"] for row in bulk.outcome(job, "unprocessedrecords")] == names[250:]
    assert len(sandbox.query("SELECT Id FROM Account")) == 250
    assert bulk.ingest("insert", "Name\nNext\n")["state"] == "JobComplete"


def test_an_aborted_job_leaves_its_rows_unprocessed(sandbox, bulk):
    bulk.switch(stuck=True)
    job = bulk.open("insert")
    bulk.upload(job, "Name\nA\nB\n")
    sandbox.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    aborted = sandbox.patch(f"jobs/ingest/{job['id']}", {"state": "Aborted"}).json
    assert aborted["state"] == "Aborted"
    bulk.switch(stuck=False)
    assert [row["Name"] for row in bulk.outcome(job, "unprocessedrecords")] == ["A", "B"]
    assert bulk.outcome(job, "successfulResults") == []
    assert sandbox.query("SELECT Id FROM Account") == []


def test_rows_of_results_may_come_in_another_order(sandbox, bulk):
    bulk.switch(shuffle=True)
    names = [f"A{number}" for number in range(300)]
    job = bulk.ingest("insert", "Name\n" + "\n".join(names) + "\n")
    found = [row["Name"] for row in bulk.outcome(job, "successfulResults")]
    assert found != names and sorted(found) == sorted(names)


def test_other_calls_go_on_while_a_job_runs(sandbox, bulk):
    job = bulk.open("insert")
    bulk.upload(job, "Name\n" + "".join(f"A{number}\n" for number in range(30000)))
    sandbox.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    seen = sandbox.get(f"jobs/ingest/{job['id']}").json
    assert seen["state"] == "InProgress"
    assert seen["numberRecordsProcessed"] < 30000
    assert bulk.wait("ingest", job["id"])["numberRecordsProcessed"] == 30000
