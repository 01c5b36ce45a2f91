"""Every C file is as clang-format leaves it."""

import re
import subprocess

from lint import Finding, c_files, run


def check(tree, build):
    files = c_files(tree, "src", "plugin", "tests")
    if not files:
        return [Finding(tree, 1, "no C files found")]
    style = f"--style=file:{tree / '.clang-format'}"
    done = subprocess.run(
        ["clang-format", style, "--dry-run", "-Werror", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    first_of_file = {}
    for path, line, message in re.findall(r"^(.+?):(\d+):\d+: error: (.*)$", done.stderr, re.M):
        first_of_file.setdefault(path, Finding(path, line, f"{message}: run clang-format -i"))
    if done.returncode != 0 and not first_of_file:
        return [Finding(tree, 1, f"clang-format failed: {done.stderr}")]
    return list(first_of_file.values())


if __name__ == "__main__":
    run(check)
