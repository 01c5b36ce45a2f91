"""From Salesforce to the tables: the first load, then every change, and nothing of it sent back."""

import datetime

import pytest
from eventually import eventually
from sync import account, contact, mapping, nameless_account


def rows(sync, columns="name, phone", table="account"):
    return sync.query(f"select {columns} from salesforce.{table} order by id")


def count(sync, condition="true"):
    return sync.value(f"select count(*) from salesforce.account where {condition}")


# The first load.


def test_five_thousand_records_are_loaded_page_by_page(sync):
    sync.org.load("Account", 5000)
    # A poll would read them again.
    sync.load(account(polling_seconds=600))
    found = sync.query(
        "select count(*), count(distinct sfid), count(distinct name), count(_hc_lastop), count(_hc_err)"
        " from salesforce.account"
    )
    assert found == [(5000, 5000, 5000, 0, 0)]
    pages = [entry for entry in sync.requests("GET", "/query") if "SystemModstamp >=" not in str(entry)]
    assert "count()" in str(pages[0])
    assert len(pages[1:]) == 3
    theirs = {record["Id"]: record for record in sync.org.query("select Id, Name, Phone from Account")}
    ours = sync.query("select sfid, name, phone from salesforce.account")
    assert {sfid: (name, phone) for sfid, name, phone in ours} == {
        sfid: (record["Name"], record["Phone"]) for sfid, record in theirs.items()
    }
    before = "insert into salesforce.account (name) values ('local')"
    assert sync.log_is_quiet_after(before) == 0


def test_a_deleted_record_is_not_loaded(sync):
    gone = sync.org.create("Account", Name="Gone")
    sync.org.create("Account", Name="Here")
    sync.org.remove("Account", gone)
    sync.load(account())
    assert rows(sync, "name, isdeleted") == [("Here", False)]


def test_every_type_arrives_as_postgresql_would_write_it(sync):
    fields = {
        "Amount__c": 1234.5,
        "Tax_Rate__c": 19,
        "Quantity__c": 3,
        "Status__c": "Sent",
        "Tags__c": "Urgent;Export",
        "Due_Date__c": "2026-02-28",
        "Paid_At__c": "2026-03-01T12:34:56.000+0000",
        "Is_Paid__c": True,
        "Pick_Up__c": "23:59:59.000Z",
        "Contact_Email__c": "a@b.example",
        "Notes__c": 'one "two" \\ three\n\ttab 漢字 🚀 \\N',
    }
    sync.org.create("Invoice__c", **fields)
    sync.org.create("Invoice__c", Is_Paid__c=False)
    sync.load(mapping("Invoice__c", *fields, "Total__c"))
    columns = ", ".join(f"{name.lower()}::text" for name in (*fields, "Total__c"))
    full, empty = sync.query(f"select {columns} from salesforce.invoice__c order by sfid")
    assert full == (
        *("1234.5", "19", "3", "Sent", "Urgent;Export", "2026-02-28", "2026-03-01 12:34:56", "true"),
        *("23:59:59", "a@b.example", fields["Notes__c"], "1469.06"),
    )
    assert empty[:3] == (None, None, None)
    assert empty[7] == "false"


# A field of each type of Heroku Connect's table that is not among an Invoice's: its definition, its column, a value
# as Salesforce has it, and as PostgreSQL writes it.
TYPES = [
    ({"type": "string", "length": 12, "displayFormat": "K-{0000}"}, "character varying(12)", None, "K-0001"),
    ({"type": "string", "length": 1300, "calculatedFormula": "Name & '!'"}, "character varying(1300)", None, "One!"),
    ({"type": "boolean", "calculatedFormula": "Name = 'One'"}, "boolean", None, "true"),
    ({"type": "date", "calculatedFormula": "DATE(2026, 2, 28)"}, "date", None, "2026-02-28"),
    ({"type": "double", "scale": 3, "calculatedFormula": "1 / 8"}, "double precision", None, "0.125"),
    ({"type": "reference", "referenceTo": ["Account"]}, "character varying(18)", "account", "account"),
    ({"type": "currency", "precision": 18, "scale": 2}, "double precision", 1234567890.12, "1234567890.12"),
    ({"type": "percent", "precision": 5, "scale": 2}, "double precision", 100, "100"),
    ({"type": "double", "precision": 18, "scale": 6}, "double precision", -0.000125, "-0.000125"),
    ({"type": "int", "digits": 9}, "integer", -123456789, "-123456789"),
    ({"type": "phone"}, "character varying(40)", "(650) 555-0100", "(650) 555-0100"),
    ({"type": "url"}, "character varying(255)", "https://a.example/?b=c&d", "https://a.example/?b=c&d"),
    ({"type": "textarea", "length": 255}, "character varying(255)", 'a,"b"\nc', 'a,"b"\nc'),
    ({"type": "textarea", "length": 32768}, "text", "x" * 3000, "x" * 3000),
    ({"type": "textarea", "length": 32768, "htmlFormatted": True}, "text", "<b>x</b>", "<b>x</b>"),
    ({"type": "multipicklist", "picklistValues": ["a 1", "b 2"]}, "character varying(4099)", "a 1;b 2", "a 1;b 2"),
    ({"type": "datetime"}, "timestamp without time zone", "2026-03-29T01:30:00.000+0000", "2026-03-29 01:30:00"),
]


@pytest.mark.parametrize("bulk_above", ["0", "1000"], ids=["by Bulk", "by REST"])
def test_a_field_of_each_type_has_the_column_and_the_text_it_has_on_heroku_connect(sync, bulk_above):
    sync.pgforce.env["PGFORCE_BULK_READ_ABOVE"] = bulk_above
    names = [f"F{number}__c" for number in range(len(TYPES))]
    fields = [{"name": name, **definition} for name, (definition, *_) in zip(names, TYPES)]
    sync.org.define({"name": "Kind__c", "label": "Kind", "fields": fields})
    parent = sync.org.create("Account", Name="Parent")
    given = {name: parent if value == "account" else value for name, (_, _, value, _) in zip(names, TYPES)}
    sync.org.create("Kind__c", Name="One", **{name: value for name, value in given.items() if value is not None})
    sync.load(mapping("Kind__c", "Name", *names))
    types = sync.query(
        """select format_type(atttypid, atttypmod) from pg_attribute
           where attrelid = 'salesforce.kind__c'::regclass and attname ~ '^f[0-9]+__c$'
           order by substr(attname, 2, length(attname) - 4)::integer"""
    )
    assert [name for (name,) in types] == [column for (_, column, _, _) in TYPES]
    [found] = sync.query(f"select {', '.join(f'{name}::text' for name in names)} from salesforce.kind__c")
    wanted = tuple(parent if text == "account" else text for (_, _, _, text) in TYPES)
    assert found == wanted
    # A poll by the same way brings nothing new: what it reads is equal to the text that is there.
    before = sync.query("select xmin::text from salesforce.kind__c")
    sync.wait_for_polls(2)
    assert sync.query("select xmin::text from salesforce.kind__c") == before


@pytest.mark.parametrize(
    ("options", "column"), [({}, "1e+16"), ({"numeric": True}, "9999999999999999.99")], ids=["double", "numeric"]
)
def test_a_number_of_eighteen_digits_is_kept_where_the_mapping_says_so(sync, options, column):
    sync.load(account(**options))
    record = """{"totalSize": 1, "done": true, "records": [{"attributes": {"type": "Account"},
        "Id": "001000000000001AAA", "Name": "Rich", "AnnualRevenue": 9999999999999999.99, "IsDeleted": false,
        "Phone": null, "Industry": null, "External_Id__c": null, "SystemModstamp": "2026-01-01T00:00:00.000+0000"}]}"""
    told = {"status": 200, "body": record, "content_type": "application/json"}
    sync.org.fault({"match": {"path": "/queryAll"}, "times": 1_000_000, **told})
    eventually(lambda: rows(sync, "name, annualrevenue::text") == [("Rich", column)])


def test_a_killed_load_goes_on_where_it_was(sync):
    sync.org.load("Account", 5000)
    sync.map(account())
    # The second page is on its way for a long time.
    sync.org.fault({"match": {"method": "GET", "path": "/query/"}, "delay_ms": 60000})
    pull = sync.start("pull")
    eventually(lambda: count(sync) == 2000)
    assert sync.mapping_states() == {"RELOAD_TABLE"}
    pull.kill()
    sync.org.journal(clear=True)
    before = rows(sync, "sfid, xmin::text")
    sync.start("pull")
    sync.wait_until_loaded()
    assert count(sync) == 5000
    assert sync.value("select count(distinct sfid) from salesforce.account") == 5000
    assert rows(sync, "sfid, xmin::text")[:2000] == before
    [first] = [entry for entry in sync.requests("GET", "/query") if "order by Id" in str(entry)]
    assert f"Id > '{max(sfid for sfid, _ in before)}'" in first["query"]["q"]


def test_a_load_whose_cursor_is_lost_begins_a_new_one_after_what_it_has(sync):
    sync.org.load("Account", 5000)
    sync.map(account())
    sync.org.fault({"match": {"method": "GET", "path": "/query/"}, "delay_ms": 1500})
    sync.start("pull")
    eventually(lambda: count(sync) == 2000)
    sync.org.post("/_sandbox/queries/expire")
    sync.wait_until_loaded()
    assert count(sync) == 5000


def test_what_changes_while_the_load_runs_is_not_missed(sync):
    sync.org.load("Account", 3000)
    first = sync.org.query("select Id from Account order by Id limit 1")[0]["Id"]
    sync.map(account())
    sync.org.fault({"match": {"method": "GET", "path": "/query/"}, "delay_ms": 1500})
    sync.start("archive", "pull")
    eventually(lambda: count(sync) == 2000)
    # The load has passed it.
    sync.org.update("Account", first, Phone="changed")
    eventually(lambda: count(sync, "phone = 'changed'") == 1)
    assert count(sync) == 3000


def test_a_mapping_made_while_pull_runs_is_loaded_at_once(sync):
    sync.load(account(polling_seconds=600))
    sync.org.create("Contact", LastName="Coyote")
    sync.map(account(polling_seconds=600), contact())
    eventually(lambda: rows(sync, "lastname", "contact") == [("Coyote",)], deadline_s=15)


# Changes.


def test_a_change_a_new_record_and_a_deletion_arrive(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1")
    bolt = sync.org.create("Account", Name="Bolt")
    sync.load(account())
    [(acme_id, _), (bolt_id, _)] = rows(sync, "id, sfid")
    sync.org.update("Account", acme, Phone="2")
    sync.org.create("Account", Name="Cog")
    sync.org.remove("Account", bolt)
    eventually(lambda: [name for name, _ in rows(sync)] == ["Acme", "Cog"])
    eventually(lambda: rows(sync)[0] == ("Acme", "2"))
    found = rows(sync, "id, name, _hc_lastop, _hc_err, isdeleted")
    assert found[0] == (acme_id, "Acme", "SYNCED", None, False)
    assert found[1][1:] == ("Cog", "SYNCED", None, False)
    stamps = dict(sync.query("select sfid, systemmodstamp from salesforce.account"))
    theirs = sync.org.retrieve("Account", acme)["SystemModstamp"]
    assert stamps[acme] == datetime.datetime.strptime(theirs, "%Y-%m-%dT%H:%M:%S.000+0000")
    assert sync.log_is_quiet_after("insert into salesforce.account (name) values ('local')") == 0


def test_a_value_that_becomes_null_there_becomes_null_here(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1", AnnualRevenue=5)
    sync.load(account())
    sync.org.update("Account", acme, Phone=None, AnnualRevenue=None)
    eventually(lambda: rows(sync, "phone, annualrevenue") == [(None, None)])


def test_a_record_undeleted_there_is_here_again(sync):
    acme = sync.org.create("Account", Name="Acme")
    sync.load(account())
    sync.org.remove("Account", acme)
    eventually(lambda: count(sync) == 0)
    sync.org.undelete(acme)
    eventually(lambda: rows(sync, "name, sfid, isdeleted") == [("Acme", acme, False)])


def test_a_record_that_came_and_went_between_two_polls_leaves_no_row(sync):
    sync.load(account())
    sync.org.remove("Account", sync.org.create("Account", Name="Brief"))
    sync.org.create("Account", Name="Lasting")
    eventually(lambda: rows(sync, "name") == [("Lasting",)])


def test_thousands_of_changes_at_once_arrive(sync):
    sync.load(account())
    sync.org.load("Account", 3000)
    eventually(lambda: count(sync) == 3000)
    assert count(sync, "_hc_lastop = 'SYNCED'") == 3000


def test_more_records_of_one_stamp_than_a_page_has_arrive_though_the_cursor_is_lost(sync):
    sync.load(account())
    sync.roles["pull"].stop()
    stamp = sync.org.retrieve("Account", sync.org.create("Account", Name="Now"))["SystemModstamp"]
    sync.org.insert("Account", *[{"Name": f"Same {n}", "SystemModstamp": stamp} for n in range(2500)])
    # The second page is not answered, and its cursor is gone: the poll begins anew, from the same mark.
    lost = [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]
    sync.org.fault({"match": {"method": "GET", "path": "/query/"}, "status": 400, "body": lost})
    sync.start("pull")
    eventually(lambda: "invalid query locator" in sync.roles["pull"].log_text())
    eventually(lambda: count(sync) == 2501)
    assert sync.value("select count(distinct sfid) from salesforce.account") == 2501


def test_rows_that_are_equal_are_not_written_again(sync):
    sync.org.load("Account", 50)
    sync.load(account())
    before = rows(sync, "id, xmin::text, ctid::text")
    # The overlap makes every poll read them all again.
    sync.wait_for_polls(3)
    sync.org.create("Account", Name="New")
    eventually(lambda: count(sync) == 51)
    assert rows(sync, "id, xmin::text, ctid::text")[:50] == before


def test_a_parents_external_id_is_read_with_the_child(sync):
    acme = sync.org.create("Account", Name="Acme", External_Id__c="A-1")
    sync.org.create("Contact", LastName="Coyote", AccountId=acme)
    sync.org.create("Contact", LastName="Runner")
    sync.load(contact())
    assert sorted(rows(sync, "lastname, account__external_id__c", "contact")) == [
        ("Coyote", "A-1"),
        ("Runner", None),
    ]


def test_a_read_only_mapping_is_loaded_and_polled_like_any_other(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1")
    sync.load(account(access="read_only"))
    sync.query("update salesforce.account set phone = 'local'")
    assert sync.settled(1) == [("UPDATE", "READONLY")]
    sync.org.update("Account", acme, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    assert sync.org.retrieve("Account", acme)["Phone"] == "2"


def test_the_watermark_never_goes_back(sync):
    sync.org.create("Account", Name="Acme")
    sync.load(account())
    first = sync.mark()
    sync.org.advance(600)
    eventually(lambda: sync.mark() > first)
    second = sync.mark()
    # Their clock is set back.
    sync.org.advance(-3600)
    sync.wait_for_polls(2)
    assert sync.mark() >= second


def test_the_watermark_is_salesforces_time_not_ours(sync):
    sync.org.advance(-7 * 86400)
    sync.load(account())
    sync.wait_for_polls(1)
    now = sync.value("select now()")
    assert datetime.timedelta(days=7) < now - sync.mark() < datetime.timedelta(days=7, minutes=15)
    sync.org.create("Account", Name="A week ago")
    eventually(lambda: count(sync) == 1)


def test_a_record_that_is_seen_minutes_after_its_stamp_is_not_missed(sync):
    sync.load(account())
    sync.org.create("Account", Name="Early")
    eventually(lambda: count(sync) == 1)
    sync.wait_for_polls(2)
    # Its save took four minutes: the stamp is from their beginning.
    sync.org.post("/_sandbox/rules", {"commit_lag_s": 240})
    sync.org.create("Account", Name="Late")
    eventually(lambda: count(sync, "name = 'Late'") == 1)


# Both sides at once.


def test_a_local_change_that_waits_and_an_inbound_one_are_merged_field_by_field(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1", Industry="Energy")
    sync.load(account())
    sync.roles["push"].stop()
    sync.query("update salesforce.account set phone = 'ours'")
    sync.logged(1)
    sync.org.update("Account", acme, Industry="Banking")
    eventually(lambda: rows(sync, "name, phone, industry") == [("Acme", "ours", "Banking")])
    sync.start("push")
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]
    found = sync.org.retrieve("Account", acme)
    assert (found["Phone"], found["Industry"]) == ("ours", "Banking")
    sync.wait_for_polls(2)
    assert rows(sync, "name, phone, industry") == [("Acme", "ours", "Banking")]


# Where a role's transactions see nothing of what comes after they began, ours must.
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_a_local_change_that_the_log_does_not_have_yet_is_not_overwritten(sync, isolation):
    sync.database.psql(
        f'alter role pgforce in database "{sync.database.name}"'
        f" set default_transaction_isolation = '{isolation}'",
        role="postgres",
    )
    acme = sync.org.create("Account", Name="Acme", Phone="1", Industry="Energy")
    sync.load(account())
    sync.roles["push"].stop()
    sync.roles["archive"].stop()
    sync.query("update salesforce.account set phone = 'ours'")
    sync.org.update("Account", acme, Industry="Banking")
    # It has written the row, or locked it, and waits to hear what the log has of it.
    waiting = """select exists (select from pg_stat_activity
        where application_name = 'pgforce pull' and backend_xid is not null and state = 'idle in transaction')"""
    eventually(lambda: sync.query(waiting, role="postgres") == [(True,)])
    sync.start("archive")
    eventually(lambda: rows(sync, "name, phone, industry") == [("Acme", "ours", "Banking")])
    sync.start("push")
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]
    found = sync.org.retrieve("Account", acme)
    assert (found["Phone"], found["Industry"]) == ("ours", "Banking")


def test_a_row_deleted_here_does_not_come_back_before_its_delete_is_sent(sync):
    acme = sync.org.create("Account", Name="Acme")
    sync.load(account())
    sync.roles["push"].stop()
    sync.query("delete from salesforce.account")
    sync.logged(1)
    sync.org.update("Account", acme, Phone="2")
    sync.wait_for_polls(2)
    assert count(sync) == 0
    sync.start("push")
    assert sync.settled(1) == [("DELETE", "SUCCESS")]
    assert sync.org.query("select Id from Account") == []


def test_a_row_deleted_here_and_there_is_gone_on_both_sides(sync):
    acme = sync.org.create("Account", Name="Acme")
    sync.load(account())
    sync.roles["push"].stop()
    sync.query("delete from salesforce.account")
    sync.logged(1)
    sync.org.remove("Account", acme)
    sync.wait_for_polls(1)
    sync.start("push")
    assert sync.settled(1) == [("DELETE", "SUCCESS")]
    assert count(sync) == 0


def insert_while_polling(sync, mapped):
    """A hundred rows while every second poll may read a record before its sfid is in the row."""
    sync.load(mapped)
    for number in range(100):
        sync.query(f"insert into salesforce.account (name) values ('Account {number}')")
    sync.settled(100)
    sync.wait_for_polls(2)
    found = sync.query("select count(*), count(distinct name), count(distinct sfid) from salesforce.account")
    assert found == [(100, 100, 100)]
    assert len(sync.org.query("select Id from Account")) == 100


def test_our_own_new_records_do_not_come_back_as_second_rows(sync):
    insert_while_polling(sync, account())


def test_our_own_new_records_without_unique_identifier_do_not_come_back_either(sync):
    insert_while_polling(sync, nameless_account())


def test_a_new_record_read_while_its_own_insert_is_unanswered_is_not_a_second_row(sync):
    sync.load(account())
    # Done there at once, answered here late.
    sync.org.fault({"match": {"method": "POST", "path": "/composite/sobjects"}, "delay_ms": 3000})
    sync.query("insert into salesforce.account (name, external_id__c) values ('Acme', 'A-1')")
    eventually(lambda: sync.org.rows("Account"))
    sync.wait_for_polls(1)
    assert count(sync) == 1
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    sync.wait_for_polls(2)
    [record] = sync.org.query("select Id from Account")
    assert rows(sync, "name, sfid") == [("Acme", record["Id"])]


def test_a_row_that_an_application_holds_locked_is_written_when_it_is_free(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1")
    bolt = sync.org.create("Account", Name="Bolt", Phone="1")
    sync.load(account())
    holder = sync.database.connect(autocommit=False)
    holder.cursor().execute("select from salesforce.account where name = 'Acme' for update")
    sync.org.update("Account", acme, Phone="2")
    sync.org.update("Account", bolt, Phone="2")
    # The other one does not wait for it.
    eventually(lambda: count(sync, "name = 'Bolt' and phone = '2'") == 1)
    assert count(sync, "name = 'Acme' and phone = '1'") == 1
    holder.rollback()
    holder.close()
    eventually(lambda: count(sync, "phone = '2'") == 2)


def test_the_watermark_goes_on_up_to_the_oldest_record_that_waits(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1")
    sync.load(account())
    sync.org.advance(3600)
    holder = sync.database.connect(autocommit=False)
    holder.cursor().execute("select from salesforce.account for update")
    sync.org.update("Account", acme, Phone="2")
    [record] = sync.org.query("select SystemModstamp from Account")
    stamp = datetime.datetime.fromisoformat(record["SystemModstamp"][:19]).replace(tzinfo=datetime.timezone.utc)
    sync.org.advance(3600)
    eventually(lambda: sync.mark() == stamp)
    sync.wait_for_polls(2)
    assert sync.mark() == stamp
    holder.rollback()
    holder.close()
    eventually(lambda: rows(sync) == [("Acme", "2")])
    eventually(lambda: sync.mark() > stamp)


# The organisation misbehaves.


def test_a_poll_that_is_answered_in_html_or_not_at_all_is_repeated(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1")
    sync.load(account())
    for fault in (
        {"status": 200, "body": "<html>maintenance</html>"},
        {"status": 503, "body": "<html>unavailable</html>"},
        {"drop": "after"},
    ):
        sync.org.fault({"match": {"method": "GET", "path": "/query"}, **fault})
    sync.org.update("Account", acme, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    assert sync.roles["pull"].is_running()


def test_an_expired_session_is_renewed_and_the_poll_goes_on(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1")
    sync.load(account())
    sync.org.expire_sessions()
    sync.org.update("Account", acme, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    assert sync.mapping_states() == {"DATA_SYNCED"}


def test_one_object_that_cannot_be_read_does_not_stop_the_others(sync):
    sync.load(account(), contact())
    sync.org.fault(
        {
            "match": {"method": "GET", "path": "/query"},
            "status": 500,
            "body": [{"errorCode": "UNKNOWN_EXCEPTION", "message": "An unexpected error occurred"}],
        }
    )
    sync.org.create("Account", Name="Acme")
    sync.org.create("Contact", LastName="Coyote")
    eventually(lambda: rows(sync, "lastname", "contact") == [("Coyote",)])
    eventually(lambda: rows(sync, "name") == [("Acme",)])


def test_no_statement_is_compiled_whatever_the_server_would_do(sync, server_setting):
    server_setting("jit", "on")
    sync.map(account())
    sync.note_each("insert", "current_setting('jit')")
    sync.org.create("Account", Name="Acme")
    sync.start("archive", "pull")
    eventually(lambda: sync.query("select value from public.seen") == [("off",)])
