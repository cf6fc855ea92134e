"""A socket that says which signals came, for a thread that sleeps.

A signal interrupts a sleep, but not one that is only about to begin: if it comes between the last look at signals and
the system call, its handler waits for the sleep to end. So whoever sleeps also waits for this socket.
"""

from __future__ import annotations

import signal
import socket


class Alarm:
    """Signals of this process, as they come. Made in the main thread, once handlers are installed."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Readable when a signal has come."""
        return self._ours.fileno()

    def take(self) -> set[int]:
        """The signals that have come since the last time."""
        try:
            return set(self._ours.recv(4096))
        except BlockingIOError:
            return set()

    def close(self) -> None:
        """Notice no more."""
        signal.set_wakeup_fd(-1)
        self._ours.close()
        self._theirs.close()
