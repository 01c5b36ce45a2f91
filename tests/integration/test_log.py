"""What _trigger_log gets: Heroku Connect's entries, told from the write-ahead log, without triggers."""

import psycopg2
import pytest

from eventually import eventually
from survival import GAP
from sync import account, contact, mapping

# Heroku Connect's columns, then ours, which are nullable.
OURS = [
    ("commit_lsn", "pg_lsn", None),
    ("seq", "integer", None),
    ("commit_time", "timestamp with time zone", None),
    ("origin", "text", None),
]
LOG = [
    ("id", "integer", "nextval('salesforce._trigger_log_id_seq'::regclass)"),
    ("txid", "bigint", None),
    ("created_at", "timestamp with time zone", "now()"),
    ("updated_at", "timestamp with time zone", "now()"),
    ("processed_at", "timestamp with time zone", None),
    ("processed_tx", "bigint", None),
    ("state", "character varying(8)", None),
    ("action", "character varying(7)", None),
    ("table_name", "character varying(128)", None),
    ("record_id", "integer", None),
    ("sfid", "character varying(18)", None),
    ("old", "text", None),
    ("values", "text", None),
    ("sf_result", "integer", None),
    ("sf_message", "text", None),
    *OURS,
]
# A partition is chosen by it, so there it is never null.
ARCHIVE = [(name, kind, "now()" if name == "created_at" else None) for name, kind, _ in LOG]
HCMETA = [
    ("id", "integer", "nextval('salesforce._hcmeta_id_seq'::regclass)"),
    ("hcver", "integer", None),
    ("org_id", "character varying(50)", None),
    ("details", "text", None),
]


@pytest.mark.parametrize(
    "table, columns", [("_trigger_log", LOG), ("_trigger_log_archive", ARCHIVE), ("_hcmeta", HCMETA)]
)
def test_the_system_tables_have_heroku_connects_columns_in_order(sync, table, columns):
    found = sync.query(
        """select a.attname::text, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid)
           from pg_attribute a
           left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
           where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
           order by a.attnum""",
        [f"salesforce.{table}"],
    )
    assert found == columns
    not_null = sync.query(
        """select attname::text from pg_attribute
           where attrelid = %s::regclass and attnum > 0 and attnotnull""",
        [f"salesforce.{table}"],
    )
    expected = ["id", "created_at"] if table == "_trigger_log_archive" else ["id"]
    assert [row[0] for row in not_null] == expected


@pytest.mark.parametrize("table", ["_trigger_log", "_trigger_log_archive"])
def test_an_entry_has_one_of_the_ten_states(sync, table):
    states = ["NEW", "IGNORE", "READONLY", "PENDING", "SUCCESS", "MERGED", "IGNORED", "FAILED",
              "REQUEUE", "REQUEUED"]
    for number, state in enumerate(states, start=1):
        sync.query(f"insert into salesforce.{table} (id, state) values (%s, %s)", [number, state])
    with pytest.raises(psycopg2.errors.CheckViolation):
        sync.query(f"insert into salesforce.{table} (id, state) values (11, 'DONE')")


def test_the_indexes_have_heroku_connects_names(sync):
    sync.load(account())
    found = {
        name: definition
        for name, definition in sync.query(
            "select indexname::text, split_part(indexdef, ' USING btree ', 2) from pg_indexes"
            " where schemaname = 'salesforce'"
        )
    }
    partial = "(state, table_name) WHERE ((state)::text = "
    expected = {
        "_trigger_log_pkey": "(id)",
        "_trigger_log_idx_created_at": "(created_at)",
        "_trigger_log_idx_state_id": "(state, id)",
        "_trigger_log_archive_pkey": "(id, created_at)",
        "_trigger_log_archive_idx_created_at": "(created_at)",
        "_trigger_log_archive_idx_record_id": "(record_id)",
        "_trigger_log_archive_idx_state_table_name": partial + "'FAILED'::text)",
        "_hcmeta_pkey": "(id)",
        "account_pkey": "(id)",
        "hcu_idx_account_sfid": "(sfid)",
        "hc_idx_account_systemmodstamp": "(systemmodstamp)",
        "hcu_idx_account_external_id__c": "(external_id__c)",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["_trigger_log_idx_state_table_name"].startswith(partial + "ANY (")


def test_a_mapped_table_ends_with_the_system_columns(sync):
    sync.map(account())
    found = sync.query(
        """select attname::text, format_type(atttypid, atttypmod) from pg_attribute
           where attrelid = 'salesforce.account'::regclass and attnum > 0
           order by attnum"""
    )
    assert found == [
        ("annualrevenue", "double precision"),
        ("external_id__c", "character varying(64)"),
        ("industry", "character varying(255)"),
        ("isdeleted", "boolean"),
        ("name", "character varying(255)"),
        ("phone", "character varying(40)"),
        ("systemmodstamp", "timestamp without time zone"),
        ("sfid", "character varying(18)"),
        ("id", "integer"),
        ("_hc_lastop", "character varying(32)"),
        ("_hc_err", "text"),
    ]


INVOICE = mapping(
    "Invoice__c",
    "Account__c",
    "Amount__c",
    "Quantity__c",
    "Status__c",
    "Tags__c",
    "Due_Date__c",
    "Paid_At__c",
    "Is_Paid__c",
    "Pick_Up__c",
    "Contact_Email__c",
    "Notes__c",
    "External_Id__c",
    upsert="External_Id__c",
)

# One of everything that is hard to write: quotes, backslashes, line breaks, other alphabets, the words
# and marks of hstore itself, an empty text, numbers at the ends of their range.
INSERT_INVOICE = r"""
insert into salesforce.invoice__c (notes__c, status__c, tags__c, external_id__c, amount__c,
    quantity__c, due_date__c, paid_at__c, is_paid__c, pick_up__c, contact_email__c)
values (E'She said "no" \\ and left\n\ttwice', 'NULL', 'a=>b, "c"', 'Ünïcödé 漢字 🚀', 0.1::float8 + 0.2,
    1e300, '2026-02-28', '2026-03-01 12:34:56.789', true, '23:59:59.5', '')
"""

AS_HSTORE = """
select (public.hstore(t) operator(public.-) array['_hc_lastop', '_hc_err'])::text
from salesforce.invoice__c t
"""


def test_the_text_of_an_entry_is_hstores_own(sync):
    sync.map(INVOICE)
    sync.start("archive")
    sync.query(INSERT_INVOICE)
    written = sync.value(AS_HSTORE)
    sync.query("delete from salesforce.invoice__c")
    entries = sync.logged(2, 'old, "values"')
    assert entries == [(None, written), (written, None)]
    assert written.startswith('"id"=>"1", "sfid"=>NULL, ')


def test_an_insert_is_logged_with_every_column_and_no_sfid(sync):
    sync.map(account())
    sync.start("archive")
    sync.query("insert into salesforce.account (name, sfid) values ('Acme', '001000000000001AAA')")
    [entry] = sync.logged(
        1,
        'action, state, table_name, record_id, sfid, old, public.akeys("values"::public.hstore),'
        " sf_result, sf_message, processed_at, processed_tx, origin",
    )
    keys = entry[6]
    assert sorted(keys) == sorted(
        ["id", "sfid", "name", "phone", "industry", "isdeleted", "annualrevenue", "external_id__c"]
        + ["systemmodstamp"]
    )
    assert entry[:6] == ("INSERT", "NEW", "account", 1, None, None)
    assert entry[7:] == (None,) * 5


def test_an_update_is_logged_with_the_full_old_row_and_only_what_changed(sync):
    sync.map(account())
    sync.start("archive")
    sync.query(
        "insert into salesforce.account (name, phone, industry, sfid)"
        " values ('Acme', '1', 'Energy', '001000000000001AAA')"
    )
    before = sync.value(
        "select (public.hstore(t) operator(public.-) array['_hc_lastop', '_hc_err'])::text"
        " from salesforce.account t"
    )
    sync.query("update salesforce.account set phone = null, industry = 'Energy', name = 'Acme 2'")
    entry = sync.logged(2, 'action, state, record_id, sfid, old, "values"')[1]
    expected = ("UPDATE", "NEW", 1, "001000000000001AAA", before, '"name"=>"Acme 2", "phone"=>NULL')
    assert entry == expected


def test_a_large_value_stored_out_of_line_is_in_old_though_the_update_left_it_alone(sync):
    sync.map(mapping("Account", "Name", "Description"))
    sync.start("archive")
    # Random, so that it cannot be compressed into the row.
    sync.query(
        "insert into salesforce.account (name, description)"
        " select 'Acme', string_agg(md5(random()::text), '') from generate_series(1, 900)"
    )
    sync.query("update salesforce.account set name = 'Acme 2'")
    description = "old::public.hstore operator(public.->) 'description'"
    [(old, values)] = sync.logged(2, f'{description}, "values"')[1:]
    assert old == sync.value("select description from salesforce.account")
    assert len(old) == 28800
    assert values == '"name"=>"Acme 2"'


def test_an_update_that_changes_nothing_is_ignored(sync):
    sync.map(account())
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.query("update salesforce.account set name = 'Acme'")
    sync.query("update salesforce.account set _hc_lastop = 'PENDING', _hc_err = 'mine'")
    entries = sync.logged(3, 'action, state, "values", old is not null')
    assert entries[1:] == [("UPDATE", "IGNORE", "", True)] * 2


def test_a_delete_is_logged_with_the_full_old_row(sync):
    sync.map(account())
    sync.start("archive")
    sync.query("insert into salesforce.account (name, sfid) values ('Acme', '001000000000001AAA')")
    old = sync.value(
        "select (public.hstore(t) operator(public.-) array['_hc_lastop', '_hc_err'])::text"
        " from salesforce.account t"
    )
    sync.query("delete from salesforce.account")
    entry = sync.logged(2, 'action, state, record_id, sfid, old, "values"')[1]
    assert entry == ("DELETE", "NEW", 1, "001000000000001AAA", old, None)


def test_a_delete_of_a_row_that_salesforce_never_had_is_ignored(sync):
    sync.map(account())
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.logged(1)
    sync.query("update salesforce._trigger_log set state = 'IGNORED'")
    sync.query("delete from salesforce.account")
    assert sync.logged(2) == [("INSERT", "IGNORED"), ("DELETE", "IGNORE")]


def test_a_delete_waits_behind_the_insert_that_is_still_to_be_sent(sync):
    sync.map(account())
    sync.start("archive")
    sync.query("begin; insert into salesforce.account (name) values ('Acme');"
               " delete from salesforce.account; commit")
    assert sync.logged(2) == [("INSERT", "NEW"), ("DELETE", "NEW")]


def test_changes_of_a_read_only_mapping_are_logged_in_full_and_marked(sync):
    sync.map(account(access="read_only"))
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.query("update salesforce.account set name = 'Acme'")
    sync.query("update salesforce.account set name = 'Acme 2'")
    sync.query("delete from salesforce.account")
    assert sync.logged(4, 'action, state, "values" = \'\', old is not null') == [
        ("INSERT", "READONLY", False, False),
        ("UPDATE", "READONLY", True, True),
        ("UPDATE", "READONLY", False, True),
        ("DELETE", "READONLY", None, True),
    ]


def test_one_transaction_over_several_tables_is_logged_in_its_order(sync):
    sync.map(account(), contact())
    sync.start("archive")
    connection = sync.database.connect(autocommit=False)
    with connection, connection.cursor() as cursor:
        cursor.execute("insert into salesforce.account (name) values ('Acme')")
        cursor.execute("insert into salesforce.contact (lastname) values ('Coyote')")
        cursor.execute("update salesforce.account set phone = '1'")
        cursor.execute("delete from salesforce.contact")
        cursor.execute("select txid_current()")
        [(txid,)] = cursor.fetchall()
    connection.close()
    entries = sync.logged(4, "table_name, action, txid")
    assert entries == [
        ("account", "INSERT", txid),
        ("contact", "INSERT", txid),
        ("account", "UPDATE", txid),
        ("contact", "DELETE", txid),
    ]
    lsns = sync.query("select count(distinct commit_lsn), array_agg(seq order by id)"
                      " from salesforce._trigger_log")
    [(commits, seqs)] = lsns
    assert commits == 1
    assert seqs == sorted(set(seqs))


def test_positions_are_unique_and_in_commit_order(sync):
    sync.map(account())
    sync.start("archive")
    first = sync.database.connect(autocommit=False)
    second = sync.database.connect(autocommit=False)
    # The first to begin is the last to commit.
    first.cursor().execute("insert into salesforce.account (name) values ('late'), ('late')")
    second.cursor().execute("insert into salesforce.account (name) values ('early'), ('early')")
    second.commit()
    first.commit()
    first.close()
    second.close()
    entries = sync.logged(4, "\"values\"::public.hstore operator(public.->) 'name', commit_lsn, seq")
    assert [name for name, _, _ in entries] == ["early", "early", "late", "late"]
    in_order = sync.query(
        "select array_agg(id order by id) = array_agg(id order by commit_lsn, seq),"
        " count(distinct (commit_lsn, seq)), bool_and(commit_time = created_at)"
        " from salesforce._trigger_log"
    )
    assert in_order == [(True, 4, True)]


def test_what_was_rolled_back_is_not_logged(sync):
    sync.map(account())
    sync.start("archive")
    connection = sync.database.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("insert into salesforce.account (name) values ('rolled back')")
        connection.rollback()
        cursor.execute("insert into salesforce.account (name) values ('before')")
        cursor.execute("savepoint a; insert into salesforce.account (name) values ('undone')")
        cursor.execute("savepoint b; insert into salesforce.account (name) values ('undone too')")
        cursor.execute("release savepoint b; rollback to savepoint a")
        cursor.execute("savepoint c; insert into salesforce.account (name) values ('kept')")
        cursor.execute("release savepoint c; insert into salesforce.account (name) values ('after')")
        connection.commit()
    connection.close()
    entries = sync.logged(3, "\"values\"::public.hstore operator(public.->) 'name'")
    assert entries == [("before",), ("kept",), ("after",)]
    assert len(set(sync.entries("txid"))) == 1


def test_a_table_in_the_schema_that_is_not_mapped_is_not_logged(sync):
    sync.map(account())
    sync.query("create table salesforce.notes (x integer); grant all on salesforce.notes to public",
               role="postgres")
    sync.start("archive")
    sync.query("insert into salesforce.notes values (1)")
    assert sync.log_is_quiet_after("insert into salesforce.account (name) values ('Acme')") == 0


def test_a_table_that_is_not_mapped_and_not_readable_by_pgforce_stops_nothing(sync):
    sync.map(account())
    archive = sync.start("archive")
    sync.query("create table salesforce.notes (x integer); insert into salesforce.notes values (1)",
               role="postgres")
    assert sync.log_is_quiet_after("insert into salesforce.account (name) values ('Acme')") == 0
    assert archive.is_running()


def test_a_mapped_table_that_pgforce_may_not_read_stops_the_archive_and_loses_nothing(sync):
    sync.map(account())
    sync.query("revoke select on salesforce.account from pgforce", role="postgres")
    archive = sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert archive.wait() == GAP
    assert "salesforce.account are withheld" in archive.log_text()
    assert sync.entries() == []


def test_truncate_is_not_captured_and_the_stream_goes_on(sync):
    sync.map(account())
    archive = sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.logged(1)
    sync.query("truncate salesforce.account", role="postgres")
    sync.query("insert into salesforce.account (name) values ('Acme 2')")
    assert sync.logged(2) == [("INSERT", "NEW")] * 2
    assert "ignored TRUNCATE" in archive.log_text()


def test_a_mapping_made_while_the_archive_runs_is_captured_from_its_first_row(sync):
    sync.map(account())
    sync.start("archive")
    sync.map(account(), contact())
    sync.query("insert into salesforce.contact (lastname) values ('Coyote')")
    assert sync.logged(1, "table_name") == [("contact",)]


def test_whoever_listens_to_the_log_is_woken(sync):
    sync.map(account())
    listener = sync.database.connect()
    listener.cursor().execute('listen "salesforce.hc_trigger_log"')
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")

    def notified():
        listener.poll()
        return listener.notifies

    eventually(notified)
    assert (listener.notifies[0].channel, listener.notifies[0].payload) == (
        "salesforce.hc_trigger_log",
        "ping",
    )
    listener.close()


def test_changes_made_while_the_archive_was_dead_are_logged_when_it_returns(sync):
    sync.map(account())
    sync.start("archive").kill()
    sync.query("insert into salesforce.account (name) values ('Anna'), ('Berta')")
    assert sync.entries() == []
    sync.start("archive")
    assert sync.logged(2) == [("INSERT", "NEW")] * 2
    assert sync.roles["archive"].stop() == 0


def test_pending_is_what_a_row_says_of_itself_until_it_is_sent(sync):
    sync.map(account())
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    assert sync.value("select _hc_lastop from salesforce.account") == "PENDING"


def test_a_delete_of_a_row_never_sent_is_judged_once_and_not_with_each_that_comes_later(sync):
    """Each settling of a busy archive looked at all that waited."""
    sync.map(account())
    sync.query(
        "insert into salesforce._trigger_log (state, action, table_name, record_id)"
        " values ('NEW', 'DELETE', 'account', 1000000)"
    )
    sync.start("archive")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.query("delete from salesforce.account")
    assert sync.logged(3) == [("DELETE", "NEW"), ("INSERT", "NEW"), ("DELETE", "NEW")]
