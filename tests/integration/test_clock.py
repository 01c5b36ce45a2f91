"""Clocks that are set while pgforce runs: its own, the server's, both at the change of summer time, and an
organisation whose clock differs. No entry is lost, doubled or sent twice, nothing waits for ever, nothing is
dropped too early."""

from datetime import datetime, timezone

import pytest

from cluster import BUILD, Cluster
from conftest import running
from eventually import eventually
from stepped_clock import DAY, HOUR, YEAR, SteppedClock
from sync import SETTLED, account, contact, mapping, nameless_account

STEPS = (HOUR, -HOUR, DAY, -DAY, YEAR, -YEAR, 0)
# Two seconds before the hour that is there twice in Berlin, and before the one that is not.
CHANGES = (
    datetime(2026, 10, 25, 0, 59, 58, tzinfo=timezone.utc),
    datetime(2027, 3, 28, 0, 59, 58, tzinfo=timezone.utc),
)
COLLECTIONS = "/composite/sobjects"
NOT_DONE = {"match": {"method": "POST", "path": COLLECTIONS}, "drop": "before"}
DONE = {"match": {"method": "POST", "path": COLLECTIONS}, "drop": "after"}
BUSY = {"match": {"method": "POST", "path": COLLECTIONS}, "status": 503, "body": "busy"}
LEAD = mapping("Lead", "LastName", "Company")
EVENT = mapping("Event", "Subject", "StartDateTime", "DurationInMinutes")


def clock_in(folder):
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return SteppedClock(folder)


@pytest.fixture(scope="module")
def stepped_server(scratch):
    """The clock of the module's server."""
    return clock_in(scratch / "server-clock")


@pytest.fixture(scope="module")
def cluster(scratch, stepped_server):
    yield from running(Cluster(scratch / "stepped", BUILD / "plugin" / "pgforce.so", stepped_server))


@pytest.fixture
def server_clock(database, stepped_server):
    """Right again before the database goes."""
    yield stepped_server
    stepped_server.set(0)


@pytest.fixture
def our_clock(sync, logs):
    """That of the roles that are started from now on."""
    clock = clock_in(logs)
    sync.pgforce.env.update(clock.environment())
    return clock


def entries(sync, columns):
    """Of the log and its archive: under a clock that is ahead they move early."""
    both = " union all ".join(f"select id, {columns} from salesforce.{table}"
                              for table in ("_trigger_log", "_trigger_log_archive"))
    return [row[1:] for row in sync.query(f"select * from ({both}) as entry order by 1")]


def settled(sync, count):
    """Waits until there are so many entries and none waits."""
    eventually(lambda: [state in SETTLED for (state,) in entries(sync, "state")] == [True] * count)


class Both:
    """Users of both sides, who write once a round, and what must be true of it."""

    def __init__(self, sync, *mappings):
        self.sync = sync
        self.rounds = 0
        sync.map(account(), contact(), *mappings)
        self.daemon = sync.start("run")
        sync.wait_until_loaded()

    def write(self):
        self.rounds += 1
        key = f"P-{self.rounds}"
        self.sync.query(
            "insert into salesforce.account (external_id__c, name) values (%(key)s, 'new');"
            "update salesforce.account set phone = %(key)s where external_id__c = %(key)s;"
            "insert into salesforce.contact (external_id__c, lastname, account__external_id__c)"
            " values (%(key)s, 'new', %(key)s)",
            {"key": key},
        )
        self.sync.org.create("Account", External_Id__c=f"S-{self.rounds}", Name="new")
        # And what the last rounds have made on either side.
        last = (f"S-{self.rounds}", f"S-{self.rounds - 1}", f"P-{self.rounds - 1}")
        for row in self.sync.org.rows("Account"):
            if row["External_Id__c"] in last:
                self.sync.org.update("Account", row["Id"], Phone=key)

    def settle(self):
        """What this round has written is there, so that the next step falls on a state that is known."""
        settled(self.sync, 3 * self.rounds)
        eventually(lambda: self.here("account", "phone") == self.there("Account", "Phone"))
        eventually(lambda: self.here("contact", "lastname") == self.there("Contact", "LastName"))

    def here(self, table, column):
        return sorted(self.sync.query(f"select external_id__c, sfid, {column} from salesforce.{table}"))

    def there(self, name, field):
        return sorted((row["External_Id__c"], row["Id"], row[field]) for row in self.sync.org.rows(name))

    def judge(self):
        found = entries(self.sync, "table_name, record_id, action, state")
        assert {entry[3] for entry in found} <= {"SUCCESS", "MERGED"}
        assert len({entry[:3] for entry in found}) == len(found)
        places = entries(self.sync, "commit_lsn, seq")
        assert len(set(places)) == len(places)
        # In the organisation each was made once, by them or by us.
        assert len(self.sync.org.rows("Account")) == 2 * self.rounds
        assert len(self.sync.org.rows("Contact")) == self.rounds
        assert self.sync.query("select count(*) from pgforce.delivery", role="pgforce") == [(0,)]
        assert "parked" not in self.daemon.log_text()
        assert self.daemon.stop() == 0


def age_s(sync):
    """How old the newest entry is, by the server's clock."""
    return entries(sync, "extract(epoch from clock_timestamp() - created_at)")[-1][0]


def write_at_each_step(sync, clock):
    both = Both(sync)
    for step in STEPS:
        clock.set(step)
        both.write()
        both.settle()
        # When an entry was made says the server's clock.
        assert 0 <= age_s(sync) < HOUR
    return both


def test_our_clock_is_set_by_hours_days_and_years(our_clock, sync):
    both = write_at_each_step(sync, our_clock)
    # It was indeed set: the log goes by it.
    assert {f"{datetime.now().year + years}-" for years in (-1, 1)} <= {
        line[:5] for line in both.daemon.log_text().splitlines()
    }
    both.judge()


def test_the_servers_clock_is_set_by_hours_days_and_years(server_clock, sync):
    write_at_each_step(sync, server_clock).judge()


def test_summer_time_ends_and_begins(our_clock, server_clock, server_setting, sync):
    for name in ("timezone", "log_timezone"):
        server_setting(name, "Europe/Berlin")
    sync.pgforce.env["TZ"] = "Europe/Berlin"
    our_clock.set_to(CHANGES[0])
    server_clock.set_to(CHANGES[0])
    both = Both(sync, EVENT)
    for change in CHANGES:
        our_clock.set_to(change)
        server_clock.set_to(change)
        both.write()
        both.settle()
        eventually(lambda c=change: sync.value("select clock_timestamp() > %s + interval '3 seconds'", [c]))
        both.write()
        both.settle()
    both.judge()


def test_the_hour_that_is_there_twice_is_two_hours(server_setting, sync):
    server_setting("timezone", "Europe/Berlin")
    sync.pgforce.env["TZ"] = "Europe/Berlin"
    sync.load(EVENT)
    # All four are half past two, or would be.
    moments = ["2026-10-25 00:30:00", "2026-10-25 01:30:00", "2027-03-28 00:30:00", "2027-03-28 01:30:00"]
    for moment in moments:
        sync.query(
            "insert into salesforce.event (subject, startdatetime, durationinminutes) values (%s, %s, 5)",
            [moment, moment],
        )
    sync.settled(len(moments))
    sent = {row["Subject"]: row["StartDateTime"] for row in sync.org.rows("Event")}
    assert sent == {moment: moment.replace(" ", "T") + ".000+0000" for moment in moments}
    for row in sync.org.rows("Event"):
        sync.org.update("Event", row["Id"], Subject="read")
    eventually(lambda: sync.query("select distinct subject from salesforce.event") == [("read",)])
    assert sorted(str(at) for (at,) in sync.query("select startdatetime from salesforce.event")) == moments


@pytest.mark.parametrize("skew_s", [-600, 600])
def test_an_organisation_whose_clock_differs_by_ten_minutes(sync, skew_s):
    sync.org.advance(skew_s)
    both = Both(sync, LEAD)
    for _ in range(2):
        both.write()
        both.settle()
    both.judge()
    # This create is done, and only when it was made tells that it is ours.
    sync.start("archive", "push")
    sync.org.fault(DONE)
    sync.query("insert into salesforce.lead (lastname, company) values ('once', 'Acme')")
    settled(sync, 3 * both.rounds + 1)
    assert [lead["Id"] for lead in sync.org.rows("Lead")] == [sync.value("select sfid from salesforce.lead")]


def insert(sync, name):
    sync.query("insert into salesforce.account (name) values (%s)", [name])


def names(sync):
    return sorted(row["Name"] for row in sync.org.rows("Account"))


def lose_a_create(sync, quarantine_s):
    """It may still be done, for all that push knows."""
    sync.map(nameless_account())
    sync.start("run", env={"PGFORCE_DOUBT_QUARANTINE_S": str(quarantine_s)})
    sync.org.fault(NOT_DONE)
    insert(sync, "lost")
    looks_for_it(sync, 1)
    # And has stored for how long it waits: a clock that is set before that moves this, too.
    stored = "select retry_at > sent_at + make_interval(secs => %s / 2.0) from pgforce.delivery"
    eventually(lambda: sync.value(stored, [quarantine_s], role="pgforce"))


def looks_for_it(sync, times):
    eventually(lambda: sync.roles["run"].log_text().count("read back writes in doubt") >= times)


def test_a_lost_create_is_waited_for_however_late_our_clock_says_it_is(our_clock, sync):
    our_clock.set(YEAR)
    lose_a_create(sync, quarantine_s=600)
    insert(sync, "other")
    eventually(lambda: entries(sync, "state") == [("PENDING",), ("SUCCESS",)])
    assert names(sync) == ["other"]


@pytest.mark.parametrize("step", [HOUR, -YEAR])
def test_a_lost_create_is_waited_for_although_the_servers_clock_is_set(server_clock, sync, step):
    lose_a_create(sync, quarantine_s=600)
    server_clock.set(step)
    insert(sync, "other")
    looks_for_it(sync, 2)
    eventually(lambda: entries(sync, "state") == [("PENDING",), ("SUCCESS",)])
    assert names(sync) == ["other"]


def test_what_waits_does_not_wait_for_a_clock_that_was_set_back(server_clock, sync):
    server_clock.set(YEAR)
    lose_a_create(sync, quarantine_s=10)
    sync.org.fault({**BUSY, "times": 100000})
    insert(sync, "refused")
    eventually(lambda: sync.value("select count(*) from pgforce.delivery where retry_at is not null",
                                  role="pgforce") == 2)
    server_clock.set(0)
    sync.org.clear_faults()
    insert(sync, "other")
    eventually(lambda: names(sync) == ["lost", "other", "refused"])


def test_a_bulk_job_is_asked_for_by_a_clock_that_was_set_back(server_clock, sync):
    server_clock.set(YEAR)
    sync.map(account())
    sync.start("run", env={"PGFORCE_BULK_THRESHOLD": "5"})
    sync.org.post("/_sandbox/bulk", {"stuck": True})
    sync.query("insert into salesforce.account (name, external_id__c) select 'bulk', n from generate_series(1, 10) n")
    eventually(lambda: sync.value("select count(*) from pgforce.bulk_job where asked_at is not null",
                                  role="pgforce") == 1)
    server_clock.set(0)
    sync.org.post("/_sandbox/bulk", {"stuck": False})
    settled(sync, 10)
    assert names(sync) == ["bulk"] * 10


def one_round(sync):
    """A whole round of the housekeeper; what it said."""
    mark = sync.value("insert into salesforce._trigger_log (state, created_at, processed_at) values"
                      " ('SUCCESS', now() - interval '7 days', now() - interval '7 days') returning id")
    housekeeper = sync.start("housekeeper")
    eventually(lambda: sync.query("select id from salesforce._trigger_log_archive where id = %s", [mark]))
    eventually(lambda: "archived settled entries" in housekeeper.log_text())
    assert housekeeper.stop() == 0
    return housekeeper.log_text()


@pytest.mark.parametrize("step", [YEAR, -YEAR])
def test_nothing_is_dropped_for_a_clock_that_is_wrong_for_a_moment(server_clock, sync, step):
    sync.map(nameless_account())
    old = "insert into salesforce._trigger_log (state, created_at, processed_at) values" \
        " ('SUCCESS', now() - interval '20 days', now() - interval '20 days') returning id"
    kept = sync.value(old)
    one_round(sync)
    server_clock.set(step)
    told = one_round(sync)
    assert "drops nothing that is old for an hour" in told
    server_clock.set(0)
    one_round(sync)
    assert sync.query("select id from salesforce._trigger_log_archive where id = %s", [kept]) == [(kept,)]
