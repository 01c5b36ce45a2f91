"""A clock of the day for chosen processes, set while they run: stepped_clock.c, which they load first.

    clock = SteppedClock(folder)
    subprocess.Popen(argv, env={**os.environ, **clock.environment()})
    clock.set(HOUR)
"""

import os
import shutil
import struct
import time
from pathlib import Path

from cluster import BUILD

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
LIBRARY = BUILD / "tests" / "stepped_clock.so"


class SteppedClock:
    def __init__(self, folder):
        # A copy, for the server's user may not enter the build folder.
        self.library = shutil.copy(LIBRARY, folder)
        self.file = Path(folder) / "clock"
        self.file.write_bytes(struct.pack("q", 0))
        self.file.chmod(0o644)
        self.offset_s = 0

    def environment(self):
        """For a process that is to go by this clock, and for all that it starts."""
        return {
            "LD_PRELOAD": str(self.library),
            "STEPPED_CLOCK": str(self.file),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
        }

    def set(self, offset_s):
        """So many seconds from the true time, at once."""
        self.offset_s = offset_s
        with open(self.file, "r+b") as file:
            file.write(struct.pack("q", int(offset_s * 1_000_000)))

    def set_to(self, moment):
        """To a moment, with its zone; from there it goes on."""
        self.set(moment.timestamp() - time.time())
