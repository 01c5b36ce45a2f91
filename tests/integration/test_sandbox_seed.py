"""An organisation made from a number."""

import subprocess

import pytest
from sandbox import BUILD, Sandbox

KINDS = ("Account", "Contact", "Opportunity", "Lead", "Case")


def rows_of(folder, *options):
    with Sandbox(folder, *options) as org:
        return {name: org.rows(name) for name in KINDS}


def test_the_same_seed_makes_the_same_records_and_another_makes_others(tmp_path):
    first = rows_of(tmp_path, "--seed", "7", "--accounts", "40")
    assert [len(first[name]) for name in KINDS] == [40, 80, 20, 20, 10]
    assert rows_of(tmp_path, "--seed", "7", "--accounts", "40") == first
    assert rows_of(tmp_path, "--seed", "8", "--accounts", "40") != first


def test_seeded_records_live_with_those_made_later(tmp_path):
    with Sandbox(tmp_path, "--accounts", "10", "--contacts", "5", "--cases", "0") as org:
        assert org.query("SELECT Id FROM Case") == []
        rows = org.query("SELECT Name, Account.Name FROM Contact WHERE Account.Name != null")
        assert len(rows) == 5
        ids = {row["Id"] for row in org.rows("Account")}
        assert org.create("Account", Name="later") not in ids
        row = org.rows("Account")[0]
        org.update("Account", row["Id"], Phone="1")
        [case] = [org.create("Case", Subject="S")]
        assert org.retrieve("Case", case)["CaseNumber"] == "00000001"


def test_only_a_new_organisation_is_seeded(tmp_path):
    options = ("--data", tmp_path / "org.db", "--accounts", "3")
    for _ in range(2):
        with Sandbox(tmp_path, *options) as org:
            assert len(org.rows("Account")) == 3


@pytest.mark.parametrize("count", ["-1", "x", "1000000000000", ""])
def test_a_count_that_is_none_is_refused(count):
    command = [BUILD / "bin" / "pgforce-sandbox", f"--accounts={count}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 64 and "is not a number" in done.stderr
