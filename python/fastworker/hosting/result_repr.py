"""What Celery's tracer shows of a result, made with less work.

The tracer writes every result out with ``saferepr``, whether or not somebody will see it: some ten generators and
tokens, a tenth of what it takes for a short task. What most short tasks return is shown as ``repr`` shows it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from celery.app import trace
from celery.utils import saferepr as celerys

#: Shown as ``repr`` shows them; of numbers, those that are short.
_PLAIN = (int, bool, float, type(None))
_SAMPLES: tuple[Any, ...] = (None, True, False, 0, -42, (1 << 63) - 1, 1.5, 1e300, float("nan"))
_LIMITS = (None, 1024, 46, 4, 3, 0)


def show_plain_results_quickly() -> None:
    """Let Celery's tracer show them so, from now on in this process; unless the Celery that is installed shows them
    otherwise, or somebody else has replaced its way."""
    own = celerys.saferepr
    if vars(trace).get("saferepr") is not own:
        return
    quick = quickly(own)
    if all(quick(value, limit) == own(value, limit) for value in _SAMPLES for limit in _LIMITS):
        trace.saferepr = quick


def quickly(own: Callable[..., str]) -> Callable[..., str]:
    """``saferepr`` with a short way for plain values.

    Args:
        own: Celery's.
    """

    @functools.wraps(own)
    def saferepr(value: Any, maxlen: int | None = None, *rest: Any, **more: Any) -> str:
        if type(value) in _PLAIN and (type(value) is not int or -(1 << 63) <= value < 1 << 63):
            text = repr(value)
            if maxlen is None or len(text) < maxlen:
                return text
        return own(value, maxlen, *rest, **more)

    return saferepr
