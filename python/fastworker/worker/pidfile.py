"""``--pidfile``: one worker per file, whatever became of the last one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from fastworker.errors import ImproperlyConfigured


@contextlib.contextmanager
def pidfile(path: str | None) -> Iterator[None]:
    """Hold ``path`` with this process's number in it; the file goes away at the end.

    A file whose process is gone, or that holds no number, is taken over.

    Args:
        path: None: do nothing.

    Raises:
        ImproperlyConfigured: Another process that lives holds it, or it cannot be written.
    """
    if path is None:
        yield
        return
    owner = os.getpid()
    _take(path, owner)
    try:
        yield
    finally:
        # A forked process that unwinds, or a successor that took the file over, leaves it alone.
        if os.getpid() == owner and _read(path) == owner:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def holder(path: str) -> int | None:
    """The number of the process that holds ``path`` and lives; None: there is none."""
    pid = _read(path)
    return pid if pid is not None and _lives(pid) else None


def refuse_held(path: str) -> None:
    """Raise ``ImproperlyConfigured`` if another process that lives holds ``path``."""
    pid = holder(path)
    if pid is not None and pid != os.getpid():
        raise ImproperlyConfigured(
            f"pidfile {path!r} belongs to process {pid}, which is running; stop it, or give "
            f"this worker another file, such as --pidfile=%n.pid"
        )


def _take(path: str, pid: int) -> None:
    refuse_held(path)
    fresh = f"{path}.{pid}"
    try:
        with open(fresh, "w", encoding="ascii") as file:
            file.write(f"{pid}\n")
        os.replace(fresh, path)
    except OSError as error:
        raise ImproperlyConfigured(
            f"pidfile {path!r} cannot be written: {error.strerror}"
        ) from error


def _read(path: str) -> int | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(32).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
