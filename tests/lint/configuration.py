#!/usr/bin/python3
"""docs/configuration.md has the table that the program prints, row for row."""

import os
import subprocess

from lint import Finding, run


def check(tree, build):
    program = build / "bin" / "pgforce"
    page = tree / "docs" / "configuration.md"
    # What ./dev exports for the tests is no option of the program.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PGFORCE_")}
    printed = subprocess.run(
        [program, "config-table"], env=env, capture_output=True, text=True, check=True
    ).stdout
    if printed in page.read_text():
        return []
    return [Finding(page, 1, "is not what `pgforce config-table` prints")]


if __name__ == "__main__":
    run(check)
