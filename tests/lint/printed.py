#!/usr/bin/python3
"""The tables in docs that the program prints are what it prints, row for row."""

import os
import subprocess

from lint import Finding, run

# The page, and the command that prints its table.
PRINTED = [
    ("configuration.md", "config-table"),
    ("api.md", "route-table"),
    ("mappings.md", "mapping states"),
    ("doctor.md", "rule-table"),
    ("operations.md", "exit-code-table"),
]


def check(tree, build):
    program = build / "bin" / "pgforce"
    # What ./dev exports for the tests is no option of the program.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PGFORCE_")}
    findings = []
    for page, command in PRINTED:
        printed = subprocess.run(
            [program, *command.split()], env=env, capture_output=True, text=True, check=True
        ).stdout
        if printed not in (tree / "docs" / page).read_text():
            findings.append(Finding(tree / "docs" / page, 1, f"is not what `pgforce {command}` prints"))
    return findings


if __name__ == "__main__":
    run(check)
