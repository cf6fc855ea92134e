"""What the systems are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals.rival import Load

SLEEP_S = 0.1
SPIN_S = 0.001
TASKS = "rival_apps.tasks"


@dataclass(frozen=True)
class RivalWorkload:
    """One load.

    Attributes:
        name: As the command line says it.
        task: Of the module ``tasks``.
        rest: Its arguments after the number of the call.
        load: Which settings of the systems suit it.
        what: For a reader.
        module: Where the tasks are.
    """

    name: str
    task: str
    rest: Sequence[Any]
    load: Load
    what: str
    module: str = TASKS


WORKLOADS: Sequence[RivalWorkload] = (
    RivalWorkload("noop", "noop", (), Load.QUICK, "a task that does nothing"),
    RivalWorkload("echo-1k", "echo", ("x" * 1024,), Load.QUICK, "an argument of 1 KB, returned"),
    RivalWorkload(
        "echo-10k", "echo", ("x" * 10 * 1024,), Load.QUICK, "an argument of 10 KB, returned"
    ),
    RivalWorkload(
        "sleep", "sleep", (SLEEP_S,), Load.WAITING, f"a task that waits {SLEEP_S * 1000:g} ms"
    ),
    RivalWorkload(
        "spin",
        "spin",
        (SPIN_S,),
        Load.COMPUTING,
        f"a task that computes for {SPIN_S * 1000:g} ms of processor time",
    ),
)


def named(names: Sequence[str]) -> list[RivalWorkload]:
    """Those that are named, in their own order.

    Raises:
        BenchError: There is none of this name.
    """
    known = [one.name for one in WORKLOADS]
    for name in names:
        if name not in known:
            raise BenchError(f"--workload {name}: expected some of {', '.join(known)}")
    return [one for one in WORKLOADS if one.name in names]
