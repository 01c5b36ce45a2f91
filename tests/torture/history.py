"""Every version of every row that was ever committed, users' and pgforce's alike, from the write-ahead log by the
server's own plugin: what was true for a moment only, and should not have been.

Every value that a user writes is written once. So a field that had a value, lost it, and has it again was put back by
nobody, and a record's id that left a table has no business there again."""

import re

CHANGE = re.compile(r"table salesforce\.(\w+): (INSERT|UPDATE|DELETE): (.*)", re.DOTALL)
COLUMN = re.compile(r"(?:^| )(\w+)\[[^\]]+\]:('(?:[^']|'')*'|\S+)")
NEW_TUPLE = " new-tuple: "


def values_of(text):
    """The columns of a tuple as test_decoding prints them."""
    found = {}
    for name, value in COLUMN.findall(text):
        found[name] = None if value == "null" else value.strip("'").replace("''", "'")
    return found


def versions(lines, tables):
    """(table, action, values of the row) of each change of these tables; of a DELETE the old values."""
    for line in lines:
        found = CHANGE.match(line)
        if found and found[1] in tables:
            text = found[3].partition(NEW_TUPLE)[2] if NEW_TUPLE in found[3] else found[3]
            yield found[1], found[2], values_of(text.removeprefix("new-tuple: "))


class History:
    """tables: name -> columns that users write."""

    def __init__(self, tables):
        self.tables = tables
        self.now = {}  # (table, id, column) -> value
        self.seen = {}  # (table, id, column) -> values that it had
        self.gone = set()  # (table, sfid)
        self.problems = []
        self.count = 0

    def tell(self, lines):
        for table, action, row in versions(lines, self.tables):
            self.count += 1
            if action == "DELETE":
                if row.get("sfid") is not None:
                    self.gone.add((table, row["sfid"]))
                continue
            if (table, row.get("sfid")) in self.gone:
                self.problems.append(f"{table}: {row['sfid']} was gone and is in row {row['id']}")
            for column in self.tables[table]:
                self._tell_value((table, row["id"], column), row.get(column))

    def _tell_value(self, field, value):
        if value is None or value == self.now.get(field):
            return
        seen = self.seen.setdefault(field, set())
        if value in seen:
            self.problems.append(f"{field} is {value} again, after {self.now[field]}")
        seen.add(value)
        self.now[field] = value
