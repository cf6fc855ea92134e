"""How many tasks per second does a worker run when each of them only waits: for a web server, or for
the clock?
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benches.harness.pages import ANSWER_S, capacity, page_server
from benches.harness.peers import BIN, ENVIRONMENT, require_environment
from benches.harness.results import Run
from benches.harness.runner import IS_QUICK, open_run, rounds
from fastworker.bench.errors import BenchError
from fastworker.bench.rivals import catalogue, environments
from fastworker.bench.rivals.catalogue import CELERY_GEVENT, CELERY_THREADS, FASTWORKER
from fastworker.bench.rivals.rival import PROCESSES, Load, Rival
from fastworker.bench.rivals.stage import Stage, open_stage

TASKS = 1_000 if IS_QUICK else 20_000
WARM_UP_TASKS = 200 if IS_QUICK else 2_000
FINALISTS = 2
"""Peers that meet fastworker in all rounds of a load: those that were quickest in its heat."""
NAP, PAGE = "nap", "page"
TASK_OF = {NAP: "sleep", PAGE: "page"}
MODULE = "benches.apps.page_tasks"
CAPACITY_CONNECTIONS = 2_000
TIMEOUT_S = 180.0
MEMORY_EVERY_S = 0.1

CELERY = (CELERY_GEVENT, CELERY_THREADS)
NAMES = ("dramatiq", "taskiq", "arq", "saq", "streaq", "pgqueuer")
PEERS = tuple(one for one in catalogue.RIVALS if one.name in NAMES)
DISTRIBUTIONS = (
    *("arq", "saq", "streaq", "taskiq", "taskiq-redis", "dramatiq", "pgqueuer", "celery"),
    *("redis", "coredis", "asyncpg", "aiohttp", "urllib3", "gevent", "uvloop"),
)

CONDITIONS = {
    "load": f"{TASKS:,} tasks, results off; page: GET of a local aiohttp server that answers after "
    f"{ANSWER_S:g} s, over kept connections, answer checked; nap: wait {ANSWER_S:g} s",
    "measured": "worker up, warm and idle; its processes stopped (SIGSTOP), the load published by the "
    "system's own client, from SIGCONT to the end of the last task; processor time until the worker is idle again",
    "heat": "every system once, alone, fresh; memory watched: kb_per_task is the growth of the tree's "
    "proportional set size over the most tasks in flight (1 KB = 2**10 bytes), messages fetched but not "
    f"started included; the {FINALISTS} quickest peers go on",
    "final": "those peers, fastworker, and in nap Celery's quicker pool take turns, in rounds",
    "worker": f"{PROCESSES} processes on the cores that broker, web server and harness use too; settings "
    "and tasks at once per process: fastworker/bench/rivals",
    "environment": "one for all (requirements/rivals.txt): aiohttp for coroutines, urllib3 for greenlets "
    "and threads",
    "broker": "a private Redis for each, persistence off; pgqueuer: a private PostgreSQL, fsync off, "
    "unlogged tables; all on loopback",
}


def main() -> None:
    """Run the scenario; ``BENCH_WAITING_SYSTEMS=dramatiq,taskiq`` leaves out the peers not named."""
    require_environment()
    allow_connections()
    chosen = os.environ.get("BENCH_WAITING_SYSTEMS", "").split(",")
    peers = [one for one in (*CELERY, *PEERS) if chosen == [""] or one.name in chosen]
    with open_run("waiting", __doc__, CONDITIONS) as run, page_server() as url:
        systems = [*peers, FASTWORKER]
        run.conditions["acknowledgement"] = {one.name: one.guarantee for one in systems}
        run.conditions["tasks at once in one process (pgqueuer: no limit; fetched at once)"] = {
            one.name: str(one.settings[Load.WAITING].concurrency) for one in systems
        }
        found = environments.versions(BIN)
        run.details["versions"] = {name: found.get(name, "not there") for name in DISTRIBUTIONS}
        run.details["web server alone"] = capacity(url, CAPACITY_CONNECTIONS, 3.0)
        arguments = {PAGE: url, NAP: ANSWER_S}
        for case, argument in arguments.items():
            rates = {one.name: rate for one in systems if (rate := heat(run, one, case, argument))}
            final(run, case, argument, finalists(systems, rates, with_celery=case == NAP))


def heat(run: Run, system: Rival, case: str, argument: object) -> float | None:
    """One drain of a fresh worker with its memory watched, which costs some speed; None: it cannot run here, and the
    details say why.
    """
    try:
        with ExitStack() as stack:
            stage = opened(stack, system)
            stage.warm_up(TASK_OF[case], [argument], stage.setting.concurrency // 10)
            metrics = watched(stage, TASK_OF[case], [argument])
    except BenchError as reason:
        run.details[f"{system.name}: left out"] = str(reason)
        return None
    run.add(0, system.name, metrics, f"{case}, heat")
    return metrics["tasks_per_s"]


def watched(stage: Stage, task: str, rest: Sequence[Any]) -> dict[str, float]:
    """A drain with its memory: ``idle_mb`` before, ``peak_mb``, ``kb_per_task``: growth over the most in flight."""
    idle = peak = stage.worker.memory_bytes()
    looked = 0.0

    def look() -> None:
        nonlocal peak, looked
        if time.monotonic() - looked >= MEMORY_EVERY_S:
            peak = max(peak, stage.worker.memory_bytes())
            looked = time.monotonic()

    metrics = stage.drain(task, rest, TASKS, look)
    return {
        **metrics,
        "idle_mb": idle / 2**20,
        "peak_mb": peak / 2**20,
        "kb_per_task": (peak - idle) / 2**10 / max(1.0, metrics["in_flight"]),
    }


def finalists(systems: list[Rival], rates: dict[str, float], with_celery: bool) -> list[Rival]:
    """The quickest peers, fastworker, and Celery's quicker pool if asked for."""
    ranked = sorted(
        (one for one in systems if one.name in rates), key=lambda one: rates[one.name], reverse=True
    )
    peers = [one for one in ranked if one.name in NAMES][:FINALISTS]
    celery = [one for one in ranked if one in CELERY][:with_celery]
    return [*peers, *celery, *(one for one in ranked if one.is_ours)]


def final(run: Run, case: str, argument: object, systems: list[Rival]) -> None:
    """Rounds in which the systems take turns; all workers are up."""
    with ExitStack() as stack:
        stages: list[Stage] = []
        for system in systems:
            stages.append(opened(stack, system))
            stages[-1].warm_up(TASK_OF[case], [argument], WARM_UP_TASKS)
        for number, stage in rounds(stages):
            run.add(number, stage.rival.name, stage.drain(TASK_OF[case], [argument], TASKS), case)


def opened(stack: ExitStack, system: Rival) -> Stage:
    """A stage until the stack closes."""
    setting = system.settings[Load.WAITING]
    return stack.enter_context(open_stage(system, setting, ENVIRONMENT, TIMEOUT_S, MODULE))


def allow_connections() -> None:
    """Raise the limit of open files as far as we may: the web server and the workers inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
