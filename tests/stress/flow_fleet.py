"""Workers of one fleet that run workflows while some of them are killed."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.support import processes
from tests.support.apps import AppSpec
from tests.support.flow_sides import Call, Outcome, Published, Side
from tests.support.flow_tasks import CALLS, CALLS_VARIABLE
from tests.support.flows import Flow
from tests.support.rig import Rig
from tests.support.roles import children_of, zygote_of
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess

#: Framework and runner of a worker's application, by its kind.
KINDS = {
    "own": ("fastworker", "fastworker"),
    "hosted": ("celery", "fastworker"),
    "celery": ("celery", "celery"),
}
#: What is killed of a worker of ours. Without a node's processes it is started again.
KILLS = ("child", "zygote", "supervisor", "node")
#: Late acknowledgement as both frameworks know it; dead workers are noticed sooner than usual, and a message may be hit
#: more often.
CONF = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_lease_life": 3,
    "task_max_deliveries": 50,
}
#: Without any progress for so long, a fleet is stuck.
STUCK_S = 60.0


@dataclass
class Node:
    """One place of the fleet, and the worker that has it now."""

    name: str
    kind: str
    worker: WorkerProcess


class FlowFleet:
    """Workers, a client of each framework that has an application here, and who kills.

    Args:
        folder: The test's own.
        broker: URL.
        results: URL; the same server as the broker's, or another.
        calls: URL of a Redis database, for what tasks note.
        kinds: Of the workers, see ``KINDS``.
        seed: Makes the choice of victims repeatable.
        stack: Ends all of it.
        conf: More settings.
        todo: What is left to do, by place, where the broker is neither Redis nor SQLite.
    """

    def __init__(
        self,
        folder: Path,
        broker: str,
        results: str,
        calls: str,
        kinds: Sequence[str],
        seed: int,
        stack: contextlib.ExitStack,
        conf: Mapping[str, Any] | None = None,
        todo: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:
        self._random = random.Random(seed)
        self._calls_url = calls
        self._calls = stack.enter_context(redis.Redis.from_url(calls))
        frameworks = dict.fromkeys(KINDS[kind][0] for kind in kinds)
        settings = {**CONF, **(conf or {})}
        rigs = {
            name: Rig(AppSpec(name, broker, results, settings), folder, stack)
            for name in frameworks
        }
        self.sides = {name: Side(rig, self._calls, todo) for name, rig in rigs.items()}
        #: Processes of Celery's workers, seen before each kill and in the end.
        self.celerys: set[int] = set()
        self.nodes = [
            Node(f"{kind}{number}@here", kind, self._start(kind, f"{kind}{number}@here"))
            for number, kind in enumerate(kinds)
        ]

    def _start(self, kind: str, name: str) -> WorkerProcess:
        framework, runner = KINDS[kind]
        rig = self.sides[framework].rig
        environment = {CALLS_VARIABLE: self._calls_url}
        return rig.worker("-n", name, runner=runner, **environment)

    def begin(self) -> None:
        """Forget what was called so far."""
        self._calls.delete(CALLS)

    def called(self) -> int:
        """How many calls there were since then, repeated ones included."""
        return int(self._calls.llen(CALLS))

    def kill(self, what: str, is_celery: bool = False) -> None:
        """Kill ``what`` (of ``KILLS``) of some worker, of ours or of Celery's, and start it again if it has to be."""
        nodes = [node for node in self.nodes if (node.kind == "celery") == is_celery]
        node = self._random.choice(nodes)
        if what == "node":
            node.worker.kill_node()
        elif what == "supervisor":
            node.worker.kill()
        elif what == "zygote":
            found = wait_until(lambda: zygote_of(node.worker.pid), "a zygote")
            assert found is not None
            processes.kill(found.pid)
        else:
            children = wait_until(lambda: self._children(node), "a process that runs tasks")
            processes.kill(self._random.choice(children).pid)
        if what in ("node", "supervisor"):
            node.worker = self._start(node.kind, node.name)

    def _children(self, node: Node) -> list[processes.Process]:
        if node.kind == "celery":
            return processes.below(node.worker.pid)
        return children_of(node.worker.pid)

    def wait_called(self, count: int) -> None:
        """Wait until there were ``count`` calls, or nothing is left to do.

        Raises:
            TimeoutError: No progress for ``STUCK_S``.
        """
        while (before := self.called()) < count:
            wait_until(
                lambda before=before: self.called() > before or self._is_idle(), "calls", STUCK_S
            )  # type: ignore[misc]
            if self._is_idle():
                return

    def _is_idle(self) -> bool:
        return not any(next(iter(self.sides.values())).todo().values())

    def look_at_celerys(self) -> None:
        """Note which processes are Celery's."""
        nodes = (node for node in self.nodes if node.kind == "celery")
        self.celerys.update(member.pid for node in nodes for member in node.worker.members())

    def living(self) -> set[int]:
        """The processes of all workers."""
        return {member.pid for node in self.nodes for member in node.worker.members()}


def under_fire(
    fleet: FlowFleet,
    flows: Mapping[str, Flow],
    kills: Sequence[str],
    seed: int,
    celerys: Sequence[bool] = (False,),
) -> tuple[dict[str, Outcome], list[Call]]:
    """Publish workflows in as many portions as there are ``kills``; each comes at a random moment while they run.

    Args:
        fleet: Who runs them.
        flows: By key.
        kills: Of ``KILLS``.
        seed: Makes the moments repeatable, in calls.
        celerys: Whether Celery's workers are hit, for one kill after the other, over and over.

    Returns:
        What they came to, and all calls.
    """
    chance = random.Random(seed)
    published: list[tuple[Side, Published]] = []
    clients = list(fleet.sides.values())
    fleet.begin()
    for number, (portion, what) in enumerate(zip(_portions(flows, len(kills)), kills, strict=True)):
        client = clients[number % len(clients)]
        before = fleet.called()
        published.append((client, client.publish(portion)))
        fleet.wait_called(before + chance.randint(1, 2 * len(portion)))
        fleet.look_at_celerys()
        fleet.kill(what, celerys[number % len(celerys)])
    clients[0].rest(4 * STUCK_S)
    fleet.look_at_celerys()
    calls = clients[0].calls()
    outcomes: dict[str, Outcome] = {}
    for client, each in published:
        outcomes.update(client.read(each, calls))
    return outcomes, calls


def _portions(flows: Mapping[str, Flow], count: int) -> Iterator[dict[str, Flow]]:
    keys = list(flows)
    for number in range(count):
        yield {key: flows[key] for key in keys[number::count]}
