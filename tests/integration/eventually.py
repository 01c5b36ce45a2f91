"""Waiting for a fact, with a deadline. The only place of the integration tests that sleeps."""

import time

import psycopg2


def eventually(check, deadline_s=90):
    """Calls check until it answers something true, and answers that. What check raises because the
    fact is not there yet (a failed assert, a server that is starting) is asked again; at the deadline
    the last answer is the test's failure."""
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            answer = check()
            if answer:
                return answer
            last = f"the last answer was {answer!r}"
        except (AssertionError, psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            last = f"the last answer was {type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            raise AssertionError(f"not true after {deadline_s} s; {last}")
        time.sleep(0.05)
