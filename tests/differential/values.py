"""What tasks of the scenarios return and raise, by a word that fits into a message."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import math
import threading
import uuid
from collections import OrderedDict
from typing import Any

from tests.support.apps import BigBoom, Boom


class KeywordOnly(Exception):
    """Cannot be made again from its ``args``."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Silent(Exception):
    """Takes an argument and passes none on."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__()


class Mute(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Holds(Exception):
    """Holds what no serializer can write."""

    def __init__(self, text: str) -> None:
        super().__init__(text, threading.Lock())


class Outer:
    """A place for a class that is not at the top of its module."""

    class Inner(Exception):
        """Its qualified name has a dot."""


class Base(BaseException):
    """Not an ``Exception``."""


class Odd(Exception):
    """Unpicklable by its own word."""

    def __reduce__(self) -> Any:
        raise TypeError("no pickling")


def give(kind: str) -> Any:
    """A value of that kind."""
    return _VALUES[kind]()


_VALUES: dict[str, Any] = {
    "none": lambda: None,
    "true": lambda: True,
    "zero": lambda: 0,
    "big int": lambda: 2**70,
    "float": lambda: 0.1,
    "infinity": lambda: -math.inf,
    "text": lambda: "grüß 任务 𝄞 \u2028 \0",
    "surrogate": lambda: "\ud800",
    "bytes": lambda: bytes(range(256)),
    "tuple": lambda: (1, (2, 3)),
    "set": lambda: {1},
    "frozenset": lambda: frozenset({1}),
    "generator": lambda: (n for n in range(3)),
    "range": lambda: range(3),
    "object": lambda: object(),
    "function": lambda: math.sqrt,
    "datetime": lambda: dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone.utc),
    "timedelta": lambda: dt.timedelta(seconds=90),
    "uuid": lambda: uuid.UUID(int=5),
    "decimal": lambda: decimal.Decimal("1.10"),
    "complex": lambda: 1j,
    "ordered": lambda: OrderedDict(b=1, a=2),
    "int keys": lambda: {1: "c", None: "b"},
    "tuple keys": lambda: {(1, 2): 3},
    "deep": lambda: _deep(200),
    "large": lambda: "x" * 3_000_000,
    "exception": lambda: Boom("returned, not raised"),
    "text subclass": lambda: _Text("ab"),
    "int subclass": lambda: _Number(7),
    "cycle": lambda: _cycle(),
}


class _Text(str):
    """A string of its own class."""


class _Number(int):
    """A number of its own class."""


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _cycle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def fault(kind: str, lib: Any) -> BaseException:
    """An exception of that kind; ``lib`` is the framework's module of exceptions."""
    return _FAULTS[kind](lib)


class _Local:
    """Makes a class inside a function."""

    @staticmethod
    def make() -> BaseException:
        """An instance of a class that nobody can import."""

        class Local(Exception):
            """Not at module level."""

        return Local("hidden")


_FAULTS: dict[str, Any] = {
    "boom": lambda lib: Boom("no luck"),
    "no args": lambda lib: Boom(),
    "big": lambda lib: BigBoom(7, "seven"),
    "builtin": lambda lib: KeyError("k"),
    "os": lambda lib: FileNotFoundError(2, "No such file or directory", "/no/such"),
    "unicode": lambda lib: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "stop": lambda lib: StopIteration("enough"),
    "assertion": lambda lib: AssertionError(),
    "memory": lambda lib: MemoryError(),
    "recursion": lambda lib: RecursionError("too deep"),
    "keyword": lambda lib: KeywordOnly(code=5),
    "silent": lambda lib: Silent("why"),
    "mute": lambda lib: Mute("x"),
    "holds": lambda lib: Holds("lock"),
    "odd": lambda lib: Odd("x"),
    "inner": lambda lib: Outer.Inner("nested"),
    "local": lambda lib: _Local.make(),
    "datetime arg": lambda lib: Boom(dt.datetime(2024, 1, 2), b"\xff", uuid.UUID(int=5)),
    "object arg": lambda lib: Boom({1, 2}, 1j),
    "tuple arg": lambda lib: Boom((1, 2), [3], {"a": None}),
    "exception arg": lambda lib: Boom(KeyError("inner")),
    "text": lambda lib: Boom("grüß 任务 \ud800"),
    "long": lambda lib: Boom("y" * 100_000),
    "timeout": lambda lib: TimeoutError("slow"),
    "cancelled": lambda lib: asyncio.CancelledError("stopped"),
    "exit": lambda lib: SystemExit(3),
    "interrupt": lambda lib: KeyboardInterrupt(),
    "generator exit": lambda lib: GeneratorExit(),
    "base": lambda lib: Base("not an Exception"),
    "ignore": lambda lib: lib.Ignore("not now"),
    "reject": lambda lib: lib.Reject("bad", requeue=False),
    "reject bare": lambda lib: lib.Reject(),
    "retry": lambda lib: lib.Retry("by hand", Boom("x"), 5),
    "soft": lambda lib: lib.SoftTimeLimitExceeded("by hand"),
    "max retries": lambda lib: lib.MaxRetriesExceededError("by hand"),
    "not registered": lambda lib: lib.NotRegistered("some.task"),
    "operational": lambda lib: lib.OperationalError("by hand"),
}
