"""What changes for an Airflow when its worker is another one: time of a DAG run, processor time, memory?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

from benches.harness import airflow
from benches.harness.airflow import APP, Airflow
from benches.harness.runner import IS_QUICK, open_run, rounds
from fastworker.bench.rivals.worker_process import WorkerProcess

PROCESSES = 2
MANY = 16
"""As many as Airflow's own default."""
TASKS = 6 if IS_QUICK else 24
ROUNDS = 2 if IS_QUICK else 3
TIMEOUT_S = 300.0
CELERY = ["airflow", "celery", "worker", "--skip-serve-logs", "-q", "default"]
FASTWORKER = f"python -m fastworker -A {APP} worker -l INFO -Q default".split()
PRELOADED = ("-I", "airflow.cli.cli_parser,airflow.cli.commands.task_command")
"""What the command of each task imports in a fork of its own, unless the worker has."""
WORKERS = {"celery": CELERY, "fastworker": [*FASTWORKER, *PRELOADED], "fastworker-bare": FASTWORKER}

CONDITIONS = {
    "load": f"a DAG of {TASKS} tasks that run `true` and do not depend on each other, triggered once",
    "run_s": "from the trigger to the end of the DAG run, as Airflow stores them",
    "start_s": f"from queued to started, mean of the {PROCESSES} tasks that an idle worker starts first",
    "cpu_s": "of the worker and all that its tasks ran; own_cpu_s: of the worker's own processes",
    "memory": "proportional set size of the worker's processes: ready, and after the run",
    "many": f"{MANY} processes, and a DAG of as many tasks, once",
    "worker": "one at a time, started for the sample, warmed up by a DAG of two tasks; its log at INFO to a file",
    "celery": "`airflow celery worker --skip-serve-logs`",
    "fastworker": f"`fastworker -A {APP} worker {' '.join(PRELOADED)}`",
    "fastworker-bare": "the same without -I",
    "servers": "private ones on loopback, the same for all; Airflow as it is installed, but for the addresses",
}


def main() -> None:
    """Run the scenario."""
    airflow.install()
    with (
        open_run("airflow", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Airflow(Path(folder), {"warm": PROCESSES, "wide": TASKS, "many": MANY}) as started,
    ):
        run.conditions["versions"] = airflow.described()
        for number, name in rounds(list(WORKERS), ROUNDS):
            run.add(number, name, measure(started, name), case=f"{PROCESSES} processes")
        for name in ("celery", "fastworker"):
            run.add(0, name, measure_memory(started, name), case=f"{MANY} processes")


def measure(started: Airflow, name: str) -> dict[str, float]:
    """Start a worker and have it run the DAG."""
    with worker_of(started, name, PROCESSES) as worker:
        ready_mb = worker.memory_bytes() / 1e6
        started.run("warm", TIMEOUT_S)
        worker.await_calm(TIMEOUT_S)
        cpu_s, own_s = worker.cpu_s(), airflow.own_cpu_s(worker)
        done = started.run("wide", TIMEOUT_S)
        worker.await_calm(TIMEOUT_S)
        return {
            "run_s": done.run_s,
            "start_s": mean(done.waits_s[:PROCESSES]),
            "cpu_s": worker.cpu_s() - cpu_s,
            "own_cpu_s": airflow.own_cpu_s(worker) - own_s,
            "ready_mb": ready_mb,
            "after_mb": worker.memory_bytes() / 1e6,
        }


def measure_memory(started: Airflow, name: str) -> dict[str, float]:
    """Start a worker of many processes, each of which runs a task; on few cores nothing but its memory says much."""
    with worker_of(started, name, MANY) as worker:
        ready_mb = worker.memory_bytes() / 1e6
        started.run("many", TIMEOUT_S)
        worker.await_calm(TIMEOUT_S)
        return {"ready_mb": ready_mb, "after_mb": worker.memory_bytes() / 1e6}


@contextmanager
def worker_of(started: Airflow, name: str, processes: int) -> Iterator[WorkerProcess]:
    """A worker that is ready, and idle."""
    with started.worker(name, [*WORKERS[name], "-c", str(processes)]) as worker:
        worker.await_calm(TIMEOUT_S)
        yield worker


if __name__ == "__main__":
    main()
