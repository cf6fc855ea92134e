"""``fastworker queues``: what waits in queues, and which are paused."""

from __future__ import annotations

import json

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, pass_session
from fastworker.cli.values import COMMA_SEPARATED


@click.command(cls=Command)
@click.option(
    "-Q",
    "--queues",
    cls=Option,
    type=COMMA_SEPARATED,
    default=(),
    metavar="A,B",
    help="Only these queues.",
)
@click.option("-j", "--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@pass_session
def queues(session: Session, queues: tuple[str, ...], as_json: bool) -> int:
    """Show how many messages wait in each queue, and which queues are paused.

    Of the application's queues and all that are paused. What a worker holds, and what waits for a
    far ETA, is not counted.
    """
    app = session.app
    paused = app.control.paused_queues()
    names = queues or tuple(dict.fromkeys((*app.configured_queues(), *paused)))
    depth = app.publishing.publisher.depth
    rows = [{"name": name, "waiting": depth(name), "paused": name in paused} for name in names]
    if as_json:
        click.echo(json.dumps(rows))
        return 0
    width = max(len("queue"), *(len(name) for name in names)) if names else len("queue")
    click.echo(f"{'queue':<{width}}  {'waiting':>9}")
    for row in rows:
        line = f"{row['name']:<{width}}  {row['waiting']:>9,}"
        click.echo(f"{line}  paused" if row["paused"] else line)
    return 0
