"""What a day has shown, as tables and as a chart."""

import json

import benchmark
import svg

MB = 1024 * 1024
# Of an entry of the archive apart from its two texts: its row, and its part of four indexes (docs/operations.md).
ENTRY_BYTES = 230
PER_ENTRY = ("walsender", "archive", "back end of archive", "back end of housekeeper")
PER_ANSWER = ("push", "back end of push", "organisation")


def line_of_hour(hour, number):
    logged, answered = hour["logged_ms"], hour["answered_ms"]
    return (
        f"hour {number}: {hour['changes']:,} changes, {hour['changes'] / hour['seconds']:,.0f} a second;"
        f" logged p50 {logged.get('p50')} p99 {logged.get('p99')} ms; answered {hour['answered']:,},"
        f" p50 {answered.get('p50')} p99 {answered.get('p99')} ms; waiting at most {hour['most']['waiting']:,};"
        f" slot {hour['most']['retained_bytes'] / MB:,.0f} MB; log {hour['disk']['log_bytes'] / MB:,.0f} MB"
        f" with {hour['disk']['log_entries']:,}; load {hour['load']}"
    )


def print_report(record):
    hours = record["hours"]
    if not hours:
        return
    for number, run in enumerate(record["runs"], 1):
        own = [hour for hour in hours if hour["run"] == number]
        if own:
            loads = [hour["load"] for hour in own]
            print(
                f"Run {number}: {run['date']}, {run['cpu']}, {run['cores']} cores, {run['memory_gb']} GB, PostgreSQL"
                f" {run['postgresql']}, source {run['source']}; {len(own)} hours,"
                f" {run['per_s']:,} changes a second asked for, load {min(loads)} to {max(loads)}"
            )
    print(f"\n{len(hours)} of 24 hours, {hours[-1]['made']:,} changes\n")
    _print_memory(hours)
    _print_latency(hours)
    _print_cpu(hours)
    _print_disk(record)
    _print_checks(record)


def _thirds(hours):
    """The first, the middle and the last third of what there is; each has at least one hour."""
    size = max(1, len(hours) // 3)
    return hours[:size], hours[size:-size] or hours[:size], hours[-size:]


def _print_memory(hours):
    print("**Memory of its own that a process had at most, MB**\n")
    names = sorted({name for hour in hours for name in hour["memory_mb"]})
    rows = []
    for name in names:
        most = [max(hour["memory_mb"].get(name, 0) for hour in third) for third in _thirds(hours)]
        ratio = f"{most[2] / most[0]:.2f}" if most[0] else ""
        rows.append((name, *(f"{each:.1f}" for each in most), ratio))
    benchmark.print_table(("", "first third", "second", "last third", "last / first"), rows)


def _print_latency(hours):
    print("**Latency, ms** (medians of the hours)\n")
    rows = []
    for title, name in (("commit to log", "logged_ms"), ("commit to answer stored", "answered_ms")):
        for share in ("p50", "p95", "p99"):
            cells = [_middle([hour[name].get(share) for hour in third]) for third in _thirds(hours)]
            rows.append((f"{title}, {share}", *cells))
    benchmark.print_table(("", "first third", "second", "last third"), rows)


def _middle(values):
    known = sorted(value for value in values if value is not None)
    return f"{known[len(known) // 2]:,.0f}" if known else ""


def cost_us(hour, name):
    """CPU of an hour's process for each entry logged, or answered."""
    count = hour["answered"] if name in PER_ANSWER else hour["changes"]
    return hour["cpu_s"].get(name, 0) * 1e6 / count if count else 0.0


def _print_cpu(hours):
    print("**CPU, µs an entry** (push, its back end and the organisation: an answered entry)\n")
    rows = [("archived entries at the end", *(f"{third[-1]['disk']['archived']:,}" for third in _thirds(hours)))]
    for name in (*PER_ENTRY, *PER_ANSWER):
        cells = [sum(cost_us(hour, name) for hour in third) / len(third) for third in _thirds(hours)]
        rows.append((name, *(f"{each:.1f}" for each in cells)))
    benchmark.print_table(("", "first third", "second", "last third"), rows)


def _print_disk(record):
    hours, checks = record["hours"], record["checks"]
    print("**Disk**\n")
    rows = [
        ("WAL, bytes a change", f"{sum(hour['wal_bytes'] for hour in hours) / hours[-1]['made']:,.0f}"),
        ("WAL retained by the slot, at most, MB", f"{max(hour['most']['retained_bytes'] for hour in hours) / MB:,.0f}"),
        ("the log, at most, MB", f"{max(hour['most']['log_bytes'] for hour in hours) / MB:,.0f}"),
    ]
    if checks:
        disk, text = checks[-1]["disk"], checks[-1]["text_bytes"]
        rows += [
            ("the archive, MB", f"{disk['archive_bytes'] / MB:,.0f}"),
            ("text of an entry, bytes", f"{text:.0f}"),
            ("an archived entry, bytes", f"{disk['archive_bytes'] / disk['archived']:.0f}"),
            (f"predicted: {ENTRY_BYTES} and its text", f"{ENTRY_BYTES + text:.0f}"),
        ]
    benchmark.print_table(("", "measured"), rows)


def _print_checks(record):
    if not record["checks"]:
        return
    print("**What must be so**\n")
    rows = []
    for name, value in record["checks"][-1].items():
        if name in ("hours", "text_bytes", "disk"):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{state} {count:,}" for state, count in value.items())
        elif isinstance(value, list):
            value = ", ".join(f"{each:,}" for each in value)
        elif isinstance(value, bool):
            value = "yes" if value else "NO"
        else:
            value = f"{value:,}"
        rows.append((name, value))
    benchmark.print_table(("", ""), rows)


def write_docs(record, folder):
    folder.mkdir(exist_ok=True)
    (folder / "day.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "day.svg").write_text(draw(record))


def draw(record):
    hours = record["hours"]
    across = [hour["made"] / 1e6 for hour in hours]
    text = record["checks"][-1]["text_bytes"] if record["checks"] else 0

    def memory(*names):
        return {name: [hour["memory_mb"].get(name, 0) for hour in hours] for name in names}

    def latency(name):
        return {share: [hour[name].get(share, 0) for hour in hours] for share in ("p50", "p95", "p99")}

    panels = [
        svg.Panel("Roles: memory of their own, MB", memory("archive", "push", "pull", "listen", "housekeeper", "watch")),
        svg.Panel(
            "In the server: memory of their own, MB",
            memory(*sorted({name for hour in hours for name in hour["memory_mb"] if "back end" in name}), "walsender"),
        ),
        svg.Panel("From commit to log, ms", latency("logged_ms")),
        svg.Panel("From commit to the answer's being stored, ms", latency("answered_ms")),
        svg.Panel("CPU, µs an entry", {name: [cost_us(hour, name) for hour in hours] for name in PER_ENTRY}),
        svg.Panel(
            "Disk, GB",
            {
                "archive": [hour["disk"]["archive_bytes"] / 1e9 for hour in hours],
                "archive, predicted": [hour["disk"]["archived"] * (ENTRY_BYTES + text) / 1e9 for hour in hours],
                "log": [hour["disk"]["log_bytes"] / 1e9 for hour in hours],
                "WAL of the slot, at most": [hour["most"]["retained_bytes"] / 1e9 for hour in hours],
            },
        ),
    ]
    return svg.draw("million changes done", across, panels)
