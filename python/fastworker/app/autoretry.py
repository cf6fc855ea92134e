"""``autoretry_for``: retry a task by itself when it raises certain exceptions."""

from __future__ import annotations

import inspect
import random
from functools import wraps
from typing import Any

from fastworker.errors import Ignore, Retry


def backoff_s(factor: int, retries: int, maximum: int, full_jitter: bool) -> int:
    """Seconds to wait before retry number ``retries`` (0 for the first): exponential, at most
    ``maximum``.

    With ``full_jitter`` any whole number from 0 to that, so that what failed together does not come
    back together.
    """
    countdown = min(maximum, factor * 2**retries)
    return max(0, random.randrange(countdown + 1) if full_jitter else countdown)


def add_autoretry(task: Any, **options: Any) -> None:
    """Wrap ``task.run`` once, if the task or ``options`` name exceptions to retry for. A batch task gets a function
    ``autoretry`` instead, which raises `Retry` for the current request if the exception it is given says so.

    Options (Celery's): ``autoretry_for``, ``dont_autoretry_for``, ``retry_kwargs``,
    ``retry_backoff`` (False, True for 1, or a factor in seconds), ``retry_backoff_max`` (600),
    ``retry_jitter`` (True).
    """

    def option(name: str, default: Any) -> Any:
        return options[name] if name in options else getattr(task, name, default)

    retry_for = tuple(option("autoretry_for", ()))
    if not retry_for or hasattr(task, "_orig_run") or hasattr(task, "autoretry"):
        return
    never_for = tuple(option("dont_autoretry_for", ()))
    retry_kwargs = dict(option("retry_kwargs", {}))
    backoff = float(option("retry_backoff", False))
    backoff_max = int(option("retry_backoff_max", 600))
    jitter = bool(option("retry_jitter", True))
    original = task.run

    def retried(exc: BaseException) -> Exception:
        again = dict(retry_kwargs)
        if backoff:
            again["countdown"] = backoff_s(
                int(max(1.0, backoff)), task.request.retries, backoff_max, jitter
            )
        override = task.__dict__.get("override_max_retries")
        if override is not None:
            again["max_retries"] = override
        retry: Exception = task.retry(exc=exc, **again)
        task.__dict__.pop("override_max_retries", None)
        return retry

    def try_again(exc: BaseException) -> None:
        if isinstance(exc, retry_for) and not isinstance(exc, (Ignore, Retry, *never_for)):
            raise retried(exc) from exc

    if getattr(task, "batch", None) is not None:
        # Each of its calls has retries of its own.
        task.autoretry = try_again
        return

    @wraps(original)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        except (Ignore, Retry, *never_for):
            raise
        except retry_for as exc:
            raise retried(exc) from exc

    @wraps(original)
    async def arun(*args: Any, **kwargs: Any) -> Any:
        try:
            return await original(*args, **kwargs)
        except (Ignore, Retry, *never_for):
            raise
        except retry_for as exc:
            raise retried(exc) from exc

    task._orig_run = original
    task.run = arun if inspect.iscoroutinefunction(original) else run
