"""Each header compiles alone, with the flags its folder's sources are compiled with."""

import json
import shlex
import subprocess
from pathlib import Path

from lint import Finding, c_files, run


def flags_of(command):
    words = shlex.split(command)[1:]
    flags = []
    for index, word in enumerate(words):
        if word.startswith(("-I", "-D", "-W", "-std")):
            flags.append(word)
        elif word == "-isystem":
            flags += [word, words[index + 1]]
    return flags


def flags_by_folder(build):
    """From compile_commands.json: {folder of sources: flags, none twice}."""
    folders = {}
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        flags = folders.setdefault(Path(entry["file"]).resolve().parent, [])
        flags.append(flags_of(entry["command"]))
    return {folder: max(flags, key=len) for folder, flags in folders.items()}


def check(tree, build):
    flags = flags_by_folder(build)
    findings = []
    for path in c_files(tree, "src", "plugin", endings=(".h",)):
        folder = path.resolve().parent
        if folder not in flags:
            findings.append(Finding(path, 1, "no source of its folder is compiled"))
            continue
        command = ["gcc", "-fsyntax-only", *flags[folder], "-x", "c", "-"]
        source = f'#include "{path.resolve()}"\n'
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if done.returncode != 0 or done.stderr:
            findings.append(Finding(path, 1, f"does not compile alone:\n{done.stderr}"))
    return findings


if __name__ == "__main__":
    run(check)
