"""What a plan takes from a bench beside service times, with numbers that can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastworker.plan import plan_file
from fastworker.plan.broker_needs import needs
from fastworker.plan.figure import Origin
from fastworker.plan.inputs import Inputs
from tests.unit.plan.benches import content, distribution, write


def read(folder: Path, *, plan: dict[str, Any] | None = None, **changes: Any) -> Inputs:
    write(folder, **changes)
    each = {"task": "proj.page", "rate": 10, "service": {"bench": "bench.json"}}
    return plan_file.read({"class": [each], **(plan or {})}, folder)


def page(**more: Any) -> dict[str, Any]:
    return {"proj.page": {**content()["tasks"]["proj.page"], **more}}


def test_the_start_is_the_median_of_those_who_found_a_slot(tmp_path: Path) -> None:
    """Four slots, half busy: Erlang's formula has 17 % wait for one."""
    inputs = read(tmp_path)
    assert inputs.overhead.start_s == pytest.approx(0.002, rel=0.01)
    (figure,) = [each for each in inputs.figures if each.name == "overhead.start"]
    assert figure.origin is Origin.MEASURED
    assert "p41 of the waits; 17%" in figure.note


def test_a_bench_under_high_load_says_nothing_of_the_start(tmp_path: Path) -> None:
    inputs = read(tmp_path, summary={"utilisation": {"median": 0.97}})
    (figure,) = [each for each in inputs.figures if each.name == "overhead.start"]
    assert figure.origin is Origin.ASSUMED


def test_a_drain_says_how_long_a_slot_is_empty_between_two_tasks(tmp_path: Path) -> None:
    arrivals = {"arrivals": {"kind": "drain"}, "summary": {"utilisation": {"median": 0.8}}}
    assert read(tmp_path, **arrivals).overhead.slot_s == pytest.approx(0.005, rel=0.01)


def test_without_one_it_is_taken_for_twice_the_way_to_the_child(tmp_path: Path) -> None:
    assert read(tmp_path).overhead.slot_s == pytest.approx(0.0004, rel=0.01)


def test_children_compute_a_quarter_of_the_service_time(tmp_path: Path) -> None:
    """5 ms of processor time in 20 ms of service; the parent adds 0.2 ms."""
    inputs = read(tmp_path)
    assert inputs.classes[0].cpu_share == pytest.approx(0.25, rel=0.01)
    assert inputs.overhead.cpu_s == pytest.approx(0.0002)


def test_a_tasks_own_clock_goes_before_that_of_all_children(tmp_path: Path) -> None:
    inputs = read(tmp_path, tasks=page(cpu_s=distribution(4, times=2000)))
    assert inputs.classes[0].cpu_share == pytest.approx(0.2, rel=0.01)
    # What children compute beside their tasks is the node's.
    assert inputs.overhead.cpu_s == pytest.approx(0.0002 + 0.001, rel=0.02)


def test_what_computes_on_several_cores_computes_all_the_time(tmp_path: Path) -> None:
    assert read(tmp_path, tasks=page(cpu_s=distribution(35))).classes[0].cpu_share == 1.0


def test_a_redis_carries_as_much_as_its_core_does(tmp_path: Path) -> None:
    inputs = read(tmp_path)
    assert inputs.broker.tasks_per_s == pytest.approx(20_000)
    found = needs(inputs)
    assert found.commands_per_s == pytest.approx(35)
    assert found.bytes_per_s == pytest.approx(20_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"broker": {"transport": "amqp"}},
        {"tasks": page(count=999)},
        {"overhead": {"cpu_s_per_1000_tasks": {"broker": None}}},
    ],
)
def test_else_nothing_is_known_of_it(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert read(tmp_path, **changes).broker.tasks_per_s == 30_000


def test_memory_of_a_slot_is_without_the_parents(tmp_path: Path) -> None:
    assert read(tmp_path).node.slot_bytes == pytest.approx(50e6 - 30e6 / 4)


def test_a_message_takes_up_what_was_measured(tmp_path: Path) -> None:
    inputs = read(tmp_path, overhead={"broker_memory_per_message_bytes": 640})
    assert inputs.classes[0].message_bytes == 640
    assert read(tmp_path).classes[0].message_bytes == 1000


def test_what_is_given_goes_before_what_was_measured(tmp_path: Path) -> None:
    plan = {"overhead": {"start": 0.01, "cpu": 0.005}, "node": {"slot_memory": "1GB"}}
    inputs = read(tmp_path, plan=plan)
    assert (inputs.overhead.start_s, inputs.overhead.cpu_s) == (0.01, 0.005)
    assert inputs.node.slot_bytes == 1e9


def test_of_two_files_that_counts_which_asks_for_more(tmp_path: Path) -> None:
    roles = content()["overhead"]["cpu_s_per_1000_tasks"]
    heavy = {"cpu_s_per_1000_tasks": {**roles, "supervisor": 0.9, "broker": 0.1}}
    write(tmp_path, "one.json")
    write(tmp_path, "two.json", overhead=heavy)
    classes = [
        {"task": name, "rate": 1, "service": {"bench": f"{name}.json", "task": "proj.page"}}
        for name in ("one", "two")
    ]
    inputs = plan_file.read({"class": classes}, tmp_path)
    assert inputs.overhead.cpu_s == pytest.approx(0.0009)
    assert inputs.broker.tasks_per_s == pytest.approx(10_000)


def test_a_file_with_service_times_alone_will_do(tmp_path: Path) -> None:
    """Others may write files, too."""
    tasks = {"proj.page": {"service_s": {"count": 2, "buckets": [[0.1, 2]]}}}
    absent = dict.fromkeys(("overhead", "machine", "broker", "summary", "arrivals"), None)
    inputs = read(tmp_path, **absent, tasks={**tasks})
    assert inputs.classes[0].cpu_share == 0
    origins = {figure.name: figure.origin for figure in inputs.figures}
    assert origins["overhead.slot"] is Origin.ASSUMED


def measured(*means_s: float) -> dict[str, Any]:
    """A repeat for each mean: 1,000 tasks in 10 s on four slots."""
    return {
        "phases": [
            {"kind": "measure", "utilisation": mean_s * 25, "duration_s": 10.0, "completed": 1000}
            for mean_s in means_s
        ]
    }


def test_repeats_that_differ_by_more_than_chance_are_the_drift_of_the_node(tmp_path: Path) -> None:
    inputs = read(tmp_path, **measured(0.018, 0.022))
    (figure,) = [each for each in inputs.figures if each.name == "node.drift"]
    assert figure.origin is Origin.MEASURED
    assert inputs.node.drift == pytest.approx((0.02 * 1.5) ** 0.5, rel=0.1)
    assert inputs.layout.with_nodes(3).drift == inputs.node.drift


@pytest.mark.parametrize("means_s", [(), (0.018,)])
def test_without_repeats_nothing_is_known_of_drift(
    tmp_path: Path, means_s: tuple[float, ...]
) -> None:
    inputs = read(tmp_path, **measured(*means_s))
    (figure,) = [each for each in inputs.figures if each.name == "node.drift"]
    assert (figure.value, figure.origin) == (0.0, Origin.ASSUMED)
