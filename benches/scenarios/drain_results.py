"""How many tasks per second when every result is stored and one client fetches and checks all of
them?
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from benches.harness import client
from benches.harness.load import HOLD
from benches.harness.results import Run
from benches.harness.runner import DRAIN_S, open_run, rounds, sized
from benches.harness.stage import Stage, open_stage
from benches.harness.systems import FASTWORKER, PEERS, System

WAYS = {"celery": ("get", "join_native"), "fastworker": ("get", "bulk")}
"""How the client asks: each result in order, all through Celery's ResultSet, or the iterator of a
bulk publish. The quicker way counts, for each system."""

CONDITIONS = {
    "load": "echo(number), JSON; published by the client that fetches (not timed), released at "
    "once",
    "measured": "from the release until the client has fetched every result and checked that it "
    "is its call's",
    "results": "the same Redis, another database; expire after a day (both defaults)",
    "worker": "2 processes, log level WARNING; the client is a third process on the same cores",
    "celery": "prefork, prefetch multiplier 128, -O fair, no gossip, mingle, heartbeat or events",
    "fastworker": "defaults",
    "broker": "a private Redis for each system, on loopback, persistence off for all",
}


def main() -> None:
    """Run the scenario."""
    with open_run("drain_results", __doc__, CONDITIONS) as run:
        systems: tuple[System, ...] = (*PEERS, FASTWORKER)
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
        with ExitStack() as stack:
            stages = [
                stack.enter_context(open_stage(system, task="echo", with_results=True))
                for system in systems
            ]
            plans = {stage.system.name: planned(stage, run) for stage in stages}
            for number, stage in rounds(stages):
                way, count = plans[stage.system.name]
                run.add(number, stage.system.name, fetch_all(stage, count, way))


def planned(stage: Stage, run: Run) -> tuple[str, int]:
    """The quicker way to fetch for this system, and how many results take about ``DRAIN_S``."""
    count = sized(stage.warm_up(), DRAIN_S / 4)
    rates = {way: fetch_all(stage, count, way)["tasks_per_s"] for way in WAYS[stage.system.app]}
    run.details[f"{stage.system.name} ways to fetch, tasks/s"] = rates
    best = max(rates, key=rates.__getitem__)
    print(f"  {stage.system.name}: fetched by {best}, of {rates}", flush=True)
    return best, sized(rates[best], DRAIN_S)


def fetch_all(stage: Stage, count: int, way: str) -> dict[str, float]:
    """Let a client publish ``count`` calls, release them, and wait until it has fetched all
    results.
    """
    env = {**stage.env, "BENCH_QUEUE": HOLD}
    with client.start(stage.system, env, "fetch_results", count=count, way=way) as process:
        client.expect(process, "published")
        worker_cpu, broker_cpu = stage.worker.cpu_s(), stage.broker.cpu_s()
        client.tell(process, "go")
        released = time.monotonic()
        stage.load.release()
        done = client.expect(process, "finished_at")
    stage.await_empty()
    return {
        "tasks_per_s": count / (done["finished_at"] - released),
        "worker_cpu_us": (stage.worker.cpu_s() - worker_cpu) / count * 1e6,
        "broker_cpu_us": (stage.broker.cpu_s() - broker_cpu) / count * 1e6,
        "client_cpu_us": done["cpu_s"] / count * 1e6,
        "tasks": count,
    }


if __name__ == "__main__":
    main()
