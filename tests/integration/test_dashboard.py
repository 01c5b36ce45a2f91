"""The dashboard in a real browser, view by view: what it shows, and what a click does."""

import json
import re
from pathlib import Path

import pytest

from api import Api
from browser import Browser
from eventually import eventually
from sync import account, contact, export

TOKEN = "a-token-for-tests-0123456789"
FILES = Path(__file__).resolve().parents[2] / "src" / "control" / "dashboard"
# Would set window.owned if it ever became markup.
CANARY = "<img src=x onerror=window.owned=1><script>window.owned=1</script>"


@pytest.fixture(scope="module")
def chromium():
    browser = Browser()
    yield browser
    browser.end()


@pytest.fixture
def api(sync):
    sync.map(account())
    return Api(sync.pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN)


@pytest.fixture
def page(chromium, api, logs):
    """The page, nobody signed in; at the end nothing has been complained of."""
    chromium.driver.delete_all_cookies()
    chromium.appearance("light", 1280)
    chromium.open(f"http://127.0.0.1:{api.port}/")
    chromium.screenshots = logs
    chromium.problems()
    yield chromium
    assert chromium.driver.execute_script("return window.owned === undefined")
    assert chromium.problems() == []
    # The next test has another server: this one's page asks no more.
    chromium.open("about:blank")


def sign_in(page, token=TOKEN):
    page.type("input[name=token]", token)
    page.press("Sign in")
    page.wait(lambda: page.find("#bar").is_displayed())


@pytest.fixture
def signed_in(page):
    sign_in(page)
    return page


def shoot(page, name):
    """Screenshots of a view, light, dark and narrow; it never needs to be moved sideways."""
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)):
        page.appearance(scheme, width)
        page.driver.save_screenshot(str(page.screenshots / f"{name}-{scheme}-{width}.png"))
        assert not page.is_too_wide(), (name, width)
    page.appearance("light", 1280)


def fail_writes(sync, message="no"):
    sync.org.fault({"match": {"path": "composite"}, "status": 400,
                    "body": [{"errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": message}]})


# ---- the files


def test_the_page_and_its_files_are_kept_while_they_are_the_same(api):
    page = api.get("/", token="")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    for name in [*re.findall(r'"/(dashboard/[^"]+)"', page.text), ""]:
        answer = api.get(f"/{name}", token="")
        assert answer.status == 200 and answer.headers["Cache-Control"] == "no-cache", name
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        again = api.get(f"/{name}", token="", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status, again.text) == (304, ""), name
    assert api.get("/dashboard/none.js", token="").status == 404
    assert api.get("/dashboard/..%2Fguard.c", token="").status == 404


def test_every_file_of_the_dashboard_is_served(api):
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
    for file in FILES.iterdir():
        answer = api.get(f"/dashboard/{file.name}", token="")
        assert answer.status == 200 and answer.text == file.read_text(), file.name
        assert answer.headers["Content-Type"].startswith(kinds[file.suffix]), file.name


def test_no_file_makes_markup_of_text_or_loads_from_elsewhere():
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|" \
        r"setAttribute\(\"(style|on)|localStorage|sessionStorage|document\.cookie|https?://(?!www\.w3\.org/2000/svg)"
    for file in FILES.iterdir():
        assert not re.findall(forbidden, file.read_text()), file.name
    assert not re.search(r"<script(?![^>]*src=)|<style| style=| on\w+=", (FILES / "index.html").read_text())


# ---- signing in and out


def test_signing_in_and_out(page, api):
    page.shows("Token")
    assert page.driver.switch_to.active_element.get_attribute("name") == "token"
    page.type("input[name=token]", "wrong")
    page.press("Sign in")
    page.shows("This token is not valid.")
    shoot(page, "login")
    sign_in(page)
    page.shows("Overview")
    page.shows("PGFORCE_API_TOKEN (admin)", "#who")
    # Neither the address nor anything a script can read has the token.
    assert TOKEN not in page.driver.current_url
    assert page.driver.execute_script("return document.cookie + Object.keys(localStorage).length") == "0"
    page.driver.refresh()
    page.shows("Overview")
    page.press("Sign out")
    page.shows("Token")
    page.driver.refresh()
    page.shows("Token")


@pytest.mark.parametrize("off_h", [-5, 5])
def test_ages_are_told_by_the_servers_clock_not_the_browsers(page, sync, off_h):
    wrong = f"const own = Date.now; Date.now = () => own() + {off_h} * 3600e3;"
    script = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": wrong})
    try:
        page.driver.refresh()
        sync.query("update pgforce.progress set updated_at = now() - interval '3 hours'", role="pgforce")
        sign_in(page)
        page.shows("read last 3 h ago")
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_a_viewer_sees_all_and_is_offered_nothing_to_change(page, sync):
    sign_in(page, sync.pgforce.run("token", "create", "guest", "viewer").stdout.strip())
    page.place("#/mappings")
    page.shows("Account")
    assert page.all("#create") == []
    page.press("Account")
    page.shows("needs a token of the role admin")
    page.place("#/settings")
    page.shows("needs a token of the role operator")
    assert page.all("#import-file") == [] and "Tokens" not in page.text()


# ---- overview


def test_the_overview_tells_how_it_goes(signed_in, sync):
    page = signed_in
    page.shows("Changes do not go through")
    sync.database.query(
        "insert into pgforce.notification (schema_name, cause, event_type, message)"
        " values ('salesforce', 'slot', 'slot', %s)", [f"The slot {CANARY}"], role="pgforce")
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'a-1')")
    sync.settled(1)
    fail_writes(sync)
    sync.query("insert into salesforce.account (name, external_id__c) values ('Bad', 'a-2')")
    sync.settled(2)
    page.shows("Sent: 1 in the last hour")
    page.shows("Failed: 1 in the last hour")
    page.shows("1 change", ".tile.bad")
    page.shows(CANARY)
    page.shows_not("Changes do not go through")
    assert len(page.all("rect.sent")) == 1 and len(page.all("rect.failed")) == 1
    page.click("details summary")
    page.shows("Minute")
    shoot(page, "overview")
    page.press("1 change", ".tile.bad")
    page.shows("Explorer")
    page.shows("Failed", "#found")


def test_the_overview_tells_of_an_organisation_that_does_not_answer(signed_in, sync, api):
    page = signed_in
    page.shows("OK", ".tile")
    sync.org.fault({"match": {"path": "/services/data"}, "times": 1000000, "status": 503, "body": "busy"})
    sync.start("pull")  # which has never read anything yet
    page.shows("Account cannot be read since", ".tile.bad")
    page.shows("503", ".tile.bad")
    assert "pgforce_unread_mappings 1" in api.get("/metrics").text
    shoot(page, "away")
    sync.org.clear_faults()
    page.shows_not("cannot be read since")


def test_a_button_stays_itself_while_it_is_held(signed_in):
    """A page that is drawn again between a press and its release would lose the click."""

    def answers():
        return page.driver.execute_script("return performance.getEntriesByType('resource').length")

    page = signed_in
    page.place("#/mappings")
    page.press("Account")
    button = page.find("button[data-key='Abort']")
    page.hold(button)
    before = answers()
    page.wait(lambda: answers() > before + 1)
    page.release()
    page.shows("Abort Account?", "dialog")
    page.answer("Cancel")
    # Afterwards it is drawn again.
    page.wait(lambda: page.find("button[data-key='Abort']") != button)


def test_the_overview_says_when_it_is_not_up_to_date(signed_in, api):
    page = signed_in
    page.shows("Behind PostgreSQL")
    api.role.stop()
    page.shows("This is not up to date")
    # It goes on asking, and the console complains each time.
    page.open("about:blank")
    page.problems()


# ---- mappings


def test_the_list_and_one_mapping(signed_in, sync):
    page = signed_in
    sync.org.create("Account", Name=CANARY)
    sync.start("archive", "pull")
    sync.wait_until_loaded()
    page.place("#/mappings")
    page.wait(lambda: re.search(r"Account\s+OK", page.text("main")))
    shoot(page, "mappings")
    page.press("Account")
    page.shows("read and write")
    page.shows("External_Id__c")
    page.wait(lambda: re.search(r"Salesforce rows\s+1 counted", page.text()))
    sync.org.create("Account", Name="Second")
    page.press("Count in Salesforce")
    page.shows("Salesforce has 2 records of Account.", "#notices")
    page.wait(lambda: re.search(r"Salesforce rows\s+2 counted", page.text()))
    shoot(page, "mapping")


def test_a_load_shows_how_far_it_is(signed_in, sync):
    page = signed_in
    sync.query(
        "with m as (update pgforce.mapping set state = 'LOADING_BULK_JOB' returning id)"
        " insert into pgforce.load (mapping_id, is_direct, rows_total, rows_done, rows_per_second)"
        " select id, false, 2000, 500, 100 from m", role="pgforce")
    page.place("#/mappings")
    page.shows("500 of 2,000 rows, 100 rows/s")
    page.wait(lambda: page.find("progress").get_attribute("value") == "500")


def test_a_mapping_is_created_by_clicks(signed_in, sync):
    page = signed_in
    page.place("#/mappings")
    page.click("#create")
    page.shows("objects")
    taken = page.find("button[data-name=Account]")
    assert not taken.is_enabled() and "mapped already" in taken.text
    page.type("input[name=search]", "contac")
    page.wait(lambda: page.all("button[data-name=Account]") == [])
    shoot(page, "objects")
    page.click("button[data-name=Contact]")
    page.shows("Map Contact")
    for name in ("Id", "SystemModstamp", "IsDeleted"):
        assert page.box(f"input[name=field][value={name}]") == (True, False), name
    for name in ("CreatedDate", "Name"):
        assert page.box(f"input[name=field][value={name}]") == (True, True), name
    assert not page.is_checked("input[name=field][value=Email]")
    page.type("fieldset input[name=search]", "mail")
    page.wait(lambda: not page.find("input[name=field][value=Id]").is_displayed())
    page.click("input[name=field][value=Email]")
    page.click("input[name=index][value=Email]")
    shoot(page, "create")
    page.click("#save")
    page.shows("Contact is mapped.", "#notices")
    [(config,)] = sync.query("select config from pgforce.mapping where object_name = 'Contact'", role="pgforce")
    assert set(config["fields"]) == {"Id", "SystemModstamp", "IsDeleted", "CreatedDate", "Name", "Email"}
    assert config["indexes"]["Email"] == {"unique": False} and config["access"] == "read_only"
    sync.query("select email from salesforce.contact")


def test_a_field_that_cannot_be_mapped_is_greyed_with_the_reason(signed_in):
    page = signed_in
    page.place("#/mappings/new")
    page.click("button[data-name=Contact]")
    page.shows("Map Contact")
    off = page.all("tr.off")
    assert off, "an address is no column"
    for row in off:
        assert not row.find_element("css selector", "input").is_enabled()
        assert row.find_elements("css selector", "td")[-1].text


def test_a_field_that_is_gone_is_red_and_saving_removes_its_column_after_asking(signed_in, sync, api):
    page = signed_in
    sync.query(
        "update pgforce.mapping set config = jsonb_set(jsonb_set(config, '{fields,Vanished__c}', '{}'),"
        " '{fields}', (config -> 'fields') - 'Industry' || '{\"industry\": {}, \"Vanished__c\": {}}')", role="pgforce")
    page.place("#/mappings")
    page.press("Account")
    page.press("Edit")
    page.shows("1 mapped field is missing in the organisation.")
    assert "missing in the organisation" in page.text("tr.missing")
    page.click("input[name=field][value=Phone]")
    shoot(page, "edit")
    page.click("#save")
    page.shows("Phone", "dialog")
    page.answer("Cancel")
    assert "Vanished__c" in json.dumps(sync.query("select config from pgforce.mapping", role="pgforce"))
    page.click("#save")
    page.answer("Save and remove")
    page.shows("The mapping Account is saved.", "#notices")
    [(config,)] = sync.query("select config from pgforce.mapping", role="pgforce")
    assert "Vanished__c" not in config["fields"] and "Phone" not in config["fields"]
    assert "industry" in config["fields"], "spelled as it was"
    assert config["upsert_field"] == "External_Id__c" and config["indexes"]["External_Id__c"] == {"unique": True}


def test_what_the_organisation_has_made_of_the_fields_is_told(signed_in, sync):
    page = signed_in
    sync.query(
        "update pgforce.mapping set survey = '{\"missing\": [\"Phone\"], \"changed\": [\"Industry\"], \"offered\": [\"Fax\"]}'",
        role="pgforce")
    page.place("#/mappings")
    page.press("Account")
    page.shows("missing in the organisation")
    rows = page.wait(lambda: {row.text.split()[0]: row.text for row in page.all("tbody tr")})
    assert "missing in the organisation" in rows["Phone"] and "of another type" in rows["Industry"]
    assert "organisation" not in rows["Name"]
    page.click("details summary")
    page.shows("Fax")
    page.press("Edit")
    page.shows("of another type now")


def test_what_destroys_asks_first(signed_in, sync):
    page = signed_in
    requests = lambda: sync.query("select operation from pgforce.mapping", role="pgforce")
    page.place("#/mappings")
    page.press("Account")
    page.press("Empty and reload")
    page.shows("cannot be undone", "dialog")
    shoot(page, "dialog")
    page.answer("Cancel")
    assert requests() == [(None,)]
    page.press("Abort")
    page.answer("Abort")
    page.shows("Aborted")
    page.press("Empty and reload")
    page.answer("Empty and reload")
    eventually(lambda: requests() == [("RELOAD_DESTRUCTIVE",)])
    page.press("Delete")
    page.answer("Cancel")
    page.press("Delete")
    page.answer("Delete")
    # What is being loaded is aborted first, and the page says so.
    page.shows("abort", "#notices")
    assert len(requests()) == 1
    page.press("Abort")
    page.answer("Abort")
    # What the page shows may be of the abort before.
    eventually(lambda: sync.query("select state from pgforce.mapping", role="pgforce") == [("ABORTED",)])
    page.shows("Aborted")
    page.press("Delete")
    page.answer("Delete")
    page.shows("Nothing is mapped yet.")
    assert requests() == []
    assert sync.query("select to_regclass('salesforce.account')") == [(None,)]


# ---- explorer


def test_rows_are_paged_and_found(signed_in, sync):
    page = signed_in
    sync.query("insert into salesforce.account (name, _hc_lastop) select 'row ' || n, 'SYNCED' from generate_series(1, 60) n")
    sync.query("insert into salesforce.account (name, _hc_lastop, _hc_err) values (%s, 'FAILED', %s)", [CANARY, CANARY])
    page.place("#/explorer")
    page.shows("row 50", "#found")
    assert "row 51" not in page.text("#found")
    page.press("More")
    page.shows("row 60", "#found")
    page.wait(lambda: not [b for b in page.all("#found button") if b.text == "More"])
    page.choose("select[name=status]", "FAILED")
    page.click("#apply")
    page.shows_not("row 50", "#found")
    page.shows("Failed", "#found")
    shoot(page, "rows")
    page.press("Show", "#found")
    page.shows(CANARY, "dialog")
    page.answer("Close")


def test_refused_changes_are_found_requeued_and_given_up(signed_in, sync):
    page = signed_in
    sync.start("archive", "push")
    fail_writes(sync, CANARY)
    sync.query("insert into salesforce.account (name, external_id__c) values ('One', 'a-1')")
    sync.settled(1)
    page.place("#/explorer?view=log&state=FAILED")
    page.shows(CANARY, "#found")
    shoot(page, "log")
    page.press("Show", "#found")
    page.shows("External_Id__c".lower(), "dialog")
    shoot(page, "entry")
    page.answer("Close")
    page.press("Requeue", "#found")
    page.shows("1 queued again", "#notices")
    eventually(lambda: [state for _, state in sync.entries()] == ["REQUEUED", "SUCCESS"])

    fail_writes(sync)
    sync.query("update salesforce.account set name = 'Two'")
    eventually(lambda: sync.entries()[-1][1] == "FAILED")
    page.click("#apply")
    page.press("Ignore", "#found")
    page.answer("Ignore")
    page.shows("No such entries.", "#found")
    assert sync.entries()[-1][1] == "IGNORED"


def test_the_log_is_chosen_from_by_table_record_and_time(signed_in, sync):
    page = signed_in
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('One'), ('Two')")
    sync.logged(2)
    page.place("#/explorer?view=log")
    page.wait(lambda: len(page.all("#found tbody tr")) == 2)
    page.type("input[name=record]", "2")
    page.click("#apply")
    page.wait(lambda: len(page.all("#found tbody tr")) == 1)
    page.place("#/explorer?view=log&until=2001-01-01T00:00")
    page.shows("No such entries.", "#found")
    page.choose("select[name=view]", "archive")
    page.wait(lambda: "view=archive" in page.driver.current_url)
    page.shows("No such entries.", "#found")


# ---- live tail


def test_changes_appear_as_they_are_captured(signed_in, sync):
    page = signed_in
    sync.start("archive")
    page.place("#/tail")
    page.shows("Listening")
    sync.query("insert into salesforce.account (name) values (%s)", [CANARY])
    page.shows(CANARY, "#changes")
    page.shows("INSERT account 1", "#changes")
    page.press("Pause")
    sync.query("update salesforce.account set phone = '123'")
    sync.logged(2)
    page.press("Go on")
    page.shows("phone=123", "#changes")
    assert page.text("#changes").index("UPDATE") < page.text("#changes").index("INSERT")
    shoot(page, "tail")


# ---- settings


def test_pause_and_resume(signed_in, sync):
    page = signed_in
    states = lambda: sync.query("select state from pgforce.connection", role="pgforce")[0][0]
    page.place("#/settings")
    page.press("Pause")
    page.answer("Pause")
    page.shows("Paused")
    assert states() == "PAUSED"
    page.press("Resume")
    page.shows_not("Paused")
    assert states() != "PAUSED"


def test_an_import_shows_its_plan_first(signed_in, sync, logs):
    page = signed_in
    file = logs / "import.json"
    file.write_text(export(account(), contact()))
    page.place("#/settings")
    page.find("#import-file").send_keys(str(file))
    page.shows("Contact", "dialog #plan")
    shoot(page, "plan")
    page.answer("Cancel")
    assert len(sync.query("select 1 from pgforce.mapping", role="pgforce")) == 1
    page.find("#import-file").send_keys(str(file))
    page.answer("Import")
    page.shows("import.json is imported.", "#notices")
    assert len(sync.query("select 1 from pgforce.mapping", role="pgforce")) == 2
    file.write_text("{broken")
    page.find("#import-file").send_keys(str(file))
    page.shows("is not JSON", "#notices")


def test_orphans_are_removed_and_notifications_acknowledged(signed_in, sync, api):
    page = signed_in
    path = "/api/v3/connections/" + api.get("/api/v3/connections").json["results"][0]["id"]
    lacking = {**contact(), "object_name": "Nowhere__c"}
    assert api.post(path + "/actions/import", {"version": 1, "mappings": [lacking]}).status == 202
    sync.pgforce.run("token", "create", "ci", "operator")
    sync.database.query(
        "insert into pgforce.notification (schema_name, cause, event_type, message)"
        " values ('salesforce', 'slot', 'slot', %s)", [CANARY], role="pgforce")
    page.place("#/settings")
    page.shows("Nowhere__c")
    page.shows("ci operator")
    shoot(page, "settings")
    page.press("Acknowledge all")
    page.wait(lambda: [b for b in page.all("main button") if b.text == "Acknowledge all"] == [])
    assert api.get(path + "/notifications").json["results"][0]["acknowledged_at"]
    page.press("Remove")
    page.answer("Remove")
    page.shows_not("Nowhere__c")
    assert len(sync.query("select 1 from pgforce.mapping", role="pgforce")) == 1


def test_the_export_is_a_link_that_a_session_may_follow(signed_in, api):
    page = signed_in
    page.place("#/settings")
    path = page.find("#export").get_attribute("href")
    exported = page.driver.execute_async_script(
        "fetch(arguments[0]).then(r => r.text()).then(arguments[arguments.length - 1])", path)
    assert json.loads(exported)["mappings"][0]["object_name"] == "Account"


# ---- by keyboard

CONTROLS = "main input:not([type=hidden]), main select"


def test_the_page_can_be_used_without_a_mouse(signed_in):
    from selenium.webdriver.common.keys import Keys

    page = signed_in
    page.place("#/mappings")
    page.press("Account")
    page.shows("read and write")

    def press_delete():
        page.driver.execute_script("arguments[0].focus()", page.find("[data-key=Delete]"))
        page.driver.switch_to.active_element.send_keys(Keys.ENTER)
        return True

    page.wait(press_delete)
    page.find("dialog[open]")
    # What is safe has the focus, and Escape closes.
    assert page.driver.switch_to.active_element.text == "Cancel"
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.wait(lambda: not page.all("dialog[open]"))
    # Every control of a form has a name to be told by.
    page.press("Edit")
    page.shows("Search fields")
    assert all(page.wait(lambda: [control.accessible_name for control in page.all(CONTROLS)]))
