"""Handing envelopes to the broker, again and again as the retry policy says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fastworker.app import link as links
from fastworker.errors import OperationalError

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

T = TypeVar("T")
Policy = Mapping[str, Any]
#: Exchange, routing key and envelope of what programs of kombu are told on a fanout exchange.
Announcement = tuple[str, str, bytes]


def deliver(app: FastWorker, envelopes: list[links.Envelope], policy: Policy | None) -> None:
    """Hand over.

    Args:
        app: For its connection.
        envelopes: To be published together.
        policy: ``max_retries`` (None: for ever), ``interval_start``, ``interval_step``,
            ``interval_max``, seconds. None: one attempt.

    Raises:
        OperationalError: Not confirmed after the last attempt, or within ``broker_publish_deadline``.
    """
    through: links.Sender = links.sender(app.broker.write_address) or app.publishing.publisher
    repeated(app, lambda: through.publish(envelopes), policy)


def announce(app: FastWorker, announcement: Announcement, policy: Policy | None) -> None:
    """Tell programs of kombu; arguments and errors as for ``deliver``. Never through the link: nobody has it in hand
    when it is lost.
    """
    repeated(app, lambda: app.publishing.publisher.announce(*announcement), policy)


def repeated(app: FastWorker, attempt: Callable[[], T], policy: Policy | None) -> T:
    """What ``attempt`` returns, which is tried as often as ``policy`` says.

    Raises:
        OperationalError: Of the last attempt.
    """
    pauses = _pauses(policy, app.publishing.settings.deadline_s)
    while True:
        try:
            return attempt()
        except OperationalError:
            pause_s = next(pauses, None)
            if pause_s is None:
                raise
        time.sleep(pause_s)


async def adeliver(app: FastWorker, envelopes: list[links.Envelope], policy: Policy | None) -> None:
    """``deliver`` for a coroutine: what blocks is done by the application's publishing thread.

    Inside a task the link to the worker is used as ever: it takes messages without a round trip.
    """
    # A program with coroutines has it already; for one without it is a tenth of the whole import.
    import asyncio

    link = links.usable_link(app.broker.write_address)
    pauses = _pauses(policy, app.publishing.settings.deadline_s)
    while True:
        try:
            if link is not None:
                link.publish(envelopes)
            else:
                await app.publishing.batches.publish(envelopes)
            return
        except OperationalError:
            pause_s = next(pauses, None)
            if pause_s is None:
                raise
        await asyncio.sleep(pause_s)


async def aannounce(app: FastWorker, announcement: Announcement, policy: Policy | None) -> None:
    """``announce`` for a coroutine."""
    import asyncio

    await asyncio.to_thread(announce, app, announcement, policy)


def _pauses(policy: Policy | None, deadline_s: float) -> Iterator[float]:
    """Seconds to wait before each further attempt; ends when there is to be none."""
    if policy is None:
        return
    ends_at = time.monotonic() + deadline_s if deadline_s else math.inf
    wait_s = float(policy.get("interval_start") or 0)
    attempts_left = policy.get("max_retries")
    while time.monotonic() + wait_s < ends_at:
        if attempts_left is not None:
            if attempts_left <= 0:
                return
            attempts_left -= 1
        yield wait_s
        wait_s = min(
            wait_s + float(policy.get("interval_step") or 0), float(policy.get("interval_max") or 0)
        )
