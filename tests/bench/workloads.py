"""What the contenders of ./dev bench decode have to decode."""

import dataclasses

ACCOUNT = """
create schema bench;
create table bench.account (
    id integer primary key,
    sfid varchar(18),
    name varchar(255),
    type varchar(40),
    industry varchar(40),
    phone varchar(40),
    website varchar(255),
    billingstreet varchar(255),
    billingcity varchar(40),
    billingpostalcode varchar(20),
    billingcountry varchar(80),
    description text,
    annualrevenue double precision,
    numberofemployees integer,
    isdeleted boolean,
    createddate timestamp,
    systemmodstamp timestamp,
    lastactivitydate date,
    ownerid varchar(18),
    external_id__c varchar(36)
);
create unique index on bench.account (sfid);
create index on bench.account (systemmodstamp);

create function bench.account_of(n integer) returns bench.account language sql as $$
select n,
       '001' || lpad(n::text, 15, '0'),
       'Company ' || n || ' Ltd.',
       case n % 3 when 0 then 'Customer' when 1 then 'Prospect' end,
       case n % 4 when 0 then 'Energy' when 1 then 'Technology' when 2 then 'Transport' end,
       '+49 30 ' || 1000000 + n % 9000000,
       case when n % 2 = 0 then 'https://company' || n || '.example/' end,
       n % 997 || ' Station Road, Building ' || n % 13,
       'Townsville',
       lpad((n % 89999)::text, 5, '0'),
       case when n % 5 > 0 then 'Germany' end,
       case when n % 10 = 0 then repeat('A few words on this customer. ', 8) end,
       case when n % 3 > 0 then n * 987.654 end,
       case when n % 3 > 0 then n % 30000 end,
       false,
       timestamp '2014-03-01' + n * interval '6 minutes 7.89 seconds',
       timestamp '2024-05-01' + n * interval '1.01 seconds',
       case when n % 4 = 0 then date '2021-06-01' + n % 1200 end,
       '005' || lpad((n % 89)::text, 15, '0'),
       md5(n::text)::uuid::text
$$;
"""

# Every fifth column of each of these types.
WIDE_TYPES = {
    "integer": "case when n % 3 > 0 then n end",
    "varchar(80)": "'text ' || n",
    "timestamp": "timestamp '2024-01-01' + n * interval '1.1 seconds'",
    "boolean": "n % 2 = 0",
    "date": "date '2020-01-01' + n % 3000",
}

# 20,000 characters that do not compress, so that they are stored out of line.
DOCUMENT = """
create table bench.document (
    id integer primary key,
    title varchar(255),
    body text,
    systemmodstamp timestamp
);
create table bench.body as
select b as id, string_agg(md5((b * 1000 + w)::text), '') as text
from generate_series(0, 99) b, generate_series(1, 625) w
group by b;
create unique index on bench.body (id);
"""


def in_transactions(count, per_transaction, statement):
    """Runs a statement over 1..count; it uses first and last, the bounds of its share."""
    return f"""
do $do$
declare
    first integer := 1;
    last integer;
begin
    while first <= {count} loop
        last := least(first + {per_transaction} - 1, {count});
        {statement};
        commit;
        first := last + 1;
    end loop;
end $do$;
"""


def insert_accounts(first, last):
    return (
        f"insert into bench.account select a.* from generate_series({first}, {last}) n,"
        " bench.account_of(n) a"
    )


def fill(count):
    return in_transactions(count, 10000, insert_accounts("first", "last"))


def update_accounts(count):
    return in_transactions(
        count,
        1000,
        "update bench.account set phone = 'p' || id, systemmodstamp = systemmodstamp + interval '1 day'"
        " where id between first and last",
    )


def one_row_transactions(count):
    half = count // 2
    return in_transactions(
        half,
        1,
        f"""{insert_accounts(f"{half} + first", f"{half} + first")};
        commit;
        update bench.account set phone = 'p', systemmodstamp = systemmodstamp + interval '1 day'
        where id = first""",
    )


def wide_columns():
    types = list(WIDE_TYPES)
    return [types[i % len(types)] for i in range(99)]


def create_wide(_count):
    columns = ", ".join(f"c{i} {name}" for i, name in enumerate(wide_columns()))
    return f"create table bench.wide (id integer primary key, {columns});"


def insert_wide(count):
    values = ", ".join(WIDE_TYPES[name] for name in wide_columns())
    return in_transactions(
        count, 100, f"insert into bench.wide select n, {values} from generate_series(first, last) n"
    )


def write_documents(count):
    half = count // 2
    insert = """insert into bench.document
        select n, 'title ' || n, n || text, now()
        from generate_series(first, last) n join bench.body on body.id = n % 100"""
    update = """update bench.document set title = title || '!', systemmodstamp = now()
        where id between first and last"""
    return in_transactions(half, 100, insert) + in_transactions(half, 100, update)


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    title: str
    full_changes: int
    prepare: callable  # from the number of changes to SQL, before the slot is made
    run: callable  # likewise; this is what is decoded

    def changes(self, scale):
        """A multiple of 2,000, so that halves and transactions come out even."""
        return max(2000, round(self.full_changes * scale / 2000) * 2000)


WORKLOADS = [
    Workload(
        "inserts",
        "inserts of 20 columns, 1,000 a transaction",
        1_000_000,
        lambda count: "",
        lambda count: in_transactions(count, 1000, insert_accounts("first", "last")),
    ),
    Workload(
        "updates",
        "updates of 2 of 20 columns, replica identity default, 1,000 a transaction",
        500_000,
        fill,
        update_accounts,
    ),
    Workload(
        "updates-full",
        "updates of 2 of 20 columns, replica identity full, 1,000 a transaction",
        500_000,
        lambda count: fill(count) + "alter table bench.account replica identity full;",
        update_accounts,
    ),
    Workload(
        "one-row",
        "transactions of one row each, half inserts, half updates",
        300_000,
        lambda count: fill(count // 2),
        one_row_transactions,
    ),
    Workload(
        "huge",
        "inserts in one transaction; logical_decoding_work_mem 64 MB",
        2_000_000,
        lambda count: "",
        lambda count: insert_accounts(1, count) + ";",
    ),
    Workload("wide", "inserts of 100 columns, 100 a transaction", 100_000, create_wide, insert_wide),
    Workload(
        "toast",
        "a text of 20 KB: half inserts, half updates that leave it alone, 100 a transaction",
        40_000,
        lambda count: DOCUMENT,
        write_documents,
    ),
]
