"""``python -m rival_apps.publish <JSON>``: one system's own client publishes, in a process of its own, and says how
long that took.

``{"module": …, "task": …, "rest": […], "first": …, "count": …}``: calls whose numbers begin at ``first`` and whose
other arguments are ``rest``. With ``"rate"`` they are published one at a time at so many a second, each with its
moment, in an open loop: one that is late does not put off the ones after it. Without, for half a second one at a
time, and the others in the quickest way.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from rival_apps import options
from rival_apps.marks import Marks

#: How long calls are published one at a time, at most, and at most this share of them.
ONE_S = 0.5
ONE_SHARE = 0.5
#: Calls before those that are paced.
WARM_UP = 10


@dataclass(frozen=True)
class Client:
    """An adapter as a publisher."""

    adapter: Any

    @property
    def is_async(self) -> bool:
        """Its calls are awaited."""
        return hasattr(self.adapter, "client")

    @property
    def has_bulk(self) -> bool:
        """There is a way that is quicker than one call after the other."""
        return self.is_async or hasattr(self.adapter, "send_many")

    def opened(self) -> AbstractAsyncContextManager[object]:
        """While it is connected."""
        if self.is_async:
            opened: AbstractAsyncContextManager[object] = self.adapter.client()
            return opened
        return nullcontext()

    async def send(self, task: str, call: Sequence[Any]) -> None:
        """One call."""
        sent = self.adapter.send(task, call)
        if inspect.isawaitable(sent):
            await sent

    async def send_many(self, task: str, calls: Sequence[Sequence[Any]]) -> None:
        """Calls in the quickest way."""
        if hasattr(self.adapter, "send_many"):
            sent = self.adapter.send_many(task, calls)
            if inspect.isawaitable(sent):
                await sent
            return
        if not self.is_async:
            for call in calls:
                self.adapter.send(task, call)
            return
        for start in range(0, len(calls), options.AT_ONCE):
            some = calls[start : start + options.AT_ONCE]
            await asyncio.gather(*(self.adapter.send(task, call) for call in some))


async def fill(client: Client, task: str, calls: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Publish all; how many went one at a time and how many in the quickest way, and in how many seconds each.

    The first call is in no figure: it connects.
    """
    await client.send(task, calls[0])
    rest = calls[1:]
    most = int(len(rest) * ONE_SHARE) if client.has_bulk else len(rest)
    started = time.perf_counter()
    until = started + ONE_S
    ones = 0
    while ones < most and (not client.has_bulk or time.perf_counter() < until):
        await client.send(task, rest[ones])
        ones += 1
    between = time.perf_counter()
    await client.send_many(task, rest[ones:])
    done = time.perf_counter()
    return {
        "one": ones,
        "one_s": between - started,
        "many": len(rest) - ones,
        "many_s": done - between,
    }


async def pace(
    client: Client, task: str, calls: Sequence[Sequence[Any]], rate: float
) -> dict[str, Any]:
    """Publish one after the other, each at its moment; how late the latest was.

    The first ones (``WARM_UP``) have no moment: they connect.
    """
    marks = Marks(options.MARKS)
    for call in calls[:WARM_UP]:
        await client.send(task, call)
    start_ns = time.monotonic_ns()
    latest_ns = 0
    for place, call in enumerate(calls[WARM_UP:]):
        due_ns = start_ns + int(place / rate * 1e9)
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            # An event loop's own sleep is a millisecond late. The loop has nothing else to do.
            time.sleep(left_ns / 1e9)
        latest_ns = max(latest_ns, -left_ns)
        marks.due[call[0]] = due_ns
        await client.send(task, call)
    return {"late_s": latest_ns / 1e9}


async def publish(client: Client, order: dict[str, Any]) -> dict[str, Any]:
    """Do as the order says."""
    numbers = range(order["first"], order["first"] + order["count"])
    calls = [[number, *order["rest"]] for number in numbers]
    async with client.opened():
        if "rate" in order:
            return await pace(client, order["task"], calls, order["rate"])
        return await fill(client, order["task"], calls)


def main() -> None:
    """Publish, and say how when the broker has everything."""
    order = json.loads(sys.argv[1])
    client = Client(importlib.import_module(f"rival_apps.{order['module']}"))
    said = asyncio.run(publish(client, order)) if client.is_async else _run(publish(client, order))
    print(json.dumps(said), flush=True)
    # ArdiQ's client crashes when the interpreter ends; its own command line leaves like this.
    os._exit(0)


def _run(never_waits: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """A coroutine that awaits nothing, without an event loop, which some of the blocking clients would not like."""
    try:
        never_waits.send(None)
    except StopIteration as done:
        said: dict[str, Any] = done.value
        return said
    raise RuntimeError("a client without client() awaited something")


if __name__ == "__main__":
    main()
