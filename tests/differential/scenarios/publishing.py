"""What a call publishes: every option, routing, serializer and compression. No worker."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any

from tests.differential.scenario import Group, Scenario

UTC = dt.timezone.utc
FAR = dt.datetime(2050, 1, 2, 3, 4, 5)
KATHMANDU = dt.timezone(dt.timedelta(hours=5, minutes=45))


def _option(name: str, **options: Any) -> Scenario:
    return Scenario(f"option {name}", lambda s: s.call("add", 1, 2, **options))


def _declared(name: str, **options: Any) -> Scenario:
    return Scenario(f"declared {name}", lambda s: s.call(name, **options))


OPTIONS = (
    Scenario("plain call", lambda s: s.call("add", 1, 2)),
    Scenario("delay", lambda s: s.watch(s.task("add").delay(1, y=2))),
    Scenario("send_task", lambda s: s.watch(s.app.send_task("no.such", (1,), {"k": 2}))),
    Scenario(
        "send_task to a queue",
        lambda s: s.watch(s.app.send_task("no.such", queue="q1", priority=4)),
    ),
    Scenario("no arguments", lambda s: s.watch(s.task("see").apply_async())),
    Scenario("args as a list", lambda s: s.watch(s.task("add").apply_async([1, 2]))),
    _option("task_id", task_id="chosen-id"),
    _option("countdown", countdown=1000),
    _option("eta with a zone", eta=FAR.replace(tzinfo=UTC)),
    _option("eta in another zone", eta=FAR.replace(tzinfo=KATHMANDU)),
    _option("eta naive", eta=FAR),
    _option("eta with microseconds", eta=FAR.replace(microsecond=123456, tzinfo=UTC)),
    _option("expires in seconds", expires=5000),
    _option("expires in fractions", expires=5000.5),
    _option("expires as a time", expires=FAR.replace(tzinfo=UTC)),
    _option("expires as a naive time", expires=FAR),
    _option("expires as text", expires="2050-01-02T03:04:05+00:00"),
    _option("expires in the past", expires=-5000),
    _option("countdown and expires", countdown=1000, expires=2000),
    _option("queue", queue="q1"),
    _option("routing_key", routing_key="rk"),
    _option("exchange and routing_key", exchange="ex", routing_key="rk"),
    _option("exchange alone", exchange="ex"),
    _option("priority", priority=5),
    _option("priority of zero", priority=0),
    _option("priority above nine", priority=20),
    _option("headers", headers={"a": 1, "b": "ü"}),
    _option("headers that collide", headers={"task": "other", "id": "other"}),
    _option("serializer pickle", serializer="pickle"),
    _option("serializer nobody has", serializer="no-such"),
    _option("compression gzip", compression="gzip"),
    _option("compression bzip2", compression="bzip2"),
    _option("compression lzma", compression="lzma"),
    _option("compression and pickle", compression="gzip", serializer="pickle"),
    _option("compression nobody has", compression="no-such"),
    _option("time limits", time_limit=50, soft_time_limit=40),
    _option("soft above hard", time_limit=40, soft_time_limit=50),
    _option("shadow", shadow="shadow.name"),
    _option("argsrepr", argsrepr="(shown)", kwargsrepr="{shown}"),
    _option("ignore_result", ignore_result=True),
    _option("ignore_result False", ignore_result=False),
    _option("reply_to", reply_to="me"),
    _option("correlation_id", correlation_id="c"),
    _option("group", group_id="g", group_index=2),
    _option("root and parent", root_id="r", parent_id="p"),
    _option("retries", retries=2),
    _option("retry False", retry=False),
    _option("retry_policy", retry_policy={"max_retries": 1}),
    _option("delivery_mode", delivery_mode=1),
    _option("content of the unknown", unknown_option=1),
    _option("add_to_parent", add_to_parent=False),
    _option("stamps", stamped_headers=["s"], s="v"),
    Scenario("link", lambda s: s.call("add", 1, 2, link=s.sig("see", 5))),
    Scenario(
        "several links", lambda s: s.call("add", 1, 2, link=[s.sig("see"), s.task("see").si()])
    ),
    Scenario("link_error", lambda s: s.call("add", 1, 2, link_error=s.sig("see"))),
    Scenario(
        "chain",
        lambda s: s.watch((s.sig("add", 1, 2) | s.sig("see", 1) | s.sig("see")).apply_async()),
    ),
    Scenario(
        "chain with a task_id",
        lambda s: s.watch((s.sig("add", 1, 2) | s.sig("see")).apply_async(task_id="chosen-id")),
    ),
    Scenario(
        "chain to a queue",
        lambda s: s.watch((s.sig("add", 1, 2) | s.sig("see")).apply_async(queue="q1")),
    ),
    Scenario(
        "chain with countdown and link",
        lambda s: s.watch(
            (s.sig("add", 1, 2) | s.sig("see")).apply_async(
                countdown=1000, link=s.sig("see", 7), link_error=s.sig("see", 8)
            )
        ),
    ),
    Scenario(
        "signature with options",
        lambda s: s.watch(
            s.sig("add", 1).set(queue="q1", priority=2, expires=5000).apply_async((2,))
        ),
    ),
    Scenario(
        "signature called with more",
        lambda s: s.watch(s.sig("add", 1).apply_async((2,), {"z": 3}, priority=4)),
    ),
    Scenario(
        "signature with its id",
        lambda s: s.watch(s.sig("add", 1, 2).set(task_id="chosen-id").delay()),
    ),
    Scenario(
        "signature of a name",
        lambda s: s.watch(
            s.app.signature("no.such", args=(1,), kwargs={"k": 2}, immutable=True).apply_async((3,))
        ),
    ),
    Scenario("too few arguments", lambda s: s.call("add", 1)),
    Scenario("too many arguments", lambda s: s.call("add", 1, 2, 3)),
    Scenario("unknown keyword", lambda s: s.call("add", 1, 2, kw={"z": 3})),
    Scenario("argument given twice", lambda s: s.call("add", 1, 2, kw={"x": 3})),
    Scenario("positional only by keyword", lambda s: s.call("typed", kw={"a": 1, "b": 2})),
    Scenario("keyword only by position", lambda s: s.call("typed", 1, 2, 3)),
    Scenario("typing=False takes anything", lambda s: s.call("untyped_exact", 1, 2, 3)),
    Scenario("args that are a string", lambda s: s.watch(s.task("see").apply_async("abc"))),
    Scenario("args that are a number", lambda s: s.watch(s.task("see").apply_async(5))),
    Scenario("kwargs that are a list", lambda s: s.watch(s.task("see").apply_async((), [1]))),
    Scenario("argument without a JSON form", lambda s: s.call("see", object())),
    Scenario(
        "argument of JSON's own types",
        lambda s: s.call("see", dt.datetime(2024, 1, 2), uuid.UUID(int=5), b"\xff"),
    ),
    Scenario(
        "long arguments are shortened", lambda s: s.call("see", "x" * 5000, list(range(3000)))
    ),
    Scenario("nested arguments in argsrepr", lambda s: s.call("see", {"a": [1, (2, None), "ü"]})),
    _declared("pickled"),
    _declared("squeezed"),
    _declared("expiring"),
    _declared("expiring", expires=90_000),
    _declared("urgent"),
    _declared("urgent", priority=7),
    _declared("elsewhere"),
    _declared("elsewhere", queue="q2"),
    _declared("keyed"),
    _declared("limited"),
    _declared("limited", time_limit=90),
    _declared("ignored"),
    _declared("ignored", ignore_result=False),
)
# Names have to be unique; those above that call a declared task with an option are numbered.
_SEEN: dict[str, int] = {}


def _numbered(scenario: Scenario) -> Scenario:
    count = _SEEN[scenario.name] = _SEEN.get(scenario.name, 0) + 1
    return scenario if count == 1 else Scenario(f"{scenario.name} {count}", scenario.send)


ROUTES: dict[str, Any] = {
    "diff.add": {"queue": "by-name", "priority": 2, "serializer": "pickle"},
    "diff.re*": {"queue": "by-glob"},
    "diff.see": "by-text",
    "diff.ignored": {"exchange": "ex", "routing_key": "rk"},
    "diff.kept": {"expires": 5000, "time_limit": 70, "headers": {"r": 1}},
}


class _Router:
    """A callable router, with Celery's arguments."""

    def __call__(
        self, name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **more: Any
    ) -> Any:
        if name == "diff.add":
            return {"queue": f"routed-{args[0]}", "priority": 7}
        if name == "diff.see":
            return "routed-text"
        return None


def _routers(app: Any, lib: Any) -> None:
    app.conf.task_routes = [
        _Router(),
        (re.compile(r"diff\.(late|early)"), {"queue": "by-pattern"}),
        {"diff.kept": {"queue": "by-list"}},
    ]


ROUTED = (
    Scenario("by name", lambda s: s.call("add", 1, 2)),
    Scenario(
        "by name, with an option that says otherwise",
        lambda s: s.call("add", 1, 2, queue="q1", serializer="json"),
    ),
    Scenario("by glob", lambda s: s.call("request")),
    Scenario("by text", lambda s: s.call("see")),
    Scenario("by exchange", lambda s: s.call("ignored")),
    Scenario("by options without a queue", lambda s: s.call("kept")),
    Scenario("by no route", lambda s: s.call("late")),
    Scenario("of a task that declares its queue", lambda s: s.call("elsewhere")),
    Scenario("of send_task", lambda s: s.watch(s.app.send_task("diff.add", (1, 2)))),
    Scenario("of a chain", lambda s: s.watch((s.sig("add", 1, 2) | s.sig("see")).apply_async())),
)
BY_ROUTERS = (
    Scenario("by a function", lambda s: s.call("add", "x", "y")),
    Scenario("by a function that names a queue", lambda s: s.call("see")),
    Scenario("by a pattern", lambda s: s.call("late")),
    Scenario("by a dict in the list", lambda s: s.call("kept")),
    Scenario("by no route", lambda s: s.call("ignored")),
)
DEFAULTED = (
    Scenario("plain call", lambda s: s.call("add", 1, 2)),
    Scenario("declared priority", lambda s: s.call("urgent")),
    Scenario("own serializer", lambda s: s.call("add", 1, 2, serializer="json")),
    Scenario("own compression", lambda s: s.call("add", 1, 2, compression="bzip2")),
    Scenario("annotated", lambda s: s.call("annotated")),
    Scenario("queue that is not declared", lambda s: s.call("add", 1, 2, queue="q9")),
)
DEFAULTS: dict[str, Any] = {
    "task_serializer": "pickle",
    "task_compression": "gzip",
    "task_default_priority": 3,
    "task_default_queue": "main",
    "task_time_limit": 80,
    "task_soft_time_limit": 60,
    "task_ignore_result": True,
    "task_annotations": {"*": {"priority": 6}, "diff.annotated": {"expires": 5000}},
}
ZONED = (
    Scenario("countdown", lambda s: s.call("add", 1, 2, countdown=1000)),
    Scenario("eta naive", lambda s: s.call("add", 1, 2, eta=FAR)),
    Scenario("eta with a zone", lambda s: s.call("add", 1, 2, eta=FAR.replace(tzinfo=UTC))),
    Scenario("expires", lambda s: s.call("add", 1, 2, expires=5000)),
    Scenario("expires naive", lambda s: s.call("add", 1, 2, expires=FAR)),
)

GROUPS = (
    Group("publishing", tuple(map(_numbered, OPTIONS)), worker="none", on=("redis",)),
    Group("routing", ROUTED, {"task_routes": ROUTES}, worker="none", on=("redis",)),
    Group("routers", BY_ROUTERS, worker="none", on=("redis",), setup=_routers),
    Group("defaults", DEFAULTED, DEFAULTS, worker="none", on=("redis",)),
    Group(
        "strict_queues",
        DEFAULTED[-1:],
        {"task_create_missing_queues": False},
        worker="none",
        on=("redis",),
    ),
    Group("zone", ZONED, {"timezone": "Asia/Kathmandu"}, worker="none", on=("redis",)),
    Group(
        "zone_without_utc",
        ZONED,
        {"timezone": "Asia/Kathmandu", "enable_utc": False},
        worker="none",
        on=("redis",),
    ),
)
