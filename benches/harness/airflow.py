"""Airflow as its lock file has it, with servers of its own, and DAG runs timed by what Airflow stores of them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from benches.harness.broker import RedisServer
from benches.harness.machine import REPOSITORY
from benches.harness.projects import CACHE, make_environment, run
from fastworker.bench.rivals import process_tree
from fastworker.bench.rivals.environments import versions
from fastworker.bench.rivals.postgres import PostgresServer
from fastworker.bench.rivals.worker_process import WorkerProcess

ENVIRONMENT = CACHE / "airflow-env"
PROGRAMS = ENVIRONMENT / "bin"
APP = "airflow.providers.celery.executors.celery_executor.app"
READY_S = 60.0
DAGS = """\
from datetime import datetime
from airflow import DAG
from airflow.operators.bash import BashOperator

for dag_id, tasks in {dags!r}.items():
    with DAG(dag_id, start_date=datetime(2024, 1, 1), schedule=None, max_active_tasks=tasks):
        for number in range(tasks):
            BashOperator(task_id=f"task{{number}}", bash_command="true")
"""
_RUN = """\
import json, sys, time
from airflow.api.common.trigger_dag import trigger_dag
from airflow.models import DagRun, TaskInstance
from airflow.utils.session import create_session

dag_id, run_id, timeout_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
trigger_dag(dag_id, run_id=run_id)
deadline = time.monotonic() + timeout_s
while True:
    with create_session() as session:
        run = session.query(DagRun).filter_by(dag_id=dag_id, run_id=run_id).one()
        if run.end_date is not None:
            tasks = session.query(TaskInstance).filter_by(dag_id=dag_id, run_id=run_id).all()
            waits = sorted((task.start_date - task.queued_dttm).total_seconds() for task in tasks if task.start_date)
            facts = {"state": run.state, "run_s": (run.end_date - run.queued_at).total_seconds(), "waits_s": waits}
            break
    if time.monotonic() > deadline:
        sys.exit(f"{run_id} of {dag_id} is {run.state} after {timeout_s:g} s")
    time.sleep(0.5)
print(json.dumps(facts))
"""
"""Airflow's own client; it looks seldom, as it shares the machine with what is measured."""


class DagRun(NamedTuple):
    """How a run went.

    Attributes:
        run_s: From the trigger to the end of the run.
        waits_s: For each task, from when the scheduler queued it until its command began; shortest first.
    """

    run_s: float
    waits_s: Sequence[float]


class Airflow(AbstractContextManager["Airflow"]):
    """Redis, PostgreSQL for metadata and results, and a scheduler; a worker is started by whoever needs one.

    Args:
        folder: For its home and its logs.
        dags: How many tasks each DAG has. They run ``true`` and do not depend on each other.
    """

    def __init__(self, folder: Path, dags: dict[str, int]) -> None:
        self._folder = folder
        self._dags = dags
        self._stack = ExitStack()
        self._runs = 0

    def __enter__(self) -> Airflow:
        with self._stack as stack:
            redis = stack.enter_context(RedisServer(self._folder))
            postgres = stack.enter_context(PostgresServer())
            home = self._folder / "home"
            (home / "dags").mkdir(parents=True)
            (home / "dags/bench.py").write_text(DAGS.format(dags=self._dags))
            database = postgres.url.partition("://")[2]
            self._environment = {
                **os.environ,
                "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(REPOSITORY / "python"),
                "PYTHONUNBUFFERED": "1",
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://{database}",
                "AIRFLOW__CELERY__BROKER_URL": redis.url,
            }
            for what in (["db", "migrate"], ["dags", "reserialize"]):
                run([str(PROGRAMS / "airflow"), *what], self._folder, self._environment)
            # No worker, but as much of a group of processes.
            scheduler = [str(PROGRAMS / "airflow"), "scheduler", "--skip-serve-logs"]
            stack.enter_context(self._process("scheduler", scheduler))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @contextmanager
    def worker(self, name: str, command: Sequence[str]) -> Iterator[WorkerProcess]:
        """A worker that is started by this command, a program of the environment, and says that it is ready."""
        with self._process(name, [str(PROGRAMS / command[0]), *command[1:]]) as worker:
            deadline = time.monotonic() + READY_S
            while "ready." not in (self._folder / name / "worker.log").read_text():
                worker.check()
                if time.monotonic() > deadline:
                    raise SystemExit(f"benches: {name} is not ready after {READY_S:g} s")
                time.sleep(0.1)  # what is read is another process's file
            yield worker

    def run(self, dag: str, timeout_s: float) -> DagRun:
        """Trigger a DAG and wait until its run is over."""
        self._runs += 1
        call = [str(PROGRAMS / "python"), "-c", _RUN, dag, f"run{self._runs}", str(timeout_s)]
        facts = json.loads(run(call, self._folder, self._environment).splitlines()[-1])
        if facts["state"] != "success":
            raise SystemExit(f"benches: the run of {dag} ended as {facts['state']}")
        return DagRun(facts["run_s"], facts["waits_s"])

    def _process(self, name: str, command: Sequence[str]) -> WorkerProcess:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return WorkerProcess(name, command, folder, self._environment)


def install() -> None:
    """Make its environment, unless it is there."""
    done = ENVIRONMENT / "installed"
    if not done.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        make_environment("airflow", ENVIRONMENT)
        done.touch()


def described() -> str:
    """Versions of what matters."""
    found = versions(PROGRAMS)
    names = ("apache-airflow", "apache-airflow-providers-celery", "celery", "sqlalchemy", "redis")
    return ", ".join(f"{name} {found[name]}" for name in names)


def own_cpu_s(worker: WorkerProcess) -> float:
    """Processor time of a worker's own processes, without the programs of tasks, which are over."""
    return process_tree.thread_cpu_s(worker.pid)
