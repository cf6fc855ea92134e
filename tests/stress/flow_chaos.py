"""Workflows survive kills, long form: ``python -m tests.stress.flow_chaos --seconds 600`` (``make chaos-workflows``).

Rounds of random workflows, first undisturbed and then while processes are killed, on two workers of one kind: an
application of ours on Redis, one on SQLite, one of Celery's on Redis. A round that broke a promise is printed with its
seed; ``--seed N --rounds 1`` plays the same workflows and kills again (the moments differ, as processes do).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.stress.flow_account import broken_promises
from tests.stress.flow_fleet import KILLS, FlowFleet, under_fire
from tests.support.flow_sides import Stuck
from tests.support.flows import Flow, random_flow
from tests.support.redis_server import RedisServer

FLOWS = 200
#: In each round.
KILLED = 16
#: Kind of workers, and of the broker.
ROUNDS = (("own", "redis"), ("hosted", "redis"), ("own", "sqlite"))


def chosen(seeds: Iterable[int]) -> dict[str, Flow]:
    """Workflows by key."""
    return {f"w{seed}": random_flow(seed) for seed in seeds}


def shuffled(kills: Sequence[str], seed: int) -> list[str]:
    """In random order."""
    order = list(kills)
    random.Random(seed).shuffle(order)
    return order


def play(kind: str, broker: str, folder: Path, seed: int) -> tuple[int, list[str]]:
    """One round: how many calls there were, and what was wrong."""
    flows = chosen(range(seed * FLOWS, (seed + 1) * FLOWS))
    kills = shuffled([*KILLS] * (KILLED // len(KILLS)), seed)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RedisServer(folder))
        calls_url = f"{server.url}/1"
        url = f"{server.url}/0" if broker == "redis" else f"sqlite:///{folder}/queue.db"
        fleet = FlowFleet(folder, url, url, calls_url, [kind, kind], seed, stack)
        (side,) = fleet.sides.values()
        expected = side.run(flows, 300)
        outcomes, calls = under_fire(fleet, flows, kills, seed)
        # Celery's results speak to the server when they go.
        gc.collect()
        return len(calls), broken_promises(expected, outcomes, calls, fleet.living())


def main() -> int:
    """Play rounds until the time is over; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rounds", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    count: Counter[str] = Counter()
    for index in range(options.rounds):
        if time.monotonic() >= deadline:
            break
        seed = options.seed + index
        kind, broker = ROUNDS[seed % len(ROUNDS)]
        print(f"seed {seed}: {kind} on {broker}", flush=True)
        with tempfile.TemporaryDirectory(prefix="fastworker-flows-") as folder:
            try:
                calls, wrong = play(kind, broker, Path(folder), seed)
            except (Stuck, TimeoutError) as error:
                calls, wrong = 0, [str(error)]
        count.update(rounds=1, calls=calls, broken=bool(wrong))
        for line in wrong:
            print(f"BROKEN with --seed {seed}: {line}", flush=True)
    kills = count["rounds"] * KILLED
    print(f"{count['calls']} calls, {kills} kills; {count['broken']} of {count['rounds']} rounds")
    return 1 if count["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
