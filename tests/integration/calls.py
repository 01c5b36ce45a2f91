"""One call of the C library's that fails, or at which the process dies (tests/torture/failcall): how often a
process makes each, which of them are tried, and what may come of it."""

import os
import random
import signal

import pytest

from cluster import BUILD

# libkrb5, which libpq asks for credentials at each connection, does not survive a malloc that answers NULL.
PRELOAD = {
    "LD_PRELOAD": str(BUILD / "bin" / "failcall.so"),
    "PGGSSENCMODE": "disable",
    # A sanitizer wants to be the first library, but it does without.
    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
}
SEED = int(os.environ.get("PGFORCE_SEED", "1"))
# Tried alone, as a test that failed prints it: PGFORCE_POINT=push/send:12:kill.
ONLY = os.environ.get("PGFORCE_POINT")

# What a supervisor tries again. All else would wait for an operator, whom one failed call is no reason to wake.
PASSING = (3, 6, 75)

TRANSFERS = ("send", "sendto", "recv", "recvfrom", "read", "write", "pread", "pwrite")
WAITS = ("poll", "select", "epoll_wait")


def environment(point):
    return {**PRELOAD, "FAILCALL": point}


def counting(path):
    return {**PRELOAD, "FAILCALL_COUNTS": str(path)}


def read_counts(path):
    """How often each call was made; without those that were not."""
    pairs = [line.split() for line in path.read_text().splitlines()]
    return {name: int(count) for name, count in pairs if int(count) > 0}


def every_death(counts):
    return [f"any:{count}:kill" for count in range(1, sum_of_others(counts) + 1)]


def sum_of_others(counts):
    """What `any` counts."""
    return sum(count for name, count in counts.items() if name != "memory")


class Points:
    """Draws the points: every second time an allocation or a death, else one of the other calls, each as likely,
    with one of the ways in which it can fail."""

    def __init__(self, seed=SEED):
        self._random = random.Random(seed)

    def draw(self, counts):
        others = [name for name in counts if name != "memory"]
        frequent = ["any", "memory"] if "memory" in counts else ["any"]
        call = self._random.choice([*frequent, self._random.choice(others), self._random.choice(others)])
        if call == "any":
            return f"any:{self._random.randint(1, sum_of_others(counts))}:kill"
        hows = [""]
        hows += [":EINTR", ":short"] if call in TRANSFERS else [":EINTR"] if call in WAITS else []
        return f"{call}:{self._random.randint(1, counts[call])}{self._random.choice(hows)}"


def assert_end(point, code, output, also=()):
    """Of a process in which this call failed."""
    allowed = (-signal.SIGKILL,) if point.endswith(":kill") else PASSING
    if code not in (*allowed, *also):
        # No assert: eventually would ask again.
        pytest.fail(f"PGFORCE_POINT={point} ended with {code}:\n{output[-3000:]}")
