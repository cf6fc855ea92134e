"""Options of Celery's worker that fastworker takes without acting on them, and those that it
refuses for now.

Refused is what a user would miss dearly and silently: a beat, a user to become.
What changes nothing that a task can see is accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fastworker.cli.group import Option

F = TypeVar("F", bound=Callable[..., Any])

_REFUSED: dict[tuple[str, ...], tuple[dict[str, Any], str]] = {
    ("-B", "--beat"): ({"is_flag": True}, "run beat as a process of its own: celery -A … beat"),
    ("--scheduler",): ({}, "run beat as a process of its own: celery -A … beat"),
    ("-s", "--schedule-filename", "--schedule"): (
        {},
        "run beat as a process of its own: celery -A … beat",
    ),
    ("--uid",): ({}, "start it as that user"),
    ("--gid",): ({}, "start it as that group"),
    ("--executable",): ({}, "start it with that interpreter: python -m fastworker"),
}

_SILENT: tuple[str, ...] = ("--without-gossip", "--without-mingle")


def later_options(command: F) -> F:
    """Decorator: add all of them, hidden from ``--help``."""
    for names, (attributes, advice) in _REFUSED.items():
        command = _hidden(names, attributes, _refuse(names, advice))(command)
    for name in _SILENT:
        command = _hidden((name,), {"is_flag": True}, None)(command)
    return command


def _hidden(names: tuple[str, ...], attributes: dict[str, Any], callback: Any) -> Callable[[F], F]:
    return click.option(
        *names, cls=Option, hidden=True, expose_value=False, callback=callback, **attributes
    )


def _refuse(names: tuple[str, ...], advice: str) -> Callable[..., None]:
    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        if value:
            raise click.UsageError(
                f"{_spelled(names)} comes in a later version of fastworker; {advice}", ctx
            )

    return callback


def _spelled(names: tuple[str, ...]) -> str:
    return next(name for name in names if name.startswith("--"))
