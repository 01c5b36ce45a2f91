"""File = module = prefix: what src/x/y.c exports is called y, y_..., or begins with an extra prefix below.

Looks at what the linker sees, in the libraries of the build folder: nothing exported escapes it.
"""

import re
import subprocess

from lint import Finding, run

# Modules, or whole folders, whose objects deserve a name of their own.
EXTRA_PREFIXES = {
    "base/arena": ("memory",),
    "change/change": ("relation",),
    "net/http_client": ("http",),
    "sf": ("sf",),
}
MEMBER = re.compile(r"^(.+)\.c\.o:$")
SYMBOL = re.compile(r"^[0-9a-f]+ [A-Z] (\w+)$")


def is_well_named(symbol, module, prefixes):
    return any(symbol == prefix or symbol.startswith(prefix + "_") for prefix in (module, *prefixes))


def check_library(library):
    folder = library.stem.removeprefix("libpgforce_")
    done = subprocess.run(
        ["nm", "--extern-only", "--defined-only", library],
        capture_output=True,
        text=True,
        check=True,
    )
    module = None
    for line in done.stdout.splitlines():
        member, symbol = MEMBER.match(line), SYMBOL.match(line)
        if member:
            module = member.group(1)
        # The sanitizers add names of their own.
        if not symbol or symbol.group(1).startswith("__") or symbol.group(1) == "main":
            continue
        prefixes = EXTRA_PREFIXES.get(f"{folder}/{module}", EXTRA_PREFIXES.get(folder, ()))
        if not is_well_named(symbol.group(1), module, prefixes):
            path = f"src/{folder}/{module}.c"
            yield Finding(path, 1, f"exports {symbol.group(1)}, which does not start with {module}_")


def check(tree, build):
    libraries = sorted((build / "src").glob("libpgforce_*.a"))
    if not libraries:
        return [Finding(build, 1, "no libraries: build first")]
    return [finding for library in libraries for finding in check_library(library)]


if __name__ == "__main__":
    run(check)
