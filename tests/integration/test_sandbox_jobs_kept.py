"""Bulk jobs of the sandbox's organisation outlive it: a restart, a crash, a snapshot."""

import pytest

from eventually import eventually
from sandbox import Sandbox
from test_sandbox_bulk import Bulk

ROWS = 20000


@pytest.fixture
def kept(tmp_path):
    """An organisation with a data file; .again() is the same after a stop."""

    class Kept(Sandbox):
        def again(self, kill=False):
            if kill:
                self.process.kill()
            self.stop()
            return self.start()

    with Kept(tmp_path, "--data", str(tmp_path / "org.db")) as org:
        yield org


def text_of(count):
    return "Name,External_Id__c\n" + "".join(f"N{n},x-{n}\n" for n in range(count))


def test_what_was_asked_and_loaded_is_there_after_a_restart(kept):
    bulk = Bulk(kept)
    loaded = bulk.ingest("insert", "Name,Phone\nA,1\n,2\nB,3\n")
    kinds = ("successfulResults", "failedResults", "unprocessedrecords")
    results = [bulk.outcome(loaded, kind) for kind in kinds]
    asked = bulk.query("SELECT Name FROM Account ORDER BY Name")
    rows = bulk.results(asked).body
    kept.create("Account", Name="Later")
    kept.again()
    assert kept.get(f"jobs/ingest/{loaded['id']}").json == loaded
    assert [bulk.outcome(loaded, kind) for kind in kinds] == results
    assert kept.get(f"jobs/query/{asked['id']}").json == asked
    assert bulk.results(asked).body == rows == b'"Name"\n"A"\n"B"\n'
    page = bulk.results(asked, maxRecords=1)
    assert (page.body, page.headers["Sforce-NumberOfRecords"]) == (b'"Name"\n"A"\n', "1")
    assert bulk.open("insert")["id"] not in (loaded["id"], asked["id"])
    kept.delete(f"jobs/ingest/{loaded['id']}")
    kept.again()
    assert kept.get(f"jobs/ingest/{loaded['id']}").status == 404


def test_a_job_goes_on_after_a_restart_where_its_client_was(kept):
    bulk = Bulk(kept)
    opened, uploaded = bulk.open("insert"), bulk.open("insert")
    bulk.upload(uploaded, "Name\nA\n")
    kept.again()
    assert kept.get(f"jobs/ingest/{opened['id']}").json["state"] == "Open"
    assert bulk.upload(opened, "Name\nB\n").status == 201
    for job in (opened, uploaded):
        assert kept.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"}).status == 200
        assert bulk.wait("ingest", job["id"])["numberRecordsProcessed"] == 1
    assert len(kept.query("SELECT Id FROM Account")) == 2


def begin(kept, bulk, rows):
    """A job that is under way, or None if it has ended meanwhile."""
    kept.reset()
    job = bulk.open("insert")
    bulk.upload(job, text_of(rows))
    path = f"jobs/ingest/{job['id']}"
    kept.patch(path, {"state": "UploadComplete"})
    eventually(lambda: kept.get(path).json["numberRecordsProcessed"] > 0)
    return job if kept.get(path).json["numberRecordsProcessed"] < rows else None


def test_a_killed_job_loses_and_repeats_nothing(kept):
    bulk = Bulk(kept)
    # Whoever is held up here for as long as a job takes finds it ended: then a longer one.
    rows, job = next(found for found in ((rows, begin(kept, bulk, rows)) for rows in (ROWS, 5 * ROWS)) if found[1])
    kept.again(kill=True)
    ended = bulk.wait("ingest", job["id"])
    assert (ended["state"], ended["numberRecordsProcessed"], ended["numberRecordsFailed"]) == (
        "JobComplete",
        rows,
        0,
    )
    names = [row["Name"] for row in bulk.outcome(job, "successfulResults")]
    assert names == [f"N{n}" for n in range(rows)]
    count = kept.query_page("SELECT COUNT() FROM Account").json["totalSize"]
    assert count == rows


def test_a_snapshot_has_the_jobs_of_its_moment(sandbox):
    bulk = Bulk(sandbox)
    loaded = bulk.ingest("insert", "Name\nA\n")
    asked = bulk.query("SELECT Name FROM Account")
    stuck = bulk.open("insert")
    bulk.upload(stuck, "Name\nB\n")
    sandbox.post("/_sandbox/snapshot", {"name": "s"})
    sandbox.patch(f"jobs/ingest/{stuck['id']}", {"state": "Aborted"})
    sandbox.delete(f"jobs/query/{asked['id']}")
    late = bulk.ingest("insert", "Name\nC\n")
    for _ in range(2):
        assert sandbox.post("/_sandbox/restore", {"name": "s"}).status == 200
        assert sandbox.get(f"jobs/ingest/{late['id']}").status == 404
        assert bulk.results(asked).body == b'"Name"\n"A"\n'
        assert [row["Name"] for row in bulk.outcome(loaded, "successfulResults")] == ["A"]
    sandbox.patch(f"jobs/ingest/{stuck['id']}", {"state": "UploadComplete"})
    assert bulk.wait("ingest", stuck["id"])["state"] == "JobComplete"
    names = [row["Name"] for row in sandbox.query("SELECT Name FROM Account ORDER BY Name")]
    assert names == ["A", "B"]


def test_batches_of_the_older_api_are_kept_too(kept):
    session = {"X-SFDC-Session": kept.token, "Content-Type": "application/json"}
    jobs = "/services/async/60.0/job"
    order = {"operation": "insert", "object": "Account", "contentType": "CSV"}
    job = kept.post(jobs, order, headers=session).json
    path = f"{jobs}/{job['id']}"
    csv = {**session, "Content-Type": "text/csv"}
    assert kept.request("POST", f"{path}/batch", b"Name\nA\n", headers=csv).status == 201
    eventually(lambda: kept.get(path, headers=session).json["numberBatchesCompleted"] == 1)
    before = kept.get(path, headers=session).json
    kept.again()
    assert kept.get(path, headers=session).json == before
    other = kept.post(jobs, order, headers=session).json
    assert other["id"] != job["id"]
