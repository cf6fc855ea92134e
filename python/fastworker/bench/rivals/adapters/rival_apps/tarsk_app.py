"""tarsk on Redis (``tarsk-redis``), two children, coroutines: plain functions would each take a hop to a thread.
Results are off by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tarsk import App

from rival_apps import options
from rival_apps.loads import COROUTINES

app = App(broker=options.BROKER)

tasks = {name: app.task(name=name, queue=options.QUEUE)(run) for name, run in COROUTINES.items()}


def send(task: str, call: Sequence[Any]) -> None:
    """``send``. It has no bulk call."""
    tasks[task].send(*call)
