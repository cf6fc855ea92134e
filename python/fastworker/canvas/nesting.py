"""What is said of a workflow that has too much inside each other for Python's stack."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

ADVICE = (
    "groups, chords, chains and callbacks can be some hundred levels inside each other, as Python's recursion limit of "
    "{limit} has it; a chain may have any number of steps, and a group of members, so write chain(*steps) and "
    "group(members) where one is in the other"
)


class NestedTooDeeply(RecursionError):
    """Says what to do."""


def told(cause: RecursionError) -> RecursionError:
    """The same with what to do about it."""
    if isinstance(cause, NestedTooDeeply):
        return cause
    limit = sys.getrecursionlimit()
    return NestedTooDeeply(f"this workflow is nested too deeply: {ADVICE.format(limit=limit)}")


def nesting_told(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which works through a workflow and says so when that is nested too deeply."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except RecursionError as exc:
            raise told(exc) from None

    return wrapped
