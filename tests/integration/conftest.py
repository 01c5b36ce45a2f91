"""The fixtures of the integration tests: one cluster per session, a database per test, an organisation,
and pgforce between them."""

import itertools
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dev"))

from cluster import BUILD, Cluster  # noqa: E402
from eventually import eventually  # noqa: E402
from programs import Pgforce  # noqa: E402

database_numbers = itertools.count(1)


class Database:
    """One database of the cluster: the cluster's own ways to talk to it, without naming it each time."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name

    def dsn(self, role="app"):
        return self.cluster.dsn(role, self.name)

    def connect(self, role="app", autocommit=True):
        return self.cluster.connect(role, self.name, autocommit)

    def query(self, sql, parameters=None, role="app"):
        return self.cluster.query(sql, parameters, role, self.name)

    def psql(self, script, role="app"):
        return self.cluster.psql(script, role, self.name)


@pytest.fixture(scope="session")
def scratch():
    """A folder for the session, below /tmp so that the server's user may enter it."""
    folder = Path(tempfile.mkdtemp(prefix="pgforce-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster(scratch):
    yield from running(Cluster(scratch / "cluster", BUILD / "plugin" / "pgforce.so"))


def running(cluster):
    """What a fixture of a cluster does."""
    cluster.start()
    # Servers are killed here, the machine is not: what was written is there without waiting for a disk.
    cluster.psql("alter system set fsync = off", role="postgres")
    cluster.reload()
    yield cluster
    cluster.remove()


@pytest.fixture
def database(cluster):
    """A fresh database; afterwards it, its slots and pgforce's origins are gone."""
    database = Database(cluster, f"test_{next(database_numbers)}")
    # A test may have left the server stopped.
    if not cluster.is_running():
        cluster.start()
    cluster.create_database(database.name)
    yield database
    if not cluster.is_running():
        cluster.start()
    cluster.drop_database(database.name)


@pytest.fixture
def server_setting(cluster):
    """Changes settings of the whole server for one test."""
    changed = []

    def change(name, value):
        changed.append(name)
        cluster.psql(f"alter system set {name} = '{value}'", database="postgres")
        cluster.reload()
        eventually(lambda: cluster.psql(f"show {name}", database="postgres").strip() == value)

    yield change
    for name in changed:
        cluster.psql(f"alter system reset {name}", database="postgres")
    cluster.reload()


@pytest.fixture
def logs(request, tmp_path):
    """Where the programs of one test write their logs; shown when it fails."""
    request.node.log_folder = tmp_path
    return tmp_path


@pytest.fixture
def sandbox(logs):
    from sandbox import Sandbox

    sandbox = Sandbox(logs)
    sandbox.start()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def pgforce(database, sandbox, logs):
    """The binary, configured for this test's database and organisation; nothing is set up yet."""
    env = {
        "PGFORCE_DATABASE_URL": database.dsn("pgforce"),
        "PGFORCE_SCHEMA": "salesforce",
        "PGFORCE_APP_ROLE": "app",
        "PGFORCE_LOG_LEVEL": "debug",
        "PGFORCE_SF_LOGIN_URL": sandbox.url,
        "PGFORCE_SF_CLIENT_ID": sandbox.client_id,
        "PGFORCE_SF_CLIENT_SECRET": sandbox.client_secret,
        "PGFORCE_DOUBT_QUARANTINE_S": "2",
    }
    pgforce = Pgforce(database, env, logs)
    yield pgforce
    pgforce.end()


@pytest.fixture
def sync(pgforce, database, sandbox):
    """The same, set up; nothing is mapped yet."""
    from sync import Sync

    return Sync(pgforce, database, sandbox)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    folder = getattr(item, "log_folder", None)
    if report.failed and folder is not None:
        for log in sorted(folder.glob("*.log")):
            tail = log.read_text(errors="replace").splitlines()[-50:]
            report.sections.append((log.name, "\n".join(tail)))


def pytest_configure(config):
    config.addinivalue_line("markers", "ways(*events): the events of the table of states that a story walks")


def pytest_sessionfinish(session):
    """Nothing is skipped: a test that does not run proves nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
