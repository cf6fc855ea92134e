"""``task_always_eager`` and ``apply``: tasks that run in the client."""

from __future__ import annotations

from typing import Any

from tests.differential.scenario import Group, Scenario

SCENARIOS = (
    Scenario("returns", lambda s: s.call("add", 1, 2)),
    Scenario("raises", lambda s: s.call("raise", "big")),
    Scenario(
        "request", lambda s: s.call("request", 1, kw={"k": 2}, headers={"custom": "h"}, priority=3)
    ),
    Scenario("Ignore", lambda s: s.call("raise", "ignore")),
    Scenario("Reject", lambda s: s.call("raise", "reject")),
    Scenario("retry", lambda s: s.call("retry", 1)),
    Scenario("retry gives up", lambda s: s.call("retry", 9)),
    Scenario("retry gives up with an exception", lambda s: s.call("retry", 9, kw={"exc": "big"})),
    Scenario("autoretry gives up", lambda s: s.call("auto_gives_up")),
    Scenario("handlers of a return", lambda s: s.call("handled", "return")),
    Scenario("handlers of a failure", lambda s: s.call("handled", "boom")),
    Scenario("link", lambda s: s.call("add", 1, 2, link=s.sig("link", 5))),
    Scenario("errback", lambda s: s.call("raise", "big", link_error=s.sig("new_errback"))),
    Scenario("chain", lambda s: s.watch((s.sig("add", 1, 2) | s.sig("link", 5)).apply_async())),
    Scenario("states", lambda s: s.call("states")),
    Scenario("value without a JSON form", lambda s: s.call("give", "object")),
    Scenario("too few arguments", lambda s: s.call("add", 1)),
    Scenario("own __call__", lambda s: s.call("called")),
    Scenario("apply", lambda s: s.watch(s.task("add").apply((1, 2)))),
    Scenario("apply of a failure", lambda s: s.watch(s.task("raise").apply(("boom",)))),
    Scenario("apply that throws", lambda s: s.watch(s.task("raise").apply(("boom",), throw=True))),
    Scenario("direct call", lambda s: s.extra.update(value=s.task("add")(1, 2))),
    Scenario("direct call that retries", lambda s: s.task("retry")(9)),
    Scenario("direct call that retries with an exception", lambda s: s.task("retry")(9, exc="big")),
    Scenario("signature called", lambda s: s.extra.update(value=s.sig("add", 1)(2))),
)


def _propagating(name: str, send: Any) -> Scenario:
    return Scenario(name, send)


PROPAGATES = (
    _propagating("raises", lambda s: s.call("raise", "big")),
    _propagating("Ignore", lambda s: s.call("raise", "ignore")),
    _propagating("retry gives up", lambda s: s.call("retry", 9)),
    _propagating(
        "chain that fails",
        lambda s: s.watch((s.sig("add", 1, 2) | s.task("raise").si("boom")).apply_async()),
    ),
)

GROUPS = (
    Group("eager", SCENARIOS, {"task_always_eager": True}, worker="none", on=("redis",)),
    Group(
        "eager_propagates",
        PROPAGATES,
        {"task_always_eager": True, "task_eager_propagates": True},
        worker="none",
        on=("redis",),
    ),
)
