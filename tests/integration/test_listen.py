"""Hearing of changes as they are made: by Change Data Capture, with the polls as the safety net.

The polls of these mappings are ten minutes apart: what arrives sooner has been heard."""

import pytest

from eventually import eventually
from sync import account, mapping


def heard(**options):
    """Accounts that are listened to."""
    found = account(**{"polling_seconds": 600, **options})
    found["config"]["sf_notify_enabled"] = True
    return found


def listening(sync, column="problem is null and subscribed_at is not null"):
    return sync.value(f"select {column} from pgforce.listening", role="pgforce")


def load(sync, *mappings, roles=("archive", "push", "pull", "listen")):
    """Loads, and waits until the organisation is listened to and what that began with is read."""
    sync.map(*(mappings or [heard()]))
    sync.start(*roles)
    sync.wait_until_loaded()
    eventually(lambda: listening(sync))
    eventually(lambda: waiting(sync) == 0)


def waiting(sync):
    return sync.value("select count(*) from pgforce.heard", role="pgforce")


def rows(sync, columns="name, phone"):
    return sync.query(f"select {columns} from salesforce.account order by id")


def queries(sync):
    return [str(entry) for entry in sync.requests("GET", "/query")]


def door(sync, action, **body):
    sync.org.post(f"/_sandbox/events/{action}", body)


@pytest.fixture
def heard_account(sync):
    """An account of the organisation, loaded and listened to."""
    acme = sync.org.create("Account", Name="Acme", Phone="1")
    load(sync)
    return acme


def test_a_change_a_new_record_and_a_deletion_are_heard_of(sync, heard_account):
    bolt = sync.org.create("Account", Name="Bolt")
    eventually(lambda: rows(sync, "name, _hc_lastop") == [("Acme", None), ("Bolt", "SYNCED")])
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync)[0] == ("Acme", "2"))
    sync.org.remove("Account", bolt)
    eventually(lambda: rows(sync, "name") == [("Acme",)])
    sync.org.undelete(bolt)
    eventually(lambda: rows(sync, "name") == [("Acme",), ("Bolt",)])
    assert waiting(sync) == 0


def test_what_is_heard_is_read_by_its_id_with_all_that_events_lack(sync, heard_account):
    sync.org.journal(clear=True)
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync)[0] == ("Acme", "2"))
    [query] = queries(sync)
    assert f"Id in ('{heard_account}')" in query
    theirs = sync.org.retrieve("Account", heard_account)["SystemModstamp"]
    [(stamp,)] = rows(sync, "to_char(systemmodstamp, 'YYYY-MM-DD\"T\"HH24:MI:SS\".000+0000\"')")
    assert stamp == theirs


def test_an_object_that_is_not_to_be_listened_to_is_not(sync):
    load(sync, heard(), mapping("Contact", "LastName", polling_seconds=600))
    assert sync.query("select count(*) from pgforce.listening", role="pgforce") == [(1,)]
    sync.org.create("Contact", LastName="Coyote")
    sync.org.create("Account", Name="Later")
    eventually(lambda: rows(sync, "name") == [("Later",)])
    assert sync.query("select count(*) from salesforce.contact") == [(0,)]


def test_a_custom_object_is_listened_to(sync):
    invoice = mapping("Invoice__c", "Amount__c", "Total__c", polling_seconds=600)
    invoice["config"]["sf_notify_enabled"] = True
    load(sync, invoice)
    sync.org.create("Invoice__c", Amount__c=100, Tax_Rate__c=19)
    eventually(lambda: sync.query("select amount__c, total__c from salesforce.invoice__c") == [(100, 119)])


def test_events_of_our_own_writes_ask_nothing(sync):
    load(sync)
    sync.query("insert into salesforce.account (name, external_id__c) values ('Ours', 'A-1')")
    sync.settled(1)
    sync.org.journal(clear=True)
    sync.query("update salesforce.account set phone = '7'")
    sync.settled(2)
    theirs = sync.org.create("Account", Name="Theirs")
    eventually(lambda: rows(sync, "name") == [("Ours",), ("Theirs",)])
    # push looks at a record, by a plain query, before it writes it.
    [query] = [str(entry) for entry in sync.requests("GET", "/queryAll")]
    assert f"Id in ('{theirs}')" in query


def test_what_happened_while_nobody_listened_is_heard_of_later(sync, heard_account):
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    sync.roles["listen"].kill()
    sync.org.update("Account", heard_account, Phone="3")
    sync.org.create("Account", Name="Bolt")
    sync.org.journal(clear=True)
    sync.start("listen")
    eventually(lambda: rows(sync) == [("Acme", "3"), ("Bolt", None)])
    assert not any("SystemModstamp >=" in query for query in queries(sync))


def test_events_heard_while_the_pull_role_was_dead_are_kept_for_it(sync, heard_account):
    sync.roles["pull"].kill()
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: waiting(sync) == 1)
    sync.roles["listen"].kill()
    sync.start("pull")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    eventually(lambda: waiting(sync) == 0)


def test_events_told_twice_change_nothing_the_second_time(sync, heard_account):
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    before = rows(sync, "xmin::text, ctid::text")
    door(sync, "repeat", count=1)
    sync.org.create("Account", Name="Bolt")
    eventually(lambda: len(rows(sync)) == 2)
    assert rows(sync, "xmin::text, ctid::text")[0] == before[0]


def test_a_gap_is_filled_by_reading_the_record(sync, heard_account):
    door(sync, "gap", object="Account", next=1)
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])


def test_a_gap_without_ids_and_an_overflow_are_answered_by_a_poll(sync, heard_account):
    for tell in (
        lambda: door(sync, "overflow", object="Account"),
        lambda: door(sync, "gap", object="Account", changeType="GAP_UPDATE", recordIds=["001*"]),
    ):
        sync.org.journal(clear=True)
        tell()
        eventually(lambda: any("SystemModstamp >=" in query for query in queries(sync)))
        eventually(lambda: waiting(sync) == 0)


def test_events_no_longer_kept_are_replaced_by_a_poll(sync, heard_account):
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    sync.roles["listen"].kill()
    sync.org.update("Account", heard_account, Phone="3")
    door(sync, "expire")
    sync.start("listen")
    eventually(lambda: rows(sync) == [("Acme", "3")])
    # And from then on it hears.
    sync.org.update("Account", heard_account, Phone="4")
    eventually(lambda: rows(sync) == [("Acme", "4")])


def test_a_client_that_was_forgotten_introduces_itself_again_and_misses_nothing(sync, heard_account):
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    door(sync, "forget")
    sync.org.update("Account", heard_account, Phone="3")
    eventually(lambda: rows(sync) == [("Acme", "3")])


def test_an_expired_session_is_renewed(sync, heard_account):
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    sync.org.expire_sessions()
    sync.org.update("Account", heard_account, Phone="3")
    eventually(lambda: rows(sync) == [("Acme", "3")])


def test_an_answer_that_was_lost_is_asked_for_again(sync, heard_account):
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])
    for fault in ({"drop": "after"}, {"drop": "before"}, {"status": 503, "body": "busy"}):
        sync.org.fault({"match": {"method": "POST", "path": "/cometd"}, **fault})
        # The connect that is held was sent before the fault; its answer makes room for one that meets it.
        phone = str(fault)
        sync.org.update("Account", heard_account, Phone=phone[:30])
        sync.org.create("Account", Name=phone[:30])
        eventually(lambda: rows(sync)[0] == ("Acme", phone[:30]))
        eventually(lambda: rows(sync)[-1][0] == phone[:30])
        sync.org.update("Account", heard_account, Phone="again")
        eventually(lambda: rows(sync)[0] == ("Acme", "again"))


def test_an_object_that_is_not_captured_is_polled_and_the_reason_is_told(sync):
    reply = {"channel": "/meta/subscribe", "subscription": "/data/AccountChangeEvent", "successful": False}
    reply["error"] = "400::The channel you requested to subscribe to does not exist {x}"
    # The handshake goes before.
    sync.org.fault({"match": {"path": "/cometd"}, "skip": 1, "status": 200, "body": [reply]})
    acme = sync.org.create("Account", Name="Acme")
    sync.map(heard(polling_seconds=1), mapping("Contact", "LastName", polling_seconds=600))
    sync.start("archive", "pull")
    listen = sync.start("listen")
    sync.wait_until_loaded()
    eventually(lambda: "does not exist" in (listening(sync, "problem") or ""))
    assert "cannot listen" in listen.log_text()
    sync.org.update("Account", acme, Phone="2")
    eventually(lambda: rows(sync) == [("Acme", "2")])


def test_listening_is_switched_on_and_off_while_all_roles_run(sync):
    sync.map(account(polling_seconds=600))
    sync.start("archive", "pull", "listen")
    sync.wait_until_loaded()
    sync.map(heard())
    eventually(lambda: listening(sync))
    sync.org.create("Account", Name="Acme")
    eventually(lambda: rows(sync, "name") == [("Acme",)])
    sync.map(account(polling_seconds=600))
    eventually(lambda: sync.org.get("/_sandbox/events").json["clients"] == [])


def test_many_changes_at_once_are_read_by_one_poll(sync, heard_account):
    sync.roles["pull"].kill()
    ids = [sync.org.create("Account", Name=f"N{n}") for n in range(3)]
    eventually(lambda: waiting(sync) == 3)
    sync.query(
        "insert into pgforce.heard (mapping_id, sfids)"
        " select mapping_id, array_agg('001' || to_char(n, 'FM000000000000') || 'AAA')"
        " from pgforce.heard, generate_series(1, 1500) n group by mapping_id",
        role="pgforce",
    )
    sync.start("pull")
    eventually(lambda: {name for name, _ in rows(sync)} == {"Acme", "N0", "N1", "N2"})
    eventually(lambda: waiting(sync) == 0)
    assert len(ids) == 3


def test_a_poll_is_done_with_what_was_heard_though_a_record_waits(sync, heard_account):
    holder = sync.database.connect(autocommit=False)
    holder.cursor().execute("select from salesforce.account for update")
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: "held=1" in sync.roles["pull"].log_text())
    sync.query("insert into pgforce.heard (mapping_id) select id from pgforce.mapping", role="pgforce")
    eventually(lambda: waiting(sync) == 0)
    assert rows(sync) == [("Acme", "1")]
    holder.rollback()
    holder.close()
    eventually(lambda: rows(sync) == [("Acme", "2")])


def test_a_record_that_is_gone_without_a_trace_is_asked_of_a_poll(sync, heard_account):
    sync.roles["pull"].kill()
    sync.org.remove("Account", heard_account)
    eventually(lambda: waiting(sync) == 1)
    sync.org.purge(heard_account)
    sync.org.journal(clear=True)
    sync.start("pull")
    eventually(lambda: waiting(sync) == 0)
    assert any("SystemModstamp >=" in query for query in queries(sync))


def test_a_row_with_changes_of_its_own_is_merged_with_what_is_heard(sync, heard_account):
    sync.roles["push"].kill()
    sync.query("update salesforce.account set industry = 'Banking'")
    sync.logged(1)
    sync.org.update("Account", heard_account, Phone="2")
    eventually(lambda: rows(sync, "phone, industry") == [("2", "Banking")])


def test_what_was_heard_while_an_answer_to_our_own_change_came_is_not_left_to_the_next_poll(sync, heard_account):
    """What was read then may be older than our own change: it is dropped, and read again soon."""
    sync.org.fault({"match": {"path": "/queryAll"}, "delay_ms": 5000})
    sync.org.update("Account", heard_account, Phone="2")
    # Taken: what the organisation has is in the answer, which waits.
    eventually(lambda: sync.org.faults() == [])
    sync.query("update salesforce.account set industry = 'Banking'")
    sync.settled(1)
    assert rows(sync, "phone, industry") == [("1", "Banking")]
    eventually(lambda: rows(sync, "phone, industry") == [("2", "Banking")])
    eventually(lambda: waiting(sync) == 0)


def test_another_api_version_is_spoken_after_a_start(sync, heard_account):
    sync.pgforce.run("pause")
    sync.pgforce.run("api-version", "61.0", "--change")
    assert sync.roles["listen"].wait() == 75
    sync.org.journal(clear=True)
    sync.start("listen")
    eventually(lambda: [r for r in sync.org.journal() if "/cometd/" in r["path"]])
    assert all("/cometd/61.0" in r["path"] for r in sync.org.journal() if "/cometd/" in r["path"])
