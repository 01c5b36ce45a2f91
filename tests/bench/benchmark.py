"""What the benchmarks share: their options, medians, tables and the machine they ran on.

CPU seconds (user and system) are what they judge by: on a machine that does other work too, wall time
tells little. Contenders take turns (A B C A B C ...), so that whatever disturbs, disturbs all of them.

To be imported first: it makes the modules of tests/dev known.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dev"))

from cluster import ROOT, ClusterError, run_as_server, server_program  # noqa: E402

PROGRAM = f"./dev bench {Path(sys.argv[0]).name}"


def run(main):
    """Runs a benchmark; what it started is stopped and removed however it ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except ClusterError as error:
        sys.exit(f"{PROGRAM}: {error}")


def read_arguments(description, quick_scale, add_more=lambda parser: None):
    parser = argparse.ArgumentParser(prog=PROGRAM, description=description)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure there")
    parser.add_argument("--runs", metavar="N", type=int, help="runs per contender (5; with --quick 1)")
    parser.add_argument(
        "--scale",
        metavar="F",
        type=float,
        help=f"share of the full sizes (1; with --quick {quick_scale})",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one run: does it work?")
    add_more(parser)
    arguments = parser.parse_args()
    if arguments.runs is None:
        arguments.runs = 1 if arguments.quick else 5
    if arguments.scale is None:
        arguments.scale = quick_scale if arguments.quick else 1.0
    if arguments.runs < 1 or arguments.scale <= 0:
        parser.error("--runs and --scale must be above 0")
    return arguments


def machine():
    """Where and of what the figures are."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo", encoding="ascii") as file:
        memory_kb = int(file.readline().split()[1])
    version = run_as_server([server_program("postgres"), "--version"]).stdout.split()[2]
    commit = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory_kb / 1024 / 1024),
        "load": os.getloadavg()[0],
        "kernel": platform.release(),
        "postgresql": version,
        "source": commit or "unknown",
    }


def introduce(arguments, facts):
    """The line above the tables."""
    print(
        f"{facts['date']}, {facts['cpu']}, {facts['cores']} cores, {facts['memory_gb']} GB,"
        f" PostgreSQL {facts['postgresql']}, source {facts['source']};"
        f" medians of {arguments.runs}, sizes × {arguments.scale:g};"
        f" load {facts['load']:.1f} at the start\n",
        flush=True,
    )


def progress(text):
    print(text, file=sys.stderr, flush=True)


def medians(runs):
    """The median of each figure of a list of runs."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def print_table(heading, rows):
    """A Markdown table: the first column to the left, figures to the right."""
    cells = [list(heading), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heading))]

    def line(row):
        padded = [row[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        return "| " + " | ".join(padded) + " |"

    print(line(cells[0]))
    rules = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    print("| " + " | ".join(rules) + " |")
    for row in cells[1:]:
        print(line(row))
    print(flush=True)


def target_row(name, value, limit, is_at_least=False, unit=""):
    """A row of the table of targets."""
    is_met = value >= limit if is_at_least else value <= limit
    sign = "≥" if is_at_least else "≤"
    return (name, f"{value:.2f}{unit}", f"{sign} {limit:g}{unit}", "yes" if is_met else "no")


def print_targets(rows):
    print_table(("target", "measured", "wanted", "met"), rows)


def write_json(arguments, name, facts, figures):
    if arguments.json is None:
        return
    document = {
        "bench": name,
        "machine": facts,
        "runs": arguments.runs,
        "scale": arguments.scale,
        **figures,
    }
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")
