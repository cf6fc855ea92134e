"""Observations without what differs from run to run: ids, times, hosts, addresses, paths."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(\+\d\d:\d\d|Z)?")
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
ORIGIN = re.compile(r"gen\d+@[\w.-]+")
SHOWN_PID = re.compile(r"'pid': int:\d+")
JOB = re.compile(r" Job: \d+\.")
SECONDS = re.compile(r"succeeded in [0-9.e-]+s")
PID = re.compile(r"ForkPoolWorker-\d+")

#: A time further from now than this is a constant of the scenario.
NEAR_S = 200_000


def describe(value: Any) -> str:
    """Type and value of anything, as text, with exceptions' arguments; long texts shortened. A
    subclass of list that only one framework has is a list.
    """
    if isinstance(value, BaseException):
        kind = type(value)
        text = f"{kind.__module__}.{kind.__qualname__}{value.args!r}"
    elif isinstance(value, list | tuple):
        inside = ", ".join(map(describe, value))
        text = f"{'tuple' if isinstance(value, tuple) else 'list'}[{inside}]"
    elif isinstance(value, dict):
        inside = ", ".join(f"{describe(k)}: {describe(v)}" for k, v in value.items())
        text = f"{type(value).__name__}{{{inside}}}"
    else:
        try:
            text = f"{type(value).__name__}:{value!r}"
        except Exception as exc:
            text = f"{type(value).__name__} without repr ({type(exc).__name__})"
    return text if len(text) < 2000 else f"{text[:200]}… {len(text)} characters"


class Normaliser:
    """Replaces what differs; one per scenario, so that ids get the same name each time.

    Args:
        names: What is known of ids.
        now: When the scenario was sent.
        folder: The play's directory.
    """

    def __init__(self, names: dict[str, str], now: dt.datetime, folder: str) -> None:
        self._names = dict(names)
        self._unknown = 0
        self._now = now
        self._folder = folder

    def __call__(self, value: Any) -> Any:
        """The value with every text in it replaced."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list | tuple):
            return [self(item) for item in value]
        if isinstance(value, dict):
            return {self._text(str(key)): self._item(key, item) for key, item in value.items()}
        return value

    def _item(self, key: Any, item: Any) -> Any:
        if key in ("pid", "delivery_tag"):
            return f"<{key}>"
        if key == "expiration" and isinstance(item, str):
            # Milliseconds from now, as AMQP has it; as a time it can be compared.
            due = self._now + dt.timedelta(milliseconds=int(item))
            far = abs(due - self._now) > dt.timedelta(seconds=NEAR_S)
            return due.strftime("%Y-%m-%d %Hh") if far else self._text(due.isoformat())
        return self(item)

    def _text(self, text: str) -> str:
        text = text.replace(self._folder, "<tmp>")
        text = UUID.sub(self._id, text)
        text = TIME.sub(self._time, text)
        text = ADDRESS.sub("0x…", text)
        text = ORIGIN.sub("<origin>", text)
        text = SHOWN_PID.sub("'pid': int:<pid>", text)
        text = JOB.sub(" Job: <number>.", text)
        text = SECONDS.sub("succeeded in <seconds>", text)
        return PID.sub("<child>", text) if len(text) < 5000 else f"{text[:100]}… {len(text)}"

    def _id(self, found: re.Match[str]) -> str:
        known = self._names.get(found[0])
        if known is None:
            self._unknown += 1
            known = self._names[found[0]] = f"<id {self._unknown}>"
        return known

    def _time(self, found: re.Match[str]) -> str:
        text, zone = found[0], found[1] or ""
        try:
            when = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            return text
        if when.tzinfo is None:
            when = when.replace(tzinfo=dt.timezone.utc)
        delta = (when - self._now).total_seconds()
        if abs(delta) > NEAR_S:
            return text
        return f"<now{round(delta / 100) * 100:+d}s{zone}>"
