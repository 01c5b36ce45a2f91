"""Bulk API 1.0 of the sandbox organisation: batches of CSV, described in XML or JSON."""

import re

import pytest

from eventually import eventually

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"


class Async:
    """A client of the old API; it speaks XML unless told otherwise."""

    def __init__(self, sandbox):
        self.org = sandbox

    def call(self, method, path, body=None, content_type="application/xml; charset=UTF-8"):
        headers = {"X-SFDC-Session": self.org.token, "Content-Type": content_type}
        headers["Authorization"] = "none"
        return self.org.request(
            method,
            f"/services/async/50.0/job{path}",
            body.encode() if body is not None else None,
            headers=headers,
        )

    def open(self, operation, name="Account", more=""):
        answer = self.call(
            "POST",
            "",
            f'<?xml version="1.0"?><jobInfo xmlns="{NAMESPACE}"><operation>{operation}</operation>'
            f"<object>{name}</object>{more}<contentType>CSV</contentType></jobInfo>",
        )
        assert answer.status == 201, answer.body
        return text_of(answer, "id")

    def batch(self, job, data):
        answer = self.call("POST", f"/{job}/batch", data, "text/csv; charset=UTF-8")
        assert answer.status == 201, answer.body
        assert text_of(answer, "state") == "Queued"
        return text_of(answer, "id")

    def wait(self, job, batch):
        def ended():
            answer = self.call("GET", f"/{job}/batch/{batch}")
            return answer if text_of(answer, "state") not in ("Queued", "InProgress") else None

        return eventually(ended)


def text_of(answer, name):
    text = answer.body.decode()
    assert NAMESPACE in text
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return found and found.group(1)


@pytest.fixture
def old(sandbox):
    return Async(sandbox)


def test_a_batch_answers_row_by_row(sandbox, old):
    job = old.open("insert")
    batch = old.batch(job, "Name,Phone\r\nA,1\r\n,2\r\n")
    assert job.startswith("750") and batch.startswith("751")
    info = old.wait(job, batch)
    assert text_of(info, "state") == "Completed"
    assert (text_of(info, "jobId"), text_of(info, "numberRecordsProcessed")) == (job, "2")
    account = sandbox.query("SELECT Id FROM Account")[0]["Id"]
    result = old.call("GET", f"/{job}/batch/{batch}/result")
    assert result.body.decode() == (
        '"Id","Success","Created","Error"\n'
        f'"{account}","true","true",""\n'
        '"","false","false",'
        '"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"\n'
    )
    request = old.call("GET", f"/{job}/batch/{batch}/request")
    assert request.body == b"Name,Phone\r\nA,1\r\n,2\r\n"
    closed = old.call("POST", f"/{job}", f'<jobInfo xmlns="{NAMESPACE}"><state>Closed</state></jobInfo>')
    assert (text_of(closed, "state"), text_of(closed, "numberBatchesCompleted")) == ("Closed", "1")
    assert text_of(closed, "numberRecordsFailed") == "1"
    refused = old.call("POST", f"/{job}/batch", "Name\nB\n", "text/csv")
    assert (refused.status, text_of(refused, "exceptionCode")) == (400, "InvalidJobState")


def test_an_upsert_and_a_delete(sandbox, old):
    key = "<externalIdFieldName>External_Id__c</externalIdFieldName>"
    job = old.open("upsert", more=key)
    old.wait(job, old.batch(job, "External_Id__c,Name\nX,One\n"))
    batch = old.batch(job, "External_Id__c,Name\nX,Two\n")
    old.wait(job, batch)
    result = old.call("GET", f"/{job}/batch/{batch}/result").body.decode().splitlines()[1]
    account = sandbox.query("SELECT Id FROM Account WHERE Name = 'Two'")[0]["Id"]
    assert result == f'"{account}","true","false",""'
    listed = old.call("GET", f"/{job}/batch").body.decode()
    assert listed.count("<batchInfo>") == 2 and "<batchInfoList " in listed
    job = old.open("delete")
    old.wait(job, old.batch(job, f"Id\n{account}\n"))
    assert sandbox.query("SELECT Id FROM Account") == []


def test_a_query_has_a_list_of_results(sandbox, old):
    sandbox.create("Account", Name="A & B")
    job = old.open("query")
    batch = old.batch(job, "SELECT Name FROM Account")
    assert text_of(old.wait(job, batch), "state") == "Completed"
    results = old.call("GET", f"/{job}/batch/{batch}/result")
    result = text_of(results, "result")
    assert result.startswith("752")
    rows = old.call("GET", f"/{job}/batch/{batch}/result/{result}")
    assert rows.body == b'"Name"\n"A & B"\n'
    refused = old.call("POST", f"/{job}/batch", "SELECT Nope FROM Account", "text/csv")
    assert (refused.status, text_of(refused, "exceptionCode")) == (400, "InvalidBatch")
    assert "No such column" in refused.body.decode()


def test_clients_of_json_get_json(old):
    made = old.call(
        "POST", "", '{"operation": "insert", "object": "Account", "contentType": "CSV"}', "application/json"
    )
    assert (made.status, made.json["state"], made.json["numberBatchesTotal"]) == (201, "Open", 0)


def test_bad_data_fails_the_batch_and_an_aborted_job_its_batches(sandbox, old):
    job = old.open("insert")
    info = old.wait(job, old.batch(job, "Nope\n1\n"))
    assert text_of(info, "state") == "Failed"
    assert text_of(info, "stateMessage") == "InvalidBatch : Field name not found : Nope"
    sandbox.post("/_sandbox/bulk", {"stuck": True})
    batch = old.batch(job, "Name\nA\n")
    old.call("POST", f"/{job}", f'<jobInfo xmlns="{NAMESPACE}"><state>Aborted</state></jobInfo>')
    assert text_of(old.wait(job, batch), "state") == "Not Processed"


@pytest.mark.parametrize(
    "info, code",
    [
        ("<operation>insert</operation><object>Nope</object>", "InvalidEntity"),
        ("<object>Account</object>", "InvalidJob"),
        (
            "<operation>insert</operation><object>Account</object><contentType>XML</contentType>",
            "InvalidJob",
        ),
    ],
)
def test_a_bad_job_is_refused(old, info, code):
    answer = old.call("POST", "", f'<jobInfo xmlns="{NAMESPACE}">{info}</jobInfo>')
    assert (answer.status, text_of(answer, "exceptionCode")) == (400, code)


def test_sessions_jobs_and_batches_must_be_there(sandbox, old):
    job = old.open("insert")
    for path, code in (
        ("/750000000000001AAA", "InvalidJob"),
        (f"/{job}/batch/751000000000001AAA", "InvalidBatch"),
    ):
        assert text_of(old.call("GET", path), "exceptionCode") == code
    old.org = type("Nobody", (), {"token": "x", "request": sandbox.request})
    assert text_of(old.call("GET", f"/{job}"), "exceptionCode") == "InvalidSessionId"


def test_batches_do_not_show_among_the_jobs_of_the_newer_api(sandbox, old):
    job = old.open("insert")
    batch = old.batch(job, "Name\nA\n")
    old.wait(job, batch)
    assert sandbox.get("jobs/ingest").json["records"] == []
    assert sandbox.get(f"jobs/ingest/{batch}").status == 404
    sandbox.reset()
    assert text_of(old.call("GET", f"/{job}"), "exceptionCode") == "InvalidJob"
