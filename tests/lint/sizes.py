"""Small pieces: functions of at most 70 lines and 5 parameters, files of at most 600 lines.

The code is clang-formatted, so a function's body is what stands between a { and a } that are alone in
column one. Tables inside a function (an initializer that ends with "};") do not count.
"""

import re

from lint import Finding, c_files, run

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
MAX_PARAMETERS = 5

# Callbacks whose parameters a library dictates, by file.
DICTATED = {
    "plugin/plugin.c": ("message_cb",),
    "src/net/http_server.c": ("take_request",),
}


def functions(lines):
    """Yields (index of the signature's first line, of the {, of the }) for each function."""
    opening = None
    for index, line in enumerate(lines):
        if line == "{":
            opening = index
        elif line == "}" and opening is not None:
            yield signature_start(lines, opening), opening, index
            opening = None


def signature_start(lines, opening):
    start = opening
    while start > 0 and not re.search(r"^$|^#|[;}]$|\*/$|^//", lines[start - 1]):
        start -= 1
    return start


def table_lines(body):
    """How many lines of a function's body belong to tables."""
    count, indent = 0, None
    for line in body:
        if indent is None and line.endswith("= {"):
            indent = line[: len(line) - len(line.lstrip())]
        if indent is not None:
            count += 1
            if line == indent + "};":
                indent = None
    return count


def parameter_count(signature):
    """Commas at the first level of the first parentheses that follow a name."""
    text = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", signature)
    depth, count, inside = 0, 0, ""
    for character in text[text.find("(") :]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            break
        inside += character
        count += character == "," and depth == 1
    return 0 if inside.strip("( ") in ("", "void") else count + 1


def is_dictated(signature, path, tree):
    name = signature.partition("(")[0].split()[-1].lstrip("*")
    return name in DICTATED.get(str(path.relative_to(tree)), ())


def check_file(path, tree):
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) > MAX_FILE_LINES:
        yield Finding(path, MAX_FILE_LINES + 1, f"{len(lines)} lines; at most {MAX_FILE_LINES}")
    for start, opening, closing in functions(lines):
        signature = " ".join(line.strip() for line in lines[start:opening])
        size = closing - start + 1 - table_lines(lines[opening:closing])
        parameters = parameter_count(signature)
        if size > MAX_FUNCTION_LINES:
            yield Finding(path, start + 1, f"{size} lines; at most {MAX_FUNCTION_LINES}")
        if parameters > MAX_PARAMETERS and not is_dictated(signature, path, tree):
            yield Finding(path, start + 1, f"{parameters} parameters; at most {MAX_PARAMETERS}")


def check(tree, build):
    files = c_files(tree, "src", "plugin", "tests")
    return [finding for path in files for finding in check_file(path, tree)]


if __name__ == "__main__":
    run(check)
