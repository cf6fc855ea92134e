"""mayu on Redis, results off (its default). With a GIL it advises processes (``--mode process``), which run one task
each; tasks that wait are coroutines, which its thread mode runs many of at once. It is made for a Python without a
GIL; this is one with.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mayu import App

from rival_apps import options
from rival_apps.loads import BLOCKING, COROUTINES

app = App(broker=options.BROKER, default_queue=options.QUEUE)

_functions = COROUTINES if os.environ.get("RIVALS_COROUTINES") == "1" else BLOCKING
tasks = {name: app.task(run, name=name) for name, run in _functions.items()}


def send(task: str, call: Sequence[Any]) -> None:
    """``delay``. It has no bulk call."""
    tasks[task].delay(*call)
