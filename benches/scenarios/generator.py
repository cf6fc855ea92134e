"""How punctual is the generator of ``fastworker bench`` with one core for itself, and how much of that does it use?"""

from __future__ import annotations

import os
import random
import tempfile
import time
from array import array
from pathlib import Path

from benches.harness.broker import RedisServer
from benches.harness.runner import IS_QUICK, open_run, rounds
from fastworker import FastWorker, _core
from fastworker.bench.arrivals import moments
from fastworker.bench.templates import templates
from fastworker.bench.workload import Call

RATES = (5_000, 20_000, 40_000)
"""Calls a second."""
DURATION_S = 1.0 if IS_QUICK else 5.0
QUEUE = "generator"

CONDITIONS = {
    "load": f"Poisson arrivals of noop(42), JSON, for {DURATION_S:g} s at each rate; no worker; the queue is emptied "
    "in between",
    "late": "from the moment that was drawn beforehand until the message is handed to the connection",
    "confirmed": "from that moment until the server has it",
    "cores_used": "processor time of the generator's process / duration",
    "broker": "a private Redis on loopback, persistence off, on the other cores",
}


def main() -> None:
    """Run the scenario."""
    with (
        open_run("generator", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as server,
    ):
        own, *others = sorted(os.sched_getaffinity(0))
        if not others:
            raise SystemExit("generator: there is one core only, which the broker needs")
        os.sched_setaffinity(server.pid, others)
        os.sched_setaffinity(0, {own})
        for number, rate in rounds(RATES):
            server.client.flushall()
            run.add(number, "fastworker", punctuality(server, rate, number), case=f"{rate:,}/s")


def punctuality(server: RedisServer, rate: int, seed: int) -> dict[str, float]:
    """Of one stretch at this rate."""
    app = FastWorker("generator", broker=server.url, set_as_current=False)

    @app.task(name="bench.noop")
    def noop(value: int) -> None:
        """Is called by nobody."""

    made = templates(app, [Call("bench.noop", (42,))], QUEUE)
    offsets = moments("poisson", rate, DURATION_S, random.Random(seed))
    picks = array("I", bytes(4 * len(offsets)))
    pacer = _core.Pacer(*app.broker.write_address, made, _core.new_id())
    try:
        pacer.depth(QUEUE)  # it is connected from now on
        before = time.process_time()
        # What is drawn is ready, and nobody is late yet.
        began_us = time.time_ns() // 1000 + 10_000
        late, confirmed = pacer.run(offsets.tobytes(), picks.tobytes(), began_us, 0, 1)
        used_s = time.process_time() - before
        arrived = pacer.depth(QUEUE)
    finally:
        pacer.close()
        app.close()
    if arrived != len(offsets):
        raise SystemExit(f"generator: {arrived} of {len(offsets)} messages are in the queue")
    return {
        "sent_per_s": len(offsets) / DURATION_S,
        "late_p50_us": late.quantile_us(0.5),
        "late_p99_us": late.quantile_us(0.99),
        "late_max_us": late.max_us,
        "confirmed_p99_us": confirmed.quantile_us(0.99),
        "cores_used": used_s / DURATION_S,
    }


if __name__ == "__main__":
    main()
