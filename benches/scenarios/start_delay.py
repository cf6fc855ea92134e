"""How soon does a new task start in a process that has 10,000 coroutines in flight, and does its memory
grow?
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benches.harness import client
from benches.harness.broker import RedisServer
from benches.harness.load import RedisLoad, StampedLoad
from benches.harness.peers import BIN, require_environment
from benches.harness.results import Run
from benches.harness.runner import IS_QUICK, open_run
from benches.harness.stage import Stage, open_stage
from benches.harness.stats import percentile
from benches.harness.systems import FASTWORKER
from fastworker.bench.rivals import process_tree

IN_FLIGHT = 1_000 if IS_QUICK else 10_000
HOLD_S = 4.0 if IS_QUICK else 10.0
"""How long each stays: a thousand end and start in a second."""
SPARE = 500
"""Room for those that begin before others are seen to have ended, and for the probes."""
WATCH_S = float(os.environ.get("BENCH_START_DELAY_S", "10" if IS_QUICK else "600"))
TICK_S = 0.05
MEMORY_READINGS = 10
START_WITHIN_S = 60.0

CONDITIONS = {
    "load": f"{IN_FLIGHT:,} coroutines that sleep {HOLD_S:g} s, begun evenly over {HOLD_S:g} s and replaced "
    "as they end, results ignored",
    "start delay": f"every {TICK_S * 1e3:g} ms the harness pushes a probe behind whatever is in the queue; "
    "from just before the push to the first line of the task",
    "watched": f"{WATCH_S:g} s, after all are in flight and have been replaced once",
    "memory": "proportional set size of the worker's tree, 1 MB = 2**20 bytes; growth from the first reading "
    f"of {MEMORY_READINGS + 1} to the last; kb_per_task: the first reading less that of the idle worker, by coroutine, "
    "1 KB = 2**10 bytes",
    "worker": f"-P asyncio --processes 1 --concurrency {IN_FLIGHT + SPARE}, log level WARNING, otherwise "
    "defaults, uvloop installed",
    "broker": "a private Redis on loopback, persistence off",
}


def main() -> None:
    """Run the scenario."""
    require_environment()
    system = replace(FASTWORKER, pool="asyncio", processes=1, python=str(BIN / "python"))
    with (
        open_run("start_delay", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as server,
    ):
        env = {"BENCH_BROKER": server.url, "BENCH_ACKS_LATE": "1"}
        client.run(system, env, "publish_one", task="probe", args=[StampedLoad.STAMP])
        probes = StampedLoad(server)
        with open_stage(
            system, task="hold", args=[HOLD_S], concurrency=IN_FLIGHT + SPARE, server=server
        ) as stage:
            run.add(0, system.name, watched(stage, probes, run))


def watched(stage: Stage, probes: StampedLoad, run: Run) -> dict[str, float]:
    """Fill the worker, then watch it."""
    feeder = Feeder(stage)
    await_first(stage, probes)
    idle_mb = process_tree.tree_pss_bytes(stage.worker.pid) / 2**20
    feeder.keep_full(2 * HOLD_S)
    before = len(delays_ms(stage))
    memory_mb = [process_tree.tree_pss_bytes(stage.worker.pid) / 2**20]
    fewest = IN_FLIGHT
    for _ in range(MEMORY_READINGS):
        fewest = min(fewest, feeder.keep_full(WATCH_S / MEMORY_READINGS, probes))
        memory_mb.append(process_tree.tree_pss_bytes(stage.worker.pid) / 2**20)
    run.details["memory over time, MB"] = ", ".join(f"{one:.1f}" for one in memory_mb)
    delays = delays_ms(stage)[before:]
    if not delays:
        raise SystemExit("start_delay: no probe has run")
    return {
        "p50_ms": percentile(delays, 0.50),
        "p99_ms": percentile(delays, 0.99),
        "max_ms": max(delays),
        "probes": len(delays),
        "fewest_in_flight": fewest,
        "memory_mb": memory_mb[0],
        "kb_per_task": (memory_mb[0] - idle_mb) * 2**10 / IN_FLIGHT,
        "growth_percent": (memory_mb[-1] / memory_mb[0] - 1) * 100,
    }


def await_first(stage: Stage, probes: StampedLoad) -> None:
    """Wait until the worker is up and has run a probe."""
    probes.add(1)
    deadline = time.monotonic() + START_WITHIN_S
    while not delays_ms(stage):
        if time.monotonic() > deadline:
            raise SystemExit(f"start_delay: no probe has run in {START_WITHIN_S:g} s")
        time.sleep(0.01)


class Feeder:
    """Keeps a worker full."""

    def __init__(self, stage: Stage) -> None:
        assert isinstance(stage.load, RedisLoad)
        self._load = stage.load
        self._effects = stage.worker.effects
        self._published = 0

    def keep_full(self, seconds: float, probes: StampedLoad | None = None) -> int:
        """Publish as many as end, never more than evenly; returns the fewest that were in flight.

        Args:
            seconds: How long.
            probes: Push one of these at each tick.
        """
        until = time.monotonic() + seconds
        most_at_once = int(IN_FLIGHT / HOLD_S * TICK_S * 1.2)
        fewest = IN_FLIGHT
        while (now := time.monotonic()) < until:
            missing = IN_FLIGHT - (self._published - self._effects.total())
            if missing > 0:
                self._load.add(min(missing, most_at_once))
                self._published += min(missing, most_at_once)
            fewest = min(fewest, self._effects.in_flight())
            if probes is not None:
                probes.add(1)
            time.sleep(max(0.0, now + TICK_S - time.monotonic()))  # the beat of the load
        return fewest


def delays_ms(stage: Stage) -> list[float]:
    """What the probes have recorded so far."""
    path = stage.worker.effects.folder.parent / "probes"
    return [int(line) / 1e6 for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
