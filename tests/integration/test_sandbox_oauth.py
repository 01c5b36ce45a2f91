"""The sandbox's ways to a session that need more than one call, and what can be asked of one."""

import base64
import hashlib
import hmac
import html
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from sandbox import Sandbox

REDIRECT = "http://127.0.0.1:1717/OauthRedirect?x=1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def post_form(sandbox, path, **fields):
    return sandbox.request("POST", path, urllib.parse.urlencode(fields).encode(), headers=FORM)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def log_in(sandbox, password=None, **request):
    """Fetches the login page, fills its form in, and answers where it leads: (status, target)."""
    query = {
        "response_type": "code",
        "client_id": sandbox.client_id,
        "redirect_uri": REDIRECT,
        "state": "s&1",
        **request,
    }
    page = sandbox.get("/services/oauth2/authorize?" + urllib.parse.urlencode(query), token="x")
    assert page.status == 200, page.body
    text = page.body.decode()
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text))
    fields = {name: html.unescape(value) for name, value in fields.items()}
    fields.update(username=sandbox.username, pw=password or sandbox.password)
    opener = urllib.request.build_opener(NoRedirect)
    try:
        answer = opener.open(
            sandbox.url + "/services/oauth2/authorize", urllib.parse.urlencode(fields).encode()
        )
        return answer.status, answer.read().decode()
    except urllib.error.HTTPError as redirect:
        with redirect:
            return redirect.code, redirect.headers["Location"]


def code_of(target):
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)
    assert target.startswith(REDIRECT)
    assert query["state"] == ["s&1"]
    return query["code"][0]


def exchange(sandbox, code, **fields):
    return sandbox.login(
        grant_type="authorization_code",
        code=code,
        redirect_uri=REDIRECT,
        **{"client_id": sandbox.client_id, **fields},
    )


def test_a_code_becomes_a_session_and_a_refresh_token_once(sandbox):
    status, target = log_in(sandbox)
    assert status == 302
    answer = exchange(sandbox, code_of(target), client_secret=sandbox.client_secret)
    assert answer.status == 200, answer.body
    assert sandbox.get("limits", token=answer.json["access_token"]).status == 200
    again = exchange(sandbox, code_of(target), client_secret=sandbox.client_secret)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")
    refreshed = sandbox.login(
        grant_type="refresh_token",
        refresh_token=answer.json["refresh_token"],
        client_id=sandbox.client_id,
    )
    assert refreshed.status == 200
    assert "refresh_token" not in refreshed.json


def test_pkce_stands_in_for_the_secret(sandbox):
    verifier = "v" * 60
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    for sent, error in ((verifier, None), ("w" * 60, "invalid_grant"), ("", "invalid_grant")):
        _, target = log_in(sandbox, code_challenge=challenge, code_challenge_method="S256")
        answer = exchange(sandbox, code_of(target), code_verifier=sent)
        assert answer.json.get("error") == error, answer.body
    _, target = log_in(sandbox)
    assert exchange(sandbox, code_of(target)).json["error"] == "invalid_client"


def test_a_code_is_for_one_redirect_and_a_short_time(sandbox):
    _, target = log_in(sandbox)
    other = sandbox.login(
        grant_type="authorization_code",
        code=code_of(target),
        redirect_uri="http://other/",
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
    )
    assert other.json["error"] == "redirect_uri_mismatch"
    _, target = log_in(sandbox)
    sandbox.advance(3600)
    late = exchange(sandbox, code_of(target), client_secret=sandbox.client_secret)
    assert late.json["error_description"] == "expired authorization code"


def test_a_wrong_password_shows_the_page_again(sandbox):
    status, page = log_in(sandbox, password="wrong")
    assert status == 200
    assert "Please check your username and password" in page


def test_what_a_stranger_sends_does_not_become_a_page(sandbox):
    query = urllib.parse.urlencode(
        {
            "response_type": "code",
            "client_id": sandbox.client_id,
            "redirect_uri": "http://x/",
            "state": '"><script>',
        }
    )
    page = sandbox.get("/services/oauth2/authorize?" + query).body.decode()
    assert "<script>" not in page and "&quot;&gt;&lt;script&gt;" in page
    for change in ({"client_id": "x"}, {"response_type": "x"}, {"redirect_uri": "x\r\ny:"}):
        query = {
            "response_type": "code",
            "client_id": sandbox.client_id,
            "redirect_uri": "http://x/",
            **change,
        }
        refused = sandbox.get("/services/oauth2/authorize?" + urllib.parse.urlencode(query))
        assert refused.status == 400
        assert refused.body.startswith(b"error=")


def test_refresh_tokens_are_revoked_too(sandbox):
    grant = {
        "grant_type": "refresh_token",
        "refresh_token": sandbox.refresh_token,
        "client_id": sandbox.client_id,
    }
    assert sandbox.login(**grant).status == 200
    assert post_form(sandbox, "/services/oauth2/revoke", token=sandbox.refresh_token).status == 200
    refused = sandbox.login(**grant)
    assert refused.json["error_description"] == "expired access/refresh token"
    unknown = post_form(sandbox, "/services/oauth2/revoke", token="nonsense")
    assert unknown.status == 400
    form = dict(urllib.parse.parse_qsl(unknown.body.decode()))
    assert form["error"] == "unsupported_token_type"
    session = sandbox.login().json["access_token"]
    quoted = urllib.parse.quote(session)
    assert sandbox.get(f"/services/oauth2/revoke?token={quoted}").status == 200


def test_introspection_tells_living_tokens_from_dead_ones(sandbox):
    token = sandbox.login().json["access_token"]
    client = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    told = post_form(sandbox, "/services/oauth2/introspect", token=token, **client).json
    assert (told["active"], told["username"]) == (True, sandbox.username)
    assert told["exp"] > told["iat"]
    sandbox.expire_sessions()
    assert post_form(sandbox, "/services/oauth2/introspect", token=token, **client).json == {
        "active": False
    }


def test_the_answer_is_signed_with_the_secret(sandbox):
    answer = sandbox.login()
    body = answer.json
    text = (body["id"] + body["issued_at"]).encode()
    digest = hmac.new(sandbox.client_secret.encode(), text, hashlib.sha256).digest()
    assert body["signature"] == base64.b64encode(digest).decode()
    assert answer.headers["Cache-Control"] == "no-cache, no-store"


# ---- JWT ----


@pytest.fixture
def key(tmp_path):
    """A private key and its certificate."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"]
    command += ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-days", "1"]
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path


def part(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def assertion(sandbox, key, algorithm="RS256"):
    claims = {
        "iss": sandbox.client_id,
        "sub": sandbox.username,
        "aud": sandbox.url + "/",
        "exp": int(time.time()) + 300,
    }
    text = part({"alg": algorithm}) + "." + part(claims)
    if key is None:
        return text + "." + part(b"nothing")
    command = ["openssl", "dgst", "-sha256", "-sign", key / "key.pem"]
    signed = subprocess.run(command, input=text.encode(), check=True, capture_output=True)
    return text + "." + part(signed.stdout)


def present(sandbox, text):
    return sandbox.login(
        grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=text
    )


def test_signatures_are_checked_once_there_is_a_certificate(sandbox, key):
    assert present(sandbox, assertion(sandbox, None)).status == 200
    certificate = (key / "cert.pem").read_text()
    assert sandbox.post("/_sandbox/rules", {"jwt_certificate": certificate}).status == 200
    assert present(sandbox, assertion(sandbox, key)).status == 200
    for forged in (
        assertion(sandbox, None),
        assertion(sandbox, key, "none"),
        assertion(sandbox, key)[:-6] + "AAAAAA",
    ):
        refused = present(sandbox, forged)
        assert (refused.status, refused.json["error_description"]) == (400, "invalid assertion")


def test_the_certificate_may_be_an_option(tmp_path, key):
    with Sandbox(tmp_path, "--jwt-cert", key / "cert.pem") as sandbox:
        assert present(sandbox, assertion(sandbox, key)).status == 200
        assert present(sandbox, assertion(sandbox, None)).status == 400
    with pytest.raises(RuntimeError):
        Sandbox(tmp_path, "--jwt-cert", key / "missing.pem").start()


# ---- SOAP ----


def soap_login(sandbox, username, password, version="50.0"):
    body = (
        '<se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Header/><se:Body>'
        f'<login xmlns="urn:partner.soap.sforce.com"><username>{username}</username>'
        f"<password>{password}</password></login></se:Body></se:Envelope>"
    )
    headers = {"Content-Type": "text/xml", "SOAPAction": '""'}
    return sandbox.request("POST", f"/services/Soap/u/{version}", body.encode(), headers=headers)


def test_old_clients_log_in_by_soap(sandbox):
    answer = soap_login(sandbox, sandbox.username, sandbox.password)
    assert answer.status == 200
    text = answer.body.decode()
    found = dict(re.findall(r"<(sessionId|serverUrl|userId|organizationId|passwordExpired)>([^<]+)<", text))
    assert sandbox.get("limits", token=found["sessionId"]).status == 200
    assert found["serverUrl"].startswith(sandbox.url + "/services/Soap/u/50.0/00D")
    assert found["passwordExpired"] == "false"
    identity = sandbox.get("/services/oauth2/userinfo").json
    assert (found["userId"], found["organizationId"]) == (
        identity["user_id"],
        identity["organization_id"],
    )
    refused = soap_login(sandbox, sandbox.username, "x &lt; y")
    assert refused.status == 500
    assert b"<faultcode>sf:INVALID_LOGIN</faultcode>" in refused.body
    assert soap_login(sandbox, sandbox.username, sandbox.password, "65.0").status == 500


def test_the_clis_own_app_has_no_secret(sandbox):
    verifier = "v" * 60
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    cli = {"client_id": "PlatformCLI"}
    asked = {**cli, "code_challenge": challenge, "code_challenge_method": "S256"}
    _, target = log_in(sandbox, **asked)
    wrong = exchange(sandbox, code_of(target), **cli, code_verifier="w" * 60)
    assert wrong.json["error"] == "invalid_grant"
    _, target = log_in(sandbox, **asked)
    answer = exchange(sandbox, code_of(target), **cli, code_verifier=verifier)
    assert answer.status == 200, answer.body
    fresh = sandbox.login(
        grant_type="refresh_token", refresh_token=answer.json["refresh_token"], **cli
    )
    assert sandbox.get("limits", token=fresh.json["access_token"]).status == 200
    # What needs a secret needs one of the app that has it.
    answer = sandbox.login(grant_type="client_credentials", **cli)
    assert (answer.status, answer.json["error"]) == (400, "invalid_client")


def test_a_browsers_way_in_is_told_to_who_has_a_session(sandbox):
    path = "/services/oauth2/singleaccess?redirect_uri=lightning%3Fa%3D1%26b"
    url = sandbox.get(path).json["frontdoor_uri"]
    assert url.startswith(f"{sandbox.url}/secur/frontdoor.jsp?otp=00D")
    assert url.endswith("&startURL=lightning%3Fa%3D1%26b")
    assert sandbox.get(path, token="00D!x").status == 401
