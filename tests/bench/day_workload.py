"""What happens on the day, and whether pgforce has all of it.

Several clients change four tables, in transactions of one row to ten thousand. Each change carries a number of its
own, its mark. What a transaction changes it adds to its client's tally itself, so the tally is what was committed
whatever was killed, and shares nothing with pgforce. The log and its archive together must have the same changes: by
table and action their number, the sum of the marks, and the sum of the marks' hashes.
"""

import dataclasses
import sys
import zlib

from cluster import ROOT, server_program

sys.path.insert(0, str(ROOT / "tests" / "integration"))

from sync import export, mapping  # noqa: E402

CLIENTS = 4
# Rows of a transaction: how many such transactions there are in 100,000 rows.
SHAPES = {1: 10_000, 20: 1_500, 500: 100, 10_000: 1}
ROWS_PER_TRANSACTION = 100_000 / sum(SHAPES.values())
PUSHED_SHARE = 0.11
INSERTS = 0.5
UPDATES = 0.4  # the rest: deletes
OLD_ENTRIES = 10_000


@dataclasses.dataclass(frozen=True)
class Table:
    object_name: str
    fields: dict  # field: its value, of the mark m
    mark: str
    is_pushed: bool

    @property
    def name(self):
        return self.object_name.lower()


TABLES = [
    Table(
        "Account",
        {
            "Name": "'Company ' || m || ' Ltd.'",
            "Phone": "m",
            "Industry": "'Energy'",
            "AnnualRevenue": "m % 1000000",
            "BillingCity": "'Townsville'",
            "External_Id__c": "'A-' || m",
        },
        "Phone",
        True,
    ),
    Table(
        "Contact",
        {
            "FirstName": "'Robin'",
            "LastName": "'Miller ' || m",
            "Email": "'robin.' || m || '@company.example'",
            "Phone": "m",
            "External_Id__c": "'C-' || m",
        },
        "Phone",
        True,
    ),
    Table(
        "Opportunity",
        {
            "Name": "'Delivery ' || m",
            "StageName": "'Prospecting'",
            "CloseDate": "date '2026-01-01' + (m % 300)::integer",
            "Amount": "m % 1000000",
            "NextStep": "m",
            "Description": "'What was said on the telephone, and what is to be done about it until then.'",
        },
        "NextStep",
        False,
    ),
    Table(
        "Lead",
        {
            "FirstName": "'Kim'",
            "LastName": "'Smith ' || m",
            "Company": "'Company ' || m % 1000",
            "Phone": "m",
            "Email": "'kim.' || m || '@company.example'",
            "City": "'Townsville'",
        },
        "Phone",
        False,
    ),
]

TALLY = f"""
create schema day;
create sequence day.mark cache 50;
create table day.tally (
    client integer,
    table_name text,
    action text,
    changes bigint not null default 0,
    marks bigint not null default 0,
    hashes bigint not null default 0,
    primary key (client, table_name, action)
) with (fillfactor = 10);
insert into day.tally (client, table_name, action)
select client, table_name, action
from generate_series(0, {CLIENTS - 1}) client,
     unnest(array[{", ".join(f"'{each.name}'" for each in TABLES)}]) table_name,
     unnest(array['INSERT', 'UPDATE', 'DELETE']) action;
"""

# Rows that another client is at are left to it, so nobody waits and nothing deadlocks.
CHANGE = """
create function day.change_{name}(its_client integer, rows integer) returns void language plpgsql as $do$
declare
    draw double precision := random();
    its_action text;
    first integer;
    made record;
begin
    select 1 + floor(random() * coalesce(max(id), 0)) into first from salesforce.{name};
    if draw < {inserts} then
        its_action := 'INSERT';
        with done as (
            insert into salesforce.{name} ({columns})
            select {values} from (select nextval('day.mark') as m from generate_series(1, rows)) as marks
            returning {mark}::bigint as mark)
        select count(*) as n, sum(mark) as marks, sum(hashint8(mark)) as hashes into made from done;
    elsif draw < {inserts} + {updates} then
        its_action := 'UPDATE';
        with done as (
            update salesforce.{name} set {mark} = nextval('day.mark')
            where id = any(array(select id from salesforce.{name} where id >= first
                                 order by id limit rows for update skip locked))
            returning {mark}::bigint as mark)
        select count(*) as n, sum(mark) as marks, sum(hashint8(mark)) as hashes into made from done;
    else
        its_action := 'DELETE';
        with done as (
            delete from salesforce.{name}
            where id = any(array(select id from salesforce.{name} where id >= first
                                 order by id limit rows for update skip locked))
            returning {mark}::bigint as mark)
        select count(*) as n, sum(mark) as marks, sum(hashint8(mark)) as hashes into made from done;
    end if;
    update day.tally
    set changes = changes + made.n, marks = marks + coalesce(made.marks, 0),
        hashes = hashes + coalesce(made.hashes, 0)
    where client = its_client and table_name = '{name}' and action = its_action;
end $do$;
"""

ANY_CHANGE = """
create function day.change(its_client integer, rows integer) returns void language plpgsql as $do$
declare
    draw double precision := random();
begin
{choices}
end $do$;
grant usage on schema day to app;
grant all on all tables in schema day to app;
grant all on all sequences in schema day to app;
"""

# Settled 39 days ago: they pass through the archive, and their day is dropped.
FILL_OLD = f"""
insert into salesforce._trigger_log (created_at, processed_at, state, action, table_name, record_id)
select now() - interval '40 days', now() - interval '39 days', 'SUCCESS', 'UPDATE', 'old', n
from generate_series(1, {OLD_ENTRIES}) n;
"""

FOUND = """
select table_name, action, count(*)::bigint, sum(mark)::bigint, sum(hashint8(mark))::bigint
from (select table_name, action, coalesce(carried -> 'phone', carried -> 'nextstep')::bigint as mark
      from (select table_name, action, (case action when 'DELETE' then old else values end)::hstore as carried
            from (select table_name, action, old, values from salesforce._trigger_log
                  union all
                  select table_name, action, old, values from salesforce._trigger_log_archive) as entries
            where table_name <> 'old') as texts) as marks
group by 1, 2
order by 1, 2
"""


def install(stand):
    """Maps the tables and makes the clients' functions."""
    mappings = [
        mapping(
            table.object_name,
            *table.fields,
            upsert="External_Id__c" if table.is_pushed else None,
            access="read_write" if table.is_pushed else "read_only",
            polling_seconds=60,
            sf_max_daily_api_calls=10_000_000,
        )
        for table in TABLES
    ]
    stand.pgforce("import", "-", stdin=export(*mappings))
    stand.server.psql(TALLY + "".join(map(_change_function, TABLES)) + _any_change() + FILL_OLD)
    for rows in SHAPES:
        (stand.folder / f"{rows}.sql").write_text(f"select day.change(:client_id, {rows});\n")


def _change_function(table):
    return CHANGE.format(
        name=table.name,
        columns=", ".join(table.fields).lower(),
        values=", ".join(table.fields.values()),
        mark=table.mark.lower(),
        inserts=INSERTS,
        updates=UPDATES,
    )


def _any_change():
    pushed = [table for table in TABLES if table.is_pushed]
    logged = [table for table in TABLES if not table.is_pushed]
    choices, up_to = [], 0.0
    for tables, share in ((pushed, PUSHED_SHARE), (logged, 1 - PUSHED_SHARE)):
        for table in tables:
            up_to += share / len(tables)
            choices.append(f"draw < {up_to:.4f} then perform day.change_{table.name}(its_client, rows);")
    return ANY_CHANGE.format(choices="    if " + "\n    elsif ".join(choices) + "\n    end if;")


def start_clients(stand, changes, per_s):
    """pgbench for about so many changes at about that rate."""
    transactions = max(1, round(changes / ROWS_PER_TRANSACTION / CLIENTS))
    argv = [server_program("pgbench"), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1"]
    argv += ["-t", str(transactions), "-R", f"{per_s / ROWS_PER_TRANSACTION:.2f}"]
    for rows, weight in SHAPES.items():
        argv += ["-f", f"{stand.folder / str(rows)}.sql@{weight}"]
    return stand.start_client("pgbench", [*argv, stand.server.conninfo(role="app")])


def changes_made(server):
    return int(server.value("select sum(changes) from day.tally"))


def tally(server):
    """{(table, action): (changes, marks, hashes)} of what was committed."""
    return _by_table(
        server.query(
            """select table_name, action, sum(changes)::bigint, sum(marks)::bigint, sum(hashes)::bigint
               from day.tally group by 1, 2 having sum(changes) > 0"""
        )
    )


def logged(server):
    """The same of what the log and its archive have."""
    return _by_table(server.query(FOUND))


def _by_table(rows):
    return {(table, action): tuple(figures) for table, action, *figures in rows}


def row_sums(stand, table):
    """(rows, sum of their checksums) of a pushed table here and in the organisation."""
    return _sum_up(_rows_here(stand.server, table)), _sum_up(_rows_there(stand.sandbox, table))


def _sum_up(rows):
    count = total = 0
    for row in rows:
        count += 1
        total += zlib.crc32(repr(row).encode())
    return count, total


def _compared(table):
    return ["Id", *(field for field in table.fields if field != "AnnualRevenue")]


def _rows_here(server, table):
    columns = ["sfid" if field == "Id" else field.lower() for field in _compared(table)]
    connection = server.connect(autocommit=False)
    with connection.cursor("rows") as cursor:
        cursor.itersize = 10_000
        cursor.execute(f"select {', '.join(columns)} from salesforce.{table.name}")
        yield from cursor
    connection.close()


def _rows_there(sandbox, table):
    fields = _compared(table)
    answer = sandbox.query_page(f"select {', '.join(fields)} from {table.object_name}")
    while True:
        page = answer.json
        for record in page["records"]:
            yield tuple(record[field] for field in fields)
        if page["done"]:
            return
        answer = sandbox.get(page["nextRecordsUrl"])
