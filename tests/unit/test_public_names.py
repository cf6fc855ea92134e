"""The face of the package: a project migrates by replacing the import root, so names are
Celery's.
"""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

# Module of Celery → names that a user imports from it and that exist here. Grows with the product.
NAMES = {
    "celery": ["Celery", "Task", "current_app", "current_task", "shared_task"],
    "celery.exceptions": [
        "CeleryError",
        "Ignore",
        "ImproperlyConfigured",
        "InvalidTaskError",
        "MaxRetriesExceededError",
        "NotRegistered",
        "QueueNotFound",
        "Reject",
        "Retry",
        "SoftTimeLimitExceeded",
        "TaskError",
        "TaskRevokedError",
        "TimeLimitExceeded",
        "TimeoutError",
        "WorkerLostError",
    ],
    "celery.result": ["AsyncResult"],
    "celery.signals": [
        "after_task_publish",
        "before_task_publish",
        "task_failure",
        "task_postrun",
        "task_prerun",
        "task_retry",
        "task_success",
        "worker_init",
        "worker_process_init",
        "worker_ready",
        "worker_shutdown",
    ],
    "celery.states": [
        "ALL_STATES",
        "EXCEPTION_STATES",
        "FAILURE",
        "IGNORED",
        "PENDING",
        "PROPAGATE_STATES",
        "READY_STATES",
        "RECEIVED",
        "REJECTED",
        "RETRY",
        "REVOKED",
        "STARTED",
        "SUCCESS",
        "UNREADY_STATES",
    ],
    "celery.utils.log": ["get_task_logger"],
}


@pytest.mark.parametrize("module", NAMES)
def test_celerys_names_are_found_under_our_root(module: str) -> None:
    ours = importlib.import_module(module.replace("celery", "fastworker", 1))
    theirs = importlib.import_module(module)
    for name in NAMES[module]:
        assert hasattr(theirs, name), f"{module}.{name} is not Celery's: mend this test"
        assert hasattr(ours, name), f"{ours.__name__}.{name} is missing"


def test_states_are_celerys() -> None:
    from celery import states as theirs

    from fastworker import states as ours

    for name in NAMES["celery.states"]:
        assert getattr(ours, name) == getattr(theirs, name)


def test_fastworker_is_also_called_celery() -> None:
    import fastworker

    assert fastworker.Celery is fastworker.FastWorker
    assert fastworker.__version__


def run(code: str) -> str:
    """Run code in a fresh interpreter; what it prints."""
    line = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


def test_import_starts_no_thread_and_no_child() -> None:
    code = (
        "import os, fastworker, fastworker._core; app = fastworker.FastWorker('x')\n"
        "app.task(lambda: 1, name='x.y')\n"
        "tasks = os.listdir('/proc/self/task')\n"
        "children = open(f'/proc/self/task/{tasks[0]}/children').read()\n"
        "print(len(tasks), repr(children))"
    )
    assert run(code) == "1 ''"


def test_worker_imports_nothing_large_that_it_does_not_use() -> None:
    # Each of these is megabytes in every process of a worker.
    large = ["asyncio", "email", "importlib.metadata", "ssl", "zipfile"]
    code = (
        "import sys, fastworker, fastworker.cli.main, fastworker.worker.worker\n"
        f"print([name for name in {large} if name in sys.modules])"
    )
    assert run(code) == "[]"


def test_import_needs_no_celery_and_no_server_library() -> None:
    code = (
        "import sys, fastworker, fastworker.cli.main\n"
        "bad = {'celery', 'kombu', 'redis', 'billiard', 'amqp', 'asyncio', 'sqlite3'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    assert run(code) == "[]"


def test_import_reads_no_terminal_library_that_only_commands_need() -> None:
    code = "import sys, fastworker\nprint(sorted({'click', 'rich'} & set(sys.modules)))"
    assert run(code) == "[]"
