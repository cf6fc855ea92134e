"""Switching it on and off for an application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker.hosting.acceleration.producer import QuickAcquire
from fastworker.hosting.acceleration.road import Road, tell
from fastworker.hosting.acceleration.sending import QuickSend
from fastworker.hosting.redis_backend import is_redis

if TYPE_CHECKING:
    from celery import Celery
    from celery.backends.base import Backend

#: Where an application keeps its ``Acceleration``.
_KEPT = "_fastworker_acceleration"
_REPLACED = ("send_task", "producer_or_acquire", "_get_backend")


class Acceleration:
    """What ``fastworker.accelerate`` has done for an application.

    Attributes:
        celery: The application.
    """

    def __init__(self, celery: Celery) -> None:
        self.celery = celery
        self._road = Road(celery)
        self._said: set[str] = set()
        self._is_on = False

    def switch_on(self) -> None:
        """Take Celery's place in the application. Reads no settings, connects nowhere."""
        celery = self.celery
        vars(celery)[_KEPT] = self
        celery.send_task = QuickSend(celery, self._road)
        celery.producer_or_acquire = QuickAcquire(celery, self._road)
        celery._get_backend = self._get_backend
        self._is_on = True
        if celery._backend is not None:
            self._read_from(celery._backend)

    def restore(self) -> None:
        """Give Celery its place back, for tests. Backends of other threads stay as they are until those end."""
        celery = self.celery
        if vars(celery).get(_KEPT) is not self:
            return
        self._is_on = False
        for name in (_KEPT, *_REPLACED):
            vars(celery).pop(name, None)
        if is_redis(celery._backend):
            from fastworker.hosting.acceleration.results import give_back

            give_back(celery._backend)

    def as_before(self) -> list[str]:
        """What goes in Celery's way all the same, one line each with the reason. Reads the application's settings.

        Single calls may go in Celery's way besides: ``docs/guides/celery-applications.md`` says which.
        """
        said = []
        why_not = self._road.why_not()
        if why_not is not None:
            said.append(f"publishing is not accelerated: {why_not}")
        why_not = self._why_not(self.celery.backend)
        if why_not is not None:
            said.append(f"reading results is not accelerated: {why_not}")
        return said

    def _get_backend(self) -> Backend:
        """In the place of ``app._get_backend``: makes a thread's backend."""
        backend = type(self.celery)._get_backend(self.celery)
        self._read_from(backend)
        return backend

    def _read_from(self, backend: Backend) -> None:
        why_not = self._why_not(backend)
        if why_not is None:
            from fastworker.hosting.acceleration.results import take_over

            take_over(backend, self._road.ours)
        else:
            self._tell(f"reading results is not accelerated: {why_not}")

    def _why_not(self, backend: Backend) -> str | None:
        """Why its results are read as ever; None: they can be read in our way."""
        if not is_redis(backend):
            kind = type(backend)
            return f"{kind.__module__}.{kind.__qualname__} is not Celery's Redis backend"
        from fastworker.hosting.acceleration.results import why_not

        return why_not(backend, lambda: self._road.ours)

    def _tell(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            tell(self.celery, line)


def acceleration_of(celery: Any) -> Acceleration | None:
    """That of an application, if it is switched on."""
    found: Acceleration | None = vars(celery).get(_KEPT)
    return found


def accelerate(celery: Celery) -> Acceleration:
    """See ``fastworker.accelerate``."""
    found = acceleration_of(celery)
    if found is None:
        found = Acceleration(celery)
        found.switch_on()
    return found
