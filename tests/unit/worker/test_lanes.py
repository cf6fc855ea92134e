"""What is asked of a node with lanes is asked of each of them, and what is for one goes to that one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fastworker.errors import OperationalError, WorkerEnded
from fastworker.worker.lane import Lane
from fastworker.worker.lanes import Lanes, UnknownLane


class Core:
    """A Rust half that keeps what it is told, and may not answer."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.told: list[Any] = []
        self.is_mute = False
        self.has_ended = False

    def _hear(self, *what: Any) -> None:
        self.told.append(what)
        if self.has_ended:
            raise WorkerEnded(f"core {self.number} has ended")
        if self.is_mute:
            raise OperationalError(f"core {self.number} does not answer")

    def consume(self, *what: Any) -> None:
        self._hear("consume", *what)

    def give_back(self, queue: str, *, is_cancelled: bool) -> bool:
        self._hear("give_back", queue, is_cancelled)
        return queue == f"q{self.number}"

    def revoke(self, *what: Any) -> list[dict[str, Any]]:
        self._hear("revoke", *what)
        return [{"id": self.number}]

    def set_rate(self, *what: Any) -> bool:
        self._hear("set_rate", *what)
        return True

    def snapshot(self) -> dict[str, Any]:
        self._hear("snapshot")
        return {
            "tasks": [{"id": self.number}],
            "revoked": ["both", f"own {self.number}"],
            "total": {"add": 2},
            "pids": [self.number],
            "writes": [2],
            "busy": 1,
        }


def lanes_of(*names: str | None) -> tuple[Lanes, list[Any]]:
    lanes: list[Lane] = []
    cores: list[Any] = []
    for number, name in enumerate(names):
        settings: Any = SimpleNamespace(queues=[f"q{number}"], autoscale=None)
        lane = Lane(name, options=None, size=None, settings=settings, keeper=None)  # type: ignore[arg-type]
        cores.append(Core(number))
        lane._core = cores[-1]
        lanes.append(lane)
    return Lanes(lanes), cores


def test_answers_are_put_together_and_say_which_lane() -> None:
    lanes, cores = lanes_of("cpu", "io")
    assert lanes.snapshot() == {
        "tasks": [{"id": 0, "lane": "cpu"}, {"id": 1, "lane": "io"}],
        "revoked": ["both", "own 0", "own 1"],
        "total": {"add": 4},
        "pids": [0, 1],
        "writes": [2, 2],
        "busy": 2,
        "lanes": {"cpu": cores[0].snapshot(), "io": cores[1].snapshot()},
    }
    assert lanes.revoke(["a"], [], 9) == [{"id": 0, "lane": "cpu"}, {"id": 1, "lane": "io"}]


def test_node_without_lanes_names_none() -> None:
    lanes, _ = lanes_of(None)
    snapshot = lanes.snapshot()
    assert (snapshot["tasks"], snapshot["lanes"]) == ([{"id": 0, "lane": None}], {})


def test_lane_that_does_not_answer_keeps_the_order_from_no_other() -> None:
    lanes, cores = lanes_of("a", "b", "c")
    cores[0].is_mute = True
    with pytest.raises(OperationalError, match="core 0 does not answer"):
        lanes.set_rate("add", 1.0)
    assert [core.told for core in cores] == [[("set_rate", "add", 1.0)]] * 3


def test_rate_is_divided_between_the_lanes_to_which_the_task_comes() -> None:
    lanes, cores = lanes_of("a", "b", "c")
    a, b, _ = lanes
    assert lanes.divide_rate(a, "add", 6.0) == [a]
    assert [core.told for core in cores] == [[], [], []]
    assert lanes.divide_rate(b, "add", 6.0) == [a, b]
    assert [core.told.pop() for core in cores] == [
        ("set_rate", "add", rate) for rate in (3.0, 3.0, 6.0)
    ]
    lanes.set_rate("add", 1.0)
    assert [core.told.pop()[2] for core in cores] == [0.5, 0.5, 1.0]
    lanes.set_rate("add", None)
    assert [core.told.pop()[2] for core in cores] == [None] * 3
    lanes.set_rate("echo", 1.0)
    assert [core.told.pop()[2] for core in cores] == [1.0] * 3


def test_lane_that_has_ended_has_no_part_in_the_answer() -> None:
    lanes, cores = lanes_of("a", "b")
    cores[0].has_ended = True
    assert lanes.revoke(["x"], [], None) == [{"id": 1, "lane": "b"}]
    assert list(lanes.snapshot()["lanes"]) == ["b"]
    cores[1].has_ended = True
    with pytest.raises(WorkerEnded, match="core 0 has ended"):
        lanes.snapshot()
    cores[1].has_ended, cores[1].is_mute = False, True
    with pytest.raises(OperationalError, match="core 1 does not answer"):
        lanes.snapshot()


def test_command_is_for_the_lane_it_names_or_whose_queue_it_names() -> None:
    lanes, _ = lanes_of("cpu", "io")
    assert lanes.of("io").name == "io"
    assert lanes.of(None, "q1").name == "io"
    assert lanes.of("cpu", "new").name == "cpu"
    for name, queue, said in [
        (None, None, "has the lanes cpu, io; expected one of them, as the argument lane='cpu'"),
        (None, "new", "has the lanes cpu, io"),
        ("gpu", None, "no lane 'gpu'; expected one of cpu, io"),
        ("cpu", "q1", "'q1' is consumed by the lane io; expected that one, or cancel_consumer"),
    ]:
        with pytest.raises(UnknownLane, match=said):
            lanes.of(name, queue)


def test_command_that_names_no_lane_is_for_the_only_one() -> None:
    lanes, _ = lanes_of(None)
    assert lanes.of(None, "new").name is None
    with pytest.raises(UnknownLane, match="no lanes, so none that is called 'cpu'"):
        lanes.of("cpu")


def test_cancelled_queue_comes_back_to_its_lane_or_goes_to_another() -> None:
    lanes, cores = lanes_of("cpu", "io")
    cpu, io = lanes
    assert lanes.give_back("q0", is_cancelled=True)
    assert (cpu.queues, io.queues) == ([], ["q1"])
    lanes.consume(lanes.of(None, "q0"), "q0", 3, 1)
    assert (cpu.queues, lanes.lane_of("q0")) == (["q0"], "cpu")
    lanes.give_back("q0", is_cancelled=True)
    lanes.consume(lanes.of("io", "q0"), "q0", None, 1)
    assert (cpu.queues, io.queues, lanes.lane_of("q0")) == ([], ["q1", "q0"], "io")
    assert cores[1].told[-1] == ("consume", "q0", None, 1, None)


def test_paused_queue_stays_in_its_lane() -> None:
    lanes, _ = lanes_of("cpu", "io")
    assert lanes.give_back("q1", is_cancelled=False)
    assert not lanes.give_back("unknown", is_cancelled=False)
    assert [lane.queues for lane in lanes] == [["q0"], ["q1"]]


def test_broadcast_that_every_lane_hears_is_obeyed_once() -> None:
    lanes, _ = lanes_of("cpu", "io")
    heard = [lanes.is_news(word) for word in (b"a", b"a", b"b", b"a", b"b", b"c")]
    assert heard == [True, False, True, False, False, True]
    alone, _ = lanes_of(None)
    assert [alone.is_news(b"a") for _ in range(2)] == [True, True]
