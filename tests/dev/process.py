"""Background programs, known by process id and start time.

A process id alone may by now belong to someone else's process; together with its start time it cannot.
Signals go through a pidfd, so that not even the moment between looking and sending is left open.
"""

import os
import select
import signal
import subprocess


def start_time(pid):
    """Clock ticks after boot at which the process started, or None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            # The name, in parentheses, may hold anything, also parentheses.
            state, *fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(fields[18])


def is_running(pid, started):
    return started is not None and start_time(pid) == started


def environment(**variables):
    """The caller's environment with these variables, but without what would lead elsewhere: libpq's
    variables and those of another installation of pgforce."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, **variables}


def start(argv, log, env):
    """Starts argv in a session of its own, standard output and error appended to the file log."""
    with open(log, "ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )


def stop(pid, started, deadline_s=90):
    """SIGTERM, then SIGKILL at the deadline. Answers False if it had to be killed."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not is_running(pid, started):
            return True
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if _has_ended(pidfd, deadline_s):
            return True
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        _has_ended(pidfd, deadline_s)
        return False
    finally:
        os.close(pidfd)


def _has_ended(pidfd, deadline_s):
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(deadline_s * 1000))
