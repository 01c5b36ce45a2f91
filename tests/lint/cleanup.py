#!/usr/bin/python3
"""A variable that frees itself has a value where it is declared: before an early return it would free
whatever the stack held."""

import re

from lint import Finding, c_files, numbered_lines, run

DECLARED_BARE = re.compile(r"\b[A-Z_]+_AUTO\s*;")


def check(tree, build):
    return [
        Finding(path, number, "declared without a value")
        for path in c_files(tree, "src", "tests")
        for number, line in numbered_lines(path)
        if DECLARED_BARE.search(line)
    ]


if __name__ == "__main__":
    run(check)
