"""What ``inspect``, ``control`` and ``status`` share: commands by name with typed arguments, and replies for people.

Output and exit status are Celery's. Source: celery/bin/control.py, celery/bin/base.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pprint import pformat
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastworker.cli.group import Option
from fastworker.cli.session import Session
from fastworker.cli.values import COMMA_SEPARATED

if TYPE_CHECKING:
    from fastworker.worker.panel import CommandInfo

F = TypeVar("F", bound=Callable[..., Any])

#: ``os.EX_UNAVAILABLE``: nobody answered.
_UNAVAILABLE = 69


def remote_options(command: F) -> F:
    """Decorator: ``--timeout``, ``--destination`` and ``--json``."""
    for option in (
        click.option(
            "-j", "--json", "as_json", cls=Option, is_flag=True, help="Print the replies as JSON."
        ),
        click.option(
            "-d",
            "--destination",
            cls=Option,
            type=COMMA_SEPARATED,
            metavar="A,B",
            help="Ask only these nodes.",
        ),
        click.option(
            "-t",
            "--timeout",
            cls=Option,
            type=float,
            default=1.0,
            help="Seconds of silence after which nobody else is waited for.",
        ),
    ):
        command = option(command)
    return command


def commands_of(session: Session | None, kind: str) -> dict[str, CommandInfo]:
    """The commands of a kind (``inspect``, ``control``) that are shown: ours, and those of the application."""
    from fastworker.worker.control import Panel

    if session is not None and session.spec:
        # Its commands are there when it is imported.
        _imported = session.app
    return {
        name: info
        for name, info in sorted(Panel.infos().items())
        if info.type == kind and info.visible
    }


def list_option(kind: str) -> Callable[[F], F]:
    """Decorator: ``--list``."""

    def show(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if not value:
            return
        formatter = click.HelpFormatter()
        with formatter.section(f"{kind.capitalize()} Commands"):
            formatter.write_dl(
                [
                    (f"{name} {info.signature}" if info.signature else name, info.help)
                    for name, info in commands_of(ctx.find_object(Session), kind).items()
                ]
            )
        click.echo(formatter.getvalue(), nl=False)
        ctx.exit()

    return click.option(
        "--list",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=show,
        help=f"List the {kind} commands.",
    )


def arguments_of(session: Session, kind: str, command: str, words: list[str]) -> dict[str, Any]:
    """The words behind a command's name as its keyword arguments.

    Raises:
        click.UsageError: No such command, too many words, or one of a wrong type.
    """
    known = commands_of(session, kind)
    if command not in known:
        from fastworker.app.nearest import did_you_mean

        raise click.UsageError(
            f"Command {command} not recognized{did_you_mean(command, known)}. Available {kind} "
            f"commands: {', '.join(known)}"
        )
    info = known[command]
    typed = info.args or []
    arguments: dict[str, Any] = {}
    for (name, kind_of), word in zip(typed, words, strict=False):
        try:
            arguments[name] = kind_of(word)
        except ValueError as exc:
            raise click.UsageError(f"{command}: {name} is {word!r}: {exc}") from exc
    rest = words[len(typed) :]
    if info.variadic:
        arguments[info.variadic] = rest
    elif rest:
        raise click.UsageError(f"Command {command!r} takes arguments: {info.signature or 'none'}")
    return arguments


def say_reply(session: Session, replies: dict[str, Any], show_body: bool = True) -> None:
    """Print one node's reply."""
    for node, reply in replies.items():
        status, body = _pretty(reply)
        prefix = "" if session.quiet else "-> "
        click.echo(f"{prefix} {node}: {status}")
        if show_body and body:
            click.echo(_indented(body))


def finish(session: Session, replies: Any, as_json: bool, counts: bool = True) -> int:
    """Print what is left to print; the exit status."""
    if not replies:
        click.echo("Error: No nodes replied within time constraint", err=True)
        return _UNAVAILABLE
    if as_json:
        click.echo(json.dumps(replies, default=str))
    elif counts and not session.quiet:
        count = len(replies)
        click.echo(f"\n{count} {'node' if count == 1 else 'nodes'} online.")
    return 0


def _pretty(reply: Any) -> tuple[str, str]:
    if isinstance(reply, list):
        return "OK", "\n".join(f"* {item}" for item in reply) or "- empty -"
    if isinstance(reply, dict) and "ok" in reply:
        return "OK", _indented(_pretty(reply["ok"])[1])
    if isinstance(reply, dict) and "error" in reply:
        return "ERROR", _indented(_pretty(reply["error"])[1])
    if isinstance(reply, dict):
        return "OK", json.dumps(reply, sort_keys=True, indent=4, default=str)
    return "OK", reply if isinstance(reply, str) else pformat(reply)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
