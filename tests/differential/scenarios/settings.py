"""Settings that change what every task leaves behind."""

from __future__ import annotations

from typing import Any

from tests.differential.scenario import Group, Scenario

EXTENDED = (
    Scenario("returns", lambda s: s.call("add", 1, 2)),
    Scenario("raises", lambda s: s.call("raise", "big")),
    Scenario("retry", lambda s: s.call("retry", 1)),
    Scenario("own states", lambda s: s.call("states")),
    Scenario(
        "with options",
        lambda s: s.call("add", 1, 2, shadow="shadow.name", headers={"h": 1}, priority=3),
    ),
    Scenario("link", lambda s: s.call("add", 1, 2, link=s.sig("link", 5)), lines=2),
    Scenario(
        "chain", lambda s: s.watch((s.sig("add", 1, 2) | s.sig("link", 5)).apply_async()), lines=2
    ),
    Scenario("expired", lambda s: s.call("add", 1, 2, expires=-10)),
    Scenario("handlers of a return", lambda s: s.call("handled", "return"), lines=4),
    Scenario("handlers of Ignore", lambda s: s.call("handled", "ignore"), ends=False, lines=2),
    Scenario("ignored", lambda s: s.call("ignored"), ends=False, lines=1),
    Scenario("ignored but errors stored", lambda s: s.call("stores_errors"), lines=1),
)
IGNORED = (
    Scenario("returns", lambda s: s.call("add", 1, 2), ends=False, lines=1),
    Scenario("raises", lambda s: s.call("raise", "big"), lines=1),
    Scenario("kept by the task", lambda s: s.call("kept")),
    Scenario("kept by the call", lambda s: s.call("add", 1, 2, ignore_result=False)),
    Scenario("tracked", lambda s: s.call("tracked"), ends=False, lines=1),
    Scenario("retry", lambda s: s.call("retry", 1), ends=False, lines=2),
    Scenario("retry gives up", lambda s: s.call("retry", 9), lines=3),
    Scenario("own states", lambda s: s.call("states"), ends=False),
    Scenario("expired", lambda s: s.call("add", 1, 2, expires=-10), ends=False),
    Scenario(
        "chain",
        lambda s: s.watch((s.sig("add", 1, 2) | s.sig("link", 5)).apply_async()),
        ends=False,
        lines=2,
    ),
)
ANNOTATIONS: dict[str, Any] = {
    "*": {"max_retries": 1},
    "diff.annotated": {"ignore_result": True},
    "diff.early": {"track_started": True, "no_such_attribute": 5},
}
ANNOTATED = (
    Scenario("max_retries for all", lambda s: s.call("retry", 9)),
    Scenario("ignore_result for one", lambda s: s.call("annotated"), ends=False, lines=1),
    Scenario("track_started for one", lambda s: s.call("early"), lines=1),
    Scenario("autoretry gives up earlier", lambda s: s.call("auto_gives_up")),
)
PRIORITIES = tuple(
    Scenario(
        f"order of {word}",
        lambda s, n=numbers: [s.call("see", p, label=f"{i}", priority=p) for i, p in enumerate(n)],
        lines=len(numbers),
    )
    for word, numbers in {
        "priorities": (9, 3, 0, 6, 9, 0, 3),
    }.items()
)
INHERITED = (
    Scenario("link", lambda s: s.call("add", 1, 2, priority=6, link=s.sig("link")), lines=2),
    Scenario("child", lambda s: s.call("nested", priority=6), lines=2, unordered=True),
    Scenario(
        "chain",
        lambda s: s.watch((s.sig("add", 1, 2) | s.sig("link", 5)).apply_async(priority=6)),
        lines=2,
    ),
)
ZONED = (
    Scenario("countdown", lambda s: s.call("add", 1, 2, countdown=1)),
    Scenario(
        "eta naive, in the past",
        lambda s: s.call("add", 1, 2, eta=s.now.replace(year=2020, tzinfo=None)),
    ),
    Scenario("expired", lambda s: s.call("add", 1, 2, expires=-10)),
    Scenario("expires ahead", lambda s: s.call("add", 1, 2, expires=5000)),
    Scenario("request", lambda s: s.call("request", expires=5000, countdown=0)),
)

GROUPS = (
    Group(
        "extended",
        EXTENDED,
        {"result_extended": True, "task_track_started": True, "result_compression": None},
    ),
    Group(
        "ignored",
        IGNORED,
        {"task_ignore_result": True, "task_store_errors_even_if_ignored": True},
        # With two, Celery's second attempt may store its RETRY before the first has stored its own.
        concurrency=1,
    ),
    Group("annotations", ANNOTATED, {"task_annotations": ANNOTATIONS}),
    Group("priorities", PRIORITIES, worker="after", concurrency=1),
    Group(
        "inherited", INHERITED, {"task_inherit_parent_priority": True, "task_default_priority": 3}
    ),
    Group("zone_worker", ZONED, {"timezone": "Asia/Kathmandu", "enable_utc": False}),
)
