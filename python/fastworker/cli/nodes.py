"""The nodes that ``multi`` is told of: their names, their options, their files. Source: celery/apps/multi.py.

``multi start 3 -c 2 -Q:1,2 mail -A proj --pidfile=/run/%n.pid``: three nodes, the first two with queues of their own.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fastworker.errors import ImproperlyConfigured
from fastworker.worker.node_names import file_name, node_name

#: Options that stand before the command, and whether they take a value.
_GLOBAL = {
    "-A": True, "--app": True, "-b": True, "--broker": True, "--result-backend": True, "--config": True,
    "--workdir": True, "-C": False, "--no-color": False, "-q": False, "--quiet": False, "--skip-checks": False,
}  # fmt: skip
#: What only says how much multi prints.
_OWN_FLAGS = ("--nosplash", "--verbose", "-v")
#: Options of the worker that take no value.
_FLAGS = frozenset((
    "-E", "--task-events", "--events", "--purge", "--discard", "--disable-rate-limits", "--disable-prefetch",
    "--without-gossip", "--without-mingle", "--without-heartbeat", "-B", "--beat", "-D", "--detach",
    *_OWN_FLAGS, "--no-color", "-C", "-q", "--quiet", "--skip-checks",
))  # fmt: skip
_PREFIX = "celery"
#: Where Celery has them unless it is told.
_FILES = {"--pidfile": "/var/run/celery/%n.pid", "--logfile": "/var/log/celery/%n%I.log"}


@dataclass(frozen=True)
class Node:
    """A worker.

    Attributes:
        name: ``w1@host``.
        options: Words of its command line, without name and files.
        pidfile: Where its process number is.
        logfile: Where it logs, with ``%n`` and the like in it.
    """

    name: str
    options: tuple[str, ...]
    pidfile: str
    logfile: str

    def expand(self, template: str) -> str:
        """``template`` with ``%n``, ``%h`` and the like for this node."""
        return file_name(template, self.name)

    def make_folders(self) -> None:
        """Make the folders of its files, as Celery does.

        Raises:
            ImproperlyConfigured: One cannot be made.
        """
        for option, path in (("--pidfile", self.pidfile), ("--logfile", self.expand(self.logfile))):
            folder = os.path.dirname(path)
            try:
                os.makedirs(folder or ".", exist_ok=True)
            except OSError as error:
                raise ImproperlyConfigured(
                    f"multi: the folder {folder!r} cannot be made: {error.strerror}; give {option} another place, "
                    f"such as {option}={os.path.basename(self.logfile if option == '--logfile' else path)}"
                ) from error

    @property
    def command(self) -> list[str]:
        """What starts it, in the background."""
        front, rest = _split(self.options)
        files = ["--pidfile", self.pidfile, "--logfile", self.logfile]
        return [
            *(sys.executable, "-m", "fastworker", *front, "worker", "--detach"),
            *("--hostname", self.name, *files, *rest),
        ]

    def __str__(self) -> str:
        return shlex.join(self.command)


@dataclass
class _Words:
    """A command line taken apart: names, options of all, options of some by what names them."""

    names: list[str] = field(default_factory=list)
    options: list[tuple[str, ...]] = field(default_factory=list)
    some: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


def nodes_of(words: Sequence[str]) -> list[Node]:
    """The nodes that a command line names.

    Args:
        words: Names, or a number of nodes, with options among them; ``-c:w1 3`` and ``-c:1,3-5 3`` are for some.

    Raises:
        ImproperlyConfigured: An option for a number that no node has, or without its value.
    """
    found = _taken_apart(words)
    suffix = _value(found, "--suffix", "-n", "--hostname") or socket.gethostname()
    prefix = _value(found, "--prefix", "--range-prefix") or _PREFIX
    names = found.names
    if len(names) == 1 and names[0].isdigit():
        names = [f"{prefix}{number}" for number in range(1, int(names[0]) + 1)]
    own: list[list[tuple[str, ...]]] = [[] for _ in names]
    for who, option in found.some:
        for place in _places(who, names):
            own[place].append(option)
    return [_node(name, suffix, [*found.options, *own[place]]) for place, name in enumerate(names)]


def signal_of(words: Sequence[str]) -> tuple[int | None, list[str]]:
    """A signal among ``words`` (``-KILL``, ``-9``, ``-SIGQUIT``) and the rest of them."""
    rest, found = [], None
    for word in words:
        name = word[1:].upper()
        if word.startswith("-") and not word.startswith("--"):
            known = signal.__dict__.get(name if name.startswith("SIG") else f"SIG{name}")
            if isinstance(known, signal.Signals):
                found = int(known)
                continue
            if name.isdigit():
                found = int(name)
                continue
        rest.append(word)
    return found, rest


def _node(name: str, suffix: str, options: list[tuple[str, ...]]) -> Node:
    full = node_name(name if "@" in name else f"{name}@{suffix}")
    files = dict(_FILES)
    words: list[str] = []
    for option in options:
        key = {"-f": "--logfile", "-p": "--pidfile"}.get(option[0], option[0])
        if key in files and len(option) == 2:
            files[key] = option[1]
        else:
            words.extend(option)
    # The worker expands the others itself, some of them anew in each child.
    pidfile = file_name(files["--pidfile"], full)
    workdir = next((option[1] for option in options if option[0] == "--workdir"), "")
    return Node(full, tuple(words), os.path.join(workdir, pidfile), files["--logfile"])


def _taken_apart(words: Sequence[str]) -> _Words:
    found, left = _Words(), list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            found.names.append(word)
            continue
        head, has_value, value = word.partition("=")
        if not word.startswith("--"):
            head, has_value, value = word, "", ""
        name, _, who = head.partition(":")
        option: tuple[str, ...] = (name,)
        if has_value:
            option = (name, value)
        elif name not in _FLAGS and not (len(name) > 2 and name[1] != "-"):
            if not left:
                raise ImproperlyConfigured(f"multi: {name} has no value; try {name}=VALUE")
            option = (name, left.pop(0))
        if name in _OWN_FLAGS:
            continue
        if who:
            found.some.append((who, option))
        else:
            found.options.append(option)
    return found


def _value(found: _Words, *names: str) -> str | None:
    """Take an option that is multi's own out; its value."""
    taken = None
    for option in list(found.options):
        if option[0] in names and len(option) == 2:
            taken = option[1]
            found.options.remove(option)
    return taken


def _places(who: str, names: list[str]) -> Iterator[int]:
    """Places of the nodes that ``1,3-5`` or ``w1,w2`` means. A name that is not among them is for another command, as
    in Celery: all commands for a fleet may be given the same options.
    """
    short = [name.partition("@")[0] for name in names]
    for part in who.split(","):
        first, _, last = part.partition("-")
        numbers = (first, last or first)
        if part in names or part in short:
            yield names.index(part) if part in names else short.index(part)
        elif all(number.isdigit() for number in numbers):
            begin, end = map(int, numbers)
            if not 1 <= begin <= end <= len(names):
                raise ImproperlyConfigured(
                    f"multi: no node {part!r}; there are {len(names)}, expected numbers from 1 to {len(names)}"
                )
            yield from range(begin - 1, end)


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Global options, and those of the worker."""
    front: list[str] = []
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        is_joined = not word.startswith("--") and word[:2] in _GLOBAL
        into = front if word in _GLOBAL or is_joined else rest
        into.append(word)
        if _GLOBAL.get(word) and left:
            into.append(left.pop(0))
    return front, rest
