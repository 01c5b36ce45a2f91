"""Another version of Salesforce's API: what it would change, when it is refused, what it does."""

import json

import pytest

from api import Api
from eventually import eventually
from sync import mapping


@pytest.fixture
def mapped(sync):
    sync.org.define({"name": "Thing__c", "label": "Thing", "fields": [CODE]})
    sync.load(mapping("Thing__c", "Name", "Code__c"))
    return sync


CODE = {"name": "Code__c", "label": "Code", "type": "string", "length": 40}


def in_the_new_version(sync, **change):
    """What describe says of Code__c in version 61.0: with a change, or, without one, nothing at all."""
    described = sync.org.get("sobjects/Thing__c/describe").json
    fields = [field for field in described["fields"] if field["name"] != "Code__c" or change]
    for field in fields:
        if field["name"] == "Code__c":
            field.update(change)
    described["fields"] = fields
    sync.org.fault(
        {
            "match": {"method": "GET", "path": "/services/data/v61.0/sobjects/Thing__c/describe"},
            "status": 200,
            "body": described,
            "times": 100,
        }
    )


def diff(sync, target="61.0"):
    return json.loads(sync.pgforce.run("api-version", target, "--json").stdout)


def column_type(sync):
    return sync.value(
        "select format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = 'salesforce.thing__c'::regclass and attname = 'code__c'"
    )


def test_the_version_is_told_and_nothing_changes_by_asking(mapped):
    assert mapped.pgforce.run("api-version").stdout == "60.0\n"
    report = diff(mapped)
    assert (report["current_api_version"], report["target_api_version"]) == ("60.0", "61.0")
    assert report["mappings"] == [
        {
            "name": "Thing__c",
            "fields_have_changed": False,
            "has_unsafe_changes": False,
            "action_undetermined": False,
            "result_message": "",
        }
    ]
    assert [r for r in mapped.org.journal() if "/v61.0/sobjects/Thing__c/describe" in r["path"]]
    assert mapped.pgforce.run("api-version").stdout == "60.0\n"


def test_a_longer_text_grows_and_the_roles_speak_the_new_version(mapped):
    in_the_new_version(mapped, length=80)
    (found,) = diff(mapped)["mappings"]
    assert (found["fields_have_changed"], found["has_unsafe_changes"]) == (True, False)
    assert "Code__c will grow from varchar(40) to varchar(80)" in found["result_message"]
    assert column_type(mapped) == "character varying(40)"
    mapped.pgforce.run("pause")
    answer = json.loads(mapped.pgforce.run("api-version", "61", "--change", "--json").stdout)
    assert answer["target_version"] == "61.0"
    assert column_type(mapped) == "character varying(80)"
    mapped.pgforce.run("resume")
    for role in ("push", "pull"):
        assert mapped.roles[role].wait() == 75
    mapped.org.journal(clear=True)
    mapped.start("push", "pull")
    mapped.query("insert into salesforce.thing__c (name, code__c) values ('a', %s)", ["x" * 30])
    eventually(lambda: [row for row in mapped.org.rows("Thing__c") if row["Code__c"] == "x" * 30])
    paths = {r["path"] for r in mapped.org.journal() if "/services/data/" in r["path"]}
    assert paths
    assert all("/v61.0" in path for path in paths)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"length": 20}, "from varchar(40) to varchar(20)"),
        ({"type": "double", "length": 0, "precision": 18, "scale": 2}, "to double precision"),
        ({}, "no longer there"),
    ],
)
def test_what_would_lose_data_is_refused(mapped, change, said):
    in_the_new_version(mapped, **change)
    (found,) = diff(mapped)["mappings"]
    assert found["has_unsafe_changes"] is True
    assert said in found["result_message"]
    mapped.pgforce.run("pause")
    refused = mapped.pgforce.run("api-version", "61.0", "--change", expect=78)
    assert "would lose data" in refused.stderr
    assert "UNSAFE" in refused.stdout
    assert mapped.pgforce.run("api-version").stdout == "60.0\n"


def test_what_is_not_paused_or_still_loads_is_refused(mapped):
    refused = mapped.pgforce.run("api-version", "61.0", "--change", expect=78)
    assert "pgforce pause" in refused.stderr
    mapped.pgforce.run("pause")
    mapped.roles["pull"].stop()
    mapped.query("update pgforce.mapping set state = 'RESYNC'", role="pgforce")
    refused = mapped.pgforce.run("api-version", "61.0", "--change", "--json", expect=78)
    assert json.loads(refused.stdout)["syncing_mappings"] == ["Thing__c"]


def test_what_is_no_version_or_set_elsewhere_is_refused(mapped):
    for text in ("x", "44.0", "61.5", "-1"):
        mapped.pgforce.run("api-version", text, expect=64)
    mapped.pgforce.run("api-version", "--change", expect=64)
    mapped.pgforce.run("pause")
    env = {"PGFORCE_SF_API_VERSION": "60.0"}
    refused = mapped.pgforce.run("api-version", "61.0", "--change", env=env, expect=78)
    assert "PGFORCE_SF_API_VERSION" in refused.stderr


def test_the_api_answers_as_heroku_connects(mapped):
    token = mapped.pgforce.run("token", "create", "root", "admin").stdout.strip()
    api = Api(mapped.pgforce, token)
    path = "/api/v3/connections/" + api.get("/connections").json["results"][0]["id"]
    answer = api.get(path + "/schema-diff?target_version=61.0")
    assert (answer.status, answer.json["target_api_version"]) == (200, "61.0")
    change = path + "/actions/change-sf-api-version"
    refused = api.post(change, {"target_version": "61.0"})
    assert refused.status == 409
    assert "pause" in refused.json["message"]
    assert refused.json["mappings"][0]["name"] == "Thing__c"
    for wrong in ({}, {"target_version": "--yes"}, {"target_version": None}):
        assert api.post(change, wrong).status == 400
    mapped.pgforce.run("pause")
    answer = api.post(change, {"target_version": "61.0"})
    assert (answer.status, answer.json["target_version"]) == (202, "61.0")
    assert api.get(path).json["sf_info"]["api_version"] == "61.0"
