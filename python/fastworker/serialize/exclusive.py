"""Types that only workers of ours understand, and the name of a message that has one in it.

A Celery worker that cannot read a body logs that, and drops the message: nobody learns what became of the task. One
whose task it does not know it fails, with that name in the error. So a message with such a type in it names its task
``fastworker:proj.add``, and whoever reads messages here takes the mark off (``rust/worker/src/decode.rs``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from fastworker.serialize import json

#: In front of the task's name.
MARK = "fastworker:"


class _Written(threading.local):
    """How many values of such types this thread has written."""

    count = 0


_written = _Written()


class Exclusive:
    """A base of such types; pickle notes it."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        _written.count += 1
        return super().__reduce_ex__(protocol)


def register(
    cls: type[Exclusive],
    encoder: Callable[[Any], Any],
    decoder: Callable[[Any], Any],
) -> None:
    """Teach JSON such a type, under its name.

    Args:
        cls: The type.
        encoder: Value to something JSON can write.
        decoder: Back.
    """

    def noted(value: Any) -> Any:
        _written.count += 1
        return encoder(value)

    json.register_type(cls, f"fastworker.{cls.__name__}", noted, decoder)


def written() -> int:
    """Grows with every value of such a type that this thread writes."""
    return _written.count


def unmarked(name: str) -> str:
    """The task's name."""
    return name.removeprefix(MARK)


def marked(envelope: bytes, name: str) -> bytes:
    """A message of the task ``name`` that was written without the mark, with it. Inside of texts quotes are escaped, so
    that what is looked for stands in the headers only."""
    head = json.dumps(name)
    return envelope.replace(b'"task": ' + head, b'"task": ' + json.dumps(MARK + name), 1)
