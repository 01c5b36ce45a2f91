"""pgforce set up and mapped: where most stories begin.

A test says which objects it maps, with only the fields it needs, in the form that Heroku Connect exports:

    sync.map(mapping("Account", "Name", "External_Id__c", upsert="External_Id__c"))
    sync.start("archive", "push")
"""

import json

from eventually import eventually

SETTLED = ("IGNORE", "READONLY", "SUCCESS", "MERGED", "IGNORED", "FAILED", "REQUEUED")


def mapping(object_name, *fields, upsert=None, access="read_write", polling_seconds=1, **options):
    """One mapping of an export. What every export has is added: Id, SystemModstamp, IsDeleted. options
    are pgforce's own: conflict_policy="postgres"."""
    config = {
        "access": access,
        "sf_notify_enabled": False,
        "sf_polling_seconds": polling_seconds,
        "sf_max_daily_api_calls": 30000,
        "fields": {name: {} for name in ("Id", "SystemModstamp", "IsDeleted", *fields)},
        "indexes": {"Id": {"unique": True}, "SystemModstamp": {"unique": False}},
        **options,
    }
    if upsert is not None:
        config["upsert_field"] = upsert
        config["indexes"][upsert] = {"unique": True}
    return {"object_name": object_name, "config": config}


def export(*mappings, **features):
    connection = {"name": "test", "features": features} if features else {"name": "test"}
    return json.dumps({"mappings": list(mappings), "connection": connection, "version": 1})


def account(**options):
    """Accounts with a unique identifier."""
    fields = ("Name", "Phone", "Industry", "AnnualRevenue", "External_Id__c")
    return mapping("Account", *fields, **{"upsert": "External_Id__c", **options})


def nameless_account(**options):
    """Accounts without a unique identifier: a create whose answer is lost cannot be found by one."""
    return mapping("Account", "Name", "Phone", "Industry", "AnnualRevenue", **options)


def contact(**options):
    fields = ("FirstName", "LastName", "Email", "Account__External_Id__c", "External_Id__c")
    return mapping("Contact", *fields, **{"upsert": "External_Id__c", **options})


class Sync:
    """One database, one organisation, and pgforce between them."""

    def __init__(self, pgforce, database, sandbox):
        self.pgforce = pgforce
        self.database = database
        self.org = sandbox
        self.roles = {}
        pgforce.set_up()

    def map(self, *mappings, **features):
        return self.pgforce.run("import", "-", stdin=export(*mappings, **features))

    def start(self, *roles, env=None):
        """Starts roles in the background; answers the last of them."""
        for role in roles:
            self.roles[role] = self.pgforce.start(role, env=env)
        return self.roles[roles[-1]]

    def load(self, *mappings):
        """Maps, starts all three roles, and waits until the first load is over."""
        self.map(*mappings)
        self.start("archive", "push", "pull")
        self.wait_until_loaded()

    def wait_until_loaded(self, deadline_s=90):
        eventually(lambda: self.mapping_states() == {"DATA_SYNCED"}, deadline_s)

    def mapping_states(self):
        return {row[0] for row in self.query("select state from pgforce.mapping", role="pgforce")}

    def wait_for_polls(self, count=2):
        """Waits until every mapping has been polled so often again: what was there before has been seen."""
        for _ in range(count):
            before = dict(self._polled())

            def check(before=before):
                now = dict(self._polled())
                return all(before[mapping_id] != polled_at for mapping_id, polled_at in now.items())

            eventually(check)

    def _polled(self):
        return self.query("select mapping_id, polled_at from pgforce.watermark", role="pgforce")

    def mark(self):
        return self.value("select changes_up_to from pgforce.watermark", role="pgforce")

    # Rows

    def query(self, sql, parameters=None, role="app"):
        return self.database.query(sql, parameters, role)

    def value(self, sql, parameters=None, role="app"):
        """The first column of the first row; None when there is no row."""
        rows = self.query(sql, parameters, role)
        return rows[0][0] if rows else None

    def note_each(self, event, value):
        """From now on public.seen has, as text, a value of every account that is inserted or updated: also of what
        is there for a moment only."""
        self.database.psql(
            f"""create table public.seen (value text);
            create function public.see() returns trigger language plpgsql as
                $$ begin insert into public.seen values ({value}); return null; end $$;
            grant all on public.seen to app, pgforce;
            create trigger see after {event} on salesforce.account for each row execute function public.see();""",
            role="postgres",
        )

    # What push stores

    def hold_deliveries(self, events, *log_ids):
        """From now on push waits where it inserts, updates or deletes what it knows of these entries' way, until the
        connection that this answers lets go of the advisory lock of the entry's id, or is closed."""
        self.database.psql(
            f"""create function public.hold() returns trigger language plpgsql as
                $$ begin perform pg_advisory_xact_lock(coalesce(new.log_id, old.log_id)); return coalesce(new, old); end $$;
            create trigger hold before {events} on pgforce.delivery for each row execute function public.hold();""",
            role="postgres",
        )
        holder = self.database.connect("postgres")
        for log_id in log_ids:
            holder.cursor().execute("select pg_advisory_lock(%s)", [log_id])
        return holder

    # The log

    def entries(self, columns="action, state", where="true"):
        return self.query(f"select {columns} from salesforce._trigger_log where {where} order by id")

    def logged(self, count, columns="action, state", deadline_s=90):
        """Waits until the log holds this many entries, and answers them."""
        eventually(lambda: len(self.entries("id")) >= count, deadline_s)
        found = self.entries(columns)
        assert len(found) == count, found
        return found

    def settled(self, count, columns="action, state", deadline_s=90):
        """Waits until the log holds this many entries and none waits any more, and answers them."""

        def check():
            found = self.query(
                "select count(*), count(*) filter (where state = any(%s))"
                " from salesforce._trigger_log",
                [list(SETTLED)],
            )
            return found == [(count, count)] or found[0][0] > count

        eventually(check, deadline_s)
        found = self.entries(columns)
        assert len(found) == count, found
        return found

    def log_is_quiet_after(self, statement):
        """Runs a local change of a mapped table and waits until it is logged: the log is in commit order,
        so what was captured before is in it by now. Answers how many entries are not of that change."""
        [(txid,)] = self.query(f"{statement}; select txid_current()")
        eventually(lambda: self.entries("id", f"txid = {txid}"))
        return len(self.entries("id", f"txid is distinct from {txid}"))

    # The organisation

    def requests(self, method, path):
        """What the organisation has received, by method and a part of the path."""
        return [
            entry
            for entry in self.org.journal()
            if entry["method"] == method and path in entry["path"]
        ]
