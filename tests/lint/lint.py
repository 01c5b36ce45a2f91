"""What the lints share. A lint is a function from a source tree (and its build folder) to findings."""

import argparse
import sys
from pathlib import Path


class Finding:
    def __init__(self, path, line, message):
        self.path, self.line, self.message = path, line, message

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}"


def c_files(tree, *folders, endings=(".c", ".h")):
    """The C files below the folders, in a stable order."""
    return sorted(
        path
        for folder in folders
        for path in (tree / folder).rglob("*")
        if path.suffix in endings and path.is_file()
    )


def numbered_lines(path):
    return enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)


def run(check):
    """The command line of one lint: exit code 1 and one line per finding, or nothing and 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--build", type=Path)
    arguments = parser.parse_args()
    findings = check(arguments.tree, arguments.build)
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
