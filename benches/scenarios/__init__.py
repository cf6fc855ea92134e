"""One question per file; each is also a command: ``python -m benches.scenarios.drain_noop``."""

from __future__ import annotations

NAMES = (
    "drain_noop",
    "drain_results",
    "chords",
    "publish",
    "accelerate",
    "canvas",
    "streams",
    "roundtrip",
    "memory",
    "sqlite",
    "stations",
    "floor",
    "curves",
    "rates",
    "parked",
    "rivals",
    "waiting",
    "start_delay",
    "pools_noop",
    "hosted",
    "migrated",
    "airflow",
    "lanes",
    "batches",
    "events",
    "recording",
    "generator",
    "rabbitmq",
    "rabbitmq_publish",
)
"""Every scenario, in the order in which they run and are reported."""
