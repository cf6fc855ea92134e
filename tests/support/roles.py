"""Which process of a worker node plays which role, told from the process tree."""

from __future__ import annotations

from tests.support import processes
from tests.support.processes import Process


def zygote_of(supervisor: int) -> Process | None:
    """The process that forks the children; None while it is being replaced.

    The first one is a fork of the supervisor, with its children below it; a later one is a program
    whose title says so, and has the children of its predecessor beside it.
    """
    rows = processes.below(supervisor)
    beside = [row for row in rows if row.parent == supervisor]
    parents = {row.parent for row in rows}
    for row in beside:
        if "zygote" in row.title:
            return row
    for row in beside:
        if row.pid in parents:
            return row
    return None


def children_of(supervisor: int) -> list[Process]:
    """The processes that run tasks."""
    zygote = zygote_of(supervisor)
    pid = zygote.pid if zygote is not None else 0
    return [row for row in processes.below(supervisor) if row.pid != pid]
