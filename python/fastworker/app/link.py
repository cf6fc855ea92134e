"""Where this process publishes: on a connection of its own, or through the worker it belongs to.

A child of a worker has a link to it; publishing through the link costs no round trip, and the
running task's acknowledgement waits until the broker has confirmed. Outside of a late-acknowledged
task, and in a process that user code forked, the link is not usable and a connection is.
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
        threads: The links of threads that are children of a worker in this process, by their ident.
        epoch: Raised whenever plans that were made for this process may be wrong: another link, or
            a fork.
    """

    __slots__ = ("epoch", "link", "threads")

    def __init__(self) -> None:
        self.link: ChildLink | None = None
        self.threads: dict[int, ChildLink] = {}
        self.epoch = 0


state = LinkState()


def set_link(link: ChildLink | None) -> None:
    """Publish through ``link`` while it is usable; None: on a connection.

    A process with a link is a worker's child, where waiting for another task's result is refused.
    """
    state.link = link
    state.epoch += 1
    set_task_join_will_block(link is not None)


@contextmanager
def thread_link(link: ChildLink) -> Iterator[None]:
    """Publish through ``link`` from this thread alone, for a block: it is a child of a worker in this process."""
    own = get_ident()
    state.threads[own] = link
    state.epoch += 1
    try:
        yield
    finally:
        del state.threads[own]
        state.epoch += 1


def usable_link() -> ChildLink | None:
    """The link, when it can be published through now."""
    link = _own_link()
    return link if link is not None and link.is_usable else None


def _own_link() -> ChildLink | None:
    """The link of this process, or of this thread."""
    link = state.link
    if link is None and state.threads:
        link = state.threads.get(get_ident())
    return link


class _WithOutcome:
    """Sends with the outcome of the running task."""

    def __init__(self, link: ChildLink) -> None:
        self.publish = link.publish_with_outcome


class _Local(local):
    """Set while what this thread publishes leaves with the running task's outcome."""

    with_outcome: _WithOutcome | None = None


_local = _Local()


@contextmanager
def leaving_with_outcome() -> Iterator[None]:
    """What is published in here leaves in one step with the running task's acknowledgement and
    state; at once where no task of a worker runs.
    """
    link = _own_link()
    if link is None or not link.is_own:
        yield
        return
    _local.with_outcome = _WithOutcome(link)
    try:
        yield
    finally:
        _local.with_outcome = None


def sender() -> Sender | None:
    """What the worker offers to publish through now; None: a connection is needed."""
    return _local.with_outcome or usable_link()


def _after_fork() -> None:
    # The origin header names the pid, so every plan is made anew.
    state.epoch += 1
    _local.with_outcome = None


os.register_at_fork(after_in_child=_after_fork)
