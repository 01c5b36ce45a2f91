"""After a database was restored to an earlier time nothing is sent until `pgforce recover` has compared."""

import json
import shutil
import subprocess

import pytest

from cluster import BUILD, Cluster, give_to_server
from conftest import Database
from eventually import eventually
from programs import Pgforce
from sync import Sync, account

GAP, PLAN = 4, 10


class Backup:
    """A copy of the whole server, and the server as it comes back from it: without its slots, in a new
    history, as every restore to a point in time ends."""

    def __init__(self, cluster, folder):
        self.cluster = cluster
        self.copy = folder / "backup"
        cluster.stop()
        self._copy(cluster.data, self.copy)
        cluster.start()

    def restore(self):
        self.cluster.stop("immediate")
        shutil.rmtree(self.cluster.data)
        self._copy(self.copy, self.cluster.data)
        for slot in (self.cluster.data / "pg_replslot").iterdir():
            shutil.rmtree(slot)
        with open(self.cluster.data / "postgresql.auto.conf", "a") as settings:
            settings.write("restore_command = 'false'\n")
        signal = self.cluster.data / "recovery.signal"
        signal.touch()
        give_to_server(signal)
        self.cluster.start()
        eventually(lambda: self.cluster.query("select pg_is_in_recovery()") == [(False,)])

    @staticmethod
    def _copy(source, target):
        subprocess.run(["cp", "-a", f"{source}/.", target], check=True) if target.exists() else (
            subprocess.run(["cp", "-a", source, target], check=True))


@pytest.fixture
def elsewhere(scratch, sandbox, logs):
    cluster = Cluster(scratch / "restored", BUILD / "plugin" / "pgforce.so")
    cluster.start()
    database = Database(cluster, "elsewhere")
    cluster.create_database(database.name)
    env = {
        "PGFORCE_DATABASE_URL": database.dsn("pgforce"),
        "PGFORCE_APP_ROLE": "app",
        "PGFORCE_SF_LOGIN_URL": sandbox.url,
        "PGFORCE_SF_CLIENT_ID": sandbox.client_id,
        "PGFORCE_SF_CLIENT_SECRET": sandbox.client_secret,
        "PGFORCE_DOUBT_QUARANTINE_S": "1",
    }
    pgforce = Pgforce(database, env, logs)
    yield Sync(pgforce, database, sandbox)
    pgforce.end()
    cluster.remove()


class Snapshot(Backup):
    """A copy of the disk: it comes back as it was, with its slots and its history."""

    def restore(self):
        self.cluster.stop("immediate")
        shutil.rmtree(self.cluster.data)
        self._copy(self.copy, self.cluster.data)
        self.cluster.start()


def names(sync):
    return sorted(row["Name"] for row in sync.org.query("select Name from Account"))


def stamp_of(sync, name):
    [stamp] = [row["SystemModstamp"] for row in sync.org.query("select Name, SystemModstamp from Account")
               if row["Name"] == name]
    return stamp


def test_a_restored_database_sends_nothing_until_it_has_been_compared(elsewhere, tmp_path):
    sync, cluster = elsewhere, elsewhere.database.cluster
    sync.map(account())
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Old', 'a-0'), ('Calm', 'a-9'),"
               " ('Same', 'a-8')")
    sync.settled(3)
    sync.roles["push"].stop()
    # These wait when the backup is made, and are sent afterwards.
    sync.query("insert into salesforce.account (name, external_id__c) values ('Ada', 'a-1')")
    sync.query("update salesforce.account set name = 'Older' where external_id__c = 'a-0'")
    sync.query("update salesforce.account set phone = '1' where external_id__c = 'a-9'")
    sync.query("update salesforce.account set phone = '2' where external_id__c = 'a-8'")
    sync.logged(7)
    sync.roles["archive"].stop()
    backup = Backup(cluster, tmp_path)
    # Stamps have whole seconds: this one is later than each entry's.
    sync.org.advance(1)
    sync.start("archive", "push")
    sync.settled(7)
    [old] = [row["Id"] for row in sync.org.query("select Id, Name from Account") if row["Name"] == "Older"]
    # A colleague goes on in Salesforce: later than the entry, to the second.
    sync.org.advance(5)
    sync.org.update("Account", old, Name="Newest")
    for role in sync.roles.values():
        role.stop()
    backup.restore()

    for role, says in (("push", "pgforce recover"), ("archive", "--accept-gap")):
        stopped = sync.start(role)
        assert stopped.wait() == GAP
        assert says in stopped.log_text()
    assert "timeline 2" in sync.roles["push"].log_text()
    assert "--accept-gap" in sync.pgforce.run("recover", expect=78).stderr
    sync.pgforce.run("setup", "--accept-gap")
    # A new slot does not make what waits any newer.
    assert sync.start("push").wait() == GAP
    # Of one second nobody knows what came first.
    stamp = stamp_of(sync, "Same")
    sync.query(f"update salesforce._trigger_log set commit_time = '{stamp}' where id = 7")

    plan = json.loads(sync.pgforce.run("recover", "--json", expect=PLAN).stdout)
    assert [(item["action"], item["verdict"]) for item in plan] == [
        ("INSERT", "read back"), ("UPDATE", "ignore"), ("UPDATE", "ignore"), ("UPDATE", "read back")]
    assert "2 to be read back, 2 to be ignored; with --yes" in sync.pgforce.run("recover", expect=PLAN).stdout
    assert sync.start("push").wait() == GAP
    sync.pgforce.run("recover", "--yes")
    sync.start("archive", "push", "pull")
    sync.settled(7)
    assert names(sync) == ["Ada", "Calm", "Newest", "Same"]
    assert sync.entries("action, state", "id > 3") == [
        ("INSERT", "SUCCESS"), ("UPDATE", "IGNORED"), ("UPDATE", "IGNORED"), ("UPDATE", "SUCCESS")]
    assert stamp_of(sync, "Same") == stamp
    eventually(lambda: sync.query("select name, sfid is not null from salesforce.account order by name")
               == [("Ada", True), ("Calm", True), ("Newest", True), ("Same", True)])
    assert "nothing to recover" in sync.pgforce.run("recover").stdout


def test_a_database_that_goes_on_has_nothing_to_recover(sync):
    sync.map(account())
    assert "nothing to recover" in sync.pgforce.run("recover").stdout
    assert json.loads(sync.pgforce.run("recover", "--json").stdout) == []


def test_a_snapshot_that_came_back_whole_is_known_by_what_was_kept_beside_it(elsewhere, tmp_path):
    sync, cluster = elsewhere, elsewhere.database.cluster
    state = tmp_path / "state"
    state.mkdir()
    sync.pgforce.env["PGFORCE_STATE_DIRECTORY"] = str(state)
    sync.map(account())
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Ada', 'a-1')")
    sync.settled(1)
    # What goes on where it was is no copy.
    sync.roles["push"].stop()
    sync.start("push")
    sync.query("insert into salesforce.account (name, external_id__c) values ('Bob', 'b-1')")
    sync.settled(2)
    sync.roles["push"].stop()
    sync.query("insert into salesforce.account (name, external_id__c) values ('Cleo', 'c-1')")
    sync.logged(3)
    sync.roles["archive"].stop()
    snapshot = Snapshot(cluster, tmp_path)
    sync.start("archive", "push")
    sync.settled(3)
    for role in ("push", "archive"):
        sync.roles[role].stop()
    snapshot.restore()

    # The archive sees nothing; who sends does, and says so until somebody has compared.
    sync.start("archive")
    for _ in range(2):
        stopped = sync.start("push")
        assert stopped.wait() == GAP
        assert "pgforce recover" in stopped.log_text() and "the database knows of 2" in stopped.log_text()
    plan = json.loads(sync.pgforce.run("recover", "--json", expect=PLAN).stdout)
    assert [(item["action"], item["verdict"]) for item in plan] == [("INSERT", "read back")]
    sync.pgforce.run("recover", "--yes")
    sync.start("push")
    sync.settled(3)
    assert names(sync) == ["Ada", "Bob", "Cleo"]


def test_a_state_directory_that_cannot_be_used_is_said_before_anything_is_sent(elsewhere, tmp_path):
    sync = elsewhere
    sync.map(account())
    refused = sync.pgforce.run("push", expect=78, env={"PGFORCE_STATE_DIRECTORY": str(tmp_path / "nowhere")})
    assert "PGFORCE_STATE_DIRECTORY" in refused.stderr
