"""What the signals' test loads with ``-A tests.support.signal_app``: connects to every signal and
notes what it is told.

One line a call in the file that ``TEST_SIGNALS`` names: the signal, its arguments' names, and the process.
"""

from __future__ import annotations

import importlib
import json
import os
from typing import Any

from tests.support.apps import APP_VARIABLE, from_environment
from tests.support.gate import append_line

FILE_VARIABLE = "TEST_SIGNALS"

_framework = json.loads(os.environ[APP_VARIABLE])["framework"]
_signals = importlib.import_module(f"{_framework}.signals")

#: As Celery lists them, and the deprecated one that it still sends.
NAMES = [*importlib.import_module("celery.signals").__all__, "task_sent"]


def note(name: str) -> Any:
    """A receiver for one signal."""

    def receiver(signal: Any = None, sender: Any = None, **facts: Any) -> None:
        line = {"signal": name, "keys": sorted(facts), "pid": os.getpid()}
        append_line(os.environ[FILE_VARIABLE], json.dumps(line))

    return receiver


for each in NAMES:
    # A receiver of setup_logging takes logging over, and there would be no line that says "ready".
    if each != "setup_logging":
        getattr(_signals, each).connect(note(each), weak=False)

app = from_environment()
