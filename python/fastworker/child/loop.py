"""The loop of a child process: take the next call, run it, report. One task at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastworker.child.trace import Tracers

if TYPE_CHECKING:
    from fastworker._core import ChildLink
    from fastworker.app.app import FastWorker


def run_tasks(app: FastWorker, link: ChildLink, node: str) -> None:
    """Run tasks until the worker says to finish, or is gone."""
    tracers = Tracers(app, link, node)
    take = link.next
    while (call := take()) is not None:
        tracers[call.task](call)
