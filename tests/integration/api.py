"""A client of the HTTP API for tests: any header, any host, and what came back."""

import gzip
import http.client
import json
import re
import ssl

from eventually import eventually
from programs import assert_no_secret


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        body = response.read()
        self.text = (gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body).decode()

    @property
    def json(self):
        return json.loads(self.text)


class Api:
    """`pgforce serve` on a port of its own, and calls to it with one token."""

    def __init__(self, pgforce, token="", **env):
        self.token = token
        self.is_tls = "PGFORCE_API_CERTIFICATE_FILE" in env
        env.setdefault("PGFORCE_API_ADDRESS", "127.0.0.1:0")
        self.role = pgforce.start("serve", env=env)
        self.host = "[::1]" if env["PGFORCE_API_ADDRESS"].startswith("[::1]") else "127.0.0.1"
        self.port = int(eventually(lambda: re.search(r"port=(\d+)", self.role.log_text()))[1])

    def call(self, method, path, body=None, *, token=None, headers=None):
        """body: anything that JSON can say, or bytes as they are. token "" sends none."""
        token = self.token if token is None else token
        sent = {"Host": f"{self.host}:{self.port}"}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent.update(headers or {})
        if self.is_tls:
            context = ssl._create_unverified_context()
            client = http.client.HTTPSConnection(self.host.strip("[]"), self.port, timeout=60, context=context)
        else:
            client = http.client.HTTPConnection(self.host.strip("[]"), self.port, timeout=60)
        try:
            client.request(method, path, body, {k: v for k, v in sent.items() if v is not None})
            answer = Answer(client.getresponse())
            assert_no_secret(self.role.env, f"{method} {path}", answer.text)
            return answer
        finally:
            client.close()

    def stream(self, path, accept, **options):
        """An answer that goes on: http.client's response, to be read line by line."""
        client = http.client.HTTPConnection(self.host.strip("[]"), self.port, timeout=60)
        token = options.get("token", self.token)
        headers = {"Accept": accept, "Authorization": f"Bearer {token}", **options.get("headers", {})}
        client.request("GET", path, headers=headers)
        return client.getresponse()

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.call("POST", path, body, **options)
