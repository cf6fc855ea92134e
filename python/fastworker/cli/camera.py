"""``fastworker events --camera``: pictures of a cluster, until a signal ends it."""

from __future__ import annotations

import logging
import signal
import socket
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from fastworker.cli.session import Session
from fastworker.errors import OperationalError

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

logger = logging.getLogger("fastworker.evcam")


@dataclass(frozen=True)
class Snapshots:
    """What the command line says of them.

    Attributes:
        camera: ``module.Class``.
        frequency: Seconds between two.
        maxrate: Such as ``10/m``.
        most: Tasks that are remembered.
    """

    camera: str
    frequency: float
    maxrate: str | None
    most: int


def take_snapshots(
    session: Session, said: Snapshots, loglevel: int, logfile: str | None, pidfile: str | None
) -> None:
    """Take pictures until SIGTERM or Ctrl-C, and one more then.

    Raises:
        click.UsageError: There is no such camera.
        ImproperlyConfigured: ``maxrate`` is no rate; another process that lives holds the pidfile.
        OperationalError: The broker cannot be reached.
    """
    from fastworker.events.keeping import keep_hearing
    from fastworker.worker.logs import set_up
    from fastworker.worker.pidfile import pidfile as held

    app = session.app
    cls = _camera_class(said.camera)
    node = f"evcam@{socket.gethostname()}"
    with held(pidfile):
        set_up(
            *(app, node),
            loglevel=loglevel,
            logfile=logfile,
            no_color=session.no_color,
            redirects=False,
        )
        state = app.events.State(max_tasks_in_memory=said.most)
        camera = cls(state, app=_app_for(cls, app), freq=said.frequency, maxrate=said.maxrate)
        session.say(f"-> evcam: Taking snapshots with {said.camera} (every {said.frequency} secs.)")
        signal.signal(signal.SIGTERM, _end)
        camera.install()
        try:
            keep_hearing(lambda: app.events.Receiver(handlers={"*": state.event}), _say_lost)
        finally:
            camera.cancel()


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say_lost(exc: OperationalError) -> None:
    logger.warning("the broker was lost, and what is told meanwhile is missed: %s", exc)


def _camera_class(name: str) -> Any:
    from fastworker.app.symbols import symbol_by_name
    from fastworker.errors import ImproperlyConfigured

    try:
        return symbol_by_name(name)
    except ModuleNotFoundError as missing:
        if not name.startswith(missing.name or "?"):
            raise
        raise click.UsageError(f"--camera {name}: {missing}") from missing
    except ImproperlyConfigured as wrong:
        raise click.UsageError(f"--camera: {wrong}") from wrong


def _app_for(cls: Any, app: FastWorker) -> Any:
    """The application as a camera knows it: one that was written for Celery gets Celery's."""
    from fastworker.events.snapshot import Polaroid

    bases = getattr(cls, "__mro__", ())
    if Polaroid in bases or not any(base.__module__.startswith("celery.") for base in bases):
        return app
    from fastworker.hosting.stand_in import celery_of

    return celery_of(app)
