"""``worker --reload``: a process that starts the worker again whenever its code changes. For development.

The worker is a child process with the same command line, terminal and process group, so that a debugger works in it and
Ctrl-C reaches it. On a change it gets SIGTERM: a warm shutdown, which finishes running tasks. One that ends with an
error (a module that cannot be imported) is started again at the next change.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Literal

import click

from fastworker.cli.polling import poll
from fastworker.cli.session import complain

#: Set for the worker itself, so that it does not watch files too.
_MARK = "FASTWORKER_IS_RELOADED"

_Word = Literal["changed", "ended", "signal"]


def is_watched_already() -> bool:
    """Whether this process is the worker that another one starts again."""
    return os.environ.pop(_MARK, None) is not None


def run_reloading(directories: Sequence[str], workdir: str) -> int:
    """Run this very command line as a child process, again and again, until a signal ends it.

    Args:
        directories: Where Python files are watched, with everything below.
        workdir: Where the command was given.

    Returns:
        The worker's last exit status.

    Raises:
        click.UsageError: watchfiles is not installed, or a directory is not there.
    """
    for directory in directories:
        if not os.path.isdir(directory):
            raise click.BadParameter(f"{directory!r} is no directory", param_hint="--reload-dir")
    return _Reloader(directories, workdir).run()


class _Reloader:
    def __init__(self, directories: Sequence[str], workdir: str) -> None:
        self._directories = directories
        self._workdir = workdir
        # Signal handlers put words, so it must be of the kind that may be used in them.
        self._words: queue.SimpleQueue[_Word] = queue.SimpleQueue()
        self._worker: subprocess.Popen[bytes] | None = None
        self._signals: list[int] = []
        self._is_restarting = False

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda *_: self._words.put("ended"))
        with _watching(self._directories, self._words):
            complain(f"fastworker: watching Python files below {', '.join(self._directories)}")
            self._start()
            while (status := self._obey(self._words.get())) is None:
                pass
        return status

    def _obey(self, word: _Word) -> int | None:
        """Act on one word; the exit status when everything is over."""
        worker = self._worker
        if word == "changed" and not self._signals:
            if worker is None:
                self._start()
            elif not self._is_restarting:
                complain(
                    "fastworker: the code has changed, restarting when running tasks have ended"
                )
                self._is_restarting = True
                worker.terminate()
        if word == "signal":
            if worker is None:
                return 128 + self._signals[0]
            # The terminal has sent its Ctrl-C to the worker too: one that comes on top must not make it colder.
            if len(self._signals) == 1:
                worker.terminate()
            elif self._signals[-1] != signal.SIGINT:
                worker.send_signal(self._signals[-1])
        if word == "ended" and worker is not None and (status := worker.poll()) is not None:
            self._worker = None
            if self._signals or (status == 0 and not self._is_restarting):
                return status
            if self._is_restarting:
                self._start()
            else:
                complain(f"fastworker: the worker ended with status {status}; waiting for a change")
        return None

    def _start(self) -> None:
        self._is_restarting = False
        # As it was given, wherever the interpreter found its main module.
        command = [sys.executable, *sys.orig_argv[1:]]
        self._worker = subprocess.Popen(command, cwd=self._workdir, env={**os.environ, _MARK: "1"})

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signals.append(number)
        self._words.put("signal")


@contextlib.contextmanager
def _watching(directories: Sequence[str], words: queue.SimpleQueue[_Word]) -> Iterator[None]:
    """Put a word for every batch of changes, in a thread."""
    try:
        from watchfiles import PythonFilter, watch
    except ImportError as missing:
        raise click.UsageError(
            "--reload needs watchfiles, which is not installed: pip install fastworker-rs[reload]"
        ) from missing
    is_over = threading.Event()

    def report(changes: Iterator[object]) -> None:
        for _change in changes:
            words.put("changed")

    def look() -> None:
        try:
            try:
                report(watch(*directories, watch_filter=PythonFilter(), stop_event=is_over))
            except RuntimeError as error:  # its native part's: no inotify instance is left
                complain(f"fastworker: files are polled, because the system does not tell: {error}")
                report(poll(directories, is_over))
        except Exception as error:
            complain(f"fastworker: cannot watch files any more, changes have no effect: {error}")

    thread = threading.Thread(target=look, name="fastworker-reload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
