"""What the benchmarks of reading share: pgforce between a scratch server and a sandbox organisation, and one
mapping of 20 columns."""

import contextlib
import sys
import time

import process
from cluster import BUILD, ROOT, ClusterError
from server import cpu_s, peak_mb, run_pgforce, tree_cpu_s, wait_until

sys.path.insert(0, str(ROOT / "tests" / "integration"))

from sync import export, mapping  # noqa: E402

PGFORCE = BUILD / "bin" / "pgforce"
TABLE = "salesforce.account"
# With Id, SystemModstamp and IsDeleted: 20.
FIELDS = (
    *("Name", "Phone", "Industry", "AnnualRevenue", "External_Id__c", "Type", "Website", "NumberOfEmployees"),
    *("BillingStreet", "BillingCity", "BillingPostalCode", "BillingCountry", "ShippingCity"),
    *("AccountNumber", "OwnerId", "CreatedDate", "LastModifiedDate"),
)


class Inbound:
    def __init__(self, server, sandbox):
        self.server = server
        self.sandbox = sandbox
        self._env = {
            "PGFORCE_DATABASE_URL": server.dsn("pgforce"),
            "PGFORCE_LOG_LEVEL": "info",
            "PGFORCE_SF_LOGIN_URL": sandbox.url,
            "PGFORCE_SF_CLIENT_ID": sandbox.client_id,
            "PGFORCE_SF_CLIENT_SECRET": sandbox.client_secret,
        }
        server.psql(self._pgforce("setup", "--print-superuser-sql"))
        self._pgforce("setup")

    def map(self, polling_seconds=3600):
        mapped = mapping("Account", *FIELDS, upsert="External_Id__c", polling_seconds=polling_seconds)
        self._pgforce("import", "-", stdin=export(mapped))

    def soql(self):
        """The query as the load makes it."""
        [(paths,)] = self.server.query(
            "select string_agg(soql_path, ', ' order by position) from pgforce.mapping_field"
        )
        return f"select {paths} from Account"

    def prepare(self, soql, operation="query"):
        """Renders the result now, so that its cost is not in the measure."""
        job = {"operation": operation, "query": soql, "contentType": "CSV", "columnDelimiter": "COMMA"}
        answer = self.sandbox.post("/_sandbox/bulk/prepare", {**job, "lineEnding": "LF"})
        if answer.status != 200:
            raise ClusterError(f"the result was not prepared: {answer.body}")

    def prepare_query(self, soql):
        """The same for the first page by REST: the next such question is answered with it."""
        page = self.sandbox.query_page(soql, "queryAll")
        if page.status != 200:
            raise ClusterError(f"the query was not answered: {page.body}")
        self.sandbox.fault({"match": {"path": "/queryAll"}, "status": 200, "body": page.json})

    def log(self, name):
        return self.server.folder / f"{name}.log"

    @contextlib.contextmanager
    def role(self, name):
        log = self.log(name)
        child = process.start([PGFORCE, name], log, process.environment(**self._env))
        try:
            yield child
            if child.poll() is not None:
                raise ClusterError(f"{name} ended:\n{log.read_text(errors='replace')}")
        finally:
            process.stop(child.pid, process.start_time(child.pid))
            child.wait()

    @contextlib.contextmanager
    def measured(self, child, run):
        """Adds to run what happens inside: seconds of the wall, of the server and of all others."""
        postmaster = self.server.pid()
        before = (cpu_s(child.pid), tree_cpu_s(postmaster), cpu_s(self.sandbox.process.pid))
        started_s = time.monotonic()
        yield
        run["wall_s"] = time.monotonic() - started_s
        run["pgforce_s"] = cpu_s(child.pid) - before[0]
        run["server_s"] = tree_cpu_s(postmaster) - before[1]
        run["organisation_s"] = cpu_s(self.sandbox.process.pid) - before[2]
        run["peak_mb"] = peak_mb(child.pid)

    def wait_for_value(self, sql, value, what):
        """Through one connection, 20 times a second, so that looking costs little."""
        connection = self.server.connect()
        cursor = connection.cursor()

        def is_there():
            time.sleep(0.03)
            cursor.execute(sql)
            return cursor.fetchone()[0] == value

        wait_until(is_there, what)
        connection.close()

    def _pgforce(self, *arguments, stdin=None):
        return run_pgforce(PGFORCE, arguments, process.environment(**self._env), stdin)
