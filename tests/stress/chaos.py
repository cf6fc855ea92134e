"""Nothing is lost, long form: ``python -m tests.stress.chaos --seconds 600`` (``make chaos``).

Rounds of numbered tasks on Redis and on SQLite in turn, each with its own seed, until the time is
over; two rounds on one worker, then two on a worker beside another that is left alone. A seed that
failed is printed; ``--seed N --rounds 1`` plays the same faults again (the moments differ, as
processes do).
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.stress.account import Account, Fault, recovery_table
from tests.stress.harness import Run
from tests.support.apps import AppSpec
from tests.support.redis_server import RedisServer

PROCESSES = ("child", "zygote", "supervisor", "node", "publisher")
ON_REDIS = ("connection", "server")
TASKS = 10_000
PAUSE_S = 0.0008

# Short enough for a test; ten seconds otherwise. Random kills hit a task often enough to need more
# attempts than three.
CONF = {
    "worker_lease_life": 3,
    "worker_eta_horizon": 1,
    "task_max_deliveries": 50,
    "broker_publish_deadline": 30,
}


def play(
    broker: str,
    folder: Path,
    seed: int,
    faults: list[str],
    tasks: int = TASKS,
    framework: str = "fastworker",
    has_bystander: bool = False,
    has_lanes: bool = False,
) -> Account:
    """Run ``tasks`` numbered tasks on ``broker`` while ``faults`` happen, evenly over the run;
    the account. ``has_bystander``: beside a worker that is left alone. ``has_lanes``: see ``Run``.
    """
    with contextlib.ExitStack() as stack:
        server = None
        url = f"sqlite:///{folder}/queue.db"
        if broker == "redis":
            server = stack.enter_context(RedisServer(folder, is_durable=True))
            url = f"{server.url}/0"
        spec = AppSpec(framework, url, None, CONF)
        run = Run(folder, spec, server, seed, has_bystander=has_bystander, has_lanes=has_lanes)
        stack.enter_context(run)
        started = time.monotonic()
        run.publish(tasks, PAUSE_S)
        for index, kind in enumerate(faults, 1):
            threshold = tasks * index // (len(faults) + 1)
            run.wait_effects(threshold)
            run.break_something(kind)
        account = run.finish(started)
        # Before the worker is stopped: if it does not stop, this says whether anything was lost.
        print(account, flush=True)
        return account


def schedule(broker: str, seed: int, count: int) -> list[str]:
    """``count`` faults in random order, each kind at least once."""
    choice = random.Random(seed)
    kinds = [*PROCESSES, *(ON_REDIS if broker == "redis" else ())]
    faults = kinds + [choice.choice(kinds) for _ in range(count - len(kinds))]
    choice.shuffle(faults)
    return faults


def main() -> int:
    """Play rounds until the time is over; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rounds", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--broker", choices=("redis", "sqlite"))
    parser.add_argument("--lanes", action="store_true", help="workers have two lanes")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    failed = played = tasks = 0
    faults: list[Fault] = []
    for index in range(options.rounds):
        if time.monotonic() >= deadline:
            break
        played += 1
        seed = options.seed + index
        broker = options.broker or ("redis", "sqlite")[index % 2]
        print(f"round {index + 1}: {broker}, seed {seed}", flush=True)
        with tempfile.TemporaryDirectory(prefix="fastworker-chaos-") as folder:
            try:
                planned = schedule(broker, seed, options.faults)
                is_fleet = seed // 2 % 2 == 1
                account = play(
                    broker,
                    Path(folder),
                    seed,
                    planned,
                    has_bystander=is_fleet,
                    has_lanes=options.lanes,
                )
                faults += account.faults
                tasks += account.total
                account.check()
            except (AssertionError, TimeoutError) as error:
                failed += 1
                print(f"BROKEN with --broker {broker} --seed {seed}: {error}", flush=True)
    print(recovery_table(faults))
    print(f"{tasks} tasks, {len(faults)} faults; {failed} of {played} rounds broke a promise")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
