"""Options of commands that may go on in the background, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from fastworker.cli.group import Option
from fastworker.cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])


def set_umask(text: str | None) -> None:
    """Obey ``--umask``.

    Raises:
        click.BadParameter: It is no octal number.
    """
    if text is None:
        return
    try:
        os.umask(int(text, 8))
    except ValueError:
        raise click.BadParameter(
            f"{text!r}: expected an octal number such as 027", param_hint="--umask"
        ) from None


def go_on_detached(session: Session, pidfile: str | None, logfile: str | None) -> int:
    """Start this command in the background, after what can be told here was told; its exit status.

    Args:
        session: Has the command line.
        pidfile: Nobody who lives may hold it.
        logfile: Gets what it prints.

    Raises:
        click.UsageError: The command line does not name the application.
        ImproperlyConfigured: The pidfile is held, or the log file cannot be written.
    """
    from fastworker.cli.detach import detach
    from fastworker.worker.pidfile import refuse_held

    if session.given is not None and not session.spec:
        raise click.UsageError("--detach starts the command anew: name the application with -A")
    if pidfile is not None:
        refuse_held(pidfile)
    return detach(session.arguments, session.workdir, logfile)


def daemon_options(command: F) -> F:
    """Decorator: ``--logfile``, ``--pidfile`` and ``--umask``."""
    for names, metavar, text in (
        (("--umask",), "OCTAL", "Permissions that new files do not get."),
        (("--pidfile",), "FILE", "Write the process number there."),
        (("-f", "--logfile"), "FILE", "Log there."),
    ):
        command = click.option(*names, cls=Option, metavar=metavar, help=text)(command)
    return command
