"""A node whose lanes end one after the other, or not all at once."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from fastworker import FastWorker, signals
from fastworker.worker.lane import Lane, first_zygotes
from fastworker.worker.lanes import Lanes
from fastworker.worker.options import WorkerOptions
from fastworker.worker.worker import WorkerProcess


class Keeper:
    """Of a zygote that has died as often as ``text`` says."""

    def __init__(self, text: str | None) -> None:
        self._text = text
        self.forks = True
        self.replace_at: float | None = None
        self.others: list[Any] = []

    def first(self, log_plan: Any, others: Any) -> tuple[str, int]:
        self.others = list(others)
        return f"words {id(self)}", 1

    def died(self) -> str | None:
        return self._text


def node_with(*names: str, text: str | None = None) -> tuple[WorkerProcess, dict[str, list[str]]]:
    """A node that is not started, and how each of its lanes is shut down."""
    node = WorkerProcess(FastWorker("proj", set_as_current=False), WorkerOptions("w@h"))
    told: dict[str, list[str]] = {name: [] for name in names}
    lanes = []
    for name in names:
        settings: Any = SimpleNamespace(queues=[name], autoscale=None, warm_shutdown_s=25.0)
        keeper: Any = Keeper(text)
        lane = Lane(name, options=None, size=None, settings=settings, keeper=keeper)  # type: ignore[arg-type]
        lane._core = SimpleNamespace(shutdown=told[name].append)  # type: ignore[assignment]
        lanes.append(lane)
    node.lanes = Lanes(lanes)
    return node, told


def test_node_ends_when_its_last_lane_has() -> None:
    node, told = node_with("cpu", "io")
    cpu, io = node.lanes
    node._on_event(cpu, "finished", {"error": None})
    assert not node._is_finished
    node._on_event(io, "finished", {"error": None})
    assert (node._is_finished, node._end()) == (True, 0)
    assert told == {"cpu": [], "io": []}


def test_lane_that_ends_by_itself_has_the_others_finish(caplog: pytest.LogCaptureFixture) -> None:
    node, told = node_with("cpu", "io", "gpu")
    cpu, io, gpu = node.lanes
    node._on_event(io, "finished", {"error": "the store refuses"})
    assert {name: told[name] for name in ("cpu", "gpu")} == {"cpu": ["warm"], "gpu": ["warm"]}
    [said] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert said.getMessage() == "the store refuses; stopping the other lanes"
    assert said.worker_lane == "io"  # type: ignore[attr-defined]
    for lane in (cpu, gpu):
        node._on_event(lane, "finished", {"error": None})
    assert (node._is_finished, node._end()) == (True, 1)


def test_lane_whose_zygote_cannot_live_ends_at_once_and_the_others_finish() -> None:
    node, told = node_with("cpu", "io", text="it died too often")
    node._on_event(next(iter(node.lanes)), "zygote_gone", {})
    assert told == {"cpu": ["warm", "cold"], "io": ["warm"]}
    assert node._end() == 1


def test_zygote_that_died_is_replaced_in_its_lane_alone() -> None:
    node, told = node_with("cpu", "io")
    cpu, io = node.lanes
    assert cpu.keeper is not None
    assert io.keeper is not None
    cpu.keeper.replace_at = 0.0
    adopted: list[Any] = []
    for lane in (cpu, io):
        lane.adopt_next_zygote = lambda name=lane.name: adopted.append(name)  # type: ignore[method-assign,misc]
    node._replace_zygotes()
    assert adopted == ["cpu"]
    assert told == {"cpu": [], "io": []}


def test_node_is_ready_once_when_all_of_its_lanes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    node, _ = node_with("cpu", "io")
    node.queues = ["cpu", "io"]
    declared: list[list[str]] = []
    monkeypatch.setattr(
        "fastworker.worker.worker.declare", lambda app, queues, node: declared.append(list(queues))
    )
    ready: list[Any] = []

    def on_ready(sender: Any, **_: Any) -> None:
        ready.append(sender)

    signals.worker_ready.connect(on_ready)
    cpu, io = node.lanes
    try:
        node._on_event(io, "ready", {})
        assert (declared, ready) == ([], [])
        node._on_event(cpu, "ready", {})
        assert (declared, ready) == ([["cpu", "io"]], [node])
    finally:
        signals.worker_ready.disconnect(on_ready)


def test_threads_of_imports_are_told_of_once_where_a_lane_forks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fastworker.worker.lane.threads_of_imports", lambda: ["busy"])
    node, _ = node_with("cpu", "io")
    lanes: list[Any] = list(node.lanes)
    first_zygotes(lanes, None)
    [said] = caplog.messages
    assert "started 1 thread(s) (busy)" in said
    words = [f"words {id(lane.keeper)}" for lane in lanes]
    assert [lane.keeper.others for lane in lanes] == [[], words[:1]]
    caplog.clear()
    for lane in lanes:
        lane.keeper.forks = False
    first_zygotes(lanes, None)
    assert caplog.messages == []
