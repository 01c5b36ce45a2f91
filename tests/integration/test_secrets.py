"""No secret leaves: each is a word that exists nowhere else, and after the typical faults, at the highest log
level, nothing that pgforce wrote, answered or shows has any of them, in any spelling."""

import base64
import getpass
import json
import os
import shutil
import subprocess
import urllib.parse
from pathlib import Path

import process
import pytest

from api import Api
from eventually import eventually
from programs import Background, Pgforce
from sandbox import Sandbox
from sync import Sync, account

API_TOKEN = "canary-api-token-1f0e6a7c"
CLIENT_SECRET = "sandbox-secret"
ACCESS_TOKEN = "00DdL0000000000!canaryAccessToken5b1d"
PASSWORD = "canary/password+of=the database 8d2"
HOOK = "canary-hook-77c2"
USER_PASSWORD = "canary-users-password-93ab"
SECRET_KEY = "ca4a27" * 10 + "5b1d"
REFRESH_TOKEN = Sandbox.refresh_token


def spellings(secret):
    """As it is, by URL, in hex, and in base64 at each of the three alignments."""
    raw = secret.encode()
    found = {secret, urllib.parse.quote(secret), urllib.parse.quote_plus(secret), raw.hex(),
             urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1]}
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + raw).decode()
        # The characters at both ends depend on the neighbours.
        core = text[4 if shift else 0 : len(text) - len(text) % 4 - 4]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return {spelling for spelling in found if len(spelling) > 6}


class Witness:
    """Everything that could tell, by the name of where it stood."""

    def __init__(self):
        self.texts = []

    def hears(self, where, text):
        self.texts.append((where, text))

    def told(self, secrets):
        return [(where, name) for where, text in self.texts for name, secret in secrets.items()
                for spelling in spellings(secret) if spelling in text]


@pytest.fixture
def sandbox(logs):
    with Sandbox(logs, token=ACCESS_TOKEN) as sandbox:
        yield sandbox


@pytest.fixture
def secret_database(database, cluster):
    """pgforce's role with a password that libpq's URL has to encode."""
    old = cluster._state["passwords"]["pgforce"]
    cluster.psql(f"alter role pgforce password '{PASSWORD}'", role="postgres")
    yield database.dsn("pgforce").replace(old, urllib.parse.quote(PASSWORD, safe=""))
    cluster.psql(f"alter role pgforce password '{old}'", role="postgres")


def titles(pgforce):
    """What `ps` shows of every process."""
    for child in pgforce.started:
        path = Path(f"/proc/{child.pid}/cmdline")
        if child.is_running() and path.exists():
            yield path.read_text()
    for child in Path("/proc").glob("[0-9]*"):
        try:
            if (child / "exe").resolve() == pgforce.binary:
                yield (child / "cmdline").read_text()
        except OSError:
            continue


def walk(api, witness, **options):
    """Every route, as far as GET goes, also where it refuses."""
    [connection] = api.get("/api/v3/connections?deep=true").json["results"]
    [mapping] = connection["mappings"]
    one, other = f"/api/v3/connections/{connection['id']}", f"/api/v3/mappings/{mapping['id']}"
    paths = ["/livez", "/readyz", "/status", "/metrics", "/connections", "/api/v3/connections?deep=true",
             one, other, one + "/actions/export", one + "/schemas", one + "/schemas/Account",
             one + "/errors", one + "/notifications", one + "/mappings", other + "/errors",
             other + "/validations", "/nowhere", "/api/v3/apps/pgforce"]
    for path in paths:
        answer = api.get(path, **options)
        witness.hears(f"GET {path}", answer.text + str(answer.headers))


def test_no_secret_is_in_a_log_an_answer_an_export_or_a_process_title(
    secret_database, pgforce, database, sandbox, logs, tmp_path, cluster
):
    witness = Witness()
    secrets = {"database password": PASSWORD, "client secret": CLIENT_SECRET, "access token": ACCESS_TOKEN,
               "API token": API_TOKEN, "webhook": HOOK, "user's password": USER_PASSWORD,
               "refresh token": REFRESH_TOKEN, "secret key": SECRET_KEY}
    env = {**pgforce.env, "PGFORCE_DATABASE_URL": secret_database, "PGFORCE_LOG_LEVEL": "debug",
           "PGFORCE_API_TOKEN": API_TOKEN, "PGFORCE_NOTIFY_URL": f"http://127.0.0.1:1/{HOOK}"}
    ours = Pgforce(database, env, logs)
    try:
        commands_and_faults(ours, secrets, witness, sandbox, cluster)
    finally:
        ours.end()
    for log in logs.glob("*.log"):
        if log.name != "sandbox.log":
            witness.hears(log.name, log.read_text(errors="replace"))
    dump = database.psql("select table_to_xml(c.oid, true, false, '') from pg_class c"
                         " where relkind = 'r' and relnamespace::regnamespace::text in"
                         " ('pgforce', 'salesforce')", role="postgres")
    witness.hears("the tables", dump)
    assert len(witness.texts) > 30
    assert witness.told(secrets) == []
    # It would have been found.
    witness.hears("a leak", f"token={base64.b64encode(b'user:' + API_TOKEN.encode()).decode()}")
    assert witness.told(secrets) == [("a leak", "API token")]


def test_nobody_else_reads_the_memory_of_a_role(pgforce, scratch):
    """As a user who is not root: whose process may not be looked into, its environment is root's."""
    pgforce.set_up()
    binary = shutil.copy2(pgforce.binary, scratch / "pgforce")
    is_root = os.geteuid() == 0
    user = "postgres" if is_root else getpass.getuser()
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if is_root else []
    for allowed, owner in (("off", "root"), ("on", user)):
        env = {**pgforce.env, "PGFORCE_ALLOW_DEBUGGER": allowed}
        log = pgforce.folder / f"debugger-{allowed}.log"
        child = Background([*as_user, binary, "housekeeper"], process.environment(**env), log)
        pgforce.started.append(child)
        eventually(lambda c=child: sessions(pgforce, c))
        assert Path(f"/proc/{child.pid}/environ").owner() == owner
        child.stop()
        eventually(lambda c=child: not sessions_of_housekeepers(pgforce))


def sessions(pgforce, child):
    assert child.is_running(), child.log_text()
    return sessions_of_housekeepers(pgforce)


def sessions_of_housekeepers(pgforce):
    return pgforce.database.query(
        "select pid from pg_stat_activity where application_name = 'pgforce housekeeper'", role="postgres")


def make_key(folder):
    """A private key, and a line of it."""
    file = folder / "canary.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", file],
                   check=True, capture_output=True)
    return file, file.read_text().splitlines()[7]


def commands_and_faults(ours, secrets, witness, sandbox, cluster):
    def says(*arguments, **options):
        done = ours.run(*arguments, expect=None, **options)
        witness.hears(" ".join(arguments), done.stdout + done.stderr)
        return done

    sync = Sync(ours, ours.database, sandbox)
    witness.hears("import", sync.map(account()).stdout)
    made = says("token", "create", "reader", "viewer")
    # Shown once, to who made it: from here on it is a secret too.
    witness.texts.pop()
    secrets["made token"] = made.stdout.strip()
    sandbox.fault({"match": {"method": "POST", "path": "composite"}, "times": 2, "status": 500,
                   "body": "not JSON"})
    sync.start("archive", "push", "pull", "housekeeper", "watch")
    api = Api(ours, API_TOKEN)
    cookie = api.post("/login", {"token": secrets["made token"]}, token="")
    secrets["cookie"] = cookie.headers["Set-Cookie"].split(";")[0].split("=", 1)[1]
    sync.query("insert into salesforce.account (name, external_id__c) values ('Ada', 'a-1')")
    sync.settled(1)
    sandbox.expire_sessions()
    sync.query("insert into salesforce.account (name, external_id__c) values ('Bob', 'a-2')")
    eventually(lambda: sync.entries("id", "state <> 'NEW'"))
    walk(api, witness)
    walk(api, witness, token=secrets["made token"])
    witness.hears("refused", api.get("/status", token=API_TOKEN + "x").text)
    for arguments in (["status"], ["status", "--json"], ["export"], ["doctor"], ["token", "list"],
                      ["errors"], ["--help"], ["config-table"]):
        says(*arguments)
    says("doctor", env={"PGFORCE_SF_CLIENT_SECRET": USER_PASSWORD})
    says("doctor", env={"PGFORCE_SF_USERNAME": "nobody@sandbox.example", "PGFORCE_SF_PASSWORD": USER_PASSWORD})
    key, secrets["private key"] = make_key(ours.folder)
    seal = {"PGFORCE_SECRET_KEY": secrets["secret key"]}
    jwt = {"PGFORCE_SF_JWT_KEY_FILE": str(key), "PGFORCE_SF_USERNAME": sandbox.username,
           "PGFORCE_SF_CLIENT_SECRET": ""}
    for env in (jwt, {**jwt, "PGFORCE_SF_USERNAME": "nobody@sandbox.example"},
                {"PGFORCE_SF_REFRESH_TOKEN": REFRESH_TOKEN}, {"PGFORCE_SF_REFRESH_TOKEN": REFRESH_TOKEN + "x"}):
        says("objects", env=env)
        says("doctor", "--json", env=env)
        says("--check-config", env={**env, **seal})
    says("login", "--jwt", "--key-file", str(key), "--username", sandbox.username, env=seal)
    says("login", "--client-credentials", env=seal)
    says("objects", env={**seal, "PGFORCE_SF_CLIENT_SECRET": ""})
    says("logout", env=seal)
    says("status", env={"PGFORCE_DATABASE_URL": ours.env["PGFORCE_DATABASE_URL"] + "?sslmode=require"})
    says("status", env={"PGFORCE_DATABASE_URL": ours.env["PGFORCE_DATABASE_URL"].replace("pgforce:", "nobody:")})
    says("status", env={"PGFORCE_DATABASE_URL": ours.env["PGFORCE_DATABASE_URL"] + "?nonsense=1"})
    for title in titles(ours):
        witness.hears("a process title", title)
    sync.query("insert into salesforce._trigger_log (table_name, record_id, action, state)"
               " values ('account', 1, 'UPDATE', 'FAILED')")
    eventually(lambda: "cannot tell an operator" in sync.roles["watch"].log_text())
    cluster.stop()
    eventually(lambda: "cannot look" in sync.roles["watch"].log_text())
    witness.hears("readyz, database away", api.get("/readyz").text)
    says("status")
    cluster.start()
    sandbox.stop()
    says("objects")
    sandbox.start()
