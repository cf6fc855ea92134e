"""The loops of a child process: take the next call, run it, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastworker.child.async_tasks import TaskKinds
from fastworker.child.crew import Crew
from fastworker.child.greenlet_loop import GreenletLoop
from fastworker.child.trace import Tracers

if TYPE_CHECKING:
    from fastworker._core import ChildLink
    from fastworker.app.app import FastWorker
    from fastworker.child.heartbeat import Watch
    from fastworker.child.side_loop import SideLoop
    from fastworker.greenlets import Greenlets


def run_tasks(app: FastWorker, link: ChildLink, node: str) -> None:
    """Run tasks one after the other until the worker says to finish, or is gone."""
    tracers = Tracers(app, link, node)
    take = link.next
    while (call := take()) is not None:
        tracers[call.task](call)


def run_tasks_in_threads(
    app: FastWorker, link: ChildLink, node: str, side: SideLoop | None
) -> None:
    """Run as many tasks at once as the link has slots, each in a thread, until the worker says to finish or is gone.

    ``side``: the loop on which the application's lifespans are, and so all of its coroutines; None: it has none, and
    each thread runs its coroutines by itself.
    """
    crew = Crew(link, Tracers(app, link, node, shares=True))
    host = None
    if side is not None:
        from fastworker.child.coroutine_host import CoroutineHost

        host = CoroutineHost(app, link, node, side)
    kinds = TaskKinds(app)
    while (found := link.poll(blocks=True)) is not None:
        for one in found:
            if not isinstance(one, tuple):
                place = crew if host is None or not kinds.is_coroutine(one.task) else host
                place.put(one)
            elif not crew.obey(*one) and host is not None:
                host.obey(*one)
    crew.close()


def run_tasks_in_greenlets(
    app: FastWorker,
    link: ChildLink,
    node: str,
    kind: Greenlets,
    watch: Watch,
    side: SideLoop | None,
) -> None:
    """The same, each in a greenlet. ``watch``: what the worker wants to know of the greenlets' loop."""
    GreenletLoop(app, link, node, kind, watch, side).run()
