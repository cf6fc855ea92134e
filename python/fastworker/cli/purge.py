"""``fastworker purge``: throw away the messages that wait in queues."""

from __future__ import annotations

import json

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, pass_session
from fastworker.cli.values import COMMA_SEPARATED


@click.command(cls=Command)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option(
    "-Q",
    "--queues",
    cls=Option,
    type=COMMA_SEPARATED,
    default=(),
    metavar="A,B",
    help="Only these queues.",
)
@click.option(
    "-X",
    "--exclude-queues",
    cls=Option,
    type=COMMA_SEPARATED,
    default=(),
    metavar="A,B",
    help="All but these.",
)
@click.option(
    "--parked",
    is_flag=True,
    help="Those too whose ETA is far: they are cancelled, and their results are REVOKED.",
)
@click.option("-j", "--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@pass_session
def purge(
    session: Session,
    force: bool,
    queues: tuple[str, ...],
    exclude_queues: tuple[str, ...],
    parked: bool,
    as_json: bool,
) -> int:
    """Remove all waiting messages of the application's queues.

    There is no undo. Tasks that a worker already holds are not touched, nor are those that the broker keeps until
    their ETA, unless --parked says so: in Celery a worker holds them.
    """
    app = session.app
    names = [name for name in queues or app.configured_queues() if name not in exclude_queues]
    if not names:
        raise click.UsageError("no queue is left to purge")
    listed = ", ".join(sorted(names))
    if not force:
        kept = ", and what is parked for them" if parked else ""
        click.confirm(f"Remove all waiting messages of {listed}{kept}?", abort=True)
    table, publisher = app.publishing.settings.queues, app.publishing.publisher
    removed = sum(publisher.purge(own) for name in names for own in table.at_broker(name))
    cancelled = sum(app.parked.cancel(queue=name) for name in names) if parked else 0
    if as_json:
        click.echo(
            json.dumps({"queues": sorted(names), "removed": removed, "cancelled": cancelled})
        )
        return 0
    click.echo(f"Removed {removed} message{'' if removed == 1 else 's'} from {listed}.")
    if parked:
        click.echo(f"Cancelled {cancelled} parked task{'' if cancelled == 1 else 's'}.")
    return 0
