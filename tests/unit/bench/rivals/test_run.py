"""The order of events, with stages that measure nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals import run as module
from fastworker.bench.rivals.catalogue import FASTWORKER, RIVALS
from fastworker.bench.rivals.report import Report, System
from fastworker.bench.rivals.rival import Rival, Setting
from fastworker.bench.rivals.run import rounds, run
from fastworker.bench.rivals.settings import RivalsSettings
from fastworker.bench.rivals.worker_process import WorkerProcess
from fastworker.bench.rivals.workloads import named
from tests.unit.bench.rivals.conftest import metrics

SYSTEMS = {one.name: one for one in RIVALS}


@dataclass
class FakeStages:
    """Opens stages whose drains take ``1 / rates[system, task]`` seconds a task, or fail.

    Attributes:
        rates: A rate, or why it fails.
        opened: Systems, in order.
        asked: System, task and number of calls of every drain.
        paced: Systems whose waits were measured.
    """

    rates: dict[tuple[str, str], float | str]
    opened: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    paced: list[str] = field(default_factory=list)

    @contextmanager
    def open(self, rival: Rival, setting: Setting, *_: Any) -> Iterator[Any]:
        """Instead of ``open_stage``."""
        self.opened.append(rival.name)

        def drain(task: str, rest: Sequence[Any], count: int) -> dict[str, float]:
            self.asked.append((rival.name, task, count))
            rate = self.rates.get((rival.name, task), 1e6)
            if isinstance(rate, str):
                raise BenchError(rate)
            return {**metrics(rate), "tasks": float(count)}

        def pace(*_: Any) -> dict[str, float]:
            self.paced.append(rival.name)
            return {"wait_p50_ms": 1.0}

        def warm_up(*_: Any) -> None:
            pass

        yield SimpleNamespace(
            rival=rival,
            worker=SimpleNamespace(was_killed=rival.name == "arq"),
            drain=drain,
            pace=pace,
            warm_up=warm_up,
        )


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every system but SAQ can be run here."""

    def is_there(rival: Rival, _environments: Any, report: Report, _say: Any) -> bool:
        if rival.name == "saq":
            report.left_out["saq"] = "no"
            return False
        report.systems[rival.name] = System(rival.project, "1", "3.11.7", "redis", "once")
        return True

    monkeypatch.setattr(module, "_is_there", is_there)


def compared(
    stages: FakeStages,
    monkeypatch: pytest.MonkeyPatch,
    names: Sequence[str],
    workloads: Sequence[str],
    **more: Any,
) -> dict[str, Any]:
    """What the run finds."""
    monkeypatch.setattr(module, "open_stage", stages.open)
    settings = RivalsSettings(
        workloads=named(workloads), rivals=[SYSTEMS[name] for name in names], rounds=2, **more
    )
    return run(settings, SimpleNamespace(), lambda line: None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("there")
def test_what_fails_is_told_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = FakeStages({("taskiq", "noop"): "9 tasks had not run\nlog"})
    content = compared(stages, monkeypatch, ["taskiq", "saq"], ["noop", "echo-1k"])
    assert content["failures"] == [
        {"round": 0, "system": "taskiq", "workload": "noop", "reason": "9 tasks had not run"}
    ]
    assert content["left_out"] == {"saq": "no"}
    measured = [(one["round"], one["system"], one["workload"]) for one in content["samples"]]
    # A new worker for the other workload; the systems take turns.
    assert measured == [
        (0, "taskiq", "echo-1k"),
        (0, "fastworker", "noop"),
        (0, "fastworker", "echo-1k"),
        (1, "taskiq", "echo-1k"),
        (1, "fastworker", "noop"),
        (1, "fastworker", "echo-1k"),
    ]
    assert stages.opened == ["taskiq", "taskiq", "fastworker", "taskiq", "fastworker"]


@pytest.mark.usefixtures("there")
def test_slow_systems_get_fewer_tasks_and_no_rate_that_is_too_high(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stages = FakeStages({("rq", "noop"): 90.0, ("arq", "noop"): 1000.0})
    content = compared(
        stages, monkeypatch, ["rq", "arq"], ["noop", "sleep"], tasks=5000, drain_s=2.0
    )
    counts = {(one["system"], one["metrics"]["tasks"]) for one in content["samples"]}
    assert {("rq", 180.0), ("arq", 2000.0), ("fastworker", 5000.0)} <= counts
    assert [count for name, _, count in stages.asked if name == "arq"][:3] == [100, 400, 2000]
    assert set(stages.paced) == {"arq", "fastworker"}
    assert content["notes"] == [
        "rq: no sleep: runs one task at a time in a process, and has no way to wait for many",
        "rq: too slow for 100 noop tasks a second, so no waits",
        "arq: did not stop within 15 s of SIGTERM; killed",
    ]


@pytest.mark.usefixtures("there")
def test_a_comparison_without_us_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = FakeStages({("fastworker", "noop"): "no broker"})
    with pytest.raises(BenchError, match="fastworker was not measured: no broker"):
        compared(stages, monkeypatch, ["huey"], ["noop"])


@pytest.mark.usefixtures("there")
def test_systems_without_a_setting_for_the_load_have_no_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = compared(FakeStages({}), monkeypatch, ["celery", "celery-gevent"], ["noop"])
    assert set(content["systems"]) == {"celery", "fastworker"}
    command = next(iter(content["systems"]["celery"]["commands"]))
    assert "--pool prefork" in command


def test_systems_take_turns_and_we_are_near_to_each() -> None:
    four = [SYSTEMS[name] for name in ("arq", "saq", "rq", "huey")]
    order = [(number, one.name) for number, one in rounds(four, 2)]
    first, second = ([name for turn, name in order if turn == number] for number in (0, 1))
    assert first == ["arq", "saq", "rq", "fastworker", "huey", "fastworker"]
    assert second == ["saq", "rq", "huey", "fastworker", "arq", "fastworker"]
    assert list(rounds([], 1)) == [(0, FASTWORKER)]


def test_an_unknown_workload_is_refused() -> None:
    with pytest.raises(BenchError, match="--workload nop: expected some of noop, echo-1k"):
        named(["nop"])


def test_a_worker_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"the worker cannot be started: .*nowhere"):
        WorkerProcess("x", [str(tmp_path / "nowhere")], tmp_path, {}).__enter__()
