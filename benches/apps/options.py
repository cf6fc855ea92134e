"""What the harness tells an application, through the environment of its process."""

from __future__ import annotations

import os
from pathlib import Path

BROKER: str = os.environ["BENCH_BROKER"]
"""Broker URL."""

BACKEND: str | None = os.environ.get("BENCH_BACKEND") or None
"""Result store URL; None: no results are stored."""

ACKS_LATE: bool = os.environ.get("BENCH_ACKS_LATE") == "1"
"""Acknowledge after the task ran (at least once) or before it (at most once)."""

BALLAST_BYTES: int = int(os.environ.get("BENCH_BALLAST_MB", "0")) * 1_000_000
"""How much the application allocates at import, standing in for big libraries; 0: nothing."""

EFFECTS_DIR: Path = Path(os.environ.get("BENCH_EFFECTS", "."))
"""Where each process keeps the counter of the tasks that it ran."""

PROBES: Path = EFFECTS_DIR.parent / "probes"
"""Where probe tasks record their delays, one number of nanoseconds a line."""

QUEUE: str = os.environ.get("BENCH_QUEUE", "bench")
"""The one queue that workers consume; a client that lays a load aside is given another name."""

CONCURRENCY: int = int(os.environ.get("BENCH_CONCURRENCY", "0"))
"""Tasks at once in one process, for applications that set it in code; 0: the system's default."""

IS_ACCELERATED: bool = os.environ.get("BENCH_ACCELERATED") == "1"
"""Whether a client of Celery is one that ``fastworker.accelerate`` has changed."""

CONFIRMS: bool = os.environ.get("BENCH_CONFIRMS") == "1"
"""Whether a client of Celery waits for RabbitMQ's confirmations; ours always does."""
