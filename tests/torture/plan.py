"""What a seed is about. Not everything is on at once: each seed draws some features and leaves others out, so that
each is met with and without its neighbours."""

import json
from random import Random

from sync import export, mapping


class Plan:
    def __init__(self, random, number, drops_slot=False):
        self.policy = random.choice(("last-writer", "postgres", "salesforce"))
        self.is_merged = random.random() < 0.3
        self.is_bulk = random.random() < 0.4
        self.listens = random.random() < 0.5
        self.prepares = random.random() < 0.4
        # Operators at work: mappings edited, reloaded, aborted; the connection paused.
        self.is_operated = not drops_slot and random.random() < 0.5
        self.is_disk_full = random.random() < 0.3
        self.crashes = random.random() < 0.5
        self.drops_slot = drops_slot
        # Of a seed's own, so that the seeds without it remain what they were.
        self.sets_clocks = not drops_slot and Random(f"clock {number}").random() < 0.3

    def __str__(self):
        switches = {
            "merged": self.is_merged,
            "bulk": self.is_bulk,
            "listen": self.listens,
            "prepared": self.prepares,
            "operators": self.is_operated,
            "full disk": self.is_disk_full,
            "crash": self.crashes,
            "slot dropped": self.drops_slot,
            "clocks set": self.sets_clocks,
        }
        return ", ".join([self.policy, *[name for name, is_on in switches.items() if is_on]])

    def environment(self):
        return {"PGFORCE_BULK_THRESHOLD": "5", "PGFORCE_BULK_READ_ABOVE": "20"} if self.is_bulk else {}

    def export(self):
        key = {"upsert": "External_Id__c", "conflict_policy": self.policy}
        features = {"poll_db_no_merge": False} if self.is_merged else {}
        text = export(
            mapping("Account", "Name", "Phone", "External_Id__c", **key),
            mapping("Contact", "FirstName", "LastName", "Account__External_Id__c", "External_Id__c", **key),
            mapping("Lead", "FirstName", "LastName", "Company", conflict_policy=self.policy),
            **features,
        )
        whole = json.loads(text)
        for one in whole["mappings"]:
            one["config"]["sf_notify_enabled"] = self.listens
        return json.dumps(whole)
