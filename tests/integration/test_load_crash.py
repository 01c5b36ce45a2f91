"""Killed at any moment, a large load and a busy poll go on where they were: every row is there once, and no
page has been written twice."""

import os
import random
import threading

from eventually import eventually
from sync import account
from test_load import assert_equal, count

LONG = "PGFORCE_LONG" in os.environ
KILLS = 50 if LONG else 6
ROWS = 200_000 if LONG else 20_000
PAGE_ROWS = 2_000 if LONG else 1_000
# How many of the pages are late, and by how much: so that the load outlasts its killer.
LATE = {"rate": 1.0, "delay_ms": 500} if LONG else {"rate": 0.5, "delay_ms": 150}

# Counts what COPY and INSERT write, in the transaction that writes it: what is rolled back does not count.
COUNT_INSERTS = """
create table public.inserted (rows bigint);
grant insert on public.inserted to pgforce;
create function public.count_inserts() returns trigger language plpgsql as
$$ begin insert into public.inserted select count(*) from added; return null; end $$;
"""
TRIGGER = """
create trigger count_inserts after insert on salesforce.account
referencing new table as added for each statement execute function public.count_inserts()
"""


def prepare(sync):
    sync.pgforce.env["PGFORCE_BULK_READ_ABOVE"] = "100"
    sync.pgforce.env["PGFORCE_LOG_LEVEL"] = "info"
    sync.org.post("/_sandbox/bulk", {"page_rows": PAGE_ROWS})
    sync.map(account())
    sync.query(COUNT_INSERTS)
    sync.query("grant execute on function public.count_inserts() to pgforce")
    sync.query(TRIGGER, role="pgforce")


def kill_at_random(sync, chance, longest_s, is_over=lambda: False):
    """Answers how many rows were in the table at each kill."""
    seen = []
    while len(seen) < KILLS and not is_over():
        pull = sync.start("pull")
        threading.Event().wait(chance.uniform(0.02, longest_s))
        pull.kill()
        seen.append(count(sync))
    print(f"killed {len(seen)} times")
    return seen


def kill_in_the_middle(sync):
    """Where the machine is so busy that no page was in when the others came."""
    pull = sync.start("pull")
    eventually(lambda: count(sync) > 0)
    pull.kill()
    return count(sync)


def test_a_load_that_is_killed_again_and_again_writes_each_row_once(sync):
    seed = random.randrange(1000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    sync.org.load("Account", ROWS)
    prepare(sync)
    sync.org.fault({"match": {"path": "/results"}, "seed": seed, "times": 1_000_000, **LATE})
    seen = kill_at_random(sync, chance, 1.5 if LONG else 1.2, lambda: sync.mapping_states() == {"DATA_SYNCED"})
    if not any(0 < rows < ROWS for rows in seen):
        seen.append(kill_in_the_middle(sync))
    assert any(0 < rows < ROWS for rows in seen), seen
    sync.org.clear_faults()
    sync.start("archive", "pull")
    sync.wait_until_loaded(300 if LONG else 60)
    assert sync.query("select sum(rows)::bigint from public.inserted") == [(ROWS,)]
    assert sync.query("select count(distinct sfid) from salesforce.account") == [(ROWS,)]
    assert_equal(sync)


def test_a_busy_poll_that_is_killed_again_and_again_ends_equal(sync):
    seed = random.randrange(1000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    sync.org.load("Account", 2_000)
    prepare(sync)
    sync.start("archive", "pull")
    sync.wait_until_loaded()
    sync.roles["pull"].stop()
    ids = [record["Id"] for record in sync.org.query("select Id from Account order by Id")]
    is_over = threading.Event()

    def work():
        """Somebody else, all the time."""
        number = 0
        while not is_over.wait(0.01):
            number += 1
            batch = chance.sample(ids, 20)
            records = [
                {"attributes": {"type": "Account"}, "id": each, "Phone": f"{number}"} for each in batch
            ]
            sync.org.request("PATCH", "composite/sobjects", {"allOrNone": False, "records": records})
            sync.org.create("Account", Name=f"New {number}")
            if number % 7 == 0:
                gone = ids.pop(chance.randrange(len(ids)))
                sync.org.remove("Account", gone)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        kill_at_random(sync, chance, 0.8)
    finally:
        is_over.set()
        worker.join()
    sync.start("pull")
    theirs = len(sync.org.query("select Id from Account"))
    eventually(lambda: count(sync) == theirs, deadline_s=60)
    eventually(lambda: assert_equal(sync) or True, deadline_s=60)
    assert not sync.query("select sfid from salesforce.account group by sfid having count(*) > 1")
    # Polls read a record again and again; it comes into the table once at most.
    [(written,)] = sync.query("select sum(rows)::bigint from public.inserted")
    assert theirs <= written <= len(sync.org.rows("Account"))
