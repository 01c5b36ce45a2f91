"""A mapping file that is wrong in whatever way is refused with the file, the place in it and the remedy, and
nothing is changed."""

import json
from pathlib import Path

import pytest

from sync import export, mapping
from test_bad_input import DATA, state

FIXTURES = sorted((Path(__file__).resolve().parents[1] / "fixtures/exports").glob("*.json"))


def edit(path, value):
    """A change of the JSON: path "mappings.0.config.fields" set to value."""

    def change(root):
        at = root
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in way:
            at = at[step]
        at[last] = value
        return json.dumps(root).encode()

    return change


def rename_a_field(name):
    def change(root):
        fields = root["mappings"][0]["config"]["fields"]
        fields.pop("SystemModstamp")
        fields[name] = {}
        return json.dumps(root).encode()

    return change


def first_object_again(root):
    root["mappings"].append(root["mappings"][0])
    return json.dumps(root).encode()


def text(change):
    return lambda root: change(json.dumps(root)).encode()


CONFIG = "mappings.0.config"
PLACE = "mappings[0]"
# How it is broken, and what the message must say of where and why.
BREAKS = {
    "truncated": (text(lambda whole: whole[: len(whole) // 2]), ["not JSON: line 1"]),
    "empty": (lambda root: b"", ["not JSON: line 1"]),
    "binary": (lambda root: bytes(range(256)), ["not JSON"]),
    "bytes-that-are-not-utf8": (lambda root: json.dumps(root).encode().replace(b"Id", b"I\xff", 1), ["unable to decode byte 0xff"]),
    "nul": (text(lambda whole: whole.replace('"Id"', '"I\\u0000d"', 1)), ["not JSON: line 1"]),
    "nested-deep": (lambda root: b'{"mappings": ' + b"[" * 100_000, ["maximum parsing depth"]),
    "key-twice": (text(lambda whole: '{"mappings": [], ' + whole[1:]), ["duplicate object key"]),
    "a-list": (lambda root: json.dumps(root["mappings"]).encode(), ['"mappings" is missing']),
    "mappings-no-list": (edit("mappings", {}), ['"mappings" is missing']),
    "version": (edit("version", 2), ['"version" is not 1']),
    "connection": (edit("connection", ["x"]), ["connection must be an object"]),
    "features": (edit("connection", {"features": [1]}), ["connection.features must be an object"]),
    "feature": (edit("connection", {"features": {"rest_count_only": "yes"}}),
                ["connection.features.rest_count_only must be true or false"]),
    "entry-no-object": (edit("mappings.0", 5), [PLACE, "object_name is missing"]),
    "object-a-number": (edit("mappings.0.object_name", 7), [PLACE, "object_name must be a text"]),
    "object-hostile": (edit("mappings.0.object_name", 'Account"; drop table x; --'),
                       [PLACE, "no API name of an object"]),
    "object-with-line-ends": (edit("mappings.0.object_name", "Acc\n\x1b[2Jount"), [PLACE, "Acc??[2Jount"]),
    "object-twice": (first_object_again, ["mappings[", "is there twice: leave one of them out"]),
    "config-a-list": (edit(CONFIG, []), [PLACE, "config is missing: it must be an object"]),
    "fields-a-list": (edit(f"{CONFIG}.fields", ["Id"]), [PLACE, "config.fields is missing"]),
    "field-a-flag": (edit(f"{CONFIG}.fields.Name", True), [PLACE, "config.fields.Name must be {}"]),
    "field-hostile": (rename_a_field('"; drop table account; --'), [PLACE, "no API name of a field"]),
    "field-with-a-dot": (rename_a_field("Account.Name"), [PLACE, "no API name of a field"]),
    "field-long": (rename_a_field("x" * 100_000), [PLACE, "xxx...", "no API name"]),
    "field-twice": (edit(f"{CONFIG}.fields", {"Id": {}, "Name": {}, "NAME": {}}), [PLACE, "is there twice"]),
    "fields-10000": (edit(f"{CONFIG}.fields", {f"F{n}__c": {} for n in range(10_000)}),
                     [PLACE, "more than 1590 fields"]),
    "field-of-long-characters": (rename_a_field("x" + "ü" * 100), [PLACE, "üü...", "no API name"]),
    "field-unknown": (rename_a_field("No_Such_Field__c"), [PLACE, "does not exist", "leave it out or grant it"]),
    "access": (edit(f"{CONFIG}.access", "admin"), [PLACE, "config.access must be"]),
    "polling": (edit(f"{CONFIG}.sf_polling_seconds", "600"), [PLACE, "config.sf_polling_seconds must be"]),
    "polling-huge": (edit(f"{CONFIG}.sf_polling_seconds", 10**30), ["not JSON", "too big integer"]),
    "notify": (edit(f"{CONFIG}.sf_notify_enabled", "yes"), [PLACE, "sf_notify_enabled must be true or false"]),
    "indexes": (edit(f"{CONFIG}.indexes", [1]), [PLACE, "config.indexes must be an object"]),
    "index": (edit(f"{CONFIG}.indexes", {"Id": True}), [PLACE, 'indexes.Id must be {"unique"']),
    "index-twice": (edit(f"{CONFIG}.indexes", {"Id": {"unique": True}, "ID": {"unique": False}}),
                    [PLACE, "config.indexes.ID is there twice"]),
    "index-unique": (edit(f"{CONFIG}.indexes", {"Id": {"unique": 1}}), [PLACE, 'indexes.Id must be {"unique"']),
    "upsert": (edit(f"{CONFIG}.upsert_field", "Nowhere__c"), ["Nowhere__c is not among the fields: add it"]),
    "upsert-a-number": (edit(f"{CONFIG}.upsert_field", 5), [PLACE, "config.upsert_field must be a text"]),
    "filter": (edit(f"{CONFIG}.filter", "Name = 'x' limit 1"), [PLACE, "config.filter: at character 12"]),
    "filter-of-long-characters": (edit(f"{CONFIG}.filter", "Name = xü" + "ü" * 100), [PLACE, "config.filter: at character", "ü"]),
    "filter-a-number": (edit(f"{CONFIG}.filter", 1), [PLACE, "config.filter must be a text"]),
    "numeric": (edit(f"{CONFIG}.numeric", 1), [PLACE, "config.numeric must be true or false"]),
}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_file_broken_in_any_way_changes_nothing_and_says_where(sync, tmp_path, path):
    before = state(sync.database)
    wrong = []
    for name, (change, says) in BREAKS.items():
        file = tmp_path / f"{name}.json"
        file.write_bytes(change(json.loads(path.read_text())))
        done = sync.pgforce.run("import", str(file), expect=None)
        if not (
            done.returncode == DATA
            and done.stderr.startswith(f"pgforce: {file}: ")
            and all(words in done.stderr for words in says)
            and len(done.stderr) < 3000
            and "\x1b" not in done.stderr
        ):
            wrong.append((name, done.returncode, done.stderr))
    assert wrong == []
    assert state(sync.database) == before


def test_a_file_with_more_mistakes_than_fit_says_how_many_are_left_out(sync):
    wrong = export(*(mapping(f"Nowhere{n}__c", "Name") for n in range(300)))
    done = sync.pgforce.run("import", "-", expect=DATA, stdin=wrong)
    assert "Nowhere0__c does not exist" in done.stderr and " more" in done.stderr.splitlines()[-1]
