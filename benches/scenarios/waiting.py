"""How many tasks per second does a worker run when each of them only waits: for a web server, or for
the clock?
"""

from __future__ import annotations

import os
import resource
import subprocess
from contextlib import ExitStack

from benches.harness.frozen import FrozenStage, open_frozen_stage
from benches.harness.machine import REPOSITORY
from benches.harness.pages import ANSWER_S, capacity, page_server
from benches.harness.postgres import NoPostgres
from benches.harness.results import Run
from benches.harness.rivals import (
    BIN,
    CELERY,
    DISTRIBUTIONS,
    FASTWORKER_ASYNCIO,
    PROCESSES,
    RIVALS,
    Rival,
    require_environment,
)
from benches.harness.runner import IS_QUICK, open_run, rounds

TASKS = 1_000 if IS_QUICK else 20_000
WARM_UP_TASKS = 200 if IS_QUICK else 2_000
FINALISTS = 2
"""Peers that meet fastworker in all rounds of a load: those that were quickest in its heat."""
NAP, PAGE = "nap", "page"
CAPACITY_CONNECTIONS = 2_000

CONDITIONS = {
    "load": f"{TASKS:,} tasks, results off; page: GET of a local aiohttp server that answers after "
    f"{ANSWER_S:g} s, over kept connections, answer checked; nap: wait {ANSWER_S:g} s",
    "measured": "worker up, warm and idle; its processes stopped (SIGSTOP), the load published by the "
    "system's own client (Celery, fastworker: copies of what it wrote), from SIGCONT to the end of the "
    "last task; processor time until the worker is idle again",
    "heat": "every system once, alone, fresh; memory watched: kb_per_task is the growth of the tree's "
    "proportional set size over the most tasks in flight (1 KB = 2**10 bytes), messages fetched but not "
    f"started included; the {FINALISTS} quickest peers go on",
    "final": "those peers, fastworker, and in nap Celery's quicker pool take turns, in rounds",
    "worker": f"{PROCESSES} processes on the cores that broker, web server and harness use too; settings "
    "and tasks at once per process: benches/harness/rivals.py, benches/rivals",
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
    peers = [one for one in (*CELERY, *RIVALS) if chosen == [""] or one.name in chosen]
    with open_run("waiting", __doc__, CONDITIONS) as run, page_server() as url:
        systems = [*peers, FASTWORKER_ASYNCIO]
        run.conditions["acknowledgement"] = {one.name: one.guarantee for one in systems}
        run.conditions["tasks at once in one process (pgqueuer: no limit; fetched at once)"] = {
            one.name: str(one.concurrency) for one in systems
        }
        run.details["versions"] = versions()
        run.details["web server alone"] = capacity(url, CAPACITY_CONNECTIONS, 3.0)
        arguments = {PAGE: url, NAP: ANSWER_S}
        for task, argument in arguments.items():
            rates = {one: rate for one in systems if (rate := heat(run, one, task, argument))}
            final(run, task, argument, finalists(rates, with_celery=task == NAP))


def heat(run: Run, system: Rival, task: str, argument: object) -> float | None:
    """One drain of a fresh worker with its memory watched; None: it cannot run here, and the details
    say why.
    """
    try:
        with open_frozen_stage(system, task, argument) as stage:
            stage.warm_up(system.concurrency // 10)
            metrics = stage.drain_watched(TASKS)
    except NoPostgres as reason:
        run.details[f"{system.name}: left out"] = str(reason)
        return None
    run.add(0, system.name, metrics, f"{task}, heat")
    return metrics["tasks_per_s"]


def finalists(rates: dict[Rival, float], with_celery: bool) -> list[Rival]:
    """The quickest peers, fastworker, and Celery's quicker pool if asked for."""
    ranked = sorted(rates, key=rates.__getitem__, reverse=True)
    peers = [one for one in ranked if one in RIVALS][:FINALISTS]
    celery = [one for one in ranked if one in CELERY][:with_celery]
    return [*peers, *celery, *(one for one in ranked if one is FASTWORKER_ASYNCIO)]


def final(run: Run, task: str, argument: object, systems: list[Rival]) -> None:
    """Rounds in which the systems take turns; all workers are up."""
    with ExitStack() as stack:
        stages: list[FrozenStage] = []
        for system in systems:
            stages.append(stack.enter_context(open_frozen_stage(system, task, argument)))
            stages[-1].warm_up(WARM_UP_TASKS)
        for number, stage in rounds(stages):
            run.add(number, stage.system.name, stage.drain(TASKS), task)


def allow_connections() -> None:
    """Raise the limit of open files as far as we may: the web server and the workers inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def versions() -> dict[str, str]:
    """Of everything in the environment that a figure depends on."""
    program = f"import importlib.metadata as m; print(*map(m.version, {DISTRIBUTIONS!r}))"
    done = subprocess.run(
        [BIN / "python", "-c", program], check=True, capture_output=True, text=True, cwd=REPOSITORY
    )
    return dict(zip(DISTRIBUTIONS, done.stdout.split(), strict=True))


if __name__ == "__main__":
    main()
