"""Who may call the HTTP API: tokens and their roles, hosts, browsers, TLS."""

import json
import socket
import subprocess

import pytest

import calls
from api import Api
from eventually import eventually

TOKEN = "a-token-for-tests-0123456789"


@pytest.fixture
def api(pgforce):
    pgforce.set_up()
    return Api(pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN)


def make_token(pgforce, name, role):
    return pgforce.run("token", "create", name, role).stdout.strip()


def routes(pgforce):
    return [json.loads(line) for line in pgforce.run("route-table", "--json").stdout.splitlines()]


def test_liveness_needs_no_token(api):
    answer = api.get("/livez", token="")
    assert (answer.status, answer.json) == (200, {"status": "live"})


def test_readiness_says_why_not_to_those_with_a_token_only(api):
    assert api.get("/readyz", token="").json == {"status": "not ready"}
    answer = api.get("/readyz")
    assert answer.status == 503
    assert "nobody reads the slot" in answer.json["reasons"][0]


def test_nothing_else_answers_without_a_token_or_with_a_wrong_one(api, pgforce):
    for route in routes(pgforce):
        if route["role"] == "nobody":
            continue
        path = route["path"].replace("{", "").replace("}", "")
        assert api.call(route["method"], path, token="").status == 401, route
    assert api.get("/no/such/path", token="").status == 401
    assert api.get("/no/such/path", token="wrong").status == 401
    assert api.get("/no/such/path").status == 404


def test_every_route_refuses_the_roles_below_its_own(api, pgforce):
    ranks = ["viewer", "operator", "admin"]
    tokens = {role: make_token(pgforce, role, role) for role in ranks}
    for route in routes(pgforce):
        if route["role"] == "nobody":
            continue
        for role in ranks[: ranks.index(route["role"])]:
            path = route["path"].replace("{", "").replace("}", "")
            answer = api.call(route["method"], path, {}, token=tokens[role])
            assert answer.status == 403, (route, role)


def test_a_revoked_token_is_refused_at_once(api, pgforce):
    token = make_token(pgforce, "guest", "viewer")
    assert api.get("/no/such/path", token=token).status == 404
    pgforce.run("token", "revoke", "guest")
    assert api.get("/no/such/path", token=token).status == 401


def test_a_token_is_stored_as_a_hash(pgforce, database):
    pgforce.set_up()
    token = make_token(pgforce, "guest", "viewer")
    rows = database.query("select t::text from pgforce.api_token t", role="postgres")
    assert len(rows) == 1 and token not in rows[0][0]
    assert pgforce.run("token", "list").stdout.splitlines()[1].split()[:2] == ["guest", "viewer"]


def test_tokens_have_names_of_their_own_and_known_roles(pgforce):
    pgforce.set_up()
    make_token(pgforce, "guest", "viewer")
    assert "revoke it first" in pgforce.run("token", "create", "guest", expect=78).stderr
    assert "viewer, operator, admin" in pgforce.run("token", "create", "x", "root", expect=64).stderr


def test_ten_wrong_tokens_from_an_address_are_enough(api):
    for _ in range(10):
        assert api.get("/no/such/path", token="wrong").status == 401
    answer = api.get("/no/such/path")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "60")
    # Probes go on.
    assert api.get("/livez", token="").status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost.:{port}", "10.0.0.1:{port}"])
def test_a_host_that_is_not_ours_is_refused_before_anything_else(api, host):
    answer = api.get("/livez", headers={"Host": host.format(port=api.port)})
    assert answer.status == 421
    assert "PGFORCE_API_HOSTS" in answer.json["message"]


def test_hosts_can_be_added(pgforce):
    pgforce.set_up()
    api = Api(pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN, PGFORCE_API_HOSTS="sync.example,other:8080")
    assert api.get("/livez", headers={"Host": "sync.example"}).status == 200
    assert api.get("/livez", headers={"Host": "OTHER:8080"}).status == 200
    assert api.get("/livez", headers={"Host": "sync.example:81"}).status == 421


def test_a_browser_logs_in_with_a_cookie_that_scripts_cannot_read(api):
    answer = api.post("/login", {"token": TOKEN}, token="")
    cookie = answer.headers["Set-Cookie"]
    assert answer.json == {"name": "PGFORCE_API_TOKEN", "role": "admin"}
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    sent = {"Cookie": cookie.split(";")[0]}
    assert api.get("/no/such/path", token="", headers=sent).status == 404

    assert api.post("/logout", {}, token="", headers=sent).status == 403
    assert api.post("/logout", {}, token="", headers={**sent, "X-Pgforce": "1"}).status == 204
    assert api.get("/no/such/path", token="", headers=sent).status == 401


def test_a_session_ends_with_its_token(api, pgforce, cluster):
    token = make_token(pgforce, "guest", "viewer")
    cookie = api.post("/login", {"token": token}, token="").headers["Set-Cookie"].split(";")[0]
    ask = lambda: api.get("/session", token="", headers={"Cookie": cookie})
    assert ask().json == {"name": "guest", "role": "viewer"}
    # A database that is away for a moment signs nobody out.
    cluster.stop()
    assert ask().status == 200
    cluster.start()
    pgforce.run("token", "revoke", "guest")
    assert ask().status == 401
    make_token(pgforce, "guest", "admin")
    assert ask().status == 401


def test_a_wrong_token_does_not_log_in(api):
    assert api.post("/login", {"token": "wrong"}, token="").status == 401
    assert api.post("/login", {}, token="").status == 401


def test_calls_that_other_sites_make_in_a_browser_are_refused(api):
    ours = {"Origin": f"http://127.0.0.1:{api.port}", "Sec-Fetch-Site": "same-origin"}
    assert api.get("/no/such/path", headers=ours).status == 404
    for header in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert api.get("/no/such/path", headers=header).status == 403, header
        assert api.post("/login", {"token": TOKEN}, token="", headers=header).status == 403, header


def test_answers_carry_a_strict_policy_and_no_cors(api):
    headers = api.get("/livez").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe-inline" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_an_address_beyond_loopback_needs_tls(pgforce):
    refused = pgforce.run("serve", expect=78, env={"PGFORCE_API_ADDRESS": "0.0.0.0:0"})
    assert "without TLS" in refused.stderr
    api = Api(pgforce, TOKEN, PGFORCE_API_ADDRESS="0.0.0.0:0", PGFORCE_API_BEHIND_PROXY="on")
    assert api.get("/livez").status == 200


def test_an_address_that_another_serves_is_not_shared_with_it(api, pgforce):
    refused = pgforce.run("serve", expect=75, env={"PGFORCE_API_ADDRESS": f"127.0.0.1:{api.port}"})
    assert "in use" in refused.stderr


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "pgforce.example.com"}


def test_what_a_proxy_says_of_the_address_is_believed_where_there_is_one(pgforce):
    pgforce.set_up()
    env = {"PGFORCE_API_TOKEN": TOKEN, "PGFORCE_API_HOSTS": "pgforce.example.com"}
    api = Api(pgforce, TOKEN, PGFORCE_API_BEHIND_PROXY="on", **env)
    [connection] = api.get("/connections", headers=FORWARDED).json["results"]
    assert connection["region_url"] == "https://pgforce.example.com"
    assert connection["detail_url"].startswith("https://pgforce.example.com/api/v3/connections/")
    answer = api.post(f"/api/v3/connections/{connection['id']}/validations", headers=FORWARDED)
    assert answer.json["result_url"].startswith(connection["detail_url"])
    origin = {**FORWARDED, "Origin": "https://pgforce.example.com"}
    login = api.post("/login", {"token": TOKEN}, token="", headers=origin)
    assert login.status == 200
    assert login.headers["Set-Cookie"].startswith("__Host-pgforce=") and "Secure" in login.headers["Set-Cookie"]
    assert api.get("/livez", headers={"X-Forwarded-Host": "evil.example.com"}).status == 421
    # Without a proxy anybody may have written that.
    alone = Api(pgforce, TOKEN, **env)
    [connection] = alone.get("/connections", headers=FORWARDED).json["results"]
    assert connection["region_url"] == f"http://127.0.0.1:{alone.port}"


def test_tls_with_a_certificate_of_ours(pgforce, tmp_path):
    pgforce.set_up()
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        + ["-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    env = {"PGFORCE_API_CERTIFICATE_FILE": str(certificate), "PGFORCE_API_KEY_FILE": str(key)}
    api = Api(pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN, **env)
    assert api.get("/livez").status == 200
    answer = api.post("/login", {"token": TOKEN}, token="")
    assert answer.headers["Set-Cookie"].startswith("__Host-pgforce=")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_certificate_needs_its_key(pgforce):
    env = {"PGFORCE_API_CERTIFICATE": "x"}
    assert "give both" in pgforce.run("serve", expect=78, env=env).stderr
    env["PGFORCE_API_KEY"] = "y"
    env["PGFORCE_API_ADDRESS"] = "127.0.0.1:0"
    assert "PEM" in pgforce.run("serve", expect=78, env=env).stderr


def test_a_short_token_is_no_token(pgforce):
    assert "shorter" in pgforce.run("serve", expect=78, env={"PGFORCE_API_TOKEN": "short"}).stderr


def test_half_open_connections_do_not_keep_others_out_for_good(api):
    half = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(40)]
    for each in half:
        each.sendall(b"GET /livez HTTP/1.1\r\nHost: x")
    assert api.get("/livez").status == 200
    for each in half:
        each.close()


def test_an_api_that_had_no_descriptor_for_a_caller_accepts_again_when_another_has_gone(pgforce):
    api = Api(pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN, **calls.environment("accept4:2"))
    first = socket.create_connection(("127.0.0.1", api.port))
    eventually(lambda: "accept4 fails" in api.role.log_text())
    first.close()
    assert api.get("/livez").status == 200


def test_the_database_away_means_not_ready_and_still_alive(api, cluster):
    cluster.stop()
    assert api.get("/livez").status == 200
    assert api.get("/readyz").status == 503
    assert api.get("/no/such/path", token="unknown").status == 503
    cluster.start()
    assert "slot" in api.get("/readyz").json["reasons"][0]
