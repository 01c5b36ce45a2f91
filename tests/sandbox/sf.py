"""The Salesforce CLI, as its users use it: a list of commands, and what each must answer."""

import csv
import json
import subprocess

SWITCHES = {
    "SF_DISABLE_TELEMETRY": "true",
    "SF_SKIP_NEW_VERSION_CHECK": "true",
    "SF_DISABLE_AUTOUPDATE": "true",
    "SF_AUTOUPDATE_DISABLE": "true",
    "SF_USE_GENERIC_UNIX_KEYCHAIN": "true",
    "SF_DISABLE_DNS_CHECK": "true",
    "SF_USE_PROGRESS_BAR": "false",
}
COMMAND_TIMEOUT_S = 120
# Like a browser it goes on by itself; the CLI listens for the way back only once the program has ended.
BROWSER = """#!/usr/bin/python3
import os, sys, urllib.parse, urllib.request
if os.fork() > 0:
    sys.exit(0)
os.setsid()
url = urllib.parse.urlsplit(sys.argv[-1])
form = urllib.parse.parse_qsl(url.query)
form += [("username", "user@sandbox.example"), ("pw", "sandbox-password")]
page = urllib.parse.urlunsplit(url._replace(query=""))
for _ in range(20):
    try:
        urllib.request.urlopen(page, urllib.parse.urlencode(form).encode(), timeout=5).read()
        break
    except OSError:
        continue
"""
CHECKS = []


def check(run):
    """Registers a check under its name, with blanks for underscores."""
    CHECKS.append(run)
    return run


class Cli:
    def __init__(self, command, folder, sandbox, env):
        self.command = command
        self.folder = folder
        self.sandbox = sandbox
        home = folder / "home"
        home.mkdir()
        self.env = {
            **env,
            **SWITCHES,
            "HOME": str(home),
            "PATH": f"{command[0].parent}:{env['PATH']}",
            "SF_ACCESS_TOKEN": sandbox.token,
        }

    def run(self, *arguments, env=None):
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )

    def __call__(self, *arguments, status=0, org="sim", env=None):
        """The answer as JSON: its result, or with status=1 the error itself."""
        target = [] if org is None else ["--target-org", org]
        done = self.run(*arguments, *target, "--json", env=env)
        try:
            answer = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise AssertionError(f"no JSON: {done.stdout}{done.stderr}") from None
        assert answer["status"] == status, done.stdout
        return answer["result"] if status == 0 else answer

    def write(self, name, header, rows):
        with open(self.folder / name, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
        return name

    def write_browser(self):
        """A program that signs in where a person would see a page."""
        browser = self.folder / "browser"
        browser.write_text(BROWSER)
        browser.chmod(0o755)
        return browser

    def read(self, name):
        with open(self.folder / name, newline="") as file:
            return list(csv.DictReader(file))


# ---- the organisation ----


@check
def signs_in_with_an_access_token(sf):
    answer = sf(
        *("org", "login", "access-token", "--no-prompt", "--alias", "sim"),
        *("--instance-url", sf.sandbox.url),
        org=None,
    )
    assert answer["username"] == sf.sandbox.username, answer


@check
def needs_no_sign_in_when_the_environment_names_the_organisation(sf):
    env = {"SF_ORG_INSTANCE_URL": sf.sandbox.url}
    found = sf("data", "query", "-q", "SELECT Id FROM Organization", org=sf.sandbox.token, env=env)
    assert found["totalSize"] == 1, found


@check
def signs_in_with_a_signed_assertion(sf):
    key = sf.folder / "key.pem"
    make_key = ("openssl", "genpkey", "-algorithm", "RSA", "-out", key)
    subprocess.run(make_key, check=True, capture_output=True)
    answer = sf(
        *("org", "login", "jwt", "--username", sf.sandbox.username, "--alias", "signed"),
        *("--client-id", sf.sandbox.client_id, "--jwt-key-file", str(key)),
        *("--instance-url", sf.sandbox.url),
        org=None,
    )
    assert answer["username"] == sf.sandbox.username, answer
    assert sf("data", "query", "-q", "SELECT Id FROM Organization", org="signed")["totalSize"] == 1
    sf("org", "logout", "--no-prompt", org="signed")
    signs_in_with_an_access_token(sf)


@check
def org_display_and_list(sf):
    assert sf("org", "display")["connectedStatus"] == "Connected"
    orgs = sf("org", "list", org=None)["nonScratchOrgs"]
    assert [(org["alias"], org["connectedStatus"]) for org in orgs] == [("sim", "Connected")], orgs


@check
def org_list_limits(sf):
    limits = {limit["name"]: limit for limit in sf("org", "list", "limits")}
    daily = limits["DailyApiRequests"]
    assert daily["max"] > daily["remaining"] > 0, daily


@check
def sobject_list_and_describe(sf):
    assert {"Account", "Contact", "Invoice__c"} <= set(sf("sobject", "list", "-s", "all"))
    assert sf("sobject", "list", "-s", "custom") == ["Invoice__c"]
    account = sf("sobject", "describe", "-s", "Account")
    fields = {field["name"]: field for field in account["fields"]}
    assert fields["External_Id__c"]["externalId"] is True
    assert account["keyPrefix"] == "001"
    assert sf("sobject", "describe", "-s", "Nope", status=1)["name"] == "NOT_FOUND"
    tooling = sf("sobject", "describe", "-s", "CustomField", "--use-tooling-api")
    assert tooling["name"] == "CustomField"


@check
def org_display_user_and_record_counts(sf):
    assert sf("org", "display", "user")["profileName"] == "System Administrator"
    (count,) = sf("org", "list", "sobject", "record-counts", "-s", "Organization")
    assert (count["name"], count["count"]) == ("Organization", 1), count


@check
def graphql_is_not_there_and_says_so(sf):
    done = sf.run("api", "request", "graphql", "--body", "query { uiapi { query } }", "-o", "sim")
    assert done.returncode == 1 and "NOT_FOUND" in done.stdout, done


# ---- records ----


@check
def data_create_get_update_and_delete_record(sf):
    values = "Name='Acme Ltd' Phone=123 AnnualRevenue=5 NumberOfEmployees=7"
    made = sf("data", "create", "record", "-s", "Account", "-v", values)
    assert made["success"] is True
    sf("data", "update", "record", "-s", "Account", "-i", made["id"], "-v", "Phone=456")
    read = sf("data", "get", "record", "-s", "Account", "-w", "Name='Acme Ltd'")
    got = [read["Id"], read["Phone"], read["AnnualRevenue"], read["NumberOfEmployees"]]
    assert got == [made["id"], "456", 5, 7], got
    sf("data", "update", "record", "-s", "Account", "-w", "Name='Acme Ltd'", "-v", "Name=Acme")
    assert sf("data", "delete", "record", "-s", "Account", "-w", "Name=Acme")["success"] is True
    gone = sf("data", "get", "record", "-s", "Account", "-i", made["id"], status=1)
    assert gone["name"] == "NOT_FOUND", gone


@check
def data_create_record_says_what_is_wrong(sf):
    error = sf("data", "create", "record", "-s", "Contact", "-v", "FirstName=A", status=1)
    assert "Required fields are missing: [LastName]" in error["message"], error


# ---- queries ----


@check
def data_query_shows_a_table(sf):
    done = sf.run("data", "query", "-q", "SELECT Username, Profile__c FROM User", "-o", "sim")
    assert done.returncode != 0 and "No such column" in done.stderr, done
    query = "SELECT Id, Name, Owner.Name, (SELECT LastName FROM Contacts) FROM Account"
    account = sf.sandbox.create("Account", Name="Shown")
    sf.sandbox.create("Contact", LastName="Leaf", AccountId=account)
    done = sf.run("data", "query", "-q", f"{query} WHERE Name = 'Shown'", "-o", "sim")
    assert done.returncode == 0, done
    for text in ("Shown", "Ada Admin", "Leaf", account):
        assert text in done.stdout, done.stdout


@check
def data_query_counts_and_groups(sf):
    sf.sandbox.post("composite/sobjects", {"records": grouped()})
    query = "SELECT Industry, COUNT(Id) n FROM Account WHERE Name LIKE 'G%' GROUP BY Industry"
    done = sf.run("data", "query", "-q", query, "-r", "csv", "-o", "sim")
    assert sorted(done.stdout.split()) == ["Banking,2", "Energy,1", "Industry,n"], done.stdout
    count = sf("data", "query", "-q", "SELECT COUNT() FROM Account WHERE Name LIKE 'G%'")
    assert count["totalSize"] == 3


def grouped():
    return [
        {"attributes": {"type": "Account"}, "Name": f"G{number}", "Industry": industry}
        for number, industry in enumerate(["Banking", "Banking", "Energy"])
    ]


@check
def data_query_goes_through_every_page(sf):
    sf.sandbox.load("Lead", 4500)
    found = sf("data", "query", "-q", "SELECT Id, Company FROM Lead")
    assert (found["totalSize"], len(found["records"])) == (4500, 4500)


@check
def data_query_writes_parents_and_children_as_csv(sf):
    query = "SELECT Name, Owner.Name, (SELECT LastName FROM Contacts) FROM Account"
    done = sf.run("data", "query", "-q", f"{query} WHERE Name = 'Shown'", "-r", "csv", "-o", "sim")
    header, row = done.stdout.splitlines()[:2]
    assert header.startswith("Name,Owner.Name,Contacts.totalSize,"), done
    assert row == "Shown,Ada Admin,1,Leaf", done


@check
def data_query_says_what_is_wrong(sf):
    error = sf("data", "query", "-q", "SELECT Nope FROM Account", status=1)
    assert error["name"] == "INVALID_FIELD" and "No such column 'Nope'" in error["message"]
    assert sf("data", "query", "-q", "SELEC", status=1)["name"] == "MALFORMED_QUERY"


# ---- Bulk API 2.0 ----


@check
def data_import_bulk(sf):
    rows = [(f'Bulk "{n}", Ltd', n, f"b-{n}") for n in range(5000)]
    file = sf.write("import.csv", ("Name", "NumberOfEmployees", "External_Id__c"), rows)
    done = sf("data", "import", "bulk", "-s", "Account", "-f", file, "-w", "2")
    assert (done["successfulRecords"], done["failedRecords"]) == (5000, 0), done
    found = sf.sandbox.query("SELECT Name FROM Account WHERE External_Id__c = 'b-4999'")
    assert found[0]["Name"] == 'Bulk "4999", Ltd'


@check
def data_import_bulk_of_many_rows_with_windows_line_ends(sf):
    with open(sf.folder / "crlf.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(("LastName", "Company"))
        writer.writerows((f"Row {n}", 'A "quoted", name') for n in range(30000))
    asked = ("data", "import", "bulk", "-s", "Lead", "-f", "crlf.csv", "--line-ending", "CRLF")
    done = sf(*asked, "-w", "2")
    assert (done["successfulRecords"], done["failedRecords"]) == (30000, 0), done


@check
def data_export_bulk_of_many_rows_is_resumed(sf):
    query = "SELECT Id, LastName, Company FROM Lead WHERE LastName LIKE 'Row %'"
    asked = ("data", "export", "bulk", "--output-file", "leads.csv", "-q", query)
    job = sf(*asked)["jobId"]
    done = sf("data", "export", "resume", "-i", job, org=None)
    rows = sf.read("leads.csv")
    assert len(rows) == 30000 and rows[0]["Company"] == 'A "quoted", name', done


@check
def data_import_bulk_reports_the_rows_that_failed(sf):
    file = sf.write("bad.csv", ("Name", "Phone"), [("Good", "1"), ("", "2")])
    error = sf("data", "import", "bulk", "-s", "Account", "-f", file, "-w", "2", status=1)
    assert "failed to process 1 records" in error["message"], error
    results = sf("data", "bulk", "results", "-i", error["data"]["jobId"])
    assert (results["successfulRecords"], results["failedRecords"]) == (1, 1), results
    failed = sf.read(results["failedFilePath"])
    assert failed[0]["sf__Error"].startswith("REQUIRED_FIELD_MISSING:"), failed


@check
def data_upsert_update_and_delete_bulk(sf):
    file = sf.write("upsert.csv", ("External_Id__c", "Phone"), [("b-1", "77"), ("b-2", "77")])
    done = sf(*"data upsert bulk -s Account -i External_Id__c -w 2 -f".split(), file)
    assert done["jobInfo"]["numberRecordsProcessed"] == 2, done
    rows = sf.sandbox.query("SELECT Id FROM Account WHERE Phone = '77'")
    assert len(rows) == 2
    file = sf.write("update.csv", ("Id", "Phone"), [(row["Id"], "78") for row in rows])
    assert sf(*"data update bulk -s Account -w 2 -f".split(), file)["successfulRecords"] == 2
    file = sf.write("delete.csv", ("Id",), [(row["Id"],) for row in rows])
    done = sf(*"data delete bulk -s Account -w 2 -f".split(), file)
    assert done["jobInfo"]["numberRecordsFailed"] == 0, done
    assert sf.sandbox.query("SELECT Id FROM Account WHERE Phone = '78'") == []


@check
def data_export_bulk(sf):
    query = "SELECT Id, Name, Owner.Name FROM Account WHERE External_Id__c LIKE 'b-%'"
    done = sf(*"data export bulk --output-file out.csv -w 2 -q".split(), query)
    assert done["totalSize"] == 4998, done
    rows = sf.read("out.csv")
    assert len(rows) == 4998 and rows[0]["Owner.Name"] == "Ada Admin", rows[:1]
    done = sf(*"data export bulk --output-file out.json -r json -w 2 -q".split(), query)
    assert len(json.loads((sf.folder / "out.json").read_text())) == 4998


# ---- and the rest ----


@check
def data_import_and_export_tree(sf):
    contact = {"attributes": {"type": "Contact", "referenceId": "c1"}, "LastName": "Twig"}
    account = {
        "attributes": {"type": "Account", "referenceId": "a1"},
        "Name": "Tree",
        "Contacts": {"records": [contact]},
    }
    (sf.folder / "tree.json").write_text(json.dumps({"records": [account]}))
    assert len(sf("data", "import", "tree", "--files", "tree.json")) == 2
    query = "SELECT Name, (SELECT LastName FROM Contacts) FROM Account WHERE Name = 'Tree'"
    exported = sf("data", "export", "tree", "-q", query)["records"]
    assert exported[0]["Contacts"]["records"][0]["LastName"] == "Twig", exported


@check
def data_search(sf):
    sf.sandbox.create("Account", Name="Needle Works")
    query = "FIND {needle} IN NAME FIELDS RETURNING Account(Id, Name)"
    found = sf("data", "search", "-q", query)["searchRecords"]
    assert [record["Name"] for record in found] == ["Needle Works"], found


@check
def api_request_rest(sf):
    done = sf.run("api", "request", "rest", "/services/data/v60.0/limits", "-o", "sim")
    assert "DailyApiRequests" in json.loads(done.stdout), done


@check
def signs_in_through_the_login_page(sf):
    env = {"BROWSER": str(sf.write_browser())}
    answer = sf(
        *("org", "login", "web", "--instance-url", sf.sandbox.url, "--alias", "web"),
        org=None,
        env=env,
    )
    assert answer["username"] == "user@sandbox.example", answer
    query = ("data", "query", "-q", "SELECT Id FROM Organization")
    assert sf(*query, org="web")["totalSize"] == 1
    # The session is over: the refresh token that the page gave brings a new one.
    sf.sandbox.expire_sessions()
    assert sf(*query, org="web")["totalSize"] == 1
    sf("org", "logout", "--no-prompt", org="web")


@check
def org_open_tells_its_url(sf):
    answer = sf("org", "open", "--url-only")
    assert answer["url"].startswith(sf.sandbox.url), answer


@check
def data_records_by_their_fields(sf):
    record = "Name='By Field' External_Id__c=by-field"
    made = sf("data", "create", "record", "-s", "Account", "-v", record)
    where = ("-s", "Account", "-w", "External_Id__c=by-field")
    assert sf("data", "get", "record", *where)["Id"] == made["id"]
    sf("data", "update", "record", *where, "-v", "Phone=1")
    assert sf("data", "get", "record", *where)["Phone"] == "1"
    sf("data", "delete", "record", *where)
    assert sf("data", "get", "record", *where, status=1)["name"]


@check
def data_export_and_import_a_plan(sf):
    sf.sandbox.create("Account", Name="Planned")
    query = "SELECT Name, (SELECT LastName FROM Contacts) FROM Account WHERE Name = 'Planned'"
    sf("data", "export", "tree", "--plan", "-q", query, "-d", "planned")
    (plan,) = (sf.folder / "planned").glob("*plan.json")
    assert sf("data", "import", "tree", "--plan", str(plan))
    assert len(sf.sandbox.query("SELECT Id FROM Account WHERE Name = 'Planned'")) == 2


@check
def api_request_rest_writes_too(sf):
    done = sf.run(
        *("api", "request", "rest", "/services/data/v60.0/sobjects/Account", "-X", "POST", "-o", "sim"),
        *("-H", "Content-Type: application/json", "-b", json.dumps({"Name": "By REST"})),
    )
    assert json.loads(done.stdout)["success"] is True, done


@check
def org_logout(sf):
    sf("org", "logout", "--no-prompt")
    assert sf("org", "list", org=None)["nonScratchOrgs"] == []


def run_sf(command, folder, sandbox, env):
    """Whether every check went well."""
    sf = Cli(command, folder, sandbox, env)
    failures = 0
    for run in CHECKS:
        name = run.__name__.replace("_", " ")
        try:
            run(sf)
            print(f"ok      {name}", flush=True)
        except (AssertionError, KeyError, IndexError, OSError, subprocess.TimeoutExpired) as error:
            failures += 1
            print(f"FAILED  {name}: {type(error).__name__}: {str(error)[:2000]}", flush=True)
    return failures == 0
