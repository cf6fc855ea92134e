"""Options that are settings, and what crosses to another process."""

from __future__ import annotations

import json

from fastworker.worker.options import WorkerOptions


def test_only_what_was_said_overrides_settings() -> None:
    assert WorkerOptions("n@h").overrides() == {}
    said = WorkerOptions("n@h", concurrency=2, time_limit=0.0, task_events=False)
    assert said.overrides() == {
        "worker_concurrency": 2,
        "task_time_limit": 0.0,
        "worker_send_task_events": False,
    }


def test_logging_arguments_travel_as_json() -> None:
    arguments = WorkerOptions("n@h", logfile="%n.log", log_format="json").logging()
    assert json.loads(json.dumps(arguments)) == arguments
