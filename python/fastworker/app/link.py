"""Where this process publishes: on a connection of its own, or through the worker it belongs to.

A child of a worker has a link to it; publishing through the link costs no round trip, and the
running task's acknowledgement waits until the broker has confirmed. Outside of a late-acknowledged
task, in a process that user code forked, and for an application whose broker is another one than the
worker's, the link is not usable and a connection is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident, local
from typing import TYPE_CHECKING, Protocol

from fastworker.results.joining import set_task_join_will_block

if TYPE_CHECKING:
    from fastworker._core import ChildLink

#: A broker: its URL, and the transport options.
Address = tuple[str, dict[str, str]]
#: ``(queue, priority, envelope)``
Envelope = tuple[str, int, bytes]


class Sender(Protocol):
    """What envelopes can be handed to."""

    def publish(self, messages: Sequence[Envelope]) -> None:
        """Publish all."""


class LinkState:
    """The process-wide state, one object so that the hot path reads plain attributes.

    Attributes:
        link: The child's link to its worker; None in a client.
        address: The broker that the link leads to.
        threads: The same two for threads that are children of a worker in this process, by their
            ident.
        epoch: Raised whenever plans that were made for this process may be wrong: another link, or
            a fork.
    """

    __slots__ = ("address", "epoch", "link", "threads")

    def __init__(self) -> None:
        self.link: ChildLink | None = None
        self.address: Address | None = None
        self.threads: dict[int, tuple[ChildLink, Address]] = {}
        self.epoch = 0


state = LinkState()


def set_link(link: ChildLink | None, address: Address | None = None) -> None:
    """Publish through ``link``, which leads to the broker at ``address``, while it is usable; None:
    on a connection.

    A process with a link is a worker's child, where waiting for another task's result is refused.
    """
    state.link = link
    state.address = address
    state.epoch += 1
    set_task_join_will_block(link is not None)


@contextmanager
def thread_link(link: ChildLink, address: Address) -> Iterator[None]:
    """Publish through ``link``, which leads to the broker at ``address``, from this thread alone, for a block: it is a
    child of a worker in this process."""
    own = get_ident()
    state.threads[own] = link, address
    state.epoch += 1
    try:
        yield
    finally:
        del state.threads[own]
        state.epoch += 1


def link_to(address: Address) -> ChildLink | None:
    """The link, when it leads to the broker at ``address``; it may not be usable now."""
    link, leads_to = _own_link()
    return link if link is not None and leads_to == address else None


def usable_link(address: Address) -> ChildLink | None:
    """The link, when the broker at ``address`` can be published to through it now."""
    link = link_to(address)
    return link if link is not None and link.is_usable else None


def _own_link() -> tuple[ChildLink | None, Address | None]:
    """The link of this process, or of this thread, and where it leads."""
    if state.link is None and state.threads:
        return state.threads.get(get_ident(), (None, None))
    return state.link, state.address


class _WithOutcome:
    """Sends with the outcome of the running task."""

    def __init__(self, link: ChildLink) -> None:
        self.publish = link.publish_with_outcome


class _Collector:
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    def publish(self, messages: Sequence[Envelope]) -> None:
        """Keep all."""
        self.envelopes.extend(messages)


class _Local(local):
    """Set while what this thread publishes is not published at once."""

    #: It leaves with the running task's outcome.
    with_outcome: tuple[_WithOutcome, Address | None] | None = None
    #: It is kept for somebody who publishes it in one step with something else.
    collector: tuple[_Collector, Address] | None = None


_local = _Local()


@contextmanager
def leaving_with_outcome() -> Iterator[None]:
    """What is published in here leaves in one step with the running task's acknowledgement and
    state; at once where no task of a worker runs.
    """
    link, address = _own_link()
    if link is None or not link.is_own:
        yield
        return
    _local.with_outcome = _WithOutcome(link), address
    try:
        yield
    finally:
        _local.with_outcome = None


@contextmanager
def collecting(address: Address) -> Iterator[list[Envelope]]:
    """What this thread publishes in here to the broker at ``address`` is not published, but kept in the list."""
    collector = _Collector()
    before, _local.collector = _local.collector, (collector, address)
    # Lanes that are open lead elsewhere.
    state.epoch += 1
    try:
        yield collector.envelopes
    finally:
        _local.collector = before
        state.epoch += 1


def is_collecting() -> bool:
    """Whether this thread's messages are kept."""
    return _local.collector is not None


def sender(address: Address) -> Sender | None:
    """What the worker offers to publish to the broker at ``address`` through now; None: a connection is needed."""
    if _local.collector is not None and _local.collector[1] == address:
        return _local.collector[0]
    if _local.with_outcome is not None and _local.with_outcome[1] == address:
        return _local.with_outcome[0]
    return usable_link(address)


def _after_fork() -> None:
    # The origin header names the pid, so every plan is made anew.
    state.epoch += 1
    _local.with_outcome = _local.collector = None


os.register_at_fork(after_in_child=_after_fork)
