"""What the bench tells an adapter, through the environment of its process."""

from __future__ import annotations

import os
from pathlib import Path

BROKER: str = os.environ["RIVALS_BROKER"]
"""Broker URL."""

QUEUE: str = "bench"
"""The one queue that is used."""

CONCURRENCY: int = int(os.environ["RIVALS_CONCURRENCY"])
"""Tasks at once in one process, for systems that set it in code."""

ACKS_LATE: bool = os.environ["RIVALS_ACKS_LATE"] == "1"
"""Acknowledge after the task ran, for systems that can do both."""

MARKS: Path = Path(os.environ["RIVALS_MARKS"])
"""Where tasks say that they ran."""

TASKS: str = os.environ["RIVALS_TASKS"]
"""The module with the tasks."""

AT_ONCE = 100
"""Calls that a publisher without a bulk call makes at once."""

CHUNK = 500
"""Calls of one bulk publish."""
