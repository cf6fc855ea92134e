"""Plain calls: what comes back, what is raised, what a task is told, handlers and classes."""

from __future__ import annotations

from typing import Any

from tests.differential.scenario import Group, Scenario

RETURNED = (
    "none true zero",
    "big int",
    "float infinity",
    "text",
    "surrogate",
    "bytes tuple",
    "set frozenset",
    "generator",
    "range",
    "object function complex",
    "datetime uuid decimal",
    "timedelta",
    "ordered",
    "int keys",
    "tuple keys",
    "exception",
    "text subclass",
    "int subclass",
    "cycle",
)
KINDS = (
    "big int",
    "int keys",
    "tuple keys",
    "text subclass",
    "int subclass",
)
RAISED = (
    "boom",
    "no args",
    "big",
    "builtin",
    "os",
    "unicode",
    "stop",
    "assertion",
    "recursion",
    "keyword",
    "silent",
    "mute",
    "holds",
    "odd",
    "inner",
    "local",
    "datetime arg",
    "object arg",
    "tuple arg",
    "exception arg",
    "timeout",
    "retry",
    "soft",
    "max retries",
    "not registered",
    "operational",
)
#: Nothing is stored for these: their line in the record ends them.
SILENT = ("ignore", "reject bare")


def _returns(words: str) -> Scenario:
    kinds = [words] if words in KINDS else words.split()

    def send(s: Any) -> None:
        for kind in kinds:
            s.call("give", kind, label=kind)

    return Scenario(f"returns {words}", send)


def _raises(kind: str) -> Scenario:
    # A Retry by hand leaves the state RETRY, which is not final.
    ends = kind != "retry"
    return Scenario(f"raises {kind}", lambda s: s.call("raise", kind), ends=ends, lines=1)


def _declared(name: str, lines: int = 1, ends: bool = True) -> Scenario:
    return Scenario(f"declared {name}", lambda s: s.call(name), lines=lines, ends=ends)


CALLS = (
    *map(_returns, RETURNED),
    *map(_raises, RAISED),
    *(
        Scenario(f"raises {kind}", lambda s, k=kind: s.call("raise", k), ends=False, lines=1)
        for kind in SILENT
    ),
    Scenario("raises reject", lambda s: s.call("raise", "reject"), lines=1),
    Scenario("raises from another", lambda s: s.call("cause")),
    Scenario("adds", lambda s: s.call("add", 1, 2)),
    Scenario("arguments of all kinds", lambda s: s.call("see", 1, "a", None, [1], kw={"k": {}})),
    Scenario("keyword of any name", lambda s: s.call("see", kw={"self": 1, "args": 2, "": 3})),
    Scenario("request of a plain call", lambda s: s.call("request", 1, kw={"k": 2})),
    Scenario(
        "request of a call with options",
        lambda s: s.call(
            "request",
            expires=5000,
            priority=6,
            headers={"custom": "h"},
            shadow="other.name",
            time_limit=500,
            soft_time_limit=400,
            argsrepr="(shown)",
            kwargsrepr="{shown}",
            ignore_result=False,
            countdown=0,
        ),
    ),
    Scenario(
        "request of a child",
        lambda s: s.call(
            "request", root_id="a-root", parent_id="a-parent", group_id="g", group_index=3
        ),
    ),
    Scenario(
        "request with reply_to", lambda s: s.call("request", reply_to="me", correlation_id="c")
    ),
    Scenario("task calls another directly", lambda s: s.call("call_another"), lines=1),
    Scenario("result is awaited inside a task", lambda s: s.call("get_inside")),
    Scenario("own states", lambda s: s.call("states")),
    Scenario("own state FAILURE and Ignore", lambda s: s.call("state_failure")),
    Scenario("current task", lambda s: s.call("current")),
    Scenario("child becomes a child of the result", lambda s: s.call("nested")),
    Scenario("child without add_to_parent", lambda s: s.call("nested", kw={"parent": False})),
    Scenario("Reject with requeue comes again", lambda s: s.call("requeue", s.path("rq")), lines=2),
    Scenario(
        "Reject with requeue, acknowledged early",
        lambda s: s.call("requeue_early", s.path("re")),
        lines=1,
        ends=False,
    ),
    Scenario("send_task inside a task", lambda s: s.call("send", "some.task")),
    Scenario("shadow in logs", lambda s: s.call("add", 1, 2, shadow="shadow.name")),
    Scenario("expires in the past", lambda s: s.call("add", 1, 2, expires=-10)),
    Scenario("expires far ahead", lambda s: s.call("add", 1, 2, expires=5000)),
    Scenario("eta in the past", lambda s: s.call("add", 1, 2, eta=s.now.replace(year=2020))),
    Scenario("countdown below zero", lambda s: s.call("add", 1, 2, countdown=-5)),
    Scenario("countdown of a second", lambda s: s.call("add", 1, 2, countdown=1)),
    Scenario("expired before its eta", lambda s: s.call("add", 1, 2, countdown=2, expires=1)),
    Scenario(
        "ignore_result at the call",
        lambda s: s.call("add", 1, 2, ignore_result=True),
        lines=1,
        ends=False,
    ),
    Scenario(
        "failure ignored at the call",
        lambda s: s.call("raise", "boom", ignore_result=True),
        lines=1,
        ends=False,
    ),
    Scenario(
        "ignored by the task, kept by the call", lambda s: s.call("ignored", ignore_result=False)
    ),
    Scenario(
        "kept by the task, ignored by the call",
        lambda s: s.call("kept", ignore_result=True),
        lines=1,
        ends=False,
    ),
    _declared("ignored", ends=False),
    _declared("ignored_fails", ends=False),
    _declared("stores_errors"),
    _declared("tracked"),
    _declared("tracked_fails"),
    _declared("tracked_ignored", ends=False),
    _declared("squeezed"),
    _declared("throwing"),
    _declared("throwing_base"),
    _declared("throwing_other"),
    _declared("late"),
    _declared("early"),
    _declared("early_fails"),
    _declared("failure_unacked"),
    _declared("failure_rejected"),
    _declared("failure_early"),
    _declared("short_repr", lines=0),
    Scenario("wrong arguments for typing=False", lambda s: s.call("untyped_exact", 1, 2)),
    Scenario("missing arguments for typing=False", lambda s: s.call("untyped_exact")),
    Scenario("handlers of a return", lambda s: s.call("handled", "return"), lines=4),
    Scenario(
        "handlers of a keyword call", lambda s: s.call("handled", kw={"how": "return"}), lines=4
    ),
    Scenario("handlers of None", lambda s: s.call("handled", "give none"), lines=4),
    Scenario("handlers of a failure", lambda s: s.call("handled", "boom"), lines=4),
    Scenario(
        "handlers of a value that cannot be stored",
        lambda s: s.call("handled", "unserialisable"),
        lines=4,
    ),
    Scenario("handlers of a retry that gives up", lambda s: s.call("handled", "retry"), lines=7),
    Scenario("handlers of Ignore", lambda s: s.call("handled", "ignore"), ends=False, lines=2),
    Scenario("handlers of Reject", lambda s: s.call("handled", "reject"), lines=2),
    Scenario("broken before_start", lambda s: s.call("broken_before_start")),
    Scenario("broken on_success", lambda s: s.call("broken_on_success"), lines=4),
    Scenario("broken on_failure", lambda s: s.call("broken_on_failure", "raise"), lines=3),
    Scenario("broken after_return", lambda s: s.call("broken_after_return"), lines=4),
    Scenario("broken on_retry", lambda s: s.call("broken_on_retry", "retry"), lines=3),
    Scenario("class-based task", lambda s: s.call("counting", 5)),
    Scenario("class-based task with autoretry", lambda s: s.call("auto_class"), lines=2),
    Scenario("own __call__", lambda s: s.call("called"), lines=3),
    Scenario("own __call__ of a failure", lambda s: s.call("called", "raise"), lines=3),
)
BULKY = (
    _returns("large"),
    _returns("deep"),
    _raises("long"),
    _raises("text"),
    Scenario("very large argument", lambda s: s.call("see", "x" * 3_000_000)),
)

BASE_EXCEPTIONS = tuple(
    Scenario(f"raises {kind}", lambda s, k=kind: s.call("raise", k), ends=True, lines=1)
    for kind in ("exit", "interrupt", "cancelled", "generator exit", "base")
)

MEMORY = (
    _raises("memory"),
    Scenario("a task after it", lambda s: s.call("add", 1, 2, countdown=1.5)),
)

GROUPS = (
    Group("calls", CALLS),
    # Without log: lines of more than a pipe takes at once mix with those of other processes.
    Group("bulky", BULKY, has_log=False),
    # On its own, since it ends Celery's worker.
    Group("memory", MEMORY, celery_patience_s=8),
    Group("base_exceptions", BASE_EXCEPTIONS, {"task_acks_late": False}),
)
