"""The application's time: ``app.now()`` and ``app.timezone``."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastworker.errors import ImproperlyConfigured


class LocalTime(dt.tzinfo):
    """The machine's own timezone, daylight saving included (``enable_utc=False`` without
    ``timezone``).
    """

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta | None:
        return self._at(when).utcoffset()

    def dst(self, when: dt.datetime | None) -> dt.timedelta | None:
        return self._at(when).dst()

    def tzname(self, when: dt.datetime | None) -> str | None:
        return self._at(when).tzname()

    def fromutc(self, when: dt.datetime) -> dt.datetime:
        return when.replace(tzinfo=dt.timezone.utc).astimezone().replace(tzinfo=self)

    def _at(self, when: dt.datetime | None) -> dt.datetime:
        moment = dt.datetime.now() if when is None else when.replace(tzinfo=None)
        return moment.astimezone()


def timezone_of(conf: Any) -> dt.tzinfo:
    """The timezone of an application: ``timezone``, else UTC, else with ``enable_utc=False`` the
    machine's.

    Raises:
        ImproperlyConfigured: There is no such timezone.
    """
    configured = conf.timezone
    if not configured:
        return dt.timezone.utc if conf.enable_utc else LocalTime()
    if isinstance(configured, dt.tzinfo):
        return configured
    if str(configured).upper() == "UTC":
        return dt.timezone.utc
    try:
        return ZoneInfo(configured)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise ImproperlyConfigured(
            f"setting timezone: there is no timezone {configured!r}; expected a name such as "
            f"'Europe/Berlin'"
        ) from exc
