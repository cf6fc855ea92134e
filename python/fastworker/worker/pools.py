"""What each kind of pool can do, and what happens where it cannot: the one table.

`docs/reference/pools.md` is written from it; the command line refuses by it; and a test that needs something says so by
the trait's name (``@pytest.mark.needs("own-process")``), so that it runs with every pool that has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: As ``--pool`` spells them.
POOLS = ("prefork", "threads", "asyncio", "gevent", "eventlet", "solo")
_SHARED = ("threads", "asyncio", "gevent", "eventlet")
_SHARED_AND_SOLO = (*_SHARED, "solo")


def _all(pools: tuple[str, ...], words: str) -> dict[str, str]:
    return dict.fromkeys(pools, words)


@dataclass(frozen=True)
class Trait:
    """Something that a pool has or has not.

    Attributes:
        name: For tests.
        words: For users.
        without: By pool that has it not: what happens instead.
    """

    name: str
    words: str
    without: Mapping[str, str] = field(default_factory=dict)


TRAITS = (
    Trait(
        "processes",
        "Tasks run in processes of their own beside the worker's: one that dies is replaced, and its tasks run again",
        {"solo": "tasks run in the worker's process; another worker takes over what it held"},
    ),
    Trait(
        "own-process",
        "A task has its process for itself, and dies alone",
        _all(_SHARED, "the others of its process run again, see the guide")
        | {"solo": "it takes the worker along"},
    ),
    Trait(
        "time-limits",
        "Soft and hard time limits",
        {
            "solo": "nothing can interrupt the main thread; the worker says at its start whose limits are not kept"
        },
    ),
    Trait(
        "limits-in-c",
        "A soft limit interrupts a call that does not come back to Python by itself",
        _all(_SHARED, "it is raised when the call returns, or where the task waits next")
        | {"solo": "there are none"},
    ),
    Trait(
        "terminate",
        "`revoke(terminate=True)` ends a task that runs",
        {"solo": "the command is answered with an error"},
    ),
    Trait(
        "signals",
        "`revoke(signal=…)`: the task gets that signal",
        _all(_SHARED, "an exception is raised in it, whatever the signal")
        | {"solo": "the command is answered with an error"},
    ),
    Trait(
        "leaving",
        "`SystemExit` in a task ends its process",
        _all(_SHARED, "it fails the task with `WorkerLostError`")
        | {"solo": "it is logged, and the worker goes on"},
    ),
    Trait(
        "max-per-child",
        "`--max-tasks-per-child`, `--max-memory-per-child`",
        {"solo": "without effect; the command line says so"},
    ),
    Trait(
        "autoscale",
        "`--autoscale`",
        {"solo": "`--pool prefork`"},
    ),
    Trait(
        "several-at-once",
        "Several tasks at once",
        {"solo": "one after the other"},
    ),
    Trait(
        "coroutines-at-once",
        "Several `async def` tasks at once in one process",
        {"prefork": "one in each", "solo": "one after the other"},
    ),
    Trait(
        "fork",
        "Children are forks that share the imported application's memory",
        _all(("gevent", "eventlet"), "each imports the application by itself")
        | {"solo": "there are no children"},
    ),
)
_BY_NAME = {trait.name: trait for trait in TRAITS}


def lack(pool: str, name: str) -> str | None:
    """What happens where a pool has not that trait; None: it has it.

    Raises:
        KeyError: There is no trait of that name.
    """
    return _BY_NAME[name].without.get(pool)
