"""``make check`` and ``make test``: runs every step, also after one has failed, and ends with one
summary.

usage: ``python -m tests.support.suite GROUP … [-- pytest arguments]``; the groups are the keys of ``GROUPS``
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable

from tests.support import browser, servers, steps
from tests.support.steps import Outcome

GROUPS: dict[str, Callable[[], list[steps.Step]]] = {
    "lint": steps.lint,
    "typecheck": steps.typecheck,
    "rust": steps.rust,
    "loom": steps.loom,
    "python": steps.python,
    "hosted": steps.hosted,
    "pools": steps.pools,
    "pools-briefly": steps.pools_briefly,
}
WITH_PYTEST = {"python", "hosted", "pools", "pools-briefly"}
NEEDS_SERVERS = {"rust", *WITH_PYTEST}


def main(arguments: list[str]) -> int:
    """Run the named groups in order; 0 when nothing failed and, under CI, no service was
    missing.
    """
    groups, extra = arguments, []
    if "--" in arguments:
        groups, extra = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    unknown = set(groups) - set(GROUPS)
    if unknown or not groups:
        print(f"groups {sorted(unknown)}: expected some of {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    outcomes: list[Outcome] = []
    with contextlib.ExitStack() as stack:
        if NEEDS_SERVERS & set(groups):
            outcomes.append(bring_up_servers(stack))
        if "python" in groups:
            outcomes.append(find_browser())
        for group in groups:
            for step in GROUPS[group]():
                outcomes.append(step.run(extra if group in WITH_PYTEST else []))
    summarise(outcomes, time.monotonic() - started)
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def bring_up_servers(stack: contextlib.ExitStack) -> Outcome:
    """Have the servers up until ``stack`` closes, and tell the steps by the environment."""
    started = time.monotonic()
    try:
        found = stack.enter_context(servers.redis_up(may_install=True))
    except servers.NoServer as error:
        failed = 1 if servers.is_ci() else 0
        return Outcome("redis", 0, failed, [f"Redis: {error}"], time.monotonic() - started)
    os.environ[servers.REDIS_VARIABLE] = found.url
    print(f"redis: {found.url} ({found.how})", flush=True)
    return Outcome(f"redis {found.url}, {found.how}", 1, 0, [], time.monotonic() - started)


def find_browser() -> Outcome:
    """See that there is a browser for Flower's pages. CI has it installed; elsewhere nothing so large is installed
    unasked, and its tests skip.
    """
    started = time.monotonic()
    try:
        if servers.is_ci():
            browser.install()
        found, _ = browser.programs()
    except servers.NoServer as error:
        failed = 1 if servers.is_ci() else 0
        return Outcome("browser", 0, failed, [f"browser: {error}"], time.monotonic() - started)
    return Outcome(f"browser {found}", 1, 0, [], time.monotonic() - started)


def summarise(outcomes: list[Outcome], duration_s: float) -> None:
    """Print what ran, what it found, what was skipped and why, and how long it took."""
    rule = "=" * 100
    print(f"\n{rule}\n{'passed':>8} {'failed':>7} {'skipped':>8} {'seconds':>8}  step")
    for outcome in outcomes:
        mark = "  <-- FAILED" if outcome.failed else ""
        print(
            f"{outcome.passed:8} {outcome.failed:7} {len(outcome.skips):8} "
            f"{outcome.seconds:8.1f}  {outcome.name}{mark}"
        )
    reasons: dict[str, int] = {}
    for outcome in outcomes:
        for reason in outcome.skips:
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        print(f"skipped {count}x: {reason}")
    for outcome in outcomes:
        for failure in outcome.failures:
            print(f"failed: {failure}")
    passed, failed = sum(o.passed for o in outcomes), sum(o.failed for o in outcomes)
    skipped = sum(len(o.skips) for o in outcomes)
    verdict = "FAILED" if failed else "passed"
    print(f"{rule}\n{verdict}: {passed} passed, {failed} failed, {skipped} skipped", end="")
    print(f" in {duration_s:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
