"""pgforce-sandbox object add."""

import json
import subprocess

import pytest
from sandbox import BUILD, Sandbox


def add(*options):
    command = [BUILD / "bin" / "pgforce-sandbox", "object", "add", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def fields(org, name):
    return {f["name"]: f for f in org.get(f"sobjects/{name}/describe").json["fields"]}


OPTIONS = (
    "Plan__c", "--label", "Plan", "--field", "Code__c:string(20),unique,external-id",
    "--field", "Price__c:currency(16,2),required", "--field", "Stage__c:picklist(Idea|Done),restricted",
    "--field", "Account__c:reference(Account),master",
)  # fmt: skip


def test_an_object_is_added_to_a_sandbox_that_runs(sandbox):
    done = add(*OPTIONS, "--url", sandbox.url)
    assert (done.returncode, done.stderr) == (0, "")
    made = fields(sandbox, "Plan__c")
    assert (made["Code__c"]["length"], made["Code__c"]["externalId"]) == (20, True)
    assert (made["Price__c"]["precision"], made["Price__c"]["nillable"]) == (16, False)
    assert [v["value"] for v in made["Stage__c"]["picklistValues"]] == ["Idea", "Done"]
    assert made["Account__c"]["relationshipName"] == "Account__r" and made["Account__c"]["cascadeDelete"]
    assert add("Plan__c", "--field", "More__c:date", "--url", sandbox.url).returncode == 0
    assert "More__c" in fields(sandbox, "Plan__c")


def test_an_object_is_added_to_a_data_file(tmp_path):
    data = tmp_path / "org.db"
    with Sandbox(tmp_path, "--data", data):
        pass
    assert add(*OPTIONS, "--data", data).returncode == 0
    with Sandbox(tmp_path, "--data", data) as org:
        assert "Code__c" in fields(org, "Plan__c")


def test_a_file_is_added_as_it_is(sandbox, tmp_path):
    file = tmp_path / "objects.json"
    file.write_text(json.dumps([{"name": "A__c", "fields": [{"name": "B__c", "type": "int"}]}]))
    assert add("--file", file, "--url", sandbox.url).returncode == 0
    assert fields(sandbox, "A__c")["B__c"]["type"] == "int"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 64, "name one object"),
        (["A__c", "B__c"], 64, "name one object"),
        (["A__c", "--field", "B__c"], 64, "NAME:TYPE"),
        (["A__c", "--field", "B__c:string(x)"], 64, "is no size"),
        (["A__c", "--field", "B__c:string(5"], 64, "NAME:TYPE"),
        (["A__c", "--field", "B__c:string,shiny"], 64, "shiny"),
        (["A__c", "--file", "/nowhere.json"], 64, "/nowhere.json"),
        (["A__c", "--nope"], 64, "Usage"),
        (["A__c", "--data", "/nowhere/org.db"], 1, "/nowhere/org.db"),
        (["A__c", "--url", "http://127.0.0.1:1"], 1, "no sandbox answers"),
    ],
)
def test_what_is_wrong_is_said(options, code, words):
    done = add(*options)
    assert done.returncode == code and words in done.stderr


def test_what_the_sandbox_refuses_is_said(sandbox):
    done = add("A__c", "--field", "B__c:colour", "--url", sandbox.url)
    assert done.returncode == 1 and 'no type "colour"' in done.stderr
