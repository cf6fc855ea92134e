"""``fastworker status``: which workers are there."""

from __future__ import annotations

from collections.abc import Sequence

import click

from fastworker.cli.group import Command
from fastworker.cli.remote import finish, remote_options, say_reply
from fastworker.cli.session import Session, pass_session


@click.command(cls=Command)
@remote_options
@pass_session
def status(
    session: Session, timeout: float, destination: Sequence[str] | None, as_json: bool
) -> int:
    """Show the workers that are online."""
    asking = session.app.control.inspect(
        timeout=timeout,
        destination=list(destination) if destination else None,
        callback=None if as_json else lambda reply: say_reply(session, reply, show_body=False),
    )
    return finish(session, asking.ping(), as_json)
