"""The states of a mapping: every way of the printed table is gone by the product, and no other is.

A trigger of the test notes each state that is stored. A story brings mappings to where a way begins, goes it, and
is held to the table twice: what it walked must be a way of the table, and the events that it names must have been
walked from every state that the table says. A way without a story fails the last test.
"""

import json
import subprocess

import process
import pytest

from cluster import BUILD
from eventually import eventually
from sandbox import Sandbox
from sync import export, mapping
from test_adopt import adopted, heroku  # noqa: F401
from test_adopt import FILE as HEROKU_FILE

CONFIG = 78
PRINTED = subprocess.run([BUILD / "bin" / "pgforce", "mapping", "states", "--json"], check=True, capture_output=True,
                         env=process.environment())
TABLE = json.loads(PRINTED.stdout)
STORED = [state["name"] for state in TABLE["states"] if state["is_stored"]]
WAYS = {way["event"]: {(start, way["to"]) for start in way["from"] if start != way["to"]} for way in TABLE["ways"]}
EDGES = set().union(*WAYS.values())
OBJECTS = ["Account", "Contact", "Lead", "Opportunity", "Case", "Campaign", "Product2"]
# Failing so that the operator is needed.
REFUSED = {"status": 400, "body": [{"errorCode": "INVALID_TYPE", "message": "made by the test"}]}

told = set()


def tells(*events):
    """Marks a story with the events of the table all of whose ways it walks."""
    told.update(events)
    return pytest.mark.ways(*events)


NOTES = """
create table public.walked (id serial, before text, after text);
grant insert, select on public.walked to pgforce;
grant usage on sequence public.walked_id_seq to pgforce;
create function public.note_walk() returns trigger language plpgsql as $$
begin
    insert into public.walked (before, after) values (
        case when tg_op = 'INSERT' then '' else old.state end,
        case when tg_op = 'DELETE' then '' else new.state end);
    return null;
end $$;
grant execute on function public.note_walk() to pgforce;
"""


def note_walks(sync):
    """From now on each change of a stored state is noted."""
    sync.query(NOTES, role="postgres")
    sync.query("create trigger note_walk after insert or delete or update on pgforce.mapping"
               " for each row execute function public.note_walk()", role="postgres")
    sync.walked = lambda: {
        edge for edge in sync.query("select distinct before, after from public.walked", role="postgres")
        if edge[0] != edge[1]
    }


def hold_to_the_table(request, sync):
    """After a story: what it walked are ways of the table, and all that it names."""
    walked = sync.walked()
    assert walked <= EDGES, f"no ways of the table: {walked - EDGES}"
    marker = request.node.get_closest_marker("ways")
    for event in marker.args if marker else ():
        assert WAYS[event] <= walked, f"{event}: not walked: {WAYS[event] - walked}"


@pytest.fixture
def walk(request, sync):
    """pgforce set up, and what is walked is noted and judged."""
    note_walks(sync)
    yield sync
    hold_to_the_table(request, sync)


@pytest.fixture
def walk_heroku(request, pgforce, heroku, sandbox):  # noqa: F811
    """The same over a schema of Heroku Connect's: another schema's setup has made ours."""
    pgforce.run("setup", env={"PGFORCE_SCHEMA": "elsewhere"})
    sync = adopted(pgforce, heroku, sandbox)
    note_walks(sync)
    yield sync
    hold_to_the_table(request, sync)


def bare(object_name, *fields, **options):
    return mapping(object_name, *fields, **options)


def state_of(sync, object_name):
    return sync.value("select state from pgforce.mapping where object_name = %s", [object_name], role="pgforce")


def told_state(sync, object_name):
    return json.loads(sync.pgforce.run("mapping", "show", object_name, "--json").stdout)["state"]


def wait_for_state(sync, object_name, state):
    eventually(lambda: state_of(sync, object_name) == state, 60)


def stop(sync, *roles):
    for role in roles:
        sync.roles[role].stop()


def put(sync, **wanted):
    """Mappings in states, by the product alone; afterwards nothing runs that could change them.

    wanted: object = (state, what it has): "loaded", "unfilled" (loaded, and a new column lacks values), "new".
    """
    loaded = [name for name, (_, has) in wanted.items() if has != "new"]
    sync.start("pull")
    if loaded:
        sync.map(*(bare(name) for name in loaded))
        eventually(lambda: all(state_of(sync, name) == "DATA_SYNCED" for name in loaded), 60)
    stop(sync, "pull")
    for name, (_, has) in wanted.items():
        if has == "unfilled":
            sync.pgforce.run("mapping", "edit", name, "--field", "CreatedDate")
        elif has == "new":
            sync.map(bare(name))
    if "SYSTEM_ERROR" in {state for state, _ in wanted.values()}:
        let_fail(sync, [name for name, (state, _) in wanted.items() if state in ("SYSTEM_ERROR", "ABORTED")],
                 [name for name, (state, _) in wanted.items() if state not in ("SYSTEM_ERROR", "ABORTED")])
    for name, (state, _) in wanted.items():
        if state == "ABORTED":
            sync.pgforce.run("mapping", "abort", name)
    assert {name: state_of(sync, name) for name in wanted} == {name: state for name, (state, _) in wanted.items()}


def let_fail(sync, failing, others):
    """No query of the failing is answered; the others are out of it because they are aborted meanwhile."""
    before = {name: state_of(sync, name) for name in others}
    for name in others:
        sync.pgforce.run("mapping", "abort", name)
    sync.org.fault({"match": {"path": "/query"}, "times": 100000, **REFUSED})
    sync.start("pull")
    eventually(lambda: {state_of(sync, name) for name in failing} == {"SYSTEM_ERROR"}, 60)
    stop(sync, "pull")
    sync.org.clear_faults()
    for name in others:
        sync.pgforce.run("resume", name)
    assert {name: state_of(sync, name) for name in others} == before


FIVE = {
    "Account": ("INITIAL", "new"),
    "Contact": ("RESYNC", "unfilled"),
    "Lead": ("DATA_SYNCED", "loaded"),
    "Opportunity": ("ABORTED", "loaded"),
    "Case": ("SYSTEM_ERROR", "loaded"),
}


def ask_each(sync, event, *command):
    """The command of each mapping: it goes from the states of the table, and from no other."""
    ((to,),) = {(to,) for _, to in WAYS[event]}
    for name in FIVE:
        start = state_of(sync, name)
        expected = 0 if (start, to) in WAYS[event] else CONFIG
        done = sync.pgforce.run(*(part.replace("OBJECT", name) for part in command), expect=expected)
        if expected == 0:
            assert (state_of(sync, name) or "") == to
        else:
            assert f"{name} is {start}" in done.stderr and state_of(sync, name) == start


@tells("create, import", "a load begins or goes on", "everything has been read", "it cannot be read",
       "the same, but columns lack values")
def test_reading_begins_fails_goes_on_and_ends(walk):
    # A database that is not set up for loading: the mapping fails before its load has begun.
    walk.query("select pg_replication_origin_drop('pgforce_load_salesforce')", role="postgres")
    walk.map(bare("Account"))
    walk.start("pull")
    wait_for_state(walk, "Account", "SYSTEM_ERROR")
    walk.query("select pg_replication_origin_create('pgforce_load_salesforce')", role="postgres")
    wait_for_state(walk, "Account", "DATA_SYNCED")
    # Then in its load, at a poll, and while it is filled; each ends by itself.
    walk.org.fault({"match": {"path": "/query"}, "times": 100000, **REFUSED})
    walk.map(bare("Contact"))
    failed = {("RELOAD_TABLE", "SYSTEM_ERROR"), ("DATA_SYNCED", "SYSTEM_ERROR")}
    eventually(lambda: failed <= walk.walked(), 60)
    walk.org.clear_faults()
    eventually(lambda: ("SYSTEM_ERROR", "DATA_SYNCED") in walk.walked(), 60)
    wait_for_state(walk, "Contact", "DATA_SYNCED")
    stop(walk, "pull")
    walk.pgforce.run("mapping", "edit", "Account", "--field", "CreatedDate")
    walk.pgforce.run("mapping", "abort", "Contact")
    walk.org.fault({"match": {"path": "/query"}, **REFUSED})
    walk.start("pull")
    eventually(lambda: {("RESYNC", "SYSTEM_ERROR"), ("SYSTEM_ERROR", "RESYNC")} <= walk.walked(), 60)
    wait_for_state(walk, "Account", "DATA_SYNCED")
    # Columns that come while the first load reads wait for their values; nobody but Lead is read.
    stop(walk, "pull")
    walk.pgforce.run("mapping", "abort", "Account")
    walk.org.fault({"match": {"path": "/query"}, "times": 1, "delay_ms": 10000})
    walk.map(bare("Lead"))
    walk.start("pull")
    wait_for_state(walk, "Lead", "RELOAD_TABLE")
    walk.pgforce.run("mapping", "edit", "Lead", "--field", "CreatedDate")
    eventually(lambda: ("RELOAD_TABLE", "RESYNC") in walk.walked(), 60)
    wait_for_state(walk, "Lead", "DATA_SYNCED")
    # And so does one whose values are not to be trusted.
    stop(walk, "pull")
    walk.query("update pgforce.mapping_field set is_filled = false where column_name = 'createddate'", role="pgforce")
    walk.start("pull")
    eventually(lambda: ("DATA_SYNCED", "RESYNC") in walk.walked(), 60)
    wait_for_state(walk, "Lead", "DATA_SYNCED")


@tells("abort")
def test_an_abort_stops_what_ever_is_going_on(walk):
    put(walk, **FIVE)
    ask_each(walk, "abort", "mapping", "abort", "OBJECT")
    # Of a load, and of one that goes on where it was.
    walk.map(bare("Campaign"))
    walk.org.fault({"match": {"path": "/query"}, "times": 1, "delay_ms": 20000})
    walk.start("pull")
    wait_for_state(walk, "Campaign", "RELOAD_TABLE")
    walk.pgforce.run("mapping", "abort", "Campaign")
    eventually(lambda: "stopped reading, as asked" in walk.roles["pull"].log_text())
    walk.pgforce.run("resume", "Campaign")
    wait_for_state(walk, "Campaign", "DATA_SYNCED")


@tells("delete")
def test_a_mapping_is_deleted_unless_it_is_loading(walk):
    put(walk, **FIVE)
    ask_each(walk, "delete", "mapping", "delete", "OBJECT", "--yes")


@tells("reload")
def test_a_reload_waits_for_what_loads(walk):
    put(walk, **FIVE)
    ask_each(walk, "reload", "mapping", "reload", "OBJECT")
    walk.start("pull")
    eventually(lambda: {state_of(walk, name) for name in FIVE} == {"DATA_SYNCED"}, 60)


@tells("another filter")
def test_another_filter_reads_all_records_again_from_wherever(walk):
    put(walk, **FIVE)
    for name in FIVE:
        walk.pgforce.run("mapping", "edit", name, "--filter", "Id != null")
        assert state_of(walk, name) == "RELOAD_TABLE"
    walk.start("pull")
    eventually(lambda: {state_of(walk, name) for name in FIVE} == {"DATA_SYNCED"}, 60)


@tells("relink")
def test_another_organisation_is_read_from_wherever(walk, logs):
    put(walk, **FIVE)
    walk.query("update pgforce.connection set organization_id = '00D000000000001EAA'", role="pgforce")
    folder = logs / "refreshed"
    folder.mkdir()
    with Sandbox(folder) as other:
        walk.pgforce.env["PGFORCE_SF_LOGIN_URL"] = other.url
        walk.pgforce.run("relink", "--yes")
        assert {state_of(walk, name) for name in FIVE} == {"RELOAD_TABLE"}


STOPPED = {
    "Account": ("ABORTED", "new"),
    "Contact": ("ABORTED", "unfilled"),
    "Lead": ("ABORTED", "loaded"),
    "Opportunity": ("SYSTEM_ERROR", "new"),
    "Case": ("SYSTEM_ERROR", "unfilled"),
    "Campaign": ("SYSTEM_ERROR", "loaded"),
    "Product2": ("DATA_SYNCED", "loaded"),
}
AFTERWARDS = {"new": "INITIAL", "unfilled": "RESYNC", "loaded": "DATA_SYNCED"}


@tells("resume, not loaded yet", "resume, loaded before", "resume, new columns lack values")
def test_a_resumed_mapping_goes_on_where_it_was(walk):
    put(walk, **STOPPED)
    for name, (state, has) in STOPPED.items():
        if state == "DATA_SYNCED":
            assert f"{name} is DATA_SYNCED" in walk.pgforce.run("resume", name, expect=CONFIG).stderr
        else:
            walk.pgforce.run("resume", name)
            assert state_of(walk, name) == AFTERWARDS[has]


def test_resuming_the_connection_takes_along_what_failed_and_leaves_what_was_aborted(walk):
    put(walk, **STOPPED)
    walk.pgforce.run("pause")
    walk.pgforce.run("resume")
    for name, (state, has) in STOPPED.items():
        assert state_of(walk, name) == ("ABORTED" if state == "ABORTED" else AFTERWARDS[has])
    assert walk.walked() <= EDGES


@tells("edit, import, refresh; not loaded yet", "edit, import, refresh", "edit, import, refresh that add columns")
def test_an_edit_leads_out_of_where_it_stood(walk):
    put(walk, **STOPPED)
    for name, (_, has) in STOPPED.items():
        walk.pgforce.run("mapping", "edit", name, "--polling", "7")
        assert state_of(walk, name) == AFTERWARDS[has]
    walk.pgforce.run("mapping", "edit", "Product2", "--field", "CreatedDate")
    assert state_of(walk, "Product2") == "RESYNC"


@tells("resume, a reload was asked for")
def test_a_reload_that_cannot_begin_is_resumed_as_a_reload(walk):
    walk.start("pull")
    walk.map(bare("Account"))
    wait_for_state(walk, "Account", "DATA_SYNCED")
    # TRUNCATE is refused while another table refers to this one.
    walk.query("create table salesforce.mine (account integer references salesforce.account (id))", role="pgforce")
    walk.pgforce.run("mapping", "reload", "Account", "--destructive", "--yes")
    wait_for_state(walk, "Account", "SYSTEM_ERROR")
    assert "mine" in walk.value("select state_description from pgforce.mapping", role="pgforce")
    stop(walk, "pull")
    walk.query("drop table salesforce.mine", role="pgforce")
    walk.pgforce.run("resume", "Account")
    assert state_of(walk, "Account") == "RELOAD_TABLE"
    walk.start("pull")
    wait_for_state(walk, "Account", "DATA_SYNCED")


@tells("what was begun for new columns goes on")
def test_a_reading_for_columns_that_were_taken_back_is_ended(walk):
    walk.org.load("Account", 300)
    walk.pgforce.env["PGFORCE_BULK_READ_ABOVE"] = "100"
    walk.start("pull")
    walk.map(bare("Account"))
    wait_for_state(walk, "Account", "DATA_SYNCED")
    # Its Bulk job is made and then not answered.
    stop(walk, "pull")
    walk.org.fault({"match": {"method": "GET", "path": "/jobs/query"}, "times": 1, "delay_ms": 20000})
    walk.pgforce.run("mapping", "edit", "Account", "--field", "CreatedDate")
    walk.start("pull")
    eventually(lambda: walk.query("select 1 from pgforce.load", role="pgforce"))
    walk.pgforce.run("mapping", "abort", "Account")
    stop(walk, "pull")
    walk.org.clear_faults()
    walk.pgforce.run("mapping", "edit", "Account", "--without", "CreatedDate", "--yes")
    assert state_of(walk, "Account") == "DATA_SYNCED"
    walk.start("pull")
    eventually(lambda: walk.query("select 1 from pgforce.load", role="pgforce") == [], 60)
    wait_for_state(walk, "Account", "DATA_SYNCED")


@tells("a field is there again")
def test_a_field_that_is_back_is_filled(walk):
    def make():
        body = {"FullName": "Account.Rank__c", "Metadata": {"label": "Rank", "type": "Text", "length": 10}}
        return walk.org.post("tooling/sobjects/CustomField", body).json["id"]

    def is_missing():
        return walk.value("select is_missing from pgforce.mapping_field where column_name = 'rank__c'", role="pgforce")

    field = make()
    walk.map(bare("Account", "Rank__c"))
    walk.start("pull")
    wait_for_state(walk, "Account", "DATA_SYNCED")
    assert walk.org.delete(f"tooling/sobjects/CustomField/{field}").status == 204
    eventually(is_missing)
    wait_for_state(walk, "Account", "DATA_SYNCED")
    stop(walk, "pull")
    make()
    walk.start("pull")
    eventually(lambda: ("DATA_SYNCED", "RESYNC") in walk.walked())
    wait_for_state(walk, "Account", "DATA_SYNCED")


@tells("import of what the organisation lacks", "what the organisation lacked is there")
def test_an_object_that_appears_is_loaded(walk):
    walk.pgforce.run("import", "-", "--allow-missing", stdin=export(bare("Later__c")))
    for verb in (["mapping", "abort"], ["mapping", "reload"], ["resume"]):
        assert "Later__c is SYSTEM_ERROR" in walk.pgforce.run(*verb, "Later__c", expect=CONFIG).stderr
    walk.org.define({"name": "Later__c", "label": "Later", "fields": []})
    walk.start("pull")
    wait_for_state(walk, "Later__c", "DATA_SYNCED")


@tells("adopt, the table has rows", "adopt, the table lacks columns")
def test_a_table_that_is_taken_over_is_not_read_again(walk_heroku):
    walk_heroku.query("insert into salesforce.account (sfid, name, systemmodstamp) values"
               " ('001000000000001AAA', 'Acme', now()); insert into salesforce.contact (sfid, lastname,"
               " systemmodstamp) values ('003000000000001AAA', 'Ann', now());"
               " alter table salesforce.contact drop email")
    walk_heroku.pgforce.run("adopt", "-", "--yes", stdin=HEROKU_FILE)
    assert {state_of(walk_heroku, name) for name in ("Account", "Contact")} == {"DATA_SYNCED", "RESYNC"}


# States that are only told.


def test_a_table_that_is_being_altered_says_so_while_it_waits_for_its_lock(sync):
    sync.start("pull")
    sync.map(bare("Account"))
    wait_for_state(sync, "Account", "DATA_SYNCED")
    with sync.database.connect(autocommit=False) as holder, holder.cursor() as cursor:
        cursor.execute("select * from salesforce.account")
        edit = sync.pgforce.start("mapping", "edit", "Account", "--field", "CreatedDate")
        eventually(lambda: told_state(sync, "Account") == "SCHEMA_CHANGED")
        assert state_of(sync, "Account") == "DATA_SYNCED"
    assert edit.wait(60) == 0
    eventually(lambda: told_state(sync, "Account") == "DATA_SYNCED")


def test_a_load_and_a_poll_by_bulk_say_how_far_they_are(sync):
    held = {"times": 1, "delay_ms": 30000}
    sync.org.load("Account", 300)
    sync.pgforce.env["PGFORCE_BULK_READ_ABOVE"] = "100"
    sync.org.post("/_sandbox/bulk", {"page_rows": 100})
    sync.org.fault({"match": {"method": "GET", "path": "/jobs/query"}, **held})
    sync.start("archive", "pull")
    sync.map(bare("Account"))
    eventually(lambda: told_state(sync, "Account") == "WAIT_BULK_LOAD")
    sync.roles["pull"].kill()
    sync.org.clear_faults()
    # Its first page is stored, its second does not come.
    sync.org.fault({"match": {"path": "/results"}, "skip": 1, **held})
    sync.start("pull")
    eventually(lambda: told_state(sync, "Account") == "LOADING_BULK_JOB")
    sync.roles["pull"].kill()
    sync.org.clear_faults()
    sync.start("pull")
    wait_for_state(sync, "Account", "DATA_SYNCED")
    stop(sync, "pull")
    sync.org.load("Account", 300)
    sync.org.fault({"match": {"method": "GET", "path": "/jobs/query"}, **held})
    sync.start("pull")
    eventually(lambda: told_state(sync, "Account") == "WAIT_BULK_UPDATE")
    assert state_of(sync, "Account") == "DATA_SYNCED"
    sync.roles["pull"].kill()
    sync.org.clear_faults()
    sync.org.fault({"match": {"path": "/results"}, **held})
    sync.start("pull")
    eventually(lambda: told_state(sync, "Account") == "POLLING_SF_BULK")
    sync.roles["pull"].kill()
    sync.org.clear_faults()
    # What is within the overlap comes with every poll: by REST from now on.
    sync.start("pull", env={"PGFORCE_BULK_READ_ABOVE": "100000"})
    eventually(lambda: told_state(sync, "Account") == "DATA_SYNCED")
    eventually(lambda: sync.value("select count(*) from salesforce.account") == 600)


def test_every_way_of_the_table_has_a_story():
    assert set(WAYS) == told
