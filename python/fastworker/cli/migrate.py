"""``fastworker migrate``: move waiting messages from one broker to another."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, complain, pass_session
from fastworker.cli.values import COMMA_SEPARATED

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.app.migration import Migration, Moved


@click.command(cls=Command)
@click.argument("source")
@click.argument("destination")
@click.option(
    "-n",
    "--limit",
    cls=Option,
    type=click.IntRange(min=1),
    metavar="N",
    help="Move at most so many.",
)
@click.option(
    "-t",
    "--timeout",
    cls=Option,
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Seconds without a message after which it ends.",
)
@click.option(
    "-a",
    "--ack-messages",
    cls=Option,
    is_flag=True,
    help="Remove them from the source; else the destination gets copies, and both would run them.",
)
@click.option(
    "-T",
    "--tasks",
    cls=Option,
    type=COMMA_SEPARATED,
    default=(),
    metavar="A,B",
    help="Only these tasks.",
)
@click.option(
    "-Q",
    "--queues",
    cls=Option,
    type=COMMA_SEPARATED,
    default=(),
    metavar="A,B:C",
    help="Only these queues; B:C: from B to C.",
)
@click.option("-F", "--forever", cls=Option, is_flag=True, help="Go on until it is stopped.")
@click.option("-j", "--json", "as_json", cls=Option, is_flag=True, help="Print counts as JSON.")
@pass_session
def migrate(
    session: Session,
    source: str,
    destination: str,
    limit: int | None,
    timeout: float,
    ack_messages: bool,
    tasks: tuple[str, ...],
    queues: tuple[str, ...],
    forever: bool,
    as_json: bool,
) -> int:
    """Move the messages that wait at the broker SOURCE to the broker DESTINATION (URLs).

    A message is removed from the source once the destination has confirmed it: it may be killed at any time, and at
    worst a message is in both. What workers hold, is parked, or is a dead letter stays where it is. Without -a the
    messages are copied.
    """
    from fastworker.app.migration import MigrationTerms
    from fastworker.app.migration import migrate as move

    app = session.app
    names = _mapping(queues) or _own_queues(app)
    if source == destination and any(old == new for old, new in names.items()):
        raise click.UsageError("SOURCE and DESTINATION are the same: it would never end")
    if forever and not ack_messages:
        raise click.UsageError("--forever without -a would hold more and more messages; add -a")
    terms = MigrationTerms(names, tasks, limit, timeout, forever, ack_messages)

    def say(migration: Migration, moved: Moved) -> None:
        if not (session.quiet or as_json):
            most = migration.total or "?"
            click.echo(
                f"Migrating task {migration.count}/{most}: {moved.task}[{moved.id}] to {moved.queue}"
            )

    done = move(app, source, destination, terms, say, _stopped())
    _say_end(session, done, terms.removes, as_json)
    return 0


def _stopped() -> Callable[[], bool]:
    """Says whether SIGTERM or Ctrl-C has come: what is on its way is brought to its end. A second one ends it."""
    came: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return lambda: bool(came)


def _mapping(queues: tuple[str, ...]) -> dict[str, str]:
    """``a`` is from a to a, ``a:b`` from a to b."""
    names = {}
    for text in queues:
        old, colon, new = text.partition(":")
        if not old or (colon and not new):
            raise click.BadParameter(f"{text!r}: expected A or A:B", param_hint="--queues")
        names[old] = new or old
    return names


def _own_queues(app: FastWorker) -> dict[str, str]:
    table = app.publishing.settings.queues
    return {own: own for name in app.configured_queues() for own in table.at_broker(name)}


def _say_end(session: Session, done: Migration, removes: bool, as_json: bool) -> None:
    if as_json:
        told = {"moved": done.count, "left": done.left, "repeated": done.repeated}
        click.echo(json.dumps({**told, "removed": removes, "queues": done.by_queue}))
        return
    verb = "Moved" if removes else "Copied"
    rest = f", left {done.left} of other tasks" if done.left else ""
    session.say(f"{verb} {done.count} message{'' if done.count == 1 else 's'}{rest}.")
    if done.repeated:
        complain(
            f"fastworker: {done.repeated} of them may run twice: their leases were lost meanwhile"
        )
