"""The bar of ``join(progress=True)``: in a terminal or a notebook, and nothing anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

#: Seconds between two changes of what is shown: more often nobody sees.
_EVERY_S = 0.1


class Bar(Protocol):
    """Is told of each task that ended."""

    def step(self, is_failed: bool, calls: int = 1) -> None:
        """One more, or a chunk of several, ended."""


class _NoBar:
    def step(self, is_failed: bool, calls: int = 1) -> None:
        pass


class _RichBar:
    def __init__(self, display: Any, row: Any) -> None:
        self._display = display
        self._row = row
        self._ended = self._failed = 0
        self._next = 0.0

    def step(self, is_failed: bool, calls: int = 1) -> None:
        self._ended += calls
        self._failed += calls if is_failed else 0
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY_S
            self.show()

    def show(self) -> None:
        failed = f"{self._failed:,} failed" if self._failed else ""
        self._display.update(self._row, completed=self._ended, failed=failed)


@contextmanager
def bar(is_wanted: bool, total: int) -> Iterator[Bar]:
    """A bar for a block, which tells it of each task that ended.

    It is drawn on the standard error stream, so that what a program writes stays clean. Where that is neither a
    terminal nor a notebook, nothing is drawn.

    Args:
        is_wanted: False: nothing is drawn.
        total: Tasks.
    """
    if not is_wanted:
        yield _NoBar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        TextColumn("[red]{task.fields[failed]}"),
    )
    is_seen = console.is_terminal or console.is_jupyter
    with Progress(*columns, console=console, disable=not is_seen) as display:
        drawn = _RichBar(display, display.add_task("", total=total, failed=""))
        try:
            yield drawn
        finally:
            drawn.show()
