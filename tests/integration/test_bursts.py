"""A burst after a quiet time. PostgreSQL plans by statistics of the quiet, where next to nothing waits: no plan may
read all that waits for each record that it is asked about."""

import pytest

from eventually import eventually
from sync import account

ROWS = 4000
READS_AN_ENTRY = 300


def reads(sync):
    """Index entries of the log that were read so far. What a session has counted is told when it ends."""
    for name in list(sync.roles):
        assert sync.roles.pop(name).stop() == 0
    return sync.value(
        "select sum(idx_tup_read) from pg_stat_user_indexes where relname = '_trigger_log'", role="postgres")


def quiet(sync):
    sync.database.psql("vacuum analyze salesforce._trigger_log; vacuum analyze pgforce.delivery", role="postgres")


@pytest.fixture
def quiet_after_a_burst(sync):
    """Some thousand accounts that have been sent. The index of what waits is large from them, and empty, and the
    statistics say that nothing waits; they stay so."""
    sync.map(account())
    sync.database.psql("alter table salesforce._trigger_log set (autovacuum_enabled = false);"
                       "alter table pgforce.delivery set (autovacuum_enabled = false)", role="postgres")
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    sync.query("insert into salesforce.account (name, external_id__c)"
               f" select 'Acme ' || i, i from generate_series(1, {ROWS}) i")
    sync.settled(ROWS, "state")
    quiet(sync)
    return sync


@pytest.mark.parametrize("roles", [("archive", "push"), ("archive", "push", "pull")])
def test_the_log_is_read_a_few_times_for_each_entry(quiet_after_a_burst, roles):
    sync = quiet_after_a_burst
    before = reads(sync)
    sync.start(*roles)
    sync.query("update salesforce.account set phone = '1'")
    sync.query("update salesforce.account set phone = '2'")
    states = {row[0] for row in sync.settled(3 * ROWS, "state")}
    assert states <= {"SUCCESS", "MERGED"}
    each = (reads(sync) - before) / (2 * ROWS)
    assert each < READS_AN_ENTRY


BACKLOG = 20_000


def test_a_backlog_goes_though_the_planner_expects_none_of_it_to_fit_into_memory(sync):
    """What the planner expects not to fit it would go through once for each entry and each record."""
    sync.map(account())
    sync.database.psql(f"alter role pgforce in database {sync.database.name} set work_mem = '64kB'", role="postgres")
    sync.start("archive")
    sync.query("insert into salesforce.account (name, external_id__c)"
               f" select 'Acme ' || i, i from generate_series(1, {BACKLOG}) i")
    sync.query("update salesforce.account set phone = '1'")
    eventually(lambda: sync.value("select count(*) from salesforce._trigger_log") == 2 * BACKLOG)
    quiet(sync)
    sync.start("push", "pull")
    assert {row[0] for row in sync.settled(2 * BACKLOG, "state")} <= {"SUCCESS", "MERGED"}
    assert sync.value("select count(*) from salesforce.account where sfid is not null and phone = '1'") == BACKLOG
