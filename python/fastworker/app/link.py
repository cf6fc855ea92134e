"""Where this process publishes: on a connection of its own, or through the worker it belongs to.

A child of a worker has a link to it; publishing through the link costs no round trip, and the
running task's acknowledgement waits until the broker has confirmed. Outside of a late-acknowledged
task, and in a process that user code forked, the link is not usable and a connection is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
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
    link = state.link
    if link is None and state.threads:
        link = state.threads.get(get_ident())
    return link if link is not None and link.is_usable else None


def _after_fork() -> None:
    # The origin header names the pid, so every plan is made anew.
    state.epoch += 1


os.register_at_fork(after_in_child=_after_fork)
