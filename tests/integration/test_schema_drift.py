"""The organisation's own definition changes under a mapping: the other fields go on."""

import json

import pytest

from eventually import eventually
from sync import mapping


def make_field(sync, name, **metadata):
    body = {"FullName": f"Account.{name}", "Metadata": {"label": name, **metadata}}
    answer = sync.org.post("tooling/sobjects/CustomField", body)
    assert answer.status == 201, answer.body
    return answer.json["id"]


def drop_field(sync, field_id):
    assert sync.org.delete(f"tooling/sobjects/CustomField/{field_id}").status == 204


def change_field(sync, field_id, **metadata):
    answer = sync.org.patch(f"tooling/sobjects/CustomField/{field_id}", {"Metadata": metadata})
    assert answer.status == 204, answer.body


def show(sync):
    return json.loads(sync.pgforce.run("mapping", "show", "Account", "--json").stdout)


def rows(sync, columns="name, rank__c"):
    return sync.query(f"select {columns} from salesforce.account order by sfid")


@pytest.fixture
def rank(sync):
    """A custom field, mapped and loaded; its id."""
    field_id = make_field(sync, "Rank__c", type="Text", length=10)
    sync.org.create("Account", Name="Acme", Rank__c="first")
    sync.load(mapping("Account", "Name", "Phone", "Rank__c", "External_Id__c", upsert="External_Id__c"))
    return field_id


def test_a_field_that_is_gone_is_named_and_the_others_go_on(sync, rank):
    drop_field(sync, rank)
    sync.org.create("Account", Name="Bolt")
    eventually(lambda: rows(sync) == [("Acme", "first"), ("Bolt", None)])
    eventually(lambda: "Rank__c" in (show(sync)["state_description"] or ""))
    found = show(sync)
    assert found["state"] == "DATA_SYNCED"
    assert found["organisation"]["missing"] == ["Rank__c"]
    assert "gone there   Rank__c" in sync.pgforce.run("mapping", "show", "Account").stdout
    assert "a field is gone" in sync.roles["pull"].log_text()


def test_writes_leave_out_a_field_that_is_gone(sync, rank):
    drop_field(sync, rank)
    eventually(lambda: show(sync)["organisation"]["missing"] == ["Rank__c"])
    sync.query("update salesforce.account set phone = '7', rank__c = 'second'")
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]
    assert sync.org.query("select Phone from Account")[0]["Phone"] == "7"


def test_a_field_that_is_back_is_filled_again(sync, rank):
    drop_field(sync, rank)
    eventually(lambda: show(sync)["organisation"]["missing"] == ["Rank__c"])
    make_field(sync, "Rank__c", type="Text", length=10)
    [(sfid,)] = rows(sync, "sfid")
    sync.org.update("Account", sfid, Rank__c="third")
    # The look is hourly; a role that starts looks at once.
    sync.roles["pull"].stop()
    sync.start("pull")
    eventually(lambda: rows(sync) == [("Acme", "third")])
    eventually(lambda: show(sync)["state"] == "DATA_SYNCED" and show(sync)["state_description"] is None)


def test_a_field_of_another_type_is_named_and_a_new_one_is_offered(sync, rank):
    change_field(sync, rank, type="Text", label="R", length=200)
    make_field(sync, "Later__c", type="Checkbox")
    sync.roles["pull"].stop()
    sync.start("pull")
    eventually(lambda: show(sync)["organisation"]["changed"] == ["Rank__c"])
    shown = sync.pgforce.run("mapping", "show", "Account").stdout
    assert "to refresh   Rank__c" in shown
    assert "Later__c" in next(line for line in shown.splitlines() if line.startswith("also there"))
    sync.pgforce.run("mapping", "refresh", "Account")
    assert length(sync) == 200


def test_a_text_whose_field_has_become_a_number_is_named(sync):
    make_field(sync, "Rank__c", type="Number", precision=5, scale=0)
    sync.org.create("Account", Name="Acme", Rank__c=7)
    sync.load(mapping("Account", "Name", "Rank__c"))
    sync.roles["pull"].stop()
    # As if it had been mapped when it was a text.
    sync.query(
        "alter table salesforce.account alter rank__c type varchar(10);"
        "update pgforce.mapping_field set field_type = 'string', column_type = 'varchar(10)'"
        " where column_name = 'rank__c'",
        role="pgforce",
    )
    sync.start("pull")
    eventually(lambda: show(sync)["organisation"]["changed"] == ["Rank__c"])
    assert "to refresh   Rank__c" in sync.pgforce.run("mapping", "show", "Account").stdout


def test_a_field_of_another_type_is_made_anew_and_filled_alone_by_a_refresh(sync):
    make_field(sync, "Rank__c", type="Number", precision=5, scale=0)
    acme = sync.org.create("Account", Name="Acme", Rank__c=7)
    sync.load(mapping("Account", "Name", "Rank__c"))
    sync.roles["pull"].stop()
    # As if it had been mapped when it was a text; and a column of the user's own.
    sync.database.psql(
        "alter table salesforce.account alter rank__c type varchar(10), add column mood text default 'fine';"
        "update pgforce.mapping_field set field_type = 'string', column_type = 'varchar(10)'"
        " where column_name = 'rank__c'",
        role="pgforce",
    )
    [(row_id,)] = rows(sync, "id")
    sync.start("pull")
    eventually(lambda: show(sync)["organisation"]["changed"] == ["Rank__c"])
    sync.pgforce.run("mapping", "refresh", "Account")
    made_anew = [(row_id, "Acme", "double precision", 7.0, "fine")]
    eventually(lambda: rows(sync, "id, name, pg_typeof(rank__c)::text, rank__c, mood") == made_anew)
    eventually(lambda: show(sync)["state"] == "DATA_SYNCED" and show(sync)["organisation"]["changed"] == [])
    # What comes afterwards is sent as the new type.
    sync.query("update salesforce.account set rank__c = 8")
    assert sync.settled(1) == [("UPDATE", "SUCCESS")]
    assert sync.org.retrieve("Account", acme)["Rank__c"] == 8


def test_an_encrypted_text_with_another_mask_is_named_and_refreshed(sync):
    secret = {"name": "Secret__c", "type": "encryptedstring", "length": 100, "showsLastFour": True}
    sync.org.define({"name": "Account", "fields": [secret]})
    sync.load(mapping("Account", "Name", "Secret__c"))
    stored = "select mask from pgforce.mapping_field where column_name = 'secret__c'"
    assert sync.value(stored, role="pgforce") == "* lastFour"
    # As if it had been mapped before the organisation changed it.
    sync.query("update pgforce.mapping_field set mask = '* all' where mask is not null", role="pgforce")
    sync.roles["pull"].stop()
    sync.start("pull")
    eventually(lambda: show(sync)["organisation"]["changed"] == ["Secret__c"])
    sync.pgforce.run("mapping", "refresh", "Account")
    assert sync.value(stored, role="pgforce") == "* lastFour"
    eventually(lambda: show(sync)["state"] == "DATA_SYNCED")


def test_an_object_that_is_gone_is_an_error_of_its_mapping_alone(sync, rank):
    sync.org.fault({"match": {"path": "/describe"}, "times": 1000, "status": 404,
                    "body": [{"errorCode": "NOT_FOUND", "message": "gone"}]})  # fmt: skip
    sync.org.fault({"match": {"path": "/queryAll"}, "times": 1000, "status": 400,
                    "body": [{"errorCode": "INVALID_TYPE", "message": "sObject type 'Account'"}]})  # fmt: skip
    eventually(lambda: show(sync)["state"] == "SYSTEM_ERROR")
    sync.org.clear_faults()
    eventually(lambda: show(sync)["state"] == "DATA_SYNCED")


def length(sync):
    return sync.value(
        "select atttypmod - 4 from pg_attribute where attrelid = 'salesforce.account'::regclass"
        " and attname = 'rank__c'"
    )


VIEWS = """
create view salesforce.ranks with (security_barrier=true) as select id, rank__c from salesforce.account;
create view salesforce.best as select * from salesforce.ranks where rank__c = 'first';
grant select on salesforce.ranks to public;
grant select (rank__c) on salesforce.best to app;
comment on view salesforce.best is 'the best';
"""


def views(sync):
    return sync.query(
        "select relname, relacl::text, reloptions::text, obj_description(oid), pg_get_viewdef(oid),"
        " (select max(attacl::text) from pg_attribute where attrelid = c.oid)"
        " from pg_class c where relname in ('ranks', 'best') order by 1"
    )


def test_views_in_the_way_are_named_and_made_again_only_when_asked(sync, rank):
    sync.query(VIEWS, role="pgforce")
    before = views(sync)
    change_field(sync, rank, type="Text", label="R", length=200)
    refused = sync.pgforce.run("mapping", "refresh", "Account", expect=78).stderr
    assert "the view salesforce.ranks depends on it" in refused and "--recreate-views" in refused
    assert (views(sync), length(sync)) == (before, 10)
    said = sync.pgforce.run("mapping", "refresh", "Account", "--recreate-views").stdout
    assert "make again" in said and "salesforce.ranks" in said
    assert (views(sync), length(sync)) == (before, 200)
    assert sync.query("select rank__c from salesforce.best", role="pgforce") == [("first",)]


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("create materialized view salesforce.kept as select rank__c from salesforce.account",
         "materialised view salesforce.kept"),
        ("alter table salesforce.account add column loud text generated always as (upper(rank__c)) stored",
         "generated column loud"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_again_is_never_dropped(sync, rank, made, named):
    sync.query(made, role="pgforce")
    change_field(sync, rank, type="Text", label="R", length=200)
    refused = sync.pgforce.run("mapping", "refresh", "Account", "--recreate-views", expect=78).stderr
    assert named in refused
    assert length(sync) == 10


def test_a_foreign_key_on_a_column_keeps_it_from_being_dropped(sync, rank):
    sync.query(
        "create table salesforce.rank (name varchar(10) primary key);"
        " insert into salesforce.rank values ('first');"
        " alter table salesforce.account add foreign key (rank__c) references salesforce.rank",
        role="pgforce",
    )
    refused = sync.pgforce.run(
        "mapping", "edit", "Account", "--without", "Rank__c", "--yes", expect=78
    ).stderr
    assert "foreign key account_rank__c_fkey of salesforce.account" in refused
    assert rows(sync) == [("Acme", "first")]
