"""What must be true once all is quiet, and never otherwise. It reads the write-ahead log by the server's own plugin,
the users' ledger, the tables, and the organisation at its door; it shares no code with pgforce."""

import re

from eventually import eventually

from history import History
from world import ORACLE_SLOT, TABLES, WITNESS_SLOT, field_of

QUIET_S = 120
# Of one role; what is carried here is small, so what grows with it would show.
MOST_RSS_KB = 64 * 1024
MOST_WAL_BYTES = 256 * 1024 * 1024
BUGS = ("AddressSanitizer", "LeakSanitizer", "runtime error", "kind=bug")
WRITES = ("/composite", "/sobjects", "/jobs/ingest")
# Lost to the log in a gap that was told.
MISSING_IN_GAP = """
select count(*) from pgforce.gap
where accepted_at is not null and %s::pg_lsn between from_lsn and to_lsn
"""
# Under a clock that is ahead entries leave the log early.
BOTH_LOGS = """(select id, txid, action, table_name, record_id, commit_lsn, state, "values" from salesforce._trigger_log
union all select id, txid, action, table_name, record_id, commit_lsn, state, "values"
from salesforce._trigger_log_archive) as entry"""
ROW = re.compile(r"table salesforce\.(\w+): (INSERT|UPDATE|DELETE): (.*)", re.DOTALL)
ID = re.compile(r"(?:^| )id\[integer\]:(\d+)")


class Oracle:
    def __init__(self, world, memory, watcher):
        self.world = world
        self.memory = memory
        self.watcher = watcher
        self.told = []  # (xid, action, table, id) in commit order
        self.positions = {}  # xid -> where its COMMIT is in the write-ahead log
        self.history = History({name: columns for name, (_, _, columns) in TABLES.items()})

    # Waiting

    def read_the_wal(self):
        """What others than pgforce committed, in the order of their commits."""
        rows = self.world.query(
            "select lsn, xid, data from pg_logical_slot_get_changes(%s, null, null, 'only-local', '1',"
            " 'skip-empty-xacts', '1')",
            [ORACLE_SLOT],
            role="postgres",
        )
        for lsn, xid, data in rows:
            if data.startswith("COMMIT"):
                self.positions[int(xid)] = lsn
            found = ROW.match(data)
            if found and found[1] in TABLES:
                self.told.append((int(xid), found[2], found[1], int(ID.search(found[3])[1])))

    def read_the_history(self):
        rows = self.world.query(
            "select data from pg_logical_slot_get_changes(%s, null, null, 'skip-empty-xacts', '1')",
            [WITNESS_SLOT],
            role="postgres",
        )
        self.history.tell(data for (data,) in rows)

    def logged(self):
        """Not what somebody has captured by hand."""
        columns = "txid, action, table_name, record_id"
        return self.world.query(f"select {columns} from {BOTH_LOGS} where commit_lsn is not null order by id")

    def wait_for_quiet(self):
        eventually(lambda: self.world.mapping_states() == {"DATA_SYNCED"}, QUIET_S)
        eventually(lambda: self.read_the_wal() or len(self.logged()) >= len(self.wanted()), QUIET_S)
        eventually(lambda: self.pending() == [] or None, QUIET_S)
        self.world.wait_for_polls(QUIET_S)
        self.world.wait_for_polls(QUIET_S)
        eventually(lambda: self.pending() == [] or None, QUIET_S)

    def pending(self):
        return self.world.query(
            "select id, state, action, table_name, record_id, sf_message from salesforce._trigger_log"
            " where state in ('NEW', 'PENDING', 'REQUEUE') limit 5"
        )

    def dump(self, folder):
        """What a failed seed is looked at by, when its world is gone."""
        entries = self.world.query(
            "select id, txid, state, action, table_name, record_id, sfid, sf_message, processed_at, \"values\""
            " from salesforce._trigger_log order by id"
        )
        lines = [f"log {entry}" for entry in entries]
        lines += [f"committed {change}" for change in self.told]
        for table in TABLES:
            lines += [f"row {table} {row}" for row in sorted(self.rows(table), key=str)]
            lines += [f"record {table} {row}" for row in sorted(self.records(table), key=str)]
        lines += [
            f"conflict {row}"
            for row in self.world.query("select * from pgforce.conflict order by id", role="postgres")
        ]
        lines += [
            f"received {entry['n']} {entry['method']} {entry['path']} {entry.get('status')}"
            for entry in self.world.org.journal()
        ]
        lines += [f"remembered {vars(self.memory)}"]
        (folder / "dump.txt").write_text("\n".join(map(str, lines)) + "\n")

    def wanted(self):
        """What was committed and must be in the log."""
        if not self.world.plan.drops_slot:
            return self.told
        logged = set(self.logged())
        return [change for change in self.told if change in logged or not self.is_in_gap(change)]

    def is_in_gap(self, change):
        return self.world.value(MISSING_IN_GAP, [self.positions[change[0]]], role="pgforce") == 1

    # Judging

    def judge(self):
        """Answers what is wrong, a line each."""
        checks = [
            self.check_log,
            self.check_ledger,
            self.check_sides,
            self.check_twins,
            self.check_echo,
            self.check_bounds,
            self.check_roles,
        ]
        # What was lost in a gap is not sent: the organisation's state comes back.
        if not self.world.plan.drops_slot:
            checks += [self.check_provenance, self.check_values, self.check_history]
        problems = list(self.watcher.problems)
        for check in checks:
            problems += [f"{check.__name__}: {problem}" for problem in check()]
        return problems

    def check_log(self):
        """Every committed change once, in commit order."""
        self.read_the_wal()
        logged, wanted = self.logged(), self.wanted()
        if logged == wanted:
            return
        missing = [change for change in wanted if change not in set(logged)]
        surplus = [change for change in logged if change not in set(wanted)]
        yield f"{len(wanted)} changes were committed, {len(logged)} are logged"
        yield f"missing {missing[:5]}, too many {surplus[:5]}"
        for number, (wanted, found) in enumerate(zip(wanted, logged)):
            if wanted != found:
                yield f"the order differs first at {number}: committed {wanted}, logged {found}"
                break

    def check_ledger(self):
        told = self.world.query(
            "select txid, action, table_name, record_id from public.ledger where action <> 'BEGIN'"
        )
        if sorted(told) != sorted(self.told):
            yield "the users' ledger and the write-ahead log differ: the oracle is wrong, or the server"

    def rows(self, table):
        _, key, columns = TABLES[table]
        parent = ", account__external_id__c" if table == "contact" else ""
        return self.world.query(f"select sfid, {key}, {', '.join(columns)}{parent} from salesforce.{table}")

    def records(self, table):
        name, key, columns = TABLES[table]
        accounts = {record["Id"]: record for record in self.world.org.rows("Account")}

        def row_of(record):
            row = [record["Id"], record[field_of(key)], *[record[field_of(column)] for column in columns]]
            if table == "contact":
                row.append(accounts.get(record["AccountId"], {}).get("External_Id__c"))
            return tuple(row)

        return [row_of(record) for record in self.world.org.rows(name) if not record["IsDeleted"]]

    def check_sides(self):
        for table in TABLES:
            ours, theirs = set(self.rows(table)), set(self.records(table))
            if ours != theirs:
                yield f"{table}: only here {sorted(ours - theirs, key=str)[:5]},"
                yield f"{table}: only there {sorted(theirs - ours, key=str)[:5]}"

    def check_twins(self):
        """Nobody was born twice."""
        for table in TABLES:
            keys = [record[1] for record in self.records(table)]
            twice = {key for key in keys if keys.count(key) > 1}
            if twice:
                yield f"{table}: {sorted(twice)[:5]} are there more than once"

    def check_provenance(self):
        """Nobody is lost, and the dead stay dead."""
        for table in TABLES:
            keys = [record[1] for record in self.records(table)]
            deleted = {key for name, key in self.memory.deleted if name == table}
            reused = {key for name, key in self.memory.reused if name == table}
            back = (deleted - reused) & set(keys)
            if back:
                yield f"{table}: {sorted(back)[:5]} were deleted and are back"
            born = {key for name, key in self.memory.born if name == table}
            lost = born - deleted - set(keys)
            if lost:
                yield f"{table}: {sorted(lost)[:5]} are lost"

    def check_values(self):
        """A field holds what one of its users wrote last, and what lost is kept."""
        final = {}
        for table, (_, _, columns) in TABLES.items():
            for row in self.rows(table):
                final[(table, row[1])] = dict(zip(columns, row[2:]))
        for (side, table, key, column), value in self.memory.last.items():
            row = final.get((table, key))
            if row is None or (table, key) in self.memory.reused:
                continue
            other_side = "salesforce" if side == "postgres" else "postgres"
            other = self.memory.last.get((other_side, table, key, column))
            if row[column] not in (value, other):
                yield f"{key}.{column} is {row[column]}, last written {value} in {side}, {other} beyond"
            elif side == "postgres" and row[column] != value and not self.is_kept(value):
                yield f"{value} of {key}.{column} is lost: it was neither sent nor is it in the ledger"

    def is_kept(self, value):
        return self.world.value(
            "select exists (select from pgforce.conflict where postgres_value = %s)"
            f" or exists (select from {BOTH_LOGS}"
            " where state in ('SUCCESS', 'MERGED') and \"values\" like %s)",
            [value, f'%"{value}"%'],
            role="pgforce",
        )

    def check_history(self):
        """Not even for a moment is somebody back, or a value that another had replaced."""
        self.read_the_history()
        if self.history.count < len(self.told):
            yield "the witness has seen fewer changes than were committed: the oracle is wrong"
        yield from self.history.problems[:5]

    def check_echo(self):
        """When nobody does anything, nobody writes anything."""
        entries = len(self.logged())
        self.world.org.journal(clear=True)
        self.world.wait_for_polls(QUIET_S)
        self.world.wait_for_polls(QUIET_S)
        writes = [
            entry["path"]
            for entry in self.world.org.journal()
            if entry["method"] != "GET" and any(way in entry["path"] for way in WRITES)
        ]
        if writes:
            yield f"writes while nobody wrote: {writes[:5]}"
        if len(self.logged()) != entries:
            yield f"{len(self.logged()) - entries} entries while nobody wrote"

    def check_bounds(self):
        for role, peak in self.watcher.peak_rss_kb.items():
            if peak > MOST_RSS_KB:
                yield f"{role} took {peak} kB of memory"
        if self.watcher.peak_wal_bytes > MOST_WAL_BYTES:
            yield f"the slot kept {self.watcher.peak_wal_bytes} bytes of WAL"

    def check_roles(self):
        lines = self.world.log_text().splitlines()
        parked = [line for line in lines if "parked" in line and not self.may_be_parked(line)]
        if parked:
            yield f"a role was parked: {parked[0]}"
        for line in lines:
            # PostgreSQL has no SQLSTATE for a file that may not grow, as it has for a disk that is full.
            if "File too large" not in line and any(sign in line for sign in BUGS):
                yield line

    def may_be_parked(self, line):
        return self.world.plan.drops_slot and "role=archive" in line
