"""Plans as a whole: enough nodes, no more, and the limit that binds first."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.plan import plan_file, planner, replicas, sizing
from fastworker.plan.report_json import document


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short simulations: their figures are looked at elsewhere."""
    monkeypatch.setattr(replicas, "MOST_TASKS", 500)
    monkeypatch.setattr(sizing, "_LOOK_TASKS", 1_000)


def plan(node: dict[str, Any] | None = None, **top: Any) -> planner.Plan:
    each = {"task": "t", "rate": 50, "service": 0.2, **top.pop("each", {})}
    given = {
        "class": [each],
        "node": node or {"slots": 4, "cores": 4},
        "headroom": {"nodes_lost": 0, "deploy_share": 0},
        **top,
    }
    return planner.make(plan_file.read(given, Path()))


def test_the_planned_fleet_meets_the_target_and_one_node_less_does_not() -> None:
    made = plan(target="p95 wait <= 200ms")
    (size,) = made.sizes
    target = made.inputs.targets[0]
    assert sizing.nodes_by_formula(made.workload, made.inputs.layout, target) == size.by_formula  # type: ignore[arg-type]
    assert made.situations[0].p95_s <= 0.2 or size.by_simulation != size.by_formula
    assert abs(size.nodes - size.by_formula) <= 1
    assert made.nodes == size.nodes >= 3  # ten slots are always busy


def test_headroom_adds_the_nodes_that_may_fail() -> None:
    assert plan(headroom={"nodes_lost": 2, "deploy_share": 0}).nodes == plan().nodes + 2


def test_a_deploy_that_takes_slots_away_for_long_needs_more_nodes() -> None:
    short = plan(headroom={"nodes_lost": 0, "deploy_share": 0.5, "deploy": 1})
    long = plan(headroom={"nodes_lost": 0, "deploy_share": 0.5, "deploy": 600})
    assert long.nodes > short.nodes
    assert long.nodes * 4 * 0.5 >= 10  # the other half gets through all of it


def test_tasks_that_compute_are_bound_by_cores_and_not_by_slots() -> None:
    made = plan({"slots": 16, "cores": 2}, each={"cpu_share": 1})
    assert made.nodes * 2 > 10
    assert made.cores_busy > 3 * made.slots_busy


def test_tasks_that_compute_half_of_the_time_get_in_each_others_way() -> None:
    made = plan({"slots": 4, "cores": 2}, each={"cpu_share": 0.5})
    factors = {limit.name: limit.factor for limit in made.limits}
    together = factors["slots that share cores"]
    assert together == pytest.approx(factors["slots"] * 34 / 40, rel=0.05)
    assert together < factors["cores"]
    waits = plan({"slots": 100, "cores": 2}, overhead={"cpu": 0.0001})
    for other in (plan(), waits):
        assert "slots that share cores" not in {limit.name for limit in other.limits}


def test_politeness_binds_first() -> None:
    made = plan(each={"keys": {"count": 100, "zipf": 1, "rate": 2}})
    first = made.limits[0]
    assert first.name == "limit for each key of t"
    assert first.factor < 1
    assert re.search(r"\d+ keys with \d+% of the tasks are over it", first.note)


def test_a_drain_that_the_largest_key_holds_up_says_so() -> None:
    made = plan(target="drain 1M in 10h", each={"keys": {"count": 1000, "zipf": 1, "rate": 1}})
    assert "no number of workers makes it" in made.sizes[0].note
    assert any("takes" in limit.note and limit.factor < 1 for limit in made.limits)


def test_a_drain_has_slots_for_the_backlog_and_for_what_arrives() -> None:
    made = plan(target="drain 3.6M in 10h")  # 100/s beside 50/s, of 0.2 s
    assert made.nodes == pytest.approx(150 * 0.2003 / 4 / 0.95, abs=1)


def test_memory_decides_the_shards_where_results_are_kept_for_long() -> None:
    made = plan(each={"results_kept": "30d", "result_bytes": "1kB"})
    assert made.broker.by == "memory"
    assert made.broker.results_bytes == pytest.approx(50 * 30 * 86400 * 1000)
    assert made.broker.shards == -(-made.broker.bytes // (4e9 * 0.6))


def test_what_may_come_is_worse_than_what_is_planned() -> None:
    planned, *worse = plan(target="p95 wait <= 200ms").situations
    assert {each.name for each in worse} == {
        "1 node lost",
        "20 % more tasks",
        "dependencies 1.5 times as slow",
    }
    assert all(each.p95_s >= planned.p95_s for each in worse)
    assert all((each.needed or 0) >= (planned.needed or 0) for each in worse)


def test_quiet_hours_need_fewer_nodes() -> None:
    made = plan(each={"shape": [1] * 12 + [9] * 12})
    assert made.scale.least < made.scale.most == made.nodes
    assert made.scale.by_hour[20] > made.scale.by_hour[3]
    assert f"maxReplicaCount: {made.nodes}" in made.keda
    assert f'listLength: "{made.scale.messages_per_node}"' in made.keda
    assert made.scale.messages_per_node == int(1 * 4 / 0.2003)


def test_rabbitmq_has_another_trigger() -> None:
    assert "mode: QueueLength" in plan(broker={"kind": "rabbitmq"}).keda


def test_it_is_json_without_infinities() -> None:
    made = document(plan(each={"keys": {"count": 10, "zipf": 1, "rate": 2}}))
    text = json.dumps(made, allow_nan=False)
    assert json.loads(text)["situations"][0]["formula"]["p99_s"] is None
    assert {figure["origin"] for figure in made["figures"]} == {"given", "assumed"}


def test_nothing_helps_against_a_target_below_the_workers_own_delay() -> None:
    with pytest.raises(ImproperlyConfigured, match="a start on an idle fleet takes"):
        plan(target="p95 wait <= 0.5ms")


def test_price_is_of_nodes_and_brokers() -> None:
    made = plan({"slots": 4, "cores": 4, "price": 0.1}, broker={"price": 0.5})
    assert made.price_per_month == pytest.approx((made.nodes * 0.1 + 0.5) * 730)


def test_slots_that_do_not_fit_into_memory_are_warned_of() -> None:
    made = plan({"slots": 100, "cores": 4, "memory": "4GB", "slot_memory": "100MB"})
    assert any("fewer slots" in warning for warning in made.warnings)
