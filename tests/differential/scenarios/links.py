"""Callbacks, errbacks and chains."""

from __future__ import annotations

from typing import Any

from tests.differential.scenario import Group, Scenario


def _fails(s: Any, *errbacks: Any, **options: Any) -> Any:
    return s.call("raise", "big", link_error=list(errbacks), **options)


SCENARIOS = (
    Scenario("link", lambda s: s.call("add", 1, 2, link=s.sig("link")), lines=2),
    Scenario(
        "link with arguments", lambda s: s.call("add", 1, 2, link=s.sig("link", 5, k=1)), lines=2
    ),
    Scenario("immutable link", lambda s: s.call("add", 1, 2, link=s.task("link").si(5)), lines=2),
    Scenario(
        "several links",
        lambda s: s.call("add", 1, 2, link=[s.sig("link", 5), s.sig("link", 6)]),
        lines=3,
        unordered=True,
    ),
    Scenario(
        "link of a link",
        lambda s: s.call("add", 1, 2, link=s.sig("link").set(link=s.sig("link", 9))),
        lines=3,
    ),
    Scenario(
        "link with options",
        lambda s: s.call(
            "add",
            1,
            2,
            link=s.sig("link").set(queue="peek", priority=3, headers={"h": 1}, countdown=1000),
        ),
    ),
    Scenario(
        "link to a task nobody has",
        lambda s: s.call("add", 1, 2, link=s.app.signature("no.such", queue="peek")),
    ),
    Scenario(
        "link of a failure is not called",
        lambda s: s.call("raise", "boom", link=s.sig("link").set(queue="peek")),
    ),
    Scenario(
        "link of Ignore is not called",
        lambda s: s.call("raise", "ignore", link=s.sig("link").set(queue="peek")),
        lines=1,
        ends=False,
    ),
    Scenario(
        "priority of a link", lambda s: s.call("add", 1, 2, priority=6, link=s.sig("link")), lines=2
    ),
    Scenario(
        "result that the link cannot take", lambda s: s.call("give", "object", link=s.sig("link"))
    ),
    Scenario("old errback", lambda s: _fails(s, s.sig("old_errback")), lines=2),
    Scenario("old errback with arguments", lambda s: _fails(s, s.sig("old_errback", 5)), lines=2),
    Scenario("immutable old errback", lambda s: _fails(s, s.task("old_errback").si(5)), lines=2),
    Scenario("new errback", lambda s: _fails(s, s.sig("new_errback")), lines=2),
    Scenario(
        "new errback with arguments", lambda s: _fails(s, s.sig("new_errback_more", 5)), lines=2
    ),
    Scenario("errback of one argument", lambda s: _fails(s, s.sig("one_errback")), lines=2),
    Scenario(
        "broken errback",
        lambda s: _fails(s, s.sig("broken_errback"), s.sig("new_errback")),
        lines=3,
    ),
    Scenario(
        "old and new errbacks",
        lambda s: _fails(s, s.sig("old_errback"), s.sig("new_errback")),
        lines=3,
        unordered=True,
    ),
    Scenario(
        "several old errbacks",
        lambda s: _fails(s, s.sig("old_errback", 1), s.sig("old_errback", 2)),
        lines=3,
        unordered=True,
    ),
    Scenario(
        "errback to a task nobody has",
        lambda s: _fails(s, s.app.signature("no.such", queue="peek")),
    ),
    Scenario(
        "message of an old errback",
        lambda s: _fails(s, s.sig("old_errback").set(queue="peek"), priority=3),
    ),
    Scenario(
        "errback of a failure to store",
        lambda s: s.call("give", "object", link_error=s.sig("new_errback")),
        lines=2,
    ),
    Scenario(
        "errback of Ignore is not called",
        lambda s: s.call("raise", "ignore", link_error=s.sig("old_errback").set(queue="peek")),
        lines=1,
        ends=False,
    ),
    Scenario(
        "errback of Reject",
        lambda s: s.call("raise", "reject", link_error=s.sig("new_errback")),
        lines=2,
    ),
    Scenario(
        "chain of two",
        lambda s: s.watch((s.sig("add", 1, 2) | s.sig("link", 5)).apply_async()),
        lines=2,
    ),
    Scenario(
        "chain of four",
        lambda s: s.watch(
            s.canvas.chain(
                s.sig("add", 1, 2), s.sig("link"), s.sig("link", 1), s.sig("link", 1, 1)
            ).apply_async()
        ),
        lines=4,
    ),
    Scenario(
        "chain with an immutable step",
        lambda s: s.watch(
            (s.sig("add", 1, 2) | s.task("link").si(7) | s.sig("link", 1)).apply_async()
        ),
        lines=3,
    ),
    Scenario(
        "chain called with arguments",
        lambda s: s.watch((s.sig("add", 1) | s.sig("link")).apply_async((5,))),
        lines=2,
    ),
    Scenario(
        "chain by delay", lambda s: s.watch((s.sig("add", 1) | s.sig("link")).delay(5)), lines=2
    ),
    Scenario(
        "chain of a chain",
        lambda s: s.watch(
            (s.sig("add", 1, 2) | (s.sig("link", 1) | s.sig("link", 2))).apply_async()
        ),
        lines=3,
    ),
    Scenario(
        "chain that fails at the first step",
        lambda s: s.watch((s.sig("raise", "big") | s.sig("link") | s.sig("link")).apply_async()),
        lines=1,
    ),
    Scenario(
        "chain that fails in the middle",
        lambda s: s.watch(
            (s.sig("add", 1, 2) | s.task("raise").si("boom") | s.sig("link")).apply_async()
        ),
        lines=2,
    ),
    Scenario(
        "chain with an errback",
        lambda s: s.watch(
            (s.sig("add", 1, 2) | s.task("raise").si("boom") | s.sig("link")).apply_async(
                link_error=s.sig("new_errback")
            )
        ),
        lines=3,
    ),
    Scenario(
        "chain with a link",
        lambda s: s.watch(
            (s.sig("add", 1, 2) | s.sig("link", 1)).apply_async(link=s.sig("link", 50))
        ),
        lines=3,
    ),
    Scenario(
        "chain whose step is ignored",
        lambda s: s.watch((s.task("raise").si("ignore") | s.sig("link")).apply_async()),
        lines=1,
        ends=False,
    ),
    Scenario(
        "chain with options",
        lambda s: s.watch(
            (s.sig("add", 1, 2) | s.sig("link").set(queue="peek")).apply_async(
                priority=3, headers={"h": 1}, expires=5000
            )
        ),
        ends=False,
        lines=1,
    ),
    Scenario(
        "message of the next step",
        lambda s: s.watch(
            (s.sig("add", 1, 2) | s.sig("link").set(queue="peek") | s.sig("link")).apply_async()
        ),
        ends=False,
        lines=1,
    ),
    Scenario(
        "chain of one", lambda s: s.watch(s.canvas.chain(s.sig("add", 1, 2)).apply_async()), lines=1
    ),
    Scenario("empty chain", lambda s: s.extra.update(result=str(s.canvas.chain().apply_async()))),
    Scenario(
        "chain with a countdown",
        lambda s: s.watch((s.sig("add", 1, 2) | s.sig("link")).apply_async(countdown=1)),
        lines=2,
    ),
    Scenario(
        "chain with its task_id",
        lambda s: s.watch((s.sig("add", 1, 2) | s.sig("link")).apply_async(task_id="chosen-id")),
        lines=2,
    ),
)

GROUPS = (Group("links", SCENARIOS),)
