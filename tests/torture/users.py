"""The users of both sides. What they do comes from the seed; what they did is remembered once it is known to be
committed."""

import contextlib

import psycopg2

from world import TABLES, field_of

# Whoever waits for a lock longer than this gives up: pgforce or the other user has it.
LOCK_TIMEOUT = "300ms"
FEW, MANY, HUGE = 4, 250, 1500
# How the keys of accounts begin that nobody deletes: the parents of contacts. What refers to a record that is
# gone is rightly refused, after many attempts; that has tests of its own.
KEPT = "K-"


class Memory:
    """What was committed: the last value of each field by side, and what was deleted by whom."""

    def __init__(self):
        self.last = {}  # (side, table, key, column) -> value
        self.born = {}  # (table, key) -> side
        self.deleted = set()  # (table, key)
        self.reused = set()  # keys that lived twice
        self.commits = 0
        self.changes = 0

    def take(self, notes):
        for kind, *facts in notes:
            getattr(self, kind)(*facts)

    def wrote(self, side, table, key, column, value):
        self.last[(side, table, key, column)] = value

    def bore(self, side, table, key):
        if (table, key) in self.born:
            self.reused.add((table, key))
        self.born[(table, key)] = side

    def removed(self, table, key):
        self.deleted.add((table, key))


class Transaction:
    """One of PostgreSQL's users: a transaction in steps, with its notes. The ledger tells afterwards whether it
    was committed where the connection was lost in the middle."""

    def __init__(self, users, connection):
        self.users = users
        self.random = users.random
        self.cursor = connection.cursor()
        self.connection = connection
        self.token = users.token()
        self.notes = []

    def note(self, *facts):
        self.notes.append(facts)

    def log(self, action, table, ids):
        for record_id in ids:
            self.cursor.execute(
                "insert into public.ledger (token, action, table_name, record_id) values (%s, %s, %s, %s)",
                [self.token, action, table, record_id],
            )

    def begin(self):
        self.cursor.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
        # Also a transaction whose steps all come to nothing is one that the ledger knows.
        self.log("BEGIN", "", [0])

    def step(self):
        acts = [self.insert] * 4 + [self.update] * 8 + [self.delete, self.undone, self.reuse]
        self.random.choice(acts)()

    def insert(self, count=1):
        table = self.random.choice(list(TABLES))
        for _ in range(count):
            self._insert(table, self.users.key("P", table))

    def _insert(self, table, key):
        _, key_column, columns = TABLES[table]
        row = {key_column: key, **{column: self.users.token() for column in columns}}
        if table == "contact":
            parent = self._pick("account", f"like '{KEPT}%%'")
            if parent is not None:
                row["account__external_id__c"] = parent[1]
        names = ", ".join(row)
        marks = ", ".join(["%s"] * len(row))
        self.cursor.execute(
            f"insert into salesforce.{table} ({names}) values ({marks}) returning id", list(row.values())
        )
        self.log("INSERT", table, [self.cursor.fetchone()[0]])
        self.note("bore", "postgres", table, key)
        for column in columns:
            self.note("wrote", "postgres", table, key, column, row[column])

    def _pick(self, table, condition="is not null"):
        _, key_column, _ = TABLES[table]
        self.cursor.execute(
            f"select id, {key_column} from salesforce.{table} where {key_column} {condition} order by id", []
        )
        rows = self.cursor.fetchall()
        return self.random.choice(rows) if rows else None

    def update(self):
        table = self.random.choice(list(TABLES))
        column = self.random.choice(TABLES[table][2])
        value = self.users.token()
        row = self._pick(table)
        if row is None:
            return
        # The row may be gone by now: pull deletes, too.
        self.cursor.execute(
            f"update salesforce.{table} set {column} = %s where id = %s returning id", [value, row[0]]
        )
        if self.cursor.fetchone() is not None:
            self.log("UPDATE", table, [row[0]])
            self.note("wrote", "postgres", table, row[1], column, value)

    def delete(self):
        table = self.random.choice(list(TABLES))
        row = self._pick(table, f"not like '{KEPT}%%'")
        if row is None:
            return None
        self.cursor.execute(f"delete from salesforce.{table} where id = %s returning id", [row[0]])
        if self.cursor.fetchone() is None:
            return None
        self.log("DELETE", table, [row[0]])
        self.note("removed", table, row[1])
        return table, row[1]

    def reuse(self):
        """A key that is given to a new row in the same transaction."""
        gone = self.delete()
        if gone is not None and gone[0] == "account":
            self._insert(*gone)

    def undone(self):
        """What a savepoint takes back was never there."""
        notes = list(self.notes)
        self.cursor.execute("savepoint undone")
        self.insert(self.random.randint(1, FEW))
        self.update()
        self.cursor.execute("rollback to savepoint undone")
        self.notes = notes

    def commit(self):
        self.connection.commit()

    def prepare(self):
        """Its locks and its outcome wait for settle()."""
        self.cursor.execute("prepare transaction %s", [self.token])
        self.connection.commit()


class Users:
    def __init__(self, world, random, seed):
        self.world = world
        self.random = random
        self.seed = seed
        self.memory = Memory()
        self._count = 0
        self.given_up = 0
        self.prepared = {}  # gid -> notes

    def token(self):
        self._count += 1
        return f"{self.seed}.{self._count}"

    def key(self, side, table):
        kept = KEPT if table == "account" and self.random.random() < 0.4 else ""
        return f"{kept}{side}-{self.token()}"

    # PostgreSQL's

    def transact(self, between=None, steps=None):
        """One transaction; between() happens before its COMMIT. Where it is lost, the ledger is asked."""
        transaction = None
        try:
            connection = self.world.connect()
        except psycopg2.OperationalError:
            self.given_up += 1
            return
        try:
            transaction = Transaction(self, connection)
            transaction.begin()
            self._run(transaction, steps)
            if between is not None:
                between()
            self._end(transaction)
        except psycopg2.Error:
            self.given_up += 1
            if (
                transaction is not None
                and transaction.token not in self.prepared
                and self._is_committed(transaction.token)
            ):
                self._take(transaction)
        finally:
            connection.close()

    def _run(self, transaction, steps):
        if steps is not None:
            steps(transaction)
            return
        for _ in range(self.random.randint(1, FEW)):
            transaction.step()

    def _end(self, transaction):
        if self.world.plan.prepares and self.random.random() < 0.15:
            # Noted before it is there: where the answer is lost, settle() looks.
            self.prepared[transaction.token] = transaction
            transaction.prepare()
            return
        transaction.commit()
        self._take(transaction)

    def settle(self):
        """Commits or rolls back what was prepared; the server is there."""
        there = {gid for (gid,) in self.world.prepared()}
        for gid, transaction in list(self.prepared.items()):
            verb = "commit" if self.random.random() < 0.6 else "rollback"
            if gid in there:
                self.world.autocommit(f"{verb} prepared %s", [gid])
            del self.prepared[gid]
            if self._is_committed(gid):
                self._take(transaction)

    def settle_one(self):
        with contextlib.suppress(psycopg2.Error):
            self.settle()

    def _take(self, transaction):
        self.memory.take(transaction.notes)
        self.memory.commits += 1
        self.memory.changes += len(transaction.notes)

    def _is_committed(self, token):
        while True:
            try:
                return bool(self.world.value("select count(*) from public.ledger where token = %s", [token]))
            except psycopg2.OperationalError:
                self.world.wait_for_server()

    def transact_much(self):
        most = HUGE if self.random.random() < 0.1 else MANY
        self.transact(steps=lambda transaction: transaction.insert(self.random.randint(FEW, most)))

    # Salesforce's. Records are picked at the door: a query might meet a fault that is meant for pgforce.

    def _live(self, table):
        return [record for record in self.world.org.rows(TABLES[table][0]) if not record["IsDeleted"]]

    def _bound(self, table):
        """The records that rows know. One that is not known yet may be in doubt: without a unique identifier it is then
        found by what it holds, so whoever changes it first makes it a stranger; and whoever deletes it first has it
        made again. The manual says so (heroku-connect.md, A lost answer to an INSERT)."""
        with contextlib.suppress(psycopg2.Error):
            return {sfid for (sfid,) in self.world.query(f"select sfid from salesforce.{table}")}
        return set()

    def create(self):
        table = self.random.choice(list(TABLES))
        name, key_column, columns = TABLES[table]
        key = self.key("S", table)
        values = {column: self.token() for column in columns}
        fields = {field_of(column): value for column, value in values.items()}
        self.world.org.create(name, **{field_of(key_column): key}, **fields)
        notes = [("bore", "salesforce", table, key)]
        notes += [("wrote", "salesforce", table, key, column, value) for column, value in values.items()]
        self.memory.take(notes)

    def edit(self):
        table = self.random.choice(list(TABLES))
        name, key_column, columns = TABLES[table]
        column, value = self.random.choice(columns), self.token()
        live = self._live(table)
        if table == "lead":
            bound = self._bound(table)
            live = [record for record in live if record["Id"] in bound]
        if live:
            record = self.random.choice(live)
            answer = self.world.org.patch(f"sobjects/{name}/{record['Id']}", {field_of(column): value})
            # pgforce may have deleted it since.
            if answer.status == 204:
                key = record[field_of(key_column)]
                self.memory.wrote("salesforce", table, key, column, value)

    def remove(self):
        table = self.random.choice(list(TABLES))
        key_field = field_of(TABLES[table][1])
        bound = self._bound(table)
        live = [record for record in self._live(table) if not record[key_field].startswith(KEPT)]
        live = [record for record in live if record["Id"] in bound]
        if live:
            record = self.random.choice(live)
            answer = self.world.org.delete(f"sobjects/{TABLES[table][0]}/{record['Id']}")
            if answer.status == 204:
                self.memory.removed(table, record[key_field])

    def act(self):
        acts = [self.transact] * 10 + [self.create] * 2 + [self.edit] * 4 + [self.remove]
        if self.prepared:
            acts += [self.settle_one] * 4
        if self.random.random() < 0.03:
            acts = [self.transact_much]
        self.random.choice(acts)()
