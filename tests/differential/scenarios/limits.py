"""Time limits, and processes that die."""

from __future__ import annotations

from tests.differential.scenario import Group, Scenario

LIMITS = (
    Scenario("soft", lambda s: s.call("soft")),
    Scenario("soft, caught", lambda s: s.call("soft_caught")),
    Scenario("soft at the call", lambda s: s.call("slow", soft_time_limit=1, time_limit=60)),
    Scenario("hard at the call", lambda s: s.call("slow", time_limit=1)),
    Scenario("hard, acks late", lambda s: s.call("hard_late")),
    Scenario("hard, acks early", lambda s: s.call("hard_early")),
    Scenario("hard, ignored", lambda s: s.call("hard_ignored"), lines=1, ends=False),
    Scenario("hard, ignored but errors stored", lambda s: s.call("hard_ignored_errors"), lines=1),
    Scenario(
        "soft, with an errback", lambda s: s.call("soft", link_error=s.sig("new_errback")), lines=2
    ),
)
DEATHS = (
    Scenario("kill, acks early", lambda s: s.call("dies_early", s.path("d1"), "kill")),
    Scenario("kill, acks late", lambda s: s.call("dies_late", s.path("d2"), "kill")),
    Scenario(
        "kill, acks late, rejected",
        lambda s: s.call("dies_rejected", s.path("d3"), "kill"),
        lines=2,
    ),
    Scenario("exit, acks early", lambda s: s.call("dies_early", s.path("d9"), "exit")),
    Scenario(
        "exit, acks late, rejected",
        lambda s: s.call("dies_rejected", s.path("d10"), "exit"),
        lines=2,
    ),
)
# What follows from the end of a task that no child reported.
AFTERWARDS = (
    Scenario("hard, with handlers", lambda s: s.call("hard"), lines=4),
    Scenario("hard, not acknowledged", lambda s: s.call("hard_unacked", s.path("hu")), lines=2),
    Scenario(
        "hard, with a new errback",
        lambda s: s.call("hard_early", link_error=s.sig("new_errback")),
        lines=2,
    ),
    Scenario(
        "hard, with an old errback",
        lambda s: s.call("hard_early", link_error=s.sig("old_errback")),
        lines=2,
    ),
    Scenario(
        "hard, in a chain", lambda s: s.watch((s.sig("hard_early") | s.sig("link")).apply_async())
    ),
    Scenario("kill, with handlers", lambda s: s.call("dies_noting", s.path("d5"), "kill")),
    Scenario(
        "kill, with a new errback",
        lambda s: s.call("dies_early", s.path("d6"), "kill", link_error=s.sig("new_errback")),
        lines=2,
    ),
    Scenario(
        "kill, in a chain",
        lambda s: s.watch(
            (s.sig("dies_early", s.path("d7"), "kill") | s.sig("link")).apply_async()
        ),
    ),
)
LOST_RETRY = (
    Scenario("kill, retried", lambda s: s.call("dies_retrying", s.path("d8"), "kill"), lines=2),
)

GROUPS = (
    Group("limits", LIMITS, concurrency=6),
    Group("deaths", DEATHS, concurrency=4),
    Group("afterwards", AFTERWARDS, concurrency=6),
    # Not waited for long: it does not come.
    Group("lost_retry", LOST_RETRY, patience_s=3),
)
