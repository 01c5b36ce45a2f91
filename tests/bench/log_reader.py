"""Notes when entries of the log could be read, as a role learns it that waits for the log's notifications."""

import bisect
import select
import time


class Reader:
    """Waits for the log's notifications and notes when which entries were there to be read."""

    def __init__(self, server):
        self._connection = server.connect()
        self._cursor = self._connection.cursor()
        self._cursor.execute('listen "salesforce.hc_trigger_log"')
        self.seen = 0
        self._taken_up_to = 0
        self._moments = []  # (last entry seen, when)

    def read(self, timeout_s):
        if not self._connection.notifies:
            select.select([self._connection], [], [], timeout_s)
            self._connection.poll()
        if not self._connection.notifies:
            return
        self._connection.notifies.clear()
        newest = self._newest()
        if newest > self.seen:
            self._moments.append((newest, time.time()))
            self.seen = newest

    def latencies_ms(self):
        """One per entry, ascending; and how many changes a second there were."""
        self._cursor.execute(
            "select extract(epoch from commit_time)::float8 from salesforce._trigger_log order by id"
        )
        commits = [commit_s for commit_s, in self._cursor.fetchall()]
        found, first = [], 0
        for last, moment_s in self._moments:
            found += [(moment_s - commit_s) * 1000 for commit_s in commits[first:last]]
            first = last
        return sorted(found), len(commits) / (max(commits) - min(commits))

    def skip(self):
        """What is there already counts for nothing."""
        self.seen = self._taken_up_to = self._newest()

    def take_latencies_ms(self, every_nth):
        """Of each so many-th entry that was seen since the last take; those that have left the log are missing."""
        moments, self._moments = self._moments, []
        if not moments:
            return []
        self._cursor.execute(
            """select id, extract(epoch from commit_time)::float8
               from salesforce._trigger_log
               where id > %s and id <= %s and id %% %s = 0 and commit_time is not null""",
            [self._taken_up_to, moments[-1][0], every_nth],
        )
        self._taken_up_to = moments[-1][0]
        newest = [last for last, _ in moments]
        return [
            (moments[bisect.bisect_left(newest, number)][1] - commit_s) * 1000
            for number, commit_s in self._cursor.fetchall()
        ]

    def _newest(self):
        self._cursor.execute("select coalesce(max(id), 0) from salesforce._trigger_log")
        return self._cursor.fetchone()[0]

    @property
    def wakes(self):
        return len(self._moments)

    def close(self):
        self._connection.close()
