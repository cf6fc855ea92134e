"""``fastworker``: the global options, and what becomes of errors.

Exit status: 0 done; 1 it went wrong while running; 2 it could not be started (usage,
configuration); 130 Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fastworker.cli.group import Option, group
from fastworker.cli.session import Session, complain, export

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

_SETTINGS = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "FASTWORKER"}


def _change_directory(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> str | None:
    if value:
        try:
            os.chdir(value)
        except OSError as error:
            raise click.BadParameter(f"cannot change to {value!r}: {error.strerror}") from error
    return value


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        from fastworker._core import __version__

        click.echo(f"fastworker {__version__}")
        ctx.exit()


def _refuse_loader(_ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value:
        raise click.UsageError(
            "--loader: fastworker has no loaders; settings come from app.config_from_object or "
            "--config, and modules with tasks from app.autodiscover_tasks, the setting include, or "
            "worker -I"
        )


@group(invoke_without_command=True, context_settings=_SETTINGS)
@click.option(
    "-A",
    "--app",
    cls=Option,
    envvar="APP",
    metavar="MODULE[:NAME]",
    help="Where the application is.",
)
@click.option(
    "-b", "--broker", cls=Option, envvar="BROKER_URL", metavar="URL", help="Broker to use instead."
)
@click.option(
    "--result-backend",
    cls=Option,
    envvar="RESULT_BACKEND",
    metavar="URL",
    help="Result store to use instead.",
)
@click.option(
    "--loader", hidden=True, expose_value=False, callback=_refuse_loader, allow_from_autoenv=False
)
@click.option(
    "--config",
    cls=Option,
    envvar="CONFIG_MODULE",
    metavar="MODULE",
    help="Settings for an app without a source.",
)
@click.option(
    "--workdir",
    cls=Option,
    metavar="DIR",
    callback=_change_directory,
    is_eager=True,
    expose_value=False,
    help="Change to this directory first.",
)
@click.option(
    "-C", "--no-color", is_flag=True, help="No colour; so does NO_COLOR in the environment."
)
@click.option("-q", "--quiet", is_flag=True, help="Print no banner and no headings.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.option("--skip-checks", is_flag=True, help="Skip Django's system checks.")
@click.pass_context
def cli(
    ctx: click.Context,
    app: str | None,
    broker: str | None,
    result_backend: str | None,
    config: str | None,
    no_color: bool,
    quiet: bool,
    skip_checks: bool,
) -> None:
    """Run and look after fastworker applications.

    Without a command a worker is started: "fastworker -A tasks -l INFO".
    """
    export("BROKER_URL", broker)
    export("RESULT_BACKEND", result_backend)
    export("CONFIG_MODULE", config)
    export("SKIP_CHECKS", "true" if skip_checks else None)
    session = ctx.ensure_object(Session)
    session.spec = app or session.spec
    session.no_color = no_color or bool(os.environ.get("NO_COLOR"))
    session.quiet = quiet
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None, app: FastWorker | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None: the process's own.
        app: The application that commands work on when ``-A`` names none.

    Returns:
        The exit status.
    """
    arguments = tuple(sys.argv[1:] if argv is None else argv)
    try:
        status: Any = cli.main(
            list(arguments),
            prog_name="fastworker",
            standalone_mode=False,
            obj=Session(given=app, arguments=arguments),
        )
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        complain("Aborted.")
        return 130
    except Exception as error:
        return _explain(error)
    return status if isinstance(status, int) else 0


def run(app: FastWorker, argv: Sequence[str]) -> int:
    """``app.start()``: the command line of one application."""
    return main(argv, app)


def _explain(error: Exception) -> int:
    """Say what a user can act on in one line; everything else is our mistake and comes with its
    traceback.
    """
    from fastworker.cli.app_lookup import AppImportFailed
    from fastworker.errors import BackendError, ImproperlyConfigured, KombuError

    if isinstance(error, AppImportFailed) and error.__cause__ is not None:
        from fastworker.cli.user_traceback import user_traceback

        complain(user_traceback(error.__cause__).rstrip("\n") + "\n")
    if isinstance(error, ImproperlyConfigured):
        complain(f"fastworker: {error}")
        return 2
    if isinstance(error, KombuError | BackendError):
        complain(f"fastworker: {type(error).__name__}: {error}")
        return 1
    raise error
