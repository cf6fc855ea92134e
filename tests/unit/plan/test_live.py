"""What is made of the answers of a fleet: classes, nodes, and doubts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fastworker import _core
from fastworker.errors import ImproperlyConfigured
from fastworker.plan import plan_file
from fastworker.plan.figure import Measured, Origin
from fastworker.plan.live import Fleet, ask, completed
from fastworker.plan.node_workload import NodeWorkload

NOW = 490_000 * 3600.0


def times(*values_ms: float, each: int = 1) -> dict[str, Any]:
    histogram = _core.Histogram()
    for value in values_ms:
        histogram.record(int(value * 1000), each)
    return {"count": histogram.count, "histogram": histogram.encode()}


def task(per_s: int = 4, seconds: int = 100, **changes: Any) -> dict[str, Any]:
    """``per_s`` calls in each of the last seconds, of 100 or 300 ms; a fifth of that is computing."""
    count = per_s * seconds
    return {
        "arrivals": count,
        "seconds": [int(NOW) - seconds, [per_s] * seconds],
        "hours": [int(NOW) // 3600 - 1, [count]],
        "wait_s": times(1, each=count),
        "run_s": times(100, 300, each=count // 2),
        "cpu_us": 40_000 * count,
        "cpu_run_us": 200_000 * count,
        **changes,
    }


def answer(*lanes: dict[str, Any], uptime_s: float = 100.0, **changes: Any) -> dict[str, Any]:
    return {
        "version": _core.__version__,
        "pool": "prefork",
        "slots": 8,
        "cores": 2,
        "cpu_s": {"supervisor": 1.0, "zygote": 0.0, "children": 20.0},
        "memory_bytes": 190_000_000,
        "lanes": [
            {"began": NOW - uptime_s, "now": NOW, "tasks": tasks}
            for tasks in lanes or ({"proj.page": task()},)
        ],
        **changes,
    }


def fleet(*answers: dict[str, Any]) -> Fleet:
    return Fleet([NodeWorkload.of(f"w{place}@host", each) for place, each in enumerate(answers)])


def test_two_workers_are_one_fleet() -> None:
    both = fleet(answer(), answer({"proj.page": task(per_s=2), "proj.other": task(per_s=1)}))
    inputs = plan_file.read(completed({}, both), Path())
    other, page = inputs.classes
    assert (other.task, page.task) == ("proj.other", "proj.page")
    assert page.arrivals.rate == pytest.approx(6.0)
    assert page.arrivals.scv == pytest.approx(0.0, abs=1e-9)
    assert page.service.times.mean_s == pytest.approx(0.2, rel=0.01)
    assert page.service.note == "--live, 600 tasks of 2 nodes"
    assert page.cpu_share == pytest.approx(0.2)
    assert (inputs.node.slots, inputs.node.cores) == (8, 2)
    assert inputs.node.slot_bytes == pytest.approx(20e6)
    figures = {figure.name: figure for figure in inputs.figures}
    for name in ("rate", "burstiness", "service.mean", "cpu_share", "waited"):
        assert figures[f"class proj.page.{name}"].origin is Origin.MEASURED, name
    assert figures["class proj.page.waited"].value == pytest.approx(0.001, rel=0.01)
    assert both.warnings == ()


def test_times_of_any_length_add_up() -> None:
    """Histograms are as long as what they have seen."""
    short, long = task(run_s=times(2, each=400)), task(run_s=times(60_000, each=400))
    for answers in ((short, long), (long, short)):
        (page,) = fleet(*(answer({"t": each}) for each in answers)).classes()
        assert page["service"].times.mean_s == pytest.approx(30.001, rel=0.01)


def test_lanes_of_a_node_add_up() -> None:
    (page,) = fleet(answer({"t": task()}, {"t": task()})).classes()
    assert page["arrivals"].rate == pytest.approx(8.0)


def test_a_day_has_a_shape() -> None:
    """What comes at night only is planned for the night, though nothing came in the last ten minutes."""
    night = [3600] * 6 + [0] * 18
    hours = task(seconds=0, hours=[490_000 - 24, night], run_s=times(100, each=21_600))
    (page,) = fleet(answer({"t": hours}, uptime_s=86400.0)).classes()
    arrivals = page["arrivals"]
    assert arrivals.known_hours == 24
    assert arrivals.rate == pytest.approx(0.25)
    assert arrivals.rate_at((490_000 - 24) % 24) == pytest.approx(1.0)
    assert arrivals.rate_at((490_000 - 1) % 24) == 0.0


def test_hours_that_are_not_known_are_taken_for_the_mean_of_those_that_are() -> None:
    hours = task(hours=[490_000 - 2, [3600, 10_800]])
    (page,) = fleet(answer({"t": hours}, uptime_s=7200.0)).classes()
    arrivals = page["arrivals"]
    assert arrivals.known_hours == 2
    assert arrivals.rate == pytest.approx(2.0)
    assert arrivals.rate_at((490_000 - 1) % 24) == pytest.approx(3.0)
    assert arrivals.rate_at(490_000 % 24 + 5) == pytest.approx(2.0)


def test_without_clocks_of_tasks_all_children_are_taken_together() -> None:
    """20 s of processor time within 80 s of run time."""
    (page,) = fleet(answer({"t": task(cpu_us=0, cpu_run_us=0)})).classes()
    assert page["cpu_share"].value == pytest.approx(0.25, rel=0.01)


def test_supervisors_share_is_told_with_enough_tasks() -> None:
    assert fleet(answer()).overhead() == {}
    many = fleet(answer({"t": task(per_s=20)}))
    assert many.overhead()["cpu"].value == pytest.approx(1.0 / 2000)


def test_nodes_that_are_not_alike_say_nothing_of_a_node() -> None:
    assert "slots" not in fleet(answer(), answer(slots=4)).node()


def test_a_plan_file_goes_before_what_was_heard() -> None:
    given = {
        "class": [{"task": "proj.page", "rate": 100, "cpu_share": 0.5}, {"task": "other"}],
        "node": {"slots": 3},
    }
    made = completed(given, fleet(answer()))
    first, other = made["class"]
    assert first["rate"] == 100
    assert "arrivals" not in first
    assert first["cpu_share"] == 0.5
    assert first["service"].times.mean_s == pytest.approx(0.2, rel=0.01)
    assert other == {"task": "other"}
    assert made["node"]["slots"] == 3
    assert isinstance(made["node"]["cores"], Measured)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([answer(uptime_s=10.0, slots=100)], "the youngest node runs for 10 s"),
        ([answer({"t": task(per_s=5)}, slots=1)], "100% of the slots were busy all the time"),
        ([answer(), answer(pool="threads")], r"different pools \(prefork, threads\)"),
        ([answer(version="0.0.1")], r"different versions \(0\.0\.1, "),
    ],
)
def test_what_is_doubtful_is_told(answers: list[dict[str, Any]], says: str) -> None:
    (warning,) = fleet(*answers).warnings
    assert re.search(says, warning), warning


class App:
    """Answers to ``control.broadcast``, one after the other."""

    def __init__(self, *rounds: list[dict[str, Any]]) -> None:
        self._rounds = list(rounds)
        self.control = self

    def broadcast(self, command: str, *, reply: bool, timeout: float) -> list[dict[str, Any]]:
        assert (command, reply) == ("workload", True)
        assert timeout > 0
        return self._rounds.pop(0)


def test_workers_that_keep_nothing_are_left_out() -> None:
    found = ask(
        App([{"w@host": answer()}, {"c@host": {"error": "KeyError('workload')"}}]), None, print
    )
    (warning,) = found.warnings
    assert "c@host keeps nothing" in warning
    assert len(found.nodes) == 1


def test_silence_says_what_to_look_at() -> None:
    with pytest.raises(ImproperlyConfigured, match="is one running, at this broker"):
        ask(App([]), None, print)
    with pytest.raises(ImproperlyConfigured, match="is there work"):
        fleet(answer({}))


def test_only_what_comes_while_it_watches_counts() -> None:
    later = task(per_s=4, seconds=130, run_s=times(100, 300, 500, each=200))
    later["seconds"] = [int(NOW) - 100, [4] * 100 + [9] * 30]
    after = answer({"t": later})
    after["lanes"][0].update(now=NOW + 30)
    found = ask(App([{"w": answer({"t": task()})}], [{"w": after}]), 0.0, print)
    (page,) = found.classes()
    assert page["arrivals"].rate == pytest.approx(4 * 30 / 30)
    assert page["service"].times.count == 200
    assert page["service"].times.mean_s == pytest.approx(0.5, rel=0.01)


def test_a_worker_that_was_started_meanwhile_is_left_out() -> None:
    restarted = answer(uptime_s=5.0)
    both = [{"a": answer()}, {"b": answer()}]
    grown = answer({"proj.page": task(per_s=6)})
    grown["lanes"][0].update(now=NOW + 10)
    found = ask(App(both, [{"a": grown}, {"b": restarted}]), 0.0, print)
    assert [node.name for node in found.nodes] == ["a"]
    assert any("b was started meanwhile" in warning for warning in found.warnings)
