"""A small comparison, as its file has it, and the adapters' modules as a worker's process imports them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastworker.bench.rivals.adapters.rival_apps.marks import create
from fastworker.bench.rivals.environments import ADAPTERS
from fastworker.bench.rivals.report import Report, System


def metrics(tasks_per_s: float, **more: float) -> dict[str, float]:
    """Of a drain of 100 tasks."""
    return {"tasks": 100.0, "tasks_per_s": tasks_per_s, "extra_runs": 0.0, **more}


@pytest.fixture
def report() -> Report:
    """Two rounds of fastworker, of a system that is slower but smaller, and of one that failed; and one left out."""
    found = Report(
        fastworker="0.1.0",
        command=["fastworker", "bench", "rivals"],
        conditions={"drain": "so"},
        workloads={"noop": "nothing", "sleep": "waits"},
        machine={"cores": 2, "cpu": "A <processor>", "load_average": 0.5},
        created=0.0,
    )
    for name in ("slow", "broken", "fastworker"):
        found.systems[name] = System(name, "1.2", "3.11.7", "redis 7.0.15", "at least once")
    for number, factor in enumerate((1.0, 0.5)):
        found.add(number, "slow", "noop", metrics(100 * factor, memory_mb=10.0, wait_p50_ms=3.0))
        ours = metrics(2000 * factor, memory_mb=30.0, wait_p50_ms=0.5)
        found.add(number, "fastworker", "noop", ours)
        found.add(number, "fastworker", "sleep", metrics(900.0))
    for place, sample in enumerate(found.samples):
        sample.at = float(place)
    found.fail(
        "broken", "noop", 0, "7 of 100 tasks had not run after 60 s; the end of its log:\n/x/y"
    )
    found.left_out["absent"] = "needs Python 3.99 or newer"
    return found


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Imports a module of ``rival_apps`` with options as a stage sets them; its marks have room for 100 calls."""
    create(tmp_path / "marks", 100)
    for name, value in (
        ("BROKER", "redis://127.0.0.1:1/0"),
        ("CONCURRENCY", "7"),
        ("ACKS_LATE", "1"),
        ("MARKS", str(tmp_path / "marks")),
        ("TASKS", "rival_apps.tasks"),
    ):
        monkeypatch.setenv(f"RIVALS_{name}", value)
    monkeypatch.syspath_prepend(str(ADAPTERS))

    def imported(name: str) -> Any:
        return importlib.import_module(f"rival_apps.{name}")

    yield imported
    for name in [name for name in sys.modules if name.partition(".")[0] == "rival_apps"]:
        del sys.modules[name]
