"""Heroku Connect's clients, call by call, as they were seen on the wire: their headers, their bodies, what they insist on.

Only what a client reads is looked at, in the way it looks."""

import json
import uuid
from datetime import datetime

import pytest

from api import Api
from eventually import eventually
from sync import account, contact, export

TOKEN = "a-token-for-tests-0123456789"
APP = "my-app"
PLUGIN = {"Accept": "application/json, text/plain, */*", "Content-Type": "application/json", "Heroku-Client": "cli",
          "User-Agent": "axios/1.19.0", "Accept-Encoding": "gzip, compress, deflate, br", "Connection": "keep-alive"}


@pytest.fixture
def api(sync):
    sync.map(account())
    api = Api(sync.pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN, PGFORCE_APP_NAME=APP)
    api.base = f"http://127.0.0.1:{api.port}"
    return api


class Plugin:
    """The CLI's plugin: discovery, the detail laid over it, then requests below region_url."""

    def __init__(self, api):
        self.api = api
        [item] = self.call("GET", f"{api.base}/connections?app={APP}&resource_name=pgforce-salesforce&addon_type=1")["results"]
        assert "?" not in item["detail_url"]
        self.connection = {**item, **self.call("GET", item["detail_url"] + "?deep=true")}
        self.region = self.connection["region_url"].rstrip("/")
        self.path = f"/api/v3/connections/{self.connection['id']}"

    def send(self, method, url, body=None):
        assert url.startswith(self.api.base), url
        data = b"" if body is None and method == "POST" else body
        return self.api.call(method, url[len(self.api.base):], data, headers={**PLUGIN, "Accept-Encoding": "identity"})

    def call(self, method, url, body=None, status=None):
        answer = self.send(method, url, body)
        assert answer.status == status if status else 200 <= answer.status < 300, answer.text
        return answer.json if answer.text else None

    def at(self, method, path, **options):
        return self.call(method, self.region + path, **options)

    def mapping(self, name):
        [found] = [m for m in self.connection["mappings"] if m["object_name"].lower() == name.lower()]
        return f"/api/v3/mappings/{found['id']}"


def test_the_cli_plugins_commands(api, sync):
    sync.map(contact())
    plugin = Plugin(api)
    connection, c = plugin.connection, plugin.path
    # info and state
    assert {"id", "resource_name", "app_name", "state", "db_key", "schema_name"} <= connection.keys()
    assert all(set(m) >= {"object_name", "state"} for m in connection["mappings"])
    plugin.call("POST", f"{api.base}/auth/{APP}")
    # export, import
    exported = plugin.at("GET", c + "/actions/export")
    assert plugin.send("POST", plugin.region + c + "/actions/import", json.dumps(exported).encode()).text == ""
    # pause, resume, recover
    for action in ("pause", "resume", "restart"):
        plugin.at("POST", f"{c}/actions/{action}")
    # diagnose: posted, then asked for until it is there
    result = plugin.at("POST", c + "/validations", status=202)["result_url"]

    def report():
        answer = plugin.send("GET", result)
        assert answer.status in (200, 202)
        return answer.json if answer.status == 200 else None

    found = eventually(report)
    assert all(isinstance(found[name], list) for name in ("errors", "warnings", "passes", "skips"))
    assert isinstance(found["mappings"]["Account"]["passes"], list)
    assert {"display_name", "message", "rule_id", "status"} <= found["passes"][0].keys()
    assert isinstance(plugin.at("GET", plugin.mapping("ACCOUNT") + "/validations", status=200)["passes"], list)
    # write-errors
    for path in (c, plugin.mapping("Account")):
        errors = plugin.at("GET", path + "/errors")
        assert (errors["count"], errors["results"]) == (0, [])
    # notifications come with the body null
    answer = plugin.call("GET", f"{plugin.region}{c}/notifications?page_size=1000&event_type=mapping-error", b"null")
    assert isinstance(answer["results"], list)
    plugin.call("POST", f"{plugin.region}{c}/notifications/acknowledge", b"null", status=204)
    # db:set
    [key] = plugin.at("GET", f"/api/v3/apps/{connection['app_name']}")["db_keys"]
    assert key == {"name": connection["db_key"], "addon": None}
    body = json.dumps({"db_key": key["name"], "schema_name": connection["schema_name"]}).encode()
    plugin.at("PATCH", c, body=body)
    # manage-sf-api-version
    diff = plugin.at("GET", c + "/schema-diff?target_version=61.0")
    assert {"current_api_version", "target_api_version", "mappings"} <= diff.keys()
    refused = plugin.send("POST", plugin.region + c + "/actions/change-sf-api-version", b'{"target_version":"61.0"}')
    assert refused.status == 409 and refused.json["message"]
    # mapping:reload, mapping:delete
    plugin.at("POST", plugin.mapping("account") + "/actions/reload", status=202)
    plugin.at("DELETE", plugin.mapping("contact"), status=204)


def test_write_errors_as_the_plugin_prints_them(api, sync):
    sync.query("insert into salesforce._trigger_log (table_name, record_id, action, state, sf_message)"
               " values ('account', 7, 'UPDATE', 'FAILED', 'no')")
    plugin = Plugin(api)
    answer = plugin.at("GET", plugin.path + "/errors")
    [error] = answer["results"]
    assert answer["count"] == 1
    assert (error["table_name"], error["record_id"], error["message"]) == ("account", 7, "no")
    assert error["id"] and datetime.fromisoformat(error["created_at"].replace("Z", "+00:00"))


def test_the_old_plugins_calls(api):
    [connection] = api.get(f"/api/v3/connections?deep=true&app={APP}&resource_name=").json["results"]
    c = f"/api/v3/connections/{connection['id']}"
    assert api.get(f"/api/v3/connections?app={APP}&resource_id={connection['id']}").json["count"] == 1
    # The report was once answered at once.
    report = api.get(c + "/validations")
    assert report.status == 200 and report.json["passes"] and "Account" in report.json["mappings"]
    fields = api.get(c + "/schemas/Contact").json["fields"]
    assert {"name", "required"} <= fields[0].keys()
    made = api.post(c + "/mappings", contact())
    assert made.status == 201 and made.json["object_name"] == "Contact"
    assert api.post(f"/api/v3/users/me/apps/{APP}/auth").status == 200


def test_djangos_calls(api):
    assert api.get("/api/v3/connections?app=another").json["results"] == []
    assert api.post(f"/api/v3/users/me/apps/{APP}/auth").status == 200
    assert api.post("/api/v3/users/me/apps/another/auth").status == 404
    [found] = api.get(f"/api/v3/connections?app={APP}").json["results"]
    one = api.get(f"/api/v3/connections/{found['id']}?deep=False").json
    assert isinstance(one["id"], str) and one["name"] and isinstance(one["features"], dict)
    assert one["state"] in ("IDLE", "POLLING_DB_CHANGES", "IMPORT_CONFIGURATION", "BUSY", "NEW")
    body = json.loads(export(contact()))
    body["connection"] = {"app_name": APP, "organization_id": one["organization_id"], "exported_at": "2021-04-15T00:00:00Z"}
    assert 200 <= api.post(f"/api/v3/connections/{found['id']}/actions/import", body).status < 300
    deep = api.get(f"/api/v3/connections/{found['id']}?deep=True").json
    assert {m["object_name"] for m in deep["mappings"]} == {"Account", "Contact"}


def test_terraforms_calls(api):
    [known] = api.get("/connections").json["results"]
    uuid.UUID(known["app_id"])
    linked = api.post(f"/auth/{known['app_id']}").json
    [item] = [c for c in linked["connections"] if c["id"] == known["id"]]
    c = item["region_url"].removeprefix(api.base) + f"/api/v3/connections/{item['id']}"
    wanted = json.loads(export(account(), contact()))
    assert 200 <= api.post(c + "/actions/import", wanted).status < 300
    kept = api.get(c + "/actions/export").json
    for file in (kept, wanted):
        file.pop("connection", None)
        file["mappings"].sort(key=lambda m: m["object_name"])
    assert kept == wanted
    # Go reads times strictly; null is no time.
    for mapping in api.get(c + "?deep=true").json["mappings"]:
        one = api.get(f"/api/v3/mappings/{mapping['id']}").json
        times = [one[name] for name in ("created_at", "updated_at", "db_count_date", "salesforce_count_date")]
        for text in [*times, one["config"].get("applied_at")]:
            assert text is None or datetime.fromisoformat(text.replace("Z", "+00:00")).tzinfo
        assert all(type(one["counts"][name]) is int for name in ("db", "sf", "pending", "errors"))
        assert type(one["actively_writing"]) is bool
    assert api.call("PATCH", c, {"name": "by terraform"}).json["name"] == "by terraform"


def test_sfdxs_calls(api):
    [found] = [c for c in api.post(f"/auth/{APP}").json["connections"]
               if c["app_name"] == APP and c["resource_name"]]
    path = found["detail_url"].removeprefix(api.base)
    assert path.startswith("/api/v3/")
    assert api.call("PATCH", path, {"schema_name": "salesforce", "db_key": "DATABASE_URL"}).status == 200
    answer = api.post(path + "/actions/import", json.loads(export(contact())))
    assert 200 <= answer.status < 300 and answer.text == ""


def test_errors_have_an_id_and_a_message(api):
    [known] = api.get("/connections").json["results"]
    c = f"/api/v3/connections/{known['id']}"
    for answer, status in ((api.get("/connections", token="wrong"), 401), (api.get("/api/v3/mappings/none"), 404),
                           (api.post(c + "/actions/import", b"{"), 400), (api.post(c + "/actions/import", {}), 400),
                           (api.get("/api/v3/connections/none"), 404)):
        assert answer.status == status and answer.json["id"] and answer.json["message"], answer.text
