"""Killed at each step between two durable effects, one after the other, each role goes on as if nothing had
happened: what both sides' users wrote is on both sides once, and each change is in the log once."""

import os

import pytest

from cluster import BUILD
from eventually import eventually
from sync import account

# Hits of a point that are tried: the first of a role's life are the most different from each other.
HITS = 60 if os.environ.get("PGFORCE_LONG") else 3
COMMITS = ("commit_before", "commit_after")
REQUESTS = ("request_before", "request_after")
POINTS = [
    *[("archive", point) for point in (*COMMITS, "confirm_before", "confirm_after")],
    *[(role, point) for role in ("push", "pull") for point in (*COMMITS, *REQUESTS)],
]


class Users:
    """Users of both sides, and what must be there of them."""

    def __init__(self, sync):
        self.sync = sync
        self.rounds = 0
        self.expected = {}  # key -> (name, phone)
        self.entries = 0

    def act(self):
        """An insert, an update and a delete on each side; each record is changed by one side only."""
        self.rounds += 1
        n = self.rounds
        self.sync.query(
            "insert into salesforce.account (name, phone, external_id__c) values (%s, 'new', %s)",
            [f"ours {n}", f"P-{n}"],
        )
        self.sync.org.create("Account", Name=f"theirs {n}", Phone="new", External_Id__c=f"S-{n}")
        self.expected |= {f"P-{n}": (f"ours {n}", "new"), f"S-{n}": (f"theirs {n}", "new")}
        self.entries += 1
        self._change_the_one_before()

    def _change_the_one_before(self):
        before, gone = f"P-{self.rounds - 1}", f"P-{self.rounds - 2}"
        if before in self.expected:
            self.sync.query(
                "update salesforce.account set phone = 'changed' where external_id__c = %s", [before]
            )
            [record] = [row for row in self.live() if row["External_Id__c"] == f"S-{self.rounds - 1}"]
            self.sync.org.update("Account", record["Id"], Phone="changed")
            for key in (before, f"S-{self.rounds - 1}"):
                self.expected[key] = (self.expected[key][0], "changed")
            self.entries += 1
        if gone in self.expected:
            self.sync.query("delete from salesforce.account where external_id__c = %s", [gone])
            del self.expected[gone]
            self.entries += 1

    def live(self):
        return [record for record in self.sync.org.rows("Account") if not record["IsDeleted"]]

    def is_settled(self):
        rows = self.sync.query("select external_id__c, name, phone, sfid from salesforce.account")
        records = self.live()
        found = self.sync.query(
            "select count(*), count(distinct (commit_lsn, seq)), count(*) filter (where state = 'SUCCESS')"
            " from (select commit_lsn, seq, state from salesforce._trigger_log union all"
            " select commit_lsn, seq, state from salesforce._trigger_log_archive) l"
        )
        return (
            {key: (name, phone) for key, name, phone, _ in rows} == self.expected
            and len(rows) == len(self.expected) == len(records)
            and {(key, name, phone, sfid) for key, name, phone, sfid in rows}
            == {(r["External_Id__c"], r["Name"], r["Phone"], r["Id"]) for r in records}
            and found == [(self.entries,) * 3]
        )


@pytest.mark.parametrize(("role", "point"), POINTS)
def test_a_role_that_dies_at_any_step_loses_and_repeats_nothing(sync, role, point):
    sync.load(account())
    sync.pgforce.binary = BUILD / "bin" / "pgforce-failpoints"
    users = Users(sync)
    for hit in range(1, HITS + 1):
        sync.roles[role].stop()
        victim = sync.start(role, env={"FAILPOINT": f"{point}:{hit}"})
        users.act()
        eventually(lambda victim=victim: not victim.is_running() or users.is_settled())
        if victim.is_running():
            # It has done all that there was to do without coming here so often: more work brings it here.
            users.act()
            eventually(lambda victim=victim: not victim.is_running() or users.is_settled())
        if not victim.is_running():
            assert victim.wait() == -9, victim.log_text()
            sync.start(role)
        eventually(users.is_settled)
    deaths = [child for child in sync.pgforce.started if not child.is_running() and child.wait() == -9]
    assert deaths, f"{role} never came to {point}"
