"""``fastworker unpark``: put back what waits beside the queues."""

from __future__ import annotations

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
    help="Only the lanes of these queues.",
)
@click.option("--lanes-only", is_flag=True, help="Leave messages with a far ETA where they are.")
@pass_session
def unpark(session: Session, queues: tuple[str, ...], lanes_only: bool) -> int:
    """Put messages that wait beside the queues back into them.

    They wait in lanes because they are over a rate limit, or parked because their ETA is far. Celery
    workers do not look into lanes: do this when only they remain. Workers of fastworker put them
    aside again.
    """
    app = session.app
    publisher = app.publishing.publisher
    names = sorted(queues or app.configured_queues())
    laned = sum(publisher.unlane(name) for name in names)
    click.echo(
        f"Put back {laned} message{'' if laned == 1 else 's'} from lanes of {', '.join(names)}."
    )
    if not lanes_only:
        parked = publisher.unpark()
        click.echo(f"Put back {parked} parked message{'' if parked == 1 else 's'}.")
    return 0
