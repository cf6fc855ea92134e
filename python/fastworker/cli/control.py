"""``fastworker control``: orders to running workers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.remote import arguments_of, finish, list_option, remote_options, say_reply
from fastworker.cli.session import Session, pass_session

#: What the broker keeps for workers that start later, so that it is done though no node replies.
_LASTING = ("pause_queue", "resume_queue")


@click.command(cls=Command, context_settings={"allow_extra_args": True})
@click.argument("command")
@list_option("control")
@remote_options
@click.option(
    "--lane",
    metavar="NAME",
    cls=Option,
    help="The lane that add_consumer, pool_grow, pool_shrink and autoscale are for, of workers that have lanes.",
)
@click.pass_context
@pass_session
def control(
    session: Session,
    ctx: click.Context,
    command: str,
    timeout: float,
    destination: Sequence[str] | None,
    as_json: bool,
    lane: str | None,
) -> int:
    """Order workers: fastworker -A proj control revoke ID."""
    arguments = arguments_of(session, "control", command, list(ctx.args))
    if lane is not None:
        arguments["lane"] = _for_lane(command, lane)
    how: dict[str, Any] = {
        "timeout": timeout,
        "destination": list(destination) if destination else None,
        "callback": None if as_json else lambda reply: say_reply(session, reply),
        "reply": True,
    }
    orders = session.app.control
    if command not in _LASTING:
        replies = orders.broadcast(command, arguments=arguments, **how)
    elif "queue" not in arguments:
        raise click.UsageError(f"{command} takes the name of a queue")
    else:
        replies = getattr(orders, command)(**arguments, **how)
        if not replies and not as_json:
            click.echo(
                f"The broker has noted it ({command} {arguments['queue']}); no node replied."
            )
            return 0
    return finish(session, replies, as_json, counts=False)


def _for_lane(command: str, lane: str) -> str:
    """Refuse a lane where the command is for the whole worker."""
    from fastworker.worker.control import Panel

    if "lane" not in inspect.signature(Panel.find(command)).parameters:
        raise click.UsageError(
            f"--lane: {command} is for a worker, whatever its lanes; leave it out"
        )
    return lane
