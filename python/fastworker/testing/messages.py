"""What was published to ``memory://`` and has not run yet: to look at, and to assert on."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.app.proxy import Proxy
from fastworker.serialize import compression, registry
from fastworker.serialize.exclusive import unmarked

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

_SHOWN = 10


class _Anything:
    """Stands for an argument that was not given."""

    def __repr__(self) -> str:
        return "anything"


ANYTHING: Any = _Anything()


@dataclass(frozen=True)
class Published:
    """One message that waits.

    Attributes:
        task: The task's name.
        id: Its id.
        args: Positional arguments, as a worker would get them: a list, where JSON has no tuples.
        kwargs: Keyword arguments.
        queue: Where it waits.
        priority: 0 to 9, 0 first.
        eta: When it is due; None: at once.
        expires: After which it is not run; None: never.
        headers: All headers.
        embed: ``callbacks``, ``errbacks``, ``chain``, ``chord``.
    """

    task: str
    id: str
    args: list[Any]
    kwargs: dict[str, Any]
    queue: str
    priority: int
    eta: datetime | None
    expires: datetime | None
    headers: dict[str, Any]
    embed: dict[str, Any]

    def __str__(self) -> str:
        due = f", due {self.eta.isoformat()}" if self.eta else ""
        return f"{self.task}(args={self.args!r}, kwargs={self.kwargs!r}) on {self.queue!r}{due}"


def published(app: FastWorker, task: Any = None, *, queue: str | None = None) -> list[Published]:
    """What waits in the queues, or is parked until it is due; in the order in which a worker would fetch it.

    Args:
        app: Whose broker; it is ``memory://``.
        task: Only calls of this task: the task, or its name.
        queue: Only of this queue.

    Raises:
        ValueError: Another kind of broker, which cannot be looked into.
    """
    url = app.broker.read_url
    if not url.startswith("memory:"):
        raise ValueError(
            f"published messages can be looked at in memory:// only, and the broker of {app!r} is another: set "
            f'broker_url="memory://" in tests'
        )
    name = None if task is None else _name(task)
    messages = [_decode(*message) for message in _core.memory_messages(url)]
    return [
        message
        for message in messages
        if name in (None, message.task) and queue in (None, message.queue)
    ]


def assert_published(
    app: FastWorker,
    task: Any,
    *,
    args: Sequence[Any] = ANYTHING,
    kwargs: Mapping[str, Any] = ANYTHING,
    queue: str = ANYTHING,
    count: int | None = None,
) -> Published:
    """Assert that a call waits to be run, and return it (the first one, if there are several).

    Args:
        app: As for ``published``.
        task: The task, or its name.
        args: Its positional arguments; a tuple equals a list, and ``unittest.mock.ANY`` everything.
        kwargs: Its keyword arguments, all of them.
        queue: Where it waits.
        count: How many such calls there are; None: at least one.

    Raises:
        AssertionError: There is none, or another number of them; says what was published instead.
    """
    wanted = _Wanted(_name(task), args, kwargs, queue)
    everything = published(app)
    found = [message for message in everything if wanted.matches(message)]
    if len(found) == count or (count is None and found):
        return found[0] if found else _nothing(everything)
    expected = "at least one call" if count is None else f"{count} call(s)"
    raise AssertionError(
        f"expected {expected} of {wanted}, found {len(found)}; {_shown(everything)}"
    )


def refute_published(
    app: FastWorker,
    task: Any,
    *,
    args: Sequence[Any] = ANYTHING,
    kwargs: Mapping[str, Any] = ANYTHING,
    queue: str = ANYTHING,
) -> None:
    """Assert that no such call waits to be run; arguments as for ``assert_published``.

    Raises:
        AssertionError: There is one.
    """
    wanted = _Wanted(_name(task), args, kwargs, queue)
    found = [message for message in published(app) if wanted.matches(message)]
    if found:
        raise AssertionError(f"expected no call of {wanted}; {_shown(found)}")


@dataclass(frozen=True)
class _Wanted:
    task: str
    args: Any
    kwargs: Any
    queue: Any

    def matches(self, message: Published) -> bool:
        return (
            message.task == self.task
            and (self.args is ANYTHING or _same(self.args, message.args))
            and (self.kwargs is ANYTHING or _same(self.kwargs, message.kwargs))
            and self.queue in (ANYTHING, message.queue)
        )

    def __str__(self) -> str:
        where = "" if self.queue is ANYTHING else f" on {self.queue!r}"
        return f"{self.task}(args={self.args!r}, kwargs={self.kwargs!r}){where}"


def _nothing(everything: list[Published]) -> Any:
    """``count=0``: there is nothing to return."""
    return None


def _shown(messages: list[Published]) -> str:
    if not messages:
        return "nothing is published"
    lines = [f"  {message}" for message in messages[:_SHOWN]]
    if len(messages) > _SHOWN:
        lines.append(f"  … and {len(messages) - _SHOWN} more")
    return "published is:\n" + "\n".join(lines)


def _same(expected: Any, actual: Any) -> bool:
    """Equal, where a tuple is a list: JSON knows no difference."""
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        return len(expected) == len(actual) and all(map(_same, expected, actual))
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return expected.keys() == actual.keys() and all(
            _same(value, actual[key]) for key, value in expected.items()
        )
    return bool(expected == actual)


def _name(task: Any) -> str:
    if isinstance(task, str) and not isinstance(task, Proxy):
        return task
    return str(task.name)


def _decode(queue: str, priority: int, envelope: bytes) -> Published:
    parts: dict[str, Any] = _core.loads(envelope)
    headers, properties = parts["headers"], parts["properties"]
    body = parts["body"]
    data = base64.b64decode(body) if properties.get("body_encoding") == "base64" else body.encode()
    if headers.get("compression"):
        data = compression.decompress(data, headers["compression"])
    args, kwargs, embed = registry.loads(data, parts["content-type"], parts["content-encoding"])
    return Published(
        task=unmarked(headers["task"]),
        id=headers["id"],
        args=args,
        kwargs=kwargs,
        queue=queue,
        priority=priority,
        eta=_moment(headers.get("eta")),
        expires=_moment(headers.get("expires")),
        headers=headers,
        embed=embed,
    )


def _moment(text: str | None) -> datetime | None:
    # Python 3.10 does not read a Z.
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))
