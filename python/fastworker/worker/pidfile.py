"""``--pidfile``: one worker per file, whatever became of the last one."""

from __future__ import annotations

import contextlib
import itertools
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


def worker_of(path: str) -> int | None:
    """The number of the worker that holds ``path``; None: there is none, or another program has its number by now.

    A worker is known by its command line, which names its program, and its pidfile if it was told one there.
    """
    pid = holder(path)
    if pid is None:
        return None
    words = _words(pid)
    if words is None:  # of another user: the signal will say so
        return pid
    is_worker = any(map(_is_program, words))
    named = [path_of for path_of in _pidfiles(words) if "%" not in path_of]
    is_anothers = bool(named) and all(not _is_same(pid, one, path) for one in named)
    return pid if is_worker and not is_anothers else None


#: A worker's command line has one of these words: a program, ``-m fastworker``, or what patches before all else.
_PROGRAMS = ("fastworker", "celery", "fastworker/greenlets.py")


def _is_program(word: str) -> bool:
    return any(word == name or word.endswith(f"/{name}") for name in _PROGRAMS)


def _words(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [word.decode(errors="replace") for word in file.read().split(b"\0") if word]
    except OSError:
        return None


def _pidfiles(words: list[str]) -> list[str]:
    """What a command line gives as ``--pidfile``."""
    after = [then for word, then in itertools.pairwise(words) if word == "--pidfile"]
    joined = [word.partition("=")[2] for word in words if word.startswith("--pidfile=")]
    return [*after, *joined]


def _is_same(pid: int, one: str, other: str) -> bool:
    """A process's path may be relative to where it works."""
    try:
        folder = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        folder = os.getcwd()
    return os.path.realpath(os.path.join(folder, one)) == os.path.realpath(other)


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
