"""Exports of Heroku Connect import as they are, and are exported again as they were. The real ones belong to
others and are not part of the project: where the folder with them is not there, our own stand for them."""

import json
import os
import re
from pathlib import Path

import pytest

FOLDER = Path(
    os.environ.get("PGFORCE_HC_EXPORTS", Path(__file__).resolve().parents[3] / "shared/fixtures/mappings")
)
OWN = Path(__file__).resolve().parents[1] / "fixtures/exports"
FILES = sorted([*OWN.glob("*.json"), *FOLDER.glob("*.json")])

# What the sandbox may not extend with a field of its own: these are there by themselves.
SYSTEM = {
    "id",
    "isdeleted",
    "createddate",
    "createdbyid",
    "lastmodifieddate",
    "lastmodifiedbyid",
    "systemmodstamp",
}
CUSTOM_RELATIONSHIP = re.compile(r"^(.+)__r__(.+)$")
STANDARD_RELATIONSHIP = re.compile(r"^([A-Za-z]+)__(.+__c)$")


def parent_of(field, fields):
    """(lookup, relationship, the parent's field) of a reference by external id, or None."""
    found = CUSTOM_RELATIONSHIP.match(field)
    if found:
        return f"{found[1]}__c", f"{found[1]}__r", found[2]
    # A template in the wild spells the lookup in place of the relationship.
    for lookup in fields:
        if lookup.endswith("__c") and field.startswith(f"{lookup}__"):
            return lookup, f"{lookup[:-1]}r", field[len(lookup) + 2 :]
    found = STANDARD_RELATIONSHIP.match(field)
    if found and "__" not in found[1] and not is_namespaced(field, fields):
        return f"{found[1]}Id", found[1], found[2]
    return None


def is_namespaced(field, fields):
    """SACAP__UUID__c is a field with a package's prefix, Account__UUID__c a reference."""
    prefix = field.split("__")[0]
    return prefix.isupper() and field.count("__") == 2 and f"{prefix}Id" not in fields


class Organisation:
    """The objects and fields that a file needs, in the form the sandbox takes them."""

    def __init__(self):
        self.objects = {}

    def field(self, object_name, name, **properties):
        fields = self.objects.setdefault(object_name, {})
        if name.lower() not in SYSTEM:
            fields.setdefault(name.lower(), {"name": name, "type": "string"}).update(properties)

    def key(self, object_name, name):
        self.field(object_name, name, externalId=True, unique=True, idLookup=True, length=64)

    def add(self, mapping):
        object_name = mapping["object_name"]
        config = mapping["config"]
        fields = list(config["fields"])
        self.objects.setdefault(object_name, {})
        for field in fields:
            parent = parent_of(field, fields)
            if parent is None:
                self.field(object_name, field)
                continue
            lookup, relationship, key = parent
            target = {"MasterRecordId": object_name}.get(lookup, "Account")
            self.field(object_name, lookup, type="reference", referenceTo=[target],
                       relationshipName=relationship)
            self.key(target, key)
        if "upsert_field" in config:
            self.key(object_name, config["upsert_field"])
        for field, index in config.get("indexes", {}).items():
            if index["unique"] and field.lower() != "id":
                self.key(object_name, field)

    def definition(self, known):
        """Only what the organisation lacks: known are its objects' fields, in lower case."""
        objects = []
        for name, fields in self.objects.items():
            there = known.get(name.lower(), set())
            missing = [field for lower, field in fields.items() if lower not in there]
            objects.append({"name": name, "label": name, "fields": missing})
        return {"objects": objects}


def fields_of(sandbox, name):
    answer = sandbox.get(f"sobjects/{name}/describe")
    if answer.status == 404:
        return set()
    return {field["name"].lower() for field in answer.json["fields"]}


def provide(sandbox, mappings):
    organisation = Organisation()
    for mapping in mappings:
        organisation.add(mapping)
    known = {name.lower(): fields_of(sandbox, name) for name in organisation.objects}
    sandbox.define(organisation.definition(known))


def read(path):
    return json.loads(path.read_text(encoding="utf-8-sig"))


def comparable(export):
    """What the server sets in an export is no part of it; the order of the mappings neither."""
    mappings = {}
    for mapping in export["mappings"]:
        config = {key: value for key, value in mapping["config"].items()
                  if key not in ("applied_at", "revision")}
        mappings[mapping["object_name"]] = {**mapping, "config": config}
    return {"version": 1, **export, "mappings": mappings}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_export_imports_as_it_is(sync, path):
    mappings = read(path)["mappings"]
    provide(sync.org, mappings)
    done = sync.pgforce.run("import", str(path))
    expected = f"imported {len(mappings)} mappings into schema salesforce: {len(mappings)} created"
    assert done.stdout.startswith(expected)
    for mapping in mappings:
        columns = {
            name
            for (name,) in sync.query(
                """select attname::text from pg_attribute
                   where attrelid = %s::regclass and attnum > 0""",
                [f'salesforce."{mapping["object_name"].lower()}"'],
            )
        }
        fields = {name.lower() for name in mapping["config"]["fields"]} - {"id"}
        assert fields | {"sfid", "id", "_hc_lastop", "_hc_err"} <= columns
    again = sync.pgforce.run("import", str(path))
    assert "0 created, 0 changed" in again.stdout
    # And they can be read.
    sync.start("archive", "pull")
    sync.wait_until_loaded()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_export_makes_the_round_trip(sync, tmp_path, path):
    provide(sync.org, read(path)["mappings"])
    sync.pgforce.run("import", str(path))
    exported = sync.pgforce.run("export").stdout
    assert comparable(json.loads(exported)) == comparable(read(path))
    # Keys are sorted, so that two exports can be compared line by line.
    assert exported == json.dumps(json.loads(exported), indent=4, sort_keys=True, ensure_ascii=False) + "\n"

    # Imported elsewhere and exported again, nothing has changed.
    file = tmp_path / "export.json"
    assert sync.pgforce.run("export", str(file)).stdout == ""
    assert file.read_text() == exported
    elsewhere = {"PGFORCE_SCHEMA": "elsewhere"}
    sync.pgforce.run("setup", env=elsewhere)
    assert sync.pgforce.run("plan", str(file), env=elsewhere, expect=10).stdout
    sync.pgforce.run("import", str(file), env=elsewhere)
    assert sync.pgforce.run("export", env=elsewhere).stdout == exported
    for env in ({}, elsewhere):
        assert "nothing to do" in sync.pgforce.run("plan", str(file), "--prune", env=env).stdout


def test_what_may_be_left_out_may_be_null_and_a_name_in_whatever_letters(sync):
    """Forms that are not in the files above: hand-edited, or written by other programs."""
    sync.org.define({"name": "Order__c", "label": "Order", "fields": [
        {"name": "Select__c", "type": "string", "externalId": True, "unique": True, "length": 20}]})
    wanted = {
        "version": None,
        "connection": {"app_name": None, "name": None, "features": {"poll_db_no_merge": None}, "api_version": 58.0},
        "mappings": [
            {"object_name": "ACCOUNT", "id": 5, "state": "DATA_SYNCED", "config": {
                "access": None, "fields": {"ID": None, "NAME": {"label": "x"}, "systemmodstamp": {}},
                "indexes": {"NAME": {"unique": None}, "id": {"unique": True}, "SYSTEMMODSTAMP": None},
                "sf_polling_seconds": None, "sf_max_daily_api_calls": None, "sf_notify_enabled": None,
                "upsert_field": None, "filter": None, "numeric": None, "conflict_policy": None,
                "calculated_seconds": None, "revision": "2012-11-05", "applied_at": None, "else": [{}]}},
            {"object_name": "Case", "config": {"fields": {"Id": {}, "Subject": {}}}},
            {"object_name": "Group", "config": {"fields": {"Name": {}}, "indexes": None}},
            {"object_name": "User", "config": {"fields": {"Username": {}}, "upsert_field": ""}},
            {"object_name": "Order__c", "config": {
                "access": "read_write", "fields": {"select__c": {}}, "upsert_field": "SELECT__C",
                "indexes": {"Select__C": {"unique": True}}, "sf_polling_seconds": 1}},
        ],
    }
    file = json.dumps(wanted, ensure_ascii=False)
    sync.pgforce.run("import", "-", stdin=file)
    exported = json.loads(sync.pgforce.run("export").stdout)
    assert comparable(exported) == comparable({**wanted, "version": 1})
    assert "nothing to do" in sync.pgforce.run("plan", "-", "--prune", stdin=file).stdout
    assert "nothing to do" in sync.pgforce.run("plan", "-", "--prune", stdin=json.dumps(exported)).stdout
    # Tables whose names are words of SQL are read and written.
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    sync.query('insert into salesforce.order__c (select__c) values (\'1\')')
    assert sync.settled(1) == [("INSERT", "SUCCESS")]
    for table in ("account", "case", "group", "user"):
        assert sync.query(f'select count(*) from salesforce."{table}"')[0][0] >= 0


def test_names_longer_than_the_server_takes_do_not_collide(sync):
    """63 bytes are the server's limit: indexes get a hash, and columns that would be the same are refused."""
    long = "A" * 15 + "__" + "B" * 34
    fields = [{"name": f"{long}{n}__c", "type": "string", "externalId": True, "unique": True, "length": 9}
              for n in (1, 2)]
    objects = [{"name": f"{long}{n}__c", "label": "Long", "fields": fields} for n in (1, 2)]
    sync.org.define({"objects": objects})
    mappings = [
        {"object_name": one["name"], "config": {
            "access": "read_write", "fields": {field["name"]: {} for field in fields}, "sf_polling_seconds": 1,
            "upsert_field": fields[0]["name"], "indexes": {field["name"]: {"unique": True} for field in fields}}}
        for one in objects]
    sync.pgforce.run("import", "-", stdin=json.dumps({"mappings": mappings}))
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    for one in objects:
        table = one["name"].lower()
        sync.query(f'insert into salesforce."{table}" ("{fields[0]["name"].lower()}") values (\'1\')')
        indexes = sync.query("select indexname::text from pg_indexes where tablename = %s", [table])
        # The key, sfid, the stamp and the two fields.
        assert len(indexes) == 5
    assert sync.settled(2) == [("INSERT", "SUCCESS")] * 2
    sequences = sync.query("select count(distinct relname) from pg_class where relkind = 'S'"
                           " and relname like 'aaaaaaaaaaaaaaa%'")
    assert sequences == [(2,)]
    again = sync.pgforce.run("import", "-", stdin=json.dumps({"mappings": mappings}))
    assert "0 created, 0 changed" in again.stdout
