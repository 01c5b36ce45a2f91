"""pgforce login: three ways in, what is kept of them, and what is refused."""

import html
import json
import os
import re
import subprocess
import urllib.parse
import urllib.request

import pytest

from api import Api
from eventually import eventually
from sandbox import Sandbox
from stepped_clock import HOUR, YEAR, SteppedClock
from sync import export, mapping

SECRET = "5f" * 32


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "secret-key"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def connected(pgforce, key_file):
    """pgforce set up, with a key for secrets; the app's key and secret in the environment alone."""
    pgforce.env["PGFORCE_SECRET_KEY_FILE"] = str(key_file)
    pgforce.set_up()
    return pgforce


@pytest.fixture
def jwt_key(tmp_path):
    file = tmp_path / "jwt.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", file],
        check=True,
        capture_output=True,
    )
    return file


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def open_url(url, data=None):
    """Status, Location and body, whatever the status."""
    try:
        with urllib.request.build_opener(NoRedirect).open(url, data, timeout=60) as answer:
            return answer.status, answer.headers.get("Location"), answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers.get("Location"), refusal.read().decode()


def sign_in(sandbox, url):
    """What a person does with the address: the page, the form. Answers where the browser is sent."""
    status, _, page = open_url(url)
    assert status == 200, page
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    fields = {name: html.unescape(value) for name, value in fields.items()}
    fields.update(username=sandbox.username, pw=sandbox.password)
    form = urllib.parse.urlencode(fields).encode()
    status, target, body = open_url(sandbox.url + "/services/oauth2/authorize", form)
    assert status == 302, body
    return target


def stored(database):
    return database.query(
        "select grant_name, login_url, username, sealed from pgforce.credential", role="pgforce"
    )


def start_web_login(pgforce, **env):
    login = pgforce.start("login", "--web", "--port", "0", "--json", env=env)
    line = eventually(lambda: re.search(r'\{"authorize_url".*\}', login.log_text()))[0]
    return login, json.loads(line)["authorize_url"]


def log_in_by_web(pgforce, sandbox):
    login, url = start_web_login(pgforce)
    status, _, body = open_url(sign_in(sandbox, url))
    assert (status, "Signed in" in body) == (200, True)
    assert login.wait() == 0, login.log_text()


def without(pgforce, *names):
    """The environment of the roles after a login: no secret of Salesforce's."""
    for name in names:
        pgforce.env.pop("PGFORCE_SF_" + name)


def test_client_credentials_are_kept_and_the_environment_can_go(connected, sandbox, database):
    answer = json.loads(connected.run("login", "--client-credentials", "--json").stdout)
    assert answer["grant"] == "client"
    assert answer["username"] == sandbox.username
    without(connected, "LOGIN_URL", "CLIENT_ID", "CLIENT_SECRET")
    assert "Account" in connected.run("objects").stdout
    ((grant, url, username, sealed),) = stored(database)
    assert (grant, url, username) == ("client", sandbox.url, sandbox.username)
    assert sandbox.client_secret not in sealed
    assert sandbox.client_secret.encode().hex() not in sealed


def test_a_key_signs_in_without_any_secret_stored(connected, sandbox, database, jwt_key):
    relative = os.path.relpath(jwt_key)
    connected.run("login", "--jwt", "--key-file", relative, "--username", sandbox.username)
    path = database.query("select jwt_key_file from pgforce.credential", role="pgforce")
    assert path == [(str(jwt_key),)]
    ((grant, _, username, sealed),) = stored(database)
    assert (grant, username, sealed) == ("jwt", sandbox.username, None)
    without(connected, "LOGIN_URL", "CLIENT_ID", "CLIENT_SECRET")
    connected.env.pop("PGFORCE_SECRET_KEY_FILE")
    assert "Account" in connected.run("objects").stdout


@pytest.mark.parametrize("off_s", [-HOUR, YEAR])
def test_a_key_signs_in_whatever_our_clock_says(connected, sandbox, jwt_key, logs, off_s):
    clock = SteppedClock(logs)
    clock.set(off_s)
    connected.env.update(clock.environment())
    connected.run("login", "--jwt", "--key-file", str(jwt_key), "--username", sandbox.username)
    assert "Account" in connected.run("objects").stdout


def test_a_web_login_keeps_a_refresh_token(connected, sandbox, database):
    log_in_by_web(connected, sandbox)
    assert stored(database)[0][0] == "web"
    without(connected, "LOGIN_URL", "CLIENT_ID", "CLIENT_SECRET")
    sandbox.journal(clear=True)
    assert "Account" in connected.run("objects").stdout
    posts = [e for e in sandbox.journal() if e["path"].startswith("/services/oauth2/token")]
    assert len(posts) == 1


def test_a_wrong_state_is_turned_away_and_the_right_one_waited_for(connected, sandbox, database):
    login, url = start_web_login(connected)
    target = sign_in(sandbox, url)
    for forged in (re.sub(r"state=[^&]*", "state=guess", target), target.split("?")[0]):
        assert open_url(forged)[0] == 400
    assert open_url(target.replace("OauthRedirect", "Other"))[0] == 404
    assert login.is_running()
    assert stored(database) == []
    assert open_url(target)[0] == 200
    assert login.wait() == 0, login.log_text()


def test_what_salesforce_refuses_ends_the_login(connected, database):
    login, url = start_web_login(connected)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    back = f"{query['redirect_uri'][0]}?error=access_denied&state={query['state'][0]}"
    assert open_url(back)[0] == 200
    assert login.wait() == 78
    assert "access_denied" in login.log_text()
    assert stored(database) == []


def test_rotated_refresh_tokens_are_kept_by_all_who_renew(connected, database, logs):
    with Sandbox(logs, "--rotate-refresh-tokens") as org:
        connected.env["PGFORCE_SF_LOGIN_URL"] = org.url
        log_in_by_web(connected, org)
        before = stored(database)[0][3]
        running = [connected.start("objects") for _ in range(4)]
        for command in running:
            assert command.wait() == 0, command.log_text()
        assert stored(database)[0][3] != before
        connected.run("objects")


def test_a_session_that_expired_takes_the_token_that_another_has_got(connected, database, logs):
    with Sandbox(logs, "--rotate-refresh-tokens") as org:
        connected.env["PGFORCE_SF_LOGIN_URL"] = org.url
        log_in_by_web(connected, org)
        connected.run("import", "-", stdin=export(mapping("Account", "Name")))
        roles = [connected.start(role) for role in ("archive", "push", "pull")]
        states = "select state from pgforce.mapping"
        eventually(lambda: database.query(states, role="pgforce") == [("DATA_SYNCED",)])
        for number in range(3):
            org.expire_sessions()
            name = f"after {number}"
            org.create("Account", Name=name)
            database.query("insert into salesforce.account (name) values (%s)", ["mine " + name])
            eventually(
                lambda name=name: database.query(
                    "select 1 from salesforce.account where name = %s", [name]
                )
            )
            eventually(
                lambda name=name: [r for r in org.rows("Account") if r["Name"] == "mine " + name]
            )
        assert all(role.is_running() for role in roles)


def test_the_environment_goes_before_what_is_stored(connected, sandbox, database):
    connected.run("login", "--client-credentials")
    wrong = {"PGFORCE_SF_CLIENT_ID": "another-app"}
    refused = connected.run("objects", env=wrong, expect=78)
    assert "PGFORCE_SF_CLIENT_ID" in refused.stderr
    user = {"PGFORCE_SF_USERNAME": sandbox.username, "PGFORCE_SF_PASSWORD": "wrong"}
    assert "PGFORCE_SF_PASSWORD" in connected.run("objects", env=user, expect=78).stderr


def test_what_is_stored_is_not_even_opened_when_the_environment_is_enough(connected, key_file, sandbox):
    connected.run("login", "--client-credentials")
    key_file.write_text("a0" * 32)
    user = {"PGFORCE_SF_USERNAME": sandbox.username, "PGFORCE_SF_PASSWORD": sandbox.password}
    assert "Account" in connected.run("objects", env=user).stdout


def test_a_key_that_others_can_read_is_refused(connected, key_file):
    for mode in (0o640, 0o604):
        key_file.chmod(mode)
        refused = connected.run("login", "--client-credentials", expect=78)
        assert "can be read by others" in refused.stderr
        assert SECRET not in refused.stderr


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "5f" * 33])
def test_a_key_that_is_none_is_refused(connected, key_file, text):
    key_file.write_text(text)
    refused = connected.run("login", "--client-credentials", expect=78)
    assert "openssl rand -hex 32" in refused.stderr


def test_another_key_opens_nothing_and_says_so(connected, key_file):
    connected.run("login", "--client-credentials")
    key_file.write_text("a0" * 32)
    without(connected, "CLIENT_SECRET")
    assert "sealed with the key" in connected.run("objects", expect=78).stderr
    key_file.write_text(SECRET)
    connected.run("objects")


def test_what_was_sealed_for_one_schema_opens_in_no_other(connected, database):
    connected.run("login", "--client-credentials")
    other = {"PGFORCE_SCHEMA": "other"}
    sql = connected.run("setup", "--print-superuser-sql", env=other).stdout
    database.psql(sql, role="postgres")
    connected.run("setup", env=other)
    database.query(
        "insert into pgforce.credential select 'other', grant_name, login_url, client_id, username,"
        " jwt_key_file, sealed, key_hint from pgforce.credential",
        role="pgforce",
    )
    assert "does not open" in connected.run("objects", env=other, expect=78).stderr


def test_a_systemd_credential_is_read_by_its_variables_name(connected, tmp_path):
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "PGFORCE_SECRET_KEY").write_text(SECRET)
    (folder / "PGFORCE_SF_CLIENT_SECRET").write_text("sandbox-secret\n")
    connected.env.pop("PGFORCE_SECRET_KEY_FILE")
    without(connected, "CLIENT_SECRET")
    assert "CLIENT_SECRET" in connected.run("login", "--client-credentials", expect=78).stderr
    connected.env["CREDENTIALS_DIRECTORY"] = str(folder)
    connected.run("login", "--client-credentials")


def test_another_organisation_than_the_connections_is_not_stored(connected, database):
    connected.run("login", "--client-credentials")
    before = stored(database)
    database.query("update pgforce.connection set organization_id = '00D000000000001EAA'", role="pgforce")
    refused = connected.run("login", "--client-credentials", expect=78)
    assert "relink" in refused.stderr
    assert stored(database) == before


def test_an_instance_that_is_not_salesforces_gets_no_token(connected, sandbox):
    sandbox.fault(
        {
            "match": {"method": "POST", "path": "/services/oauth2/token"},
            "status": 200,
            "body": {"access_token": "x", "instance_url": "https://evil.example.org", "id": "x"},
        }
    )
    refused = connected.run("login", "--client-credentials", expect=78)
    assert "not Salesforce's" in refused.stderr


def test_logging_out_forgets_and_revokes(connected, sandbox, database):
    log_in_by_web(connected, sandbox)
    assert "revoked at Salesforce" in connected.run("logout").stdout
    assert stored(database) == []
    assert [e for e in sandbox.journal() if e["path"] == "/services/oauth2/revoke"]
    without(connected, "CLIENT_SECRET")
    assert "no credentials" in connected.run("objects", expect=78).stderr
    assert "nothing was stored" in connected.run("logout").stdout


def test_no_way_in_is_half_taken(connected, database):
    for arguments, code in (
        (["--web", "--jwt"], 64),
        (["extra"], 64),
        (["--environment", "moon"], 64),
        (["--environment", "custom"], 64),
        (["--domain", "a b"], 64),
        (["--port", "x"], 64),
        (["--jwt"], 78),
        (["--jwt", "--key-file", "/nowhere", "--username", "u"], 78),
    ):
        connected.run("login", *arguments, expect=code)
    assert stored(database) == []


# Over the HTTP API, as `heroku connect:sf:auth` does


@pytest.fixture
def api(connected):
    token = connected.run("token", "create", "root", "admin").stdout.strip()
    return Api(connected, token)


def connection_path(api):
    return "/api/v3/connections/" + api.get("/connections").json["results"][0]["id"]


def test_a_browser_connects_over_the_api(connected, api, sandbox, database):
    body = {"environment": "custom", "domain": sandbox.url, "next": "http://localhost:18000/done"}
    answer = api.post(connection_path(api) + "/authorize_url", body)
    assert answer.status == 201
    target = sign_in(sandbox, answer.json["redirect"])
    assert target.startswith(f"http://127.0.0.1:{api.port}/oauth/callback?")
    status, location, _ = open_url(target)
    assert (status, location) == (303, "http://localhost:18000/done")
    assert stored(database)[0][0] == "web"
    info = api.get(connection_path(api)).json["sf_info"]
    assert info["username"] == sandbox.username
    assert open_url(target)[0] == 400


def test_a_stranger_cannot_end_a_login_over_the_api(connected, api, sandbox, database):
    body = {"environment": "custom", "domain": sandbox.url, "next": "javascript:alert(1)"}
    assert api.post(connection_path(api) + "/authorize_url", body).status == 400
    for query in ("", "?code=x", "?code=x&state=guess", "?state=guess"):
        assert api.get("/oauth/callback" + query, token="").status == 400
    assert stored(database) == []


def test_no_secret_is_in_a_log_or_an_argument(connected, sandbox, logs):
    log_in_by_web(connected, sandbox)
    secrets = [sandbox.client_secret, SECRET]
    text = "".join(file.read_text(errors="replace") for file in logs.glob("*login*.log"))
    assert text
    for secret in secrets:
        assert secret not in text
