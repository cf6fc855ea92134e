"""``worker_redirect_stdouts``: what tasks print becomes log lines."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable
from typing import Any


class LoggingProxy:
    """A text stream that logs what is written to it.

    A handler that itself writes to the redirected stream would call us again; such a call is
    dropped.

    Args:
        logger: Gets the lines.
        level: Their level.
    """

    mode = "w"
    name: str | None = None
    encoding = "utf-8"
    errors = "replace"

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger = logger
        self._level = level
        self._state = threading.local()
        self.closed = False

    def write(self, data: str | bytes) -> int:
        """Log ``data`` without its last newline; blank text is not logged. Returns what a file
        would.
        """
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
        line = text.rstrip("\n")
        if not line or self.closed or getattr(self._state, "is_writing", False):
            return len(text)
        self._state.is_writing = True
        try:
            self._logger.log(self._level, "%s", line)
        finally:
            self._state.is_writing = False
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """``write`` each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Drop everything that is written from now on."""
        self.closed = True

    def isatty(self) -> bool:
        """Never."""
        return False

    def writable(self) -> bool:
        """As a file opened for writing."""
        return True

    def readable(self) -> bool:
        """As a file opened for writing."""
        return False

    def fileno(self) -> int:
        """The process's own standard error, for libraries that insist on a descriptor
        (faulthandler).
        """
        return sys.__stderr__.fileno() if sys.__stderr__ is not None else 2


def redirect_stdouts(logger: logging.Logger, level: int) -> None:
    """Send standard output and standard error of Python code to ``logger``; ``sys.__stdout__``
    stays as it is.
    """
    proxy: Any = LoggingProxy(logger, level)
    sys.stdout = sys.stderr = proxy
