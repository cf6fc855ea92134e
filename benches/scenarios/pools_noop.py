"""How many no-op tasks per second does each kind of pool run, against Celery's pool of the same kind?"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from benches.harness.peers import BIN, require_environment
from benches.harness.runner import DRAIN_S, open_run, rounds, sized
from benches.harness.stage import Stage, open_stage
from benches.harness.systems import FASTWORKER, PEERS, System


@dataclass(frozen=True)
class Pool:
    """One kind of pool on both sides; ``concurrency`` is the same, and ``prefetch`` what makes
    Celery fetch about a thousand messages ahead.
    """

    name: str
    celery: str
    concurrency: int
    prefetch: int
    task: str = "noop"


POOLS = (
    Pool("prefork", "prefork", 2, 500),
    Pool("threads", "threads", 10, 100),
    Pool("solo", "solo", 1, 1000),
    Pool("asyncio", "gevent", 100, 10, "noop_async"),
    Pool("gevent", "gevent", 100, 10),
    Pool("eventlet", "eventlet", 100, 10),
)
MEASURE_S = DRAIN_S / 2

CONDITIONS = {
    "load": "noop(42), JSON, results ignored, a coroutine for fastworker's asyncio pool; laid aside "
    "beforehand, released at once to a warm and idle worker",
    "measured": "from the release until every task has run and the broker holds neither message nor lease",
    "pools": ", ".join(
        f"{pool.name}: against {pool.celery}, concurrency {pool.concurrency}" for pool in POOLS
    ),
    "worker": "one node, log level WARNING; fastworker: otherwise defaults, so one process of threads or "
    "of coroutines",
    "celery": "-O fair, no gossip, mingle, heartbeat, events or rate limits; prefetches about 1,000",
    "broker": "a private Redis for each system, on loopback, persistence off for all",
}


def main() -> None:
    """Run the scenario."""
    require_environment()
    with open_run("pools_noop", __doc__, CONDITIONS) as run:
        systems = (*PEERS, FASTWORKER)
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
        for pool in POOLS:
            with ExitStack() as stack:
                stages = [stack.enter_context(stage_for(pool, system)) for system in systems]
                sizes = {stage.system.name: sized(stage.warm_up(), MEASURE_S) for stage in stages}
                for number, stage in rounds(stages):
                    metrics = stage.drain(sizes[stage.system.name])
                    run.add(number, stage.system.name, metrics, pool.name)


def stage_for(pool: Pool, system: System) -> AbstractContextManager[Stage]:
    """A stage of ``system`` with this pool."""
    if system.app == "fastworker":
        chosen = replace(system, pool=pool.name, python=str(BIN / "python"))
        return open_stage(chosen, task=pool.task, concurrency=pool.concurrency)
    chosen = replace(system, pool=pool.celery, prefetch=pool.prefetch, python=str(BIN / "python"))
    return open_stage(chosen, concurrency=pool.concurrency)


if __name__ == "__main__":
    main()
