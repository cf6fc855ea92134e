"""What a lane is asked to be: ``--lane NAME=QUEUE,…,POOL,CONCURRENCY`` or an entry of the setting ``worker_lanes``.

A lane is a pool of its own within one worker node, and the queues that it serves. A node has its lanes from the start;
without any it has one pool, which serves all of its queues.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastworker.app.nearest import did_you_mean
from fastworker.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from fastworker.worker.options import WorkerOptions

#: The pools that a lane may have, as they are written.
POOLS = ("processes", "prefork", "threads", "asyncio", "gevent", "eventlet")
_ALONE = ("prefork",)
#: What may be said beside: its smallest value.
_EXTRAS = {
    "processes": 1,
    "autoscale": 1,
    "prefetch_multiplier": 0,
    "max_tasks_per_child": 1,
    "max_memory_per_child": 1,
}
_FORM = "NAME=QUEUE,…,POOL,CONCURRENCY"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class LaneSpec:
    """One lane, validated by itself.

    Attributes:
        name: Letters, digits, ``_ . -``.
        queues: What it consumes; no other lane of the node does.
        pool: ``prefork``, ``threads``, ``asyncio``, ``gevent`` or ``eventlet``.
        concurrency: Child processes, or tasks in each process where they share one.
        processes: Child processes where tasks share one; None: the setting ``worker_processes``, else 1.
        autoscale: Most tasks at once, as in ``--autoscale``; ``concurrency`` is the fewest then. None: the number of
            child processes is fixed.
        prefetch_multiplier: As the worker's, for this lane; None: the worker's.
        max_tasks_per_child: Likewise.
        max_memory_per_child: Likewise, KiB.
    """

    name: str
    queues: tuple[str, ...]
    pool: str
    concurrency: int
    processes: int | None = None
    autoscale: int | None = None
    prefetch_multiplier: int | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None

    @classmethod
    def from_text(cls, text: str) -> LaneSpec:
        """What ``--lane`` was given: ``cpu=parse,thumbs,processes,2``, or with more: ``…,2,max-tasks-per-child=100``.

        Raises:
            ImproperlyConfigured: It is no such text; the error says what is wrong and what to try.
        """
        who = f"--lane {text!r}"
        name, _, rest = text.partition("=")
        parts = [part.strip() for part in rest.split(",")]
        extras: dict[str, Any] = {}
        while parts and "=" in parts[-1]:
            key, _, value = parts.pop().partition("=")
            extras[key.strip().replace("-", "_")] = value.strip()
        if not rest or not parts:
            raise ImproperlyConfigured(
                f"{who}: expected {_FORM}; try {name or 'cpu'}=parse,processes,2"
            )
        if not parts[-1].isdigit():
            raise ImproperlyConfigured(
                f"{who}: ends in {parts[-1]!r}; expected {_FORM}, and so the concurrency there, a whole number; try "
                f"{name}={','.join([*parts, '2'])}"
            )
        return _checked(who, name, parts[:-2], "".join(parts[-2:-1]), parts[-1], extras)

    @classmethod
    def from_setting(cls, name: str, value: Any) -> LaneSpec:
        """One entry of ``worker_lanes``: ``queues`` (a list), ``pool`` and ``concurrency``, and the rest if wanted.

        Raises:
            ImproperlyConfigured: As ``from_text``.
        """
        who = f"setting worker_lanes, lane {name!r}"
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured(
                f"{who} is {value!r}: expected a dict with queues, pool and concurrency; try "
                f"{{'queues': ['parse'], 'pool': 'processes', 'concurrency': 2}}"
            )
        extras = {str(key): said for key, said in value.items() if said is not None}
        missing = [key for key in ("queues", "pool", "concurrency") if key not in extras]
        if missing:
            raise ImproperlyConfigured(
                f"{who} has no {' and no '.join(missing)}: expected queues, pool and concurrency"
            )
        queues = extras.pop("queues")
        if isinstance(queues, str) or not isinstance(queues, Iterable):
            raise ImproperlyConfigured(
                f"{who}: queues is {queues!r}: expected a list; try {[queues]!r}"
            )
        names = [str(queue) for queue in queues]
        return _checked(who, name, names, extras.pop("pool"), extras.pop("concurrency"), extras)

    def as_setting(self) -> dict[str, Any]:
        """The entry of ``worker_lanes`` that says the same; JSON values."""
        said = {**dataclasses.asdict(self), "queues": list(self.queues)}
        del said["name"]
        return {key: value for key, value in said.items() if value is not None}

    def options(self, node: WorkerOptions) -> WorkerOptions:
        """The options of a worker that were this lane alone."""
        return dataclasses.replace(
            node,
            lanes=(),
            queues=self.queues,
            pool=self.pool,
            concurrency=self.concurrency,
            processes=self.processes,
            autoscale=None if self.autoscale is None else (self.autoscale, self.concurrency),
            **{
                name: value
                for name in ("prefetch_multiplier", "max_tasks_per_child", "max_memory_per_child")
                if (value := getattr(self, name)) is not None
            },
        )


def lanes_of(setting: Mapping[str, Any] | None) -> list[LaneSpec]:
    """The lanes of a node, from ``worker_lanes``, in their order; none: it has one pool.

    Raises:
        ImproperlyConfigured: One of them cannot be, or two of them cannot be together.
    """
    lanes = [LaneSpec.from_setting(str(name), value) for name, value in (setting or {}).items()]
    lane_of: dict[str, str] = {}
    for lane in lanes:
        for queue in lane.queues:
            other = lane_of.setdefault(queue, lane.name)
            if other != lane.name:
                raise ImproperlyConfigured(
                    f"queue {queue!r} is in the lanes {other} and {lane.name}: expected each queue in one lane; leave "
                    f"it out of one of them"
                )
    return lanes


def with_own_names(lanes: Sequence[LaneSpec]) -> tuple[LaneSpec, ...]:
    """The same lanes.

    Raises:
        ImproperlyConfigured: Two have one name.
    """
    names = [lane.name for lane in lanes]
    for name in names:
        if names.count(name) > 1:
            raise ImproperlyConfigured(
                f"two lanes are called {name!r}; expected a name for each: put the queues of both into one, or rename "
                f"one"
            )
    return tuple(lanes)


def _checked(
    who: str, name: str, queues: list[str], pool: Any, concurrency: Any, extras: dict[str, Any]
) -> LaneSpec:
    if not _NAME.fullmatch(name):
        raise ImproperlyConfigured(
            f"{who}: the name is {name!r}; expected letters, digits, '_', '.' and '-', a letter or digit first"
        )
    known = _pool(who, pool)
    if not queues or not all(queues):
        raise ImproperlyConfigured(
            f"{who}: {'a queue has no name' if queues else 'it has no queue'}; expected at least one before the pool; "
            f"try {name}=parse,{pool},{concurrency}"
        )
    numbers = {
        key: _number(who, key, value, _low(who, key, known)) for key, value in extras.items()
    }
    lane = LaneSpec(
        name,
        tuple(dict.fromkeys(queues)),
        known,
        _number(who, "concurrency", concurrency, 1),
        **numbers,
    )
    if lane.autoscale is not None and lane.autoscale < lane.concurrency:
        raise ImproperlyConfigured(
            f"{who}: autoscale={lane.autoscale} is the most tasks at once and {lane.concurrency} the fewest; expected "
            f"the former to be at least the latter"
        )
    if lane.autoscale is not None and lane.processes is not None:
        raise ImproperlyConfigured(
            f"{who}: with autoscale the number of processes follows the load; leave autoscale={lane.autoscale} or "
            f"processes={lane.processes} out"
        )
    return lane


def _pool(who: str, pool: Any) -> str:
    if pool == "solo":
        raise ImproperlyConfigured(
            f"{who}: solo cannot be a lane, as it runs its tasks in the worker's main thread, which serves all lanes; "
            f"try processes,1"
        )
    if pool not in POOLS:
        raise ImproperlyConfigured(
            f"{who}: pool {pool!r}; expected one of {', '.join(POOLS)}, before the concurrency"
            f"{did_you_mean(str(pool), POOLS)}"
        )
    return "prefork" if pool == "processes" else str(pool)


def _low(who: str, key: str, pool: str) -> int:
    """The smallest value of an extra, if there is such a one for the pool."""
    if key not in _EXTRAS:
        spelled = [name.replace("_", "-") for name in _EXTRAS]
        key = key.replace("_", "-")
        raise ImproperlyConfigured(
            f"{who}: {key!r} means nothing for a lane; expected some of {', '.join(spelled)}"
            f"{did_you_mean(key, spelled)}"
        )
    if key == "processes" and pool in _ALONE:
        raise ImproperlyConfigured(
            f"{who}: processes goes with the pools whose tasks share one; with the pool processes it is the "
            f"concurrency that says how many"
        )
    return _EXTRAS[key]


def _number(who: str, key: str, value: Any, low: int) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isdigit() or int(text) < low:
        raise ImproperlyConfigured(
            f"{who}: {key.replace('_', '-')} is {value!r}; expected a whole number of at least {low}"
        )
    return int(text)
