"""Every form of a retry."""

from __future__ import annotations

from tests.differential.scenario import Group, Scenario

SCENARIOS = (
    Scenario("succeeds at the second attempt", lambda s: s.call("retry", 1)),
    Scenario("gives up without an exception", lambda s: s.call("retry", 9)),
    Scenario("gives up with an exception", lambda s: s.call("retry", 9, kw={"exc": "big"})),
    Scenario("waits with an exception", lambda s: s.call("retry", 1, kw={"exc": "big"})),
    Scenario(
        "waits with one that cannot be pickled", lambda s: s.call("retry", 1, kw={"exc": "holds"})
    ),
    Scenario(
        "gives up with one that cannot be pickled",
        lambda s: s.call("retry", 9, kw={"exc": "holds"}),
    ),
    Scenario("max_retries at the retry", lambda s: s.call("retry", 9, kw={"max_retries": 1})),
    Scenario("max_retries of zero", lambda s: s.call("retry", 9, kw={"max_retries": 0})),
    Scenario("countdown at the retry", lambda s: s.call("retry", 1, kw={"countdown": 0.5})),
    Scenario("keeps arguments", lambda s: s.call("retry", 1, "more", 2, kw={"countdown": 0})),
    Scenario(
        "keeps what the call said",
        lambda s: s.call(
            "retry",
            1,
            headers={"custom": "kept"},
            priority=3,
            expires=5000,
            shadow="shadow.name",
            time_limit=500,
            soft_time_limit=400,
            reply_to="me",
        ),
    ),
    Scenario(
        "keeps ignore_result", lambda s: s.call("retry", 1, ignore_result=True), lines=2, ends=False
    ),
    Scenario("keeps its links", lambda s: s.call("retry", 1, link=s.sig("link", 5)), lines=3),
    Scenario(
        "keeps its errbacks", lambda s: s.call("retry", 9, link_error=s.sig("old_errback")), lines=4
    ),
    Scenario(
        "keeps its chain",
        lambda s: s.watch((s.sig("retry", 1) | s.sig("link", 1)).apply_async()),
        lines=3,
    ),
    Scenario("inside except, with the exception", lambda s: s.call("retry_in_except", True)),
    Scenario("inside except, without it", lambda s: s.call("retry_in_except", False)),
    Scenario("throw=False", lambda s: s.call("retry_without_throw"), lines=3, unordered=True),
    Scenario("new args", lambda s: s.call("retry_new_args", 1, 2, "args")),
    Scenario("new kwargs", lambda s: s.call("retry_new_args", 1, 2, "kwargs")),
    Scenario("new args and kwargs", lambda s: s.call("retry_new_args", 1, 2, "both")),
    Scenario(
        "some new kwargs", lambda s: s.call("retry_new_args", kw={"a": 1, "b": 2, "how": "some"})
    ),
    Scenario("max_retries None", lambda s: s.call("retry_forever")),
    Scenario("arguments that cannot be sent", lambda s: s.call("retry_bad_body")),
    Scenario("retries given by the caller", lambda s: s.call("retry", 9, retries=1)),
    Scenario("autoretry", lambda s: s.call("auto")),
    Scenario("autoretry gives up", lambda s: s.call("auto_gives_up")),
    Scenario("autoretry for another exception", lambda s: s.call("auto_other")),
    Scenario("autoretry for a base class", lambda s: s.call("auto_base")),
    Scenario("dont_autoretry_for", lambda s: s.call("auto_never")),
    Scenario("retry_kwargs", lambda s: s.call("auto_kwargs")),
    Scenario("autoretry and Ignore", lambda s: s.call("auto_ignore"), ends=False, lines=1),
    Scenario("autoretry and Reject", lambda s: s.call("auto_reject"), lines=1),
    Scenario("autoretry of one that cannot be pickled", lambda s: s.call("auto_holds")),
    Scenario("override_max_retries", lambda s: s.call("unlucky")),
    Scenario(
        "message of a retry", lambda s: s.call("retry_to_peek", kw={"countdown": 1000}), ends=False
    ),
    Scenario(
        "message of a retry with the default delay", lambda s: s.call("retry_to_peek"), ends=False
    ),
    Scenario(
        "message of a retry with everything",
        lambda s: s.call(
            "retry_to_peek",
            kw={"countdown": 1000, "priority": 6, "headers": {"new": 1}},
            headers={"custom": "kept"},
            priority=3,
            expires=5000,
            shadow="shadow.name",
            time_limit=500,
            soft_time_limit=400,
            link=s.sig("link", 5),
            link_error=s.sig("old_errback"),
            argsrepr="(shown)",
        ),
        ends=False,
    ),
    Scenario("message of a backoff", lambda s: s.call("backoff", retries=3), ends=False),
    Scenario(
        "message of a backoff by a factor",
        lambda s: s.call("backoff_factor", retries=3),
        ends=False,
    ),
    Scenario(
        "message of a backoff at its limit", lambda s: s.call("backoff_max", retries=3), ends=False
    ),
)

GROUPS = (Group("retries", SCENARIOS),)
