"""Celery's task message, protocol 2: headers that any worker can route by, and a body only the task
needs.

Source: celery-contract 1.1-1.3 (``celery/app/amqp.py``, ``as_task_v2``).
"""

from __future__ import annotations

import logging
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fastworker.app.naming import anonymous_node
from fastworker.serialize.saferepr import saferepr

logger = logging.getLogger(__name__)

#: Celery's lower bound of ``countdown`` and ``expires``: below, dates leave the calendar.
_LEAST_SECONDS = -2147483648 + 1
#: Longest ``argsrepr`` and ``kwargsrepr``.
_REPR_CHARS = 1024


@dataclass
class TaskMessage:
    """A message before it is serialised; ``before_task_publish`` may change its parts in place.

    Attributes:
        headers: Everything a worker needs before it runs the task.
        properties: ``correlation_id``, ``reply_to``, ``priority``…
        body: ``(args, kwargs, embed)``.
    """

    headers: dict[str, Any]
    properties: dict[str, Any]
    body: tuple[Any, Any, dict[str, Any]]


@dataclass
class Call:
    """One call of a task, as its caller described it. The attributes are Celery's options of the
    same name.
    """

    task_id: str
    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    countdown: float | None = None
    eta: datetime | str | None = None
    expires: float | datetime | str | None = None
    group_id: str | None = None
    group_index: int | None = None
    retries: int = 0
    chord: Any = None
    link: list[Any] | None = None
    link_error: list[Any] | None = None
    chain: Any = None
    reply_to: str | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    root_id: str | None = None
    parent_id: str | None = None
    shadow: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int = 0
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.args, list | tuple):
            raise TypeError(
                f"task args must be a list or tuple, not {type(self.args).__name__}: write (value,)"
            )
        if not isinstance(self.kwargs, Mapping):
            raise TypeError(
                f"task keyword arguments must be a mapping, not {type(self.kwargs).__name__}"
            )


def build(call: Call, *, now: datetime, repr_levels: int) -> TaskMessage:
    """The message of a call.

    Args:
        call: The call.
        now: The application's time, aware; ``countdown`` and relative ``expires`` count from it.
        repr_levels: ``task_repr_maxlevels``.

    Raises:
        ValueError, TypeError: A time that is none.
    """
    eta = _eta(call, now)
    expires = _expires(call.expires, now)
    args_text = (
        saferepr(call.args, _REPR_CHARS, repr_levels) if call.argsrepr is None else call.argsrepr
    )
    kwargs_text = (
        saferepr(call.kwargs, _REPR_CHARS, repr_levels)
        if call.kwargsrepr is None
        else call.kwargsrepr
    )
    headers = {
        "lang": "py",
        "task": call.name,
        "id": call.task_id,
        "shadow": call.shadow,
        "eta": eta,
        "expires": _text(expires),
        "group": call.group_id,
        "group_index": call.group_index,
        "retries": call.retries,
        "timelimit": [call.time_limit, call.soft_time_limit],
        "root_id": call.root_id or call.task_id,
        "parent_id": call.parent_id,
        "argsrepr": args_text,
        "kwargsrepr": kwargs_text,
        "origin": call.origin or anonymous_node(),
        "ignore_result": call.ignore_result,
        "replaced_task_nesting": call.replaced_task_nesting,
        "stamped_headers": call.stamped_headers,
        "stamps": call.stamps,
    }
    properties: dict[str, Any] = {"correlation_id": call.task_id, "reply_to": call.reply_to or ""}
    if expires is not None:
        properties["expiration"] = _expiration_ms(call.task_id, expires, now)
    embed = {
        "callbacks": call.link,
        "errbacks": call.link_error,
        "chain": call.chain,
        "chord": call.chord,
    }
    return TaskMessage(headers, properties, (call.args, call.kwargs, embed))


def _eta(call: Call, now: datetime) -> str | None:
    if call.countdown:
        return _text(now + timedelta(seconds=_in_range(call.countdown, "countdown")))
    if call.eta is not None and not isinstance(call.eta, datetime | str):
        raise TypeError(
            f"eta must be a datetime, not {call.eta!r}: use countdown= for seconds from now"
        )
    return _text(call.eta) or None


def _expires(expires: Any, now: datetime) -> datetime | str | None:
    if isinstance(expires, numbers.Real) and not isinstance(expires, bool):
        return now + timedelta(seconds=_in_range(float(expires), "expires"))
    if expires is not None and not isinstance(expires, datetime | str):
        raise TypeError(f"expires must be seconds or a datetime, not {expires!r}")
    return expires


def _expiration_ms(task_id: str, expires: datetime | str, now: datetime) -> int:
    """What RabbitMQ drops the message by; a time in the past counts as now, as in Celery."""
    moment = _parsed(expires) if isinstance(expires, str) else expires
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=now.tzinfo)
    left_s = (moment - now).total_seconds()
    if left_s < 0:
        logger.warning(
            "%s has an expiration date in the past (%ss ago). We assume this is intended and so we "
            "have set the "
            "expiration date to 0 instead. If this was unintended, please check the code which "
            "published this task.",
            task_id,
            -left_s,
        )
    return max(0, int(left_s * 1000))


def _parsed(text: str) -> datetime:
    # Python 3.10 does not read the Z of other languages' timestamps.
    return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)


def _text(moment: datetime | str | None) -> str | None:
    return moment.isoformat() if isinstance(moment, datetime) else moment


def _in_range(seconds: float, what: str) -> float:
    if seconds < _LEAST_SECONDS:
        raise ValueError(f"{what} is out of range: {seconds!r}")
    return seconds
