"""How many rows per second do tasks write, one transaction for each message or one for a hundred?"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from benches.harness.peers import BIN, require_environment
from benches.harness.runner import DRAIN_S, open_run, rounds, sized
from benches.harness.stage import Stage, open_stage
from benches.harness.systems import CELERY_LATE, FASTWORKER

BATCH = 100
"""Calls of a batch; as in the applications."""
MEASURE_S = DRAIN_S / 2

TASKS = ("insert", "insert_batch")

CONDITIONS = {
    "load": "insert(42), JSON, results ignored; laid aside beforehand, released at once to a warm and idle worker; "
    f"a multiple of {BATCH} calls, so that no batch waits for its time",
    "task": "insert: a row and a transaction for each message; insert_batch: a batch of 100 messages, one transaction "
    "(celery-batches 0.11: flush_every=100, flush_interval=0.5; fastworker: batch=100, batch_timeout=0.5); SQLite, "
    "WAL, synchronous=FULL, a file for each process",
    "measured": "from the release until every row is written and the broker holds neither message nor lease",
    "worker": "one node, two processes, log level WARNING; fastworker: otherwise defaults",
    "celery": "-O fair, no gossip, mingle, heartbeat, events or rate limits; prefetches 256",
    "broker": "a private Redis for each system, on loopback, persistence off for all",
}


def main() -> None:
    """Run the scenario."""
    require_environment()
    systems = [replace(one, python=str(BIN / "python")) for one in (CELERY_LATE, FASTWORKER)]
    with open_run("batches", __doc__, CONDITIONS) as run:
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
        for task in TASKS:
            with ExitStack() as stack:
                stages: list[Stage] = [
                    stack.enter_context(open_stage(system, task=task)) for system in systems
                ]
                sizes = {stage.system.name: size(stage) for stage in stages}
                for number, stage in rounds(stages):
                    metrics = stage.drain(sizes[stage.system.name])
                    run.add(number, stage.system.name, metrics, task)


def size(stage: Stage) -> int:
    """How many calls take about ``MEASURE_S``, after a warm-up; whole batches, and twenty at least."""
    count = sized(stage.warm_up(2 * BATCH), MEASURE_S)
    return max(count // BATCH, 20) * BATCH


if __name__ == "__main__":
    main()
