"""``fastworker purge``: throw away the messages that wait in queues."""

from __future__ import annotations

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
@pass_session
def purge(
    session: Session, force: bool, queues: tuple[str, ...], exclude_queues: tuple[str, ...]
) -> int:
    """Remove all waiting messages of the application's queues.

    There is no undo. Tasks that a worker already holds are not touched.
    """
    app = session.app
    names = [name for name in queues or app.configured_queues() if name not in exclude_queues]
    if not names:
        raise click.UsageError("no queue is left to purge")
    listed = ", ".join(sorted(names))
    if not force:
        click.confirm(f"Remove all waiting messages of {listed}?", abort=True)
    removed = sum(app.publishing.publisher.purge(name) for name in names)
    click.echo(f"Removed {removed} message{'' if removed == 1 else 's'} from {listed}.")
    return 0
