"""``--lane`` and ``worker_lanes``: what they mean, and what each mistake is answered with."""

from __future__ import annotations

from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.lane_plan import follow, lane_plans, unserved
from fastworker.worker.lane_spec import LaneSpec, lanes_of, with_own_names
from fastworker.worker.options import WorkerOptions
from fastworker.worker.startup import worker_settings

CPU = LaneSpec.from_text("cpu=parse,thumbs,processes,2")
IO = LaneSpec.from_text("io=crawl,asyncio,500")


def app_with(*lanes: LaneSpec, **conf: Any) -> FastWorker:
    app = FastWorker("proj", broker="redis://nowhere/0", set_as_current=False)
    app.conf.update(conf, worker_lanes={lane.name: lane.as_setting() for lane in lanes})
    return app


@pytest.mark.parametrize(
    ("text", "lane"),
    [
        (
            "cpu=parse,thumbs,processes,2",
            LaneSpec("cpu", ("parse", "thumbs"), "prefork", 2),
        ),
        ("a=q,prefork,1", LaneSpec("a", ("q",), "prefork", 1)),
        (
            "io = crawl , asyncio , 500, processes=2",
            LaneSpec("io", ("crawl",), "asyncio", 500, processes=2),
        ),
        (
            "c=q,processes,2,autoscale=8,max-tasks-per-child=100,max_memory_per_child=9,prefetch-multiplier=0",
            LaneSpec("c", ("q",), "prefork", 2, None, 8, 0, 100, 9),
        ),
        # Names of queues may look like anything.
        (
            "odd=7,asyncio,a=b,7,threads,4",
            LaneSpec("odd", ("7", "asyncio", "a=b"), "threads", 4),
        ),
    ],
)
def test_text_and_setting_say_the_same(text: str, lane: LaneSpec) -> None:
    name, _, rest = text.partition("=")
    assert LaneSpec.from_text(f"{name.strip()}={rest}") == lane
    assert LaneSpec.from_setting(lane.name, lane.as_setting()) == lane


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cpu", "expected NAME=QUEUE,…,POOL,CONCURRENCY; try cpu=parse,processes,2"),
        ("cpu=", "expected NAME=QUEUE,…,POOL,CONCURRENCY"),
        ("=a,processes,2", "the name is ''; expected letters, digits"),
        ("a b=q,processes,2", "the name is 'a b'"),
        ("cpu=parse,processes", "ends in 'processes'.*try cpu=parse,processes,2"),
        ("cpu=parse,processes,two", "ends in 'two'"),
        ("cpu=parse,processes,0", "concurrency is '0'; expected a whole number of at least 1"),
        ("cpu=parse,proceses,2", "pool 'proceses'; .*did you mean 'processes'"),
        ("cpu=parse,2", "pool 'parse'; expected one of processes, prefork, threads"),
        ("cpu=processes,2", "it has no queue; expected at least one before the pool"),
        ("cpu=a,,processes,2", "a queue has no name"),
        ("cpu=parse,solo,1", "solo cannot be a lane.*main thread.*try processes,1"),
        ("io=crawl,asyncio,5,proceses=2", "'proceses' means nothing.*did you mean 'processes'"),
        ("io=crawl,asyncio,5,processes=none", "processes is 'none'; expected a whole number"),
        ("io=crawl,asyncio,5,autoscale=9,processes=2", "leave autoscale=9 or processes=2 out"),
        ("cpu=parse,processes,2,processes=3", "it is the concurrency that says how many"),
        (
            "cpu=parse,processes,4,autoscale=2",
            "autoscale=2 is the most tasks at once and 4 the fewest",
        ),
        ("cpu=parse,processes,4,autoscale=0", "autoscale is '0'"),
    ],
)
def test_each_mistake_is_answered_with_what_to_try(text: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said) as raised:
        LaneSpec.from_text(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("parse,processes,2", "expected a dict with queues, pool and concurrency"),
        ({"queues": ["a"]}, "has no pool and no concurrency"),
        ({"queues": "a", "pool": "threads", "concurrency": 1}, r"expected a list; try \['a'\]"),
        ({"queues": ["a"], "pool": "threads", "concurrency": True}, "concurrency is True"),
        ({"queues": ["a"], "pool": "threads", "concurrency": 1, "size": 1}, "'size' means nothing"),
    ],
)
def test_mistakes_in_the_setting_name_it(value: Any, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said) as raised:
        lanes_of({"cpu": value})
    assert "setting worker_lanes, lane 'cpu'" in str(raised.value)


def test_names_and_queues_are_one_lanes_each() -> None:
    with pytest.raises(ImproperlyConfigured, match="two lanes are called 'cpu'"):
        with_own_names([CPU, IO, CPU])
    other = LaneSpec("io", ("crawl", "parse"), "asyncio", 5)
    with pytest.raises(ImproperlyConfigured, match="queue 'parse' is in the lanes cpu and io"):
        lane_plans(app_with(CPU, other), WorkerOptions("w@h"))


def test_what_is_said_of_a_lane_comes_before_what_is_said_of_the_worker() -> None:
    spec = LaneSpec.from_text("io=crawl,asyncio,5,processes=3,max-tasks-per-child=7")
    options = WorkerOptions("w@h", max_tasks_per_child=100, prefetch_multiplier=2)
    app = app_with(CPU, spec, worker_processes=2, worker_max_memory_per_child=9)
    cpu, io = lane_plans(app, options)
    assert (cpu.size.concurrency, cpu.size.slots, cpu.size.prefetch) == (2, 1, 4)
    assert (io.size.concurrency, io.size.slots, io.size.prefetch) == (3, 5, 30)
    told = [worker_settings(app, p.options, p.size, p.queues, False) for p in (cpu, io)]
    assert [settings.max_tasks_per_child for settings in told] == [100, 7]
    assert [settings.max_memory_per_child_kib for settings in told] == [9, 9]
    assert [settings.queues for settings in told] == [["parse", "thumbs"], ["crawl"]]


def test_lane_of_processes_may_scale() -> None:
    [plan] = lane_plans(
        app_with(LaneSpec.from_text("c=q,processes,2,autoscale=8")), WorkerOptions("w@h")
    )
    assert (plan.size.concurrency, plan.size.autoscale) == (2, (8, 2))


def test_lane_whose_tasks_share_processes_scales_by_these() -> None:
    [plan] = lane_plans(
        app_with(LaneSpec.from_text("io=q,asyncio,100,autoscale=250")), WorkerOptions("w@h")
    )
    # Three processes of 84, of which two run the first hundred.
    assert (plan.size.slots, plan.size.autoscale) == (84, (3, 2))


def test_queue_terms_are_those_of_the_queue_in_whatever_lane() -> None:
    app = app_with(CPU, IO, worker_queue_limits={"crawl": 3}, worker_queue_weights={"thumbs": 4})
    cpu, io = lane_plans(app, WorkerOptions("w@h"))
    told = [worker_settings(app, p.options, p.size, p.queues, False) for p in (cpu, io)]
    assert [settings.queue_terms for settings in told] == [[(None, 1), (None, 4)], [(3, 1)]]


def test_children_of_all_lanes_have_numbers_and_cores_of_their_own() -> None:
    plans = lane_plans(app_with(CPU, IO, LaneSpec("x", ("q",), "threads", 4)), WorkerOptions("w@h"))
    numbers = [plan.seat.number(child) for plan in plans for child in range(10)]
    assert sorted(numbers) == list(range(1, 31))
    assert [plan.cores_first([4, 5, 6, 7]) for plan in plans] == [
        [4, 5, 6, 7],
        [6, 7, 4, 5],
        [7, 4, 5, 6],
    ]
    assert plans[1].cores_first([3]) == [3]
    assert plans[1].cores_first([]) == []


def test_receivers_may_take_queues_from_lanes_and_add_none() -> None:
    plans = lane_plans(app_with(CPU, IO), WorkerOptions("w@h"))
    follow(plans, ["thumbs", "crawl"])
    assert [plan.queues for plan in plans] == [["thumbs"], ["crawl"]]
    with pytest.raises(ImproperlyConfigured, match=r"has added the queue 'more'.*cpu, io"):
        follow(plans, ["thumbs", "crawl", "more"])
    with pytest.raises(ImproperlyConfigured, match="has removed every queue of the lane io"):
        follow(plans, ["thumbs"])


def test_receivers_may_change_the_queues_of_a_worker_without_lanes() -> None:
    plans = lane_plans(app_with(), WorkerOptions("w@h", queues=("a",)))
    follow(plans, ["b", "c"])
    assert [plan.queues for plan in plans] == [["b", "c"]]


def test_queues_that_are_in_no_lane_are_told_of() -> None:
    app = app_with(CPU, IO, task_queues={"crawl": {}, "mail": {}, "thumbs": {}})
    assert unserved(app, lane_plans(app, WorkerOptions("w@h"))) == ["mail"]
    app.conf.worker_lanes = None
    assert unserved(app, lane_plans(app, WorkerOptions("w@h"))) == []
