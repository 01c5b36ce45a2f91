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
