"""The tasks whose messages and results are recorded here; run by a real Celery worker."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery

URL = os.environ["GOLDEN_REDIS_URL"]

app = Celery("golden", broker=URL, backend=URL)
app.conf.update(task_track_started=True, worker_hijack_root_logger=False)


@app.task(name="proj.add")
def add(x: Any, y: Any) -> Any:
    """Return the sum."""
    return x + y


@app.task(name="proj.fail")
def fail() -> None:
    """Raise an error whose arguments are text and a number."""
    raise ValueError("x \u00e9", 42)


@app.task(name="proj.hang")
def hang() -> None:
    """Run until the hard time limit ends the process."""
    time.sleep(60)


@app.task(name="proj.die")
def die() -> None:
    """End the process without a word."""
    os._exit(9)
