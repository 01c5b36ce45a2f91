"""A sandbox organisation for a test: starts pgforce-sandbox, talks to it, stops it.

    with Sandbox(tmp_path) as org:
        account = org.create("Account", Name="Acme")
        org.fault({"match": {"method": "POST"}, "status": 503})
"""

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

BUILD = Path(os.environ.get("PGFORCE_BUILD", Path(__file__).parents[2] / "build"))
TOKEN = "00DdL0000000000!AQtest"


class Answer:
    """What came back: status, headers, and the body as bytes or JSON."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class Sandbox:
    version = "60.0"
    client_id = "sandbox-client"
    client_secret = "sandbox-secret"
    username = "admin@sandbox.example"
    password = "sandbox-password"
    refresh_token = "sandbox-refresh"

    def __init__(self, folder, *options, token=TOKEN, host="127.0.0.1", program=BUILD / "bin" / "pgforce-sandbox"):
        self.folder = Path(folder)
        self.program = program
        self.options = options
        self.host = host
        self.token = token
        self.process = None
        self.url = None

    def start(self, deadline_s=90):
        port_file = self.folder / "sandbox.port"
        port_file.unlink(missing_ok=True)
        command = [self.program, "--listen", f"{self.host}:0"]
        command += ["--port-file", port_file, "--access-token", self.token, *self.options]
        with open(self.folder / "sandbox.log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        # It says one line when it listens; an early end closes the pipe.
        self.first_line = self.process.stdout.readline().decode()
        if not self.first_line:
            raise RuntimeError(f"pgforce-sandbox ended with {self.process.wait(deadline_s)}")
        self.url = f"http://{self.host}:{port_file.read_text().strip()}"
        return self

    def stop(self):
        """Asks it to stop and answers its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        self.process = None
        return code

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # ---- HTTP ----

    def request(self, method, path, body=None, token=None, headers=None):
        """path: from the root, or, when it does not begin with /, under /services/data/vNN.N/."""
        if not path.startswith("/"):
            path = f"/services/data/v{self.version}/{path}"
        sent = {"Authorization": f"Bearer {token or self.token}", **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, body, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, refusal.headers, refusal.read())

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body=None, **kwargs):
        return self.request("POST", path, {} if body is None else body, **kwargs)

    def patch(self, path, body, **kwargs):
        return self.request("PATCH", path, body, **kwargs)

    def delete(self, path, **kwargs):
        return self.request("DELETE", path, **kwargs)

    # ---- Salesforce ----

    def login(self, **grant):
        """The answer of the token endpoint; without arguments, client credentials."""
        grant = grant or {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        body = urllib.parse.urlencode(grant).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", "/services/oauth2/token", body, headers=headers)

    def query_page(self, soql, resource="query", **kwargs):
        return self.get(f"{resource}?" + urllib.parse.urlencode({"q": soql}), **kwargs)

    def query(self, soql, resource="query"):
        """All rows, through all pages."""
        page = self._expect(self.query_page(soql, resource), 200)
        rows = page["records"]
        while not page["done"]:
            page = self._expect(self.get(page["nextRecordsUrl"]), 200)
            rows += page["records"]
        return rows

    def query_all(self, soql):
        return self.query(soql, "queryAll")

    def create(self, name, **fields):
        return self._expect(self.post(f"sobjects/{name}", fields), 201)["id"]

    def retrieve(self, name, record_id):
        return self._expect(self.get(f"sobjects/{name}/{record_id}"), 200)

    def update(self, name, record_id, **fields):
        self._expect(self.patch(f"sobjects/{name}/{record_id}", fields), 204)

    def remove(self, name, record_id):
        self._expect(self.delete(f"sobjects/{name}/{record_id}"), 204)

    # ---- the door ----

    def fault(self, fault):
        self._expect(self.post("/_sandbox/faults", fault), 200)

    def faults(self):
        """Those that have not met their request yet."""
        return self._expect(self.get("/_sandbox/faults"), 200)["faults"]

    def clear_faults(self):
        self._expect(self.delete("/_sandbox/faults"), 204)

    def journal(self, clear=False):
        return self._expect(self.get("/_sandbox/journal" + ("?clear=1" if clear else "")), 200)[
            "requests"
        ]

    def advance(self, seconds):
        return self._expect(self.post("/_sandbox/clock", {"advance_seconds": seconds}), 200)

    def expire_sessions(self):
        self._expect(self.post("/_sandbox/sessions/expire"), 200)

    def define(self, definition):
        self._expect(self.post("/_sandbox/objects", definition), 200)

    def reset(self):
        self._expect(self.post("/_sandbox/reset"), 200)

    def load(self, name, count):
        self._expect(self.post("/_sandbox/load", {"object": name, "count": count}), 200)

    def insert(self, name, *records):
        """Rows as they are, system fields too, without any rule."""
        self._expect(self.post("/_sandbox/records", {"object": name, "records": records}), 200)

    def rows(self, name):
        """All rows of an object, the deleted ones too."""
        return self._expect(self.get(f"/_sandbox/records/{name}"), 200)["records"]

    def undelete(self, *ids):
        self._expect(self.post("/_sandbox/undelete", {"ids": ids}), 200)

    def purge(self, *ids):
        self._expect(self.post("/_sandbox/purge", {"ids": ids}), 200)

    @staticmethod
    def _expect(answer, status):
        assert answer.status == status, (answer.status, answer.body)
        return json.loads(answer.body) if answer.body else None
