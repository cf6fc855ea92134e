"""``fastworker inspect``: questions to running workers."""

from __future__ import annotations

from collections.abc import Sequence

import click

from fastworker.cli.group import Command
from fastworker.cli.remote import arguments_of, finish, list_option, remote_options, say_reply
from fastworker.cli.session import Session, pass_session


@click.command(cls=Command, context_settings={"allow_extra_args": True})
@click.argument("command")
@list_option("inspect")
@remote_options
@click.pass_context
@pass_session
def inspect(
    session: Session,
    ctx: click.Context,
    command: str,
    timeout: float,
    destination: Sequence[str] | None,
    as_json: bool,
) -> int:
    """Ask workers: fastworker -A proj inspect active."""
    arguments = arguments_of(session, "inspect", command, list(ctx.args))
    asking = session.app.control.inspect(
        timeout=timeout,
        destination=list(destination) if destination else None,
        callback=None if as_json else lambda reply: say_reply(session, reply),
    )
    return finish(session, asking._request(command, **arguments), as_json)
