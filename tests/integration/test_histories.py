"""Seeded histories of both sides over the real roles, a real server and the sandbox: users of both write at
the same time, answers are lost, roles are killed; then all must settle, and both sides be equal.

The same idea as tests/model, at the speed of processes. PGFORCE_LONG runs 200 of them."""

import os
import random

import pytest

from eventually import eventually
from sync import account

HISTORIES = 200 if os.environ.get("PGFORCE_LONG") else 5
FIELDS = ("name", "phone")
COLLECTIONS = "/composite/sobjects"
FAULTS = [
    {"match": {"method": method, "path": COLLECTIONS}, **fault}
    for method in ("POST", "PATCH", "DELETE")
    for fault in ({"drop": "after"}, {"drop": "before"}, {"status": 503, "body": "busy"}, {"delay_ms": 700})
] + [{"match": {"path": "/query"}, **fault} for fault in ({"drop": "after"}, {"status": 503}, {"delay_ms": 700})]


class History:
    """One seed's users, and what they wrote."""

    def __init__(self, sync, seed):
        self.sync = sync
        self.seed = seed
        self.random = random.Random(seed)
        self.count = 0
        self.last = {}  # (side, record's key, field) -> its last value
        self.deleted = set()

    def token(self):
        self.count += 1
        return f"{self.seed}.{self.count}"

    def note(self, side, key, field, value):
        self.last[(side, key, field)] = value

    # PostgreSQL's users

    def insert(self):
        key = f"P-{self.token()}"
        values = [self.token() for _ in FIELDS]
        self.sync.query(
            "insert into salesforce.account (external_id__c, name, phone) values (%s, %s, %s)", [key, *values]
        )
        for field, value in zip(FIELDS, values):
            self.note("postgres", key, field, value)

    def pick_row(self):
        rows = self.sync.query("select id, external_id__c from salesforce.account order by id")
        return self.random.choice(rows) if rows else (None, None)

    def update(self):
        row, key = self.pick_row()
        field, value = self.random.choice(FIELDS), self.token()
        if row is not None:
            self.sync.query(f"update salesforce.account set {field} = %s where id = %s", [value, row])
            self.note("postgres", key, field, value)

    def delete(self):
        row, key = self.pick_row()
        if row is not None:
            self.sync.query("delete from salesforce.account where id = %s", [row])
            self.deleted.add(key)

    # Salesforce's users

    def create(self):
        key = f"S-{self.token()}"
        values = {field.capitalize(): self.token() for field in FIELDS}
        self.sync.org.create("Account", External_Id__c=key, **values)
        for field in FIELDS:
            self.note("salesforce", key, field, values[field.capitalize()])

    def pick_record(self):
        # Not by a query, which might meet a fault that is meant for pgforce.
        live = [record for record in self.sync.org.rows("Account") if not record["IsDeleted"]]
        return self.random.choice(live) if live else None

    def edit(self):
        record, field, value = self.pick_record(), self.random.choice(FIELDS), self.token()
        if record is None:
            return
        answer = self.sync.org.patch(f"sobjects/Account/{record['Id']}", {field.capitalize(): value})
        assert answer.status in (204, 404), answer.body  # 404: push has deleted it since
        if answer.status == 204:
            self.note("salesforce", record["External_Id__c"], field, value)

    def remove(self):
        record = self.pick_record()
        if record is not None:
            answer = self.sync.org.delete(f"sobjects/Account/{record['Id']}")
            assert answer.status in (204, 404), answer.body  # 404: push has deleted it since
            self.deleted.add(record["External_Id__c"])

    # The world

    def break_something(self):
        self.sync.org.fault(self.random.choice(FAULTS))

    def kill_a_role(self):
        role = self.random.choice(("archive", "push", "pull"))
        self.sync.roles[role].kill()
        self.sync.start(role)

    def run(self):
        acts = [
            *[self.insert] * 3,
            *[self.update] * 5,
            self.delete,
            *[self.create] * 2,
            *[self.edit] * 4,
            self.remove,
            *[self.break_something] * 3,
            self.kill_a_role,
        ]
        for _ in range(self.random.randint(6, 16)):
            self.random.choice(acts)()

    # What must be true afterwards

    def settle(self):
        self.sync.org.clear_faults()
        for role, process in list(self.sync.roles.items()):
            if not process.is_running():
                self.sync.start(role)
        for _ in range(2):
            self.sync.log_is_quiet_after(
                "insert into salesforce.account (external_id__c, name)"
                f" values ('E-{self.token()}', '{self.token()}')"
            )
            eventually(
                lambda: self.sync.value(
                    "select count(*) from salesforce._trigger_log where state in ('NEW', 'PENDING')"
                )
                == 0,
                60,
            )
            self.sync.wait_for_polls(2)

    def rows(self):
        return sorted(
            self.sync.query("select sfid, external_id__c, name, phone from salesforce.account"), key=str
        )

    def records(self):
        return sorted(
            (
                (record["Id"], record["External_Id__c"], record["Name"], record["Phone"])
                for record in self.sync.org.rows("Account")
                if not record["IsDeleted"]
            ),
            key=str,
        )

    def is_kept(self, value):
        """In the ledger, or it has been in Salesforce before it was overwritten there."""
        return self.sync.value(
            "select exists (select from pgforce.conflict where postgres_value = %s)"
            " or exists (select from salesforce._trigger_log"
            " where state in ('SUCCESS', 'MERGED') and \"values\" like %s)",
            [value, f'%"{value}"%'],
            role="pgforce",
        )

    def check_fields(self):
        final = {row[1]: dict(zip(FIELDS, row[2:])) for row in self.rows()}
        for (side, key, field), value in self.last.items():
            if key in self.deleted or key not in final:
                continue
            other = self.last.get(("salesforce" if side == "postgres" else "postgres", key, field))
            now = final[key][field]
            assert now in (value, other), (key, field, now, value, other)
            if side == "postgres" and now != value:
                assert self.is_kept(value), f"{value} of {key}.{field} is lost"

    def check(self):
        eventually(lambda: self.rows() == self.records() or None, 20)
        keys = [record[1] for record in self.records()]
        assert len(keys) == len(set(keys)), "a record is there twice"
        assert {key for _, key, field in self.last} - set(keys) <= self.deleted, "a record is lost"
        assert not self.deleted & set(keys), "what was deleted is back"
        self.check_fields()


@pytest.mark.parametrize("policy", ["last-writer"])
def test_whatever_happens_both_sides_are_equal_in_the_end_and_nothing_is_lost(sync, policy):
    sync.load(account(conflict_policy=policy))
    first = int(os.environ.get("MODEL_SEED", "1"))
    for seed in range(first, first + HISTORIES):
        history = History(sync, seed)
        print(f"seed {seed}")
        history.run()
        history.settle()
        history.check()
