"""Publishing a workflow: which single tasks it begins with, and what has to happen before they leave.

A signature's ``calls()`` is a generator. It yields the calls of single tasks, and the steps of the result store between
them, and is told the result of each; what it returns is the result of the whole. So one description serves callers that
block and coroutines, and all messages of a workflow share round trips.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from fastworker.canvas.nesting import nesting_told, told

if TYPE_CHECKING:
    from fastworker.canvas.publisher import Outbox, Publisher
    from fastworker.canvas.signature import Signature


class One(NamedTuple):
    """A call of a single task; answered with its result."""

    sig: Signature
    args: Any
    kwargs: Any
    options: Mapping[str, Any]


class Member(NamedTuple):
    """A group's member that has nothing unusual about it, not frozen; answered with its result, or with None: it has to
    be frozen and published as any other.

    Attributes:
        sig: The call; stays as it is.
        args: In front of its arguments.
        kwargs: More keywords.
        group_id: The group's id.
        position: Its place in the group.
        root_id: Of the workflow; None: that of the task that runs here, else its own.
        parent_id: None: the id of the task that runs here.
        chord: Body of the chord whose header the group is.
        task_id: Its id, unless it was frozen with one; None draws one.
    """

    sig: Signature
    args: Any
    kwargs: Any
    group_id: str
    position: int
    root_id: str | None
    parent_id: str | None
    chord: Any
    task_id: str | None = None


class Stream(NamedTuple):
    """What follows is a stream of unknown length: its publication waits while a queue is as long as this. Answered with
    None.

    Attributes:
        max_queue_length: Messages; None: as ``task_stream_max_queue_length`` says; 0: however long it is.
    """

    max_queue_length: int | None


class StoreStep(NamedTuple):
    """Something to be done with the result store, which blocks; answered with what it returns."""

    act: Callable[..., Any]
    args: tuple[Any, ...]


Calls = Generator["One | Member | Stream | StoreStep", Any, Any]


def calls_of(sig: Signature, args: Any, kwargs: Any, options: Mapping[str, Any]) -> Calls:
    """The calls of a part; those of a class that publishes in a way of its own are one."""
    if _publishes_as_ours(type(sig)):
        return sig.calls(args, kwargs, **options)
    return _single(One(sig, args, kwargs, options))


def _single(call: One) -> Calls:
    return (yield call)


@lru_cache(maxsize=256)
def _publishes_as_ours(cls: type) -> bool:
    """Its ``apply_async`` is the canvas's own."""
    owner = next(base for base in cls.__mro__ if "apply_async" in base.__dict__)
    return owner.__module__.startswith("fastworker.canvas.")


@nesting_told
def publish(app: Publisher, calls: Calls) -> Any:
    """Publish a workflow; returns its result.

    Raises:
        As ``Task.apply_async``. What had not filled a batch by then is not published.
        RecursionError: It is nested too deeply.
    """
    outbox = app.outbox()
    answer: Any = None
    while True:
        try:
            step = calls.send(answer)
        except StopIteration as end:
            outbox.flush()
            return end.value
        if isinstance(step, StoreStep):
            answer = step.act(*step.args)
        elif isinstance(step, Stream):
            outbox.bound(step.max_queue_length)
            answer = None
        else:
            answer = outbox.add_member(step) if isinstance(step, Member) else outbox.add(*step)


async def apublish(app: Publisher, calls: Calls) -> Any:
    """The same for a coroutine: neither broker nor result store blocks the loop."""
    try:
        return await _apublish(app, calls)
    except RecursionError as exc:
        raise told(exc) from None


async def _apublish(app: Publisher, calls: Calls) -> Any:
    import asyncio

    outbox: Outbox = app.outbox()
    answer: Any = None
    while True:
        try:
            step = calls.send(answer)
        except StopIteration as end:
            await outbox.aflush()
            return end.value
        if isinstance(step, StoreStep):
            answer = await asyncio.to_thread(step.act, *step.args)
        elif isinstance(step, Stream):
            outbox.bound(step.max_queue_length)
            answer = None
        else:
            answer = outbox.add_member(step) if isinstance(step, Member) else outbox.add(*step)
            await outbox.arelieve()
