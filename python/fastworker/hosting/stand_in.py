"""A Celery application in the place of ours, for programs that watch and steer workers and want one: Flower.

It has our application's names: broker, results, settings of the wire, tasks. Its tasks can be published and inspected;
it runs none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from celery import Celery

from fastworker.app import amqp
from fastworker.errors import ImproperlyConfigured
from fastworker.hosting.app import HostedApp

if TYPE_CHECKING:
    import click

    from fastworker.app.app import FastWorker

#: Brokers that kombu drives as we do.
_SCHEMES = ("redis", "rediss", "sentinel")
#: Settings that say how messages, events and results look, and where they are.
_WIRE = (
    "accept_content", "task_serializer", "result_serializer", "result_accept_content", "event_serializer",
    "control_exchange", "event_exchange", "event_queue_prefix", "event_queue_ttl", "event_queue_expires",
    "broker_transport_options", "result_backend_transport_options", "broker_use_ssl", "redis_backend_use_ssl",
    "task_default_queue", "task_default_exchange", "task_default_exchange_type", "task_default_routing_key",
    "task_default_queue_type", "task_queue_max_priority", "timezone", "enable_utc",
)  # fmt: skip


def celery_of(app: FastWorker) -> Celery:
    """The Celery application for ``app``: itself, if it is a hosted one.

    Raises:
        ImproperlyConfigured: Celery has no driver for its broker.
    """
    if isinstance(app, HostedApp):
        return app.celery
    url = app.broker.read_url
    scheme = url.partition("://")[0].lower()
    if not amqp.is_amqp(url) and scheme not in _SCHEMES:
        raise ImproperlyConfigured(
            f"broker {scheme}:// is one that Celery's tools do not speak with: expected redis:// or amqp://"
        )
    app.finalize()
    told = app.conf.without_defaults()
    celery = Celery(app.main, broker=url, backend=app.broker.result_url, set_as_current=False)
    celery.conf.update({name: app.conf[name] for name in _WIRE if name in told})
    for name in app.tasks:
        if name not in celery.tasks:
            celery.task(_not_here, name=name, shared=False)
    celery.set_default()
    return celery


def _not_here(*args: Any, **kwargs: Any) -> None:
    raise NotImplementedError("this application only stands for another one, and runs no tasks")


def start_command(
    command: click.Command, celery: Celery, words: Sequence[str], *, quiet: bool
) -> None:
    """Run a command that was written for Celery's command line.

    Args:
        command: As a plug-in of Celery's offers it.
        celery: Its application.
        words: Its arguments.
        quiet: Celery's option ``--quiet``.
    """
    import click
    from celery.bin.base import CLIContext
    from celery.bin.celery import celery as root

    context = click.Context(root, info_name="celery")
    context.obj = CLIContext(app=celery, no_color=True, workdir=None, quiet=quiet)
    command.main(list(words), prog_name="fastworker flower", parent=context, standalone_mode=False)
