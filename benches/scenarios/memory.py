"""How much memory and processor time does an idle worker cost, with a small application and with a
big one?
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from benches.harness.runner import IS_QUICK, ROUNDS, open_run, rounds
from benches.harness.stage import WARM_UP_TASKS, open_stage, settled_pss
from benches.harness.systems import CELERY_LATE, FASTWORKER, System
from fastworker.bench.rivals import process_tree

SHAPES = [(2, 0), (8, 0), (2, 200), (8, 200)]
"""Processes, and megabytes that the application allocates at import."""
IDLE_WINDOW_S = 3.0 if IS_QUICK else 30.0 / ROUNDS

CONDITIONS = {
    "pss_mb_<processes>p_<app>mb": "proportional set size of the whole tree, 1 MB = 2**20 bytes, "
    f"after {WARM_UP_TASKS} no-op tasks, when two readings 0.5 s apart agree within 1 %",
    "big application": "200 MB of small dicts, strings and floats, allocated at import",
    "idle_cpu_percent": f"processor time of the tree's threads over {IDLE_WINDOW_S:g} s without "
    f"tasks, percent of one core; 2 processes, small application; both workers up, each on a "
    f"Redis of its own",
    "worker": "log level WARNING; celery: prefork, no gossip, mingle, heartbeat or events; "
    "fastworker: defaults",
    "broker": "a private Redis for each system, on loopback, persistence off",
}


def main() -> None:
    """Run the scenario."""
    with open_run("memory", __doc__, CONDITIONS) as run:
        systems = (CELERY_LATE, FASTWORKER)
        idle = idle_cpu(systems)
        for number, system in rounds(systems):
            metrics = {
                f"pss_mb_{count}p_{size}mb": memory(system, count, size) for count, size in SHAPES
            }
            run.add(number, system.name, {**metrics, "idle_cpu_percent": idle[system.name][number]})


def memory(system: System, concurrency: int, ballast_mb: int) -> float:
    """Megabytes of one idle worker that has run some tasks."""
    with open_stage(system, concurrency=concurrency, ballast_mb=ballast_mb) as stage:
        stage.drain(WARM_UP_TASKS)
        return settled_pss(stage) / 2**20


def idle_cpu(systems: tuple[System, ...]) -> dict[str, list[float]]:
    """Percent of a core, one value per round for each system; all are idle at the same time."""
    percents: dict[str, list[float]] = {system.name: [] for system in systems}
    with ExitStack() as stack:
        stages = [stack.enter_context(open_stage(system)) for system in systems]
        for stage in stages:
            stage.drain(WARM_UP_TASKS)
            settled_pss(stage)
        for _ in range(ROUNDS):
            before = [process_tree.thread_cpu_s(stage.worker.pid) for stage in stages]
            time.sleep(IDLE_WINDOW_S)  # the window that is measured
            for stage, spent in zip(stages, before, strict=True):
                used = process_tree.thread_cpu_s(stage.worker.pid) - spent
                percents[stage.system.name].append(used / IDLE_WINDOW_S * 100)
    return percents


if __name__ == "__main__":
    main()
