"""Types of option values."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import click

if TYPE_CHECKING:
    from fastworker.worker.lane_spec import LaneSpec

    _Type = click.ParamType[Any]
else:  # generic for type checkers only, in older releases
    _Type = click.ParamType


class CommaSeparated(_Type):
    """``a,b``: a tuple of texts; blanks around them do not count."""

    name = "list"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split."""
        if isinstance(value, tuple):
            return value
        return tuple(part for part in (part.strip() for part in str(value).split(",")) if part)


class Json(_Type):
    """A JSON value of one type."""

    name = "json"

    def __init__(self, expected: type, word: str) -> None:
        self._expected = expected
        self._word = word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, with the codec that task arguments travel in, so that ``__type__`` forms work."""
        if isinstance(value, self._expected):
            return value
        from fastworker._core import loads

        try:
            parsed = loads(value)
        except ValueError as error:
            self.fail(f"{value!r} is not JSON ({error}); expected {self._word}", param, ctx)
        if not isinstance(parsed, self._expected):
            self.fail(f"{value!r} is {json.dumps(parsed)[:40]}; expected {self._word}", param, ctx)
        return parsed


class Seconds(_Type):
    """A length of time: ``90``, ``1.5s``, ``20ms``, ``500us``, ``2m``; in seconds."""

    name = "time"
    _UNITS: ClassVar = {
        "us": 1e-6,
        "µs": 1e-6,
        "ms": 1e-3,
        "s": 1.0,
        "m": 60.0,
        "h": 3600.0,
        "": 1.0,
    }

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number and its unit."""
        if isinstance(value, int | float):
            return float(value)
        text = str(value).strip()
        number = text.rstrip("µmush")
        unit = text[len(number) :]
        try:
            seconds = float(number) * self._UNITS[unit]
        except (KeyError, ValueError):
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            self.fail(
                f"{value!r}: expected a number with us, ms, s, m or h, such as 1.5s", param, ctx
            )
        return seconds


class LogLevel(_Type):
    """A level's name in any case, or its number."""

    name = "level"
    _NAMES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The level's number."""
        text = str(value).strip().upper()
        if text.isdigit():
            return int(text)
        if text not in self._NAMES:
            from fastworker.app.nearest import did_you_mean

            known = ", ".join(self._NAMES)
            self.fail(f"{value!r}: expected {known}{did_you_mean(text, self._NAMES)}", param, ctx)
        return int(getattr(logging, text))


class AutoscaleBounds(_Type):
    """``MAX,MIN``: most and fewest processes; ``MAX`` alone means at least one."""

    name = "max,min"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """The larger number first, both at least 1. A minimum of 0, which Celery takes, means 1."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if len(parts) > 2 or not all(part.isdigit() for part in parts) or int(parts[0]) < 1:
            self.fail(f"{value!r}: expected two whole numbers MAX,MIN; try 10,3", param, ctx)
        most, fewest = int(parts[0]), max(1, int(parts[1])) if len(parts) == 2 else 1
        if fewest > most:
            self.fail(
                f"{value!r}: expected the larger number first; try {fewest},{most}", param, ctx
            )
        return most, fewest


class QueueNumber(_Type):
    """``NAME=N``: a queue and a whole number of at least 1. The name may contain more of ``=``."""

    name = "queue=n"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """The name and the number."""
        if isinstance(value, tuple):
            return value
        queue, _, number = str(value).rpartition("=")
        if not queue or not number.isdigit() or int(number) < 1:
            self.fail(
                f"{value!r}: expected a queue, =, and a whole number of at least 1; try "
                f"{queue or 'crawl'}=2",
                param,
                ctx,
            )
        return queue, int(number)


class LaneText(_Type):
    """``NAME=QUEUE,…,POOL,CONCURRENCY``: a ``worker.lane_spec.LaneSpec``."""

    name = "name=queue,…,pool,concurrency"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> LaneSpec:
        """Parse; every mistake is a usage error that says what is wrong."""
        from fastworker.errors import ImproperlyConfigured
        from fastworker.worker.lane_spec import LaneSpec

        if isinstance(value, LaneSpec):
            return value
        try:
            return LaneSpec.from_text(str(value))
        except ImproperlyConfigured as exc:
            raise click.UsageError(str(exc), ctx) from None


class Concurrency(_Type):
    """A number of processes, or ``auto``; 0 is ``auto`` too."""

    name = "number|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """A number of at least 1, or ``"auto"``."""
        text = str(value).strip().lower()
        if text in ("auto", "0"):
            return "auto"
        if not text.isdigit():
            self.fail(f"{value!r}: expected a whole number or auto; try auto", param, ctx)
        return int(text)


class Moment(_Type):
    """A time in ISO 8601; with ``allows_seconds`` also a number of seconds from now."""

    name = "time"

    def __init__(self, allows_seconds: bool) -> None:
        self._allows_seconds = allows_seconds

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | float:
        """A datetime, aware if the text is; or seconds."""
        if isinstance(value, datetime | float):
            return value
        if self._allows_seconds:
            try:
                return float(value)
            except ValueError:
                pass  # then it has to be a time
        try:
            # Python 3.10 does not read the Z.
            return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError:
            self.fail(f"{value!r}: expected a time such as 2030-01-31T12:00:00+00:00", param, ctx)


COMMA_SEPARATED = CommaSeparated()
LOG_LEVEL = LogLevel()
AUTOSCALE = AutoscaleBounds()
CONCURRENCY = Concurrency()
QUEUE_NUMBER = QueueNumber()
LANE = LaneText()
TIME = Moment(allows_seconds=False)
TIME_OR_SECONDS = Moment(allows_seconds=True)
JSON_LIST = Json(list, "a JSON list, such as '[1, 2]'")
JSON_OBJECT = Json(dict, """a JSON object, such as '{"x": 1}'""")
SECONDS = Seconds()
