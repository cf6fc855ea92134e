"""What remains of the gain when tasks do real work, and when the broker is a network away?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from benches.harness.broker import RedisServer
from benches.harness.results import Run
from benches.harness.runner import DRAIN_S, open_run, rounds, sized
from benches.harness.stage import Stage, open_stage
from benches.harness.stats import percentile
from benches.harness.systems import CONCURRENCY, FASTWORKER, PEERS, System
from fastworker.bench.delay_proxy import delayed


@dataclass(frozen=True)
class Curve:
    """One load. ``work_s`` seconds of each task; ``delay_ms`` of round trip before the broker."""

    name: str
    task: str
    work_s: float = 0.0
    delay_ms: float = 0.0


CURVES = (
    Curve("1 ms of waiting", "wait", 0.001),
    Curve("1 ms of computing", "burn", 0.001),
    Curve("50 ms of waiting", "wait", 0.05),
    Curve("no-op, 1 ms round trip to the broker", "noop", delay_ms=1.0),
)
MEASURE_S = DRAIN_S / 2
FIRST_LOAD = 40
"""Small, since the slowest tasks take 50 ms each."""

CONDITIONS = {
    "load": "time.sleep(seconds), or a loop until that much processor time is spent, or nothing; "
    "results ignored; released at once to a warm and idle worker",
    "measured": "from the release until every task has run and the broker holds nothing",
    "ideal": "processes / seconds of work: what a queue without any cost would reach",
    "round trip": "a TCP proxy between worker and broker holds what the worker sends; pipelined "
    "requests share it",
    "worker": "2 processes on 2 cores with broker and harness beside, log level WARNING",
    "celery": "prefork, prefetch multiplier 128, -O fair, no gossip, mingle, heartbeat or events",
    "fastworker": "defaults",
    "broker": "a private Redis for each system, on loopback, persistence off",
}


def main() -> None:
    """Run the scenario."""
    with open_run("curves", __doc__, CONDITIONS) as run:
        systems = (*PEERS, FASTWORKER)
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
        for curve in CURVES:
            with ExitStack() as stack:
                stages = [stack.enter_context(stage_for(curve, system, run)) for system in systems]
                sizes = {
                    stage.system.name: sized(stage.warm_up(FIRST_LOAD), MEASURE_S)
                    for stage in stages
                }
                for number, stage in rounds(stages):
                    metrics = stage.drain(sizes[stage.system.name])
                    if curve.work_s:
                        metrics["share_of_ideal"] = (
                            metrics["tasks_per_s"] * curve.work_s / CONCURRENCY
                        )
                    run.add(number, stage.system.name, metrics, curve.name)


@contextmanager
def stage_for(curve: Curve, system: System, run: Run) -> Iterator[Stage]:
    """A stage, behind a proxy when the curve asks for it; the round trip that it really has goes to
    the details.
    """
    args: list[float] = [curve.work_s] if curve.work_s else [42]
    if not curve.delay_ms:
        with open_stage(system, task=curve.task, args=args) as stage:
            yield stage
        return
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as server,
        delayed(f"redis://127.0.0.1:{server.port}/0", curve.delay_ms / 1e3) as url,
    ):
        run.details[f"{system.name}: PING through the proxy, p50 ms"] = ping_ms(url)
        with open_stage(system, task=curve.task, args=args, server=server, broker_url=url) as stage:
            yield stage


def ping_ms(url: str) -> float:
    """Median round trip of 50 PINGs."""
    with redis.Redis.from_url(url) as client:
        times_ms = []
        for _ in range(50):
            started = time.perf_counter()
            client.ping()
            times_ms.append((time.perf_counter() - started) * 1e3)
    return percentile(times_ms, 0.5)


if __name__ == "__main__":
    main()
