"""The sandbox organisation over its REST API, as any client of Salesforce would use it."""

import json
import urllib.error
import urllib.parse
import urllib.request

API = "/services/data/v60.0"


class Org:
    def __init__(self, url, access_token):
        self.url = url
        self.access_token = access_token

    def query(self, soql):
        records = []
        path = f"{API}/query?q={urllib.parse.quote(soql)}"
        while path:
            answer = self.send("GET", path)
            records += answer["records"]
            path = answer.get("nextRecordsUrl")
        return records

    def create(self, object_name, **fields):
        return self.send("POST", f"{API}/sobjects/{object_name}", fields)["id"]

    def update(self, object_name, record_id, **fields):
        self.send("PATCH", f"{API}/sobjects/{object_name}/{record_id}", fields)

    def delete(self, object_name, record_id):
        self.send("DELETE", f"{API}/sobjects/{object_name}/{record_id}")

    def send(self, method, path, body=None):
        """The answer's JSON, or None where it has no body. An error answer is raised with its text."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.access_token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise OSError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(text) if text else None
