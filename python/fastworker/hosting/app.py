"""A Celery application as a ``FastWorker``: what a worker and the command line are given in its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from billiard import exceptions as billiard_exceptions
from celery._state import set_default_app

from fastworker.app import amqp
from fastworker.app.app import FastWorker
from fastworker.app.broker import BrokerChoice, find_home
from fastworker.app.settings_derived import from_environment
from fastworker.app.settings_registry import OTHER_STORES
from fastworker.app.unacted import unacted
from fastworker.errors import SoftTimeLimitExceeded
from fastworker.hosting.acceleration import acceleration_of
from fastworker.hosting.commands import offer_commands
from fastworker.hosting.extensions import can_run, unapplied
from fastworker.hosting.foreign import ForeignBackend
from fastworker.hosting.producer import HostedProducer
from fastworker.hosting.results import capture, is_ours
from fastworker.hosting.settings import settings_of
from fastworker.hosting.signals import Forwarding
from fastworker.hosting.task import hosted

if TYPE_CHECKING:
    from celery import Celery

    from fastworker.app.task import Task
    from fastworker.child.trace import TaskTracer
    from fastworker.results.backend import Backend


class _SoftLimit(
    billiard_exceptions.SoftTimeLimitExceeded,  # type: ignore[misc]  # Celery has no types
    SoftTimeLimitExceeded,
):
    """Celery's by name, so that it is stored as that; ours to what runs the tasks."""


_SoftLimit.__name__ = _SoftLimit.__qualname__ = "SoftTimeLimitExceeded"
_SoftLimit.__module__ = billiard_exceptions.__name__


class _Broker(BrokerChoice):
    """The broker of an application whose results a backend of Celery's may keep, and which publishes as Celery does."""

    def __init__(self, app: HostedApp, home: str, home_reason: str) -> None:
        super().__init__(app.conf, home, home_reason)
        self._app = app

    @property
    def options(self) -> dict[str, str]:
        """On RabbitMQ, messages bear the time after which they may vanish, as Celery's do."""
        options = super().options
        if amqp.is_amqp(self.write_url):
            options.setdefault("expire_in_queue", "true")
        return options

    @property
    def result_url(self) -> str | None:
        """Where the runtime stores results; None: it does not."""
        return None if self._app.foreign_backend else super().result_url


class HostedApp(FastWorker):
    """A Celery application that our worker runs.

    Args:
        celery: The application; it is not changed before a worker's child starts.

    Attributes:
        celery: The same.
    """

    soft_time_limit_exceeded = _SoftLimit

    def __init__(self, celery: Celery) -> None:
        self.celery = celery
        _take_over_from_command_line(celery)
        super().__init__(
            celery.main, set_as_current=False, changes=settings_of(celery), config_source={}
        )
        self.broker = _Broker(self, *find_home(celery.main))
        self._forwarding = Forwarding(self)
        offer_commands()

    @property
    def backend(self) -> Backend:
        """Where results are."""
        return self.foreign_backend or super().backend

    @property
    def results_kept_at(self) -> str | None:
        """As ``FastWorker`` says; of a backend of Celery's as the setting has it."""
        return str(self.celery.conf.result_backend) if self.foreign_backend else self.result_url

    @cached_property
    def foreign_backend(self) -> ForeignBackend | None:
        """The backend of Celery's that keeps the results; None: they are ours to keep, or nobody does."""
        celery = self.celery
        if not celery.conf.result_backend:
            return None
        # Not before the application is set up: Django's has to be, for its backend to be imported.
        celery.loader.import_default_modules()
        return None if is_ours(celery.backend) else ForeignBackend(self, celery.backend)

    def import_task_modules(self, include: Iterable[str] = ()) -> None:
        """Import every module that defines tasks, as Celery's loader does."""
        self.set_current()
        loader = self.celery.loader
        loader.init_worker()
        for module in include:
            loader.import_task_module(module)

    def finalize(self, auto: bool = False) -> None:
        """Take the Celery application's tasks; once.

        Raises:
            RuntimeError: ``auto`` (by use) and ``autofinalize`` of the Celery application is False.
        """
        with self._finalizing:
            if self.finalized:
                return
            self.celery.finalize(auto=auto)
            self.finalized = True
            for name, task in self.celery._tasks.items():
                if can_run(task):
                    self._tasks[name] = made = hosted(task)
                    made.bind(self)
            self.on_after_finalize.send(sender=self)

    def set_current(self) -> None:
        """Make both the current application."""
        super().set_current()
        self.celery.set_current()
        set_default_app(self.celery)

    def unapplied(self) -> list[str]:
        """What belongs to Celery's own worker, one line each, with what to do."""
        acted_on_by_celery = OTHER_STORES if self.foreign_backend else ()
        return [*unacted(self.conf, acted_on_by_celery), *unapplied(self.celery)]

    def framework_report(self) -> list[str]:
        """Celery's own report."""
        return ["", "[celery]", *self.celery.bugreport().strip().splitlines()]

    def settings_table(self, with_defaults: bool) -> dict[str, Any]:
        """Celery's settings, as its own workers show them: ``include`` has every module with a task."""
        celery = self.celery
        modules = {*celery.conf.include, *(type(it).__module__ for it in celery.tasks.values())}
        return {**celery.conf.table(with_defaults=with_defaults), "include": sorted(modules)}

    def close(self) -> None:
        """Close its connections, pass on no more signals, and forget it. The Celery application stays as it is."""
        self._forwarding.close()
        super().close()

    def tracer_class(self, task: Task[..., Any]) -> type[TaskTracer]:
        """What runs a call of ``task``."""
        # It needs what only a child has imported.
        from fastworker.hosting.trace import HostedTracer

        return HostedTracer

    def publish_through_us(self) -> None:
        """From now on, in this process, the Celery application publishes and stores what it does through us."""
        celery = self.celery
        accelerated = acceleration_of(celery)
        if accelerated is not None:
            # A client's way, which does not lead to the worker.
            accelerated.restore()
        producer = HostedProducer(self)
        celery.producer_or_acquire = lambda given=None: contextlib.nullcontext(given or producer)
        celery.amqp._retry_publish = _publish_with_the_end
        capture(self, celery.backend)


def _take_over_from_command_line(celery: Celery) -> None:
    """``-b`` and ``--result-backend`` stand in the environment, where our settings read them."""
    for name in ("broker_url", "result_backend"):
        said = from_environment(name.upper())
        if said is not None:
            celery.conf[name] = said


def _publish_with_the_end(publish: Any, *args: Any, **kwargs: Any) -> Any:
    """What follows from a task leaves with its end, in one step with the acknowledgement."""
    from fastworker.hosting.outcome import current_outcome

    outcome = current_outcome.get()
    if outcome is not None:
        outcome.collect_successors()
    return publish(*args, **kwargs)
