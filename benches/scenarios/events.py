"""What does it cost a worker to tell of its tasks when nobody listens, and when Flower does?"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benches.harness.broker import RedisServer
from benches.harness.flower import listening
from benches.harness.runner import open_run, rounds, sized
from benches.harness.stage import open_stage
from benches.harness.systems import CELERY_LATE, FASTWORKER

TELLING = ("--task-events",)
SYSTEMS = (
    FASTWORKER,
    replace(FASTWORKER, name="fastworker-events", options=TELLING),
    replace(FASTWORKER, name="fastworker-flower", options=TELLING),
    CELERY_LATE,
    replace(CELERY_LATE, name="celery-late-events", options=TELLING),
    replace(CELERY_LATE, name="celery-late-flower", options=TELLING),
)

CONDITIONS = {
    "load": "noop(42), JSON, results ignored; laid aside beforehand, released at once to a warm and idle worker",
    "measured": "from the release until every task has run and the broker holds neither message nor lease",
    "events": "three of each task (received, started, succeeded), with --task-events; nobody listens but to "
    "those named flower, to each of which a Flower of its own does, on the same cores",
    "worker": "2 processes, log level WARNING; fastworker: otherwise defaults, with heartbeats",
    "celery": "prefork, -O fair, no gossip, mingle, heartbeat or rate limits; prefetches 256",
    "broker": "a private Redis for each system, on loopback, persistence off for all",
}


def main() -> None:
    """Run the scenario."""
    with open_run("events", __doc__, CONDITIONS) as run:
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in SYSTEMS}
        with ExitStack() as stack:
            stages = [stack.enter_context(open_stage(system)) for system in SYSTEMS]
            sizes = {stage.system.name: sized(stage.warm_up()) for stage in stages}
            for stage in stages:
                if stage.system.name.endswith("flower"):
                    assert isinstance(stage.broker, RedisServer)
                    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
                    stack.enter_context(listening(stage.broker, folder))
            for number, stage in rounds(stages):
                run.add(number, stage.system.name, stage.drain(sizes[stage.system.name]))


if __name__ == "__main__":
    main()
