#!/usr/bin/python3
"""docs/configuration.md has the table that the program prints, row for row."""

import subprocess

from lint import Finding, run


def check(tree, build):
    program = build / "bin" / "pgforce"
    page = tree / "docs" / "configuration.md"
    printed = subprocess.run(
        [program, "config-table"], capture_output=True, text=True, check=True
    ).stdout
    if printed in page.read_text():
        return []
    return [Finding(page, 1, "is not what `pgforce config-table` prints")]


if __name__ == "__main__":
    run(check)
