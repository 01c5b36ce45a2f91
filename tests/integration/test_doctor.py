"""The doctor says everything that is wrong at once, each with what mends it, and the API's validations are
the same report."""

import json

import pytest

from api import Api
from eventually import eventually
from sync import account, contact, mapping

FAILED, DATA = 1, 65
TOKEN = "an-administrators-token"


def diagnose(pgforce, *arguments, expect=None, **env):
    return json.loads(pgforce.run("doctor", "--json", *arguments, expect=expect, env=env).stdout)


def found(report, *kinds):
    """The rules that found something: with their mapping's name, where they have one."""
    kinds = kinds or ("errors", "warnings")
    rules = {item["rule_id"] for kind in kinds for item in report[kind]}
    for name, lists in report["mappings"].items():
        rules |= {f"{name} {item['rule_id']}" for kind in kinds for item in lists[kind]}
    return rules


def remedies(report):
    lists = [report, *report["mappings"].values()]
    return {item["rule_id"]: item["remedy"] for each in lists for kind in ("errors", "warnings")
            for item in each[kind]}


def message_of(report, rule):
    [message] = [item["message"] for item in report["errors"] if item["rule_id"] == rule]
    return message


BREAKAGES = """
create function public.meddle() returns trigger language plpgsql as 'begin return new; end';
create trigger meddle before insert on salesforce.account for each row execute function public.meddle();
create view public.names as select name from salesforce.account;
alter table salesforce.account replica identity default;
alter table salesforce.account add constraint own check (name <> 'x');
alter table salesforce.account alter column phone set not null;
alter table salesforce.account alter column industry type varchar(300);
select setval('salesforce.account_id_seq', 2100000000);
alter table salesforce.account enable row level security, force row level security;
revoke insert on salesforce.account from app;
drop index salesforce.hcu_idx_account_sfid;
alter table salesforce.contact drop column email;
alter table salesforce.contact owner to postgres;
revoke update on salesforce.contact from pgforce;
alter table salesforce._trigger_log disable trigger tlog_insert_trigger;
select pg_drop_replication_slot('pgforce_salesforce');
select pg_replication_origin_drop('pgforce_load_salesforce');
revoke execute on function pg_replication_origin_create(text) from pgforce;
drop extension hstore cascade;
update pgforce.connection set state = 'PAUSED';
update pgforce.mapping set state = 'SYSTEM_ERROR', state_description = 'broken' where object_name = 'Lead';
insert into pgforce.held_deletion (mapping_id, sfid)
    select id, '003000000000001AAA' from pgforce.mapping where object_name = 'Contact';
insert into pgforce.refused_record (mapping_id, sfid, reason, retry_at)
    select id, '003000000000002AAA', 'too long', now() from pgforce.mapping where object_name = 'Contact';
insert into pgforce.truncation (mapping_id, commit_lsn, seq, xid, truncated_at, policy, state)
    select id, '0/1', 1, '1', now(), 'fail', 'STOPPED' from pgforce.mapping where object_name = 'Contact';
insert into salesforce._trigger_log (table_name, record_id, action, state, sf_message)
    values ('account', 1, 'INSERT', 'FAILED', 'no');
alter role pgforce set output_plugin_libraries = pgoutput;
grant pg_read_all_stats to pgforce;
begin; insert into salesforce.account (phone) values ('1'); prepare transaction 'forgotten';
"""

SERVER = {
    "MUST_ALLOW_PLUGIN", "MUST_USE_ORIGINS", "SHOULD_HAVE_HSTORE", "MUST_HAVE_ORIGINS", "MUST_WAKE_WRITER",
    "SHOULD_HAVE_SENDER_TIMEOUT", "MUST_CREATE_SCHEMAS", "MUST_HAVE_SLOT", "MUST_RUN_ROLES",
    "SHOULD_HAVE_SHORT_TRANSACTIONS", "SHOULD_NOT_BE_PAUSED",
}
TABLES = {
    "Account SHOULD_HAVE_NO_TRIGGERS", "Account SHOULD_HAVE_NO_VIEWS", "Account MUST_HAVE_REPLICA_IDENTITY",
    "Account SHOULD_HAVE_NO_CONSTRAINTS", "Account MUST_HAVE_COLUMN_TYPES", "Account MUST_HAVE_IDS_LEFT",
    "Account MUST_NOT_HAVE_ROW_SECURITY", "Account MUST_GRANT_TABLE", "Account MUST_HAVE_INDEXES",
    "Account SHOULD_HAVE_NO_WRITE_ERRORS", "Contact MUST_HAVE_COLUMNS", "Contact MUST_OWN_TABLE",
    "Contact MUST_READ_TABLE", "Contact SHOULD_CONFIRM_DELETIONS", "Contact SHOULD_TAKE_RECORDS",
    "Contact SHOULD_SETTLE_TRUNCATIONS", "Lead MUST_BE_MAPPABLE", "Lead SHOULD_HAVE_UNIQUE_IDENTIFIER",
    "Account SHOULD_NOT_LOCK_TABLES",
}
ORGANISATION = {
    "MUST_USE_RECENT_API_VERSION", "SHOULD_HAVE_API_REQUESTS", "Lead MUST_MAP_REQUIRED_FIELDS",
    "Account SHOULD_NOT_MAP_LARGE_TEXT_FIELDS", "Account MUST_SEE_FIELDS",
    "SHOULD_VIEW_ALL_DATA", "SHOULD_MODIFY_ALL_DATA",
}


@pytest.fixture
def whole_role(cluster):
    """What the test takes away from the role is the whole cluster's."""
    yield
    cluster.psql("alter role pgforce reset output_plugin_libraries; revoke pg_read_all_stats from pgforce",
                 role="postgres")


def test_a_database_broken_in_many_ways_has_a_finding_for_each_in_one_run(
    sync, database, server_setting, whole_role
):
    fields = ("Name", "Phone", "Industry", "Description", "External_Id__c")
    sync.load(mapping("Account", *fields, upsert="External_Id__c"), contact(), mapping("Lead", "Company"))
    for role in sync.roles.values():
        role.stop()
    holder = database.connect("postgres", autocommit=False)
    try:
        database.psql(BREAKAGES, role="postgres")
        server_setting("wal_sender_timeout", "0")
        sync.org.post("/_sandbox/limits", {"used": 9700, "max": 10000})
        rita = {"username": "rita@sandbox.example", "password": "hers"}
        answer = sync.org.post("/_sandbox/users", {**rita, "fields": {"Account.Phone": "hidden"}})
        assert answer.status == 200, answer.body
        database.psql(f'revoke create on database "{database.name}" from pgforce', role="postgres")
        holder.cursor().execute("lock table salesforce.account in row exclusive mode")
        report = diagnose(sync.pgforce, expect=FAILED, PGFORCE_LONG_TRANSACTION_S="0",
                          PGFORCE_SF_API_VERSION="46.0", PGFORCE_SF_USERNAME=rita["username"],
                          PGFORCE_SF_PASSWORD=rita["password"])
    finally:
        holder.close()
        database.psql("rollback prepared 'forgotten'", role="postgres")
    rules = found(report)
    assert SERVER <= rules, SERVER - rules
    assert TABLES <= rules, TABLES - rules
    assert ORGANISATION <= rules, ORGANISATION - rules
    said = remedies(report)
    assert all(said[rule.split()[-1]] for rule in SERVER | TABLES | ORGANISATION)
    assert said["MUST_ALLOW_PLUGIN"] == "ALTER ROLE pgforce SET output_plugin_libraries = pgforce;"
    assert said["SHOULD_HAVE_SHORT_TRANSACTIONS"] == "ROLLBACK PREPARED 'forgotten';"
    assert said["MUST_MAP_REQUIRED_FIELDS"].startswith("pgforce mapping edit Lead --field ")
    # What is said as a statement is one: the server takes each, and then finds less.
    statements = [s for rule, s in said.items() if rule in (
        "SHOULD_HAVE_NO_VIEWS", "SHOULD_HAVE_NO_TRIGGERS", "MUST_HAVE_REPLICA_IDENTITY",
        "SHOULD_HAVE_NO_CONSTRAINTS", "MUST_HAVE_COLUMNS", "MUST_HAVE_INDEXES", "MUST_HAVE_COLUMN_TYPES",
        "MUST_GRANT_TABLE", "MUST_READ_TABLE", "MUST_OWN_TABLE", "MUST_WAKE_WRITER", "MUST_USE_ORIGINS",
        "MUST_CREATE_SCHEMAS", "MUST_ALLOW_PLUGIN", "SHOULD_HAVE_HSTORE")]
    assert len(statements) == 15
    for statement in statements:
        database.psql(statement, role="postgres")
    assert not found(diagnose(sync.pgforce, "--offline")) & {
        f"Account {rule}" for rule in said} - {"Account MUST_NOT_HAVE_ROW_SECURITY",
                                               "Account MUST_HAVE_IDS_LEFT",
                                               "Account SHOULD_HAVE_NO_WRITE_ERRORS"}
    # Of one mapping only its own is said.
    for name in ("Account", "Contact"):
        assert {rule.split()[0] for rule in found(diagnose(sync.pgforce, name, "--offline"))} == {name}


def test_nothing_is_wrong_where_nothing_is(sync):
    sync.load(account(), contact())
    sync.start("housekeeper", "watch")
    eventually(lambda: "MUST_RUN_ROLES" not in found(diagnose(sync.pgforce, "--offline")))
    report = diagnose(sync.pgforce, expect=0)
    assert found(report) == {"SHOULD_LIMIT_RETAINED_WAL"}
    assert found(report, "skips") == {
        "SHOULD_HAVE_LOG_DRAIN", "SHOULD_BE_NEAR", "SHOULD_HAVE_PLAN", "SHOULD_SEE_ACTIVITY"}
    assert "Account MUST_HAVE_TABLE" in found(report, "passes")


def test_before_the_setup_it_says_so(pgforce):
    report = diagnose(pgforce, "--offline", expect=FAILED)
    assert {"MUST_BE_SET_UP", "MUST_USE_ORIGINS"} <= found(report)
    assert "MUST_HAVE_SLOT" in found(report, "skips")


def test_what_cannot_be_reached_is_a_finding(sync):
    sync.org.stop()
    report = diagnose(sync.pgforce, expect=FAILED)
    assert "MUST_SIGN_IN" in found(report, "errors")
    assert message_of(report, "MUST_SIGN_IN").startswith(f"cannot sign in at {sync.org.url}")
    assert "MUST_USE_RECENT_API_VERSION" in found(report, "skips")
    away = {"PGFORCE_DATABASE_URL": "postgresql://pgforce@127.0.0.1:1/nowhere"}
    report = diagnose(sync.pgforce, expect=FAILED, **away)
    assert found(report) == {"MUST_REACH_DATABASE"}
    assert "port 1 failed" in message_of(report, "MUST_REACH_DATABASE")
    report = diagnose(sync.pgforce, "Account", expect=FAILED, **away)
    assert found(report) == {"MUST_REACH_DATABASE"}
    sync.org.start()


def test_one_mapping_is_looked_at_alone(sync):
    sync.map(account(), mapping("Lead", "Company"))
    report = diagnose(sync.pgforce, "lead")
    assert set(report["mappings"]) == {"Lead"} and not report["passes"]
    assert "not mapped" in sync.pgforce.run("doctor", "Nowhere", expect=DATA).stderr


def test_the_text_names_level_rule_and_remedy(sync):
    sync.map(mapping("Lead", "Company"))
    said = sync.pgforce.run("doctor", "--offline").stdout
    assert "YELLOW  SHOULD_HAVE_UNIQUE_IDENTIFIER" in said
    assert "-> pgforce mapping edit Lead --unique-id" in said
    assert said.splitlines()[-1].startswith("0 errors, ")
