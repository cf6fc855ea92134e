"""Python files that are looked at again and again, where the system does not tell of changes.

watchfiles can poll too, and compares whole seconds: a second change within one is missed. Here a file has changed when
its time in nanoseconds, its size or its inode is another, or when it came or went.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence

#: Between two looks, in seconds.
_PAUSE_S = 0.3
_SUFFIXES = (".py", ".pyx", ".pyd")
#: As watchfiles leaves them out.
_LEFT_OUT = frozenset(
    {
        *("__pycache__", ".git", ".hg", ".svn", ".tox", ".venv", ".idea", "node_modules"),
        *(".mypy_cache", ".pytest_cache", ".hypothesis", "site-packages"),
    }
)

_Look = dict[str, tuple[int, int, int]]


def poll(directories: Sequence[str], is_over: threading.Event) -> Iterator[None]:
    """Yield after each change of a Python file in ``directories`` and below, until ``is_over``."""
    seen = look(directories)
    while not is_over.wait(_PAUSE_S):
        now = look(directories)
        if now != seen:
            seen = now
            yield


def look(directories: Sequence[str]) -> _Look:
    """The Python files there are, and what tells one state of each from another."""
    found: _Look = {}
    for directory in directories:
        for folder, folders, files in os.walk(directory):
            folders[:] = [name for name in folders if name not in _LEFT_OUT]
            for name in files:
                if not name.endswith(_SUFFIXES):
                    continue
                path = os.path.join(folder, name)
                try:
                    state = os.stat(path)
                except OSError:  # it has just gone
                    continue
                found[path] = (state.st_mtime_ns, state.st_size, state.st_ino)
    return found
