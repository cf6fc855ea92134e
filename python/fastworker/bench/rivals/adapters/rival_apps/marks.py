"""A file in which every call has a place: how often it started and ended, when it was due, began and ended.

It is what the bench believes: a queue that says "empty" has not proved that anything ran, and a counter would let a
lost task hide behind one that ran twice. All processes of a worker map the same file; a mark is a store to memory,
without a system call.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path

#: Two counters of a byte, three times of 8 bytes.
BYTES = 26
_MOST = 255


class Marks:
    """The file, mapped; forked children share it.

    Args:
        path: It must be there; its size says for how many calls.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0))
        self.capacity = len(whole) // BYTES
        count = self.capacity
        # The times come first, since 8 bytes are stored at once where they are aligned.
        times = whole[: 24 * count].cast("Q")
        #: ``time.monotonic_ns()`` of when the call should be published; 0: nobody says.
        self.due = times[:count]
        #: Of the start, and of the end.
        self.began = times[count : 2 * count]
        self.ended = times[2 * count :]
        self.starts = whole[24 * count : 25 * count]
        self.ends = whole[25 * count : 26 * count]

    def begin(self, number: int) -> None:
        """The call starts."""
        self.began[number] = time.monotonic_ns()
        self.starts[number] = min(_MOST, self.starts[number] + 1)

    def end(self, number: int) -> None:
        """The call has run."""
        self.ended[number] = time.monotonic_ns()
        self.ends[number] = min(_MOST, self.ends[number] + 1)


def create(path: Path, capacity: int) -> Marks:
    """A new file for so many calls. It is sparse: what is not used takes no room."""
    with path.open("xb") as file:
        file.truncate(capacity * BYTES)
    return Marks(path)
