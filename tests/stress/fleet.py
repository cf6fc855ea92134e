"""A mixed fleet under fire: ``python -m tests.stress.fleet --tasks 50000`` (``make fleet``).

Two workers of Celery's, one of ours with an application of Celery's and one with an application of ours share a broker;
a client of each framework publishes workflows of every kind, acknowledged late. Processes of our workers are killed at
random moments: every workflow ends as it should.

``--kill-celery`` kills Celery's processes, too, and plays the same in a fleet of Celery's alone: with ours in it, no
more workflows are lost than there.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from tests.stress.flow_chaos import shuffled
from tests.stress.flow_fleet import KILLS, FlowFleet, under_fire
from tests.support.flow_sides import Call, Outcome
from tests.support.flow_tasks import ATTEMPTS
from tests.support.flows import Flow, random_flow
from tests.support.rabbitmq import VirtualHost, virtual_host
from tests.support.redis_server import RedisServer

MIXED = ("celery", "celery", "hosted", "own")
CELERYS = ("celery",) * 4
#: What takes the place of those whose end is not a success, is nowhere, or is Celery's to lose when its process dies in
#: the middle of it.
_STEADY = {"fail": "step", "exhausted": "flaky", "unkept": "step", "adder": "step"}
#: Celery's restorer looks after an hour otherwise.
RESTORE = {
    "broker_transport_options": {
        "visibility_timeout": 20,
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 2,
    }
}
#: Calls of a workflow, on average.
_CALLS = 6


@dataclass
class Fleet:
    """What a run came to.

    Attributes:
        calls: All calls.
        outcomes: What the workflows came to.
        celerys: Processes of Celery's workers.
        seconds: How long it took.
    """

    calls: Sequence[Call]
    outcomes: Mapping[str, Outcome]
    celerys: Set[int]
    seconds: float

    @property
    def lost(self) -> list[str]:
        """The workflows that did not end as they should, and how they did."""
        return [
            f"{key}: {[outcome['states'][name] for name in outcome['last']]}"
            for key, outcome in self.outcomes.items()
            if any(not self._has_ended(outcome, name) for name in outcome.get("last", ()))
        ]

    @property
    def overtaken(self) -> int:
        """How many tasks there are of which Celery's RETRY is kept although their last attempt has succeeded."""
        return sum(
            kept == "RETRY" and self._is_overtaken(outcome, name)
            for outcome in self.outcomes.values()
            for name, kept in outcome.get("states", {}).items()
        )

    def _has_ended(self, outcome: Outcome, name: str) -> bool:
        state = outcome["states"][name]
        if state == "FAILURE":
            # Celery joins nested groups by what is stored of their members.
            return any(
                kept == "RETRY" and self._is_overtaken(outcome, member)
                for member, kept in outcome["states"].items()
            )
        return state == "SUCCESS" or (state == "RETRY" and self._is_overtaken(outcome, name))

    def _is_overtaken(self, outcome: Outcome, name: str) -> bool:
        """Whether Celery's worker ran an attempt of a task, and the last one was run as well. It publishes the next
        attempt, then reads the state, and writes RETRY if that was no SUCCESS when it was read."""
        keys = {
            key
            for key, task_id, what, _ in map(json.loads, outcome["calls"])
            if (task_id, what) == (name, f"attempt {ATTEMPTS}")
        }
        return any(
            call[0] in keys and call[2] != f"attempt {ATTEMPTS}" and call[5] in self.celerys
            for call in self.calls
        )

    @property
    def repeated(self) -> int:
        """Calls that were not the first of their message."""
        runs = Counter(tuple(call[:3]) for call in self.calls if call[1])
        return sum(runs.values()) - len(runs)

    def __str__(self) -> str:
        return (
            f"{len(self.calls)} calls of {len(self.outcomes)} workflows in {self.seconds:.0f} s; "
            f"{self.repeated} repeated; {self.overtaken} with Celery's RETRY; {len(self.lost)} workflows lost"
        )


def steady(flow: Flow) -> Flow:
    """The same, of tasks that succeed in the end."""
    if flow.is_whole:
        return replace(flow, parts=tuple(map(steady, flow.parts)))
    by = "chain" if "fail" in flow.by else flow.by
    return replace(flow, kind=_STEADY.get(flow.kind, flow.kind), by=by)


def play(
    results: str,
    calls: str,
    host: VirtualHost | None,
    folder: Path,
    seed: int,
    tasks: int,
    kills: int,
    kinds: Sequence[str] = MIXED,
    celerys: Sequence[bool] = (False,),
) -> Fleet:
    """Run workflows in a fleet while its processes are killed.

    Args:
        results: URL of a Redis database, for results.
        calls: The same, for what tasks note.
        host: The broker; None: the Redis of the results.
        folder: For what workers write.
        seed: Of the first workflow, and of the kills.
        tasks: About how many calls there are.
        kills: How many there are.
        kinds: Of the workers, of ``flow_fleet.KINDS``.
        celerys: As of ``under_fire``.
    """
    flows = {f"w{n}": steady(random_flow(n)) for n in range(seed, seed + tasks // _CALLS)}

    def todo() -> dict[str, int]:
        assert host is not None
        joins = fleet.sides["celery"].joins()
        return {"joins": joins, **{name: sum(it) for name, it in _of_tasks(host).items()}}

    with contextlib.ExitStack() as stack:
        url = results if host is None else host.url
        places = folder, url, results, calls
        conf = RESTORE if host is None else {}
        fleet = FlowFleet(*places, kinds, seed, stack, conf, None if host is None else todo)
        began = time.monotonic()
        plan = shuffled([*KILLS] * -(-kills // len(KILLS)), seed)[:kills]
        if any(celerys):
            # Celery has no zygote, and what outlives its supervisor is not ours to look after.
            plan = [{"zygote": "child", "supervisor": "node"}.get(what, what) for what in plan]
        outcomes, calls = under_fire(fleet, flows, plan, seed, celerys)
        return Fleet(calls, outcomes, fleet.celerys, time.monotonic() - began)


def _of_tasks(host: VirtualHost) -> dict[str, tuple[int, int]]:
    return {
        name: counts
        for name, counts in host.queues().items()
        if "pidbox" not in name and not name.startswith("celeryev")
    }


def main() -> int:
    """Run the fleets that are asked for; 1 when a workflow was lost that should not have been."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--kill-celery", action="store_true")
    options = parser.parse_args()

    def played(kinds: Sequence[str], celerys: Sequence[bool]) -> Fleet:
        with contextlib.ExitStack() as stack:
            prefix = "fastworker-fleet-"
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
            redis = stack.enter_context(RedisServer(folder)).url
            host = stack.enter_context(virtual_host()) if options.broker == "rabbitmq" else None
            size = options.seed, options.tasks, options.kills
            fleet = play(f"{redis}/0", f"{redis}/1", host, folder, *size, kinds, celerys)
            # Celery's results speak to the server when they go.
            gc.collect()
        print(f"{', '.join(kinds)} on {options.broker}, {options.kills} kills: {fleet}", flush=True)
        for line in fleet.lost[:20]:
            print(f"  lost {line}", flush=True)
        return fleet

    if not options.kill_celery:
        return 1 if played(MIXED, (False,)).lost else 0
    may_lose = len(played(CELERYS, (True,)).lost)
    return 1 if len(played(MIXED, (True, False)).lost) > may_lose else 0


if __name__ == "__main__":
    sys.exit(main())
