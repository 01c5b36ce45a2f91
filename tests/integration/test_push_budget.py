"""The allowance of API requests: the organisation's, and a mapping's own share."""

from eventually import eventually
from sync import account, contact


def use(sync, used, most=15000):
    answer = sync.org.post("/_sandbox/limits", {"used": used, "max": most})
    assert answer.status == 200, answer.body


def stored(sync):
    return sync.query("select api_used, api_max from pgforce.connection", role="pgforce")[0]


def insert(sync, name):
    sync.query(f"insert into salesforce.account (name) values ('{name}')")


def names(sync):
    return [record["Name"] for record in sync.org.query("select Name from Account order by Name")]


def test_what_the_organisation_says_is_stored_for_all_roles(sync):
    sync.map(account())
    use(sync, 100)
    sync.start("archive", "push")
    insert(sync, "Acme")
    sync.settled(1)
    eventually(lambda: 100 < stored(sync)[0] < 150 and stored(sync)[1] == 15000)
    assert "API requests" not in sync.roles["push"].log_text()


def test_in_the_reserve_nothing_is_sent_until_requests_are_available_again(sync):
    sync.map(account())
    use(sync, 14300)
    sync.start("archive", "push")
    insert(sync, "Acme")
    sync.settled(1)
    eventually(lambda: "band=reserve" in sync.roles["push"].log_text())
    assert "14301 of 15000; writes wait" in sync.pgforce.run("status").stdout
    insert(sync, "Bolt")
    sync.logged(2)
    sent = len(sync.requests("POST", "/composite/sobjects"))
    # Another role hears that there are requests again.
    use(sync, 10)
    sync.map(account())
    assert sync.settled(2, "state") == [("SUCCESS",)] * 2
    assert sent == 1
    assert "band=free" in sync.roles["push"].log_text()
    assert names(sync) == ["Acme", "Bolt"]


def test_a_mapping_that_has_used_its_share_waits_and_others_go_on(sync):
    accounts = account()
    accounts["config"]["sf_max_daily_api_calls"] = 1
    sync.map(accounts, contact())
    sync.start("archive", "push")
    insert(sync, "Acme")
    sync.settled(1)
    insert(sync, "Bolt")
    sync.query("insert into salesforce.contact (lastname) values ('Coyote')")
    eventually(lambda: sync.entries("state", "table_name = 'contact'") == [("SUCCESS",)])
    assert sync.entries("state", "table_name = 'account'") == [("SUCCESS",), ("NEW",)]
    assert "mapping's API requests of the day are used up" in sync.roles["push"].log_text()
    # A day later.
    sync.query("update pgforce.api_usage set hour = hour - interval '24 hours'", role="pgforce")
    sync.query("insert into salesforce.contact (lastname) values ('Runner')")
    assert set(sync.settled(4, "state")) == {("SUCCESS",)}


def test_what_was_stored_on_another_day_is_asked_again(sync):
    sync.map(account())
    sync.query("update pgforce.connection set api_used = 14999, api_max = 15000", role="pgforce")
    use(sync, 10)
    sync.start("archive", "push")
    insert(sync, "Acme")
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
