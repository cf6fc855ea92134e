"""What a comparison is told to do, and what it says of it in its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastworker.bench.rivals.rival import PROCESSES, Rival
from fastworker.bench.rivals.workloads import RivalWorkload


@dataclass(frozen=True)
class RivalsSettings:
    """One run of ``fastworker bench rivals``.

    Attributes:
        workloads: At least one.
        rivals: Without fastworker, which is always there.
        tasks: Most calls of one drain.
        drain_s: A system that would take longer for them gets fewer.
        rounds: How often.
        rate: Calls a second at which waits are measured; 0: they are not.
        pace_s: For so long.
        timeout_s: A drain that has not ended by then has failed.
        command: The command line, for the file.
    """

    workloads: Sequence[RivalWorkload]
    rivals: Sequence[Rival]
    tasks: int = 20_000
    drain_s: float = 3.0
    rounds: int = 3
    rate: float = 100.0
    pace_s: float = 3.0
    timeout_s: float = 60.0
    command: Sequence[str] = ()


def conditions(settings: RivalsSettings) -> dict[str, str]:
    """What was the same for all, in words."""
    said = {
        "turns": f"{settings.rounds} rounds, in each of which every system performs once, alone, with a new "
        "worker and a new broker of its own, and fastworker after every three; a ratio compares a sample with the one "
        "of fastworker that was taken nearest to it",
        "drain": f"up to {settings.tasks:,} tasks, fewer where they would take longer than {settings.drain_s:g} s; "
        "worker up, warm and idle; its processes stopped (SIGSTOP), the calls published by the system's own client, "
        "from SIGCONT to the end of the last task; every call has a mark of its own in shared memory, so that lost "
        "and repeated ones show",
        "processor time": "of the worker's process tree and of the broker, from SIGCONT until the worker is idle again",
        "publish": "by the system's own client, in one process, while the worker stands still: one call after the "
        "other, and in the quickest way that its documents name",
        "memory": "proportional set size of the worker's process tree after the drain",
        "worker": f"{PROCESSES} processes, settings as in fastworker/bench/rivals; results off",
        "broker": "a private Redis, persistence off, or a private PostgreSQL, fsync off; all on loopback",
    }
    if settings.rate:
        said["wait"] = (
            f"{settings.workloads[0].name}, published at {settings.rate:g} a second for {settings.pace_s:g} s in an "
            "open loop by the system's own client, from the intended moment to the start of the task"
        )
    return said
