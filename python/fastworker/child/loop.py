"""The loops of a child process: take the next call, run it, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastworker.child.crew import Crew
from fastworker.child.greenlet_loop import GreenletLoop
from fastworker.child.trace import Tracers

if TYPE_CHECKING:
    from fastworker._core import ChildLink
    from fastworker.app.app import FastWorker
    from fastworker.child.heartbeat import Watch
    from fastworker.greenlets import Greenlets


def run_tasks(app: FastWorker, link: ChildLink, node: str) -> None:
    """Run tasks one after the other until the worker says to finish, or is gone."""
    tracers = Tracers(app, link, node)
    take = link.next
    while (call := take()) is not None:
        tracers[call.task](call)


def run_tasks_in_threads(app: FastWorker, link: ChildLink, node: str) -> None:
    """Run as many tasks at once as the link has slots, each in a thread, until the worker says to finish or is gone."""
    crew = Crew(link, Tracers(app, link, node, shares=True))
    while (found := link.poll(blocks=True)) is not None:
        for one in found:
            if not isinstance(one, tuple):
                crew.put(one)
            elif one[1] == "locate":
                crew.locate(one[0])
            else:
                crew.interrupt(*one)
    crew.close()


def run_tasks_in_greenlets(
    app: FastWorker, link: ChildLink, node: str, kind: Greenlets, watch: Watch
) -> None:
    """The same, each in a greenlet. ``watch``: what the worker wants to know of their loop."""
    GreenletLoop(app, link, node, kind, watch).run()
