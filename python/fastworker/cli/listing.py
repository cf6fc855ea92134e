"""``fastworker list bindings``: which queues exchanges lead to. Columns are Celery's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from fastworker.cli.group import Command, CommandGroup, Option
from fastworker.cli.session import Session, pass_session

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


@click.group("list", cls=CommandGroup)
def listing() -> None:
    """List what is in the broker."""


@listing.command(cls=Command)
@click.option("-j", "--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@pass_session
def bindings(session: Session, as_json: bool) -> int:
    """Show which queues the application's exchanges lead to.

    What programs have declared in the broker, and the application's own queues, declared or not.
    """
    rows = sorted(_bindings(session.app))
    if as_json:
        names = ("queue", "exchange", "routing_key")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
        return 0
    for queue, exchange, key in (("Queue", "Exchange", "Routing Key"), ("-" * 16,) * 3, *rows):
        click.echo(f"{queue:<28} {exchange:<28} {key}")
    return 0


def _bindings(app: FastWorker) -> set[tuple[str, str, str]]:
    from fastworker.app.amqp import is_amqp

    if is_amqp(app.broker.write_url):
        raise click.UsageError(
            "RabbitMQ does not tell its clients which bindings there are; ask it with: rabbitmqctl list_bindings"
        )
    queues = app.publishing.settings.queues.listed
    own = {(queue.name, queue.exchange, queue.routing_key) for queue in queues}
    return own | {
        (name, exchange, key)
        for exchange in {queue.exchange for queue in queues}
        for key, _pattern, name in app.publishing.publisher.bindings(exchange)
    }
