"""A lint that cannot fail is a defect: each must pass a good tree and find what is wrong in bad ones."""

import importlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

TABLE = """\
## Who may include whom

| folder | may include |
|---|---|
| `base` | – |
| `low`, `side` | `base`, `made.pb-c.h` |
| `high` | `base`, `low` (`a.h`) |
| `main.c` | `high` |
| `plugin` | – |

## Next
"""
GOOD_C = "int a_one(int x);\n\nint a_one(int x)\n{\n    return x;\n}\n"
GOOD_H = "#ifndef A_H\n#define A_H\n\nint a_one(int x);\n\n#endif\n"
GOOD_HIGH = '#include <stdio.h>\n\n#include "base/a.h"\n#include "high/b.h"\n#include "low/a.h"\n'
GOOD = {
    "docs/architecture.md": TABLE,
    "src/base/a.c": GOOD_C,
    "src/base/a.h": GOOD_H,
    "src/low/a.h": GOOD_H,
    "src/low/c.c": '#include "made.pb-c.h"\n',
    "src/high/b.c": GOOD_HIGH,
    "src/high/b.h": GOOD_H,
    "src/main.c": '#include "high/b.h"\n',
    "plugin/p.c": '#include "postgres.h"\n\n#include "p.h"\n#include "replication/logical.h"\n',
}


def function(parameters="void", lines=1, table=0):
    body = "    a_one(1);\n" * lines
    if table:
        body = "    static const int t[] = {\n" + "        1,\n" * table + "    };\n" + body
    return f"int a_one(int x);\n\nstatic void f({parameters})\n{{\n{body}}}\n"


SIX = "int a, int b, int c,\n    int d, int e, int f"

# lint, files changed in the good tree, what must be found; None: nothing
CASES = [
    ("format", {}, None),
    ("format", {"src/base/a.c": GOOD_C.replace("    return", "  return")}, "a.c:4: "),
    ("format", {"src/base/a.h": GOOD_H.replace("(int x)", "( int x )")}, "a.h:4: "),
    ("layers", {}, None),
    ("layers", {"src/base/a.c": '\n#include "low/a.h"\n'}, "a.c:2: base may not include low"),
    ("layers", {"src/low/c.c": '#include "high/b.h"\n'}, "c.c:1: low may not include high"),
    ("layers", {"src/side/c.c": '#  include "low/a.h"\n'}, "c.c:1: side may not include low"),
    ("layers", {"src/high/b.h": '#include "low/z.h"\n'}, "high may include only a.h of low"),
    ("layers", {"src/main.c": '#include "base/a.h"\n'}, "main.c may not include base"),
    ("layers", {"src/base/a.c": '#include "made.pb-c.h"\n'}, "allow `made.pb-c.h`"),
    ("layers", {"src/base/a.c": '#include "../low/a.h"\n'}, "no .."),
    ("layers", {"src/base/a.c": '#include "other/a.h"\n'}, "does not know the folder other"),
    ("layers", {"src/new/a.c": GOOD_C}, "no row for new"),
    ("layers", {"plugin/p.c": '#include "base/a.h"\n'}, "plugin may not include base"),
    ("layers", {"docs/architecture.md": "## Other\n"}, "no table"),
    ("sizes", {"src/base/a.c": function(lines=67)}, None),
    ("sizes", {"src/base/a.c": function(lines=68)}, "a.c:3: 71 lines"),
    ("sizes", {"src/base/a.c": function(lines=67, table=50)}, None),
    ("sizes", {"src/base/a.c": function(lines=68, table=50)}, "a.c:3: 71 lines"),
    ("sizes", {"src/base/a.c": function("int a, int b, int c, int (*d)(int, int), int e")}, None),
    ("sizes", {"src/base/a.c": function(SIX)}, "6 parameters"),
    ("sizes", {"src/net/http_server.c": function(SIX).replace(" f(", " take_request(")}, None),
    ("sizes", {"src/net/http_server.c": function(SIX)}, "6 parameters"),
    ("sizes", {"src/base/a.c": "\n" * 600}, None),
    ("sizes", {"src/base/a.c": "\n" * 601}, "a.c:601: 601 lines"),
    ("headers", {}, None),
    ("headers", {"src/base/a.h": "size_t a_one(void);\n"}, "a.h:1: does not compile alone"),
    ("headers", {"src/base/a.h": "int a_one();\n"}, "a.h:1: does not compile alone"),
    ("cleanup", {"src/base/a.c": "    struct buf text BUF_AUTO = {0};\n"}, None),
    ("cleanup", {"src/base/a.c": "\n    struct buf text BUF_AUTO;\n"}, "a.c:2: declared without"),
    ("names", {}, None),
    ("names", {"src/base/a.c": GOOD_C + "int b_two;\n"}, "a.c:1: exports b_two"),
    ("names", {"src/base/a.c": GOOD_C.replace("a_one", "aone")}, "a.c:1: exports aone"),
    ("names", {"src/base/a.c": "int a;\nstatic int b_two;\nint *a_at(void) { return &b_two; }\n"}, None),
]


def lay_tree(tree, changes):
    for name, text in {**GOOD, **changes}.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(ROOT / ".clang-format", tree)
    build = tree / "build"
    (build / "src").mkdir(parents=True)
    commands = [
        {"file": str(path), "command": f"cc -I{tree}/src -Werror -Wstrict-prototypes -c {path}"}
        for path in [*tree.glob("src/*/*.c"), *tree.glob("plugin/*.c")]
    ]
    (build / "compile_commands.json").write_text(json.dumps(commands))
    return build


def make_library(tree, build):
    subprocess.run(["gcc", "-c", "-o", build / "a.c.o", tree / "src/base/a.c"], check=True)
    subprocess.run(["ar", "rc", build / "src/libpgforce_base.a", build / "a.c.o"], check=True)


def judge(name, changes, expected):
    """What the lint did wrong, or None."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        build = lay_tree(tree, changes)
        if name == "names":
            make_library(tree, build)
        found = "\n".join(str(finding) for finding in importlib.import_module(name).check(tree, build))
    if expected is None:
        return f"found in a good tree: {found}" if found else None
    return None if expected in found else f'did not find "{expected}" but: {found or "nothing"}'


def main():
    failures = [
        f"{name} {sorted(changes)}: {wrong}"
        for name, changes, expected in CASES
        if (wrong := judge(name, changes, expected))
    ]
    print("\n".join(failures) or f"{len(CASES)} cases")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
