"""The command's skeleton: lazily imported subcommands, ``worker`` as the default one, helpful usage
errors.

``fastworker -A tasks -l INFO`` is ``fastworker -A tasks worker -l INFO``: without a command,
everything that is no global option belongs to the worker.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import click

from fastworker.app.nearest import nearest
from fastworker.cli.preload import with_preload
from fastworker.cli.session import Session

DEFAULT_COMMAND = "worker"
COMMANDS = (
    "worker", "multi", "status", "inspect", "control", "report", "dead", "purge", "queues", "parked",
    "unpark", "migrate", "call", "result", "list", "graph", "shell", "events", "flower", "plan", "bench",
)  # fmt: skip
#: Where a command is not in the module of its name.
_MODULES = {"list": "listing"}
# Commands of Celery that come later: saying so is better than "no such command".
LATER = (
    "amqp", "beat", "logtool", "upgrade",
)  # fmt: skip


class Option(click.Option):
    """An option that also reads Celery's environment variables: ``CELERY_WORKER_CONCURRENCY`` after
    ``FASTWORKER_WORKER_CONCURRENCY``.
    """

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The first variable that is set and not empty."""
        value = super().resolve_envvar_value(ctx)
        prefix = ctx.auto_envvar_prefix
        if value is None and prefix and self.name and self.allow_from_autoenv:
            fallback = prefix.replace("FASTWORKER", "CELERY", 1)
            value = os.environ.get(f"{fallback}_{self.name.upper()}") or None
        return value


class _Preloading(click.Command):
    """A command that gets the options which the application adds to every one."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse. What the global options say is known by now."""
        session = None if parent is None else parent.find_object(Session)
        is_outermost = parent is not None and parent.parent is None
        if session is not None and is_outermost:
            extended = with_preload(self, session)
            return super(_Preloading, extended).make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


class Command(_Preloading):
    """A subcommand that says where a global option belongs when it is given one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; an unknown option that is a global one gets a hint."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise _with_hint(error, ctx) from None


def _with_hint(error: click.NoSuchOption, ctx: click.Context) -> click.UsageError:
    root = ctx.find_root().command
    known = {name for option in root.params for name in option.opts}
    if error.option_name in known:
        return click.UsageError(
            f"{error.option_name} is a global option and stands before the command: "
            f"fastworker {error.option_name} … {ctx.info_name} …",
            ctx,
        )
    return error


class CommandGroup(_Preloading, click.Group):
    """A subcommand that has commands of its own."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; a misspelt one names the nearest."""
        if args[0] not in self.commands:
            from fastworker.app.nearest import did_you_mean

            known = ", ".join(self.commands)
            hint = did_you_mean(args[0], self.commands) or f"; commands: {known}"
            ctx.fail(f"no such command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


class Group(click.Group):
    """``fastworker``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, the usual one first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        name = _MODULES.get(cmd_name, cmd_name)
        module = importlib.import_module(f"fastworker.cli.{name}")
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; a misspelt one names the nearest."""
        if self.get_command(ctx, args[0]) is None:
            ctx.fail(_no_such_command(args[0]))
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the global options, after the default command was put in where it was left out."""
        return super().parse_args(ctx, self._with_command(ctx, args))

    def _with_command(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``args`` with ``worker`` in it when they name no command, global options first."""
        ours = _arity(self.params)
        worker: dict[str, int] | None = None
        front: list[str] = []
        rest: list[str] = []
        left = list(args)
        while left:
            word = left.pop(0)
            if word in ("--help", "--version") and not rest:
                return args
            if not word.startswith("-") or word == "-":
                if not rest:
                    return args  # the command
                if word != DEFAULT_COMMAND:
                    rest.append(word)
                continue
            taken = _values_of(word, ours)
            into = front
            if taken is None:
                if worker is None:
                    command = self.get_command(ctx, DEFAULT_COMMAND)
                    worker = _arity(command.params if command else [])
                taken, into = _values_of(word, worker) or 0, rest
            into.append(word)
            into.extend(left[:taken])
            del left[:taken]
        if not rest and not _names_an_app(front):
            return args  # nothing but "fastworker": its help
        return [*front, DEFAULT_COMMAND, *rest]


def _names_an_app(args: list[str]) -> bool:
    return any(word.startswith(("-A", "--app")) for word in args) or bool(
        os.environ.get("APP") or os.environ.get("FASTWORKER_APP") or os.environ.get("CELERY_APP")
    )


def _arity(params: list[click.Parameter]) -> dict[str, int]:
    """How many values each spelling of each option takes."""
    return {
        name: 0 if getattr(option, "is_flag", False) or getattr(option, "count", False) else 1
        for option in params
        for name in (*option.opts, *option.secondary_opts)
    }


def _values_of(word: str, known: dict[str, int]) -> int | None:
    """How many of the following words belong to the option ``word``; None when it is none of
    ``known``.
    """
    if word.startswith("--"):
        name, has_value, _ = word.partition("=")
        return None if name not in known else 0 if has_value else known[name]
    short = word[:2]
    if short not in known:
        return None
    return 0 if len(word) > 2 else known[short]


def _no_such_command(name: str) -> str:
    if name in LATER:
        return f"the command {name!r} comes in a later version; until then: celery {name}"
    meant = nearest(name, (*COMMANDS, *LATER))
    known = ", ".join(COMMANDS)
    return f"no such command {name!r}" + (
        f"; did you mean {meant!r}?" if meant else f"; commands: {known}"
    )


def group(**attributes: Any) -> Callable[[Callable[..., None]], Group]:
    """Decorator: a function becomes the ``fastworker`` command."""
    return click.command(cls=Group, **attributes)
