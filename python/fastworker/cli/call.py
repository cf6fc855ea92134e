"""``fastworker call``: publish a task by its name."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, pass_session
from fastworker.cli.values import JSON_LIST, JSON_OBJECT, TIME, TIME_OR_SECONDS


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "-a",
    "--args",
    cls=Option,
    type=JSON_LIST,
    default="[]",
    help="Positional arguments, a JSON list.",
)
@click.option(
    "-k",
    "--kwargs",
    cls=Option,
    type=JSON_OBJECT,
    default="{}",
    help="Keyword arguments, a JSON object.",
)
@click.option("--eta", cls=Option, type=TIME, help="Run at this time (ISO 8601).")
@click.option("--countdown", cls=Option, type=float, help="Run in this many seconds.")
@click.option("--expires", cls=Option, type=TIME_OR_SECONDS, help="Do not run later than this.")
@click.option("--serializer", cls=Option, default=None, help="Serialiser of the arguments.")
@click.option("--queue", cls=Option, help="Queue to publish to.")
@click.option("--exchange", cls=Option, help="Exchange to publish to.")
@click.option("--routing-key", cls=Option, help="Routing key to publish with.")
@click.option("-j", "--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@pass_session
def call(
    session: Session,
    /,
    name: str,
    args: list[Any],
    kwargs: dict[str, Any],
    eta: datetime | None,
    expires: datetime | float | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Publish the task NAME and print its id. The task need not be known here.

    \b
    fastworker -A proj call tasks.add -a '[2, 2]'
    """
    given = {"eta": eta, "expires": expires, **options}
    said = {option: value for option, value in given.items() if value is not None}
    task_id = session.app.send_task(name, args, kwargs, **said).id
    click.echo(json.dumps({"task_id": task_id}) if as_json else task_id)
    return 0
