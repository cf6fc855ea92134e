"""Where does the processor time of one no-op task go, station by station?"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from benches.harness import client, profile
from benches.harness.broker import RedisServer
from benches.harness.results import Run
from benches.harness.runner import open_run, rounds, sized
from benches.harness.stage import Stage, open_stage
from benches.harness.systems import CELERY_LATE, FASTWORKER, FASTWORKER_SQLITE
from fastworker.bench.rivals import process_tree

PUBLISH_S = 0.3

SUPERVISOR = {
    "decode": r"fastworker_worker::decode|fastworker_wire::(envelope|time|json)",
    "admit, schedule (engine)": r"fastworker_engine::",
    "settle": r"fastworker_(worker|broker)(::\w+)*::(settle|lease|ack)",
    "fetch": r"fastworker_broker(::\w+)*::(fetch|wake|recover)|fastworker_worker::broker_io",
    "dispatch": r"fastworker_worker::pool|fastworker_link::|fastworker_wire::(child|frame)",
    "broker connection": r"redis::|fastworker_broker::|rusqlite::|sqlite3",
    "loop, runtime": r"fastworker_worker::|tokio::|mio::",
}
"""Which functions belong to which station. The innermost function that any rule knows decides."""

CHILD = {
    "arguments, envelope (JSON)": r"fastworker_wire::|_core::json|json::",
    "link to the supervisor": r"fastworker_link::|_core::child|ChildLink",
    "run (Python)": r"\[(libpython|python)",
}

CONDITIONS = {
    "load": "noop(42), JSON, results ignored; released at once to a warm, idle worker, 2 processes",
    "publish": f"processor time of the client per .delay(), {PUBLISH_S:g} s of a loop",
    "supervisor, children, others, broker": "processor time of these processes per task over one "
    "drain; children are the processes that ran tasks, others what is left (the zygote)",
    "by station": "stacks sampled by perf over a separate drain, as shares of the measured time of "
    "that process; a function that the compiler inlined counts for its caller",
    "broker": "a private Redis for each system, on loopback, persistence off; or SQLite",
}


def main() -> None:
    """Run the scenario."""
    systems = (CELERY_LATE, FASTWORKER, FASTWORKER_SQLITE)
    with open_run("stations", __doc__, CONDITIONS) as run, ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        quiet = stack.enter_context(RedisServer(Path(folder)))
        stages = [stack.enter_context(open_stage(system)) for system in systems]
        sizes = {stage.system.name: sized(stage.warm_up()) for stage in stages}
        for number, stage in rounds(stages):
            metrics = by_process(stage, sizes[stage.system.name])
            if not stage.system.is_embedded:
                env = {"BENCH_BROKER": quiet.url}
                said = client.run(stage.system, env, "publish_loops", seconds=PUBLISH_S)
                metrics = {"publish_cpu_us": said["delay_cpu_us"], **metrics}
            run.add(number, stage.system.name, metrics)
        if not profile.is_available():
            run.details["by station"] = "perf is not available here; processes only"
            return
        for stage in stages:
            if stage.system.app == "fastworker":
                by_station(stage, sizes[stage.system.name], run)


def by_process(stage: Stage, count: int) -> dict[str, float]:
    """Microseconds per task of each kind of process."""
    before = cpu_by_kind(stage)
    broker_us = stage.drain(count)["broker_cpu_us"]
    after = cpu_by_kind(stage)
    spent = {f"{kind}_cpu_us": (after[kind] - before[kind]) / count * 1e6 for kind in after}
    return {**spent, "broker_cpu_us": broker_us}


def cpu_by_kind(stage: Stage) -> dict[str, float]:
    """Processor time so far, in seconds."""
    root, children = stage.worker.pid, stage.worker.effects.pids()
    own = {pid: process_tree.cpu_s(pid) for pid in process_tree.tree(root)}
    return {
        "supervisor": own.get(root, 0.0),
        "children": sum(spent for pid, spent in own.items() if pid in children),
        "others": sum(spent for pid, spent in own.items() if pid != root and pid not in children),
    }


def by_station(stage: Stage, count: int, run: Run) -> None:
    """Sample one drain and add shares of supervisor and children as samples of their own."""
    root, children = stage.worker.pid, stage.worker.effects.pids()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with profile.recording([root, *children], Path(folder)) as data:
            stage.drain(count)
        sampled = profile.stacks(data)
    run.details[f"{stage.system.name}: samples"] = {
        "supervisor": len(sampled.get(root, [])),
        "children": sum(len(sampled.get(pid, [])) for pid in children),
    }
    inside = [one for pid in children for one in sampled.get(pid, [])]
    for case, samples, rules in (
        ("share of the supervisor", sampled.get(root, []), SUPERVISOR),
        ("share of the children", inside, CHILD),
    ):
        run.add(0, stage.system.name, profile.shares(samples, rules), case)


if __name__ == "__main__":
    main()
