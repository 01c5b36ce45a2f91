"""Heroku Connect's API as its own clients call it: discovery, connections, mappings, actions."""

import json
import uuid

import pytest

from api import Api
from eventually import eventually
from sync import account, contact, export

TOKEN = "a-token-for-tests-0123456789"
APP = "my-app"


@pytest.fixture
def api(sync):
    sync.map(account())
    return Api(sync.pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN, PGFORCE_APP_NAME=APP)


def discover(api):
    """What Heroku's CLI does before any command: discovery, then the detail over it."""
    found = api.get(f"/connections?app={APP}").json
    assert found["count"] == 1
    [item] = found["results"]
    assert item["detail_url"].startswith(item["region_url"])
    path = item["detail_url"].removeprefix(f"http://127.0.0.1:{api.port}")
    detail = api.get(path + "?deep=true").json
    return {**item, **detail}, path


def mapping_path(api):
    connection, _ = discover(api)
    [mapping] = connection["mappings"]
    return f"/api/v3/mappings/{mapping['id']}"


def test_discovery_leads_to_a_connection_and_its_mappings(api):
    connection, path = discover(api)
    uuid.UUID(connection["id"])
    assert connection["app_name"] == APP and connection["schema_name"] == "salesforce"
    assert connection["database"]["database"].startswith("test_")
    assert isinstance(connection["features"], dict) and connection["state"]
    [mapping] = connection["mappings"]
    uuid.UUID(mapping["id"])
    assert mapping["object_name"] == "Account" and isinstance(mapping["state"], str)
    assert all(type(mapping["counts"][name]) is int for name in ("db", "sf", "pending", "errors"))
    assert mapping["config"]["access"] == "read_write"
    assert mapping["connection"] == {"id": connection["id"]}
    for url in ("detail_url", "errors_url", "schema_url"):
        assert mapping[url].startswith(connection["region_url"])
    assert "mappings" not in api.get(path).json
    # django says False and True.
    assert "mappings" not in api.get(path + "?deep=False").json
    assert "mappings" in api.get(path + "?deep=True").json


def test_an_unknown_application_is_an_empty_list_and_an_unknown_id_is_not_found(api):
    answer = api.get("/api/v3/connections?app=other")
    assert (answer.status, answer.json["count"], answer.json["results"]) == (200, 0, [])
    assert api.get("/connections?app=my-app&resource_name=other").json["results"] == []
    for path in (f"connections/{uuid.uuid4()}", f"mappings/{uuid.uuid4()}", "connections/x", "mappings/x"):
        answer = api.get(f"/api/v3/{path}")
        assert answer.status == 404 and answer.json["message"], path


def test_an_application_goes_by_its_name_or_its_uuid(api):
    connection, _ = discover(api)
    for app in (APP, connection["app_id"]):
        assert api.post(f"/auth/{app}").json["connections"][0]["id"] == connection["id"]
        assert api.post(f"/api/v3/users/me/apps/{app}/auth").status == 200
        assert api.get(f"/connections?app={app}").json["count"] == 1
        assert api.get(f"/api/v3/apps/{app}").json["db_keys"] == [{"name": "DATABASE_URL", "addon": None}]
    assert api.post("/auth/other").status == 404


def test_urls_are_made_of_the_configured_address_where_there_is_one(sync):
    api = Api(sync.pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN, PGFORCE_API_URL="https://sync.example:8443")
    [item] = api.get("/connections", headers={"Host": "sync.example:8443"}).json["results"]
    assert item["region_url"] == "https://sync.example:8443"
    assert item["detail_url"] == f"https://sync.example:8443/api/v3/connections/{item['id']}"


def test_what_the_configuration_gives_cannot_be_patched_and_the_name_can(api):
    _, path = discover(api)
    assert api.call("PATCH", path, {"name": "renamed"}).json["name"] == "renamed"
    same = {"db_key": "DATABASE_URL", "schema_name": "salesforce"}
    assert api.call("PATCH", path, same).status == 200
    answer = api.call("PATCH", path, {"schema_name": "other"})
    assert answer.status == 409 and "PGFORCE_SCHEMA" in answer.json["message"]


def test_bodies_as_clients_send_them(api):
    """An empty one with a content type, null on a GET, and what is no JSON."""
    _, path = discover(api)
    kind = {"Content-Type": "application/json"}
    assert api.call("POST", path + "/actions/pause", b"", headers=kind).status == 202
    assert api.call("GET", path + "/notifications", b"null", headers=kind).status == 200
    assert api.call("POST", path + "/notifications/acknowledge", b"null", headers=kind).status == 204
    answer = api.call("POST", path + "/actions/import", b"{broken")
    assert answer.status == 400 and "not JSON" in answer.json["message"]
    assert api.post(path + "/actions/import", {"version": 1}).status == 400


def test_pause_and_resume(api):
    _, path = discover(api)
    assert api.post(path + "/actions/pause").status == 202
    assert api.get(path).json["state"] == "PAUSED"
    assert api.post(path + "/actions/resume").status == 202
    assert api.get(path).json["state"] == "IDLE"
    assert api.post(path + "/actions/restart").status == 202


def test_an_import_adds_mappings_and_answers_without_a_body(api):
    _, path = discover(api)
    answer = api.post(path + "/actions/import", json.loads(export(contact())))
    assert (answer.status, answer.text) == (202, "")
    connection, _ = discover(api)
    assert [m["object_name"] for m in connection["mappings"]] == ["Account", "Contact"]


def test_an_import_that_cannot_be_says_why_and_changes_nothing(api):
    _, path = discover(api)
    file = json.loads(export(contact()))
    file["mappings"][0]["config"]["access"] = "write_only"
    answer = api.post(path + "/actions/import", file)
    assert answer.status == 422 and "access" in answer.json["message"]
    assert len(discover(api)[0]["mappings"]) == 1


def test_a_mapping_is_created_edited_and_deleted(api, database):
    _, path = discover(api)
    answer = api.post(path + "/mappings", contact())
    assert answer.status == 201 and answer.json["object_name"] == "Contact"
    mapping = f"/api/v3/mappings/{answer.json['id']}"
    config = {**answer.json["config"], "sf_polling_seconds": 1200}
    config["fields"] = {**config["fields"], "Title": {}}
    answer = api.call("PATCH", mapping, {"config": config})
    assert (answer.status, answer.json["sf_polling_seconds"]) == (200, 1200)
    database.query("select title from salesforce.contact")

    assert api.call("DELETE", mapping).status == 204
    assert api.get(mapping).status == 404
    assert database.query("select to_regclass('salesforce.contact')") == [(None,)]


def test_an_edit_changes_what_its_config_names_and_takes_away_what_a_list_lacks(api, database):
    path = mapping_path(api)
    before = api.get(path).json["config"]
    answer = api.call("PATCH", path, {"config": {"sf_polling_seconds": 900}})
    assert answer.json["config"] == {**before, "sf_polling_seconds": 900}
    fields = {name: {} for name in before["fields"] if name != "Phone"}
    after = api.call("PATCH", path, {"config": {"fields": fields}}).json["config"]
    assert after["fields"] == fields and after["upsert_field"] == before["upsert_field"]
    assert database.query(
        "select count(*) from information_schema.columns where table_schema = 'salesforce'"
        " and table_name = 'account' and column_name = 'phone'") == [(0,)]
    answer = api.call("PATCH", path, {"config": {"upsert_field": None}})
    assert "upsert_field" not in answer.json["config"] and answer.json["upsert_field"] is None


def test_bad_mappings_are_refused(api):
    _, path = discover(api)
    for body in ({}, {"object_name": "Contact"}, {"object_name": "Contact", "config": []}):
        assert api.post(path + "/mappings", body).status == 400, body
    answer = api.post(path + "/mappings", {**contact(), "object_name": "Nowhere__c"})
    assert answer.status == 422 and "Nowhere__c" in answer.json["message"]
    assert not answer.json["message"].startswith("-"), answer.json


def test_a_reload_is_asked_for_and_carried_out(api, sync):
    sync.org.create("Account", Name="Acme")
    sync.start("archive", "pull")
    eventually(lambda: sync.query("select count(*) from salesforce.account") == [(1,)])
    eventually(lambda: api.get(mapping_path(api)).json["state"] == "DATA_SYNCED")
    sync.query("delete from salesforce.account", role="postgres")
    answer = api.post(mapping_path(api) + "/actions/reload", {"destructive": True})
    assert answer.status == 202
    eventually(lambda: sync.query("select id, name from salesforce.account") == [(2, "Acme")])


def test_write_errors_are_listed(api, sync):
    sync.start("archive", "push")
    sync.org.fault({"match": {"method": "POST", "path": "composite"}, "status": 400,
                    "body": [{"errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "no"}]})
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'a-1')")
    eventually(lambda: api.get(discover(api)[1] + "/errors").json["count"] == 1)
    [error] = api.get(mapping_path(api) + "/errors").json["results"]
    assert error["table_name"] == "account" and error["record_id"] == 1
    assert isinstance(error["id"], str) and error["message"] and error["created_at"].endswith("Z")


def test_notifications_can_be_filtered_and_acknowledged(api, database):
    _, path = discover(api)
    database.query(
        "insert into pgforce.notification (schema_name, cause, event_type, message) values"
        " ('salesforce', 'a', 'mapping-error', 'first'), ('salesforce', 'b', 'limit', 'second')",
        role="pgforce",
    )
    assert [n["message"] for n in api.get(path + "/notifications?page_size=1000").json["results"]] == [
        "second", "first"]
    assert api.get(path + "/notifications?event_type=limit").json["count"] == 1
    assert api.get(path + "/notifications?after=2999-01-01").json["count"] == 0
    assert api.get(path + "/notifications?after=soon").status == 400
    assert api.call("POST", path + "/notifications/acknowledge?event_type=limit", b"null").status == 204
    acknowledged = [n["acknowledged_at"] for n in api.get(path + "/notifications").json["results"]]
    assert acknowledged[0] is not None and acknowledged[1] is None


def test_an_export_is_what_was_imported(api):
    _, path = discover(api)
    file = json.loads(export(account(), contact()))
    assert api.post(path + "/actions/import", file).status == 202
    exported = api.get(path + "/actions/export").json
    assert exported["mappings"] == file["mappings"] and exported["version"] == 1
    assert exported["connection"]["app_name"]
    # And once more: what was exported changes nothing.
    assert api.post(path + "/actions/import", exported).status == 202
    assert api.get(path + "/actions/export").json["mappings"] == file["mappings"]


def test_an_import_keeps_what_the_organisation_lacks(api):
    _, path = discover(api)
    lacking = {**contact(), "object_name": "Nowhere__c"}
    assert api.post(path + "/actions/import", {"version": 1, "mappings": [lacking]}).status == 202
    found = {m["object_name"]: m for m in discover(api)[0]["mappings"]}
    assert found["Nowhere__c"]["state"] == "SYSTEM_ERROR"
    assert "Nowhere__c" in found["Nowhere__c"]["state_description"]
    assert found["Nowhere__c"]["is_orphan"] is True


def test_a_plan_says_what_an_import_would_do(api):
    _, path = discover(api)
    plan = api.post(path + "/actions/plan", json.loads(export(account(), contact())))
    assert plan.status == 200 and "Contact" in plan.text
    assert len(discover(api)[0]["mappings"]) == 1
    assert api.post(path + "/actions/plan", json.loads(export(account()))).status == 200
    # What the import keeps as an orphan is no reason for the plan to fail.
    lacking = {**contact(), "object_name": "Nowhere__c"}
    assert api.post(path + "/actions/plan", {"version": 1, "mappings": [lacking]}).status == 200


def test_objects_and_fields_that_can_be_mapped(api):
    _, path = discover(api)
    objects = api.get(path + "/schemas")
    assert objects.status == 200 and "Contact" in objects.text
    schema = api.get(path + "/schemas/Account").json
    fields = {field["name"]: field for field in schema["fields"]}
    assert fields["Name"]["required"] is True and fields["Phone"]["required"] is False
    assert api.get(path + "/schemas/Nowhere__c").status == 409
    assert api.get(path + "/schemas/--help").status == 404
