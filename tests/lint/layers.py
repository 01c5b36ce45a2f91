"""Who may include whom: the table of that name in docs/architecture.md, held."""

import re

from lint import Finding, c_files, numbered_lines, run

DOCUMENT = "docs/architecture.md"
HEADING = "## Who may include whom"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
# `folder` or `folder` (`only_this.h`)
NAME = r"`([\w.-]+)`"
ALLOWED = re.compile(NAME + r"(?: \(" + NAME + r"\))?")


def read_table(tree):
    """Answers {folder: {allowed folder: None or the one header allowed of it}}."""
    text = (tree / DOCUMENT).read_text(encoding="utf-8")
    table = {}
    for line in text.partition(HEADING)[2].splitlines():
        if line.startswith("#"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(NAME, cells[0])
        if line.startswith("|") and names:
            for name in names:
                table[name] = {folder: only or None for folder, only in ALLOWED.findall(cells[1])}
    return table


def place_of(path, tree):
    """The row of the table that a file falls under: its folder, or its name for files in src itself."""
    parts = path.relative_to(tree).parts
    if parts[0] == "plugin":
        return "plugin"
    return parts[1]


def judge(included, place, table):
    """What is wrong with including this from there, or None."""
    folder, _, header = included.partition("/")
    if ".." in included.split("/"):
        return "includes start at src: no .."
    if not header:
        if place == "plugin" or included in table[place]:
            return None
        return f'write "folder/{included}", or allow `{included}` in {DOCUMENT}'
    if folder not in table:
        # The server's own headers come in folders too.
        return None if place == "plugin" else f"{DOCUMENT} does not know the folder {folder}"
    if folder == place:
        return None
    if folder not in table[place]:
        return f"{place} may not include {folder}"
    only = table[place][folder]
    if only is not None and header != only:
        return f"{place} may include only {only} of {folder}"
    return None


def check(tree, build):
    table = read_table(tree)
    if not table:
        return [Finding(DOCUMENT, 1, f'no table under "{HEADING}"')]
    findings = []
    for path in c_files(tree, "src", "plugin"):
        place = place_of(path, tree)
        if place not in table:
            findings.append(Finding(path, 1, f"{DOCUMENT} has no row for {place}"))
            continue
        for number, line in numbered_lines(path):
            include = INCLUDE.match(line)
            wrong = judge(include.group(1), place, table) if include else None
            if wrong:
                findings.append(Finding(path, number, wrong))
    return findings


if __name__ == "__main__":
    run(check)
